//! Every process of the owner stops for five deadtimes, and goes on as if nothing had been (R-MEM-5).

use crate::bench::{ADDRESS, Bench, DEADTIME, LEASE, NONE, ms, row, save};
use hearth_lab::{AddressChange, AddressWatch, ChangeKind, millis};

fn frozen(extra: &str, fault: &str, bound: u64) {
    let mut thaw = None;
    row(fault, bound, || {
        let bench = Bench::address(extra);
        let from = bench.cluster.lab.freeze("a").unwrap();
        bench.served_by("b", from);
        let to = bench.watch(5 * DEADTIME);
        let sample = bench.sample(from, to);
        let watch = AddressWatch::start(bench.cluster.lab.machine("a").unwrap()).unwrap();
        let thawed = bench.cluster.lab.thaw("a").unwrap();
        let end = bench.watch(4 * DEADTIME);
        // Not even for a moment: one packet from there, and clients send to the wrong machine.
        let again = |change: &AddressChange| change.address == ADDRESS && change.kind == ChangeKind::Present;
        if let Some(change) = watch.changes(thawed).into_iter().find(again) {
            let after = millis(change.at - thawed);
            bench.fail(&format!("the thawed machine sets the address again, {after:.1} ms after the thaw"));
        }
        let after = bench.sample(thawed, end);
        if after.owners.order() != ["b"] {
            bench.fail(&format!("b does not keep the address after the thaw: {:?}", after.owners));
        }
        bench.says_nothing(&after, NONE, 0);
        bench.settled("b");
        thaw = Some(after);
        (bench, sample)
    });
    save(&format!("{fault}; thawed"), NONE, &[thaw.unwrap()], 0);
}

/// R-LEASE-8
#[test]
fn behind_the_gate() {
    frozen("", "17 all processes frozen 5 x deadtime", DEADTIME + ms(100));
}

/// R-LEASE-11: the kernel's lifetime of the address is the only line.
#[test]
fn without_gate() {
    frozen("gate no\n", "18 the same without gate", LEASE + ms(1000) + ms(1200));
}
