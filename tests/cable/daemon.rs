//! The daemon of the owner dies, or somebody takes its gate away.

use crate::bench::{Bench, DEADTIME, NONE, PATIENCE, ms, row};
use hearth_lab::{now, wait_until};
use std::time::Duration;

/// R-LEAVE-2, R-TAKE-4: the lease bridges the restart, and what runs is adopted.
#[test]
fn killed_and_restarted() {
    row("14 kill -9 of the daemon, restarted by its supervisor", NONE, || {
        let bench = Bench::address("");
        let old = daemons(&bench);
        let from = bench.cluster.lab.kill_daemon("a", false).unwrap();
        let again = wait_until(PATIENCE, Duration::from_millis(1), || {
            let running = daemons(&bench);
            (running.len() == 2 && running != old).then(now)
        });
        match again {
            Some(at) if at - from <= ms(200) + bench.stalls.total(from, at) => {}
            other => bench.fail(&format!("not restarted within 200 ms: {:?}", other.map(|at| at - from))),
        }
        let to = bench.watch(3 * DEADTIME);
        let sample = bench.sample(from, to);
        if sample.owners.order() != ["a"] {
            bench.fail(&format!("a does not keep the address: {:?}", sample.owners));
        }
        (bench, sample)
    });
}

fn daemons(bench: &Bench) -> Vec<i32> {
    let all = bench.cluster.lab.machine("a").unwrap().processes();
    let mut ids: Vec<i32> = all.iter().filter(|process| process.name == "hearthd").map(|process| process.pid).collect();
    ids.sort_unstable();
    ids
}

/// R-LEASE-8: nobody renews the gate, so the kernel shuts it at lease end.
#[test]
fn killed_for_good() {
    row("16 kill -9 of daemon and supervisor, never restarted", DEADTIME + ms(100), || {
        let bench = Bench::address("");
        let from = bench.cluster.lab.kill_daemon("a", true).unwrap();
        bench.served_by("b", from);
        let to = bench.watch(ms(1500));
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// R-TAKE-1: the group's service still runs on a machine whose kernel answers; under `tiebreaker` ping nothing clears it,
/// and it is shown as what it is.
#[test]
fn killed_for_good_with_a_service() {
    let bench = Bench::group("ping 10.77.0.1\ndeadping 500ms\ntiebreaker ping\n");
    let from = bench.cluster.lab.kill_daemon("a", true).unwrap();
    bench.wait("b", "a is dead, and its service may be active there", |status| {
        let web = status.resources.iter().find(|resource| resource.id.contains("web"));
        status.nodes.iter().any(|node| node.name == "a" && !node.online)
            && web.is_some_and(|web| web.may_be_active.iter().any(|node| node == "a"))
    });
    let owners = bench.observer.owners(from, bench.watch(3 * DEADTIME));
    assert_eq!(owners.two, 0, "{owners:?}");
}

/// R-LEASE-13: the gate outlives a flush of the rule set, on the owner and on the standby.
#[test]
fn rule_set_flushed() {
    row("15 nft flush ruleset on owner and standby", NONE, || {
        let bench = Bench::address("");
        let from = now();
        for name in ["a", "b"] {
            // It complains where a table belongs to somebody else, which is the point.
            let flushed = bench.cluster.lab.machine(name).unwrap().run(&["nft", "flush", "ruleset"]);
            println!("flush on {name}: {flushed:?}");
        }
        let to = bench.watch(3 * DEADTIME);
        for name in ["a", "b"] {
            let tables = bench.cluster.lab.machine(name).unwrap().run(&["nft", "list", "tables"]).unwrap();
            if !tables.contains("netdev") {
                bench.fail(&format!("{name} has no gate any more: {tables}"));
            }
        }
        let sample = bench.sample(from, to);
        // An address that somebody configures on the standby by mistake answers nobody.
        bench.cluster.lab.machine("b").unwrap().run(&["ip", "addr", "add", "10.77.0.50/32", "dev", "eth0"]).unwrap();
        let end = bench.watch(ms(300));
        let owners = bench.observer.owners(from, end);
        if owners.two > 0 {
            bench.fail(&format!("the standby answers: {owners:?}"));
        }
        (bench, sample)
    });
}
