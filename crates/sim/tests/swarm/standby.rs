//! A pair must not stop its healthy half because the other half died (protocol section 3).

use hearth_sim::agent::Flaw;
use hearth_sim::disk::DiskMode;
use hearth_sim::layout::{address, group, ms, script};
use hearth_sim::{Act, Layout, Rng, World, story};
use hearth_types::Timestamp;
use std::time::Duration;

const SEEDS: u64 = 60;

fn layout(tiebreaker: bool) -> Layout {
    let mut layout = Layout::new(2);
    layout.tiebreaker = tiebreaker;
    layout.drift = true;
    layout.variants = vec![vec![
        group(&["a"], vec![address("10.0.0.50"), script("web"), script("log")]),
        group(&["b"], vec![address("10.0.0.51")]),
    ]];
    layout
}

#[test]
fn whatever_befalls_the_standby_the_owner_and_its_service_notice_nothing() {
    for seed in 0..SEEDS {
        let mut world = World::new(layout(seed % 3 == 1), seed, None);
        world.act(&Act::Start(0));
        world.act(&Act::Start(1));
        world.run(ms(2500));
        // B gives up what it has, so that it is a standby and nothing else.
        world.act(&Act::Takeover(0));
        world.run(ms(1500));
        let stops = world.site.machines[0].stops;
        world.watch("10.0.0.50");
        let mut rng = Rng::new(seed, "standby");
        for _ in 0..8 {
            let act = befall(&mut rng);
            world.act(&act);
            let span = rng.span(ms(10), ms(900));
            world.run(span);
        }
        let told = || story::told(&world.site, Timestamp::ZERO, false);
        assert_eq!(world.longest_gap(), Duration::ZERO, "seed {seed}: a gap\n{}", told());
        assert_eq!(world.site.machines[0].stops, stops, "seed {seed}: the owner was touched\n{}", told());
        assert!(world.complaints.is_empty(), "seed {seed}: {:?}\n{}", world.complaints, told());
    }
}

/// Something happens to B and to nothing else.
fn befall(rng: &mut Rng) -> Act {
    let resource = "10.0.0.51".to_owned();
    match rng.below(10) {
        0 => Act::PowerOff(1),
        1 => Act::Kill(1),
        2 => Act::Freeze(1),
        3 => Act::Thaw(1),
        4 => Act::Pull { node: 1, link: rng.index(2) },
        5 => Act::Plug { node: 1, link: rng.index(2) },
        6 => Act::Disk(1, DiskMode::Slow),
        7 => Act::Agent { node: 1, resource, flaw: Some(Flaw::FailStop) },
        _ => Act::Start(1),
    }
}
