//! The owner loses its power.

use crate::bench::{Bench, DEADTIME, ms, row};

/// The gap is deadtime and what it takes to decide, take and announce; nothing is left that could answer.
#[test]
fn owner_off() {
    row("05 power off", DEADTIME + ms(100), || {
        let mut bench = Bench::address("");
        let from = bench.cluster.lab.power_off("a").unwrap();
        bench.served_by("b", from);
        let to = bench.watch(ms(500));
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}
