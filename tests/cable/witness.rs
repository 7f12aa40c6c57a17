//! Two machines and a witness: a majority as of three, and nothing ever runs on the third.

use crate::bench::{ADDRESS, Bench, DEADTIME, LEASE, NONE, Sample, ms, row};
use crate::three::{taken_over, trio};
use hearth_lab::{AddressWatch, ChangeKind, Direction, Files, Net};

/// One fault, from two nodes that are quiet on: what a client feels, and that the witness, `c`, has had nothing.
fn beside_a_witness(fault: &str, bound: u64, mut happens: impl FnMut(&mut Bench) -> Sample) {
    row(fault, bound, || {
        let mut bench = trio(Some("c"), "");
        let watch = AddressWatch::start(bench.cluster.lab.machine("c").unwrap()).unwrap();
        let sample = happens(&mut bench);
        nothing_ran_on_the_witness(&bench, &watch);
        (bench, sample)
    });
}

/// R-LEDGER-2: neither its kernel nor its daemon nor anybody on the network has seen the address there, and it has no gate.
fn nothing_ran_on_the_witness(bench: &Bench, watch: &AddressWatch) {
    let had =
        watch.changes(0).into_iter().any(|change| change.kind == ChangeKind::Present && change.address == ADDRESS);
    let answered = bench.observer.owners(0, hearth_lab::now()).order().contains(&"c");
    let log = bench.cluster.log("c", usize::MAX);
    let started = log.lines().find(|line| line.contains("10.77.0.50/24/eth0: start"));
    if had || answered || started.is_some() {
        bench.fail(&format!("the witness had the address: kernel {had}, network {answered}, log {started:?}"));
    }
    if let Ok(machine) = bench.cluster.lab.machine("c") {
        let tables = machine.run(&["nft", "list", "tables"]).unwrap();
        if tables.contains("netdev") {
            bench.fail(&format!("the witness has a gate: {tables}"));
        }
    }
}

/// Nobody but `a` answered, and nobody has moved anything.
fn keeps(bench: &Bench, sample: &Sample) {
    if sample.owners.order() != ["a"] {
        bench.fail(&format!("a does not keep the address: {:?}", sample.owners));
    }
}

/// R-LEASE-4, R-LEDGER-4
#[test]
fn owner_beside_a_witness_off() {
    beside_a_witness("48 power off, two nodes and a witness", DEADTIME + ms(100), |bench| {
        let from = bench.cluster.lab.power_off("a").unwrap();
        taken_over(bench, from);
        bench.served_by("b", from);
        let to = bench.watch(ms(500));
        bench.sample(from, to)
    });
}

/// The two others stay a majority; the owner stops what it holds before they start it.
#[test]
fn owner_cut_off_from_node_and_witness() {
    beside_a_witness("49 owner cut off from node and witness", DEADTIME + ms(100), |bench| {
        let from = bench.cluster.lab.silence("a", &Net::ALL, &Direction::BOTH).unwrap();
        taken_over(bench, from);
        bench.served_by("b", from);
        let to = bench.watch(ms(500));
        bench.sample(from, to)
    });
}

/// The nodes do not hear each other and both hear the witness: the owner keeps what it has, and the other takes nothing.
#[test]
fn nodes_parted_before_a_witness() {
    beside_a_witness("49a nodes cut from each other, both hear the witness", NONE, |bench| {
        let from = bench.cluster.lab.part("a", "b").unwrap();
        for (name, other) in [("a", "b"), ("b", "a")] {
            bench.wait(name, "the nodes do not hear each other", |status| {
                let down = |view: &hearth_control::NodeView| view.links.iter().all(|link| link.state != "up");
                status.nodes.iter().any(|view| view.name == other && down(view))
            });
        }
        let to = bench.watch(3 * DEADTIME);
        let sample = bench.sample(from, to);
        keeps(bench, &sample);
        sample
    });
}

/// Two nodes without their witness are a majority of the three: nothing is felt, and orders are carried out.
#[test]
fn witness_off() {
    beside_a_witness("49b witness off", NONE, |bench| {
        let from = bench.cluster.lab.power_off("c").unwrap();
        bench.wait("a", "the witness counts as lost", |status| {
            status.nodes.iter().any(|node| node.name == "c" && !node.online)
        });
        let to = bench.watch(3 * DEADTIME);
        let sample = bench.sample(from, to);
        keeps(bench, &sample);
        let from = bench.order("a", &["standby"]);
        bench.served_by("b", from);
        let to = bench.watch(ms(500));
        let owners = bench.sample(from, to).owners;
        if owners.two > 0 || owners.order().last() != Some(&"b") {
            bench.fail(&format!("a standby without the witness: {owners:?}"));
        }
        sample
    });
}

/// R-LEASE-8, R-LEASE-11: the record calls it a node and its own file, read at its start, a witness: what it is given stands
/// behind no gate, so nobody takes that before the address has ended by itself, also where
/// nobody asks the wire first.
#[test]
fn an_owner_that_started_as_a_witness_says_that_it_has_no_gate() {
    row("49c owner frozen that started as a witness", LEASE + ms(1000) + ms(1200), || {
        let bench = trio(Some("c"), "wire_check no\n");
        for name in ["a", "b"] {
            bench.cluster.write(name, &Files { witness: None, ..bench.files.clone() }).unwrap();
            bench.order(name, &["reload"]);
        }
        let from = bench.order("c", &["takeover"]);
        bench.served_by("c", from);
        bench.settled("c");
        let tables = bench.cluster.lab.machine("c").unwrap().run(&["nft", "list", "tables"]).unwrap();
        assert!(!tables.contains("netdev"), "it has a gate: nothing is shown here");
        let gates: Vec<_> = bench.cluster.status("c").unwrap().resources.into_iter().map(|it| it.gate).collect();
        assert_eq!(gates, [Some("off".to_owned())]);
        let from = bench.cluster.lab.freeze("c").unwrap();
        let status = bench.wait("a", "another machine owns the address", |status| {
            status.groups.iter().all(|group| group.state == "started" && group.node.as_deref() != Some("c"))
        });
        bench.served_by(status.groups[0].node.as_deref().unwrap_or_default(), from);
        bench.cluster.lab.thaw("c").unwrap();
        let to = bench.watch(ms(1000));
        let sample = bench.sample(from, to);
        if sample.gap < ms(1000) {
            bench.fail("the address was taken before it had ended by itself");
        }
        (bench, sample)
    });
}

/// The owner becomes a witness by a reload: it stops what it has before another starts that; and a node again, with a gate.
#[test]
fn owner_made_a_witness_and_a_node_again() {
    row("49d owner made a witness by a reload, and a node again", ms(100), || {
        let bench = trio(None, "");
        let reload = |witness: Option<&str>| {
            let files = Files { witness: witness.map(str::to_owned), ..bench.files.clone() };
            for name in ["c", "a", "b"] {
                bench.cluster.write(name, &files).unwrap();
                bench.order(name, &["reload"]);
                bench.watch(ms(100));
            }
        };
        let from = bench.order("c", &["takeover"]);
        bench.served_by("c", from);
        reload(Some("c"));
        bench.served_by("a", from);
        reload(None);
        let again = bench.order("c", &["takeover"]);
        bench.served_by("c", again);
        let to = bench.watch(DEADTIME);
        let tables = bench.cluster.lab.machine("c").unwrap().run(&["nft", "list", "tables"]).unwrap();
        let sample = bench.sample(from, to);
        if !tables.contains("netdev") || sample.owners.order() != ["a", "c", "a", "c"] {
            bench.fail(&format!("{tables}: {:?}", sample.owners));
        }
        (bench, sample)
    });
}

/// What a careless hand asks of a witness harms nobody, and is refused with what is so and the way out.
#[test]
fn a_witness_that_is_told_to_take_over_says_that_it_is_one() {
    let bench = trio(Some("c"), "");
    let from = hearth_lab::now();
    let (machine, old) = (bench.cluster.lab.machine("c").unwrap(), "/mnt/hb_takeover");
    let link = bench.cluster.lab.room("c").join("hb_takeover");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hearth"), link).unwrap();
    let answers = [
        bench.cluster.hearth("c", &["takeover"]).unwrap(),
        machine.command(std::path::Path::new(old)).arg("all").output().unwrap(),
    ];
    for output in answers {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let wanted = ["c is a witness and runs nothing", "on one of: a, b"];
        if output.status.success() || !wanted.iter().all(|words| said.contains(words)) {
            bench.fail(&format!("{}: {said}", output.status));
        }
    }
    let to = bench.watch(ms(200));
    keeps(&bench, &bench.sample(from, to));
}
