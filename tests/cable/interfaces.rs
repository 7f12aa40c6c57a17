//! Interfaces come, go and change their names under a running daemon; somebody removes the address by hand.

use crate::bench::{Bench, DEADTIME, NONE, PATIENCE, ms, row};
use hearth_lab::{Net, now, wait_until};
use std::time::Duration;

fn ip(bench: &Bench, words: &str) {
    let words: Vec<&str> = std::iter::once("ip").chain(words.split(' ')).collect();
    bench.cluster.lab.machine("a").unwrap().run(&words).unwrap();
}

/// All links of b to a are up again, seen by b.
fn whole_again(bench: &Bench) {
    bench.wait("b", "every link to a is up", |status| {
        let a = status.nodes.iter().find(|node| node.name == "a");
        a.is_some_and(|a| a.online && !a.links.is_empty() && a.links.iter().all(|link| link.state == "up"))
    });
}

/// R-WIRE-7
#[test]
fn heartbeat_interface_deleted_and_made_again() {
    row("27 heartbeat interface deleted and made again", NONE, || {
        let bench = Bench::address("");
        let from = now();
        ip(&bench, "link del eth1");
        bench.watch(2 * DEADTIME);
        bench.cluster.lab.plug_new_card("a", Net::Heartbeat).unwrap();
        whole_again(&bench);
        let to = bench.watch(DEADTIME);
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// R-WIRE-7
#[test]
fn heartbeat_interface_renamed_and_back() {
    row("28 heartbeat interface renamed, and back", NONE, || {
        let bench = Bench::address("");
        let from = now();
        ip(&bench, "link set eth1 down");
        ip(&bench, "link set eth1 name eth9");
        ip(&bench, "link set eth9 up");
        bench.watch(2 * DEADTIME);
        ip(&bench, "link set eth9 down");
        ip(&bench, "link set eth9 name eth1");
        ip(&bench, "link set eth1 up");
        whole_again(&bench);
        let to = bench.watch(DEADTIME);
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// R-TAKE-7
#[test]
fn address_removed_by_hand() {
    row("29 address removed by hand: put back", ms(50), || {
        let bench = Bench::address("");
        let text = bench.cluster.lab.machine("a").unwrap().run(&["ip", "-o", "addr", "show", "dev", "eth0"]).unwrap();
        let line = text.lines().find(|line| line.contains("10.77.0.50/")).unwrap();
        let address = line.split_whitespace().find(|word| word.starts_with("10.77.0.50/")).unwrap();
        let from = now();
        ip(&bench, &format!("addr del {address} dev eth0"));
        let back = wait_until(PATIENCE, Duration::from_millis(1), || bench.client.answered_by(from + ms(10)));
        if back.as_deref() != Some("a") {
            bench.fail("the address is not put back");
        }
        let to = bench.watch(2 * DEADTIME);
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}
