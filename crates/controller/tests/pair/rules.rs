//! One test per fault; each is named for the harm that it would do.

use crate::world::*;
use hearth_control::{Reply, Request, Which};
use hearth_controller::{Carrier, Input};
use hearth_types::{LinkId, OpAction, ResourceId};

pub const IP: &str = "10.0.0.50";

pub fn pair() -> World {
    let mut world = World::new(vec![group("a", vec![address(IP)])], false);
    form(&mut world);
    world
}

fn form(world: &mut World) {
    world.start(A);
    world.start(B);
    world.watch(IP);
    world.run_to(ms(1500), "a serves the address", |world| world.owner() == Some(A));
    world.run(ms(1000));
    world.watch(IP);
}

pub fn fine(world: &World, longest: u64) {
    assert_eq!(world.overlap.as_millis(), 0, "two owners\n{}", world.story());
    assert!(world.longest_gap <= ms(longest), "a gap of {:?}\n{}", world.longest_gap, world.story());
}

#[test]
fn two_machines_start_together_and_serve_without_waiting_for_initdead() {
    let world = pair();
    fine(&world, 0);
}

#[test]
fn a_gate_tick_of_an_idle_owner_costs_no_wake_up_of_its_own() {
    let mut world = pair();
    world.pingable = [false, false];
    let beat_at = world.machines[A].controller.as_ref().and_then(|it| it.next_deadline()).expect("it runs").0;
    world.run((beat_at + ms(40)).since(world.now));
    // Whatever is told shortly before a beat takes the tick along, and out of step; the next beat brings it back.
    world.feed(A, Input::LinkChanged { link: LinkId(0), trouble: None });
    let before = world.machines[A].lone_ticks;
    world.run(ms(5_000));
    let alone = world.machines[A].lone_ticks - before;
    assert!(alone <= 2, "{alone} gate ticks in 5 s came without a heartbeat\n{}", world.story());
    assert_eq!(world.owner(), Some(A));
}

#[test]
fn a_planned_move_costs_milliseconds_and_never_has_two_owners() {
    let mut world = pair();
    let token = world.request(A, Request::Standby { which: Which::All, wait: true });
    world.run_to(ms(500), "an answer", |world| world.answered(token).is_some());
    assert!(matches!(world.answered(token), Some(Reply::Done { .. })), "{:?}", world.answered(token));
    assert_eq!(world.owner(), Some(B));
    world.run(ms(3000));
    assert_eq!(world.owner(), Some(B));
    let token = world.request(A, Request::Takeover { which: Which::All, wait: true });
    world.run_to(ms(500), "an answer", |world| world.answered(token).is_some());
    assert_eq!(world.owner(), Some(A));
    let token = world.request(A, Request::Standby { which: Which::All, wait: true });
    world.run_to(ms(500), "an answer", |world| world.answered(token).is_some());
    let token = world.request(B, Request::Failback { wait: true });
    world.run_to(ms(500), "an answer", |world| world.answered(token).is_some());
    assert_eq!(world.owner(), Some(A), "{}", world.story());
    fine(&world, 10);
}

#[test]
fn the_owner_loses_power_and_comes_back() {
    let mut world = pair();
    world.power_off(A);
    world.run_to(ms(600), "b serves", |world| world.owner() == Some(B));
    fine(&world, 530);
    world.run(ms(2000));
    world.watch(IP);
    world.start(A);
    world.run(ms(3000));
    assert_eq!(world.owner(), Some(B));
    fine(&world, 0);
    // Both vote again: the other one may fail now.
    world.watch(IP);
    world.power_off(B);
    world.run_to(ms(700), "a serves again", |world| world.owner() == Some(A));
    fine(&world, 530);
}

#[test]
fn the_death_of_a_standby_is_invisible_to_the_service() {
    for fault in ["power", "freeze", "cut", "kill"] {
        let mut world = pair();
        match fault {
            "power" => world.power_off(B),
            "freeze" => world.freeze(B),
            "kill" => world.kill(B),
            _ => {
                world.cut(0);
                world.cut(1);
                for interface in ["eth0", "eth1"] {
                    world.carrier(B, interface, Carrier::Down);
                }
            }
        }
        world.run(ms(3000));
        match fault {
            "power" | "kill" => world.start(B),
            "freeze" => world.thaw(B),
            _ => {
                world.heal();
                for interface in ["eth0", "eth1"] {
                    world.carrier(B, interface, Carrier::Up);
                }
            }
        }
        world.run(ms(3000));
        assert_eq!(world.owner(), Some(A), "{fault}\n{}", world.story());
        fine(&world, 0);
        let stops = world.machines[A].done.iter().filter(|(_, action, _)| *action == OpAction::Stop).count();
        assert_eq!(stops, 0, "{fault}: the owner was touched\n{}", world.story());
    }
}

#[test]
fn all_cables_of_the_owner_are_pulled_and_put_back() {
    let mut world = pair();
    world.cut(0);
    world.cut(1);
    world.carrier(A, "eth0", Carrier::Down);
    world.carrier(A, "eth1", Carrier::Down);
    world.run_to(ms(600), "b serves", |world| world.owner() == Some(B));
    world.run(ms(2000));
    fine(&world, 530);
    world.watch(IP);
    world.heal();
    world.carrier(A, "eth0", Carrier::Up);
    world.carrier(A, "eth1", Carrier::Up);
    world.run(ms(3000));
    assert_eq!(world.owner(), Some(B));
    fine(&world, 0);
}

#[test]
fn the_service_cable_of_the_owner_is_pulled_while_the_heartbeat_runs() {
    let mut world = pair();
    world.cut(0);
    world.carrier(A, "eth0", Carrier::Down);
    world.run_to(ms(150), "b serves", |world| world.owner() == Some(B));
    fine(&world, 100);
}

#[test]
fn a_silent_split_without_tiebreaker_is_healed_without_touching_the_winner_and_told_in_full() {
    let mut world = pair();
    world.cut(0);
    world.cut(1);
    world.run(ms(3000));
    let overlap = world.overlap;
    assert!(overlap > ms(1000), "the split must have two owners, or this test shows nothing\n{}", world.story());
    world.heal();
    world.run(ms(3000));
    assert_eq!(world.owner(), Some(A), "{}", world.story());
    let stops = world.machines[A].done.iter().filter(|(_, action, _)| *action == OpAction::Stop).count();
    assert_eq!(stops, 0, "the winner was touched\n{}", world.story());
    let told = world.machines[B].events.iter().find(|event| event.name == "two-owners-possible");
    let text = &told.unwrap_or_else(|| panic!("nothing told\n{}", world.story())).text;
    let span: u128 = text.split_whitespace().filter_map(|word| word.parse().ok()).next_back().unwrap_or(0);
    assert!(span >= world.overlap.as_millis(), "told {span} ms of {:?}", world.overlap);
    assert!(span <= world.overlap.as_millis() + 1000, "told {span} ms of {:?}", world.overlap);
    let healed = world.overlap;
    world.run(ms(5000));
    assert_eq!(world.overlap, healed);
}

#[test]
fn with_a_ping_tiebreaker_an_owner_that_reaches_nobody_has_stopped_before_the_other_starts() {
    let mut world = World::new(vec![group("a", vec![address(IP)])], true);
    form(&mut world);
    world.cut(0);
    world.cut(1);
    world.pingable[A] = false;
    world.run_to(ms(650), "b serves", |world| world.owner() == Some(B));
    world.run(ms(2000));
    fine(&world, 560);
    world.heal();
    world.pingable[A] = true;
    world.watch(IP);
    world.run(ms(3000));
    assert_eq!(world.owner(), Some(B));
    fine(&world, 0);
}

#[test]
fn a_killed_daemon_that_is_restarted_costs_the_service_nothing() {
    let mut world = pair();
    world.kill(A);
    world.run(ms(150));
    world.start(A);
    world.run(ms(3000));
    assert_eq!(world.owner(), Some(A), "{}", world.story());
    fine(&world, 0);
    let touched: Vec<_> = world.machines[A].done.iter().filter(|(at, _, _)| at.since(world.now) > ms(0)).collect();
    assert!(touched.is_empty());
    assert_eq!(world.machines[A].done.len(), 1, "started once\n{}", world.story());
}

#[test]
fn a_killed_daemon_that_never_comes_back_leaves_no_second_owner() {
    let mut world = pair();
    world.kill(A);
    world.run_to(ms(600), "b serves", |world| world.owner() == Some(B));
    world.run(ms(2000));
    fine(&world, 530);
}

#[test]
fn two_owners_after_thaw() {
    // R-MEM-5, R-MEM-6: the pause is judged first, and the higher epoch that left this node out ends what it holds at once.
    let mut world = pair();
    world.freeze(A);
    world.run(ms(2500));
    assert_eq!(world.owner(), Some(B), "{}", world.story());
    fine(&world, 530);
    world.watch(IP);
    world.thaw(A);
    world.run(ms(3000));
    assert_eq!(world.owner(), Some(B), "{}", world.story());
    fine(&world, 0);
}

#[test]
fn a_lone_machine_starts_after_initdead_and_the_second_joins_it() {
    let mut world = World::new(vec![group("a", vec![address(IP)])], false);
    world.start(B);
    world.watch(IP);
    world.run_to(ms(2300), "b serves alone", |world| world.owner() == Some(B));
    world.watch(IP);
    world.start(A);
    world.run(ms(3000));
    assert_eq!(world.owner(), Some(B));
    fine(&world, 0);
    world.power_off(B);
    world.run_to(ms(700), "a serves", |world| world.owner() == Some(A));
    fine(&world, 530);
}

#[test]
fn both_machines_come_back_after_a_power_cut() {
    let mut world = pair();
    world.power_off(A);
    world.power_off(B);
    world.run(ms(1000));
    world.start(A);
    world.run(ms(30));
    world.start(B);
    world.run_to(ms(1500), "somebody serves", |world| world.owner().is_some());
    world.watch(IP);
    world.run(ms(5000));
    fine(&world, 0);
}

#[test]
fn an_orderly_stop_hands_over_and_the_machine_can_come_back() {
    let mut world = pair();
    world.request(A, Request::Stop);
    world.run_to(ms(1500), "a has stopped", |world| world.machines[A].halted);
    world.run(ms(2000));
    assert_eq!(world.owner(), Some(B), "{}", world.story());
    fine(&world, 10);
    world.watch(IP);
    world.start(A);
    world.run(ms(3000));
    fine(&world, 0);
    let token = world.request(B, Request::Standby { which: Which::All, wait: true });
    world.run_to(ms(500), "an answer", |world| world.answered(token).is_some());
    assert_eq!(world.owner(), Some(A), "{:?}\n{}", world.answered(token), world.story());
}

#[test]
fn a_failed_start_goes_to_the_next_node_and_a_failed_stop_blocks() {
    let resources = vec![address(IP), script("web")];
    let mut world = World::new(vec![group("a", resources)], false);
    world.machines[A].fail.insert((OpAction::Start, ResourceId::from("web")));
    world.start(A);
    world.start(B);
    world.watch(IP);
    world.run_to(ms(3000), "b has the group", |world| {
        world.owner() == Some(B) && world.machines[B].running.contains_key(&ResourceId::from("web"))
    });
    world.run(ms(1000));
    fine(&world, 5000);
    assert!(!world.machines[A].running.contains_key(&ResourceId::from(IP)));
    world.machines[B].fail.insert((OpAction::Stop, ResourceId::from("web")));
    world.machines[A].fail.clear();
    world.request(A, Request::Clear { resource: None });
    world.run(ms(500));
    let token = world.request(B, Request::Standby { which: Which::All, wait: true });
    world.run(ms(3000));
    assert!(
        matches!(world.answered(token), Some(Reply::Failed { .. })),
        "{:?}\n{}",
        world.answered(token),
        world.story()
    );
    assert_ne!(world.owner(), Some(A), "{}", world.story());
}

#[test]
fn a_machine_that_lost_its_state_does_not_vote_for_what_it_was() {
    let mut world = pair();
    world.power_off(B);
    world.run(ms(100));
    world.machines[B].forget();
    world.start(B);
    world.run(ms(4000));
    assert_eq!(world.owner(), Some(A), "{}", world.story());
    fine(&world, 0);
    world.power_off(A);
    world.run_to(ms(700), "b serves", |world| world.owner() == Some(B));
}

#[test]
fn a_machine_that_stopped_in_order_and_is_started_at_once_takes_part_again() {
    // R-JOIN-3: within deadtime of its last packet nobody has seen it die.
    let mut world = pair();
    world.request(A, Request::Stop);
    world.run_to(ms(1500), "a has stopped", |world| world.machines[A].halted);
    world.run(ms(50));
    world.start(A);
    world.run(ms(2000));
    let token = world.request(B, Request::Standby { which: Which::All, wait: true });
    world.run_to(ms(500), "an answer", |world| world.answered(token).is_some());
    assert_eq!(world.owner(), Some(A), "{:?}\n{}", world.answered(token), world.story());
}

#[test]
fn a_machine_that_is_stopped_before_its_new_run_was_admitted_still_hands_over_and_ends() {
    // R-LEAVE-1, R-TAKE-1: only an admitted run can report that nothing runs there.
    let mut world = pair();
    world.power_off(A);
    world.run(ms(20));
    world.start(A);
    world.request(A, Request::Stop);
    world.run_to(ms(3000), "a has stopped", |world| world.machines[A].halted);
    world.run_to(ms(1000), "b serves", |world| world.owner() == Some(B));
}

#[test]
fn an_order_whose_target_dies_is_answered_and_not_waited_for_for_ever() {
    // R-LEDGER-9
    let mut world = pair();
    let token = world.request(A, Request::Standby { which: Which::All, wait: true });
    world.run_to(ms(500), "an answer", |world| world.answered(token).is_some());
    world.power_off(A);
    world.run(ms(100));
    let token = world.request(B, Request::Failback { wait: true });
    world.run(ms(2000));
    world.start(A);
    world.run_to(ms(3000), "an answer", |world| world.answered(token).is_some());
    assert!(!matches!(world.answered(token), Some(Reply::Done { .. })), "{:?}", world.answered(token));
}

#[test]
fn a_node_whose_links_are_all_dark_does_not_call_its_peer_dead_and_go_on_alone() {
    // R-MEM-7: its ears were shut for a part of the silence.
    let mut world = pair();
    world.kill(A);
    world.run(ms(400));
    for (link, interface) in ["eth0", "eth1"].into_iter().enumerate() {
        world.cut(link as u8);
        world.carrier(B, interface, Carrier::Down);
    }
    world.run(ms(350));
    assert!(!world.has_event(B, "permit"), "{}", world.story());
}

#[test]
fn a_daemon_that_was_away_for_longer_than_its_lease_asks_before_its_addresses_answer_again() {
    // R-TAKE-6, R-LEASE-8: the peer came up alone meanwhile, and nothing was cut.
    let mut world = pair();
    world.power_off(A);
    world.run_to(ms(700), "b serves", |world| world.owner() == Some(B));
    world.kill(B);
    world.run(ms(1000));
    world.start(A);
    world.run_to(ms(3000), "a serves", |world| world.owner() == Some(A));
    world.run(ms(200));
    world.watch(IP);
    world.start(B);
    world.run(ms(3000));
    assert_eq!(world.overlap, ms(0), "{}", world.story());
}

#[test]
fn a_voter_whose_disk_failed_promises_nothing_more_and_is_well_after_a_restart() {
    // R-LEDGER-3: what it would promise now, its next run would not know.
    for (failed, healthy) in [(A, B), (B, A)] {
        let mut world = pair();
        world.feed(failed, Input::PersistFailed { ticket: 1, error: "no space left on device".into() });
        let order = if healthy == A {
            Request::Standby { which: Which::All, wait: true }
        } else {
            Request::Takeover { which: Which::All, wait: true }
        };
        let token = world.request(healthy, order);
        world.run(ms(3000));
        let done = matches!(world.answered(token), Some(Reply::Done { .. }));
        assert!(!done, "decided without a disk\n{}", world.story());
        assert!(!world.has_event(healthy, "node-died"), "its heartbeats go on\n{}", world.story());
        assert_eq!(world.owner(), Some(A), "{}", world.story());
        world.kill(failed);
        world.run(ms(50));
        world.start(failed);
        world.run(ms(1500));
        let home = if failed == A { A } else { B };
        let token = world.request(home, Request::Takeover { which: Which::All, wait: true });
        world.run_to(ms(1000), "an answer", |world| world.answered(token).is_some());
        assert_eq!(world.owner(), Some(home), "{:?}\n{}", world.answered(token), world.story());
        fine(&world, 50);
    }
}

#[test]
fn a_machine_whose_disk_failed_can_still_be_stopped_in_order() {
    // R-LEDGER-3, R-LEAVE-1
    let mut world = pair();
    world.feed(A, Input::PersistFailed { ticket: 1, error: "no space left on device".into() });
    world.request(A, Request::Stop);
    world.run_to(ms(2000), "a has stopped", |world| world.machines[A].halted);
    world.run_to(ms(1000), "b serves", |world| world.owner() == Some(B));
    fine(&world, 800);
}

#[test]
fn a_machine_that_wakes_up_beside_a_rival_stops_before_it_goes_on() {
    // R-MEM-5, R-LEDGER-6: else both answer as soon as it has listened for deadtime.
    let mut world = pair();
    world.cut(0);
    world.cut(1);
    world.run(ms(1000));
    world.freeze(B);
    world.run(ms(1500));
    world.heal();
    world.watch(IP);
    world.thaw(B);
    world.run_to(ms(100), "b has stopped", |world| !world.machines[B].running.contains_key(&ResourceId::from(IP)));
    world.run(ms(2000));
    fine(&world, 0);
}

#[test]
fn a_machine_that_went_on_alone_and_was_away_listens_before_it_starts_anything_again() {
    // R-MEM-8: the other one may have come up alone meanwhile; only a lease that still runs bridges a restart.
    let mut world = World::new(vec![group("a", vec![address(IP), script("web")])], false);
    form(&mut world);
    world.power_off(A);
    world.run(ms(1500));
    assert_eq!(world.owner(), Some(B));
    world.power_off(B);
    world.run(ms(100));
    world.start(A);
    world.run_to(ms(4000), "a serves", |world| world.owner() == Some(A));
    world.start(B);
    world.watch(IP);
    let web = ResourceId::from("web");
    for _ in 0..200 {
        world.run(ms(10));
        let both = world.machines.iter().all(|machine| machine.running.contains_key(&web));
        assert!(!both, "runs twice\n{}", world.story());
    }
    fine(&world, 0);
}

#[test]
fn a_machine_that_runs_alone_bridges_the_restart_of_its_daemon() {
    // R-LEAVE-2, R-TAKE-4
    let mut world = pair();
    world.power_off(A);
    world.run(ms(1500));
    world.watch(IP);
    world.kill(B);
    world.run(ms(150));
    world.start(B);
    world.run(ms(2000));
    fine(&world, 0);
}

#[test]
fn a_lone_machine_whose_daemon_was_restarted_does_not_restart_what_runs() {
    // R-TAKE-4: it goes on alone while it holds what the record wants there.
    let mut world = World::new(vec![group("a", vec![script("web")])], false);
    world.start(A);
    world.start(B);
    world.run(ms(3000));
    world.power_off(B);
    world.kill(A);
    world.run(ms(300));
    world.machines[A].done.clear();
    world.start(A);
    world.run_to(ms(6000), "a goes on alone", |world| world.has_event(A, "permit"));
    world.run(ms(2000));
    assert!(world.machines[A].done.is_empty(), "{:?}\n{}", world.machines[A].done, world.story());
}

#[test]
fn what_the_loser_of_a_split_still_ran_when_it_died_is_not_held_back_for_ever() {
    // R-TAKE-1, section 8, 8: it was unclean, no voter yet, and never comes back.
    let mut world = World::new(vec![group("a", vec![address(IP), script("web")])], false);
    form(&mut world);
    world.cut(0);
    world.cut(1);
    world.run(ms(2000));
    let web = ResourceId::from("web");
    assert!(world.machines[B].running.contains_key(&web), "{}", world.story());
    world.machines[B].fail.insert((OpAction::Stop, web.clone()));
    world.heal();
    world.run(ms(100));
    world.power_off(B);
    world.run(ms(1500));
    let kept = world.machines[A].running.contains_key(&web);
    assert!(kept, "{}", world.story());
    // Now it has to start anew on A as well.
    world.kill(A);
    world.machines[A].running.remove(&web);
    world.start(A);
    world.run_to(ms(4000), "a runs it", |world| world.machines[A].running.contains_key(&ResourceId::from("web")));
}

#[test]
fn a_restarted_daemon_that_has_not_pinged_yet_keeps_its_group() {
    // R-MEM-9: a count that has not stood for a lease moves nothing.
    let mut world = World::new(vec![group("a", vec![address(IP)])], true);
    form(&mut world);
    world.kill(A);
    world.run(ms(100));
    world.pingable[A] = false;
    world.start(A);
    world.run(ms(150));
    world.pingable[A] = true;
    world.run(ms(3000));
    assert_eq!(world.owner(), Some(A), "{}", world.story());
    fine(&world, 0);
}

#[test]
fn a_thawed_node_announces_nothing_that_is_not_its_own() {
    // R-MEM-5: rounds of announcement that came due during the freeze would lead clients back to it.
    let mut world = pair();
    world.freeze(A);
    world.run(ms(2500));
    let announced = world.machines[A].announced;
    world.thaw(A);
    world.run(ms(3000));
    assert_eq!(world.owner(), Some(B), "{}", world.story());
    assert_eq!(world.machines[A].announced, announced, "announced after the thaw\n{}", world.story());
}

#[test]
fn the_winner_of_a_split_announces_at_once() {
    // R-TAKE-7: clients of the other side learn where the address is now.
    let mut world = pair();
    world.cut(0);
    world.cut(1);
    world.run(ms(2000));
    let announced = world.machines[A].announced;
    world.heal();
    world.run_to(ms(300), "the split is decided", |world| world.has_event(A, "split-won"));
    assert!(world.machines[A].announced > announced, "{}", world.story());
}
