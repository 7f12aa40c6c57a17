//! As many machines as there can be: they form a cluster, a third of them loses power at once, and the rest settles.

use hearth_sim::check::unwell;
use hearth_sim::layout::{Layout, address, group, ms, script};
use hearth_sim::{Act, World};
use std::time::Duration;

const MACHINES: usize = 32;
/// The owner, others that vote, and some that do not.
const LOST: [usize; 11] = [0, 2, 4, 8, 11, 14, 17, 20, 23, 26, 29];
/// What all of them together may be told while they form a cluster: 75 things by each peer over each of two networks.
const TOLD_MAX: u64 = 150_000;

fn begun() -> World {
    let mut layout = Layout::new(MACHINES);
    let timing = &mut layout.timing;
    (timing.keepalive, timing.warntime) = (ms(1000), ms(3000));
    (timing.deadtime, timing.initdead) = (ms(10_000), ms(20_000));
    layout.variants = vec![vec![group(&["a"], vec![address("10.0.0.50"), script("web")])]];
    let mut world = World::new(layout, 1, None);
    (0..MACHINES).for_each(|node| world.act(&Act::Start(node)));
    world
}

/// How many inputs that took.
fn settles(world: &mut World, within: Duration, what: &str) -> u64 {
    let (from, before) = (world.site.now, world.inputs);
    while let Some(missing) = unwell(&world.site) {
        assert!(world.site.now < from + within, "{what}: {missing}, {:?}", world.complaints);
        world.run(ms(20));
    }
    let inputs = world.inputs - before;
    println!("{what} in {:?}, {inputs} inputs", world.site.now.since(from));
    inputs
}

/// Harm: so many machines keep each other so busy that they form no cluster, or a third of them takes the others with it
/// (R-JOIN-1, R-LEDGER-2, R-LEASE-2).
#[test]
fn thirty_two_machines_form_a_cluster_and_lose_a_third() {
    let mut world = begun();
    let told = settles(&mut world, ms(10_000), "formed");
    assert!(told <= TOLD_MAX, "{told} inputs until all took part");
    world.run(ms(5000));
    LOST.into_iter().for_each(|node| world.act(&Act::PowerOff(node)));
    settles(&mut world, ms(15_000), "settled");
    world.run(ms(10_000));
    world.close();
    assert!(world.complaints.is_empty(), "{:?}", world.complaints);
}
