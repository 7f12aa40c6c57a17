//! What should not run here is looked for while the daemon runs (decision 0043); each test named for the harm it prevents.

mod world;

use hearth_executor::LocalState;
use hearth_types::*;
use std::time::Duration;
use world::{ALL, NOTHING, World, model, resource};

/// R-TAKE-4: by a person, or by the machine when it booted.
#[test]
fn started_by_somebody_beside_its_owner_and_only_the_next_daemon_finds_it() {
    for (id, within) in [("web", 61), ("10.0.0.1", 11), ("/srv", 11)] {
        let mut world = World::ready(&[id]);
        world.runs.insert(id.into(), resource(id).into());
        world.history.clear();
        world.pass(Duration::from_secs(within));
        assert_eq!(world.under_way(), [format!("probe {id}")], "nobody looks");
        world.finish_at(0, None);
        assert_eq!(world.executor.unconfirmed_reports().count(), 1, "the record is told");
        world.run();
        assert_eq!(world.history, [format!("probe {id}"), format!("stop {id}")]);
        assert!(world.record.may_be_active.is_empty() && world.running_ids().is_empty());
    }
}

#[test]
fn status_of_a_standby_that_hangs_delays_a_takeover() {
    let mut world = World::ready(&["web"]);
    world.pass(Duration::from_secs(61));
    assert_eq!((world.under_way(), world.cancelled.len()), (vec!["probe web".to_string()], 0));
    world.assign("web");
    assert_eq!(world.cancelled.len(), 1, "it is given up");
    world.finish("probe web", Some(OpOutcome::Cancelled));
    assert_eq!(world.under_way(), ["start web"]);
    // Had it ended well at that moment, it would say nothing of what is to be started.
    let mut world = World::ready(&["web"]);
    world.pass(Duration::from_secs(61));
    world.assign("web");
    world.runs.insert("web".into(), resource("web").into());
    world.finish("probe web", None);
    assert_eq!(world.under_way(), ["start web"]);
}

/// What its stop has confirmed is not taken back by an agent that cannot say: many cannot where their data is not.
#[test]
fn status_that_fails_on_a_standby_blocks_what_runs_elsewhere() {
    for outcome in [
        OpOutcome::Failed { code: Some(1), message: "no configuration".into() },
        OpOutcome::TimedOut { message: String::new() },
    ] {
        let mut world = World::ready(&["web"]);
        world.pass(Duration::from_secs(61));
        world.finish("probe web", Some(outcome));
        assert_eq!(world.executor.unconfirmed_reports().count(), 0);
        assert_eq!(world.executor.local_state(&"web".into()), LocalState::Stopped);
        assert!(world.under_way().is_empty());
    }
}

/// R-LEAVE-1
#[test]
fn look_at_what_does_not_run_keeps_a_node_from_leaving_or_counts_as_held() {
    let mut world = World::ready(&["web"]);
    world.pass(Duration::from_secs(61));
    assert_eq!(world.under_way(), ["probe web"]);
    assert!(!world.executor.holds_anything() && world.executor.held().is_empty());
}

#[test]
fn looked_at_though_its_monitor_is_off_or_nothing_vouches_for_this_node() {
    let mut quiet = model(&["web"]);
    quiet.groups[0].resources[0].monitor = None;
    let mut world = World::ready(&["web"]);
    world.configure_as(quiet);
    world.pass(Duration::from_secs(600));
    assert!(world.under_way().is_empty());
    let mut world = World::ready(&["web"]);
    world.rights(NOTHING);
    world.pass(Duration::from_secs(600));
    assert!(world.under_way().is_empty());
}

/// R-LEASE-5, R-MEM-7. Harm: the right to an address is lost for a moment while it is being looked at. It is taken away, counts
/// as running, and answers nobody until the next look finds it missing.
#[test]
fn address_that_was_taken_away_while_it_was_looked_at_counts_as_running() {
    let mut world = World::running(&["10.0.0.1 web"]);
    while !world.under_way().contains(&"monitor 10.0.0.1".to_owned()) {
        assert!(world.next(), "it is never looked at");
    }
    world.rights(NOTHING);
    world.rights(ALL);
    world.finish("monitor 10.0.0.1", Some(OpOutcome::Cancelled));
    assert!(world.executor.running_addresses().is_empty());
    assert!(world.need_wire.contains(&"10.0.0.1".into()), "another may have taken it");
}
