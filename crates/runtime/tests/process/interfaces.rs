//! Interfaces that come and go under a running daemon.

use crate::machine::{HA_CF, Machine, wait};
use crate::roles::WIRE;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::Signal;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

/// R-LEASE-8: an address that somebody moves to a new interface must not get around the gate.
pub fn gate_on_new_interfaces() {
    let mut machine = Machine::new(HA_CF, "alpha 10.77.0.50\n");
    machine.start("daemon");
    machine.up();
    let rules = || machine.run("nft list ruleset");
    wait("the gate stands on eth0", || rules().contains("\"eth0\"").then_some(()));
    machine.run("ip link add eth5 type veth peer name far5");
    wait("the gate stands on eth5", || rules().contains("\"eth5\"").then_some(()));
    machine.run("ip link set eth5 name eth6");
    wait("the gate stands on eth6", || rules().contains("\"eth6\"").then_some(()));
    machine.run("ip link del eth6");
    wait("nothing is left of eth6", || (!rules().contains("\"eth6\"")).then_some(()));
    // The heartbeats' own interface goes and comes back.
    machine.run("ip link del eth0");
    wait("the loss is reported", || machine.log().contains("there is no interface eth0").then_some(()));
    for words in WIRE {
        machine.run(&format!("ip {words}"));
    }
    wait("heartbeats go out again", || (machine.sent() >= 20).then_some(()));
    wait("the gate stands on the new eth0", || rules().contains("\"eth0\"").then_some(()));
    wait("the address is served there", || machine.run("ip addr show dev eth0").contains("10.77.0.50").then_some(()));
    // An orderly stop takes the gate away: whoever sets the address up by hand must be heard.
    let network = File::open(format!("/proc/{}/ns/net", machine.pid())).unwrap();
    machine.signal(Signal::SIGTERM);
    assert_eq!(machine.end().code(), Some(0), "{}", machine.log());
    let rules = format!("--net=/proc/self/fd/{}", network.as_raw_fd());
    fcntl(&network, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let output = Command::new("nsenter").args([&rules, "--", "nft", "list", "tables"]).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(!machine.log().contains("gate-broken"), "{}", machine.log());
}

/// Nothing of the record is an address, so there is no gate to look after: a table of somebody else is no news. A thread
/// that turns round it without a pause never sleeps, and has real-time priority: nothing else would run on that processor.
pub fn firewall_without_addresses() {
    let mut machine = Machine::new(HA_CF, "");
    machine.start("daemon");
    machine.up();
    machine.run("nft add table ip somebody");
    let slept = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", machine.pid())).unwrap();
        let mut texts = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap());
        let text = texts.find(|text| text.starts_with("Name:\theartbeat")).expect("the heartbeat thread");
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).expect("its waits");
        line.trim().parse::<u64>().unwrap()
    };
    let before = slept();
    wait("the heartbeat thread waits for something", || (slept() >= before + 20).then_some(()));
}
