//! The list of nodes changes while everything runs: daemons read it again, or are replaced one after the other and adopt what
//! they find.

use crate::bench::{ADDRESS_LINE, Bench, DEADTIME, NONE, UDP, ms, row};
use hearth_lab::{Files, Net};

fn naming(names: &[&str]) -> Files {
    let named = Some(names.iter().map(|name| (*name).to_owned()).collect());
    Files { haresources: ADDRESS_LINE.into(), named, ..Files::default() }
}

/// Waits until a machine says that exactly so many vote, and has nothing to say about ha.cf.
fn votes(bench: &Bench, name: &str, count: usize) {
    bench.wait(name, &format!("{count} vote"), |status| {
        let voters = status.epoch.as_ref().map(|epoch| epoch.voters.len());
        let quiet = !status.notes.iter().any(|note| note.contains("ha.cf"));
        voters == Some(count) && quiet && status.nodes.iter().all(|node| node.online)
    });
}

/// The daemon of a machine is killed, and its supervisor starts the next one, with the files of now.
fn replaced(bench: &Bench, name: &str) {
    let run = |bench: &Bench| bench.cluster.log(name, usize::MAX).matches("event=started ").count();
    let before = run(bench);
    bench.cluster.lab.kill_daemon(name, false).unwrap();
    bench.wait(name, "its next daemon takes part", |status| {
        run(bench) > before && status.nodes.iter().any(|node| node.local && node.online)
    });
    bench.watch(DEADTIME);
}

/// Decision 0047, R-LEAVE-2: a third machine is added, and the client and the network notice nothing.
#[test]
fn a_third_machine_is_added_without_a_gap() {
    row("51 a pair becomes three, daemons replaced", NONE, || {
        let bench = Bench::of(&["a", "b", "c"], naming(&["a", "b"]), UDP);
        ["a", "b"].into_iter().for_each(|name| bench.cluster.start(name).unwrap());
        ["a", "b"].into_iter().for_each(|name| votes(&bench, name, 2));
        let runs = |status: &hearth_control::Status| status.groups.iter().all(|group| group.state == "started");
        let status = bench.wait("a", "something runs", runs);
        if status.groups[0].node.as_deref() != Some("a") {
            bench.order("a", &["takeover"]);
        }
        bench.wait("a", "a owns the address", |status| runs(status) && status.groups[0].node.as_deref() == Some("a"));
        bench.watch(ms(1000));
        let from = hearth_lab::now();
        for name in ["a", "b", "c"] {
            bench.cluster.write(name, &naming(&["a", "b", "c"])).unwrap();
        }
        replaced(&bench, "a");
        bench.wait("a", "it says that c is not agreed yet", |status| {
            status.notes.iter().any(|note| note.contains("ha.cf here names c, not agreed yet"))
        });
        replaced(&bench, "b");
        bench.cluster.start("c").unwrap();
        ["a", "b", "c"].into_iter().for_each(|name| votes(&bench, name, 3));
        let to = bench.watch(DEADTIME);
        let sample = bench.sample(from, to);
        if sample.owners.order() != ["a"] {
            bench.fail(&format!("a does not keep the address: {:?}", sample.owners));
        }
        (bench, sample)
    });
}

/// Decision 0058, R-JOIN-3, R-LEDGER-4: three machines become four and three again, and the client notices nothing.
#[test]
fn a_fourth_machine_comes_and_goes_without_a_gap() {
    row("51b three become four and three again, by one order each", NONE, || {
        let bench = Bench::of(&["a", "b", "c", "d"], naming(&["a", "b", "c"]), UDP);
        ["a", "b", "c"].into_iter().for_each(|name| bench.cluster.start(name).unwrap());
        ["a", "b", "c"].into_iter().for_each(|name| votes(&bench, name, 3));
        let runs = |status: &hearth_control::Status| status.groups.iter().all(|group| group.state == "started");
        let status = bench.wait("a", "something runs", runs);
        if status.groups[0].node.as_deref() != Some("a") {
            bench.order("a", &["takeover"]);
        }
        bench.wait("a", "a owns the address", |status| runs(status) && status.groups[0].node.as_deref() == Some("a"));
        bench.watch(ms(1000));
        let from = hearth_lab::now();
        let address =
            |net: Net| format!("--ucast={}={}", net.interface(), bench.cluster.lab.address("d", net).unwrap());
        let words: Vec<String> =
            ["node", "add", "d"].map(str::to_owned).into_iter().chain(Net::ALL.map(address)).collect();
        bench.order("b", &words.iter().map(String::as_str).collect::<Vec<_>>());
        bench.cluster.write("d", &naming(&["a", "b", "c", "d"])).unwrap();
        bench.cluster.start("d").unwrap();
        ["a", "b", "c", "d"].into_iter().for_each(|name| votes(&bench, name, 4));
        bench.watch(DEADTIME);
        for name in ["a", "b", "c"] {
            bench.cluster.write(name, &naming(&["a", "b", "c"])).unwrap();
        }
        let refused = bench.cluster.hearth("a", &["reload"]).unwrap();
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        if refused.status.success() || !words.contains("d is taken out, and it is heard") {
            bench.fail(&format!("a machine that takes part is taken out: {words}"));
        }
        for name in ["a", "b", "c"] {
            bench.cluster.write(name, &naming(&["a", "b", "c", "d"])).unwrap();
        }
        bench.order("b", &["node", "remove", "d"]);
        // What a restart reads is what runs.
        ["a", "c"].into_iter().for_each(|name| replaced(&bench, name));
        ["a", "b", "c"].into_iter().for_each(|name| votes(&bench, name, 3));
        let to = bench.watch(DEADTIME);
        let sample = bench.sample(from, to);
        if sample.owners.order() != ["a"] {
            bench.fail(&format!("a does not keep the address: {:?}", sample.owners));
        }
        (bench, sample)
    });
}
