//! Every single and double cut, kill and freeze of three and of five machines, on one cluster that is whole again before
//! the next: whoever is left and is a majority serves, whoever is not is silent, and two never are owners.

use crate::bench::{ADDRESS_LINE, Bench, DEADTIME, NONE, PATIENCE, Sample, UDP, ms, save, save_as};
use hearth_control::Status;
use hearth_lab::{Direction, Files, Net, millis, now, wait_until};
use std::time::Duration;

/// What happens to a machine.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Cut,
    Kill,
    Freeze,
}

const FAULTS: [Fault; 3] = [Fault::Cut, Fault::Kill, Fault::Freeze];
/// Times that one case is repeated because this machine stalled.
const REPEATS: usize = 3;

type Hits = Vec<(&'static str, Fault)>;

fn strike(bench: &Bench, hits: &Hits) {
    for (name, fault) in hits {
        match fault {
            Fault::Cut => bench.cluster.lab.silence(name, &Net::ALL, &Direction::BOTH).unwrap(),
            Fault::Kill => bench.cluster.lab.kill_daemon(name, true).unwrap(),
            Fault::Freeze => bench.cluster.lab.freeze(name).unwrap(),
        };
    }
}

fn mend(bench: &Bench, hits: &Hits) {
    bench.cluster.lab.heal().unwrap();
    for (name, fault) in hits {
        match fault {
            Fault::Cut => {}
            Fault::Kill => bench.cluster.start(name).unwrap(),
            Fault::Freeze => {
                bench.cluster.lab.thaw(name).unwrap();
            }
        }
    }
}

/// Waits until all is well, whoever owns the address; returns who.
fn whole(bench: &Bench) -> String {
    let status = bench.wait("a", "all take part, and something runs", |status| {
        status.nodes.iter().all(|node| node.online && node.state == "active")
            && status.groups.iter().all(|group| group.state == "started")
    });
    let owner = status.groups.first().and_then(|group| group.node.clone()).unwrap_or_default();
    bench.settled(&owner);
    owner
}

/// Those that are left have decided about the rest, and one of them serves.
fn goes_on(bench: &Bench, left: &[&str], from: u64) {
    let mut owner = String::new();
    for name in left {
        let decided = |status: &Status| {
            let is_left = |node: &str| left.contains(&node);
            status.nodes.iter().all(|node| node.online == is_left(&node.name))
                && status
                    .groups
                    .iter()
                    .all(|group| group.state == "started" && group.node.as_deref().is_some_and(is_left))
        };
        let status = bench.wait(name, &format!("{left:?} go on"), decided);
        owner = status.groups.first().and_then(|group| group.node.clone()).unwrap_or_default();
    }
    bench.served_by(&owner, from);
}

/// Nobody answers, and nobody begins to.
fn falls_silent(bench: &Bench) {
    let silent =
        wait_until(PATIENCE, Duration::from_millis(10), || bench.observer.answering().is_empty().then_some(()));
    if silent.is_none() {
        bench.fail(&format!("no majority, and {:?} answers", bench.observer.answering()));
    }
    bench.watch(DEADTIME + ms(200));
    if !bench.observer.answering().is_empty() {
        bench.fail(&format!("no majority, and {:?} answers again", bench.observer.answering()));
    }
}

/// What was measured of cases of one kind.
#[derive(Default)]
struct Kind {
    samples: Vec<Sample>,
    unjudged: usize,
}

/// Plays all cases on one cluster, and writes three rows: the owner was hit, it was not, there was no majority.
fn play(names: &[&'static str], row: &str, cases: &[Hits]) {
    let files = Files { haresources: ADDRESS_LINE.into(), ..Files::default() };
    let bench = Bench::of(names, files, UDP).warm();
    let (mut hit, mut spared, mut none) = (Kind::default(), Kind::default(), Kind::default());
    for hits in cases {
        for again in 0.. {
            assert!(again < REPEATS, "{hits:?}: could not be judged {REPEATS} times, this machine stalls too long");
            let owner = whole(&bench);
            let left: Vec<&str> =
                names.iter().filter(|name| !hits.iter().any(|(victim, _)| victim == *name)).copied().collect();
            let from = now();
            strike(&bench, hits);
            let majority = left.len() * 2 > names.len();
            let (bound, kind) = match (majority, left.contains(&owner.as_str())) {
                (true, false) => (DEADTIME + ms(100), &mut hit),
                (true, true) => (NONE, &mut spared),
                (false, _) => (u64::MAX, &mut none),
            };
            if majority {
                goes_on(&bench, &left, from);
            } else {
                falls_silent(&bench);
            }
            let until = now();
            mend(&bench, hits);
            whole(&bench);
            // Two owners are judged until all is whole again, what a client felt until the mending began.
            let owners = bench.sample(from, now()).owners;
            let sample = Sample { owners, ..bench.sample(from, until) };
            println!("{hits:?}, {owner} had it: {:.1} ms", millis(sample.gap));
            if bench.says_nothing(&sample, bound, 0) {
                kind.unjudged += 1;
                continue;
            }
            kind.samples.push(sample);
            break;
        }
    }
    for (kind, what, bound) in [
        (hit, "the owner hit", DEADTIME + ms(100)),
        (spared, "the owner spared", NONE),
        (none, "no majority", u64::MAX),
    ] {
        let row = format!("{row}, {what} ({} cases)", kind.samples.len());
        match bound {
            _ if kind.samples.is_empty() => {}
            u64::MAX => save_as(&row, "silent".into(), &kind.samples, kind.unjudged),
            bound => save(&row, bound, &kind.samples, kind.unjudged),
        }
    }
}

/// Each machine with each fault, and each two machines with each two faults.
fn all(names: &[&'static str]) -> Vec<Hits> {
    let of = |name: &&'static str| FAULTS.map(|fault| (*name, fault));
    let singles = names.iter().flat_map(of).map(|hit| vec![hit]);
    let pairs =
        names.iter().enumerate().flat_map(|(place, one)| names[place + 1..].iter().map(move |other| (one, other)));
    let doubles = pairs.flat_map(|(one, other)| {
        let of_both = of(one).map(|first| of(other).map(|second| vec![first, second]));
        of_both.into_iter().flatten()
    });
    singles.chain(doubles).collect()
}

/// Whether this is `./run matrix`.
fn is_whole() -> bool {
    std::env::var_os("HEARTH_MATRIX").is_some()
}

/// `./run matrix` plays all of them, `./run test` the ones named here.
fn chosen(names: &[&'static str], few: &[Hits]) -> Vec<Hits> {
    if is_whole() { all(names) } else { few.to_vec() }
}

/// Section 8, 1 to 3; R-LEASE-4, R-LEDGER-4
#[test]
fn faults_of_three() {
    let names = ["a", "b", "c"];
    let few = [vec![("a", Fault::Cut), ("b", Fault::Kill)], vec![("b", Fault::Freeze), ("c", Fault::Cut)]];
    play(&names, "60 three", &chosen(&names, &few));
}

/// The same of five, which lose two at once.
#[test]
fn faults_of_five() {
    let names = ["a", "b", "c", "d", "e"];
    let few = [vec![("a", Fault::Kill), ("d", Fault::Freeze)]];
    play(&names, "61 five", &chosen(&names, &few));
}
