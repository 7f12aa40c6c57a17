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

/// The story with faults at certain times since its beginning. What comes at one moment comes in the order of `faults`,
/// and before what the story does then.
pub fn put(story: &Story, faults: &[(Duration, &Fault)]) -> Run {
    let mut acts: Vec<(Duration, Act)> = Vec::new();
    for (at, fault) in faults {
        acts.extend(fault.iter().map(|(after, act)| (*at + *after, act.clone())));
    }
    let last = acts.iter().map(|(at, _)| *at).max().unwrap_or_default();
    let mut at = Duration::ZERO;
    for step in &story.run.steps {
        acts.push((at, step.act.clone()));
        at += step.then;
    }
    let end = at.max(last + GOES_ON);
    // The sort is stable.
    acts.sort_by_key(|(at, _)| *at);
    let next: Vec<Duration> = acts.iter().skip(1).map(|(at, _)| *at).chain([end]).collect();
    let steps = acts.into_iter().zip(next).map(|((at, act), next)| Step { act, then: next - at }).collect();
    Run { steps, ..story.run.clone() }
}
