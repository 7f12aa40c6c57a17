//! What befalls a machine or its cables, and how two of it are put into a story.

use crate::stories::Story;
use hearth_sim::Act;
use hearth_sim::layout::ms;
use hearth_sim::swarm::{Run, Step};
use std::time::Duration;

/// For how long a run goes on after its last fault before all heals: longer than a takeover.
const GOES_ON: Duration = ms(1500);

/// Acts, each so long after the fault begins.
pub type Fault = Vec<(Duration, Act)>;

/// Every fault.
pub fn all() -> Vec<Fault> {
    let now = Duration::ZERO;
    let mut faults = Vec::new();
    for node in [0, 1] {
        let dies = |resource: &str| Act::Dies { node, resource: resource.to_owned() };
        faults.extend([
            vec![(now, Act::Kill(node))],
            vec![(now, Act::Kill(node)), (ms(100), Act::Start(node))],
            vec![(now, Act::Freeze(node)), (ms(700), Act::Thaw(node))],
            vec![(now, Act::PowerOff(node)), (ms(800), Act::Start(node))],
            vec![(now, Act::LoseState(node)), (ms(100), Act::Start(node))],
            vec![(now, Act::Stop(node))],
            vec![(now, dies("10.0.0.50"))],
            vec![(now, dies("web"))],
            vec![(now, Act::Pull { node, link: 0 }), (now, Act::Pull { node, link: 1 })],
            (0..2).map(|link| (now, Act::Cut { from: node, to: 1 - node, link })).collect(),
        ]);
    }
    faults.push(vec![(now, Act::Split(vec![0]))]);
    faults
}

/// What comes at one moment comes in the order of faults, and before what the story does then.
const STORY: usize = usize::MAX;

/// Everything that befalls a world, in its order.
pub struct Plan {
    /// When, since the beginning of the story; by which fault; what.
    acts: Vec<(Duration, usize, Act)>,
    /// When all heals.
    end: Duration,
}

impl Plan {
    /// A story with faults at certain times since its beginning.
    pub fn new(story: &Story, faults: &[(Duration, &Fault)]) -> Plan {
        let mut acts: Vec<(Duration, usize, Act)> = Vec::new();
        for (number, (at, fault)) in faults.iter().enumerate() {
            acts.extend(fault.iter().map(|(after, act)| (*at + *after, number, act.clone())));
        }
        let last = acts.iter().map(|(at, ..)| *at).max().unwrap_or_default();
        let mut at = Duration::ZERO;
        for step in &story.run.steps {
            acts.push((at, STORY, step.act.clone()));
            at += step.then;
        }
        // The sort is stable.
        acts.sort_by_key(|(at, by, _)| (*at, *by));
        Plan { acts, end: at.max(last + GOES_ON) }
    }

    /// The same, and all heals when it does in another plan.
    pub fn ending_as(self, other: &Plan) -> Plan {
        Plan { end: other.end, ..self }
    }

    /// The next act behind the first so many, if it comes before those of fault `by` at a moment.
    pub fn before(&self, played: usize, at: Duration, by: usize) -> Option<(Duration, &Act)> {
        let (when, whose, act) = self.acts.get(played)?;
        ((*when, *whose) < (at, by)).then_some((*when, act))
    }

    /// All acts behind the first so many.
    pub fn rest(&self, played: usize) -> impl Iterator<Item = (Duration, &Act)> {
        self.acts[played..].iter().map(|(at, _, act)| (*at, act))
    }

    /// When all heals, since the beginning of the story.
    pub fn end(&self) -> Duration {
        self.end
    }

    /// Plays as a run.
    pub fn run(&self, story: &Story) -> Run {
        let next = self.acts.iter().skip(1).map(|(at, ..)| *at).chain([self.end]);
        let steps = self.acts.iter().zip(next).map(|((at, _, act), next)| Step { act: act.clone(), then: next - *at });
        Run { steps: steps.collect(), ..story.run.clone() }
    }

    /// Two plans of one story with the same name do the same at the same moments, in the same order.
    pub fn name(&self, story: &Story) -> String {
        let mut name = format!("{}", self.end.as_nanos());
        for (at, _, act) in self.acts.iter().filter(|(_, by, _)| *by != STORY) {
            name.push_str(&format!(", {} {}", at.as_nanos(), act.text(&story.run.layout)));
        }
        name
    }
}
