//! State by event, each test named for the harm it prevents.

mod world;

use hearth_cib::{Entry, FORGETS_FROM, ReportKind, ResourceState};
use hearth_executor::{AddressChange, ExecutorInput, ExecutorOutput, LocalState, NoteKind, Rights};
use hearth_types::*;
use std::time::Duration;
use world::{ALL, ME, NOTHING, PEER, World, group, model, resource};

fn timed_out() -> Option<OpOutcome> {
    Some(OpOutcome::TimedOut { message: String::new() })
}

/// R-TAKE-4
#[test]
fn started_before_it_was_looked_whether_it_runs() {
    let mut world = World::new(&["10.0.0.1 web", "db"]);
    world.rights(ALL);
    world.show();
    assert_eq!(world.under_way(), ["probe 10.0.0.1", "probe db", "probe web"]);
    world.finish("probe db", None);
    assert_eq!(world.under_way(), ["probe 10.0.0.1", "probe web"], "nothing else before all is probed");
    world.run();
    assert!(world.record.nodes[&NodeName::from(ME)].probed);
    assert_eq!(world.running_ids(), Vec::<String>::new());
}

/// R-TAKE-1: the DC may decide on probes only when it has them.
#[test]
fn probes_called_done_before_the_record_has_their_reports() {
    let mut world = World::new(&["web"]);
    world.runs.insert("web".into(), resource("web").into());
    world.rights(ALL);
    world.show();
    world.finish("probe web", None);
    assert_eq!(world.reports(), ["web Running"]);
    let done = |world: &World| world.out.contains(&ExecutorOutput::ProbesDone);
    assert!(!done(&world));
    world.deliver();
    assert!(done(&world));
}

/// Protocol section 8, 6.
#[test]
fn service_started_before_its_address_and_stopped_after_it() {
    let mut world = World::ready(&["10.0.0.1 /srv web"]);
    world.assign("10.0.0.1");
    assert_eq!(world.under_way(), ["start 10.0.0.1"]);
    world.finish("start 10.0.0.1", None);
    assert_eq!(world.under_way(), ["start /srv"]);
    world.run();
    world.history.clear();
    world.unassign("10.0.0.1");
    world.run();
    assert_eq!(world.history, ["stop web", "stop /srv", "stop 10.0.0.1"]);
    assert_eq!(world.running_ids(), Vec::<String>::new());
    assert!(world.record.may_be_active.is_empty());
    assert!(!world.executor.holds_anything());
}

/// R-TAKE-4: an unprobed node is not assigned anything, and if it were it would look first.
#[test]
fn wanted_elsewhere_stopped_before_everything_was_looked_at() {
    let mut world = World::new(&["web", "db"]);
    world.runs.insert("web".into(), resource("web").into());
    world.rights(ALL);
    world.show();
    world.finish("probe web", None);
    assert_eq!(world.under_way(), ["probe db"]);
    world.finish("probe db", None);
    assert_eq!(world.under_way(), ["stop web"]);
}

#[test]
fn one_group_waits_for_another_that_is_slow() {
    let mut world = World::ready(&["10.0.0.1 web", "10.0.0.2 db"]);
    world.assign("10.0.0.1");
    world.assign("10.0.0.2");
    world.finish("start 10.0.0.2", None);
    world.finish("start db", None);
    assert_eq!(world.under_way(), ["start 10.0.0.1"]);
    assert_eq!(world.executor.local_state(&"db".into()), LocalState::Started);
}

/// R-LEASE-5
#[test]
fn address_kept_after_the_right_to_it_ended() {
    let mut world = World::running(&["10.0.0.1 web 10.0.0.2"]);
    world.rights(NOTHING);
    let shut = world.out.iter().find_map(|it| match it {
        ExecutorOutput::Shut(resources) => Some(resources.len()),
        _ => None,
    });
    assert_eq!(shut, Some(2));
    assert_eq!(world.under_way(), ["stop 10.0.0.1", "stop 10.0.0.2"], "side by side, and not the service");
    assert!(world.executor.running_addresses().is_empty());
    world.run();
    assert_eq!(world.running_ids(), ["web"]);
    assert_eq!(world.record.may_be_active.len(), 3, "a stop that nobody asked for gives nothing back");
}

#[test]
fn order_forgotten_when_everything_stops_at_lease_end() {
    let mut world = World::running(&["10.0.0.1 /srv web"]);
    world.stop_all_on_loss();
    world.rights(NOTHING);
    assert_eq!(world.under_way(), ["stop 10.0.0.1", "stop web"], "addresses beside the ordered rest");
    world.finish("stop web", None);
    assert_eq!(world.under_way(), ["stop 10.0.0.1", "stop /srv"]);
    world.run();
    assert_eq!(world.running_ids(), Vec::<String>::new());
}

/// R-MEM-7, R-TAKE-6
#[test]
fn address_taken_again_without_asking_the_wire_after_nothing_vouched_for_us() {
    let mut world = World::running(&["10.0.0.1 web"]);
    world.rights(NOTHING);
    world.run();
    world.rights(ALL);
    assert_eq!(world.under_way(), Vec::<String>::new());
    assert!(world.need_wire.contains(&"10.0.0.1".into()));
    world.wire("10.0.0.1", Some("aa:bb"));
    assert_eq!(world.under_way(), Vec::<String>::new());
    assert!(world.waits("10.0.0.1").unwrap().contains("aa:bb"));
    world.wire("10.0.0.1", None);
    assert_eq!(world.under_way(), ["start 10.0.0.1"]);
    assert!(world.need_wire.is_empty());
    world.run();
    assert_eq!(world.running_ids(), ["10.0.0.1", "web"]);
    assert_eq!(world.waits("10.0.0.1"), None);
}

#[test]
fn start_under_way_goes_on_after_the_right_ended() {
    let mut world = World::ready(&["10.0.0.1"]);
    world.assign("10.0.0.1");
    world.rights(NOTHING);
    assert_eq!(world.cancelled.len(), 1);
    world.finish("start 10.0.0.1", None);
    assert_eq!(world.under_way(), ["stop 10.0.0.1"], "its effect is unknown");
    world.run();
    assert_eq!(world.running_ids(), Vec::<String>::new());
}

/// R-TAKE-7
#[test]
fn clients_led_to_a_machine_that_gives_the_address_up() {
    let announced = |world: &World| world.out.iter().any(|output| matches!(output, ExecutorOutput::Announce { .. }));
    let mut world = World::ready(&["10.0.0.1"]);
    world.assign("10.0.0.1");
    world.unassign("10.0.0.1");
    world.finish("start 10.0.0.1", None);
    world.run();
    assert!(!announced(&world), "a start that was given up ended well");

    let mut world = World::running(&["10.0.0.1"]);
    world.pass(Duration::from_secs(12));
    assert!(announced(&world));
    world.out.clear();
    world.unassign("10.0.0.1");
    world.pass(Duration::from_secs(3));
    assert!(!announced(&world), "while it was being stopped");
}

#[test]
fn started_without_the_right_to() {
    let mut world = World::ready(&["web"]);
    world.rights(Rights { keep: true, start: false, not_after: None });
    world.assign("web");
    assert_eq!(world.under_way(), Vec::<String>::new());
    assert!(world.waits("web").is_some());
    let past = Rights { keep: true, start: true, not_after: Some(world.now) };
    world.rights(past);
    assert_eq!(world.under_way(), Vec::<String>::new());
    let soon = world.now + Duration::from_millis(300);
    world.rights(Rights { keep: true, start: true, not_after: Some(soon) });
    assert_eq!(world.ops[0].not_after, Some(soon), "the agent looks again");
}

#[test]
fn agent_that_came_too_late_counts_as_a_failed_start() {
    let mut world = World::ready(&["web"]);
    let soon = world.now + Duration::from_millis(300);
    world.rights(Rights { keep: true, start: true, not_after: Some(soon) });
    world.assign("web");
    world.now = soon + Duration::from_millis(10);
    world.fail("start web");
    world.run();
    assert!(world.record.failures.is_empty());
}

#[test]
fn script_that_fails_after_the_lease_was_renewed_is_started_for_ever() {
    let mut world = World::ready(&["web"]);
    let soon = world.now + Duration::from_millis(300);
    world.rights(Rights { keep: true, start: true, not_after: Some(soon) });
    world.assign("web");
    world.now = soon + Duration::from_millis(1);
    world.rights(ALL);
    world.fail("start web");
    world.finish("stop web", None);
    assert!(world.reports().iter().any(|it| it.contains("StartFailed")));
}

#[test]
fn failed_start_left_half_started() {
    let mut world = World::ready(&["10.0.0.1 web"]);
    world.assign("10.0.0.1");
    world.finish("start 10.0.0.1", None);
    world.fail("start web");
    assert!(world.reports().iter().all(|it| !it.contains("StartFailed")), "not before the stop is confirmed");
    world.finish("stop web", None);
    world.deliver();
    let failures = world.record.failure_count(&"web".into(), &ME.into(), OpAction::Start);
    assert_eq!(failures, 1);
    assert_eq!(world.record.flag(&"web".into(), &ME.into()), None);
    world.run();
    world.pass(Duration::from_secs(30));
    assert_eq!(world.history.iter().filter(|it| *it == "start web").count(), 1, "not tried again by itself");
}

/// R-TAKE-1: the id is spent with the report, not with its arrival.
#[test]
fn started_again_under_an_id_that_was_given_back() {
    let mut world = World::ready(&["web"]);
    world.assign("web");
    world.fail("start web");
    world.finish("stop web", None);
    world.pass(Duration::from_secs(60));
    world.show();
    assert_eq!(world.under_way(), ["probe web"], "no more than a look");
    assert_eq!(world.reports().last().unwrap().split_whitespace().nth(1), Some("StartFailed"));
}

/// R-TAKE-1: the report was lost, or is not decided yet, and the daemon is another one. The record that it reads still
/// shows the assignment, while another node may have been given it on the word of the daemon before.
#[test]
fn started_by_the_next_daemon_under_an_id_that_was_given_back() {
    let mut world = World::ready(&["web"]);
    world.assign("web");
    world.fail("start web");
    world.finish("stop web", None);
    world.restart();
    world.admit();
    world.rights(ALL);
    world.run();
    world.pass(Duration::from_secs(60));
    assert_eq!(world.history.iter().filter(|it| *it == "start web").count(), 1, "{:?}", world.history);
    // Not for ever: a newer assignment is another matter.
    world.unassign("web");
    world.run();
    world.assign("web");
    world.run();
    assert_eq!(world.history.iter().filter(|it| *it == "start web").count(), 2, "{:?}", world.history);
}

#[test]
fn failed_stop_called_stopped() {
    let mut world = World::running(&["10.0.0.1 web"]);
    world.unassign("10.0.0.1");
    world.fail("stop web");
    assert_eq!(world.under_way(), Vec::<String>::new(), "the address stays while the service may run");
    assert_eq!(world.executor.local_state(&"web".into()), LocalState::Blocked);
    world.deliver();
    assert!(world.record.flag(&"web".into(), &ME.into()).is_some());
    assert_eq!(world.record.states[&("web".into(), ME.into())], ResourceState::Blocked);
    world.pass(Duration::from_secs(4));
    assert_eq!(world.under_way(), Vec::<String>::new());
    world.pass(Duration::from_secs(2));
    assert_eq!(world.under_way(), ["stop web"], "tried again, at a bounded rate");
    world.finish("stop web", timed_out());
    let failed = |world: &World| world.reports().iter().filter(|it| it.contains("StopFailed")).count();
    assert_eq!(failed(&world), 1, "reported once");
    world.pass(Duration::from_secs(6));
    world.run();
    assert!(world.record.may_be_active.is_empty());
}

#[test]
fn killed_service_called_stopped_in_order() {
    let mut world = World::running(&["10.0.0.1 web"]);
    world.unassign("10.0.0.1");
    world.remark = Some("it did not end within 20 s; SIGKILL sent to web: they ended".into());
    world.finish("stop web", None);
    // R-TAKE-8: it counts as stopped, and whoever looks learns what it took.
    let told = world.out.iter().find_map(|it| match it {
        ExecutorOutput::Note(note) if note.kind == NoteKind::StopForced => Some(note.text.clone()),
        _ => None,
    });
    let told = told.unwrap_or_default();
    assert!(told.contains("not by its own stop: it did not end within 20 s"), "{told}");
    // R-WIRE-6: in a record that every daemon can read, it tells nobody else; see below.
    assert!(!world.reports().iter().any(|it| it.contains("StopForced")), "{:?}", world.reports());
    world.deliver();
    assert!(world.record.flag(&"web".into(), &ME.into()).is_none());
}

/// R-TAKE-8: the others hear of it too, also where it is started again in place and no stop is reported.
#[test]
fn service_killed_at_each_restart_and_nobody_else_knows() {
    let mut world = World::running(&["10.0.0.1 web"]);
    world.record.wire_version = FORGETS_FROM;
    world.show();
    world.runs.remove(&"web".into());
    world.pass(Duration::from_secs(10));
    world.finish("monitor web", None);
    world.remark = Some("SIGKILL sent to web".into());
    world.finish("stop web", None);
    world.remark = None;
    world.deliver();
    assert_eq!(world.record.failure_count(&"web".into(), &ME.into(), OpAction::Stop), 1);
    assert!(world.record.flag(&"web".into(), &ME.into()).is_some(), "a restart in place reports no stop");
    world.run();
    assert_eq!(world.running_ids(), ["10.0.0.1", "web"]);
    assert_eq!(world.record.states[&("web".into(), ME.into())], ResourceState::Started);
    world.unassign("10.0.0.1");
    world.run();
    assert!(world.record.may_be_active.is_empty());
}

#[test]
fn group_held_up_by_a_mail_that_cannot_be_unsent() {
    let mut groups = model(&["10.0.0.1 mail"]);
    groups.groups[0].resources[1].on_stop_fail = OnStopFail::Ignore;
    let mut world = World::ready(&[]);
    world.configure_as(groups);
    world.run();
    world.assign("10.0.0.1");
    world.run();
    world.unassign("10.0.0.1");
    world.fail("stop mail");
    assert_eq!(world.under_way(), ["stop 10.0.0.1"]);
    world.run();
    assert!(world.record.may_be_active.is_empty());
}

#[test]
fn dead_service_not_noticed() {
    let mut world = World::running(&["10.0.0.1 web"]);
    world.runs.remove(&"web".into());
    world.pass(Duration::from_secs(10));
    world.finish("monitor web", None);
    assert_eq!(world.under_way().last().unwrap(), "stop web");
    assert!(world.reports().iter().any(|it| it.contains("MonitorFailed")));
    world.run();
    assert_eq!(world.running_ids(), ["10.0.0.1", "web"]);
    let count = world.record.failure_count(&"web".into(), &ME.into(), OpAction::Monitor);
    assert_eq!(count, 1);
    assert_eq!(world.record.states[&("web".into(), ME.into())], ResourceState::Started);
    assert!(world.reports().iter().all(|it| !it.contains("Stopped")), "a restart in place reports no stop");
}

#[test]
fn service_left_running_on_a_file_system_that_is_gone() {
    let mut world = World::running(&["10.0.0.1 /srv web"]);
    world.runs.remove(&"/srv".into());
    world.pass(Duration::from_secs(10));
    world.history.clear();
    world.finish("monitor /srv", None);
    for op in world.under_way() {
        if op.starts_with("monitor") {
            world.finish(&op, None);
        }
    }
    world.run();
    let changes: Vec<&String> = world.history.iter().filter(|it| !it.starts_with("monitor")).collect();
    assert_eq!(changes, ["stop web", "stop /srv", "start /srv", "start web"]);
}

#[test]
fn service_that_dies_at_once_is_started_without_end() {
    let mut world = World::running(&["web"]);
    let began = world.now;
    let mut starts = 0;
    while world.now.since(began) < Duration::from_secs(120) {
        world.runs.clear();
        if world.ops.is_empty() {
            assert!(world.next(), "nothing to wait for");
            continue;
        }
        let op = world.under_way()[0].clone();
        starts += usize::from(op == "start web");
        world.finish(&op, if op.starts_with("monitor") { Some(OpOutcome::NotRunning) } else { None });
    }
    assert!((5..=30).contains(&starts), "{starts} starts in two minutes");
}

/// R-TAKE-7
#[test]
fn removed_address_stays_away() {
    let mut world = World::running(&["10.0.0.1 web"]);
    world.disturb("10.0.0.1", AddressChange::Removed);
    assert_eq!(world.under_way(), ["start 10.0.0.1"], "at once, and nothing else is touched");
    world.finish("start 10.0.0.1", None);
    assert!(world.out.contains(&ExecutorOutput::Announce { resource: "10.0.0.1".into(), burst: true }));
    world.disturb("10.0.0.1", AddressChange::Removed);
    assert_eq!(world.under_way(), Vec::<String>::new(), "then at most once a second");
    assert!(world.next());
    world.pass(Duration::from_secs(1));
    assert_eq!(world.under_way(), ["start 10.0.0.1"]);
    world.disturb("10.0.0.1", AddressChange::Removed);
    world.run();
    assert_eq!(world.running_ids(), ["10.0.0.1", "web"]);
    assert!(world.record.failures.is_empty());
}

#[test]
fn address_removed_while_it_is_put_back_is_missed() {
    let mut world = World::running(&["10.0.0.1"]);
    world.disturb("10.0.0.1", AddressChange::Removed);
    world.disturb("10.0.0.1", AddressChange::Removed);
    world.finish("start 10.0.0.1", None);
    world.runs.clear();
    world.pass(Duration::from_millis(1100));
    assert_eq!(world.under_way(), ["start 10.0.0.1"]);
}

#[test]
fn changed_lifetime_lets_the_address_run_out() {
    let mut world = World::running(&["10.0.0.1"]);
    world.disturb("10.0.0.1", AddressChange::LifetimeChanged);
    assert_eq!(world.under_way(), ["start 10.0.0.1"]);
    world.run();
    assert_eq!(world.noted(NoteKind::AddressRepaired), 1);
}

/// R-LEASE-11
#[test]
fn expired_address_repaired_while_another_may_have_it() {
    let mut world = World::running(&["10.0.0.1 web"]);
    world.disturb("10.0.0.1", AddressChange::Expired);
    assert_eq!(world.under_way(), Vec::<String>::new());
    assert!(!world.executor.running_addresses().contains(&"10.0.0.1".into()), "no more ticks for it");
    assert!(world.need_wire.contains(&"10.0.0.1".into()));
    world.wire("10.0.0.1", None);
    assert_eq!(world.under_way(), ["start 10.0.0.1"]);
    world.run();
    assert_eq!(world.running_ids(), ["10.0.0.1", "web"]);
}

#[test]
fn vanished_interface_counts_as_a_failed_start() {
    let mut world = World::running(&["10.0.0.1 web"]);
    world.handle(ExecutorInput::AddressHome { resource: "10.0.0.1".into(), present: false });
    world.disturb("10.0.0.1", AddressChange::InterfaceGone);
    world.pass(Duration::from_secs(5));
    assert!(world.under_way().iter().all(|op| op.starts_with("monitor")), "nothing to put it on");
    world.handle(ExecutorInput::AddressHome { resource: "10.0.0.1".into(), present: true });
    assert!(world.under_way().contains(&"start 10.0.0.1".to_string()), "put back at once");
    world.fail("start 10.0.0.1");
    world.pass(Duration::from_millis(1100));
    assert!(world.under_way().contains(&"start 10.0.0.1".to_string()));
    world.run();
    assert_eq!(world.record.failure_count(&"10.0.0.1".into(), &ME.into(), OpAction::Start), 0);
    assert_eq!(world.running_ids(), ["10.0.0.1", "web"]);
}

/// R-LEAVE-2, R-TAKE-4
#[test]
fn restart_of_the_daemon_restarts_the_services() {
    let mut world = World::running(&["10.0.0.1 web", "db"]);
    world.restart();
    assert_eq!(**world.executor.running_addresses(), ["10.0.0.1".into()].into(), "the gate stays open while we look");
    world.rights(ALL);
    world.admit();
    world.run();
    assert_eq!(world.history, ["probe 10.0.0.1", "probe db", "probe web"]);
    assert_eq!(world.noted(NoteKind::Adopted), 3);
    assert_eq!(world.running_ids(), ["10.0.0.1", "db", "web"]);
    assert!(world.record.nodes[&NodeName::from(ME)].probed);
}

/// R-TAKE-4, R-TAKE-9: protocol section 8, 6 holds for what has left the files too.
#[test]
fn file_system_unmounted_before_its_service_by_a_daemon_that_never_knew_the_group() {
    let mut world = World::running(&["/srv nfs 10.0.0.1", "db"]);
    world.configure(&["db"]);
    world.restart();
    world.history.clear();
    world.rights(ALL);
    world.admit();
    world.run();
    let stops: Vec<&String> = world.history.iter().filter(|it| it.starts_with("stop")).collect();
    assert_eq!(stops, ["stop 10.0.0.1", "stop nfs", "stop /srv"]);
    assert_eq!(world.running_ids(), ["db"]);
}

#[test]
fn service_that_died_with_the_daemon_stays_down() {
    let mut world = World::running(&["10.0.0.1 web"]);
    world.runs.clear();
    world.restart();
    world.rights(ALL);
    world.finish("probe 10.0.0.1", None);
    world.finish("probe web", None);
    assert_eq!(world.under_way(), Vec::<String>::new(), "not before this run is admitted");
    world.admit();
    world.run();
    assert!(world.need_wire.contains(&"10.0.0.1".into()), "it may have run out, and another may have it");
    world.wire("10.0.0.1", None);
    world.run();
    assert_eq!(world.running_ids(), ["10.0.0.1", "web"]);
}

#[test]
fn changed_while_the_daemon_was_away_and_not_noticed() {
    let mut world = World::running(&["db", "web"]);
    let mut changed = model(&["db", "web"]);
    changed.groups[1].resources[0].args = vec!["-x".into()];
    world.decide(Entry::Configure { model: changed, digest: 3, nodes: vec![ME.into(), PEER.into()] });
    world.restart();
    world.rights(ALL);
    world.admit();
    world.run();
    assert_eq!(world.history, ["probe db", "probe web", "stop web", "start web"]);
    assert_eq!(world.runs[&ResourceId::from("web")].args, ["-x"]);
}

#[test]
fn found_running_and_left_running_where_it_is_not_wanted() {
    let mut world = World::new(&["10.0.0.1 web"]);
    world.runs.insert("web".into(), resource("web").into());
    world.rights(ALL);
    world.show();
    world.run();
    assert_eq!(world.running_ids(), Vec::<String>::new());
    assert!(world.record.may_be_active.is_empty());
    assert_eq!(world.reports(), ["web Running", "web NotRunning"]);
}

/// R-TAKE-1: an error means that it may be active.
#[test]
fn probe_without_answer_called_not_running() {
    let mut world = World::new(&["web"]);
    world.rights(ALL);
    world.show();
    world.finish("probe web", timed_out());
    world.deliver();
    assert!(world.record.flag(&"web".into(), &ME.into()).is_some());
    world.run();
    assert_eq!(world.history, ["probe web", "stop web"]);
    assert!(world.record.may_be_active.is_empty());
}

#[test]
fn script_that_is_not_installed_on_the_standby_blocks_the_group() {
    let mut world = World::new(&["web"]);
    world.rights(ALL);
    world.show();
    world.finish("probe web", Some(OpOutcome::Failed { code: Some(5), message: "not installed".into() }));
    world.run();
    assert_eq!(world.history, ["probe web"]);
    assert!(world.record.may_be_active.is_empty());
}

#[test]
fn reload_touches_what_is_equal() {
    let mut world = World::running(&["10.0.0.1 web", "db"]);
    let mut changed = model(&["10.0.0.1 web", "db", "10.0.0.9"]);
    changed.groups[0].resources[1].timeouts.stop = Duration::from_secs(5);
    changed.groups[1].resources[0].args = vec!["-x".into()];
    world.configure_as(changed);
    world.run();
    assert_eq!(world.history, ["stop db", "probe 10.0.0.9", "start db"]);
    assert_eq!(world.runs[&ResourceId::from("db")].args, ["-x"]);
}

#[test]
fn stop_is_told_the_new_parameters() {
    let mut world = World::running(&["db"]);
    let mut changed = model(&["db"]);
    changed.groups[0].resources[0].args = vec!["-x".into()];
    world.configure_as(changed);
    assert!(world.ops[0].resource.args.is_empty(), "stopped as it was started");
    world.finish("stop db", None);
    assert_eq!(world.ops[0].resource.args, ["-x"]);
}

#[test]
fn reload_that_was_taken_back_restarts_for_ever() {
    let mut world = World::running(&["10.0.0.1 /srv web"]);
    let mut changed = model(&["10.0.0.1 /srv web"]);
    changed.groups[0].resources[1].args = vec!["-x".into()];
    world.configure_as(changed);
    assert_eq!(world.under_way(), ["stop web"]);
    world.configure(&["10.0.0.1 /srv web"]);
    world.run();
    assert_eq!(world.history, ["stop web", "start web"]);
}

#[test]
fn stopped_for_a_reload_that_could_not_be_started_again() {
    let mut world = World::running(&["db"]);
    world.rights(Rights { keep: true, start: false, not_after: None });
    let mut changed = model(&["db"]);
    changed.groups[0].resources[0].args = vec!["-x".into()];
    world.configure_as(changed);
    assert_eq!(world.under_way(), Vec::<String>::new());
    world.rights(ALL);
    assert_eq!(world.under_way(), ["stop db"]);
}

/// R-TAKE-9
#[test]
fn removed_resource_keeps_running_unseen() {
    let mut world = World::running(&["10.0.0.1 web", "db"]);
    world.configure(&["10.0.0.1", "db"]);
    assert!(world.record.orphans.contains_key(&"web".into()));
    world.run();
    assert_eq!(world.history, ["stop web"]);
    assert!(world.record.orphans.is_empty());
    assert_eq!(world.running_ids(), ["10.0.0.1", "db"]);
}

#[test]
fn group_with_another_first_member_is_restarted() {
    let mut world = World::running(&["10.0.0.1 web"]);
    world.configure(&["/srv 10.0.0.1 web"]);
    world.run();
    assert_eq!(world.history, ["probe /srv"]);
    world.assign("/srv");
    world.run();
    assert_eq!(world.history, ["probe /srv", "start /srv"]);
}

/// R-LEDGER-6
#[test]
fn loser_of_a_split_goes_on_with_what_it_ran() {
    let mut world = World::running(&["10.0.0.1 web"]);
    let mut winner = world.record.clone();
    let epoch = EpochName { number: 2, founder: PEER.into(), nonce: 7 };
    let voters = vec![hearth_cib::Voter { name: PEER.into(), identity: NodeIdentity(2) }];
    let permit = Some(PermitKind::Unfenced);
    for entry in [
        Entry::Epoch { name: epoch, voters, permit },
        Entry::Forced { node: ME.into(), permit: PermitKind::Unfenced, node_silent: true },
        Entry::Assign { group: "10.0.0.1".into(), node: PEER.into(), reason: "a is lost".into() },
        Entry::Unclean {
            node: ME.into(),
            reason: "split".into(),
            running: vec!["10.0.0.1".into(), "web".into()],
            identity: None,
        },
    ] {
        winner.apply(winner.applied.next(), &entry).unwrap();
    }
    // The loser's own line went on in the meantime, and further than the winner's.
    for number in 0..20 {
        world.decide(Entry::Standing { node: ME.into(), unservable: Default::default(), pings: (number, 20) });
    }
    world.show();
    world.record = winner;
    world.show();
    assert!(world.out.iter().any(|it| matches!(it, ExecutorOutput::Shut(_))));
    assert_eq!(world.under_way(), ["stop 10.0.0.1", "stop web"]);
    world.admit();
    world.run();
    assert_eq!(world.running_ids(), Vec::<String>::new());
    assert_eq!(world.record.active_on(&ME.into()).count(), 0);
    assert!(world.try_decide(Entry::Confirmed { node: ME.into() }));
    // And later it may start again, although the winner's numbers are below those of its own line.
    world.decide(Entry::Unassign { group: "10.0.0.1".into(), reason: "back".into() });
    world.record.may_be_active.clear();
    world.assign("10.0.0.1");
    world.wire("10.0.0.1", None);
    world.run();
    assert_eq!(world.running_ids(), ["10.0.0.1", "web"]);
}

/// R-TAKE-1, R-TAKE-4: two machines lost their state, and what one could not stop was started on the other.
#[test]
fn what_may_still_run_is_not_told_to_a_new_record() {
    let mut world = World::new(&["web"]);
    world.rights(ALL);
    world.show();
    let founded = world.record.clone();
    world.finish("probe web", timed_out());
    world.deliver();
    world.fail("stop web");
    // Founded anew: it knows nothing of what was said to the one before.
    world.record = founded;
    let voters = vec![hearth_cib::Voter { name: ME.into(), identity: NodeIdentity(1) }];
    world.record.epoch = EpochName { number: 1, founder: PEER.into(), nonce: 9 };
    world.record.voters = voters;
    world.out.clear();
    world.show();
    assert!(world.out.iter().all(|it| *it != ExecutorOutput::ProbesDone), "{:?}", world.out);
    let said = world.reports();
    assert!(said.last().is_some_and(|report| report.contains("it may run here since before")), "{said:?}");
    world.deliver();
    assert!(world.record.flag(&"web".into(), &ME.into()).is_some());
}

/// R-LEAVE-1
#[test]
fn node_leaves_with_a_service_running() {
    let mut world = World::running(&["10.0.0.1 web"]);
    world.handle(ExecutorInput::StopEverything);
    assert!(world.executor.holds_anything());
    world.run();
    assert_eq!(world.running_ids(), Vec::<String>::new());
    assert!(!world.executor.holds_anything());
    assert!(world.record.may_be_active.is_empty(), "and says so");
    world.show();
    assert_eq!(world.under_way(), Vec::<String>::new());
}

#[test]
fn report_lost_on_the_way_is_never_repeated() {
    let mut world = World::ready(&["web"]);
    world.assign("web");
    world.finish("start web", None);
    let waiting: Vec<u64> = world.executor.unconfirmed_reports().map(|it| it.number).collect();
    assert_eq!(waiting, [1]);
    world.show();
    assert_eq!(world.executor.unconfirmed_reports().count(), 1, "until the record has it");
    world.deliver();
    assert_eq!(world.executor.unconfirmed_reports().count(), 0);
}

/// R-TAKE-7
#[test]
fn address_announced_once_and_forgotten_by_a_switch() {
    let mut world = World::running(&["10.0.0.1"]);
    world.pass(Duration::from_secs(5));
    let rounds = |world: &World| {
        let announced = |it: &&ExecutorOutput| matches!(it, ExecutorOutput::Announce { .. });
        world.out.iter().filter(announced).count()
    };
    let early = rounds(&world);
    assert!(early >= 3, "{early}");
    world.ops.clear();
    world.pass(Duration::from_secs(180));
    assert!((early + 2..=early + 4).contains(&rounds(&world)));
}

#[test]
fn memory_grows_while_nobody_listens() {
    let mut world = World::running(&["web"]);
    for _ in 0..3000 {
        world.runs.clear();
        while world.ops.is_empty() {
            assert!(world.next());
        }
        let op = world.under_way()[0].clone();
        world.finish(&op, if op.starts_with("monitor") { Some(OpOutcome::NotRunning) } else { None });
    }
    assert!(world.executor.unconfirmed_reports().count() <= 1024);
}

#[test]
fn wanted_again_before_the_stop_was_over() {
    let mut world = World::running(&["web"]);
    world.unassign("web");
    assert_eq!(world.under_way(), ["stop web"]);
    world.assign("web");
    world.finish("stop web", None);
    assert_eq!(world.under_way(), ["start web"]);
    world.run();
    assert_eq!(world.running_ids(), ["web"]);
    assert!(world.record.flag(&"web".into(), &ME.into()).is_some());
}

#[test]
fn report_clears_an_assignment_that_came_after_the_stop() {
    let mut world = World::running(&["web"]);
    world.unassign("web");
    world.finish("stop web", None);
    let stopped = world.sent.last().cloned().unwrap();
    assert_eq!(stopped.what, ReportKind::Stopped);
    world.assign("web");
    assert_eq!(world.under_way(), ["start web"]);
    world.deliver();
    assert!(world.record.flag(&"web".into(), &ME.into()).is_some_and(|flag| flag > stopped.upto));
    assert_eq!(group("web").resources.len(), 1);
}

/// R-TAKE-3: after a healed split the record names what the loser still runs, though it is assigned here.
#[test]
fn started_here_while_the_loser_of_a_split_still_runs_it() {
    let mut world = World::ready(&["web"]);
    world.decide(Entry::Assign { group: "web".into(), node: ME.into(), reason: "test".into() });
    let running = vec!["web".into()];
    world.decide(Entry::Unclean { node: PEER.into(), reason: "split".into(), running, identity: None });
    world.show();
    assert_eq!(world.under_way(), Vec::<String>::new());
    world.record.may_be_active.remove(&("web".into(), PEER.into()));
    world.show();
    assert_eq!(world.under_way(), ["start web"]);
}
