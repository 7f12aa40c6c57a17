//! Poison pills on a shared disk (decision 0055), judged by what runs: whoever is not to go on has ended before anybody
//! else begins, whatever its path to the disk does.

use hearth_sim::agent::Flaw;
use hearth_sim::layout::{Layout, address, group, ms, script};
use hearth_sim::shared::PathMode;
use hearth_sim::{Act, Mutant, Rng, World};
use hearth_types::ResourceId;

const A: usize = 0;
const B: usize = 1;

/// An owner `a` of an address and a script that does not stop, a standby, and a disk between them.
fn pair(seed: u64, mutant: Option<Mutant>) -> World {
    let mut layout = Layout::new(2);
    (layout.shared_disk, layout.watchdog, layout.fence_timeout) = (true, Some(ms(3000)), ms(10_000));
    layout.variants = vec![vec![group(&["a"], vec![address("10.0.0.50"), script("web")])]];
    let mut world = World::settled(layout, seed, mutant);
    assert_eq!(world.site.running_on(&"web".into()), [A]);
    world.act(&Act::Agent { node: A, resource: "web".into(), flaw: Some(Flaw::FailStop) });
    world
}

fn web() -> ResourceId {
    ResourceId::from("web")
}

/// The owner is cut off and without one of its carriers, so b fences it first, a turn of 10.5 s later. Shortly before that
/// the owner's path to the disk becomes such.
fn owner_is_told(mutant: Option<Mutant>, path: PathMode) -> World {
    let mut world = pair(1, mutant);
    world.act(&Act::Split(vec![A]));
    world.act(&Act::Pull { node: A, link: 1 });
    world.run(ms(10_000));
    world.act(&Act::Path(A, path));
    let end = world.site.now + ms(25_000);
    world.run_until(end, |site| site.machines[B].kernel.runs(&web()));
    world.run(ms(500));
    world
}

fn two_owners(world: &World) -> bool {
    world.complaints.iter().any(|complaint| complaint.checker == "one owner")
}

#[test]
fn two_owners_because_a_pill_counted_before_its_machine_had_ended() {
    for path in [PathMode::Works, PathMode::Slow, PathMode::Hangs, PathMode::Broken] {
        let world = owner_is_told(None, path);
        assert_eq!(world.complaints, [], "{path:?}");
        assert!(world.site.machines[B].kernel.runs(&web()), "{path:?}: nothing was taken over");
    }
}

fn is_seen(mutant: Mutant, path: PathMode) {
    let world = owner_is_told(Some(mutant), path);
    assert!(two_owners(&world), "nobody saw it: {:?}", world.complaints);
}

#[test]
fn two_owners_by_a_node_that_ignores_its_pill() {
    is_seen(Mutant::IgnoresPill, PathMode::Works);
}

#[test]
fn two_owners_by_a_pill_that_counts_as_soon_as_it_is_written() {
    is_seen(Mutant::PillProvesAtOnce, PathMode::Broken);
}

#[test]
fn two_owners_by_a_node_that_goes_on_without_looking() {
    is_seen(Mutant::LooksAtNothing, PathMode::Broken);
}

#[test]
fn a_disk_that_fails_takes_nothing_from_two_that_hear_each_other() {
    for path in [PathMode::Hangs, PathMode::Broken] {
        let mut world = pair(2, None);
        [A, B].into_iter().for_each(|node| world.act(&Act::Path(node, path)));
        world.run(ms(20_000));
        assert_eq!(world.complaints, []);
        assert!(world.site.machines[A].kernel.runs(&web()), "{path:?}");
    }
}

/// Chance of its own: what befalls a pair and its disk, one thing after the other.
fn befalls(rng: &mut Rng) -> Vec<Act> {
    let node = rng.index(2);
    let modes = [PathMode::Works, PathMode::Works, PathMode::Slow, PathMode::Hangs, PathMode::Broken];
    match rng.index(9) {
        0 | 1 => vec![Act::Split(vec![A])],
        2 | 3 => vec![Act::Heal],
        4 | 5 => vec![Act::Path(node, modes[rng.index(modes.len())])],
        6 => vec![Act::Kill(node), Act::Start(node)],
        7 => vec![Act::Freeze(node), Act::Path(node, PathMode::Works)],
        _ => vec![Act::Thaw(node), Act::Start(node)],
    }
}

#[test]
fn never_two_owners_whatever_befalls_a_pair_and_its_disk() {
    for seed in 0..100 {
        let (mut world, mut rng) = (pair(seed, None), Rng::new(seed, "pills"));
        for _ in 0..12 {
            befalls(&mut rng).iter().for_each(|act| world.act(act));
            world.run(rng.span(ms(200), ms(9000)));
        }
        assert!(!two_owners(&world), "seed {seed}: {:?}", world.complaints);
    }
}
