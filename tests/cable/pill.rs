//! A pair with a disk between them: a file that both reach and no cache stands before. No machine here has a watchdog, so
//! what nobody resets is reset by the test.

use crate::bench::{Bench, PATIENCE, WEB_UDP, ms, programs};
use hearth_lab::{Cluster, Direction, Files, Net, wait_until};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Patience follows: 3.7 s.
const LINES: &str = "watchdog /dev/watchdog 2s\ntimeout fence 9s\n";

pub fn disk(bench: &Bench) -> PathBuf {
    bench.cluster.lab.disk().join("shared")
}

/// `hearth disk ...` on this machine; what it printed.
pub fn hearth_disk(words: &[&str], path: &Path) -> String {
    let output =
        Command::new(programs().hearth).arg("disk").arg(words[0]).arg(path).args(&words[1..]).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    format!("{} {}", output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said))
}

pub fn make(path: &Path) {
    std::fs::File::create(path).unwrap().set_len(1 << 20).unwrap();
}

/// The address and a service as one group on `a`; both look at their slots.
fn bench() -> Bench {
    let script = Cluster::service_script(&programs().helper, WEB_UDP, 80);
    let mut files = Files { haresources: "a 10.77.0.50/24/eth0 web\n".into(), ..Files::default() };
    files.scripts.push(("web".into(), script));
    let mut bench = Bench::cold(files.clone(), WEB_UDP);
    let path = disk(&bench);
    make(&path);
    let said = hearth_disk(&["init", "a", "b"], &path);
    assert!(said.starts_with("0 "), "{said}");
    files.ha_cf.push_str(&format!("{LINES}stonith disk {}\n", path.display()));
    for name in ["a", "b"] {
        bench.cluster.write(name, &files).unwrap();
    }
    bench.files = files;
    let bench = bench.warm();
    looked(&bench, "a");
    looked(&bench, "b");
    bench
}

/// Waits until `hearth disk show` says that `name` looks, and has no pill.
fn looked(bench: &Bench, name: &str) {
    let path = disk(bench);
    let found = wait_until(PATIENCE, Duration::from_millis(50), || {
        let said = hearth_disk(&["show"], &path);
        said.lines().any(|line| line.contains(&format!(": {name} looked ")) && !line.contains("PILL")).then_some(())
    });
    if found.is_none() {
        bench.fail(&format!("{name} does not look: {}", hearth_disk(&["show"], &path)));
    }
}

/// Decision 0055, R-PAIR-2: in a full split the owner goes first; the other one finds its pill, and nothing counts before
/// it has been reset. After its boot it is not reset again.
#[test]
fn in_a_full_split_one_of_two_is_told_to_end_itself_and_the_owner_goes_on() {
    let mut bench = bench();
    let from = bench.cluster.lab.silence("a", &Net::ALL, &Direction::BOTH).unwrap();
    bench.wait("b", "it says that it has a pill", |status| {
        status.notes.iter().any(|note| note.contains("a has told this machine to end itself"))
    });
    assert!(hearth_disk(&["show"], &disk(&bench)).contains("A PILL of a"), "no pill is shown");
    let status = bench.cluster.status("a").unwrap();
    assert_eq!(status.epoch.unwrap().voters.len(), 2, "a goes on by a pill that nobody has proven");
    bench.cluster.lab.power_off("b").unwrap();
    bench.cluster.lab.power_on("b").unwrap();
    bench.observer.attach(&bench.cluster.lab, "b").unwrap();
    bench.cluster.start("b").unwrap();
    bench.wait("a", "it goes on alone", |status| {
        status.epoch.as_ref().is_some_and(|epoch| epoch.permit.as_deref() == Some("fenced"))
    });
    looked(&bench, "b");
    let to = bench.watch(ms(500));
    assert_eq!(bench.sample(from, to).owners.two, 0, "two owners");
    bench.cluster.lab.heal().unwrap();
    bench.settled("a");
}

/// Decision 0055: a disk that fails takes nothing from two that hear each other.
#[test]
fn a_shared_disk_that_fails_takes_nothing_from_a_healthy_pair() {
    let bench = bench();
    let from = bench.watch(0);
    std::fs::File::options().write(true).open(disk(&bench)).unwrap().set_len(0).unwrap();
    for name in ["a", "b"] {
        bench.wait(name, "it says that its slot cannot be used", |status| {
            status.notes.iter().any(|note| note.contains("The slot of this machine on"))
        });
    }
    // Longer than a machine that nobody vouches for would bear it.
    let to = bench.watch(ms(5000));
    let sample = bench.sample(from, to);
    assert_eq!((sample.owners.two, sample.owners.order()), (0, vec!["a"]), "somebody gave it up");
    make(&disk(&bench));
    let again = hearth_disk(&["init", "a", "b"], &disk(&bench));
    assert!(again.starts_with("0 "), "{again}");
    looked(&bench, "a");
    let refused = hearth_disk(&["init", "a", "b"], &disk(&bench));
    assert!(refused.starts_with("2 ") && refused.contains("holds slots of hearth already"), "{refused}");
    bench.settled("a");
}
