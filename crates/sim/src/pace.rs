//! The cluster by which the simulator's speed is told: three machines, two networks, five minutes, and a machine lost and
//! back in the middle.

use crate::layout::{Layout, address, group, ms, script};
use crate::{Act, World};
use std::time::Duration;

/// How long it lives.
pub const LIFE: Duration = Duration::from_secs(300);

/// Lives once; how many inputs its daemons took. Deadtime is ten times `keepalive`, in milliseconds.
///
/// # Panics
/// Something was wrong with it, which nothing in it can bring about.
pub fn live(seed: u64, keepalive: u64) -> u64 {
    let mut layout = Layout::new(3);
    layout.variants = vec![vec![group(&["a"], vec![address("10.0.0.50"), script("web")])]];
    let timing = &mut layout.timing;
    (timing.keepalive, timing.warntime) = (ms(keepalive), ms(keepalive * 5));
    (timing.deadtime, timing.initdead) = (ms(keepalive * 10), ms(keepalive * 50));
    timing.deadping = timing.deadtime;
    let mut world = World::new(layout, seed, None);
    for node in 0..3 {
        world.act(&Act::Start(node));
    }
    world.run(LIFE / 2);
    world.act(&Act::PowerOff(0));
    world.run(LIFE / 10);
    world.act(&Act::Start(0));
    world.run(LIFE / 2 - LIFE / 10);
    world.close();
    assert!(world.complaints.is_empty(), "seed {seed}: {:?}", world.complaints);
    world.inputs
}
