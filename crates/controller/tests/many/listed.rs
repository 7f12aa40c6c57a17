//! The list of nodes changes while daemons run (decision 0058): `hearth reload` on one machine after the other. Each test is
//! named for the harm that a change could do.

use crate::list::{all_is_well, begun, list, restart, stop};
use crate::world::*;
use hearth_config::Permits;
use hearth_control::{Reply, Request};
use hearth_controller::Input;
use hearth_types::{NodeName, ResourceId};

const IP: &str = "10.0.0.50";

/// The files of these machines name just these.
fn name_only(world: &mut World, nodes: &[usize]) {
    let names: Vec<NodeName> = nodes.iter().map(|node| NodeName::new(NAMES[*node])).collect();
    for node in nodes {
        world.machines[*node].config.cluster.nodes.clone_from(&names);
    }
}

/// The daemon takes the files of now over; one that does not run is started with them.
fn reload(world: &mut World, node: usize) {
    if world.machines[node].controller.is_none() {
        world.start(node);
    } else {
        let objections = world.reload(node);
        assert!(objections.is_empty(), "{node}: {objections:?}\n{}", world.story());
    }
    world.run(ms(1500));
}

fn refused(world: &mut World, node: usize, words: &str) {
    let objections = world.reload(node);
    assert!(
        objections.len() == 1 && objections[0].contains(words),
        "{node}: {words}: {objections:?}\n{}",
        world.story()
    );
}

fn touched(world: &World) -> usize {
    world.machines.iter().map(|machine| machine.done.len()).sum()
}

/// How often what should run, and where, was agreed on.
fn proposed(world: &World) -> usize {
    world.machines[A].events.iter().filter(|event| event.name == "configured").count()
}

/// R-LEAVE-2, R-JOIN-3: the new one waits for admission as any other, and votes; nothing else moves.
#[test]
fn a_machine_more_costs_the_service_a_gap() {
    for order in [[A, B, C], [B, A, C], [C, A, B], [A, C, B]] {
        let mut world = begun(4, 2);
        let before = touched(&world);
        list(&mut world, 3);
        order.into_iter().for_each(|node| reload(&mut world, node));
        all_is_well(&mut world, 3);
        list(&mut world, 4);
        [A, 3, B, C].into_iter().for_each(|node| reload(&mut world, node));
        all_is_well(&mut world, 4);
        assert_eq!(world.longest_gap, ms(0), "{order:?}: a gap\n{}", world.story());
        assert_eq!(touched(&world), before, "{order:?}: something was started or stopped\n{}", world.story());
        assert_eq!(proposed(&world), 3, "{order:?}: the same is proposed again and again\n{}", world.story());
    }
}

#[test]
fn one_machine_alone_becomes_two_and_three() {
    for count in [2, 3] {
        let mut world = begun(3, 1);
        list(&mut world, count);
        (0..count).for_each(|node| reload(&mut world, node));
        all_is_well(&mut world, count);
        assert_eq!(world.longest_gap, ms(0), "{count}: a gap\n{}", world.story());
    }
}

/// R-LEDGER-4: the vote of who is taken out goes with it; also of the DC, and of an owner.
#[test]
fn a_machine_less_costs_the_service_a_gap() {
    for who in ["dc", "owner", "another"] {
        let mut world = begun(5, 5);
        let owner = world.owner().expect("an owner");
        let gone = match who {
            "dc" => world.dc(),
            "owner" => owner,
            _ => (0..5).find(|node| *node != owner && *node != world.dc()).expect("five"),
        };
        stop(&mut world, gone);
        world.watch(IP);
        let stay: Vec<usize> = (0..5).filter(|node| *node != gone).collect();
        name_only(&mut world, &stay);
        stay.iter().for_each(|node| reload(&mut world, *node));
        world.run(ms(3000));
        for node in &stay {
            let status = world.status(*node);
            assert_eq!(status.epoch.map(|epoch| epoch.voters.len()), Some(4), "{who} {node}\n{}", world.story());
            assert_eq!(
                (status.health.as_str(), status.nodes.len()),
                ("ok", 4),
                "{who}: {}\n{}",
                status.summary,
                world.story()
            );
        }
        assert_eq!(world.longest_gap, ms(0), "{who}: a gap\n{}", world.story());
        assert!(world.faults.is_empty(), "{who}: {:?}", world.faults);
    }
}

/// Who counts by the list of before: of three that were four two decide, and of four that were three two do not.
#[test]
fn a_majority_is_counted_by_the_list_of_before() {
    let mut world = begun(4, 4);
    stop(&mut world, 3);
    list(&mut world, 3);
    [A, B, C].into_iter().for_each(|node| reload(&mut world, node));
    all_is_well(&mut world, 3);
    let owner = world.owner().expect("an owner");
    world.power_off(owner);
    world.run_to(ms(1500), "two of three take over", |world| world.owner().is_some());

    let mut world = begun(4, 3);
    list(&mut world, 4);
    (0..4).for_each(|node| reload(&mut world, node));
    all_is_well(&mut world, 4);
    let owner = world.owner().expect("an owner");
    let other = (0..4).find(|node| *node != owner).expect("four");
    world.split(&[owner, other]);
    world.run(ms(4000));
    assert_eq!(world.owner(), None, "half of four goes on\n{}", world.story());
    assert!(world.faults.is_empty(), "{:?}\n{}", world.faults, world.story());
    world.heal();
    all_is_well(&mut world, 4);
}

/// R-LEASE-1. Harm: nobody vouches any more for a machine that serves.
#[test]
fn an_owner_that_serves_is_taken_out_of_the_list() {
    let mut world = begun(4, 4);
    world.move_to(3);
    world.watch(IP);
    list(&mut world, 3);
    for node in [A, B, C] {
        refused(&mut world, node, "d is taken out, and it is heard: `hearth stop` there first");
    }
    world.run(ms(3000));
    assert_eq!((world.owner(), world.longest_gap), (Some(3), ms(0)), "{}", world.story());
    // Without that question it would cost the gap that it prevents.
    for node in [A, B, C] {
        let config = world.machines[node].config.clone();
        world.feed(node, Input::Reconfigured(Box::new(config)));
    }
    world.run(ms(3000));
    assert!(world.longest_gap > ms(300), "nothing is shown\n{}", world.story());
    assert!(world.faults.is_empty(), "{:?}\n{}", world.faults, world.story());
}

/// R-TAKE-1, R-TAKE-2. Harm: a machine is forgotten that is cut off and still runs something.
#[test]
fn a_machine_that_may_still_run_something_is_forgotten() {
    let mut world = World::new(4, vec![group("d", vec![address(IP), script("web")])]);
    for node in 0..4 {
        world.machines[node].config.cluster.permits = Permits { tiebreaker_ping: false, unfenced: false };
        world.start(node);
    }
    world.watch(IP);
    world.run_to(ms(4000), "d serves", |world| world.owner() == Some(3));
    world.run(ms(1500));
    // A script that does not stop: only its own word, or that it is off, clears it.
    world.machines[3].fail.insert((hearth_types::OpAction::Stop, ResourceId::from("web")));
    world.split(&[3]);
    world.run(ms(100));
    list(&mut world, 3);
    refused(&mut world, A, "d is taken out, and it is heard");
    world.run(ms(4000));
    for node in [A, B, C] {
        refused(&mut world, node, "d is taken out, and web may still run there");
    }
    world.power_off(3);
    let token = world.request(A, Request::ConfirmOff { node: "d".into() });
    world.run_to(ms(3000), "it is off", |world| world.answered(token).is_some());
    assert!(matches!(world.answered(token), Some(Reply::Done { .. })), "{:?}", world.answered(token));
    [A, B, C].into_iter().for_each(|node| reload(&mut world, node));
    world.machines.truncate(3);
    all_is_well(&mut world, 3);
}

/// R-LEDGER-4. Harm: two sides of a split go by two lists.
#[test]
fn a_list_is_changed_on_one_side_of_a_split() {
    for count in [2, 3] {
        let mut world = begun(count + 1, count);
        world.split(&[A]);
        world.run(ms(3000));
        world.faults.clear();
        list(&mut world, count + 1);
        refused(&mut world, A, if count == 2 { "b does not take part" } else { "nothing can be agreed on here" });
        refused(&mut world, B, "a does not take part");
        world.heal();
        world.run(ms(3000));
        // Of two both go on in a split: that is the pair's own exposure.
        world.faults.clear();
        (0..=count).for_each(|node| reload(&mut world, node));
        all_is_well(&mut world, count + 1);
    }
}

/// Harm: a daemon that dies in the middle of the change comes back to a list of its own.
#[test]
fn a_daemon_dies_between_two_reloads() {
    for (from, to) in [(2, 3), (3, 4), (4, 3)] {
        for (reloaded, dies) in [(0, A), (1, A), (1, B), (2, A), (2, B)] {
            let mut world = begun(from.max(to), from);
            if to < from {
                stop(&mut world, to);
            }
            world.watch(IP);
            let old: Vec<_> = world.machines.iter().map(|machine| machine.config.clone()).collect();
            list(&mut world, to);
            (0..reloaded).for_each(|node| {
                let objections = world.reload(node);
                assert!(objections.is_empty(), "{objections:?}");
            });
            let new = world.machines[dies].config.clone();
            if dies >= reloaded {
                world.machines[dies].config = old[dies].clone();
            }
            restart(&mut world, dies);
            world.machines[dies].config = new;
            (0..to).for_each(|node| reload(&mut world, node));
            all_is_well(&mut world, to);
            assert_eq!(world.longest_gap, ms(0), "{from} {to} {reloaded} {dies}: a gap\n{}", world.story());
        }
    }
}

/// R-JOIN-4, R-LEDGER-7. Harm: a machine that was taken out comes back with its old files and takes part, or nobody says
/// why it does not.
#[test]
fn a_machine_that_was_taken_out_comes_back_with_its_old_files() {
    let mut world = begun(4, 4);
    let old = world.machines[3].config.clone();
    stop(&mut world, 3);
    list(&mut world, 3);
    [A, B, C].into_iter().for_each(|node| reload(&mut world, node));
    all_is_well(&mut world, 3);
    world.watch(IP);
    world.machines[3].config = old;
    world.start(3);
    world.run(ms(6000));
    let status = world.status(3);
    assert!(status.summary.starts_with("This node takes no part: ha.cf of a does not name d"), "{}", status.summary);
    assert!(
        status.notes.iter().any(|note| note.contains("ha.cf of a does not name d, which was taken out")),
        "{:?}",
        status.notes
    );
    let status = world.status(A);
    assert!(status.notes.iter().any(|note| note.starts_with("d is heard and takes no part: ")), "{:?}", status.notes);
    assert_eq!((world.longest_gap, world.machines[3].running.len()), (ms(0), 0), "{}", world.story());
    assert_eq!(status.epoch.map(|epoch| epoch.voters.len()), Some(3));
    // Named again it is let in again, as any other, though the others have revoked an admission of it that is higher.
    list(&mut world, 4);
    (0..4).for_each(|node| reload(&mut world, node));
    all_is_well(&mut world, 4);
    assert_eq!(world.longest_gap, ms(0), "{}", world.story());
    assert!(!world.status(A).notes.iter().any(|note| note.contains("takes no part")));
}

/// R-LEASE-3. Harm: a machine that was lost often, taken out and added again is vouched for by nobody.
#[test]
fn a_machine_that_was_lost_often_is_added_again() {
    let mut world = begun(4, 4);
    for _ in 0..3 {
        world.power_off(3);
        world.run(ms(2500));
        world.start(3);
        world.run(ms(4000));
    }
    world.power_off(3);
    world.run(ms(3000));
    list(&mut world, 3);
    [A, B, C].into_iter().for_each(|node| reload(&mut world, node));
    all_is_well(&mut world, 3);
    list(&mut world, 4);
    (0..4).for_each(|node| reload(&mut world, node));
    all_is_well(&mut world, 4);
    world.move_to(3);
    assert_eq!(world.owner(), Some(3), "{}", world.story());
}
