//! Pairs with a serial line, the only link or the last one (R-WIRE-7, R-WIRE-8).

use crate::bench::{ADDRESS_LINE, Bench, NONE, UDP, ms, row, save};
use hearth_control::Status;
use hearth_lab::{Files, Line, Net, now};

/// Bits per second: a heartbeat takes 25 ms, a quarter of the keepalive; what the record needs has the rest.
const BAUD: u32 = 115_200;
const TIMES: &str = "keepalive 100ms\nwarntime 400ms\ndeadtime 1s\ninitdead 3s\n";
/// That of [`TIMES`].
const DEADTIME: u64 = ms(1000);
/// Chains on both machines that take away every heartbeat that comes by UDP.
const NO_UDP: &str = "add table inet cut; add chain inet cut in { type filter hook input priority 0; }; \
                      add rule inet cut in udp dport 694 drop";

fn bench(nets: &[Net]) -> (Bench, Line) {
    let ha_cf = format!("{TIMES}baud {BAUD}\nserial {}\n", Line::DEVICE);
    let files = Files { ha_cf, haresources: ADDRESS_LINE.into(), nets: nets.into(), ..Files::default() };
    let bench = Bench::cold(files, UDP);
    let line = Line::lay(&bench.cluster.lab, ["a", "b"], BAUD).unwrap();
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

/// R-WIRE-8: the record is agreed on over the line alone, and its silence is a death like any other.
#[test]
fn the_only_link_is_a_serial_line() {
    row("37 serial line only: kill -9 of daemon and supervisor", DEADTIME + ms(100), || {
        let (bench, _line) = bench(&[]);
        let from = bench.cluster.lab.kill_daemon("a", true).unwrap();
        bench.served_by("b", from);
        let to = bench.watch(2 * DEADTIME);
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// R-WIRE-7: two owners by a split would be the harm. The nodes stay one cluster, which goes on to agree.
#[test]
fn all_udp_is_cut_and_the_line_stays() {
    let mut moved = None;
    row("38 all UDP cut, serial line stays", NONE, || {
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
            if status.epoch != epoch || !linked(&status, |link| link.contains("serial")) {
                bench.fail(&format!("{name} is no longer of one cluster with its peer: {status:#?}"));
            }
        }
        let sample = bench.sample(from, to);
        let asked = bench.order("a", &["standby"]);
        bench.served_by("b", asked);
        bench.settled("b");
        moved = Some(bench.sample(asked, now()));
        bench.says_nothing(moved.as_ref().unwrap(), ms(500), 0);
        (bench, sample)
    });
    save("39 standby over the serial line alone", ms(500), &[moved.unwrap()], 0);
}

/// R-WIRE-7: the line is a link like any other.
#[test]
fn the_line_is_pulled_and_the_networks_stay() {
    row("40 serial line pulled, networks stay", NONE, || {
        let (bench, line) = bench(&Net::ALL);
        bench.wait("b", "every link is up", |status| linked(status, |_| true));
        let from = line.pull();
        bench.wait("b", "the networks alone are up", |status| linked(status, |link| !link.contains("serial")));
        let to = bench.watch(2 * DEADTIME);
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}
