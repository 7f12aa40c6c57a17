//! Small worlds: two faults in every order at every step of a takeover, a heal, a standby and a join of two
//! machines, judged as the swarm judges (protocol section 8).

mod faults;
mod found;
mod stories;

use faults::Fault;
use hearth_sim::swarm::{self, Run};
use hearth_sim::{Rng, report, shrink};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use stories::Story;

/// Worlds for each step of an ordinary run, drawn from all; `HEARTH_EXHAUSTIVE=all` takes every one, `HEARTH_EXHAUSTIVE=N`
/// N of them.
const PER_STEP: usize = 7;
/// Failures that are told.
const TOLD_MAX: usize = 3;

/// One world: which story, and when which faults come.
struct Case<'a> {
    story: &'a Story,
    first: (Duration, &'a Fault),
    second: (Duration, &'a Fault),
}

impl Case<'_> {
    fn run(&self) -> Run {
        faults::put(self.story, &[self.first, self.second])
    }
}

/// How many worlds are made for each step; none: all.
fn per_step() -> Option<usize> {
    match std::env::var("HEARTH_EXHAUSTIVE") {
        Ok(text) if text == "all" => None,
        Ok(text) => Some(text.parse().expect("HEARTH_EXHAUSTIVE is a number or all")),
        Err(_) => Some(PER_STEP),
    }
}

/// The moments just before each step of a story, and one after the last.
fn steps(story: &Story) -> Vec<Duration> {
    let moments = swarm::moments(&story.run);
    let mut steps: Vec<Duration> = moments.into_iter().filter(|at| *at >= story.from).collect();
    steps.extend(steps.last().map(|at| *at + Duration::from_micros(1)));
    steps
}

/// Every world of a story, or for each step so many: the second fault comes at the same step, at the next one, and two,
/// four, eight ... steps later.
fn cases<'a>(story: &'a Story, faults: &'a [Fault], per_step: Option<usize>) -> Vec<Case<'a>> {
    let steps = steps(story);
    let mut cases = Vec::new();
    let mut rng = Rng::new(0, &story.name);
    for at in 0..steps.len() {
        let later = (0..).map(|power| at + (1 << power)).take_while(|later| *later < steps.len());
        let when: Vec<Duration> = [at].into_iter().chain(later).map(|at| steps[at]).collect();
        let count = faults.len() * faults.len() * when.len();
        let mut numbers: Vec<usize> = (0..count).collect();
        let taken = per_step.unwrap_or(count).min(count);
        for place in 0..if taken < count { taken } else { 0 } {
            let other = place + rng.index(count - place);
            numbers.swap(place, other);
        }
        cases.extend(numbers[..taken].iter().map(|number| {
            let (first, rest) = (number % faults.len(), number / faults.len());
            let (second, at_second) = (rest % faults.len(), rest / faults.len());
            Case { story, first: (steps[at], &faults[first]), second: (when[at_second], &faults[second]) }
        }));
    }
    cases
}

/// Judges all on all processors; what failed, by number.
fn judge(cases: &[Case<'_>]) -> BTreeMap<usize, String> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((number, case)) = take(&next, cases) {
                    let verdict = swarm::judge(&case.run(), None);
                    if !verdict.complaints.is_empty() {
                        let first = report::first(&verdict);
                        failed.lock().unwrap_or_else(PoisonError::into_inner).insert(number, first);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn take<'a, T>(next: &AtomicUsize, among: &'a [T]) -> Option<(usize, &'a T)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    among.get(number).map(|it| (number, it))
}

/// The small story of a failure.
fn tell(case: &Case<'_>) -> String {
    let run = case.run();
    let small = shrink::shrink(&run, &swarm::judge(&run, None));
    report::small(&small)
}

#[test]
fn two_faults_at_any_step_leave_one_owner_and_a_cluster_that_heals() {
    let (stories, faults) = (stories::all(), faults::all());
    let mut failures = Vec::new();
    let mut worlds = 0;
    let only = std::env::var("HEARTH_STORY").unwrap_or_default();
    for story in stories.iter().filter(|story| story.name.contains(&only)) {
        let cases = cases(story, &faults, per_step());
        let failed = judge(&cases);
        println!("{}: {} steps, {} worlds, {} failed", story.name, steps(story).len(), cases.len(), failed.len());
        worlds += cases.len();
        for (number, first) in failed {
            println!("  {number}: {first}");
            if failures.len() < TOLD_MAX {
                failures.push(format!("{}, world {number}: {first}\n{}", story.name, tell(&cases[number])));
            }
        }
    }
    println!("{worlds} worlds");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
