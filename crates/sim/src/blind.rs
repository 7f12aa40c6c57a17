//! An owner stands still where nobody can ask the wire for its address: clocks alone keep the two apart (R-LEASE-1, R-LEASE-9).
//!
//! Chance alone rarely silences the network of the address and stops its owner for longer than deadtime, the other network
//! left whole until then.

use crate::act::Act;
use crate::layout::{Layout, ms};
use crate::rng::Rng;
use crate::swarm::Step;

/// In one pair of ten, at some moment between the other faults.
pub(crate) fn draw(rng: &mut Rng, layout: &Layout, steps: &mut Vec<Step>) {
    let nodes = layout.names.len();
    if nodes != 2 || !rng.chance(100) {
        return;
    }
    let node = rng.index(nodes);
    let at = nodes + rng.index(steps.len() + 1 - nodes);
    let cut = |from: usize| Act::Cut { from, to: 1 - from, link: 0 };
    let blind = [
        Step { act: cut(0), then: ms(0) },
        Step { act: cut(1), then: rng.span(ms(0), ms(200)) },
        Step { act: Act::Freeze(node), then: rng.span(ms(400), ms(1500)) },
        Step { act: Act::Thaw(node), then: ms(0) },
    ];
    steps.splice(at..at, blind);
}
