//! Five machines and more: a majority goes on, a minority stops first, and nobody else is touched.

use crate::bench::{ADDRESS_LINE, Bench, DEADTIME, NONE, PATIENCE, UDP, alone, ms, programs, row};
use hearth_control::Status;
use hearth_lab::{Cluster, Direction, Files, Net, now, wait_until};
use std::path::Path;
use std::time::Duration;

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

/// R-LEDGER-2, R-LEDGER-4: 32 daemons on this one machine form a cluster of which seven vote, lose eleven at once, three of
/// the voters among them, and settle. What is decided is judged, not how fast.
#[test]
fn thirty_two_lose_a_third() {
    const LONG: Duration = Duration::from_secs(120);
    let _alone = alone();
    let names: Vec<String> = (0..32).map(|number| format!("n{number:02}")).collect();
    let machines: Vec<&str> = names.iter().map(String::as_str).collect();
    let files = Files {
        ha_cf: "keepalive 1s\ndeadtime 10s\nwarntime 5s\ninitdead 30s\nbcast eth0\n".into(),
        nets: Vec::new(),
        haresources: "n01 10.77.0.50/24/eth0\nn20 10.77.0.51/24/eth0\nn31 10.77.0.52/24/eth0\n".into(),
        ..Files::default()
    };
    let disk = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut cluster = Cluster::new(&programs(), disk, &machines, &files).unwrap();
    names.iter().for_each(|name| cluster.start(name).unwrap());
    let runs = |status: &Status| status.groups.len() == 3 && status.groups.iter().all(|it| it.state == "started");
    let all = |status: &Status| runs(status) && status.nodes.iter().all(|node| node.online);
    let formed = cluster.wait("n31", LONG, "all 32 take part", all).unwrap();
    assert_eq!(formed.epoch.map(|epoch| epoch.voters.len()), Some(7));
    let lost = ["n00", "n01", "n02", "n10", "n11", "n12", "n13", "n20", "n21", "n22", "n23"];
    lost.iter().for_each(|name| _ = cluster.lab.power_off(name).unwrap());
    let settled = |status: &Status| {
        let online = status.nodes.iter().filter(|node| node.online).count();
        let lost_votes = status.epoch.iter().flat_map(|epoch| &epoch.voters).filter(|it| lost.contains(&it.as_str()));
        let off = |node: &Option<String>| node.as_ref().is_none_or(|node| lost.contains(&node.as_str()));
        runs(status) && online == 21 && lost_votes.count() == 0 && !status.groups.iter().any(|it| off(&it.node))
    };
    let status = cluster.wait("n31", LONG, "the others have taken over and vote", settled).unwrap();
    assert_eq!(status.epoch.map(|epoch| epoch.voters.len()), Some(7));
    for name in names.iter().filter(|name| !lost.contains(&name.as_str())) {
        let same = wait_until(PATIENCE, Duration::from_millis(200), || cluster.status(name).ok().filter(settled));
        assert!(same.is_some(), "{name} says something else");
    }
}
