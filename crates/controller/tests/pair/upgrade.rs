//! R-WIRE-6: daemons of two wire versions in one pair, each test named for the harm.

use crate::world::*;
use hearth_control::Request;
use hearth_types::{OpAction, PermitKind, ResourceId};

const IP: &str = "10.0.0.50";

/// Both serve and vote; a owns the address. Each daemon speaks up to that version.
fn pair_at(versions: [u8; 2]) -> World {
    let mut world = World::new(vec![group("a", vec![address(IP)])], false);
    for (node, version) in [A, B].into_iter().zip(versions) {
        world.machines[node].hold_at(version);
        world.start(node);
    }
    world.watch(IP);
    world.run_to(ms(1500), "a serves the address", |world| world.owner() == Some(A));
    world.run(ms(1000));
    world.watch(IP);
    world
}

/// The daemon is replaced while what it started runs on (R-LEAVE-2).
fn replace(world: &mut World, node: usize, version: u8) {
    world.kill(node);
    world.run(ms(60));
    world.machines[node].hold_at(version);
    world.start(node);
}

fn in_use(world: &World) -> [Option<u8>; 2] {
    [A, B].map(|node| world.machines[node].wire(world.now))
}

fn done(world: &World) -> usize {
    world.machines.iter().map(|machine| machine.done.len()).sum()
}

/// R-WIRE-6, R-PAIR-1: of a pair without a tiebreaker; what a person's word clears is the same by either name.
#[test]
fn older_peer_comes_back_to_a_record_that_says_by_a_name_it_cannot_read_that_it_was_off() {
    let permit = |world: &World| {
        let controller = world.machines[A].controller.as_ref().expect("it runs");
        let said = controller.record().and_then(|record| record.permit);
        (said, controller.status(world.now).epoch.and_then(|epoch| epoch.permit))
    };
    for before in [None, Some(2), Some(3)] {
        let mut world = World::new(vec![group("a", vec![address(IP)])], false);
        for node in [A, B] {
            world.machines[node].needs_a_word();
            world.machines[node].hold_at(before.unwrap_or(3));
        }
        world.watch(IP);
        world.start(A);
        if before.is_some() {
            world.start(B);
            world.run_to(ms(5000), "both serve", |world| in_use(world) == [before; 2] && world.owner() == Some(A));
            world.run(ms(1000));
            world.power_off(B);
        }
        world.run(ms(5000));
        assert_eq!(permit(&world).0, None, "{}", world.story());
        world.request(A, Request::ConfirmOff { node: "b".to_owned() });
        world.run_to(ms(2000), "a serves the address", |world| permit(world).0.is_some() && world.owner() == Some(A));
        let read_by_all = if before == Some(3) { PermitKind::Fenced } else { PermitKind::Tiebreaker };
        assert_eq!(permit(&world), (Some(read_by_all), Some("fenced".to_owned())), "{before:?}");
    }
}

fn says(world: &World, node: usize, text: &str) -> bool {
    let status = world.machines[node].controller.as_ref().map(|it| it.status(world.now)).expect("it runs");
    let reasons = status.nodes.iter().filter_map(|node| node.reason.clone());
    let said: Vec<String> = reasons.chain(status.notes).chain([status.summary]).collect();
    let found = said.iter().any(|line| line.contains(text));
    if !found {
        println!("{text:?} is not in {said:#?}");
    }
    found
}

#[test]
fn an_upgrade_of_one_node_after_the_other_interrupts_the_service() {
    for order in [[A, B], [B, A]] {
        let mut world = pair_at([2, 2]);
        assert_eq!((in_use(&world), world.versions.contains(&4)), ([Some(2); 2], false));
        let before = done(&world);
        replace(&mut world, order[0], 4);
        world.run(ms(3000));
        assert_eq!((in_use(&world), world.versions.contains(&4)), ([Some(2); 2], false), "{}", world.story());
        let other = &world.machines[order[1]].name;
        let text = format!("this node speaks 4, which is used as soon as {other} speaks it (it speaks 2)");
        assert!(says(&world, order[0], &text), "{}", world.story());
        replace(&mut world, order[1], 4);
        world.run_to(ms(2000), "version 4 is in use", |world| in_use(world) == [Some(4); 2]);
        world.run(ms(3000));
        assert!(world.versions.contains(&4) && world.has_event(order[0], "wire-raised"));
        assert_eq!(done(&world), before, "something was stopped or started\n{}", world.story());
        assert_eq!((world.overlap, world.longest_gap), (ms(0), ms(0)), "{}", world.story());
        // Both vote: either may fail now.
        world.watch(IP);
        world.power_off(A);
        world.run_to(ms(700), "b serves", |world| world.owner() == Some(B));
    }
}

#[test]
fn a_package_cannot_be_put_back_while_one_node_is_held_at_the_older_version() {
    let mut world = pair_at([2, 1]);
    world.run(ms(5000));
    assert_eq!(in_use(&world), [Some(1); 2]);
    assert!(says(&world, B, "ha.cf holds this node at wire version 1"));
    let before = done(&world);
    replace(&mut world, A, 1);
    world.run(ms(3000));
    assert_eq!((done(&world), world.owner()), (before, Some(A)), "{}", world.story());
    assert_eq!((world.overlap, world.longest_gap), (ms(0), ms(0)), "{}", world.story());
}

#[test]
fn a_standby_that_was_taken_back_is_half_understood() {
    let mut world = pair_at([2, 2]);
    assert_eq!(in_use(&world), [Some(2); 2], "{}", world.story());
    replace(&mut world, B, 1);
    world.run_to(ms(2000), "both say it", |world| {
        world.has_event(A, "node-refused") && world.has_event(B, "wire-refused")
    });
    world.run(ms(5000));
    assert!(says(&world, A, "wire version 2 is in use, it speaks up to 1; upgrade hearthd on b"), "{}", world.story());
    assert!(says(&world, A, "but b is offline: nobody could take over"), "{}", world.story());
    assert!(says(&world, B, "the cluster uses wire version 2, this daemon speaks up to 1; ha.cf holds it at 1"));
    assert_eq!((in_use(&world), world.owner()), ([Some(2), None], Some(A)), "{}", world.story());
    assert_eq!((world.overlap, world.longest_gap), (ms(0), ms(0)), "{}", world.story());
    // The way out leads back in: either may fail then.
    replace(&mut world, B, 2);
    world.run_to(ms(3000), "b votes again", |world| in_use(world) == [Some(2); 2]);
    world.run(ms(2000));
    world.watch(IP);
    world.power_off(A);
    world.run_to(ms(700), "b serves", |world| world.owner() == Some(B));
}

#[test]
fn an_owner_that_was_taken_back_runs_beside_its_peer_or_takes_the_service_with_it() {
    let mut world = pair_at([2, 2]);
    replace(&mut world, A, 1);
    world.run_to(ms(1500), "b serves", |world| world.owner() == Some(B));
    world.run(ms(5000));
    assert_eq!((world.owner(), world.overlap), (Some(B), ms(0)), "{}", world.story());
    assert!(world.longest_gap < ms(900), "{:?}\n{}", world.longest_gap, world.story());
    // What it cannot speak it does not found anew either, nor when it is started again.
    world.power_off(B);
    world.run(ms(5000));
    assert_eq!(world.owner(), None, "{}", world.story());
    replace(&mut world, A, 1);
    world.run(ms(5000));
    assert_eq!(world.owner(), None, "{}", world.story());
    assert!(says(&world, A, "take `wire_version 1` out"));
    replace(&mut world, A, 2);
    world.run_to(ms(4000), "a serves", |world| world.owner() == Some(A));
}

#[test]
fn an_older_daemon_hears_nobody_and_takes_over() {
    let mut world = pair_at([2, 2]);
    world.power_off(B);
    world.run(ms(2000));
    world.watch(IP);
    world.machines[B].forget();
    world.machines[B].hold_at(1);
    world.start(B);
    world.run(ms(6000));
    assert_eq!((world.owner(), world.overlap), (Some(A), ms(0)), "{}", world.story());
    assert!(world.has_event(A, "node-refused") && world.has_event(B, "wire-refused"), "{}", world.story());
    assert_eq!(world.longest_gap, ms(0), "{}", world.story());
    assert_eq!(in_use(&world), [Some(2), None], "{}", world.story());
}

/// What is refused is not let in, and is heard all the same on what still runs there.
#[test]
fn a_script_that_a_refused_daemon_could_not_stop_is_started_beside_it() {
    let web = ResourceId::from("web");
    for goes_on_alone in [false, true] {
        let mut world = World::new(vec![group("a", vec![address(IP), script("web")])], false);
        world.start(A);
        world.start(B);
        world.run_to(ms(3000), "a serves", |world| world.machines[A].running.contains_key(&web));
        world.run(ms(1000));
        world.machines[A].fail.insert((OpAction::Stop, web.clone()));
        world.kill(A);
        // A daemon that is away for so long has lost its vote when it comes back.
        world.run(if goes_on_alone { ms(25_000) } else { ms(60) });
        let ran_beside = world.machines[B].running.contains_key(&web);
        world.machines[A].hold_at(1);
        world.start(A);
        world.run(ms(40_000));
        assert!(world.machines[A].running.contains_key(&web), "{}", world.story());
        assert_eq!(world.machines[B].running.contains_key(&web), ran_beside, "{}", world.story());
        // What has stopped is said, and does not block the other any longer.
        world.machines[A].fail.clear();
        world.request(A, Request::Clear { resource: None });
        world.run_to(ms(5000), "b runs it alone", |world| {
            world.machines[B].running.contains_key(&web) && !world.machines[A].running.contains_key(&web)
        });
    }
}
