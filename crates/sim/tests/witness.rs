//! A witness has a vote and leads only while no node can (R-LEDGER-2): the smallest machine decides for nobody who is there.

use hearth_sim::layout::{Layout, address, group, ms};
use hearth_sim::{Act, World};
use hearth_types::NodeName;

/// a would lead by its name, and is the witness.
fn with_a_witness(seed: u64) -> World {
    let mut layout = Layout::new(3);
    layout.witness = Some(0);
    layout.variants = vec![vec![group(&["b"], vec![address("10.0.0.50")])]];
    World::new(layout, seed, None)
}

/// Who leads, in the words of every machine that has power.
fn leaders(world: &World) -> Vec<Option<String>> {
    let on = world.site.nodes().filter(|node| world.site.machines[*node].powered);
    on.map(|node| world.site.status(node).and_then(|status| status.dc)).collect()
}

#[test]
fn a_witness_that_was_there_first_hands_over_to_the_nodes() {
    for seed in 0..20 {
        let mut world = with_a_witness(seed);
        for (node, wait) in [(0, 300), (1, 2000), (2, 3000)] {
            world.act(&Act::Start(node));
            world.run(ms(wait));
        }
        let led = leaders(&world);
        assert!(led.iter().all(|dc| dc == &led[0] && dc.as_deref() != Some("a")), "seed {seed}: {led:?}");
        let dc = led[0].as_ref().and_then(|name| world.site.layout.node(&NodeName::new(name).to_string()));
        let dc = dc.expect("somebody leads");
        world.act(&Act::PowerOff(dc));
        world.run(ms(2000));
        let other = if dc == 1 { "c" } else { "b" };
        let led = leaders(&world);
        assert!(led.iter().all(|dc| dc.as_deref() == Some(other)), "seed {seed}: {led:?}");
        assert_eq!(world.site.running_on(&"10.0.0.50".into()).len(), 1, "seed {seed}");
        world.close();
        assert!(world.complaints.is_empty(), "seed {seed}: {:?}", world.complaints);
    }
}
