//! Moves that somebody asked for (R-TAKE-5): no deadtime is waited for, and the median of ten is what a client feels.

use crate::bench::{Bench, Sample, ms, save_as};
use hearth_lab::now;

const RUNS: usize = 10;
const MEDIAN: u64 = ms(10);

/// What was measured of one kind of move.
struct Moves {
    fault: &'static str,
    samples: Vec<Sample>,
    unjudged: usize,
}

impl Moves {
    fn of(fault: &'static str) -> Self {
        Self { fault, samples: Vec::new(), unjudged: 0 }
    }

    fn are_enough(&self) -> bool {
        self.samples.len() >= RUNS
    }

    /// Takes what happened since `from`, unless this machine stood still meanwhile.
    fn take(&mut self, bench: &Bench, from: u64) {
        let sample = bench.sample(from, now());
        assert!(self.unjudged <= 2 * RUNS, "{}: this machine stalls too long", self.fault);
        if sample.owners.two > 0 {
            bench.fail(&format!("two owners: {:?}", sample.owners));
        }
        // A stall longer than the bound makes any gap possible.
        match sample.gap > MEDIAN && sample.worst_stall > MEDIAN / 2 {
            true => self.unjudged += 1,
            false => self.samples.push(sample),
        }
    }

    fn judge(self, bench: &Bench) {
        let mut gaps: Vec<u64> = self.samples.iter().map(|sample| sample.gap).collect();
        gaps.sort_unstable();
        save_as(self.fault, format!("median {}", MEDIAN / 1_000_000), &self.samples, self.unjudged);
        if gaps[gaps.len() / 2] > MEDIAN {
            bench.fail(&format!("{}: gaps {gaps:?} ns", self.fault));
        }
    }
}

/// Moves to and fro until ten runs were judged, and judges their median.
fn moves(bench: &Bench, fault: &'static str, mut once: impl FnMut(&Bench, usize) -> u64) {
    let mut moves = Moves::of(fault);
    for run in 0.. {
        let from = once(bench, run);
        moves.take(bench, from);
        if moves.are_enough() {
            break;
        }
    }
    moves.judge(bench);
}

/// Owner and other before the run of that number.
fn sides(run: usize) -> (&'static str, &'static str) {
    if run.is_multiple_of(2) { ("a", "b") } else { ("b", "a") }
}

/// R-TAKE-5: away from the machine that is preferred, and back.
#[test]
fn standby_and_failback() {
    let bench = Bench::address("");
    let (mut away, mut back) = (Moves::of("01 standby"), Moves::of("03 failback"));
    while !away.are_enough() || !back.are_enough() {
        let from = bench.order("a", &["standby"]);
        bench.served_by("b", from);
        bench.settled("b");
        away.take(&bench, from);
        let from = bench.order("b", &["failback"]);
        bench.served_by("a", from);
        bench.settled("a");
        back.take(&bench, from);
    }
    away.judge(&bench);
    back.judge(&bench);
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
