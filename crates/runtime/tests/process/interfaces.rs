//! Interfaces that come and go under a running daemon.

use crate::machine::{HA_CF, Machine, wait};
use crate::roles::WIRE;

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
}
