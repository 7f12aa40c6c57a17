//! Cables of the owner are pulled and put back (R-MEM-7).

use crate::bench::{Bench, DEADTIME, NONE, PATIENCE, ms, row};
use hearth_lab::{Net, wait_until};
use std::time::Duration;

#[test]
fn all_pulled_and_put_back() {
    let mut healed = None;
    row("06 all cables pulled", DEADTIME + ms(100), || {
        let bench = Bench::address("");
        let from = bench.cluster.lab.pull("a", &Net::ALL).unwrap();
        bench.served_by("b", from);
        let to = bench.watch(ms(500));
        let sample = bench.sample(from, to);
        let back = bench.cluster.lab.put("a", &Net::ALL).unwrap();
        // A carrier counts as back after a second; then the nodes find each other, and nothing moves.
        bench.watch(ms(1500));
        let whole = wait_until(PATIENCE, Duration::from_millis(20), || {
            let status = bench.cluster.status("b").ok()?;
            status.nodes.iter().all(|node| node.online && !node.unclean).then_some(())
        });
        if whole.is_none() {
            bench.fail("the nodes do not find each other after the cables were put back");
        }
        let end = bench.watch(ms(500));
        healed = Some(bench.sample(back, end));
        if bench.client.felt(back, end).last.as_deref() != Some("b") {
            bench.fail("b does not keep the address");
        }
        bench.says_nothing(healed.as_ref().unwrap(), NONE, 0);
        (bench, sample)
    });
    crate::bench::save("07 all cables put back", NONE, &[healed.unwrap()], 0);
}

/// R-MEM-7: the heartbeat goes on over the other network, so that it is a planned move after carrier_grace (50 ms).
#[test]
fn service_cable_pulled() {
    row("08 service cable pulled, heartbeat cable stays", ms(50 + 50), || {
        let bench = Bench::address("");
        let from = bench.cluster.lab.pull("a", &[Net::Service]).unwrap();
        bench.served_by("b", from);
        let to = bench.watch(ms(500));
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}
