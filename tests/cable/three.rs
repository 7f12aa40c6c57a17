//! Three machines: a majority goes on, and nobody else is touched.

use crate::bench::{ADDRESS_LINE, Bench, DEADTIME, NONE, UDP, ms, row};
use hearth_lab::{Direction, Files, Net};

/// Three machines and an address on `a`; one of them can be a witness. `extra` are lines of ha.cf.
pub fn trio(witness: Option<&str>, extra: &str) -> Bench {
    let witness = witness.map(str::to_owned);
    let mut files = Files { haresources: ADDRESS_LINE.into(), witness, ..Files::default() };
    files.ha_cf.push_str(extra);
    Bench::of(&["a", "b", "c"], files, UDP).warm()
}

/// Who leads; the owner is `a`.
fn dc(bench: &Bench) -> String {
    bench.wait("a", "somebody leads", |status| status.dc.is_some()).dc.unwrap_or_default()
}

/// Waits until one of the two others answers the client.
pub fn taken_over(bench: &Bench, from: u64) {
    let status = bench.wait("b", "another machine owns the address", |status| {
        status.groups.iter().all(|group| group.state == "started" && group.node.as_deref() != Some("a"))
    });
    let owner = status.groups.first().and_then(|group| group.node.clone()).unwrap_or_default();
    bench.served_by(&owner, from);
}

/// R-LEASE-4, R-LEDGER-4: also when it led.
#[test]
fn owner_of_three_off() {
    row("40 power off, three nodes", DEADTIME + ms(100), || {
        let mut bench = trio(None, "");
        let from = bench.cluster.lab.power_off("a").unwrap();
        taken_over(&bench, from);
        let to = bench.watch(ms(500));
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// A minority stops what it holds before the majority starts it.
#[test]
fn owner_of_three_cut_off() {
    row("41 owner cut off from both others", DEADTIME + ms(100), || {
        let bench = trio(None, "");
        let from = bench.cluster.lab.silence("a", &Net::ALL, &[Direction::In, Direction::Out]).unwrap();
        taken_over(&bench, from);
        let to = bench.watch(ms(500));
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

#[test]
fn owner_of_three_frozen() {
    row("42 owner frozen, three nodes", DEADTIME + ms(100), || {
        let bench = trio(None, "");
        let from = bench.cluster.lab.freeze("a").unwrap();
        taken_over(&bench, from);
        let thawed = bench.cluster.lab.thaw("a").unwrap();
        let to = bench.watch(ms(1000)).max(thawed);
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// The death of another machine, also of the DC, touches no healthy owner.
#[test]
fn another_of_three_off() {
    for leads in [true, false] {
        row(if leads { "43 DC off, owner elsewhere" } else { "44 third machine off" }, NONE, || {
            let mut bench = trio(None, "");
            let dc = dc(&bench);
            let other = if dc == "b" { "c" } else { "b" };
            let victim = if leads && dc != "a" { dc.as_str() } else { other };
            let from = bench.cluster.lab.power_off(victim).unwrap();
            let victim = victim.to_owned();
            bench.wait("a", "the machine counts as lost", |status| {
                status.nodes.iter().any(|node| node.name == victim && !node.online)
            });
            let to = bench.watch(ms(1500));
            let sample = bench.sample(from, to);
            (bench, sample)
        });
    }
}
