//! As many machines as a cluster can have: they form one, lose a third at once, and settle.

use crate::bench::{ADDRESS, ADDRESS_LINE, UDP, alone, ms, programs};
use hearth_control::Status;
use hearth_lab::{Client, Cluster, Files, Observer, StallMeter, millis, now, wait_until};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Seven of them vote.
const MACHINES: usize = 32;
/// The third that is lost: the owner, which votes, two more that do, and seven that do not.
const LOST: [usize; 10] = [0, 2, 5, 8, 11, 14, 17, 20, 26, 31];
/// How long they may take to find each other, and to settle: a machine that is busy with so many daemons is no bench.
const FORMED_WITHIN: Duration = Duration::from_secs(60);
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// Two seconds, which is what ha.cf has if it says nothing.
const DEADTIME: u64 = ms(2000);

fn name(number: usize) -> String {
    format!("n{:02}", number + 1)
}

/// Waits until each of these nodes says that exactly these are online, that one epoch holds, and that one of them owns the
/// address; returns who.
fn settled(cluster: &Cluster, all: &[String], nodes: &[String], limit: Duration, what: &str) -> String {
    let agreed = |status: &Status, epoch: &Option<String>| {
        let online = |name: &str| status.nodes.iter().find(|node| node.name == name).is_some_and(|node| node.online);
        let exactly = all.iter().all(|name| online(name) == nodes.contains(name));
        let same = status.epoch.as_ref().map(|epoch| epoch.name.clone()) == *epoch;
        exactly && same && status.quorum && status.groups.iter().all(|group| group.state == "started")
    };
    let mut last = String::new();
    let found = wait_until(limit, Duration::from_millis(200), || {
        let first = cluster.status(&nodes[0]).ok()?;
        let epoch = first.epoch.as_ref().map(|epoch| epoch.name.clone());
        for name in nodes {
            match cluster.status(name) {
                Ok(status) if agreed(&status, &epoch) => {}
                other => {
                    last = format!("{name}: {:?}", other.map(|status| (status.summary, status.epoch, status.notes)));
                    return None;
                }
            }
        }
        first.groups.first()?.node.clone()
    });
    found.unwrap_or_else(|| panic!("{what}: not within {limit:?}; {last}\n{}", cluster.log(&nodes[0], 60)))
}

/// R-LEDGER-2, R-LEDGER-4: seven vote, the others take part; the votes of the lost go to others, and nothing runs twice.
#[test]
fn a_crowd_loses_a_third() {
    let _alone = alone();
    let names: Vec<String> = (0..MACHINES).map(name).collect();
    let machines: Vec<&str> = names.iter().map(String::as_str).collect();
    // The times that ha.cf has if it says nothing. With a line for each peer on two networks they would need more neighbours
    // (1,984) than the kernel keeps for all namespaces together (1,024).
    let files = Files {
        ha_cf: "initdead 10s\nmcast eth1 239.77.0.1 694 1 0\n".into(),
        nets: Vec::new(),
        haresources: format!("n01{}", &ADDRESS_LINE[1..]),
        ..Files::default()
    };
    let disk = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut cluster = Cluster::new(&programs(), disk, &machines, &files).unwrap();
    let stalls = StallMeter::start().unwrap();
    let client = Client::start(cluster.lab.client(), SocketAddr::new(ADDRESS.into(), UDP), ms(10)).unwrap();
    let observer = Observer::start(&cluster.lab, ADDRESS, UDP, ms(50)).unwrap();
    let from = now();
    for name in &names {
        cluster.serve(name, UDP).unwrap();
        cluster.start(name).unwrap();
    }
    let owner = settled(&cluster, &names, &names, FORMED_WITHIN, "all form a cluster");
    let formed = now() - from;
    let first = cluster.status(&owner).unwrap();
    assert_eq!(first.epoch.map(|epoch| epoch.voters.len()), Some(7));

    let gone: Vec<String> = LOST.into_iter().map(name).collect();
    let left: Vec<String> = names.iter().filter(|name| !gone.contains(name)).cloned().collect();
    let from = now();
    for name in gone.iter().rev() {
        cluster.lab.power_off(name).unwrap();
    }
    let off = now();
    let next = settled(&cluster, &names, &left, SETTLED_WITHIN, "two thirds settle");
    let to = now();
    let (felt, owners, stalled) = (client.felt(from, to), observer.owners(from, to), stalls.total(from, to));
    println!(
        "{MACHINES} formed in {:.1} s; a third off within {:.1} s, settled {:.1} s later, {owner} to {next}, the client waited {:.0} ms \
         (this machine stalled {:.1} ms)",
        millis(formed) / 1000.0,
        millis(off - from) / 1000.0,
        millis(to - off) / 1000.0,
        millis(felt.gap),
        millis(stalled),
    );
    assert_eq!(owners.two, 0, "two owners: {owners:?}");
    if gone.contains(&owner) {
        assert!(felt.gap <= DEADTIME + (off - from) + ms(1000) + stalled, "{felt:?}");
    } else {
        assert_eq!(next, owner, "a healthy owner was moved");
    }
    // R-LEDGER-4: the votes of the lost go to whoever is left without one.
    let given = wait_until(SETTLED_WITHIN, Duration::from_millis(100), || {
        let epoch = cluster.status(&next).ok()?.epoch?;
        let here = epoch.voters.iter().filter(|name| left.contains(name)).count();
        (here == left.len().min(7)).then_some(())
    });
    let epoch = cluster.status(&next).unwrap().epoch;
    assert!(given.is_some(), "votes of the lost are not given to others: {epoch:?}");
    // R-LEASE-13: however busy the kernel was, it took the owner's ticks.
    for name in left {
        let log = cluster.log(&name, usize::MAX);
        assert!(!log.contains("event=gate-broken"), "{name}:\n{log}");
    }
}
