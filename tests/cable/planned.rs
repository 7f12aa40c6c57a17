//! Moves that somebody asked for (R-TAKE-5): no deadtime is waited for, and the median of ten is what a client feels.

use crate::bench::{Bench, Sample, ms, save_as};
use hearth_lab::now;

const RUNS: usize = 10;
const MEDIAN: u64 = ms(10);

/// Moves to and fro until ten runs were judged, and judges their median.
fn moves(bench: &Bench, fault: &str, mut once: impl FnMut(&Bench, usize) -> u64) {
    let mut samples: Vec<Sample> = Vec::new();
    let mut unjudged = 0;
    for run in 0.. {
        let from = once(bench, run);
        let sample = bench.sample(from, now());
        assert!(unjudged <= 2 * RUNS, "{fault}: this machine stalls too long");
        if sample.owners.two > 0 {
            bench.fail(&format!("two owners: {:?}", sample.owners));
        }
        // A stall longer than the bound makes any gap possible.
        if sample.gap > MEDIAN && sample.worst_stall > MEDIAN / 2 {
            unjudged += 1;
            continue;
        }
        samples.push(sample);
        if samples.len() == RUNS {
            break;
        }
    }
    let mut gaps: Vec<u64> = samples.iter().map(|sample| sample.gap).collect();
    gaps.sort_unstable();
    save_as(fault, "median 10".into(), &samples, unjudged);
    if gaps[RUNS / 2] > MEDIAN {
        bench.fail(&format!("{fault}: gaps {gaps:?} ns"));
    }
}

/// Owner and other before the run of that number.
fn sides(run: usize) -> (&'static str, &'static str) {
    if run.is_multiple_of(2) { ("a", "b") } else { ("b", "a") }
}

/// R-TAKE-5
#[test]
fn standby() {
    let bench = Bench::address("");
    moves(&bench, "01 standby", |bench, run| {
        let (owner, other) = sides(run);
        let from = bench.order(owner, &["standby"]);
        bench.served_by(other, from);
        bench.settled(other);
        from
    });
}

/// R-TAKE-5
#[test]
fn takeover() {
    let bench = Bench::address("");
    moves(&bench, "02 takeover", |bench, run| {
        let (_, other) = sides(run);
        let from = bench.order(other, &["takeover"]);
        bench.served_by(other, from);
        bench.settled(other);
        from
    });
}

/// R-TAKE-5
#[test]
fn failback() {
    let bench = Bench::address("");
    moves(&bench, "03 failback", |bench, _| {
        bench.order("a", &["standby"]);
        bench.settled("b");
        let from = bench.order("b", &["failback"]);
        bench.served_by("a", from);
        bench.settled("a");
        from
    });
}

/// R-LEAVE-1
#[test]
fn orderly_stop() {
    let bench = Bench::address("");
    moves(&bench, "04 orderly stop", |bench, run| {
        let (owner, other) = sides(run);
        let from = bench.order(owner, &["stop"]);
        bench.served_by(other, from);
        bench.wait(other, "the other has left", |status| status.nodes.iter().any(|node| !node.online));
        bench.cluster.start(owner).unwrap();
        bench.settled(other);
        from
    });
}
