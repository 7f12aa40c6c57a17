//! Files that change under a running pair, node by node; each test is named for the harm that a change would do.

use crate::rules::{IP, fine, pair};
use crate::world::*;
use hearth_controller::{Carrier, Input};

/// What was configured, with other times.
fn times(name: &str, keepalive: u64, deadtime: u64) -> Input {
    let mut config = config(name, vec![group("a", vec![address(IP)])], false);
    let timing = &mut config.cluster.timing;
    (timing.keepalive, timing.deadtime, timing.warntime) = (ms(keepalive), ms(deadtime), ms(deadtime / 2));
    (timing.initdead, timing.deadping) = (ms(4 * deadtime), ms(deadtime));
    Input::Reconfigured(Box::new(config))
}

/// One node after the other, the owner first or last, to longer times and back.
const ORDERS: [[usize; 2]; 2] = [[A, B], [B, A]];
const NAMES: [&str; 2] = ["a", "b"];

#[test]
fn times_changed_node_by_node_take_nothing_from_a_healthy_owner() {
    for order in ORDERS {
        let mut world = pair();
        for (keepalive, deadtime) in [(200, 2000), (50, 500), (20, 200), (200, 2000), (20, 200), (50, 500)] {
            for node in order {
                world.feed(node, times(NAMES[node], keepalive, deadtime));
                // Longer than any deadtime here, so that each pairing of old and new lasts.
                world.run(ms(4500));
            }
        }
        fine(&world, 0);
        assert_eq!(world.owner(), Some(A));
        for node in order {
            assert!(!world.has_event(node, "node-died"), "{order:?}\n{}", world.story());
        }
    }
}

#[test]
fn an_owner_that_freezes_between_two_reloads_is_not_taken_over_before_its_longer_lease_ends() {
    // R-LEASE-1: whichever node has the new times already, the other one's lease is waited for.
    for order in ORDERS {
        for (before, after) in [((50, 500), (200, 2000)), ((200, 2000), (50, 500))] {
            for settle in [0, 1, 60, 250, 3000] {
                let mut world = pair();
                for node in order {
                    world.feed(node, times(NAMES[node], before.0, before.1));
                }
                world.run(ms(5000));
                world.feed(order[0], times(NAMES[order[0]], after.0, after.1));
                world.run(ms(settle));
                world.freeze(A);
                world.run(ms(5000));
                fine(&world, 2200);
                assert_eq!(world.owner(), Some(B), "{order:?} {after:?} {settle}\n{}", world.story());
            }
        }
    }
}

/// Nobody was lost, late, or moved away from, and no link that carries was called dead.
fn nobody_lost(world: &World) {
    fine(world, 0);
    assert_eq!(world.owner(), Some(A));
    for node in [A, B] {
        for event in ["node-died", "node-late", "node-one-way", "link-died", "gate-broken"] {
            assert!(!world.has_event(node, event), "{event}\n{}", world.story());
        }
    }
}

#[test]
fn media_added_and_removed_node_by_node_lose_nobody() {
    for order in ORDERS {
        let mut world = pair();
        // A third one, the first one gone, another order, back again; the second node follows within deadtime.
        for wires in [&[0, 1, 2][..], &[1, 2], &[2, 1], &[2], &[0, 2], &[0, 1, 2], &[0, 1]] {
            for node in order {
                assert_eq!(world.reload(node, wires), Vec::<String>::new(), "{wires:?}\n{}", world.story());
                world.run(ms(200));
            }
            world.run(ms(1000));
        }
        nobody_lost(&world);
    }
}

#[test]
fn a_peer_that_is_reloaded_much_later_is_heard_all_the_time() {
    for order in ORDERS {
        for (wires, dark) in [(&[1][..], "eth0"), (&[0], "eth1"), (&[1, 0], ""), (&[2, 1], "eth0")] {
            let mut world = pair();
            assert!(world.reload(order[0], wires).is_empty());
            world.run(ms(3000));
            for event in world.machines.iter().flat_map(|machine| &machine.events) {
                // What nobody sends on any more is dead at the other end, and nothing else is.
                let dead = event.name == "link-died";
                assert!(!dead || (!dark.is_empty() && event.text.starts_with(dark)), "{}", event.text);
            }
            assert!(world.reload(order[1], wires).is_empty());
            world.run(ms(1000));
            fine(&world, 0);
            assert_eq!(world.owner(), Some(A));
            for node in [A, B] {
                assert!(
                    !world.has_event(node, "node-died") && !world.has_event(node, "node-late"),
                    "{}",
                    world.story()
                );
            }
        }
    }
}

#[test]
fn all_media_at_once_would_split_a_healthy_pair_and_are_refused() {
    for node in [A, B] {
        let mut world = pair();
        let objections = world.reload(node, &[2, 3]);
        assert!(objections.len() == 1 && objections[0].contains("no medium stays"), "{objections:?}");
        assert!(objections[0].contains("beside the old ones"), "{objections:?}");
        world.run(ms(2000));
        nobody_lost(&world);
    }
}

#[test]
fn the_last_medium_that_carries_is_not_taken_away() {
    let mut world = pair();
    world.cut(1);
    world.run(ms(2000));
    // The dead one may go; the other may not while only the dead one would stay.
    assert!(world.reload(A, &[1])[0].contains("no medium stays"));
    assert!(world.reload(A, &[0]).is_empty());
    world.run(ms(2000));
    fine(&world, 0);
    assert!(!world.has_event(B, "node-died"), "{}", world.story());
}

#[test]
fn a_medium_that_carries_one_way_only_is_not_left_alone() {
    let mut world = pair();
    // b hears a on eth0 only; a hears b on both.
    world.dropped.insert((A, B, 1));
    world.run(ms(2000));
    let objections = world.reload(A, &[1]);
    assert!(objections.len() == 1 && objections[0].contains("hears this node over 1 of its media"), "{objections:?}");
    // Which one a cannot know; b can, and a after it.
    assert!(world.reload(B, &[1])[0].contains("no medium stays"));
    assert!(world.reload(B, &[0]).is_empty());
    world.run(ms(60));
    assert!(world.reload(A, &[0]).is_empty());
    world.run(ms(2000));
    fine(&world, 0);
    assert!(!world.has_event(B, "node-died"), "{}", world.story());
}

#[test]
fn a_lone_owner_is_not_cut_off_by_media_without_carrier() {
    let mut world = pair();
    world.power_off(B);
    world.carrier(A, "eth2", Carrier::Down);
    world.run(ms(2000));
    let objections = world.reload(A, &[2]);
    assert!(objections.len() == 1 && objections[0].contains("has carrier"), "{objections:?}");
    // Of a peer that is dead nothing can be lost: other media are how it may come back.
    assert!(world.reload(A, &[3]).is_empty());
    world.run(ms(2000));
    fine(&world, 0);
    assert_eq!(world.owner(), Some(A));
}

#[test]
fn what_is_wrong_with_a_medium_stays_with_it() {
    let mut world = pair();
    let trouble = Some("no interface".to_owned());
    world.feed(A, Input::LinkChanged { link: hearth_types::LinkId(1), trouble });
    assert!(world.reload(A, &[2, 0, 1]).is_empty());
    let now = world.now;
    let status = world.machines[A].controller.as_ref().unwrap().status(now);
    let peer = status.nodes.iter().find(|node| node.name == "b").unwrap();
    let troubles: Vec<(&str, bool)> =
        peer.links.iter().map(|link| (link.name.as_str(), link.trouble.is_some())).collect();
    assert_eq!(troubles, [("eth2 ucast", false), ("eth0 ucast", false), ("eth1 ucast", true)]);
}
