//! A disk that is not what it was: an older copy that is put back, and damage (R-LEDGER-3, decision 0027).

use crate::bench::{Bench, DEADTIME, NONE, PATIENCE, UDP, ms, row};
use hearth_lab::{now, wait_until};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// What the state consists of; the recording beside it is nobody's state.
const FILES: [&str; 2] = ["state", "log"];

fn folder(bench: &Bench, name: &str, part: &str) -> PathBuf {
    let folder = bench.cluster.lab.room(name).join(part);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Copies the files of the state folder, as a backup does.
fn save(bench: &Bench, name: &str) {
    for file in FILES {
        fs::copy(folder(bench, name, "state").join(file), folder(bench, name, "saved").join(file)).unwrap();
    }
}

/// Puts the copies back.
fn restore(bench: &Bench, name: &str) {
    for file in FILES {
        fs::copy(folder(bench, name, "saved").join(file), folder(bench, name, "state").join(file)).unwrap();
    }
}

/// Switches a machine on again, and starts its daemon; the time right before that.
fn come_back(bench: &mut Bench, name: &str) -> u64 {
    bench.cluster.lab.power_on(name).unwrap();
    bench.observer.attach(&bench.cluster.lab, name).unwrap();
    bench.cluster.serve(name, UDP).unwrap();
    let at = now();
    bench.cluster.start(name).unwrap();
    at
}

/// Waits until a machine has told an event of that name.
fn told(bench: &Bench, name: &str, event: &str) {
    let found = wait_until(PATIENCE, Duration::from_millis(20), || {
        let timeline = bench.cluster.hearth(name, &["timeline", "--json"]).ok()?;
        let text = String::from_utf8_lossy(&timeline.stdout).into_owned();
        let mut events = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        events.any(|told| told["name"] == event).then_some(())
    });
    if found.is_none() {
        bench.fail(&format!("{name} does not tell {event}"));
    }
}

/// A pair with a copy of what `name` knew before the group went to `b` and back.
fn with_an_old_copy(name: &str) -> Bench {
    let bench = Bench::address("");
    save(&bench, name);
    bench.order("a", &["standby"]);
    bench.settled("b");
    bench.order("a", &["takeover"]);
    bench.settled("a");
    bench
}

/// Harm: a virtual machine that was reset to yesterday's snapshot votes with what is left of its memory.
#[test]
fn standby_node_put_back_to_an_older_copy() {
    row("50 standby node's disk put back to an older copy", NONE, || {
        let mut bench = with_an_old_copy("b");
        bench.cluster.lab.power_off("b").unwrap();
        restore(&bench, "b");
        let from = come_back(&mut bench, "b");
        told(&bench, "b", "state-rolled-back");
        told(&bench, "a", "node-rolled-back");
        bench.settled("a");
        let sample = bench.sample(from, now());
        (bench, sample)
    });
}

/// Harm: an owner whose backup was put back serves what the other machine has taken meanwhile.
#[test]
fn owner_put_back_to_an_older_copy() {
    row("51 owner's disk put back to an older copy while it was off", NONE, || {
        let mut bench = with_an_old_copy("a");
        let off = bench.cluster.lab.power_off("a").unwrap();
        restore(&bench, "a");
        bench.served_by("b", off);
        bench.watch(DEADTIME);
        let from = come_back(&mut bench, "a");
        told(&bench, "a", "state-rolled-back");
        told(&bench, "b", "node-rolled-back");
        bench.settled("b");
        let sample = bench.sample(from, now());
        (bench, sample)
    });
}

/// Harm: a machine whose state was damaged does not come back until somebody has read its log.
#[test]
fn standby_node_with_a_damaged_state() {
    row("52 standby node comes back with a damaged state", NONE, || {
        let mut bench = Bench::address("");
        bench.cluster.lab.power_off("b").unwrap();
        let state = folder(&bench, "b", "state");
        fs::OpenOptions::new().append(true).open(state.join("state")).unwrap().write_all(b"x").unwrap();
        let damaged = fs::read(state.join("state")).unwrap();
        let from = come_back(&mut bench, "b");
        bench.settled("a");
        let sample = bench.sample(from, bench.watch(ms(100)));
        assert_eq!(fs::read(state.join("damaged-1/state")).unwrap(), damaged);
        assert!(bench.cluster.log("b", 100).contains("is damaged"), "{}", bench.cluster.log("b", 100));
        (bench, sample)
    });
}
