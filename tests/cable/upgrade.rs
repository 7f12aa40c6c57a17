//! R-WIRE-6: a pair is upgraded one daemon after the other; one that is taken back stays out.

use crate::bench::{Bench, DEADTIME, NONE, row};
use hearth_lab::{Files, now};
use hearth_wire::NEWEST_VERSION;

const BEFORE: u8 = NEWEST_VERSION - 1;

/// As a hearthd of before the newest wire version.
fn held() -> String {
    format!("wire_version {BEFORE}\n")
}

/// Replaces the daemon while everything runs: its supervisor starts it again with the files as they are then.
fn replaced(bench: &Bench, name: &str, files: &Files) {
    bench.cluster.write(name, files).unwrap();
    bench.cluster.lab.kill_daemon(name, false).unwrap();
}

#[test]
fn one_after_the_other() {
    row("40 both daemons upgraded by one wire version, one after the other", NONE, || {
        let bench = Bench::address(&held());
        let files = Files { ha_cf: bench.files.ha_cf.replace(&held(), ""), ..bench.files.clone() };
        let version = |name: &str| bench.cluster.status(name).unwrap().wire;
        assert_eq!((version("a"), version("b")), (Some(BEFORE), Some(BEFORE)));
        let from = now();
        replaced(&bench, "b", &files);
        bench.wait("b", "it waits for the other node's upgrade", |status| {
            status.wire == Some(BEFORE) && status.notes.iter().any(|note| note.contains("as soon as a speaks it"))
        });
        bench.settled("a");
        assert_eq!((version("a"), version("b")), (Some(BEFORE), Some(BEFORE)));
        replaced(&bench, "a", &files);
        for name in ["a", "b"] {
            bench.wait(name, "the newest version is in use", |status| status.wire == Some(NEWEST_VERSION));
        }
        bench.settled("a");
        let to = bench.watch(2 * DEADTIME);
        let sample = bench.sample(from, to);
        if sample.owners.order() != ["a"] {
            bench.fail(&format!("a does not keep the address: {:?}", sample.owners));
        }
        (bench, sample)
    });
}

#[test]
fn taken_back() {
    row("41 standby node's daemon taken back by one wire version", NONE, || {
        let bench = Bench::address("");
        bench.wait("a", "the newest version is in use", |status| status.wire == Some(NEWEST_VERSION));
        let held = Files { ha_cf: bench.files.ha_cf.clone() + &held(), ..bench.files.clone() };
        let from = now();
        replaced(&bench, "b", &held);
        bench.wait("a", "b is refused by name", |status| {
            let reason = |name: &str| status.nodes.iter().find(|node| node.name == name)?.reason.clone();
            reason("b").is_some_and(|reason| {
                reason.contains(&format!("wire version {NEWEST_VERSION} is in use, it speaks up to {BEFORE}"))
            })
        });
        bench.wait("b", "it says why it stays out", |status| {
            let text = format!("the cluster uses wire version {NEWEST_VERSION}, this daemon speaks up to {BEFORE}");
            status.summary.contains(&text)
        });
        let to = bench.watch(4 * DEADTIME);
        let sample = bench.sample(from, to);
        if sample.owners.order() != ["a"] {
            bench.fail(&format!("a does not keep the address: {:?}", sample.owners));
        }
        for (name, words) in [("a", "b is refused"), ("b", "This node takes no part")] {
            if !bench.cluster.log(name, 200).contains(words) {
                bench.fail(&format!("the log of {name} does not say `{words}`"));
            }
        }
        // The way out, as the message says it: without a restart.
        bench.cluster.write("b", &bench.files).unwrap();
        bench.order("b", &["reload"]);
        bench.settled("a");
        (bench, sample)
    });
}
