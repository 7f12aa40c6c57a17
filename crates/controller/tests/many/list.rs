//! The list of nodes changes, by reloads, daemon by daemon, or while all are stopped: what ran runs on, and nobody goes on
//! by half of a list.

use crate::world::*;
use hearth_config::Permits;
use hearth_control::Request;

const IP: &str = "10.0.0.50";

/// The files of the first `count` machines name just these.
pub fn list(world: &mut World, count: usize) {
    for machine in world.machines.iter_mut().take(count) {
        let name = machine.name.to_string();
        machine.config = config(&name, count, vec![group("a", vec![address(IP)])]);
        machine.config.cluster.permits = Permits { tiebreaker_ping: false, unfenced: count == 2 };
    }
}

/// Of `all` machines the first `count` have begun, and one serves the address.
pub fn begun(all: usize, count: usize) -> World {
    let mut world = World::new(all, vec![group("a", vec![address(IP)])]);
    list(&mut world, count);
    (0..count).for_each(|node| world.start(node));
    world.watch(IP);
    world.run_to(ms(3000), "somebody serves", |world| world.owner().is_some());
    world.run(ms(1500));
    world.watch(IP);
    world
}

pub fn stop(world: &mut World, node: usize) {
    world.request(node, Request::Stop);
    world.run(ms(1500));
    assert!(world.machines[node].controller.is_none(), "it does not stop\n{}", world.story());
}

/// The daemon is killed, and the next one reads the files of now and adopts what runs.
pub fn restart(world: &mut World, node: usize) {
    world.kill(node);
    world.run(ms(20));
    world.start(node);
    world.run(ms(1500));
}

pub fn all_is_well(world: &mut World, count: usize) {
    world.run(ms(8000));
    for node in 0..count {
        let status = world.status(node);
        let voters = status.epoch.as_ref().map(|epoch| epoch.voters.len());
        assert_eq!(voters, Some(count), "{node}: {}\n{}", status.summary, world.story());
        assert_eq!(status.health, "ok", "{node}: {}\n{}", status.summary, world.story());
        let note = status.notes.iter().find(|note| note.contains("ha.cf"));
        assert_eq!(note, None, "{node}\n{}", world.story());
    }
    assert!(world.faults.is_empty(), "{:?}\n{}", world.faults, world.story());
    assert!(world.owner().is_some(), "{}", world.story());
}

/// Harm: a machine is added as the manual says, and the service never starts again.
#[test]
fn a_pair_that_was_stopped_in_order_comes_back_as_three() {
    let mut world = begun(3, 2);
    [A, B].into_iter().for_each(|node| stop(&mut world, node));
    list(&mut world, 3);
    (0..3).for_each(|node| world.start(node));
    all_is_well(&mut world, 3);
}

/// Harm: the added machine is named, started, and never let in.
#[test]
fn a_pair_that_lost_power_comes_back_as_three() {
    let mut world = begun(3, 2);
    [A, B].into_iter().for_each(|node| world.power_off(node));
    list(&mut world, 3);
    (0..3).for_each(|node| world.start(node));
    all_is_well(&mut world, 3);
}

/// R-LEAVE-2: by daemons that are replaced while everything runs, one after the other, in whatever order.
#[test]
fn a_pair_becomes_three_and_three_become_four_without_a_gap() {
    for order in [[A, B, C], [B, A, C], [C, A, B], [A, C, B]] {
        let mut world = begun(4, 2);
        list(&mut world, 3);
        for node in order {
            restart(&mut world, node);
        }
        all_is_well(&mut world, 3);
        list(&mut world, 4);
        for node in [A, 3, B, C] {
            restart(&mut world, node);
        }
        all_is_well(&mut world, 4);
        assert_eq!(world.longest_gap, ms(0), "{order:?}: a gap\n{}", world.story());
    }
}

/// Harm: a machine dies while its file and the other's differ, and nothing ever runs again.
#[test]
fn a_machine_that_dies_between_two_lists_costs_no_more_than_before() {
    for (new, dies) in [(A, A), (A, B), (B, A), (B, B)] {
        let mut world = begun(3, 2);
        list(&mut world, 3);
        restart(&mut world, new);
        world.power_off(dies);
        world.run(ms(3000));
        world.start(dies);
        world.run(ms(3000));
        for node in [A, B, C] {
            restart(&mut world, node);
        }
        all_is_well(&mut world, 3);
    }
}

/// The same where they lose each other for a while; each may have gone on, as a pair without a tiebreaker does.
#[test]
fn a_split_between_two_lists_heals() {
    for new in [A, B] {
        let mut world = begun(3, 2);
        list(&mut world, 3);
        restart(&mut world, new);
        world.split(&[A]);
        world.run(ms(3000));
        world.heal();
        world.run(ms(3000));
        world.faults.clear();
        for node in [A, B, C] {
            restart(&mut world, node);
        }
        all_is_well(&mut world, 3);
    }
}

/// R-LEASE-5. Harm: one of two goes on alone, a third is added, and the one loses its power before it has let the other one
/// back in; all three come up, and wait for each other for ever.
#[test]
fn the_only_voter_of_a_new_list_loses_its_power_and_nothing_ever_runs_again() {
    for span in (0..5000).step_by(250) {
        let mut world = begun(3, 2);
        world.power_off(B);
        world.run(ms(3000));
        list(&mut world, 3);
        restart(&mut world, A);
        [B, C].into_iter().for_each(|node| world.start(node));
        world.run_to(ms(3000), "the list is agreed", |world| {
            let record = world.machines[A].controller.as_ref().and_then(|it| it.record());
            record.is_some_and(|record| record.node_order.len() == 3)
        });
        world.run(std::time::Duration::from_micros(span));
        world.power_off(A);
        world.run(ms(700));
        world.start(A);
        all_is_well(&mut world, 3);
    }
}

/// R-LEDGER-4: a machine that has stopped in order, and that no file names any more, does not keep its vote.
#[test]
fn five_become_four_and_four_become_three_without_a_gap() {
    let mut world = begun(5, 5);
    for count in [4, 3] {
        stop(&mut world, count);
        list(&mut world, count);
        (0..count).for_each(|node| restart(&mut world, node));
        all_is_well(&mut world, count);
    }
    assert_eq!(world.longest_gap, ms(0), "a gap\n{}", world.story());
}

/// R-LEDGER-4. Harm: the third machine is taken out of ha.cf, and what is left counts as a pair of which each goes on alone.
#[test]
fn maintenance_turns_three_into_an_unfenced_pair() {
    let mut world = begun(3, 3);
    [C, B, A].into_iter().for_each(|node| world.power_off(node));
    list(&mut world, 2);
    (0..2).for_each(|node| world.start(node));
    world.run(ms(8000));
    world.split(&[A]);
    world.run(ms(5000));
    assert!(world.faults.is_empty(), "{:?}\n{}", world.faults, world.story());
    for node in [A, B] {
        let status = world.status(node);
        let voters = status.epoch.as_ref().map(|epoch| epoch.voters.len());
        assert_eq!(voters, Some(3), "{node} goes on alone\n{}", world.story());
        assert!(status.notes.iter().any(|note| note.contains("does not name c")), "{:?}", status.notes);
    }
}

/// The way that docs/operations.md tells to come from three to two.
#[test]
fn three_that_were_stopped_and_forgot_come_back_as_a_pair() {
    let mut world = begun(3, 3);
    [C, B, A].into_iter().for_each(|node| stop(&mut world, node));
    world.machines.iter_mut().for_each(Machine::forget);
    list(&mut world, 2);
    (0..2).for_each(|node| world.start(node));
    all_is_well(&mut world, 2);
}
