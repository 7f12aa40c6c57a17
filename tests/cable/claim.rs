//! A pair with a disk between them on which one of two claims to go on alone: a file that both reach and no cache stands
//! before.

use crate::bench::{Bench, UDP, ms};
use crate::pill::{disk, hearth_disk, make};
use hearth_lab::{Direction, Files, Net};
use std::path::Path;

/// deadtime 1 s, 1.05 leases of 800 ms, 100 ms to decide and begin, and as much for the disk and each look at it.
const TAKEN_WITHIN: u64 = ms(1000 + 840 + 100 + 300);

/// The address on `a`; both have tried the disk.
fn bench() -> Bench {
    let mut files = Files { haresources: "a 10.77.0.50/24/eth0\n".into(), ..Files::default() };
    let bench = Bench::cold(files.clone(), UDP);
    let path = disk(&bench);
    make(&path);
    let said = hearth_disk(&["init", "a", "b"], &path);
    assert!(said.starts_with("0 "), "{said}");
    files.ha_cf =
        format!("keepalive 100ms\ndeadtime 1s\nwarntime 500ms\ninitdead 3s\ntiebreaker disk {}\n", path.display());
    for name in ["a", "b"] {
        bench.cluster.write(name, &files).unwrap();
    }
    let mut bench = bench;
    bench.files = files;
    bench.warm()
}

/// What stands on the disk of that node.
fn claim_of(path: &Path, name: &str) -> String {
    let said = hearth_disk(&["show"], path);
    let line = said.lines().find(|line| line.contains(&format!(": {name} "))).map(str::to_owned);
    line.unwrap_or(said)
}

/// Decision 0064: in a full split the owner claims before its lease has ended and goes on without a gap; the other one does
/// not. Healed, the claim is given back, so that the death of the owner is one like any other: deadtime, and a lease more.
#[test]
fn in_a_full_split_the_owner_goes_on_by_its_claim_and_when_it_dies_the_other_one_does() {
    let mut bench = bench();
    let from = bench.cluster.lab.silence("a", &Net::ALL, &Direction::BOTH).unwrap();
    bench.wait("a", "it goes on alone", |status| {
        status.epoch.as_ref().is_some_and(|epoch| epoch.permit.as_deref() == Some("tiebreaker"))
    });
    bench.wait("b", "it says that the other one is favoured", |status| {
        status.notes.iter().any(|note| note.ends_with("favours a."))
    });
    let to = bench.watch(ms(1500));
    // The client is cut off with it: what counts is who would answer there.
    let split = bench.sample(from, to);
    assert_eq!((split.owners.order(), split.owners.two), (vec!["a"], 0), "somebody else answered, or nobody");
    let starts = bench.cluster.log("a", 200).matches("event=resource-started").count();
    assert!(starts == 1 || split.stalled > ms(50), "the owner stopped for a moment: {starts} starts");
    assert!(claim_of(&disk(&bench), "a").contains("for a"), "{}", claim_of(&disk(&bench), "a"));
    bench.cluster.lab.heal().unwrap();
    bench.settled("a");
    bench.wait("a", "both vote again", |status| status.epoch.as_ref().is_some_and(|epoch| epoch.voters.len() == 2));
    let given_back = hearth_lab::wait_until(crate::bench::PATIENCE, std::time::Duration::from_millis(50), || {
        claim_of(&disk(&bench), "a").contains("for nobody").then_some(())
    });
    assert!(given_back.is_some(), "{}", claim_of(&disk(&bench), "a"));
    let from = hearth_lab::now();
    bench.cluster.lab.power_off("a").unwrap();
    let taken = bench.served_by("b", from);
    let to = bench.watch(ms(500));
    println!("taken over after {} ms", (taken - from) / 1_000_000);
    bench.says_nothing(&bench.sample(from, to), TAKEN_WITHIN, 0);
}

/// R-PAIR-1: a disk that hangs or fails favours nobody, and takes nothing from two that hear each other.
#[test]
fn a_claim_that_cannot_be_made_stops_both_in_a_full_split_and_nobody_before() {
    let bench = bench();
    let from = bench.watch(0);
    std::fs::File::options().write(true).open(disk(&bench)).unwrap().set_len(0).unwrap();
    for name in ["a", "b"] {
        bench.wait(name, "it says that the disk cannot be used", |status| {
            status.notes.iter().any(|note| note.contains("cannot be used"))
        });
    }
    let together = bench.sample(from, bench.watch(ms(2000)));
    assert_eq!((together.owners.two, together.owners.order()), (0, vec!["a"]), "somebody gave it up");
    let from = bench.cluster.lab.silence("a", &Net::ALL, &Direction::BOTH).unwrap();
    let apart = bench.sample(from + ms(1500), bench.watch(ms(4000)));
    assert_eq!(apart.owners.order(), Vec::<&str>::new(), "somebody goes on by a disk that does not answer");
    bench.cluster.lab.heal().unwrap();
    bench.settled("a");
}
