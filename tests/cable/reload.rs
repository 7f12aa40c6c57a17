//! Files change while everything runs.

use crate::bench::{Bench, DEADTIME, NONE, UDP, ms, row};
use hearth_lab::{AddressWatch, ChangeKind, Files, now};
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
