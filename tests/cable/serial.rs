//! Pairs with a serial line, the only link or the last one (R-WIRE-7, R-WIRE-8).

use crate::bench::{ADDRESS_LINE, Bench, NONE, Sample, UDP, ms, row, save};
use hearth_control::Status;
use hearth_lab::{Files, Line, Net, now};
use std::time::Duration;

/// Bits per second: a heartbeat takes 25 ms, a quarter of the keepalive; what the record needs has the rest.
const BAUD: u32 = 115_200;
const TIMES: &str = "keepalive 100ms\nwarntime 400ms\ndeadtime 1s\ninitdead 3s\n";
/// That of [`TIMES`].
const DEADTIME: u64 = ms(1000);
/// What may be felt of a planned move whose every step is agreed over the line.
const MOVE: u64 = ms(500);
/// Chains on both machines that take away every heartbeat that comes by UDP.
const NO_UDP: &str = "add table inet cut; add chain inet cut in { type filter hook input priority 0; }; \
                      add rule inet cut in udp dport 694 drop";

fn cold(nets: &[Net], times: &str, baud: u32) -> (Bench, Line) {
    let ha_cf = format!("{times}baud {baud}\nserial {}\n", Line::DEVICE);
    let files = Files { ha_cf, haresources: ADDRESS_LINE.into(), nets: nets.into(), ..Files::default() };
    let bench = Bench::cold(files, UDP);
    let line = Line::lay(&bench.cluster.lab, ["a", "b"], baud).unwrap();
    (bench, line)
}

fn bench(nets: &[Net]) -> (Bench, Line) {
    let (bench, line) = cold(nets, TIMES, BAUD);
    (bench.warm(), line)
}

/// Whether `local` and its peer are one cluster, and exactly the links that `wanted` picks by name are up.
fn linked(status: &Status, wanted: impl Fn(&str) -> bool) -> bool {
    status.nodes.iter().all(|node| node.online && !node.unclean)
        && status
            .nodes
            .iter()
            .filter(|node| !node.local)
            .flat_map(|node| &node.links)
            .all(|link| (link.state == "up") == wanted(&link.name))
}

/// Both nodes see their cluster whole over the line.
fn whole(bench: &Bench) {
    for name in ["a", "b"] {
        let status = bench.cluster.status(name).unwrap();
        let good = status.health == "ok" && status.quorum && linked(&status, |link| link.contains("serial"));
        if !good || !status.nodes.iter().any(|node| !node.local && node.links.len() == 1) {
            bench.fail(&format!("{name} does not see the cluster as it is: {status:#?}"));
        }
    }
}

/// R-WIRE-8: the record is agreed on over the line alone, and what nodes are told to do over it is done.
#[test]
fn a_pair_over_a_line_alone_obeys() {
    let (bench, _line) = bench(&[]);
    whole(&bench);
    let mut moved: Vec<Sample> = Vec::new();
    for (node, words, owner) in
        [("a", "standby", "b"), ("a", "takeover", "a"), ("b", "takeover", "b"), ("b", "failback", "a")]
    {
        let asked = bench.order(node, &[words]);
        bench.served_by(owner, asked);
        bench.settled(owner);
        let sample = bench.sample(asked, now());
        bench.says_nothing(&sample, MOVE, 0);
        moved.push(sample);
        whole(&bench);
    }
    save("60 serial line only: standby, takeover, failback", MOVE, &moved, 0);
}

/// R-MEM-2: its silence is a death like any other.
#[test]
fn owner_off_over_a_line_alone() {
    row("61 serial line only: power off", DEADTIME + ms(100), || {
        let (mut bench, _line) = bench(&[]);
        let from = bench.cluster.lab.power_off("a").unwrap();
        bench.served_by("b", from);
        let to = bench.watch(ms(500));
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// R-LEAVE-2: its next daemon finds its peer and its record over the line before the lease ends.
#[test]
fn a_killed_daemon_is_back_over_a_line_alone() {
    row("62 serial line only: kill -9 of the daemon, restarted by its supervisor", NONE, || {
        let (bench, _line) = bench(&[]);
        let from = bench.cluster.lab.kill_daemon("a", false).unwrap();
        bench.wait("b", "the daemon of a is back", |status| {
            let restarted = |name: &str| status.nodes.iter().any(|node| node.name == name && node.online);
            restarted("a") && status.nodes.iter().all(|node| node.state == "active")
        });
        let to = bench.watch(3 * DEADTIME);
        bench.settled("a");
        whole(&bench);
        let sample = bench.sample(from, to);
        if sample.owners.order() != ["a"] {
            bench.fail(&format!("a does not keep the address: {:?}", sample.owners));
        }
        (bench, sample)
    });
}

/// Where nothing comes back, the other one takes over.
#[test]
fn a_killed_daemon_is_dead_over_a_line_alone() {
    row("63 serial line only: kill -9 of daemon and supervisor", DEADTIME + ms(100), || {
        let (bench, _line) = bench(&[]);
        let from = bench.cluster.lab.kill_daemon("a", true).unwrap();
        bench.served_by("b", from);
        let to = bench.watch(2 * DEADTIME);
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// The times and the line of many an old pair: slow, but it works.
#[test]
fn an_old_pair_with_a_slow_line() {
    let (bench, _line) = cold(&[], "keepalive 2\ndeadtime 16\ninitdead 60\n", 9600);
    for name in ["a", "b"] {
        bench.cluster.start(name).unwrap();
    }
    let began = now();
    let limit = Duration::from_secs(40);
    let formed = bench.cluster.wait("a", limit, "the pair is formed and serves", |status| {
        status.health == "ok" && status.quorum && status.groups.iter().all(|group| group.state == "started")
    });
    if let Err(error) = formed {
        bench.fail(&format!("{error:#}"));
    }
    println!("formed over 9600 baud within {} ms", (now() - began) / ms(1));
    bench.settled("a");
    whole(&bench);
    let asked = bench.order("a", &["standby"]);
    bench.served_by("b", asked);
    bench.settled("b");
    let sample = bench.sample(asked, now());
    bench.says_nothing(&sample, ms(4000), 0);
    save("64 serial line only, 9600 baud, keepalive 2 s: standby", ms(4000), &[sample], 0);
}

/// R-WIRE-7: two owners by a split would be the harm. The nodes stay one cluster, which goes on to agree.
#[test]
fn all_udp_is_cut_and_the_line_stays() {
    let mut moved = None;
    row("65 all UDP cut, serial line stays", NONE, || {
        let (bench, _line) = bench(&Net::ALL);
        for name in ["a", "b"] {
            bench.wait(name, "every link is up", |status| linked(status, |_| true));
        }
        let epoch = bench.cluster.status("b").unwrap().epoch;
        let from = now();
        for name in ["a", "b"] {
            bench.cluster.lab.machine(name).unwrap().run(&["nft", NO_UDP]).unwrap();
        }
        for name in ["a", "b"] {
            bench.wait(name, "the line alone is up", |status| linked(status, |link| link.contains("serial")));
        }
        let to = bench.watch(5 * DEADTIME);
        for name in ["a", "b"] {
            let status = bench.cluster.status(name).unwrap();
            let told = status.summary.contains("serial") && status.summary.ends_with("is the last.");
            if status.epoch != epoch || !linked(&status, |link| link.contains("serial")) || !told {
                bench.fail(&format!(
                    "{name} is no longer of one cluster with its peer, or does not say how: {status:#?}"
                ));
            }
        }
        let sample = bench.sample(from, to);
        let asked = bench.order("a", &["standby"]);
        bench.served_by("b", asked);
        bench.settled("b");
        moved = Some(bench.sample(asked, now()));
        bench.says_nothing(moved.as_ref().unwrap(), MOVE, 0);
        for name in ["a", "b"] {
            bench.cluster.lab.machine(name).unwrap().run(&["nft", "delete table inet cut"]).unwrap();
        }
        for name in ["a", "b"] {
            bench.wait(name, "every link is up again", |status| status.health == "ok" && linked(status, |_| true));
        }
        (bench, sample)
    });
    save("66 standby over the serial line that is left", MOVE, &[moved.unwrap()], 0);
}

/// R-WIRE-7: the line is a link like any other.
#[test]
fn the_line_is_pulled_and_the_networks_stay() {
    row("67 serial line pulled, networks stay", NONE, || {
        let (bench, line) = bench(&Net::ALL);
        bench.wait("b", "every link is up", |status| linked(status, |_| true));
        let from = line.pull();
        bench.wait("b", "the networks alone are up", |status| linked(status, |link| !link.contains("serial")));
        let to = bench.watch(2 * DEADTIME);
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}
