//! The wall clock of both nodes is stepped a day either way (R-LEASE-9).
//!
//! No namespace has a wall clock of its own, and this machine's is not ours to set: the daemons are started with a small
//! library (wallclock.c) that lets them see another one.  The kernel's receive stamps stay as they are, so that they
//! disagree by a day with what the daemon reads, which is worse than a real step.

use crate::bench::{ADDRESS_LINE, Bench, DEADTIME, NONE, UDP, row};
use hearth_lab::{Files, now};
use std::process::Command;

const DAY: i64 = 86_400;

#[test]
fn stepped() {
    row("26 wall clock stepped a day forward, then two days back", NONE, || {
        let files = Files { haresources: ADDRESS_LINE.into(), ..Files::default() };
        let mut bench = Bench::cold(files, UDP);
        let library = bench.cluster.lab.disk().join("wallclock.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cable/wallclock.c");
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        bench.cluster.set_variable("LD_PRELOAD", library.to_str().unwrap().into());
        bench.cluster.set_variable("LAB_WALL_CLOCK", "/mnt/wall".into());
        let bench = bench.warm();
        let before = bench.cluster.status("a").unwrap().wall_ms;
        let from = now();
        for step in [DAY, -DAY] {
            for name in ["a", "b"] {
                std::fs::write(bench.cluster.lab.room(name).join("wall"), step.to_string()).unwrap();
            }
            bench.watch(2 * DEADTIME);
            // The step is real to them: what they show as time of day has moved.
            let seen = bench.cluster.status("a").unwrap().wall_ms.cast_signed() - before.cast_signed();
            assert!((seen - step * 1000).abs() < 60_000, "the daemon sees a step of {seen} ms");
        }
        let to = bench.watch(DEADTIME);
        let sample = bench.sample(from, to);
        if sample.owners.order() != ["a"] {
            bench.fail(&format!("a does not keep the address: {:?}", sample.owners));
        }
        (bench, sample)
    });
}
