//! What chance alone would rarely draw, or not leave long enough: a copied machine on the network, a disk that hangs, a
//! claim on a disk that two share, a power switch whose word comes late, a person who ends that something is left out.

use crate::act::{Act, SwitchMode};
use crate::disk::DiskMode;
use crate::layout::{Layout, ms};
use crate::rng::Rng;
use crate::shared::PathMode;
use crate::swarm::{Step, WATCHDOG};
use std::time::Duration;

/// Longer than a switch that says so late takes to say it.
const PATIENT: Duration = ms(6000);

/// At some moment once all have been started.
fn at(rng: &mut Rng, layout: &Layout, steps: &[Step]) -> usize {
    let nodes = layout.names.len();
    nodes + rng.index(steps.len() + 1 - nodes)
}

/// One run in eight has a second machine with the name of one (R-WIRE-4), for a while or until all heals.
pub(crate) fn clones(rng: &mut Rng, layout: &Layout, steps: &mut Vec<Step>) {
    if layout.names.len() < 2 || !rng.chance(125) {
        return;
    }
    let node = rng.index(layout.names.len());
    let from = at(rng, layout, steps);
    steps.insert(from, Step { act: Act::Clone(node, true), then: rng.span(ms(0), ms(1500)) });
    if rng.chance(700) {
        let to = from + 1 + rng.index(steps.len() - from);
        steps.insert(to, Step { act: Act::Clone(node, false), then: rng.span(ms(0), ms(1500)) });
    }
}

/// In one run of six a disk takes seconds for each write (R-LEDGER-3), for a while or until all heals.
pub(crate) fn hanging_disks(rng: &mut Rng, layout: &Layout, steps: &mut Vec<Step>) {
    if !rng.chance(167) {
        return;
    }
    let node = rng.index(layout.names.len());
    let from = at(rng, layout, steps);
    steps.insert(from, Step { act: Act::Disk(node, DiskMode::Hangs), then: rng.span(ms(0), ms(1500)) });
    if rng.chance(500) {
        let to = from + 1 + rng.index(steps.len() - from);
        steps.insert(to, Step { act: Act::Disk(node, DiskMode::Fast), then: ms(0) });
    }
}

/// One pair in six that has no fence devices goes by a claim on a disk (decision 0064), and every other one of these has
/// watchdogs for certain (decision 0065).
pub(crate) fn claimed_disk(rng: &mut Rng, layout: &mut Layout) {
    if layout.names.len() != 2 || layout.stonith || !rng.chance(167) {
        return;
    }
    layout.tiebreaker_disk = true;
    if rng.chance(500) {
        layout.watchdog = Some(WATCHDOG);
    }
}

/// The paths to that disk fail, hang and are slow: what hangs may be written late. Half of the times the machines are
/// apart soon after, and while they are the claim is made.
pub(crate) fn paths_to_a_claim(rng: &mut Rng, layout: &Layout, steps: &mut Vec<Step>) {
    if !layout.tiebreaker_disk {
        return;
    }
    for _ in 0..1 + rng.below(4) {
        let node = rng.index(2);
        let mode = [PathMode::Slow, PathMode::Hangs, PathMode::Broken][rng.index(3)];
        let from = at(rng, layout, steps);
        steps.insert(from, Step { act: Act::Path(node, mode), then: rng.span(ms(0), ms(600)) });
        let mut next = from + 1;
        if rng.chance(500) {
            steps.insert(next, Step { act: Act::Split(vec![node]), then: rng.span(ms(0), ms(2500)) });
            next += 1;
        }
        if rng.chance(700) {
            let to = next + rng.index((steps.len() + 1 - next).min(3));
            steps.insert(to, Step { act: Act::Path(node, PathMode::Works), then: rng.span(ms(0), ms(1500)) });
        }
    }
}

/// Where there are fence devices, some say late that they have done it, to who waits for so long or not (R-PAIR-3).
pub(crate) fn late_words(rng: &mut Rng, layout: &mut Layout, steps: &mut Vec<Step>) {
    if !layout.stonith || !rng.chance(400) {
        return;
    }
    if rng.chance(700) {
        layout.fence_timeout = PATIENT;
    }
    let node = rng.index(layout.names.len());
    let from = at(rng, layout, steps);
    steps.insert(from, Step { act: Act::Switch(node, SwitchMode::SaysLate), then: ms(0) });
    if rng.chance(500) {
        // And it is asked to do it.
        let cut = rng.span(ms(0), ms(300));
        steps.insert(from + 1, Step { act: Act::Split(vec![node]), then: cut });
        let heals = from + 2 + rng.index(steps.len() - from - 1);
        steps.insert(heals, Step { act: Act::Heal, then: ms(0) });
    }
}

/// In one run of four somebody says `hearth release`, where there is something to release or not (decision 0045).
pub(crate) fn releases(rng: &mut Rng, layout: &Layout, steps: &mut Vec<Step>) {
    if !rng.chance(250) {
        return;
    }
    for _ in 0..1 + rng.below(3) {
        let on = rng.index(layout.names.len());
        let what = if rng.chance(500) {
            rng.pick(&layout.names).as_str().to_owned()
        } else {
            rng.pick(&layout.resources()).id.as_str().to_owned()
        };
        let at = at(rng, layout, steps);
        steps.insert(at, Step { act: Act::Release(on, what), then: ms(0) });
    }
}
