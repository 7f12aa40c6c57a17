//! The list of nodes changes between the other faults: a machine more or a machine less, by changed files that one daemon after
//! the other reads (decision 0058), or by `hearth node add` and `remove` (decision 0059).
//!
//! Who writes files may begin and not go on, and may change his mind. When all heals somebody sees to it that every file says
//! the same, and that every daemon has read it.

use crate::act::Act;
use crate::layout::{Layout, LinkKind, ms};
use crate::rng::Rng;
use crate::swarm::Step;
use crate::world::World;
use hearth_control::Request;
use hearth_controller::FENCED_FROM;
use hearth_types::NodeName;

/// Of one cluster in ten that has two machines or more the list changes; below four nothing is taken out.
pub(crate) fn lay_out(rng: &mut Rng, layout: &mut Layout) {
    let nodes = layout.names.len();
    if nodes < 2 || !rng.chance(100) {
        return;
    }
    if nodes >= 4 && rng.chance(500) {
        let others: Vec<usize> = (0..nodes).filter(|node| layout.witness != Some(*node)).collect();
        let gone = *rng.pick(&others);
        layout.moving = Some(gone);
        // haresources must not name it behind that, or its ha.cf would not be read any more.
        let (name, other) = (layout.names[gone].clone(), layout.names[(gone + 1) % nodes].clone());
        for group in layout.variants.iter_mut().flatten() {
            group.preferred.retain(|preferred| *preferred != name);
            if group.preferred.is_empty() {
                group.preferred.push(other.clone());
            }
        }
        return;
    }
    layout.moving = Some(nodes);
    layout.is_to_come = true;
    layout.names.push(NodeName::new(&char::from(b'a' + nodes as u8).to_string()));
    // What joins two machines joins no third.
    layout.ucast = false;
    layout.links.retain(|link| matches!(link, LinkKind::Network));
}

/// The change, in one go or spread between the other faults; and whom all files name in the end.
pub(crate) fn draw(rng: &mut Rng, layout: &Layout, steps: &mut Vec<Step>) -> Option<Vec<usize>> {
    let moving = layout.moving?;
    let all: Vec<usize> = (0..layout.names.len()).collect();
    let without: Vec<usize> = all.iter().copied().filter(|node| *node != moving).collect();
    let comes = layout.is_to_come;
    let first = if comes { add(rng, layout, &all, &without) } else { remove(rng, &without, moving) };
    let from = insert(rng, layout, steps, 0, first);
    // Three do not become two while they run.
    let changes_mind = rng.chance(200) && without.len() > 2;
    if changes_mind {
        let back = if comes { remove(rng, &without, moving) } else { by_files(rng, &all, &all, moving) };
        insert(rng, layout, steps, from, back);
    }
    Some(if comes == changes_mind { without } else { all })
}

/// Puts steps between the others, in their order, from some step on; says behind where they begin.
fn insert(rng: &mut Rng, layout: &Layout, steps: &mut Vec<Step>, from: usize, new: Vec<Step>) -> usize {
    let first = from.max(layout.names.len());
    let began = first.min(steps.len()) + rng.index(steps.len() + 1 - first.min(steps.len()));
    if rng.chance(500) {
        steps.splice(began..began, new);
        return began;
    }
    let mut at = began;
    for step in new {
        at += rng.index(steps.len().saturating_sub(at).min(4) + 1);
        steps.insert(at, step);
        at += 1;
    }
    began
}

fn step(rng: &mut Rng, act: Act) -> Step {
    let longest = [ms(30), ms(300), ms(1500)][rng.index(3)];
    Step { act, then: rng.span(ms(0), longest) }
}

fn add(rng: &mut Rng, layout: &Layout, all: &[usize], others: &[usize]) -> Vec<Step> {
    let moving = all.len() - 1;
    // An ha.cf with `tiebreaker` names no third machine: that line goes out by hand.
    if layout.tiebreaker || layout.tiebreaker_disk || rng.chance(500) {
        return by_files(rng, others, all, moving);
    }
    let ways: Vec<usize> = (0..1 + rng.index(3)).map(|_| *rng.pick(others)).collect();
    let mut steps: Vec<Step> = ways.into_iter().map(|on| step(rng, Act::NodeAdd(on, moving))).collect();
    let at = rng.index(steps.len() + 1);
    steps.insert(at, step(rng, Act::Start(moving)));
    steps
}

fn remove(rng: &mut Rng, others: &[usize], moving: usize) -> Vec<Step> {
    if rng.chance(500) {
        let ways: Vec<usize> = (0..1 + rng.index(3)).map(|_| *rng.pick(others)).collect();
        return ways.into_iter().map(|on| step(rng, Act::NodeRemove(on, moving))).collect();
    }
    let mut steps = vec![Step { act: Act::Stop(moving), then: rng.span(ms(0), ms(1500)) }];
    steps.extend(files(rng, others, others));
    steps
}

/// The files of some machines, one after the other, name these; and a machine is started, in the middle or at an end of that.
fn by_files(rng: &mut Rng, on: &[usize], names: &[usize], starts: usize) -> Vec<Step> {
    let mut steps = files(rng, on, names);
    let at = rng.index(steps.len() + 1);
    steps.insert(at, step(rng, Act::Start(starts)));
    steps
}

fn files(rng: &mut Rng, on: &[usize], names: &[usize]) -> Vec<Step> {
    let mut left = on.to_vec();
    let mut steps = Vec::new();
    while !left.is_empty() {
        let node = left.swap_remove(rng.index(left.len()));
        // Some are forgotten, until somebody sees to it.
        if rng.chance(850) {
            steps.push(step(rng, Act::List(node, names.to_vec())));
        }
    }
    steps
}

/// Somebody reads what daemons say of their lists, and brings what is left of the change to its end.
pub(crate) fn see_to(world: &mut World, turn: usize) {
    let Some(list) = world.site.list.clone() else { return };
    if let Some(gone) = world.site.layout.moving.filter(|moving| !list.contains(moving)) {
        if waits_for_its_word(world, gone) {
            world.site.list = Some((0..world.site.layout.names.len()).collect());
            return world.start(gone);
        }
        take_out(world, &list, gone, turn);
    }
    for node in list.iter().copied() {
        let named = |world: &World, names: &[NodeName]| {
            names.len() == list.len() && list.iter().all(|node| names.contains(&world.site.layout.names[*node]))
        };
        let machine = &world.site.machines[node];
        if !named(world, &machine.config.cluster.nodes) {
            world.act(&Act::List(node, list.clone()));
        } else if machine.awake() && !named(world, &machine.listed) {
            let variant = machine.variant;
            world.reload(node, variant);
            restart_if_told(world, node, turn);
        }
    }
}

/// Where the daemon says that a restart takes the list over, somebody does that after a while.
fn restart_if_told(world: &mut World, node: usize, turn: usize) {
    let machine = &world.site.machines[node];
    let Some(controller) = machine.controller.as_ref().filter(|_| turn % 5 == 4) else { return };
    let objections = controller.objections(machine.local(world.site.now), &machine.config);
    if objections.iter().any(|why| why.ends_with("or restart hearthd")) {
        world.act(&Act::Kill(node));
        world.act(&Act::Start(node));
    }
}

/// Whether nobody can say for a machine that it is off, for want of a wire version that knows such words, and none is raised
/// before it is back: status says to write it back.
fn waits_for_its_word(world: &World, gone: usize) -> bool {
    let machines = &world.site.machines;
    let mut records = machines.iter().filter_map(|machine| machine.controller.as_ref()?.record());
    let name = &world.site.layout.names[gone];
    let is_off = !machines[gone].powered && world.site.layout.names.len() > 3;
    is_off && records.any(|record| record.wire_version < FENCED_FROM && record.active_on(name).next().is_some())
}

/// A machine that is to go stops in order and is turned off then; what cannot be proven of it a person says.
fn take_out(world: &mut World, list: &[usize], gone: usize, turn: usize) {
    let machine = &world.site.machines[gone];
    if machine.awake() {
        world.request(gone, Request::Stop);
    } else if machine.powered {
        world.power_off(gone);
    } else if machine.switching == 0 {
        let on = list[turn % list.len()];
        world.act(&Act::ConfirmOff(on, gone));
    }
}
