//! A cluster that speaks IPv6 alone: its media, its address, its client (R-WIRE-7, R-LEASE-8, R-TAKE-7).

use crate::bench::{Bench, DEADTIME, NONE, UDP, ms, row, save};
use hearth_lab::Files;
use std::net::Ipv6Addr;

const ADDRESS: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x50);

/// `ucast6` on the service network, `mcast6` on the heartbeat network.
fn bench() -> Bench {
    let mut files =
        Files { haresources: format!("a IPv6addr::{ADDRESS}/64/eth0\n"), nets: Vec::new(), ..Files::default() };
    files.ha_cf.push_str("ucast6 eth0 fd77::10\nucast6 eth0 fd77::11\nmcast6 eth1 ff02::694 694 1 0\n");
    let bench = Bench::watched(&["a", "b"], ADDRESS.into(), files, UDP).warm();
    for name in ["a", "b"] {
        bench.wait(name, "both media carry", |status| {
            let peer = status.nodes.iter().find(|node| !node.local);
            peer.is_some_and(|peer| peer.links.len() == 2 && peer.links.iter().all(|link| link.state == "up"))
        });
    }
    bench
}

/// R-LEASE-8
#[test]
fn an_ipv6_address_is_taken_over() {
    row("41 IPv6: kill -9 of daemon and supervisor", DEADTIME + ms(100), || {
        let bench = bench();
        let from = bench.cluster.lab.kill_daemon("a", true).unwrap();
        bench.served_by("b", from);
        let to = bench.watch(ms(1500));
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// R-LEASE-8, R-MEM-5: the kernel of the frozen machine would answer solicitations for it.
#[test]
fn an_ipv6_owner_is_frozen_and_thawed() {
    let mut thaw = None;
    row("42 IPv6: all processes frozen 5 x deadtime", DEADTIME + ms(100), || {
        let bench = bench();
        let from = bench.cluster.lab.freeze("a").unwrap();
        bench.served_by("b", from);
        let to = bench.watch(5 * DEADTIME);
        let sample = bench.sample(from, to);
        let thawed = bench.cluster.lab.thaw("a").unwrap();
        let after = bench.sample(thawed, bench.watch(4 * DEADTIME));
        if after.owners.order() != ["b"] {
            bench.fail(&format!("b does not keep the address after the thaw: {:?}", after.owners));
        }
        bench.says_nothing(&after, NONE, 0);
        bench.settled("b");
        thaw = Some(after);
        (bench, sample)
    });
    save("42 IPv6: all processes frozen 5 x deadtime; thawed", NONE, &[thaw.unwrap()], 0);
}
