//! Five machines: a majority goes on, a minority stops first, and nobody else is touched.

use crate::bench::{ADDRESS_LINE, Bench, DEADTIME, NONE, UDP, ms, row};
use hearth_lab::{Direction, Files, Net, now};

fn five() -> Bench {
    let files = Files { haresources: ADDRESS_LINE.into(), ..Files::default() };
    Bench::of(&["a", "b", "c", "d", "e"], files, UDP).warm()
}

/// Waits until a machine that is none of these answers the client.
fn taken_over(bench: &Bench, from: u64, gone: [&str; 2]) {
    let status = bench.wait("e", "another machine owns the address", |status| {
        let elsewhere = |node: &String| !gone.contains(&node.as_str());
        status.groups.iter().all(|group| group.state == "started" && group.node.as_ref().is_some_and(elsewhere))
    });
    let owner = status.groups.first().and_then(|group| group.node.clone()).unwrap_or_default();
    bench.served_by(&owner, from);
}

/// R-LEASE-4, R-LEDGER-4: the owner and the DC, or another one, lose power at once.
#[test]
fn two_of_five_off_at_once() {
    row("45 two of five off at once, the owner among them", DEADTIME + ms(100), || {
        let mut bench = five();
        let dc = bench.wait("e", "somebody leads", |status| status.dc.is_some()).dc.unwrap_or_default();
        let other = if ["a", "e"].contains(&dc.as_str()) { "b".to_owned() } else { dc };
        bench.cluster.lab.power_off(&other).unwrap();
        let from = bench.cluster.lab.power_off("a").unwrap();
        taken_over(&bench, from, ["a", &other]);
        let to = bench.watch(ms(500));
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// Section 8, 3: a minority of two, the owner among them, stops what it holds before the majority starts it.
#[test]
fn two_of_five_cut_off() {
    row("46 the owner and another cut off from three", DEADTIME + ms(100), || {
        let bench = five();
        bench.cluster.lab.silence("b", &Net::ALL, &[Direction::In, Direction::Out]).unwrap();
        let from = bench.cluster.lab.silence("a", &Net::ALL, &[Direction::In, Direction::Out]).unwrap();
        taken_over(&bench, from, ["a", "b"]);
        let to = bench.watch(ms(500));
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// R-LEAVE-2: all daemons are replaced, one after the other, and the client notices nothing.
#[test]
fn all_daemons_of_five_restarted() {
    row("47 rolling restart of all five daemons", NONE, || {
        let bench = five();
        let from = now();
        for name in bench.cluster.lab.names() {
            bench.cluster.lab.kill_daemon(&name, false).unwrap();
            bench.wait(&name, "it takes part again, and hears all", |status| {
                status.quorum && status.nodes.iter().all(|node| node.online && node.state == "active")
            });
        }
        let to = bench.watch(ms(500));
        let sample = bench.sample(from, to);
        if sample.owners.order() != ["a"] {
            bench.fail(&format!("a does not keep the address: {:?}", sample.owners));
        }
        (bench, sample)
    });
}
