//! Three machines: one test per fault; each is named for the harm that it would do.

use crate::world::*;
use hearth_control::{Reply, Request, Which};

pub const IP: &str = "10.0.0.50";

pub fn trio() -> World {
    let mut world = World::new(3, vec![group("a", vec![address(IP)])]);
    form(&mut world);
    world
}

/// All are started, the address is served by A, and everything has come to rest.
pub fn form(world: &mut World) {
    for node in 0..world.machines.len() {
        world.start(node);
    }
    world.watch(IP);
    world.run_to(ms(1500), "a serves the address", |world| world.owner() == Some(A));
    world.run(ms(1500));
    world.watch(IP);
}

pub fn fine(world: &World, longest: u64) {
    assert!(world.faults.is_empty(), "{:?}\n{}", world.faults, world.story());
    assert!(world.longest_gap <= ms(longest), "a gap of {:?}\n{}", world.longest_gap, world.story());
}

#[test]
fn three_machines_found_one_epoch_elect_and_serve() {
    let world = trio();
    fine(&world, 0);
    for node in [A, B, C] {
        let status = world.status(node);
        let epoch = status.epoch.clone().expect("an epoch");
        assert_eq!(epoch.voters, ["a", "b", "c"], "{}", world.story());
        assert!(status.quorum && status.dc.is_some(), "{status:?}");
        assert_eq!(status.health, "ok", "{}", status.summary);
        assert_eq!(status.dc, world.status(A).dc);
    }
}

#[test]
fn a_planned_move_among_three_costs_milliseconds() {
    let mut world = trio();
    let token = world.request(A, Request::Standby { which: Which::All, wait: true });
    world.run_to(ms(500), "an answer", |world| world.answered(token).is_some());
    assert!(matches!(world.answered(token), Some(Reply::Done { .. })), "{:?}", world.answered(token));
    assert_eq!(world.owner(), Some(B));
    let token = world.request(C, Request::Takeover { which: Which::All, wait: true });
    world.run_to(ms(500), "an answer", |world| world.answered(token).is_some());
    assert_eq!(world.owner(), Some(C), "{:?}", world.answered(token));
    let token = world.request(B, Request::Failback { wait: true });
    world.run_to(ms(500), "an answer", |world| world.answered(token).is_some());
    assert_eq!(world.owner(), Some(A), "{:?}", world.answered(token));
    world.run(ms(2000));
    fine(&world, 15);
}

#[test]
fn the_owner_loses_power_also_when_it_was_the_dc() {
    for dc_owns in [true, false] {
        let mut world = trio();
        let dc = world.dc();
        let owner = if dc_owns { dc } else { (dc + 1) % 3 };
        world.move_to(owner);
        world.watch(IP);
        world.power_off(owner);
        world.run_to(ms(700), "another serves", |world| world.owner().is_some_and(|node| node != owner));
        world.run(ms(3000));
        fine(&world, 545);
        world.watch(IP);
        world.start(owner);
        world.run(ms(4000));
        fine(&world, 0);
        for node in [A, B, C] {
            assert_eq!(world.status(node).health, "ok", "{:?}\n{}", world.status(node), world.story());
        }
    }
}

#[test]
fn the_death_of_the_dc_or_of_a_standby_touches_no_healthy_owner() {
    for fault in ["power", "kill", "freeze", "cut"] {
        for victim in [0, 1] {
            let mut world = trio();
            let dc = world.dc();
            let owner = (dc + 1) % 3;
            world.move_to(owner);
            world.watch(IP);
            let victim = if victim == 0 { dc } else { (dc + 2) % 3 };
            match fault {
                "power" => world.power_off(victim),
                "kill" => world.kill(victim),
                "freeze" => world.freeze(victim),
                _ => world.split(&[victim]),
            }
            world.run(ms(3000));
            match fault {
                "freeze" => world.thaw(victim),
                "cut" => world.heal(),
                _ => world.start(victim),
            }
            world.run(ms(4000));
            assert_eq!(world.owner(), Some(owner), "{fault}\n{}", world.story());
            fine(&world, 0);
            for node in [A, B, C] {
                assert_eq!(world.status(node).health, "ok", "{fault} {:?}\n{}", world.status(node), world.story());
            }
        }
    }
}

#[test]
fn a_cut_between_two_that_both_see_the_third_moves_nothing_and_all_take_part() {
    // R-LEASE-2, R-LEDGER-2
    for (one, other) in [(A, B), (A, C), (B, C)] {
        for owner in [A, B, C] {
            let mut world = trio();
            world.move_to(owner);
            world.watch(IP);
            world.cut(one, other);
            world.run(ms(3000));
            assert_eq!(world.owner(), Some(owner), "{}", world.story());
            fine(&world, 0);
            // What is decided reaches whoever does not hear the DC, and its requests reach the DC.
            for node in [one, other] {
                let token = world.request(node, Request::Takeover { which: Which::All, wait: true });
                world.run_to(ms(1500), "an answer", |world| world.answered(token).is_some());
                assert_eq!(world.owner(), Some(node), "{:?}\n{}", world.answered(token), world.story());
            }
            world.heal();
            world.run(ms(3000));
            assert!(world.faults.is_empty(), "{:?}\n{}", world.faults, world.story());
            for node in [A, B, C] {
                assert_eq!(world.status(node).health, "ok", "{:?}\n{}", world.status(node), world.story());
            }
        }
    }
}

#[test]
fn an_owner_that_is_cut_off_has_stopped_before_the_majority_starts() {
    for owner in [A, B, C] {
        let mut world = trio();
        world.move_to(owner);
        world.watch(IP);
        world.split(&[owner]);
        world.run_to(ms(700), "another serves", |world| world.owner().is_some_and(|node| node != owner));
        world.run(ms(2000));
        assert!(world.machines[owner].running.is_empty(), "it still runs\n{}", world.story());
        fine(&world, 545);
        let server = world.owner();
        world.heal();
        world.watch(IP);
        world.run(ms(4000));
        fine(&world, 0);
        assert_eq!(world.owner(), server);
        for node in [A, B, C] {
            assert_eq!(world.status(node).health, "ok", "{:?}\n{}", world.status(node), world.story());
        }
    }
}

/// R-TAKE-1: it would start again under the assignment that its report gave back, while another node has it. A majority
/// decides a report without the disk of its sender, so the disk has to have it first.
#[test]
fn a_stop_report_that_left_before_it_was_durable_at_its_origin() {
    let mut world = trio();
    for (node, to) in [(A, B), (B, C), (C, A)] {
        world.move_to(to);
        assert!(world.durable(node).contains("spent"), "{} gave it back unwritten\n{}", node, world.story());
        world.power_off(node);
        world.run(ms(500));
        world.start(node);
        world.run(ms(1500));
        assert_eq!(world.owner(), Some(to), "{}", world.story());
    }
    assert!(world.faults.is_empty(), "{:?}\n{}", world.faults, world.story());
}

/// R-TAKE-1, R-LEDGER-3: the disk is slow in just the moment in which the report is made. Were it said before it is
/// written, another node would have the resource while a power cut of this one makes it start again.
#[test]
fn a_stop_report_that_overtook_its_own_write() {
    let mut world = trio();
    for (node, to) in [(A, B), (B, C), (C, A)] {
        let which = Request::Takeover { which: Which::All, wait: false };
        let had = world.durable(node).matches("spent").count();
        world.request(to, which);
        world.run_to(ms(500), "the stop is carried out", |world| world.machines[node].running.is_empty());
        world.machines[node].write = ms(300);
        let story = |world: &World| (world.durable(node).matches("spent").count(), world.owner());
        for _ in 0..280 {
            world.run(ms(1));
            let (written, owner) = story(&world);
            let taken = owner == Some(to);
            assert!(!taken || written > had, "{node} said it before it was written\n{}", world.story());
        }
        world.machines[node].write = ms(1);
        world.run(ms(3000));
        assert_eq!(world.owner(), Some(to), "{}", world.story());
    }
    assert!(world.faults.is_empty(), "{:?}\n{}", world.faults, world.story());
}
