//! 50,000 packets a second that nobody should believe (R-WIRE-1, R-WIRE-4).

use crate::bench::{Bench, NONE, ms, row};
use hearth_lab::{Flood, Net, now};
use std::time::Duration;

const RATE: u64 = 50_000;
const SPAN: Duration = Duration::from_secs(10);

#[test]
fn forged_truncated_replayed() {
    row("32 50,000 forged, truncated, replayed packets a second for 10 s", NONE, || {
        let bench = Bench::address("");
        let before = resident(&bench);
        let from = now();
        let flood = Flood::start(&bench.cluster.lab, "a", Net::Heartbeat, RATE, SPAN).unwrap();
        bench.watch(SPAN.as_nanos() as u64 + ms(500));
        let flooded = flood.finish();
        let to = bench.watch(ms(500));
        let sample = bench.sample(from, to);
        println!("sent {flooded:?}; resident before {before} kB, after {} kB", resident(&bench));
        assert!(flooded.packets() >= RATE * SPAN.as_secs() * 9 / 10, "{flooded:?}");
        if resident(&bench) > before + 8 * 1024 {
            bench.fail(&format!("the daemon grew from {before} to {} kB", resident(&bench)));
        }
        bench.wait("a", "refused packets are counted", |status| {
            status.notes.iter().any(|note| note.contains("refused"))
        });
        if sample.owners.order() != ["a"] {
            bench.fail(&format!("a does not keep the address: {:?}", sample.owners));
        }
        (bench, sample)
    });
}

/// Resident kilobytes of the largest daemon process on a.
fn resident(bench: &Bench) -> u64 {
    let all = bench.cluster.lab.machine("a").unwrap().processes();
    let size = |pid: i32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        text.lines().find(|line| line.starts_with("VmRSS"))?.split_whitespace().nth(1)?.parse().ok()
    };
    all.iter().filter(|process| process.name == "hearthd").filter_map(|process| size(process.pid)).max().unwrap_or(0)
}
