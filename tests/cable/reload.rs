//! Files change while everything runs.

use crate::bench::{Bench, DEADTIME, NONE, UDP, ms, row};
use hearth_lab::{AddressWatch, ChangeKind, Files, Net, now};
use std::net::IpAddr;

fn reload(bench: &Bench, files: &Files) {
    for name in ["a", "b"] {
        bench.cluster.write(name, files).unwrap();
        bench.order(name, &["reload"]);
        bench.watch(ms(100));
    }
}

/// R-WIRE-3: add everywhere, switch everywhere, remove everywhere; no packet is refused in between.
#[test]
fn key_rolled() {
    row("30 key rolled on both nodes", NONE, || {
        let bench = Bench::address("");
        let from = now();
        for keys in [
            "auth 1\n1 sha256 a-key-that-only-this-lab-knows\n2 sha256 the-next-one-of-this-lab\n",
            "auth 2\n1 sha256 a-key-that-only-this-lab-knows\n2 sha256 the-next-one-of-this-lab\n",
            "auth 2\n2 sha256 the-next-one-of-this-lab\n",
        ] {
            reload(&bench, &Files { authkeys: keys.into(), ..bench.files.clone() });
        }
        let to = bench.watch(DEADTIME);
        for name in ["a", "b"] {
            let status = bench.cluster.status(name).unwrap();
            if status.notes.iter().any(|note| note.contains("refused")) {
                bench.fail(&format!("{name} refused packets: {:?}", status.notes));
            }
        }
        let sample = bench.sample(from, to);
        if sample.owners.order() != ["a"] {
            bench.fail(&format!("a does not keep the address: {:?}", sample.owners));
        }
        (bench, sample)
    });
}

/// R-WIRE-3: a key that the other node signs with is not taken out: neither would hear the other, and both would own.
#[test]
fn key_taken_out_while_the_peer_signs_with_it() {
    let bench = Bench::address("");
    let from = now();
    let files = Files { authkeys: "auth 2\n2 sha256 the-next-one-of-this-lab\n".into(), ..bench.files.clone() };
    bench.cluster.write("b", &files).unwrap();
    let refused = bench.cluster.hearth("b", &["reload"]).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    if refused.status.success() || !said.contains("a still signs with key 1") || !said.contains("`auth`") {
        bench.fail(&format!("the reload is not refused with its reason: {said}"));
    }
    let to = bench.watch(3 * DEADTIME);
    let sample = bench.sample(from, to);
    if sample.owners.order() != ["a"] || sample.owners.two > 0 {
        bench.fail(&format!("a does not keep the address alone: {:?}", sample.owners));
    }
}

/// Only what differs is touched: the kernel sees nothing of the other two groups but their lifetimes.
#[test]
fn one_group_of_three() {
    row("31 reload of one group of three", NONE, || {
        let files = Files {
            haresources: "a 10.77.0.50/24/eth0\na 10.77.0.51/24/eth0\na 10.77.0.52/24/eth0\n".into(),
            ..Files::default()
        };
        let bench = Bench::cold(files.clone(), UDP).warm();
        let watch = AddressWatch::start(bench.cluster.lab.machine("a").unwrap()).unwrap();
        let from = now();
        let haresources = files.haresources.replace("0.52", "0.53");
        reload(&bench, &Files { haresources, ..files });
        bench.wait("a", "the new address is there", |status| {
            let started = |end: &str| {
                status.resources.iter().any(|resource| resource.id.contains(end) && resource.state == "started")
            };
            started("10.77.0.53") && !status.resources.iter().any(|resource| resource.id.contains("10.77.0.52"))
        });
        let to = bench.watch(DEADTIME);
        let gone: Vec<IpAddr> = watch
            .changes(from)
            .iter()
            .filter(|change| change.kind == ChangeKind::Gone)
            .map(|change| change.address)
            .collect();
        if gone != [IpAddr::from([10, 77, 0, 52])] {
            bench.fail(&format!("the kernel lost {gone:?}"));
        }
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// What no node may say while nobody and nothing was lost.
fn says_nothing_was_lost(bench: &Bench) {
    for name in ["a", "b"] {
        let output = bench.cluster.hearth(name, &["timeline", "--last", "200"]).unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let lost = text
            .lines()
            .find(|line| ["is dead", "gate is not whole", "was put back"].iter().any(|it| line.contains(it)));
        if let Some(lost) = lost {
            bench.fail(&format!("{name} says: {lost}"));
        }
    }
}

/// Waits until both nodes hear each other over exactly so many links.
fn linked(bench: &Bench, links: &[&str]) {
    for name in ["a", "b"] {
        bench.wait(name, &format!("links {links:?} are up"), |status| {
            let peer = status.nodes.iter().find(|node| node.name != name);
            let up = |peer: &hearth_control::NodeView| peer.links.iter().all(|link| link.state == "up");
            peer.is_some_and(|peer| {
                up(peer) && peer.links.iter().map(|link| link.name.as_str()).eq(links.iter().copied())
            })
        });
    }
}

/// Media come, go and change their order, node by node: no packet that counts is missed, no link that carries is called
/// dead, and what would leave the nodes without a common medium is refused.
#[test]
fn media_added_and_removed() {
    row("31a media added and removed by reloads", NONE, || {
        let bench = Bench::address("");
        linked(&bench, &["eth0 ucast", "eth1 ucast"]);
        let from = now();
        let group = "mcast eth1 239.7.7.7 694 1 0\n";
        let with = |lines: &str, nets: &[Net]| Files {
            ha_cf: format!("{}{lines}", bench.files.ha_cf),
            nets: nets.into(),
            ..bench.files.clone()
        };
        bench.cluster.write("a", &with("udpport 700\n", &Net::ALL)).unwrap();
        let output = bench.cluster.hearth("a", &["reload"]).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(6) || !said.contains("no medium stays over which b is heard") {
            bench.fail(&format!("all media at once: {}: {said}", output.status));
        }
        reload(&bench, &with(&format!("bcast eth0\n{group}"), &Net::ALL));
        linked(&bench, &["eth0 bcast", "eth1 mcast 239.7.7.7", "eth0 ucast", "eth1 ucast"]);
        reload(&bench, &with(group, &[Net::Heartbeat]));
        linked(&bench, &["eth1 mcast 239.7.7.7", "eth1 ucast"]);
        reload(&bench, &with("", &[Net::Heartbeat]));
        linked(&bench, &["eth1 ucast"]);
        reload(&bench, &with("", &Net::ALL));
        linked(&bench, &["eth0 ucast", "eth1 ucast"]);
        let to = bench.watch(2 * DEADTIME);
        says_nothing_was_lost(&bench);
        let sample = bench.sample(from, to);
        if sample.owners.order() != ["a"] {
            bench.fail(&format!("a does not keep the address: {:?}", sample.owners));
        }
        (bench, sample)
    });
}

/// A gate is put before an address that clients use.
#[test]
fn gate_put_up() {
    row("31b gate put up by a reload", NONE, || {
        let bench = Bench::address("gate no\n");
        let from = now();
        let ha_cf = bench.files.ha_cf.replace("gate no\n", "");
        reload(&bench, &Files { ha_cf, ..bench.files.clone() });
        bench.wait("a", "the gate is open", |status| {
            status.resources.iter().all(|resource| resource.gate.as_deref() == Some("open"))
        });
        let to = bench.watch(2 * DEADTIME);
        says_nothing_was_lost(&bench);
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}
