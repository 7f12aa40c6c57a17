//! A machine that cannot stop what it has lost the right to is reset (R-LEASE-6, R-LEASE-7), judged by what runs on it.

mod owner;

use hearth_sim::layout::ms;
use hearth_sim::{Act, Mutant, Site, World};
use owner::{cluster, hang, isolate, runs, supersede};
use std::time::Duration;

fn pair(mutant: Option<Mutant>) -> World {
    let world = cluster(2, mutant, |layout| layout.watchdog = Some(ms(3000)));
    for machine in &world.site.machines {
        assert!(machine.reset_at.is_some(), "it is never armed");
        assert!(machine.stated.is_some());
    }
    world
}

fn resets(site: &Site) -> usize {
    site.story.iter().filter(|(_, text)| text == "the watchdog resets a").count()
}

fn is_reset_within(world: &mut World, span: Duration) -> bool {
    let end = world.site.now + span;
    world.run_until(end, |site| resets(site) > 0)
}

#[test]
fn an_isolated_owner_that_cannot_stop_is_reset_within_its_timeout() {
    let mut world = pair(None);
    assert!(runs(&world, 0));
    hang(&mut world);
    isolate(&mut world, 0);
    // Lease, timeout, and how often the simulated watchdog looks.
    assert!(is_reset_within(&mut world, ms(400 + 3000 + 200)), "it was not reset");
    assert!(!runs(&world, 0));
    assert_eq!(world.complaints, []);
}

#[test]
fn an_isolated_owner_that_has_stopped_everything_is_not_reset() {
    let mut world = pair(None);
    isolate(&mut world, 0);
    world.run(ms(8000));
    assert!(!runs(&world, 0));
    assert_eq!(resets(&world.site), 0);
    assert_eq!(world.complaints, []);
}

#[test]
fn a_daemon_that_is_killed_and_back_in_time_costs_no_reset_and_one_that_stays_away_does() {
    let mut world = pair(None);
    world.act(&Act::Kill(0));
    world.run(ms(1000));
    world.act(&Act::Start(0));
    world.run(ms(6000));
    assert_eq!(resets(&world.site), 0);
    world.act(&Act::Kill(0));
    assert!(is_reset_within(&mut world, ms(3200)), "nobody watches a machine without daemon");
}

#[test]
fn an_orderly_stop_ends_the_watchdog() {
    let mut world = pair(None);
    world.act(&Act::Stop(0));
    world.run(ms(8000));
    let machine = &world.site.machines[0];
    assert!(machine.controller.is_none() && machine.powered && machine.reset_at.is_none());
}

#[test]
fn a_frozen_machine_is_reset() {
    let mut world = pair(None);
    world.act(&Act::Freeze(0));
    assert!(is_reset_within(&mut world, ms(3200)));
}

/// R-LEDGER-6, decision 0049: the other machine has what it runs. That it takes part again gives it no right to that.
#[test]
fn who_was_superseded_and_cannot_stop_is_reset_though_it_takes_part_again() {
    let world = superseded(|_| {});
    assert_eq!(resets(&world.site), 1, "reset again and again");
}

/// The same where the daemon that knew it is killed, and the next one is let in.
#[test]
fn who_was_superseded_is_petted_by_the_next_daemon_and_both_run_on() {
    superseded(|world| {
        world.act(&Act::Kill(0));
        world.run(ms(60));
        world.act(&Act::Start(0));
    });
}

/// `a` loses to `b` what it cannot stop, and takes part again; then `more` happens.
fn superseded(more: impl FnOnce(&mut World)) -> World {
    let mut world = pair(None);
    supersede(&mut world);
    more(&mut world);
    assert!(is_reset_within(&mut world, ms(3000 + 300)), "both run it, and nothing ends that");
    assert!(!runs(&world, 0) && runs(&world, 1));
    world.run(ms(8000));
    world
}

/// Without a cable nobody lets it in, and what it was superseded in has stopped: its own look says so.
#[test]
fn who_was_superseded_has_stopped_and_is_cut_off_is_reset_all_the_same() {
    let mut world = pair(None);
    hang(&mut world);
    world.act(&Act::Freeze(0));
    world.run(ms(1000));
    world.act(&Act::Thaw(0));
    let lost = |site: &Site| site.machines[0].events.iter().any(|told| told.event.name == "watchdog-left");
    let soon = world.site.now + ms(1000);
    assert!(world.run_until(soon, lost), "it has lost nothing");
    world.act(&Act::Kill(0));
    isolate(&mut world, 0);
    world.act(&Act::Dies { node: 0, resource: "web".into() });
    world.act(&Act::Start(0));
    world.run(ms(8000));
    assert!(!runs(&world, 0) && world.site.machines[0].controller.is_some());
    assert_eq!(resets(&world.site), 0);
}

/// The checker sees one that pets whatever it has lost.
#[test]
fn the_checkers_see_a_watchdog_that_is_petted_while_unclean() {
    let mut world = pair(Some(Mutant::PetsWhileUnclean));
    hang(&mut world);
    isolate(&mut world, 0);
    world.run(ms(6000));
    assert_eq!(resets(&world.site), 0);
    assert!(world.complaints.iter().any(|complaint| complaint.checker == "isolated owner"), "nobody saw it");
}
