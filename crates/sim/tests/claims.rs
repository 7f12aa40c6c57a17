//! The claim on a shared disk (`tiebreaker disk`, decision 0064), judged by what runs: in a full split one of two goes on,
//! and the other one has stopped before, whatever the disk does to either.

mod seeds;

use crate::seeds::seeds;
use hearth_sim::layout::{Layout, address, group, ms, script};
use hearth_sim::shared::PathMode;
use hearth_sim::{Act, Mutant, Rng, World, story};
use hearth_types::{ResourceId, Timestamp};
use std::time::Duration;

const A: usize = 0;
const B: usize = 1;
const BOTH: [&str; 2] = ["10.0.0.50", "10.0.0.51"];

/// Each machine owns an address; with a watchdog each has a script beside it.
fn pair(seed: u64, watchdog: Option<Duration>, mutant: Option<Mutant>) -> World {
    let mut layout = Layout::new(2);
    (layout.tiebreaker_disk, layout.watchdog, layout.drift) = (true, watchdog, mutant.is_none());
    let of = |node: &str, at: usize| {
        let script = watchdog.map(|_| script(["web", "mail"][at]));
        group(&[node], [address(BOTH[at])].into_iter().chain(script).collect())
    };
    layout.variants = vec![vec![of("a", 0), of("b", 1)]];
    let world = World::settled(layout, seed, mutant);
    for (node, id) in [A, B].into_iter().zip(BOTH) {
        assert_eq!(world.site.running_on(&id.into()), [node], "seed {seed}");
    }
    world
}

fn two_owners(world: &World) -> bool {
    world.complaints.iter().any(|complaint| complaint.checker == "one owner")
}

/// What each machine runs.
fn served_by(world: &World) -> [usize; 2] {
    [A, B].map(|node| BOTH.iter().filter(|id| world.site.machines[node].kernel.runs(&ResourceId::from(**id))).count())
}

#[test]
fn of_two_that_both_own_something_one_goes_on_with_all() {
    for seed in 0..20 {
        let mut world = pair(seed, None, None);
        world.act(&Act::Split(vec![A]));
        world.run(ms(4000));
        assert_eq!(world.complaints, [], "seed {seed}");
        let mut served = served_by(&world);
        served.sort_unstable();
        assert_eq!(served, [0, 2], "seed {seed}");
    }
}

#[test]
fn two_owners_by_a_claim_that_is_made_without_rounds() {
    let mut world = pair(1, None, Some(Mutant::ClaimsByOneRead));
    world.act(&Act::Split(vec![A]));
    world.run(ms(4000));
    assert!(two_owners(&world), "nobody saw it: {:?}", world.complaints);
}

#[test]
fn a_disk_that_fails_takes_nothing_from_two_that_hear_each_other() {
    for path in [PathMode::Hangs, PathMode::Broken] {
        let mut world = pair(2, None, None);
        [A, B].into_iter().for_each(|node| world.act(&Act::Path(node, path)));
        world.run(ms(20_000));
        assert_eq!(world.complaints, []);
        assert_eq!(served_by(&world), [1, 1], "{path:?}");
        // Said, and said to be over.
        for (mode, note) in [(path, true), (PathMode::Works, false)] {
            [A, B].into_iter().for_each(|node| world.act(&Act::Path(node, mode)));
            world.run(ms(8000));
            let status = world.site.status(A).expect("it runs");
            assert_eq!(status.notes.iter().any(|note| note.starts_with("The tiebreaker")), note, "{:?}", status.notes);
        }
    }
}

/// Whatever the machine did that a person calls off: what it claimed is void, and it goes on with nothing when it is back.
#[test]
fn two_owners_because_a_machine_that_was_called_off_came_back_with_its_claim() {
    let mut world = pair(3, None, None);
    world.act(&Act::PowerOff(A));
    world.run(ms(4000));
    assert_eq!(served_by(&world), [0, 2]);
    world.act(&Act::PowerOff(B));
    world.act(&Act::Start(A));
    world.run(ms(5000));
    assert_eq!(served_by(&world), [0, 0], "the claim is the other one's");
    world.act(&Act::ConfirmOff(A, B));
    world.run(ms(2000));
    assert_eq!(served_by(&world), [2, 0]);
    world.act(&Act::Split(vec![A]));
    world.act(&Act::Start(B));
    world.run(ms(10_000));
    assert_eq!((served_by(&world), two_owners(&world)), ([2, 0], false));
    world.act(&Act::Heal);
    world.run(ms(10_000));
    assert!(hearth_sim::check::unwell(&world.site).is_none());
}

/// Chance of its own: what befalls a pair and its disk, one thing after the other.
fn befalls(rng: &mut Rng) -> Vec<Act> {
    let node = rng.index(2);
    let modes = [PathMode::Works, PathMode::Works, PathMode::Slow, PathMode::Hangs, PathMode::Broken];
    match rng.index(14) {
        0..=2 => vec![Act::Split(vec![A])],
        3..=5 => vec![Act::Heal],
        6 | 7 => vec![Act::Path(node, modes[rng.index(modes.len())])],
        8 => vec![Act::Kill(node), Act::Start(node)],
        9 => vec![Act::PowerCycle(node)],
        10 => vec![Act::Cut { from: node, to: 1 - node, link: 0 }, Act::Cut { from: node, to: 1 - node, link: 1 }],
        11 => vec![Act::Freeze(node), Act::Path(node, PathMode::Works)],
        12 => vec![Act::Stop(node)],
        _ => vec![Act::Thaw(node), Act::Start(node)],
    }
}

/// What was wrong with that seed, if anything.
fn wrong(seed: u64, watchdog: Option<Duration>) -> Option<String> {
    let (mut world, mut rng) = (pair(seed, watchdog, None), Rng::new(seed, "claims"));
    let mut befell = Vec::new();
    for _ in 0..14 {
        let acts = befalls(&mut rng);
        acts.iter().for_each(|act| world.act(act));
        let span = rng.span(ms(100), ms(5000));
        befell.push(format!("{} {acts:?}", world.site.now));
        world.run(span);
    }
    // Whatever it was: in the end they are together, and somebody serves.
    world.act(&Act::Heal);
    for node in [A, B] {
        [Act::Path(node, PathMode::Works), Act::Thaw(node)].iter().for_each(|act| world.act(act));
    }
    // An order to stop may have waited.
    world.run(ms(5000));
    [A, B].into_iter().for_each(|node| world.act(&Act::Start(node)));
    world.run(ms(15_000));
    let unwell = hearth_sim::check::unwell(&world.site);
    if !two_owners(&world) && unwell.is_none() {
        return None;
    }
    let told = story::told(&world.site, Timestamp::ZERO, false) + &story::now(&world.site);
    Some(format!("seed {seed}: {unwell:?} {:?}\n{befell:#?}\n{told}", world.complaints))
}

fn random_worlds(watchdog: Option<Duration>) {
    let wrong: Vec<String> = seeds(0..120).filter_map(|seed| wrong(seed, watchdog)).collect();
    assert!(wrong.is_empty(), "{} seeds: {}", wrong.len(), wrong.join("\n"));
}

#[test]
fn never_two_owners_whatever_befalls_a_pair_and_its_disk() {
    random_worlds(None);
}

#[test]
fn never_two_owners_of_anything_where_a_watchdog_resets_them() {
    random_worlds(Some(ms(3000)));
}
