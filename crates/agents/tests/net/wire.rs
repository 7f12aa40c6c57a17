//! R-TAKE-6, R-TAKE-7, R-MEM-9.

use crate::space::{FAR, PATIENCE, pair, run, until};
use hearth_agents::net::{Announcer, AskEvent, Asker, Gate, Pinger, Question, Snapshot};
use hearth_types::AddressSpec;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

const V4: &str = "10.77.0.50";
const V6: &str = "fd77::50";

fn spec(ip: &str) -> AddressSpec {
    AddressSpec { ip: ip.parse().unwrap(), prefix: None, interface: None, label: None, broadcast: None }
}

fn question(ip: &'static str) -> Question<&'static str> {
    Question::address(ip, &spec(ip), &Snapshot::read().unwrap()).unwrap()
}

fn next<K>(events: &mut UnboundedReceiver<AskEvent<K>>) -> AskEvent<K> {
    let mut event = None;
    until("an event", || {
        event = events.try_recv().ok();
        event.is_some()
    });
    event.unwrap()
}

/// Events until three rounds went out for each key.
fn three_rounds(events: &mut UnboundedReceiver<AskEvent<&'static str>>) -> Vec<AskEvent<&'static str>> {
    let mut seen = Vec::new();
    while [V4, V6].iter().any(|key| seen.iter().filter(|e| **e == AskEvent::Asked { key: *key }).count() < 4) {
        seen.push(next(events));
    }
    seen
}

#[test]
fn the_wire_is_silent_until_the_owner_answers_and_the_gate_decides_whether_it_does() {
    let peer = pair();
    let (asker, mut events) = Asker::start().unwrap();
    asker.set(vec![question(V4), question(V6)]);
    for event in three_rounds(&mut events) {
        assert!(matches!(event, AskEvent::Asked { .. }), "{event:?}");
    }

    // The peer has the addresses, behind a shut gate: ARP and ND are silent too (R-LEASE-8).
    let lease = Duration::from_secs(40);
    let gate = peer.there(move || {
        let mut gate = Gate::open(lease).unwrap();
        gate.guard(&[V4.parse().unwrap(), V6.parse().unwrap()], &["far".to_owned()]).unwrap();
        run(&format!("ip addr add {V4}/24 dev far"));
        run(&format!("ip addr add {V6}/64 dev far nodad"));
        gate
    });
    while events.try_recv().is_ok() {}
    for event in three_rounds(&mut events) {
        assert!(matches!(event, AskEvent::Asked { .. }), "{event:?}");
    }

    let gate = peer.there(move || {
        for address in [V4, V6] {
            gate.tick(address.parse().unwrap(), &|| lease).unwrap();
        }
        gate
    });
    for key in [V4, V6] {
        until("an answer", || events.try_recv() == Ok(AskEvent::Answered { key, hardware: FAR.to_owned() }));
    }
    peer.there(move || gate.close().unwrap());

    asker.set(Vec::new());
    run("ip link set eth0 down");
    asker.set(vec![question_on_eth0()]);
    until(
        "trouble",
        || matches!(events.try_recv(), Ok(AskEvent::Trouble { trouble, .. }) if trouble.contains("no carrier")),
    );
}

fn question_on_eth0() -> Question<&'static str> {
    Question { key: V4, ip: V4.parse().unwrap(), interface: Some("eth0".into()), prefix: 24, icmp: false }
}

#[test]
fn who_answers_for_everything_is_a_proxy_and_is_ignored() {
    let peer = pair();
    // The peer has the whole network as its own: it answers for used and unused addresses alike.
    peer.there(|| run("ip route add local 10.77.0.0/24 dev far"));
    let (asker, mut events) = Asker::start().unwrap();
    asker.set(vec![question(V4)]);
    until("the proxy is known", || events.try_recv() == Ok(AskEvent::Proxy { key: V4, hardware: FAR.to_owned() }));
    while events.try_recv().is_ok() {}
    for _ in 0..5 {
        assert_eq!(next(&mut events), AskEvent::Asked { key: V4 });
    }
}

#[test]
fn a_peer_is_asked_by_arp_nd_and_icmp() {
    let peer = pair();
    let snapshot = Snapshot::read().unwrap();
    let (asker, mut events) = Asker::start().unwrap();
    for (ip, silent) in [("10.77.0.2", false), ("fd77::2", false), ("10.77.0.3", true)] {
        asker.set(vec![Question::peer("peer", ip.parse().unwrap(), &snapshot)]);
        let mut answers = std::collections::BTreeSet::new();
        let start = Instant::now();
        while answers.len() < 2
            && (start.elapsed() < Duration::from_millis(200) || !silent && start.elapsed() < PATIENCE)
        {
            if let Ok(AskEvent::Answered { hardware, .. }) = events.try_recv() {
                answers.insert(hardware);
            }
            std::thread::yield_now();
        }
        let wanted: Vec<&str> = if silent { Vec::new() } else { vec![FAR, "ICMP echo"] };
        assert_eq!(answers.into_iter().collect::<Vec<_>>(), wanted, "{ip}");
        asker.set(Vec::new());
        until("the asker has stopped", || {
            let start = Instant::now();
            let mut quiet = true;
            while start.elapsed() < Duration::from_millis(50) {
                quiet &= events.try_recv().is_err();
            }
            quiet
        });
    }
    drop(peer);
}

#[test]
fn echo_answers_carry_the_payload_that_was_sent() {
    let _peer = pair();
    let pinger = Pinger::new().unwrap();
    for ip in ["10.77.0.2", "fd77::2"] {
        let ip: IpAddr = ip.parse().unwrap();
        let sent = pinger.send(ip).unwrap();
        until("the echo", || pinger.receive().contains(&(ip, sent)));
    }
}

/// R-TAKE-7: without gate nothing else holds back what a thawed machine goes on with. Clients would go to the wrong one.
#[test]
fn a_burst_that_outlives_its_address_teaches_nobody() {
    let peer = pair();
    let announcer = Announcer::new().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (address, length) in [(V4, 24), (V6, 64)] {
        run(&format!("ip addr add {address}/{length} dev eth0 {}", if length == 64 { "nodad" } else { "" }));
        let ip: IpAddr = address.parse().unwrap();
        announcer.announce("eth0", ip).unwrap();
        run(&format!("ip addr del {address}/{length} dev eth0"));
        // Another machine has it by now.
        peer.there(move || run(&format!("ip neigh replace {address} lladdr 02:00:00:00:00:99 dev far nud stale")));
        let refused = runtime.block_on(announcer.burst("eth0", ip)).unwrap_err().to_string();
        assert!(refused.contains("not on eth0 any more"), "{refused}");
        let known = peer.there(move || {
            let list = std::process::Command::new("ip").args(["neigh", "show", address]).output().unwrap();
            String::from_utf8(list.stdout).unwrap()
        });
        assert!(known.contains("02:00:00:00:00:99"), "{known}");
    }
}

#[test]
fn announcements_teach_the_neighbours_and_only_what_may_answer_is_announced() {
    let peer = pair();
    run(&format!("ip addr add {V4}/24 dev eth0"));
    run(&format!("ip addr add {V6}/64 dev eth0 nodad"));
    peer.there(|| {
        for address in [V4, V6] {
            run(&format!("ip neigh replace {address} lladdr 02:00:00:00:00:99 dev far nud stale"));
        }
    });
    let announcer = Announcer::new().unwrap();
    let mut gate = Gate::open(Duration::from_secs(8)).unwrap();
    gate.guard(&[V4.parse().unwrap(), V6.parse().unwrap()], &["eth0".into()]).unwrap();
    for address in [V4, V6] {
        let address: IpAddr = address.parse().unwrap();
        let refused = announcer.announce("eth0", address).unwrap_err().to_string();
        assert!(refused.contains("does not let it answer"), "{refused}");
        gate.tick(address, &|| Duration::from_secs(8)).unwrap();
        announcer.announce("eth0", address).unwrap();
        until("the peer has learnt", || {
            peer.there(move || {
                let list =
                    std::process::Command::new("ip").args(["neigh", "show", &address.to_string()]).output().unwrap();
                String::from_utf8(list.stdout).unwrap().contains(crate::space::NEAR)
            })
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let start = Instant::now();
    runtime.block_on(announcer.burst("eth0", V4.parse().unwrap())).unwrap();
    assert!(start.elapsed() >= hearth_agents::net::BURST[3]);
    assert!(announcer.announce("eth9", V4.parse().unwrap()).unwrap_err().to_string().contains("no interface eth9"));
}
