//! Two machines with fence devices (R-PAIR-1 .. 3, R-TAKE-8, R-LEASE-6): whatever befalls machines and links between the orders
//! of people, nothing runs twice, and in the end everything runs.

mod seeds;

use crate::seeds::seeds;
use hearth_sim::act::SwitchMode;
use hearth_sim::agent::Flaw;
use hearth_sim::layout::{Layout, Supplies, filesystem, group, ms, us};
use hearth_sim::{Act, Rng, World};

const DIRECTORIES: [&str; 2] = ["/srv", "/var"];

/// Each owns a file system; what turns them off is a power switch, or the strips of both supplies.
fn cluster(seed: u64, rng: &mut Rng) -> World {
    let mut layout = Layout::new(2);
    let strips = rng.chance(300);
    layout.supplies = if strips { Supplies::BothCount } else { Supplies::One };
    (layout.stonith, layout.drift, layout.fence_timeout) = (!strips, true, ms(6000));
    layout.watchdog = rng.chance(300).then_some(ms(3000));
    layout.variants = vec![vec![group(&["a"], vec![filesystem("/srv")]), group(&["b"], vec![filesystem("/var")])]];
    World::settled(layout, seed, None)
}

fn agent(node: usize, directory: &str, flaw: Option<Flaw>) -> Act {
    Act::Agent { node, resource: directory.to_owned(), flaw }
}

/// What befalls it, one thing after the other.
fn befalls(rng: &mut Rng) -> Vec<Act> {
    let (node, modes) = (rng.index(2), [SwitchMode::Works, SwitchMode::Slow, SwitchMode::SaysLate, SwitchMode::Fails]);
    let (other, mode, directory) = (1 - node, modes[rng.index(modes.len())], DIRECTORIES[rng.index(2)]);
    match rng.index(19) {
        0 | 1 => vec![Act::Switch(node, mode), Act::Supply(node, rng.index(2), mode)],
        2 => vec![Act::Freeze(node)],
        3 => vec![Act::Thaw(node)],
        4 | 5 => vec![Act::Split(vec![node])],
        6 => vec![Act::Heal],
        7 | 8 => vec![Act::Kill(node), Act::Start(node)],
        9 => vec![Act::PowerCycle(node)],
        10 | 11 => vec![Act::Fence(node, other)],
        12 => vec![Act::Stop(node)],
        13 => vec![agent(node, directory, Some(if rng.chance(700) { Flaw::FailStop } else { Flaw::HangStop }))],
        14 => vec![agent(node, directory, None)],
        15 => vec![Act::Standby(node)],
        16 => vec![Act::Failback(node)],
        _ => vec![Act::Heal, Act::Thaw(node), Act::Thaw(other), Act::Start(node), Act::Start(other)],
    }
}

/// Whatever it was: everything is mended, a person switches on what was left off, and clears what failed.
fn mended(world: &mut World) {
    world.act(&Act::Heal);
    for node in world.site.nodes() {
        world.act(&Act::Switch(node, SwitchMode::Works));
        (0..2).for_each(|side| world.act(&Act::Supply(node, side, SwitchMode::Works)));
        DIRECTORIES.iter().for_each(|directory| world.act(&agent(node, directory, None)));
        world.act(&Act::Thaw(node));
    }
    world.run(ms(8000));
    world.switch_on();
    for _ in 0..2 {
        world.run(ms(5000));
        world.site.nodes().for_each(|node| world.act(&Act::Clear(node)));
    }
    world.run(ms(30_000));
}

/// What was wrong with that seed, if anything.
fn wrong(seed: u64) -> Option<String> {
    let mut rng = Rng::new(seed, "pairs");
    let (mut world, mut befell) = (cluster(seed, &mut rng), Vec::new());
    for _ in 0..14 {
        let acts = befalls(&mut rng);
        acts.iter().for_each(|act| world.act(act));
        befell.push(format!("{} {acts:?}", world.site.now));
        world.run(rng.span(ms(50), ms(6000)));
    }
    mended(&mut world);
    let unwell = hearth_sim::check::unwell(&world.site);
    if world.complaints.is_empty() && unwell.is_none() {
        return None;
    }
    Some(format!("seed {seed}: {:?}, {unwell:?}\n  {}", world.complaints.first(), befell.join("\n  ")))
}

#[test]
fn never_two_owners_whatever_people_order() {
    let wrong: Vec<String> = seeds(0..250).filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{} seeds\n{}", wrong.len(), wrong.join("\n"));
}

/// R-PAIR-3, decision 0032: the other one may go on alone from the moment at which this one has accepted that it leaves, and
/// whatever its next daemon finds in /run, it turns nobody off.
#[test]
fn two_owners_because_a_machine_that_left_had_its_right_to_fence_from_before() {
    for step in 0..80 {
        let mut layout = Layout::new(2);
        layout.stonith = true;
        layout.variants = vec![vec![group(&["a"], vec![filesystem("/srv")])]];
        let mut world = World::settled(layout, step, None);
        world.act(&Act::Stop(1));
        world.run(us(100 * step));
        [Act::Kill(1), Act::Split(vec![1]), Act::Start(1)].iter().for_each(|act| world.act(act));
        world.run(ms(10_000));
        assert!(world.complaints.is_empty(), "killed after {step}00 us: {:?}", world.complaints.first());
        mended(&mut world);
        assert_eq!(hearth_sim::check::unwell(&world.site), None, "killed after {step}00 us");
    }
}
