//! R-LEASE-11 and what users know of IPaddr2.

use crate::space::{pair, run, until};
use hearth_agents::net::{AddressAgent, Snapshot};
use hearth_types::{
    AddressSpec, AgentClass, OnStopFail, OpAction, OpId, OpOutcome, OpRequest, OpTimeouts, ResourceKind, ResourceSpec,
    Timestamp,
};
use nix::time::{ClockId, clock_gettime};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub fn spec(ip: &str) -> AddressSpec {
    AddressSpec { ip: ip.parse().unwrap(), prefix: None, interface: None, label: None, broadcast: None }
}

pub fn now() -> Timestamp {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap();
    Timestamp(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}

fn request(
    action: OpAction,
    spec: &AddressSpec,
    lifetime: Option<Duration>,
    not_after: Option<Timestamp>,
) -> OpRequest {
    let resource = ResourceSpec {
        id: "address".into(),
        class: AgentClass::Native,
        agent: "IPaddr2".into(),
        args: Vec::new(),
        kind: ResourceKind::Address(spec.clone()),
        owns: Default::default(),
        timeouts: OpTimeouts::default(),
        monitor: None,
        on_stop_fail: OnStopFail::Block,
        wire_check: true,
    };
    let timeout = Duration::from_secs(1);
    OpRequest { id: OpId(1), action, resource: Arc::new(resource), timeout, lifetime, not_after }
}

fn listed() -> String {
    String::from_utf8(std::process::Command::new("ip").args(["addr", "show"]).output().unwrap().stdout).unwrap()
}

#[test]
fn an_address_is_started_monitored_and_stopped_as_the_network_says() {
    let _peer = pair();
    let agent = AddressAgent::new().unwrap();
    let v4 = AddressSpec { label: Some("0".into()), ..spec("10.77.0.50") };
    let lifetime = Some(Duration::from_millis(1500));
    for (spec, line) in
        [(&v4, "10.77.0.50/24 brd 10.77.0.255 scope global secondary"), (&spec("fd77::50"), "fd77::50/64")]
    {
        let run = |action| agent.run(&request(action, spec, lifetime, Some(now() + Duration::from_secs(5))));
        assert_eq!(run(OpAction::Probe), OpOutcome::NotRunning);
        assert_eq!(run(OpAction::Monitor), OpOutcome::NotRunning);
        for _ in 0..2 {
            assert_eq!(run(OpAction::Start), OpOutcome::Ok);
            assert_eq!(run(OpAction::Probe), OpOutcome::Ok);
            assert_eq!(run(OpAction::Monitor), OpOutcome::Ok);
        }
        let shown = listed();
        assert!(shown.contains(line), "{line} is missing in {shown}");
        assert!(shown.contains("valid_lft 2sec preferred_lft 2sec"), "{shown}");
        assert!(
            shown.contains(&format!("{line} dynamic")) || shown.contains(&format!("{line} scope global nodad dynamic")),
            "{shown}"
        );
        assert_eq!(agent.held().addresses(), [spec.ip]);
        for _ in 0..2 {
            assert_eq!(run(OpAction::Stop), OpOutcome::Ok);
            assert_eq!(run(OpAction::Probe), OpOutcome::NotRunning);
        }
        assert!(agent.held().addresses().is_empty());
    }
    assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/conf/eth0/promote_secondaries").unwrap(), "1\n");
    let unbounded = request(OpAction::Start, &v4, None, None);
    assert_eq!(agent.run(&unbounded), OpOutcome::Ok);
    assert!(listed().contains("global secondary eth0:0\n       valid_lft forever"), "{}", listed());
}

#[test]
fn nothing_is_started_after_the_right_has_ended() {
    // R-LEASE-5
    let _peer = pair();
    let agent = AddressAgent::new().unwrap();
    let spec = spec("10.77.0.50");
    let outcome = agent.run(&request(OpAction::Start, &spec, None, Some(now())));
    assert!(
        matches!(outcome, OpOutcome::Failed { ref message, .. } if message.contains("the right to serve")),
        "{outcome:?}"
    );
    assert!(!listed().contains("10.77.0.50"));
}

#[test]
fn a_lifetime_is_renewed_and_an_expired_address_is_not_brought_back() {
    let _peer = pair();
    let agent = AddressAgent::new().unwrap();
    let second = Duration::from_secs(1);
    for ip in ["10.77.0.50", "fd77::50"] {
        let spec = spec(ip);
        assert!(agent.renew(&spec, second, now() + second).unwrap_err().contains("not on any interface"));
        agent.start(&spec, Some(second), None).unwrap();
        agent.renew(&spec, 2 * second, now() + second).unwrap();
        assert!(listed().contains("valid_lft 2sec"), "{}", listed());
        assert!(agent.renew(&spec, second, now()).unwrap_err().contains("the right to serve"));
        agent.renew(&spec, second, now() + second).unwrap();
        until("the kernel removes it", || Snapshot::read().unwrap().holders(spec.ip).next().is_none());
        assert!(agent.renew(&spec, second, now() + second).unwrap_err().contains("has ended"));
        assert!(!listed().contains(ip));
    }
    assert!(listed().contains("10.77.0.1/24"), "the other address of the network stays");
}

#[test]
fn a_restarted_daemon_takes_over_the_lifetime_of_what_it_finds() {
    let _peer = pair();
    let spec = spec("10.77.0.50");
    AddressAgent::new().unwrap().start(&spec, Some(Duration::from_secs(30)), None).unwrap();
    let next = AddressAgent::new().unwrap();
    next.renew(&spec, Duration::from_secs(60), now() + Duration::from_secs(1)).unwrap();
    assert!(listed().contains("valid_lft 60sec"), "{}", listed());
    assert_eq!(next.held().addresses(), [spec.ip]);
}

#[test]
fn an_address_on_the_wrong_interface_or_with_another_prefix_is_moved() {
    let _peer = pair();
    run("ip link add eth1 type veth peer name eth2");
    run("ip link set eth1 up");
    run("ip addr add 10.77.0.50/32 dev eth1");
    run("ip addr add 10.77.0.50/32 dev eth0");
    let agent = AddressAgent::new().unwrap();
    let spec = AddressSpec { prefix: Some(24), interface: Some("eth0".into()), ..spec("10.77.0.50") };
    agent.start(&spec, None, None).unwrap();
    let snapshot = Snapshot::read().unwrap();
    let ip: IpAddr = spec.ip;
    let found: Vec<_> = snapshot.holders(ip).map(|(address, link)| (address.prefix, link.name.as_str())).collect();
    assert_eq!(found, [(24, "eth0")]);
    run("ip link set eth0 down");
    let outcome = agent.run(&request(OpAction::Monitor, &spec, None, None));
    assert!(
        matches!(outcome, OpOutcome::Failed { ref message, .. } if message.contains("which is down")),
        "{outcome:?}"
    );
    assert!(agent.start(&spec, None, None).unwrap_err().contains("ip link set eth0 up"));
}
