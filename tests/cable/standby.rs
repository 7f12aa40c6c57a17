//! What happens to the standby node is invisible to the service (section 3).

use crate::bench::{Bench, DEADTIME, NONE, row};
use hearth_lab::{Direction, Net};

fn invisible(fault: &str, mut happens: impl FnMut(&mut Bench) -> u64) {
    row(fault, NONE, || {
        let mut bench = Bench::address("");
        let from = happens(&mut bench);
        let to = bench.watch(4 * DEADTIME);
        let sample = bench.sample(from, to);
        if sample.owners.order() != ["a"] {
            bench.fail(&format!("a does not keep the address: {:?}", sample.owners));
        }
        (bench, sample)
    });
}

#[test]
fn off() {
    invisible("19 standby node powered off", |bench| bench.cluster.lab.power_off("b").unwrap());
}

#[test]
fn frozen() {
    invisible("20 standby node frozen", |bench| bench.cluster.lab.freeze("b").unwrap());
}

#[test]
fn cut() {
    invisible("21 standby node cut off by its cables", |bench| bench.cluster.lab.pull("b", &Net::ALL).unwrap());
}

/// The standby hears the owner, which does not hear it (R-MEM-3): it is not lost, and takes nothing.
#[test]
fn not_heard() {
    invisible("22 standby node heard by nobody", |bench| {
        bench.cluster.lab.silence("b", &Net::ALL, &[Direction::Out]).unwrap()
    });
}

#[test]
fn killed() {
    invisible("23 standby node's daemon killed for good", |bench| bench.cluster.lab.kill_daemon("b", true).unwrap());
}
