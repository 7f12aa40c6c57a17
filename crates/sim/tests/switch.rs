//! Leases across epochs (R-LEASE-12): majorities of two lists of voters need not meet. Five machines shrink to three, and
//! at every moment of that the owner is left with those who vote no more, while the others begin the next epoch.

use hearth_sim::check::Complaint;
use hearth_sim::layout::{Layout, address, group, ms, us};
use hearth_sim::{Act, Mutant, Rng, Site, World};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;
const E: usize = 4;

/// Five on one network, and c owns the address; d and e have just been cut off.
fn begun(seed: u64, mutant: Option<Mutant>) -> World {
    let mut layout = Layout::new(5);
    layout.links.truncate(1);
    layout.variants = vec![vec![group(&["c"], vec![address("10.0.0.50")])]];
    let mut world = World::new(layout, seed, mutant);
    (A..=E).for_each(|node| world.act(&Act::Start(node)));
    world.run(ms(3000));
    assert_eq!(world.site.running_on(&"10.0.0.50".into()), [C], "c owns it before anything happens");
    world.act(&Act::Split(vec![D, E]));
    world
}

/// From now on these hear each other, each pair in both directions, and nobody else does.
fn only(world: &mut World, pairs: &[(usize, usize)]) {
    world.act(&Act::Heal);
    for from in A..=E {
        for to in (A..=E).filter(|to| *to != from) {
            if !pairs.contains(&(from, to)) && !pairs.contains(&(to, from)) {
                world.act(&Act::Cut { from, to, link: 0 });
            }
        }
    }
}

fn is_end(line: &str) -> bool {
    line.contains("\"stop_sign\":{")
}

/// d and e are lost for a, b and c, and a writes down that these three vote next.
fn until_a_ends_the_epoch(world: &mut World) {
    let ends = |site: &Site| site.machines[A].disk.writes.iter().any(|write| write.log.iter().any(|line| is_end(line)));
    assert!(world.run_until(world.site.now + ms(1500), ends), "the voters shrink");
}

/// The owner loses a and b, and meets d and e again.
fn owner_goes_over(world: &mut World) {
    only(world, &[(A, B), (C, D), (C, E), (D, E)]);
}

/// Plays all of it; what was wrong.
fn complaints(seed: u64, mutant: Option<Mutant>, play: impl Fn(&mut World, &mut Rng)) -> Vec<Complaint> {
    let mut world = begun(seed, mutant);
    play(&mut world, &mut Rng::new(seed, "switch"));
    world.run(ms(2500));
    world.close();
    world.complaints
}

/// How many of these runs had two owners, and that nothing else was wrong.
fn two_owners(seeds: u64, mutant: Option<Mutant>, play: impl Fn(&mut World, &mut Rng) + Copy + Sync) -> usize {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    std::thread::scope(|scope| {
        let part = |first: u64| {
            let seeds = (first..seeds).step_by(threads as usize);
            seeds.filter(|seed| complaints(*seed, mutant, play).iter().any(|it| it.checker == "one owner")).count()
        };
        let parts: Vec<_> = (0..threads).map(|first| scope.spawn(move || part(first))).collect();
        parts.into_iter().map(|part| part.join().expect("no panic")).sum()
    })
}

/// c has accepted that a, b and c vote next, and does not know whether that was decided: it was.
fn owner_accepted(world: &mut World, rng: &mut Rng) {
    until_a_ends_the_epoch(world);
    world.run(us(rng.below(6_000)));
    owner_goes_over(world);
}

/// c has not, but d does: it meets a and b while c is with d and e. As soon as that is on its disk it hears them no more,
/// though they hear its word: it was decided. c is left with d, or with what d vouched for before.
fn another_accepted(world: &mut World, rng: &mut Rng) {
    until_a_ends_the_epoch(world);
    owner_goes_over(world);
    world.run(ms(100) + us(rng.below(300_000)));
    only(world, &[(A, B), (A, D), (B, D), (C, D), (C, E), (D, E)]);
    let end = world.site.now + ms(200);
    world.run_until(end, |site| site.machines[D].disk.log.iter().any(|line| is_end(line)));
    [A, B].into_iter().for_each(|from| world.act(&Act::Cut { from, to: D, link: 0 }));
    if rng.chance(500) {
        [(C, D), (D, C)].into_iter().for_each(|(from, to)| world.act(&Act::Cut { from, to, link: 0 }));
    }
    world.run(ms(3));
    [A, B].into_iter().for_each(|to| world.act(&Act::Cut { from: D, to, link: 0 }));
}

#[test]
fn two_owners_by_two_lists_of_voters_that_share_the_owner_alone() {
    // R-LEASE-12: an end of its own that it accepted binds the owner.
    assert_eq!(two_owners(100, None, owner_accepted), 0);
}

#[test]
fn two_owners_by_two_lists_of_voters_of_which_the_owner_heard_by_a_vouch() {
    // R-LEASE-12: what a voter has named, and the age of the epoch.
    assert_eq!(two_owners(100, None, another_accepted), 0);
}

/// The two above look at the moments that matter: without the rule there are two owners.
#[test]
fn two_owners_where_nobody_says_who_votes_next() {
    let seen = two_owners(60, Some(Mutant::ForgetsNextVoters), another_accepted);
    assert!(seen > 0, "no run showed it");
}

#[test]
fn two_owners_where_a_proof_does_not_wait_for_the_age_of_its_epoch() {
    let seen = two_owners(60, Some(Mutant::EpochsAreOld), another_accepted);
    assert!(seen > 0, "no run showed it");
}
