//! Somebody puts disks back to older copies, as people do: with the rest of the cluster there, or with everything off.
//!
//! Who knows what a disk has forgotten must be there when it comes back: what nobody there knows, nobody can recognise
//! (R-LEDGER-3, decision 0027). Of two every decision needs both, so that there it may also be done at any moment.

use crate::act::Act;
use crate::disk::DiskMode;
use crate::layout::{Layout, ms};
use crate::rng::Rng;
use crate::swarm::Step;
use std::time::Duration;

/// In one run of four a disk is saved and put back between the other faults.
pub(crate) fn draw(rng: &mut Rng, layout: &Layout, steps: &mut Vec<Step>) {
    let nodes = layout.names.len();
    if nodes == 1 || !rng.chance(250) {
        return;
    }
    let node = rng.index(nodes);
    let first = nodes + rng.index(steps.len() + 1 - nodes);
    let second = first + rng.index(steps.len() + 1 - first);
    let put_back = match rng.below(3) {
        0 if nodes == 2 => carelessly(rng, node),
        0 | 1 => beside_the_others(rng, layout, &steps[..second], node),
        _ => after_all_were_off(rng, layout, &steps[..second], node),
    };
    steps.splice(second..second, put_back);
    steps.insert(first, step(Act::Backup(node), ms(0)));
    if nodes > 2 {
        // Of three, one that was put back and one without its state are a majority that has forgotten.
        for step in steps {
            if let Act::LoseState(node) = step.act {
                step.act = Act::Kill(node);
            }
        }
    }
}

fn step(act: Act, then: Duration) -> Step {
    Step { act, then }
}

fn carelessly(rng: &mut Rng, node: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    // Who booted since asks nobody but the others (decision 0027).
    if rng.chance(500) {
        steps.push(step(Act::PowerOff(node), rng.span(ms(0), ms(300))));
    }
    steps.push(step(Act::Restore(node), rng.span(ms(0), ms(300))));
    steps.push(step(Act::Start(node), rng.span(ms(0), ms(1500))));
    steps
}

fn beside_the_others(rng: &mut Rng, layout: &Layout, before: &[Step], node: usize) -> Vec<Step> {
    let mut steps = calm(layout, before);
    if rng.chance(500) {
        steps.push(step(Act::PowerOff(node), rng.span(ms(0), ms(900))));
    }
    steps.push(step(Act::Restore(node), rng.span(ms(0), ms(900))));
    steps.push(step(Act::Start(node), ms(1000)));
    steps
}

/// One was away while the others decided; then all come up at about the same time, and one of those that decided has
/// forgotten it.
fn after_all_were_off(rng: &mut Rng, layout: &Layout, before: &[Step], node: usize) -> Vec<Step> {
    let nodes = layout.names.len();
    let away = (node + 1 + rng.index(nodes - 1)) % nodes;
    let mut steps = calm(layout, before);
    if nodes > 2 {
        steps.push(step(Act::PowerOff(away), ms(900)));
    }
    steps.push(step(Act::Backup(node), ms(0)));
    for _ in 0..1 + rng.below(3) {
        let order = [Act::Standby(node), Act::Takeover(node)];
        steps.push(step(order[rng.index(2)].clone(), rng.span(ms(10), ms(600))));
    }
    steps.push(step(Act::Heal, ms(300)));
    steps.extend((0..nodes).map(|other| step(Act::PowerOff(other), ms(0))));
    steps.push(step(Act::Restore(node), ms(100)));
    // The two that have forgotten or never knew are first: after 100 ms they would lead, and who knows is there before
    // warntime (250 ms) is over.
    let mut first = [away, node];
    first.rotate_left(rng.index(2));
    let others = (0..nodes).filter(|other| !first.contains(other));
    steps.extend(first.iter().map(|one| step(Act::Start(*one), rng.span(ms(0), ms(20)))));
    steps.push(step(Act::Heal, rng.span(ms(100), ms(200))));
    steps.extend(others.map(|other| step(Act::Start(other), rng.span(ms(0), ms(20)))));
    steps.push(step(Act::Heal, ms(1000)));
    steps
}

/// Everybody is there, hears everybody, and has written what it knows.
fn calm(layout: &Layout, before: &[Step]) -> Vec<Step> {
    let mut acts = vec![Act::Heal];
    for node in 0..layout.names.len() {
        for link in 0..layout.links.len() {
            let of_it = |step: &&Step| match step.act {
                Act::Pull { node: one, link: other } | Act::Plug { node: one, link: other } => {
                    (one, other) == (node, link)
                }
                _ => false,
            };
            if before.iter().rev().find(of_it).is_some_and(|step| matches!(step.act, Act::Pull { .. })) {
                acts.push(Act::Plug { node, link });
            }
        }
        acts.extend([Act::Resume(node), Act::Thaw(node), Act::WrongKey(node, false), Act::Disk(node, DiskMode::Fast)]);
        acts.extend([Act::Kill(node), Act::Start(node)]);
    }
    let mut steps: Vec<Step> = acts.into_iter().map(|act| step(act, ms(0))).collect();
    if let Some(last) = steps.last_mut() {
        last.then = ms(2500);
    }
    steps
}
