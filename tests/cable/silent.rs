//! Packets vanish and carrier stays: what no card tells anybody.

use crate::bench::{Bench, DEADTIME, LEASE, NONE, PATIENCE, Sample, ms, row, save};
use hearth_lab::{Direction, Net, millis, now, wait_until};
use std::time::Duration;

/// deadping of these tests.
const DEADPING: u64 = ms(500);
const PING: &str = "ping 10.77.0.1\ndeadping 500ms\n";

/// R-MEM-9
#[test]
fn service_network_silent() {
    row("09 service network silent, ping target lost", DEADPING + LEASE + ms(100), || {
        let bench = Bench::address(PING);
        let from = bench.cluster.lab.silence("a", &[Net::Service], &Direction::BOTH).unwrap();
        bench.served_by("b", from);
        let to = bench.watch(ms(500));
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// R-MEM-2: one link is enough.
#[test]
fn one_network_silent() {
    row("10 packets dropped on one network", NONE, || {
        let bench = Bench::address("");
        let from = bench.cluster.lab.silence("a", &[Net::Heartbeat], &Direction::BOTH).unwrap();
        let to = bench.watch(3 * DEADTIME);
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// R-LEDGER-6, section 8.1: without a tiebreaker two owners are possible, and are reported with the true length or more.
#[test]
fn full_split_without_tiebreaker_and_heal() {
    let bench = Bench::address("");
    let from = bench.cluster.lab.silence("a", &Net::ALL, &Direction::BOTH).unwrap();
    let both = wait_until(PATIENCE, Duration::from_millis(5), || (bench.observer.answering().len() == 2).then_some(()));
    if both.is_none() {
        bench.fail("b does not go on alone");
    }
    bench.watch(ms(1000));
    let back = bench.cluster.lab.heal().unwrap();
    let one = wait_until(PATIENCE, Duration::from_millis(5), || (bench.observer.answering().len() == 1).then(now));
    let Some(stopped) = one else { bench.fail("both still answer after the heal") };
    let end = bench.watch(ms(1500));
    let split = bench.sample(from, end);
    let (winner, loser) = if bench.observer.answering() == ["a"] { ("a", "b") } else { ("b", "a") };
    // What the winner runs is not touched: each question to it was answered, as the observer's runs show.
    let runs: Vec<_> =
        split.owners.runs.iter().filter(|run| run.machine == winner && run.to > back && run.from < end).collect();
    if runs.len() != 1 || runs[0].from > back || runs[0].to < end - ms(20) {
        bench.fail(&format!("the winner {winner} did not answer all the time after the heal: {runs:?}"));
    }
    let reported = reported_ms(&bench, loser);
    if (reported as f64) < millis(split.owners.two) {
        bench.fail(&format!("{loser} reports {reported} ms, it was {:.0} ms", millis(split.owners.two)));
    }
    let after = bench.sample(stopped, end);
    // The client is on b's side of the split.
    let gap = Sample { owners: split.owners, ..bench.sample(from, back) };
    println!("split: two owners {:.0} ms, reported {reported} ms", millis(gap.owners.two));
    bench.says_nothing(&gap, DEADTIME + ms(100), u64::MAX);
    bench.says_nothing(&after, NONE, 0);
    save("11 all networks dropped, no tiebreaker (two owners reported)", DEADTIME + ms(100), &[gap], 0);
    save("12 the same, healed", NONE, &[after], 0);
}

/// The length that a node reports, in milliseconds.
fn reported_ms(bench: &Bench, name: &str) -> u64 {
    let found = wait_until(PATIENCE, Duration::from_millis(20), || {
        let output = bench.cluster.hearth(name, &["timeline", "--json"]).ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines = text.lines().filter(|line| line.contains("two-owners-possible"));
        lines.filter_map(|line| line.split(" ms").next()?.split(' ').next_back()?.parse().ok()).max()
    });
    found.unwrap_or_else(|| bench.fail(&format!("{name} reports no two owners")))
}

/// Section 5, `tiebreaker` ping: who reaches the target goes on, the other stops before.
#[test]
fn full_split_with_ping_tiebreaker() {
    row("13 all networks dropped, ping tiebreaker, owner cannot reach it", DEADTIME + ms(100), || {
        let bench = Bench::address(&format!("{PING}tiebreaker ping\n"));
        let from = bench.cluster.lab.silence("a", &Net::ALL, &Direction::BOTH).unwrap();
        bench.served_by("b", from);
        let to = bench.watch(ms(1000));
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}
