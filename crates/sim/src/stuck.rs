//! A machine with a watchdog loses all its cables while an agent there does not stop what it started (R-LEASE-6).
//!
//! Chance alone rarely puts the three together, and leaves them together for as long as a watchdog needs.

use crate::act::Act;
use crate::agent::Flaw;
use crate::layout::{Layout, ms};
use crate::rng::Rng;
use crate::swarm::Step;

/// In every other run with watchdogs, at some moment between the other faults.
pub(crate) fn draw(rng: &mut Rng, layout: &Layout, steps: &mut Vec<Step>) {
    if layout.watchdog.is_none() || !rng.chance(500) {
        return;
    }
    let nodes = layout.names.len();
    let node = rng.index(nodes);
    let at = nodes + rng.index(steps.len() + 1 - nodes);
    let mut stuck = Vec::new();
    for spec in layout.resources().iter().filter(|spec| spec.address().is_none()) {
        if rng.chance(700) {
            let flaw = [Flaw::FailStop, Flaw::HangStop][rng.index(2)];
            stuck.push(Act::Agent { node, resource: spec.id.as_str().to_owned(), flaw: Some(flaw) });
        }
    }
    let networks = (0..layout.links.len()).filter(|link| layout.interface(*link).is_some());
    stuck.extend(networks.map(|link| Act::Pull { node, link }));
    let mut stuck: Vec<Step> = stuck.into_iter().map(|act| Step { act, then: ms(0) }).collect();
    if let Some(last) = stuck.last_mut() {
        // Ends before, at and behind the reset; of more than two machines also behind what the others conclude from it.
        last.then = rng.span(ms(2000), if nodes > 2 { ms(9000) } else { ms(5500) });
    }
    steps.splice(at..at, stuck);
}
