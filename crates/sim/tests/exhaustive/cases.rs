//! Which worlds there are, and that each is made once.

use crate::faults::{Fault, Plan};
use crate::stories::Story;
use crate::walk::Walk;
use hearth_sim::{Rng, swarm};
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a run of all worlds says how far it is, in steps.
const TELLS_EVERY: usize = 10;
/// A world that has been well for deadtime, and quiet, is believed to stay so; one of so many must be well for as long as
/// one of the swarm.
const HELD_EVERY: u128 = 16;
/// Failures of a story that are named when they are found.
const NAMED_MAX: usize = 20;

/// One world: when which of all faults come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    first_at: Duration,
    first: usize,
    second_at: Duration,
    second: usize,
}

/// What came of the worlds of a story.
#[derive(Default)]
pub struct Found {
    /// All of them.
    pub worlds: usize,
    /// Those that are the same as another one, and were not made.
    pub same: usize,
    /// Those of which a checker complains.
    pub failed: Vec<Case>,
}

/// All worlds of a story.
pub struct Worlds<'a> {
    /// Of which story.
    pub story: &'a Story,
    faults: &'a [Fault],
    steps: Vec<Duration>,
    per_step: Option<usize>,
    /// Plans that lack something that would have done nothing: only these can be met again.
    lacking: Mutex<HashSet<String>>,
    found: Mutex<Found>,
    began: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Worlds<'_> {
    /// For each step so many, or all.
    pub fn new<'a>(story: &'a Story, faults: &'a [Fault], per_step: Option<usize>) -> Worlds<'a> {
        let (lacking, found) = (Mutex::default(), Mutex::default());
        Worlds { story, faults, steps: steps(story), per_step, lacking, found, began: Instant::now() }
    }

    /// How many steps the story has.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// Everything that befalls a world.
    pub fn plan(&self, case: &Case) -> Plan {
        let faults = [(case.first_at, &self.faults[case.first]), (case.second_at, &self.faults[case.second])];
        Plan::new(self.story, &faults)
    }

    /// A world for a person.
    pub fn name(&self, case: &Case) -> String {
        let fault = |fault: usize| {
            let acts = self.faults[fault].iter().map(|(_, act)| act.text(&self.story.run.layout));
            acts.collect::<Vec<_>>().join(" and ")
        };
        format!("{:?} {}, {:?} {}", case.first_at, fault(case.first), case.second_at, fault(case.second))
    }

    /// The worlds whose first fault comes at a step: the second one comes at the same step, at the next one, and two, four,
    /// eight ... steps later. What they have in common stands together.
    fn cases(&self, step: usize) -> Vec<Case> {
        let (steps, faults) = (&self.steps, self.faults.len());
        let later = (0..).map(|power| step + (1 << power)).take_while(|later| *later < steps.len());
        let when: Vec<Duration> = [step].into_iter().chain(later).map(|at| steps[at]).collect();
        let count = faults * faults * when.len();
        let mut numbers: Vec<usize> = (0..count).collect();
        if let Some(taken) = self.per_step.filter(|taken| *taken < count) {
            let mut rng = Rng::new(step as u64, &self.story.name);
            for place in 0..taken {
                let other = place + rng.index(count - place);
                numbers.swap(place, other);
            }
            numbers.truncate(taken);
        }
        let case = |number: usize| {
            let (first, rest) = (number % faults, number / faults);
            Case { first_at: steps[step], first, second_at: when[rest / faults], second: rest % faults }
        };
        let mut cases: Vec<Case> = numbers.into_iter().map(case).collect();
        cases.sort();
        cases
    }

    /// Judges all, on all processors.
    pub fn judge(&self) -> Found {
        let next = AtomicUsize::new(0);
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut trunk = Trunk::new(self);
                    loop {
                        let step = next.fetch_add(1, Ordering::Relaxed);
                        if step >= self.steps.len() {
                            break;
                        }
                        trunk.judge(step);
                        self.say(step);
                    }
                });
            }
        });
        let mut found = std::mem::take(&mut *lock(&self.found));
        found.failed.sort();
        found
    }

    /// A run of all worlds takes long.
    fn say(&self, step: usize) {
        if self.per_step.is_none() && step.is_multiple_of(TELLS_EVERY) {
            let (found, name, of) = (lock(&self.found), &self.story.name, self.steps.len());
            let (worlds, same, failed) = (found.worlds, found.same, found.failed.len());
            let secs = self.began.elapsed().as_secs();
            println!("  {name}: step {step} of {of}, {worlds} worlds, {same} like another, {failed} failed, {secs} s");
        }
    }

    fn note(&self, case: &Case, ended: Ended) {
        let mut found = lock(&self.found);
        found.worlds += 1;
        match ended {
            Ended::Well => {}
            Ended::Same => found.same += 1,
            Ended::Failed => {
                if found.failed.len() < NAMED_MAX {
                    println!("  failed: {}, {}", self.story.name, self.name(case));
                }
                found.failed.push(*case);
            }
        }
    }
}

/// The moments just before each step of a story, and one after the last.
fn steps(story: &Story) -> Vec<Duration> {
    let moments = swarm::moments(&story.run);
    let mut steps: Vec<Duration> = moments.into_iter().filter(|at| *at >= story.from).collect();
    steps.extend(steps.last().map(|at| *at + Duration::from_micros(1)));
    steps
}

/// What came of a world.
enum Ended {
    Well,
    /// It is the same as another one, and was not made.
    Same,
    Failed,
}

/// The story without any fault, as far as it has come, and what grows out of it.
struct Trunk<'a> {
    worlds: &'a Worlds<'a>,
    walk: Walk,
    plan: Plan,
}

/// A world that the first fault has befallen.
struct Branch {
    first: usize,
    /// What of that fault does something.
    effect: Fault,
    plan: Plan,
    walk: Walk,
}

impl<'a> Trunk<'a> {
    fn new(worlds: &'a Worlds<'a>) -> Trunk<'a> {
        Trunk { worlds, walk: Walk::begin(worlds.story), plan: Plan::new(worlds.story, &[]) }
    }

    /// Judges all worlds of a step, which is behind that of the last call.
    fn judge(&mut self, step: usize) {
        self.walk.until(&self.plan, self.worlds.steps[step], 0);
        let mut branch = None;
        for case in self.worlds.cases(step) {
            let ended = std::panic::catch_unwind(AssertUnwindSafe(|| self.world(&mut branch, &case)));
            let ended = ended.unwrap_or_else(|_| {
                // What is left of it cannot be gone on with.
                branch = None;
                Ended::Failed
            });
            self.worlds.note(&case, ended);
        }
    }

    fn world(&mut self, branch: &mut Option<Branch>, case: &Case) -> Ended {
        let (worlds, story) = (self.worlds, self.worlds.story);
        let branch = match branch {
            Some(branch) if branch.first == case.first => branch,
            _ => branch.insert(self.branch(case)),
        };
        branch.walk.until(&branch.plan, case.second_at, 1);
        let (one, other) = (&worlds.faults[case.first], &worlds.faults[case.second]);
        let effect = branch.walk.effect(other, true);
        let lacks = branch.effect.len() < one.len() || effect.len() < other.len();
        let plan = Plan::new(story, &[(case.first_at, &branch.effect), (case.second_at, &effect)]);
        let plan = plan.ending_as(&worlds.plan(case));
        // The same acts in the same order at the same moments make the same world.
        if lacks && !lock(&worlds.lacking).insert(plan.name(story)) {
            return Ended::Same;
        }
        let turn = case.second_at.as_nanos() + (case.first * worlds.faults.len() + case.second) as u128;
        let quiet = story.run.layout.timing.deadtime;
        // Whether what fails is only told late is seen where nothing is cut short.
        let briefly = !turn.is_multiple_of(HELD_EVERY);
        let mut fails = |quiet| !branch.walk.fork().end(&plan, &story.run, quiet).complaints.is_empty();
        let failed = (!briefly || fails(Some(quiet))) && fails(None);
        if failed { Ended::Failed } else { Ended::Well }
    }

    fn branch(&mut self, case: &Case) -> Branch {
        let effect = self.walk.effect(&self.worlds.faults[case.first], false);
        let plan = Plan::new(self.worlds.story, &[(case.first_at, &effect)]);
        Branch { first: case.first, effect, plan, walk: self.walk.fork() }
    }
}

#[test]
fn a_world_that_was_forked_is_the_one_that_was_lived_from_its_beginning() {
    let (stories, faults) = (crate::stories::all(), crate::faults::all());
    let (mut compared, mut lacking) = (0, 0);
    for story in &stories {
        let worlds = Worlds::new(story, &faults, Some(3));
        let mut trunk = Trunk::new(&worlds);
        trunk.walk.world.hash_outputs();
        for step in (0..worlds.steps()).step_by(29) {
            trunk.walk.until(&trunk.plan, worlds.steps[step], 0);
            let mut branch = trunk.branch(&worlds.cases(step)[0]);
            for case in worlds.cases(step) {
                if branch.first != case.first {
                    branch = trunk.branch(&case);
                }
                branch.walk.until(&branch.plan, case.second_at, 1);
                let effect = branch.walk.effect(&faults[case.second], true);
                let kept = [(case.first_at, &branch.effect), (case.second_at, &effect)];
                let whole = worlds.plan(&case);
                let plan = Plan::new(story, &kept).ending_as(&whole);
                let lived = swarm::run(&whole.run(story), None, true);
                let forked = branch.walk.fork().end(&plan, &story.run, None);
                // The number of an order that nobody takes is used up: those behind it have other ones.
                let stops = |fault: &Fault| fault.iter().any(|(_, act)| matches!(act, hearth_sim::Act::Stop(_)));
                let lacks_stop = stops(&faults[case.first]) != stops(&branch.effect)
                    || stops(&faults[case.second]) != stops(&effect);
                if !lacks_stop {
                    assert_eq!(forked.trace, lived.trace, "{}, {}", story.name, worlds.name(&case));
                    compared += 1;
                    lacking += usize::from(plan.name(story) != whole.name(story));
                }
                assert_eq!(forked.complaints, lived.complaints, "{}, {}", story.name, worlds.name(&case));
            }
        }
    }
    assert!(compared > 120 && lacking > 20, "{compared} worlds compared, {lacking} of them lack something");
}
