//! What an owner states of its own vote: it carried itself until it accepted its own loss.

use crate::trio::trio;
use crate::world::*;
use hearth_types::Timestamp;
use std::time::Duration;

fn told(world: &World, node: usize, event: &str) -> Option<Timestamp> {
    world.machines[node].events.iter().rev().find(|it| it.name == event).map(|it| it.at)
}

/// For how long a node has not vouched for itself, as its newest heartbeat states; none: it vouches for itself.
fn stated(world: &World, node: usize) -> Option<Duration> {
    let newest = world.machines[node].said.as_ref()?;
    let revoked = newest.statement.as_ref()?.revoked.iter().find(|it| it.node == world.machines[node].name)?;
    Some(Duration::from_micros(revoked.age_us.into()))
}

/// R-LEASE-3, R-LEASE-4 (found by the model in docs/model): the owner is carried by itself and the third, which has not heard
/// that it is lost. It accepts its own loss from a DC that has not heard it for long, and with its word the DC has a
/// majority. Were its own last vouch as old as its daemon, the proof would be there at once, and its gate open, where it
/// was frozen in that moment.
#[test]
fn a_lost_owner_is_proven_over_by_its_own_word_while_it_could_still_answer() {
    let mut world = trio();
    let dc = world.dc();
    let (owner, third) = ((dc + 1) % 3, (dc + 2) % 3);
    world.move_to(owner);
    assert_eq!(world.dc(), dc, "{}", world.story());
    // The third accuses the owner first and says so; then the DC is left with that word, and with nobody.
    world.cut(owner, third);
    world.run(ms(100));
    world.cut(owner, dc);
    let begin = world.now;
    let died = |world: &World, node: usize| told(world, node, "node-died").is_some_and(|at| at >= begin);
    world.run_to(ms(700), "the third accuses the owner", |world| died(world, third));
    world.run(ms(60));
    world.cut(dc, third);
    world.run_to(ms(100), "the DC accuses the owner", |world| died(world, dc));
    world.run(ms(5));
    // The owner and the third find each other: it serves.
    world.heal();
    world.cut(owner, dc);
    world.cut(dc, third);
    world.run_to(ms(200), "the owner serves", |world| world.owner() == Some(owner));
    world.run(ms(50));
    // Now it hears the DC, and that it is lost.
    world.heal();
    world.cut(dc, third);
    let served_until = world.now;
    world.run_to(ms(300), "the owner accepts its loss", |world| stated(world, owner).is_some());
    let age = stated(&world, owner).expect("a word on itself");
    let truly = world.now.since(served_until);
    assert!(age <= truly, "it says that it has carried itself no more for {age:?}: {truly:?}\n{}", world.story());
    world.heal();
    world.run(ms(4000));
    assert!(world.faults.is_empty(), "{:?}\n{}", world.faults, world.story());
    assert!(world.owner().is_some(), "{}", world.story());
}
