//! A daemon that runs: who may ask it, what it takes over, how small it is.

use crate::machine::{HA_CF, Machine, wait};
use hearth_control::{Reply, Request};
use nix::sys::signal::Signal;
use std::fs;
use std::process::Command;
use std::time::Instant;

pub fn foreign_user() {
    let mut machine = Machine::new(HA_CF, "");
    machine.start("daemon");
    machine.up();
    let request = serde_json::to_string(&Request::Status).unwrap();
    let mut asks = Command::new(std::env::current_exe().unwrap());
    asks.args(["role", "nobody"]).arg(machine.socket()).arg(request);
    let output = asks.output().unwrap();
    let Ok(Reply::Refused { reason, help, .. }) = serde_json::from_slice(&output.stdout) else {
        panic!("{output:?}");
    };
    assert_eq!(reason, "this user may not ask the daemon");
    assert_eq!(help.as_deref(), Some("ask as root or as a member of group haclient"));
    // A crowd of them keeps nobody else out.
    let mut crowd: Vec<_> = (0..20).map(|_| asks.stdout(std::process::Stdio::null()).spawn().unwrap()).collect();
    assert!(machine.status().is_some());
    for one in &mut crowd {
        assert!(one.wait().unwrap().success());
    }
}

pub fn reload() {
    let mut machine = Machine::new(HA_CF, "");
    machine.start("daemon");
    machine.up();
    let refused = |machine: &Machine, word: &str| match machine.ask(&Request::Reload) {
        Some(Reply::Refused { reason, .. }) => assert!(reason.contains(word), "{reason}"),
        other => panic!("not refused: {other:?}"),
    };
    machine.write("ha.cf", &HA_CF.replace("50ms", "soon"));
    refused(&machine, "soon");
    machine.write("ha.cf", &HA_CF.replace("alpha beta", "alpha gamma"));
    refused(&machine, "the list of nodes changes");
    machine.write("ha.cf", &format!("{HA_CF}cluster other\n"));
    refused(&machine, "the cluster's name changes");
    // A time that is good takes effect: a hundred heartbeats come at the new pace or not at all within the deadline.
    machine.write("ha.cf", &HA_CF.replace("keepalive 50ms", "keepalive 10ms"));
    machine.signal(Signal::SIGHUP);
    wait("the files are read", || machine.log().contains("The files were read again").then_some(()));
    let (before, start) = (machine.sent(), Instant::now());
    wait("two hundred heartbeats", || (machine.sent() >= before + 200).then_some(()));
    let span = start.elapsed();
    assert!(span.as_millis() < 200 * 50 / 2, "the old pace still: {span:?}");
    // So does a key: the next packets are signed with it, and the old one is still good for those of the other node.
    machine.write("authkeys", "auth 2\n1 sha256 a-key-that-only-this-test-knows\n2 sha256 another-key-of-this-test\n");
    match machine.ask(&Request::Reload) {
        Some(Reply::Done { text, .. }) => assert!(text.contains("authkeys"), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// Memory that was touched is locked, so what is resident is what it costs.
pub fn small() {
    let mut machine = Machine::new(HA_CF, "alpha 10.77.0.50\n");
    machine.start("daemon");
    wait("the address is served", || machine.log().contains("10.77.0.50").then_some(()));
    machine.up();
    let before = machine.sent();
    wait("a hundred heartbeats", || (machine.sent() >= before + 100).then_some(()));
    let status = fs::read_to_string(format!("/proc/{}/status", machine.pid())).unwrap();
    let told: Vec<&str> = status
        .lines()
        .filter(|line| ["VmRSS", "VmLck", "VmHWM", "Rss", "Threads"].iter().any(|name| line.starts_with(name)))
        .collect();
    println!("{}", told.join("; ").replace('\t', " "));
    let resident = told.iter().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    let resident: u64 = resident.trim().trim_end_matches(" kB").parse().expect("kB");
    assert!(resident <= 16 << 10, "{resident} kB are resident");
}
