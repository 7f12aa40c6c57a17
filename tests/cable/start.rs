//! Nodes start: one alone, the second later, both at once, and after a power cut (section 7).

use crate::bench::{ADDRESS_LINE, Bench, NONE, UDP, ms, row};
use hearth_lab::{Files, now};

/// initdead of the tests.
const INITDEAD: u64 = ms(2000);

fn cold() -> Bench {
    Bench::cold(Files { haresources: ADDRESS_LINE.into(), ..Files::default() }, UDP)
}

/// R-JOIN-2: a lone machine founds after initdead with a permit; R-JOIN-3: the second joins, and nothing moves.
#[test]
fn alone_then_the_second() {
    let mut joined = None;
    row("33 lone start of one of two: served after initdead", INITDEAD + ms(500), || {
        let bench = cold();
        let from = now();
        bench.cluster.start("b").unwrap();
        let served = bench.served_by("b", from);
        if served - from < INITDEAD - ms(100) {
            bench.fail(&format!("it did not wait for its peer: {} ns", served - from));
        }
        let sample = bench.sample(from, bench.watch(ms(500)));
        let second = now();
        bench.cluster.start("a").unwrap();
        bench.settled("b");
        let after = bench.sample(second, now());
        bench.says_nothing(&after, NONE, 0);
        joined = Some(after);
        (bench, sample)
    });
    crate::bench::save("34 start of the second", NONE, &[joined.unwrap()], 0);
}

/// R-JOIN-1
#[test]
fn both_at_once() {
    row("35 both started at once: served after", ms(1000), || {
        let bench = cold();
        let from = now();
        bench.cluster.start("b").unwrap();
        bench.cluster.start("a").unwrap();
        bench.served_by("a", from);
        let sample = bench.sample(from, bench.watch(ms(1000)));
        (bench, sample)
    });
}

/// R-JOIN-2: voters with a persisted epoch resume it.
#[test]
fn power_cut_of_both() {
    row("36 power cut of both: served after the power is back", ms(3000), || {
        let mut bench = Bench::address("");
        for name in ["a", "b"] {
            bench.cluster.lab.power_off(name).unwrap();
        }
        for name in ["a", "b"] {
            bench.cluster.lab.power_on(name).unwrap();
            bench.observer.attach(&bench.cluster.lab, name).unwrap();
            bench.cluster.serve(name, UDP).unwrap();
        }
        let from = now();
        bench.cluster.start("a").unwrap();
        bench.cluster.start("b").unwrap();
        bench.served_by("a", from);
        let sample = bench.sample(from, bench.watch(ms(1000)));
        bench.settled("a");
        (bench, sample)
    });
}
