//! Every process of the owner stops for five deadtimes, and goes on as if nothing had been (R-MEM-5).

use crate::bench::{Bench, DEADTIME, LEASE, NONE, ms, row, save};

fn frozen(extra: &str, fault: &str, bound: u64) {
    let mut thaw = None;
    row(fault, bound, || {
        let bench = Bench::address(extra);
        let from = bench.cluster.lab.freeze("a").unwrap();
        bench.served_by("b", from);
        let to = bench.watch(5 * DEADTIME);
        let sample = bench.sample(from, to);
        let thawed = bench.cluster.lab.thaw("a").unwrap();
        let end = bench.watch(4 * DEADTIME);
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
