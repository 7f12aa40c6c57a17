//! A machine without a watchdog that cannot stop what it has lost the right to resets itself (R-LEASE-6, decision 0068),
//! judged by what runs on it.

mod owner;

use hearth_sim::layout::ms;
use hearth_sim::{Act, Site, World};
use hearth_types::{ResourceId, Timestamp};
use owner::{cluster, hang, runs, supersede};
use std::time::Duration;

const BUDGET: Duration = ms(3000);
/// Lease, and what the daemon needs to see that it has ended.
const LEASE: Duration = ms(400 + 100);

fn pair(budget: Duration) -> World {
    cluster(2, None, |layout| layout.self_fence = Some(budget))
}

/// Says since when.
fn isolate(world: &mut World) -> Timestamp {
    owner::isolate(world, 0);
    world.site.now
}

fn resets(site: &Site) -> usize {
    site.story.iter().filter(|(_, text)| text.starts_with("a resets itself, for it cannot stop web")).count()
}

fn is_reset_by(world: &mut World, end: Timestamp) -> bool {
    world.run_until(end, |site| resets(site) > 0)
}

fn told(world: &World, name: &str) -> usize {
    world.site.machines[0].events.iter().filter(|told| told.event.name == name).count()
}

#[test]
fn an_isolated_owner_that_cannot_stop_resets_itself_when_its_time_is_over() {
    let mut world = pair(BUDGET);
    hang(&mut world);
    let at = isolate(&mut world);
    world.run(BUDGET);
    assert_eq!((resets(&world.site), told(&world, "self-fence-begun")), (0, 1), "it has its time");
    let status = world.site.status(0).expect("it answers");
    assert!(
        status.notes.contains(&"This machine resets itself in 1 s unless web stops.".to_owned()),
        "{:?}",
        status.notes
    );
    assert!(is_reset_by(&mut world, at + LEASE + BUDGET), "it was not reset");
    assert_eq!(told(&world, "self-fenced"), 1, "nobody is told why");
    assert!(!runs(&world, 0));
    assert_eq!(world.complaints, []);
}

#[test]
fn an_owner_that_stops_in_time_is_reset_all_the_same() {
    let mut world = pair(BUDGET);
    isolate(&mut world);
    world.run(ms(8000));
    assert!(!runs(&world, 0));
    assert_eq!(resets(&world.site), 0);
    // And where a person has ended what did not stop, before the next try, 5 s after the first.
    let mut world = pair(BUDGET * 3);
    hang(&mut world);
    isolate(&mut world);
    world.run(ms(1500));
    world.act(&Act::Agent { node: 0, resource: "web".into(), flaw: None });
    world.act(&Act::Dies { node: 0, resource: "web".into() });
    world.run(ms(12_000));
    assert_eq!((resets(&world.site), told(&world, "self-fence-over")), (0, 1));
    assert_eq!(world.complaints, []);
}

/// R-LEDGER-6, decision 0049: the other machine has what it runs. That it takes part again gives it no right to that.
#[test]
fn who_was_superseded_and_cannot_stop_resets_itself_though_it_takes_part_again() {
    let mut world = pair(BUDGET);
    let thawed = supersede(&mut world);
    assert!(runs(&world, 0) && runs(&world, 1));
    assert!(is_reset_by(&mut world, thawed + BUDGET + ms(300)), "both run it, and nothing ends that");
    world.run(ms(8000));
    assert_eq!(resets(&world.site), 1, "reset again and again");
    let web = ResourceId::from("web");
    assert_eq!(world.site.machines[1].starts.get(&web), Some(&1), "the other one was touched");
    assert!(!runs(&world, 0) && runs(&world, 1));
    assert_eq!(world.complaints, []);
}

/// The next daemon goes on with the time of the one before.
#[test]
fn a_daemon_that_is_killed_again_and_again_puts_its_reset_off() {
    let mut world = pair(BUDGET);
    hang(&mut world);
    let at = isolate(&mut world);
    for _ in 0..2 {
        world.run(ms(1200));
        world.act(&Act::Kill(0));
        world.run(ms(200));
        world.act(&Act::Start(0));
    }
    assert_eq!(resets(&world.site), 0);
    assert!(is_reset_by(&mut world, at + LEASE + BUDGET + ms(100)), "the time begins anew with each daemon");
}

/// What the daemon before could not stop may have stopped since: that one looks first.
#[test]
fn a_daemon_that_comes_when_the_time_is_over_resets_a_machine_on_which_nothing_runs() {
    for still in [false, true] {
        let mut world = pair(BUDGET);
        hang(&mut world);
        isolate(&mut world);
        world.run(ms(1500));
        world.act(&Act::Kill(0));
        world.run(ms(4000));
        if !still {
            world.act(&Act::Dies { node: 0, resource: "web".into() });
        }
        world.act(&Act::Start(0));
        let soon = world.site.now + ms(300);
        assert_eq!(is_reset_by(&mut world, soon), still);
        world.run(ms(6000));
        assert_eq!(resets(&world.site), usize::from(still));
    }
}

#[test]
fn a_daemon_that_is_replaced_while_the_other_machine_is_off_resets_a_machine_that_serves() {
    let mut world = cluster(2, None, |layout| (layout.self_fence, layout.unfenced) = (Some(BUDGET), false));
    world.act(&Act::PowerOff(1));
    world.run(ms(2000));
    world.act(&Act::Kill(0));
    world.run(ms(1000));
    world.act(&Act::Start(0));
    world.run(ms(8000));
    assert!(runs(&world, 0), "nobody stops it, so no stop has failed");
    assert_eq!(resets(&world.site), 0);
}

/// As `watchdog-says-nothing-at-a-start.txt`: a warning that stands in every log is read by nobody.
#[test]
fn each_start_warns_of_a_reset_that_nobody_needs() {
    let mut world = cluster(3, None, |layout| layout.self_fence = Some(BUDGET));
    world.act(&Act::PowerOff(0));
    world.run(ms(3000));
    world.act(&Act::Start(0));
    world.run(ms(3000));
    assert_eq!((told(&world, "self-fence-armed"), told(&world, "self-fence-begun")), (2, 0));
    // It counts all the same.
    let owner = (0..3).find(|node| runs(&world, *node)).expect("it runs");
    owner::isolate(&mut world, owner);
    world.run(ms(1000));
    let events = &world.site.machines[owner].events;
    assert!(events.iter().any(|told| told.event.name == "self-fence-begun"));
}

#[test]
fn a_machine_that_was_never_active_resets_itself_again_and_again() {
    let mut world = pair(BUDGET);
    world.act(&Act::PowerOff(0));
    isolate(&mut world);
    hang(&mut world);
    world.act(&Act::Start(0));
    world.act(&Act::ByHand { node: 0, resource: "web".into() });
    world.run(ms(10_000));
    assert_eq!(resets(&world.site), 0);
}

/// What it is not for, and why nobody may go by it.
#[test]
fn a_frozen_machine_is_reset_by_nothing() {
    let mut world = pair(BUDGET);
    hang(&mut world);
    world.act(&Act::Freeze(0));
    world.run(ms(10_000));
    assert_eq!(resets(&world.site), 0);
    assert!(runs(&world, 0));
}
