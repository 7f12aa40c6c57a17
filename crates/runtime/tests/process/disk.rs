//! A disk that takes nothing more.

use crate::machine::{DEADLINE, HA_CF, Machine, wait};
use nix::sys::signal::Signal;
use std::time::Instant;

/// R-LEDGER-3: what depends on the disk is not done; heartbeats and answers do not depend on it.
pub fn full() {
    let mut machine = Machine::new(HA_CF, "alpha 10.77.0.50\n");
    // One page: the log's head fits, the first state does not.
    machine.start_with("daemon", "4k");
    machine.up();
    let start = Instant::now();
    while !machine.log().contains("cannot be written") {
        assert!(start.elapsed() < DEADLINE, "the full disk is not noticed:\n{}", machine.log());
    }
    let before = machine.sent();
    wait("forty heartbeats", || (machine.sent() >= before + 40).then_some(()));
    let status = machine.status().expect("an answer");
    assert!(!status.resources.iter().any(|resource| resource.node.is_some()), "decided without a disk: {status:?}");
    assert!(!machine.run("ip addr show dev eth0").contains("10.77.0.50"));
    // It can still be stopped in order.
    machine.signal(Signal::SIGTERM);
    assert_eq!(machine.end().code(), Some(0));
}
