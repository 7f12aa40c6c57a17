//! Faults by chance: any fault of any machine and any cut of any pair, in either direction, at any moment, with orders of
//! people between them. Never two owners; after the heal everything runs exactly once. `HEARTH_MANY=from..to` runs other
//! seeds.

use crate::faults::{cluster, mend, well};
use crate::world::*;
use hearth_control::{Request, Which};

/// splitmix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn befall(world: &mut World, chance: &mut Chance) {
    let count = world.machines.len() as u64;
    let node = chance.below(count) as usize;
    let other = (node + 1 + chance.below(count - 1) as usize) % count as usize;
    let machine = &world.machines[node];
    let (runs, frozen) = (machine.controller.is_some(), machine.frozen);
    match chance.below(20) {
        0 => world.power_off(node),
        1 if runs => world.kill(node),
        1..4 if !runs => world.start(node),
        2 | 3 if runs && !frozen => world.freeze(node),
        2..6 if frozen => world.thaw(node),
        6 | 7 => world.cut(node, other),
        8 => world.dropped.extend([(node, other, 0), (node, other, 1)]),
        9 => world.split(&[node]),
        10..14 => world.heal(),
        14 if runs => _ = world.request(node, Request::Standby { which: Which::All, wait: true }),
        15 if runs => _ = world.request(node, Request::Takeover { which: Which::All, wait: true }),
        16 if runs => _ = world.request(node, Request::Stop),
        17 if runs => _ = world.request(node, Request::Failback { wait: true }),
        _ => {}
    }
}

fn run(seed: u64) {
    let mut chance = Chance(seed);
    let count = [3, 3, 4, 5][chance.below(4) as usize];
    let mut world = cluster(count);
    for _ in 0..5 + chance.below(12) {
        befall(&mut world, &mut chance);
        let span = [20, 60, 200, 450, 600, 1500][chance.below(6) as usize] + chance.below(60);
        world.run(ms(span));
    }
    mend(&mut world);
    // An orderly stop that was ordered before ends now; a person starts it again.
    world.run(ms(2000));
    mend(&mut world);
    well(&mut world, &format!("seed {seed}"));
}

#[test]
fn chance_makes_no_two_owners() {
    let range = std::env::var("HEARTH_MANY").unwrap_or_else(|_| "0..150".to_owned());
    let (from, to) = range.split_once("..").expect("from..to");
    for seed in from.parse().expect("a number")..to.parse().expect("a number") {
        run(seed);
    }
}
