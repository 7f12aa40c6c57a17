//! Starting, joining, leaving and coming back (protocol section 7), and who votes.

use crate::faults::{cluster, mend, well};
use crate::trio::{IP, fine, trio};
use crate::world::*;
use hearth_control::Request;

fn voters(world: &World, node: usize) -> Vec<String> {
    world.status(node).epoch.map(|epoch| epoch.voters).unwrap_or_default()
}

#[test]
fn two_of_three_go_on_after_initdead_and_the_third_joins_them() {
    // R-JOIN-1, R-LEDGER-2
    let mut world = World::new(3, vec![group("a", vec![address(IP)])]);
    world.start(A);
    world.start(C);
    world.watch(IP);
    world.run(ms(1500));
    assert_eq!(world.owner(), None, "the third may only be booting a moment later\n{}", world.story());
    world.run_to(ms(2000), "a serves", |world| world.owner() == Some(A));
    world.watch(IP);
    world.start(B);
    world.run(ms(2500));
    for node in [A, B, C] {
        assert_eq!(voters(&world, node), ["a", "b", "c"], "{}", world.story());
    }
    fine(&world, 0);
    // Now one may fail.
    world.power_off(A);
    world.run_to(ms(700), "another serves", |world| world.owner().is_some());
    fine(&world, 545);
}

#[test]
fn a_lone_machine_of_three_never_starts_anything() {
    // R-LEDGER-4: no permit exists among three.
    let mut world = World::new(3, vec![group("a", vec![address(IP)])]);
    world.start(A);
    world.watch(IP);
    world.run(ms(8000));
    assert_eq!(world.owner(), None, "{}", world.story());
    let mut world = trio();
    world.split(&[A]);
    world.run(ms(10_000));
    assert!(world.machines[A].running.is_empty(), "{}", world.story());
    assert!(!world.status(A).quorum);
}

#[test]
fn all_machines_come_back_after_a_power_cut_also_if_one_stays_off() {
    // R-JOIN-2: no initdead for those who have an epoch; what the missing one held is free after initdead by proof.
    for missing in [None, Some(A), Some(B), Some(C)] {
        let mut world = trio();
        for node in [A, B, C] {
            world.power_off(node);
        }
        world.run(ms(500));
        for node in [A, B, C].into_iter().filter(|node| Some(*node) != missing) {
            world.start(node);
            world.run(ms(40));
        }
        let span = if missing == Some(A) { 5000 } else { 1500 };
        world.run_to(ms(span), "somebody serves", |world| world.owner().is_some());
        world.run(ms(2000));
        assert!(world.faults.is_empty(), "{:?}\n{}", world.faults, world.story());
    }
}

#[test]
fn an_orderly_stop_hands_over_and_the_machine_votes_again_when_it_is_back() {
    // R-LEAVE-1: of three the leaver stays an absent voter.
    for node in [A, B, C] {
        let mut world = trio();
        world.move_to(node);
        world.watch(IP);
        world.request(node, Request::Stop);
        world.run_to(ms(1500), "it has stopped", |world| world.machines[node].halted);
        world.run(ms(2000));
        let other = (node + 1) % 3;
        assert!(world.owner().is_some_and(|owner| owner != node), "{}", world.story());
        assert_eq!(voters(&world, other).len(), 3);
        fine(&world, 15);
        world.watch(IP);
        world.start(node);
        world.run(ms(2500));
        fine(&world, 0);
        for node in [A, B, C] {
            assert_eq!(world.status(node).health, "ok", "{:?}\n{}", world.status(node), world.story());
        }
    }
}

#[test]
fn every_machine_is_stopped_and_started_in_turn_and_the_service_never_waits() {
    let mut world = trio();
    for node in [A, B, C, A] {
        world.request(node, Request::Stop);
        world.run_to(ms(2000), "it has stopped", |world| world.machines[node].halted);
        world.run(ms(100));
        world.start(node);
        world.run(ms(2500));
    }
    fine(&world, 15);
}

#[test]
fn every_daemon_is_killed_and_restarted_in_turn_and_the_service_never_waits() {
    // R-LEAVE-2, R-TAKE-4: the lease bridges the restart.
    let mut world = trio();
    for node in [A, B, C, A, C] {
        world.kill(node);
        world.run(ms(150));
        world.start(node);
        world.run(ms(2500));
    }
    fine(&world, 0);
    assert_eq!(world.owner(), Some(A));
    assert_eq!(world.machines[A].done.len(), 1, "started once\n{}", world.story());
}

#[test]
fn a_machine_that_lost_its_state_does_not_vote_for_what_it_was_and_takes_its_place() {
    // R-LEDGER-3, R-JOIN-3
    for node in [A, B, C] {
        let mut world = cluster(3);
        world.power_off(node);
        world.run(ms(100));
        world.machines[node].forget();
        world.start(node);
        well(&mut world, &format!("{} came up without its state", NAMES[node]));
        world.run(ms(2500));
        assert_eq!(voters(&world, node), ["a", "b", "c"], "{}", world.story());
        // All three count: another one may fail.
        let other = (node + 1) % 3;
        world.power_off(other);
        world.run_to(ms(1500), "it is served", |world| world.owner().is_some());
        world.run(ms(1000));
        mend(&mut world);
        well(&mut world, "all are back");
    }
}
