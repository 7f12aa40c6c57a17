//! An owner `a` of an address and a script, which others can take over, and what befalls it: for tests of what resets a machine
//! that cannot stop (R-LEASE-6).

use hearth_sim::agent::Flaw;
use hearth_sim::layout::{Layout, address, group, ms, script};
use hearth_sim::{Act, Mutant, Site, World};
use hearth_types::{ResourceId, Timestamp};

/// So many machines, after three seconds.
pub fn cluster(nodes: usize, mutant: Option<Mutant>, lay_out: impl FnOnce(&mut Layout)) -> World {
    let mut layout = Layout::new(nodes);
    layout.variants = vec![vec![group(&["a"], vec![address("10.0.0.50"), script("web")])]];
    lay_out(&mut layout);
    let mut world = World::new(layout, 1, mutant);
    (0..nodes).for_each(|node| world.act(&Act::Start(node)));
    world.run(ms(3000));
    assert!(runs(&world, 0));
    world
}

/// Whether the script runs there.
pub fn runs(world: &World, node: usize) -> bool {
    world.site.machines[node].kernel.running.contains_key(&ResourceId::from("web"))
}

/// All cables of a machine are pulled.
pub fn isolate(world: &mut World, node: usize) {
    (0..2).for_each(|link| world.act(&Act::Pull { node, link }));
}

/// From now on the script does not stop on `a`.
pub fn hang(world: &mut World) {
    world.act(&Act::Agent { node: 0, resource: "web".into(), flaw: Some(Flaw::FailStop) });
}

/// `a` loses to `b` what it cannot stop, and takes part again (R-LEDGER-6, decision 0049); says when it thawed.
pub fn supersede(world: &mut World) -> Timestamp {
    hang(world);
    world.act(&Act::Freeze(0));
    world.run(ms(1000));
    assert!(runs(world, 1), "nothing was taken over");
    world.act(&Act::Thaw(0));
    let again = |site: &Site| site.machines[0].events.iter().any(|told| told.event.text.starts_with("Epoch 3"));
    let thawed = world.site.now;
    assert!(world.run_until(thawed + ms(1000), again), "it does not take part again, which is what this is about");
    thawed
}
