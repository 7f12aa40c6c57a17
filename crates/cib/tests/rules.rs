//! Every rule of takeover, each test named for the harm that it prevents.

mod cluster;

use cluster::{Cluster, epoch, model, monitor_failed, start_failed, stop_failed, voter};
use hearth_cib::*;
use hearth_types::*;
use std::collections::BTreeSet;

/// R-TAKE-3
#[test]
fn file_system_mounted_on_both_nodes() {
    let mut it = Cluster::new(&["/srv web"]);
    it.ok(Cluster::assign("/srv", "a"));
    it.refused("R-TAKE-5", Cluster::assign("/srv", "b"));
    it.ok(Cluster::unassign("/srv"));
    it.refused("R-TAKE-3", Cluster::assign("/srv", "b"));
    it.says("a", "web", ReportKind::Stopped);
    it.refused("R-TAKE-3", Cluster::assign("/srv", "b"));
    it.says("a", "/srv", ReportKind::Stopped);
    it.ok(Cluster::assign("/srv", "b"));
    assert!(it.flagged("/srv", "b") && !it.flagged("/srv", "a"));
}

/// R-TAKE-1
#[test]
fn stop_reported_late_clears_what_was_started_since() {
    let mut it = Cluster::new(&["web"]);
    it.ok(Cluster::assign("web", "a"));
    let first = it.0.applied.0;
    it.ok(Cluster::unassign("web"));
    it.ok(Cluster::assign("web", "a"));
    let late = it.report("a", "web", first, ReportKind::Stopped);
    it.ok(late);
    assert!(it.flagged("web", "a"));
    it.ok(Cluster::unassign("web"));
    it.refused("R-TAKE-3", Cluster::assign("web", "b"));
}

/// R-TAKE-1
#[test]
fn word_of_a_run_that_is_over_is_believed() {
    let mut it = Cluster::new(&["web"]);
    it.ok(Cluster::assign("web", "a"));
    let old = it.report("a", "web", it.0.applied.0, ReportKind::Stopped);
    it.ok(Entry::Admit { node: "a".into(), identity: NodeIdentity(1), incarnation: Incarnation(77) });
    it.refused("R-TAKE-1", old);
    assert!(it.flagged("web", "a"));
}

#[test]
fn report_that_was_sent_twice_counts_twice() {
    let mut it = Cluster::new(&["web"]);
    it.ok(Cluster::assign("web", "a"));
    let report = it.report("a", "web", it.0.applied.0, monitor_failed());
    it.ok(report.clone());
    it.refused("R-TAKE-1", report);
    assert_eq!(it.0.failure_count(&"web".into(), &"a".into(), OpAction::Monitor), 1);
    let Entry::Report(mut early) = it.report("a", "web", it.0.applied.0, ReportKind::Stopped) else { unreachable!() };
    early.number += 1;
    it.refused("R-TAKE-1", Entry::Report(early));
    assert!(it.flagged("web", "a"));
}

/// R-TAKE-1
#[test]
fn group_given_to_a_node_that_is_gone() {
    let mut it = Cluster::new(&["web"]);
    it.ok(Entry::Lost { node: "b".into(), admission: Admission(1) });
    it.refused("R-TAKE-1", Cluster::assign("web", "b"));
    it.ok(Entry::Admit { node: "b".into(), identity: NodeIdentity(2), incarnation: Incarnation(21) });
    it.refused("R-TAKE-4", Cluster::assign("web", "b"));
    it.refused("R-TAKE-1", Entry::Probed { node: "b".into(), incarnation: Incarnation(20) });
    it.ok(Entry::Probed { node: "b".into(), incarnation: Incarnation(21) });
    it.ok(Cluster::assign("web", "b"));
    it.refused("R-LEASE-3", Entry::Lost { node: "b".into(), admission: Admission(1) });
    it.refused("R-JOIN-5", Cluster::assign("web", "c"));
    it.ok(Entry::Lost { node: "b".into(), admission: Admission(2) });
    assert!(it.0.assignments.is_empty());
    assert!(it.flagged("web", "b"), "lost is no proof");
}

/// R-TAKE-8
#[test]
fn failed_stop_lets_the_other_node_start() {
    let mut it = Cluster::new(&["web mail"]);
    it.ok(Cluster::assign("web", "a"));
    it.ok(Cluster::unassign("web"));
    it.says("a", "web", stop_failed());
    assert_eq!(it.0.states[&("web".into(), "a".into())], ResourceState::Blocked);
    it.refused("R-TAKE-3", Cluster::assign("web", "b"));
    it.says("a", "mail", stop_failed());
    assert!(!it.flagged("mail", "a"), "what owns nothing may be given up on");
}

/// R-TAKE-1: `on_stop_fail ignore` never clears what is exclusive.
#[test]
fn ignored_stop_failure_clears_an_exclusive_resource() {
    let mut it = Cluster::new(&[]);
    let mut ignoring = model(&["/srv"]);
    ignoring.groups[0].resources[0].on_stop_fail = OnStopFail::Ignore;
    it.ok(Entry::Configure { model: ignoring, digest: 2, nodes: vec!["a".into(), "b".into()] });
    it.ok(Cluster::assign("/srv", "a"));
    it.says("a", "/srv", stop_failed());
    assert!(it.flagged("/srv", "a"));
}

/// R-TAKE-8
#[test]
fn failed_start_is_forgotten() {
    let mut it = Cluster::new(&["web"]);
    it.ok(Cluster::assign("web", "a"));
    it.says("a", "web", start_failed());
    assert!(!it.flagged("web", "a"));
    let key = ("web".into(), "a".into(), OpAction::Start);
    assert_eq!((it.0.failures[&key].count, it.0.failures[&key].code), (1, Some(1)));
    it.ok(Entry::Clear { request: it.request(1), subject: ClearSubject::Resource("web".into()) });
    assert!(it.0.failures.is_empty());
}

#[test]
fn output_of_an_agent_fills_the_record() {
    let mut it = Cluster::new(&["web"]);
    let message = "ä".repeat(100_000) + "the end";
    it.says("a", "web", ReportKind::StartFailed { code: None, message });
    let kept = &it.0.failures.values().next().unwrap().message;
    assert!(kept.len() <= 512 && kept.ends_with("the end"));
}

/// R-TAKE-9
#[test]
fn same_address_under_two_names_on_two_nodes() {
    let mut it = Cluster::new(&["10.0.0.1", "10.0.0.1@2"]);
    it.ok(Cluster::assign("10.0.0.1", "a"));
    it.refused("R-TAKE-9", Cluster::assign("10.0.0.1@2", "b"));
    it.refused("R-TAKE-9", Cluster::assign("10.0.0.1@2", "a"));
    let mut it = Cluster::new(&["10.0.0.1 10.0.0.1@2"]);
    it.refused("R-TAKE-9", Cluster::assign("10.0.0.1", "a"));
}

/// R-TAKE-9
#[test]
fn removed_resource_runs_on_while_its_address_is_given_away() {
    let mut it = Cluster::new(&["10.0.0.1 web"]);
    it.ok(Cluster::assign("10.0.0.1", "a"));
    let nodes = vec!["a".into(), "b".into()];
    it.ok(Entry::Configure { model: model(&["10.0.0.1@2"]), digest: 2, nodes });
    assert_eq!(it.0.orphans.len(), 2);
    it.refused("R-TAKE-9", Cluster::assign("10.0.0.1@2", "b"));
    it.says("a", "10.0.0.1", ReportKind::Stopped);
    assert_eq!(it.0.orphans.len(), 1, "kept until its last flag is cleared, and no longer");
    it.ok(Cluster::assign("10.0.0.1@2", "b"));
    it.says("a", "web", ReportKind::Stopped);
    assert!(it.0.orphans.is_empty() && it.0.states.keys().all(|(id, _)| id.as_str() != "web"));
}

#[test]
fn other_device_under_an_old_name_escapes_the_check() {
    let mut it = Cluster::new(&["/srv", "/old"]);
    it.ok(Cluster::assign("/srv", "a"));
    let mut changed = model(&["/srv", "/old"]);
    changed.groups[0].resources[0].owns = BTreeSet::from(["mount:/new".to_string()]);
    changed.groups[1].resources[0].owns = BTreeSet::from(["mount:/srv".to_string()]);
    it.ok(Entry::Configure { model: changed, digest: 2, nodes: vec!["a".into(), "b".into()] });
    it.refused("R-TAKE-9", Cluster::assign("/old", "b"));
    assert!(it.0.assignments.is_empty(), "its keys are checked anew");
    it.ok(Cluster::assign("/srv", "a"));
}

/// Section 5, column "clears".
#[test]
fn permit_clears_more_than_it_may() {
    for (permit, silent, file_system_cleared, asked) in [
        (PermitKind::Unfenced, false, false, true),
        (PermitKind::Unfenced, true, true, true),
        (PermitKind::Tiebreaker, false, false, true),
        (PermitKind::Resigned, false, true, false),
    ] {
        let mut it = Cluster::new(&["10.0.0.1 /srv web", "10.0.0.2"]);
        it.ok(Cluster::assign("10.0.0.1", "b"));
        it.ok(Cluster::assign("10.0.0.2", "a"));
        let forced = Entry::Forced { node: "b".into(), permit, node_silent: silent };
        it.refused("R-LEDGER-5", forced.clone());
        it.alone();
        it.ok(forced);
        assert!(!it.flagged("10.0.0.1", "b") && !it.flagged("web", "b"));
        assert_eq!(it.flagged("/srv", "b"), !file_system_cleared, "{permit} {silent}");
        assert_eq!(it.0.check_wire.contains(&"10.0.0.1".into()), asked, "{permit}: R-TAKE-6");
        assert!(!it.0.check_wire.contains(&"10.0.0.2".into()), "we hold it");
        assert_eq!(it.apply(Cluster::assign("10.0.0.1", "a")).is_ok(), file_system_cleared);
    }
}

/// R-LEDGER-4
#[test]
fn third_machine_in_the_file_and_nobody_asks_it() {
    let mut it = Cluster::new(&["web"]);
    let nodes = vec!["a".into(), "b".into(), "c".into()];
    it.ok(Entry::Configure { model: model(&["web"]), digest: 2, nodes });
    it.alone();
    it.refused("R-LEDGER-4", Entry::Forced { node: "b".into(), permit: PermitKind::Unfenced, node_silent: true });
}

#[test]
fn wire_check_is_owed_for_ever() {
    let mut it = Cluster::new(&["10.0.0.1"]);
    it.ok(Cluster::assign("10.0.0.1", "b"));
    it.alone();
    it.ok(Entry::Forced { node: "b".into(), permit: PermitKind::Unfenced, node_silent: false });
    let nodes = vec!["a".into(), "b".into()];
    it.ok(Entry::Configure { model: model(&["10.0.0.1@2"]), digest: 2, nodes });
    assert!(it.0.check_wire.contains(&"10.0.0.1@2".into()), "it goes with the address, not with the name");
    it.ok(Cluster::assign("10.0.0.1@2", "a"));
    it.says("a", "10.0.0.1@2", ReportKind::Started);
    assert!(it.0.check_wire.is_empty());
}

/// R-LEDGER-6
#[test]
fn loser_of_a_split_called_clean_before_it_has_stopped() {
    let mut it = Cluster::new(&["10.0.0.1 web"]);
    it.alone();
    it.ok(Entry::Forced { node: "b".into(), permit: PermitKind::Unfenced, node_silent: true });
    it.ok(Cluster::assign("10.0.0.1", "a"));
    let running = vec!["10.0.0.1".into(), "web".into(), "unheard-of".into()];
    it.ok(Entry::Unclean { node: "b".into(), reason: "split".into(), running, identity: None });
    assert!(it.flagged("10.0.0.1", "a") && it.flagged("10.0.0.1", "b"));
    it.refused("R-LEAVE-1", Entry::Confirmed { node: "b".into() });
    it.join("b", 2);
    it.refused("R-LEDGER-6", Cluster::assign("10.0.0.1", "b"));
    it.says("b", "10.0.0.1", ReportKind::Stopped);
    it.says("b", "web", ReportKind::Stopped);
    it.ok(Entry::Confirmed { node: "b".into() });
    it.refused("R-LEDGER-6", Entry::Confirmed { node: "b".into() });
    assert!(it.flagged("10.0.0.1", "a"), "what the winner runs is not touched");
}

/// R-LEDGER-3, R-JOIN-5
#[test]
fn machine_that_lost_its_disk_before_a_split_kept_out_for_ever_by_what_it_said_itself() {
    let mut it = Cluster::new(&["10.0.0.1 web"]);
    it.alone();
    it.ok(Entry::Forced { node: "b".into(), permit: PermitKind::Unfenced, node_silent: true });
    let new = NodeIdentity(77);
    it.ok(Entry::Unclean {
        node: "b".into(),
        reason: "split".into(),
        running: vec!["web".into()],
        identity: Some(new),
    });
    let other = Entry::Admit { node: "b".into(), identity: NodeIdentity(78), incarnation: Incarnation(9) };
    it.refused("R-JOIN-5", other);
    it.ok(Entry::Admit { node: "b".into(), identity: new, incarnation: Incarnation(9) });
}

/// R-LEAVE-1
#[test]
fn node_leaves_with_something_running() {
    let mut it = Cluster::new(&["web"]);
    it.ok(Cluster::assign("web", "b"));
    it.refused("R-LEAVE-1", Entry::Left { node: "b".into() });
    it.says("b", "web", ReportKind::Stopped);
    it.ok(Entry::Left { node: "b".into() });
    assert!(it.0.assignments.is_empty());
    it.refused("R-TAKE-1", Cluster::assign("web", "b"));
}

/// R-TAKE-4: found running where nobody put it.
#[test]
fn service_started_beside_one_that_a_probe_found() {
    let mut it = Cluster::new(&["web"]);
    it.says("b", "web", ReportKind::Running);
    it.refused("R-TAKE-3", Cluster::assign("web", "a"));
    it.says("b", "web", ReportKind::Stopped);
    it.says("b", "web", ReportKind::ProbeFailed { code: None, message: "timed out".into() });
    it.refused("R-TAKE-3", Cluster::assign("web", "a"));
}

/// R-JOIN-5
#[test]
fn another_machine_takes_a_name() {
    let mut it = Cluster::new(&["web"]);
    let other = Entry::Admit { node: "b".into(), identity: NodeIdentity(9), incarnation: Incarnation(90) };
    it.refused("R-JOIN-5", other.clone());
    it.refused("R-JOIN-5", Entry::Epoch { name: epoch(2), voters: vec![voter("a", 1), voter("b", 9)], permit: None });
    it.ok(Cluster::assign("web", "b"));
    it.ok(Entry::Lost { node: "b".into(), admission: Admission(1) });
    it.alone();
    it.refused("R-JOIN-5", other.clone());
    // Nothing of the old one counts any more: a machine that lost its disk comes back as a new member (R-LEDGER-3).
    it.ok(Entry::Forced { node: "b".into(), permit: PermitKind::Unfenced, node_silent: true });
    it.ok(other);
}

/// R-LEDGER-4
#[test]
fn node_forgotten_with_what_it_runs() {
    let mut it = Cluster::new(&["web"]);
    it.ok(Cluster::assign("web", "b"));
    let without = Entry::Configure { model: model(&["web"]), digest: 1, nodes: vec!["a".into()] };
    it.refused("R-LEDGER-4", without.clone());
    it.alone();
    it.refused("R-LEDGER-4", without);
}

/// R-LEDGER-5
#[test]
fn epoch_goes_backwards() {
    let mut it = Cluster::new(&["web"]);
    it.refused("R-LEDGER-5", Entry::Epoch { name: epoch(1), voters: vec![voter("a", 1)], permit: None });
    it.refused("R-LEDGER-2", Entry::Epoch { name: epoch(2), voters: vec![], permit: None });
    for number in 2..20 {
        it.ok(Entry::Epoch { name: epoch(number), voters: vec![voter("a", 1)], permit: None });
    }
    assert_eq!(it.0.lineage.len(), LINEAGE);
    assert!(it.0.descends_from(&epoch(19)) && it.0.descends_from(&epoch(11)) && !it.0.descends_from(&epoch(20)));
}

/// R-LEDGER-9
#[test]
fn standby_done_twice() {
    let mut it = Cluster::new(&["web"]);
    let standby = |request: RequestId| Entry::Move {
        request,
        groups: vec!["web".into()],
        to: Some("b".into()),
        away_from: None,
        by: "standby by root".into(),
    };
    let request = it.request(1);
    it.ok(standby(request.clone()));
    it.ok(Entry::Failback { request: it.request(2), groups: vec!["web".into()], by: "failback by root".into() });
    it.refused("R-LEDGER-9", standby(request));
    let mut old = it.request(3);
    old.incarnation = Incarnation(1);
    it.refused("R-LEDGER-9", standby(old));
    it.ok(Entry::Admit { node: "a".into(), identity: NodeIdentity(1), incarnation: Incarnation(11) });
    it.ok(Entry::Clear {
        request: RequestId { origin: "a".into(), incarnation: Incarnation(11), number: 1 },
        subject: ClearSubject::All,
    });
}

/// Harm: an old order pulls the group back each time that a cable is put back (decision 0005).
#[test]
fn request_ends_when_a_fault_sends_the_group_elsewhere() {
    let moved = |it: &mut Cluster, number, to: Option<&str>, away_from: Option<&str>| {
        let (request, groups) = (it.request(number), vec!["web".into()]);
        let (to, away_from) = (to.map(Into::into), away_from.map(Into::into));
        it.ok(Entry::Move { request, groups, to, away_from, by: "an order".into() });
        assert_eq!(it.0.placements.len(), 1);
    };
    let mut it = Cluster::new(&["web"]);
    moved(&mut it, 1, Some("b"), None);
    it.ok(Cluster::assign("web", "b"));
    it.ok(Cluster::assign("web", "b"));
    assert_eq!(it.0.placements.len(), 1, "it was carried out");
    it.ok(Entry::Unassign { group: "web".into(), reason: "b has no carrier".into() });
    assert_eq!(it.0.placements.len(), 1, "it may come back to b yet");
    it.says("b", "web", ReportKind::Stopped);
    it.ok(Cluster::assign("web", "a"));
    assert!(it.0.placements.is_empty(), "to: a fault was stronger");
    moved(&mut it, 2, None, Some("a"));
    it.ok(Cluster::assign("web", "a"));
    assert_eq!(it.0.placements.len(), 1, "assigned anew where it is, because it waits for a node that can run it");
    it.ok(Entry::Unassign { group: "web".into(), reason: "a has no carrier".into() });
    it.says("a", "web", ReportKind::Stopped);
    it.ok(Cluster::assign("web", "b"));
    assert_eq!(it.0.placements.len(), 1, "that is what was asked for");
    it.ok(Entry::Unassign { group: "web".into(), reason: "b has no carrier".into() });
    it.says("b", "web", ReportKind::Stopped);
    it.ok(Cluster::assign("web", "a"));
    assert!(it.0.placements.is_empty(), "away from: a fault was stronger");
}

#[test]
fn request_holds_after_its_reason_is_gone() {
    let moved = |it: &mut Cluster, number| {
        let request = it.request(number);
        let groups = vec!["web".into()];
        it.ok(Entry::Move { request, groups, to: Some("b".into()), away_from: None, by: "takeover".into() });
        assert_eq!(it.0.placements.len(), 1);
    };
    let mut it = Cluster::new(&["web"]);
    moved(&mut it, 1);
    it.ok(Cluster::assign("web", "b"));
    it.says("b", "web", start_failed());
    assert!(it.0.placements.is_empty(), "it failed there");
    moved(&mut it, 2);
    it.ok(Entry::Lost { node: "b".into(), admission: Admission(1) });
    assert!(it.0.placements.is_empty(), "the node is lost");
    it.join("b", 2);
    moved(&mut it, 3);
    it.ok(Entry::Clear { request: it.request(4), subject: ClearSubject::Group("web".into()) });
    assert!(it.0.placements.is_empty(), "it was cleared");
    it.ok(Entry::Lost { node: "b".into(), admission: Admission(2) });
    let request = it.request(5);
    let (groups, to) = (vec!["web".into()], Some("b".into()));
    it.refused("R-TAKE-1", Entry::Move { request, groups, to, away_from: None, by: "takeover".into() });
}

#[test]
fn half_of_a_batch_is_applied() {
    let mut it = Cluster::new(&["web", "db"]);
    it.refused("R-JOIN-5", Entry::Batch(vec![Cluster::assign("web", "a"), Cluster::assign("db", "c")]));
    it.refused("R-LEDGER-1", Entry::Batch(vec![Entry::Batch(vec![])]));
    it.ok(Entry::Batch(vec![Cluster::assign("web", "a"), Cluster::assign("db", "b")]));
    assert_eq!(it.0.assignments.len(), 2);
}

#[test]
fn entry_applied_twice() {
    let mut it = Cluster::new(&["web"]);
    let index = it.0.applied;
    let before = it.0.clone();
    assert!(it.0.apply(index, &Cluster::assign("web", "a")).is_err());
    assert_eq!(it.0, before);
}

#[test]
fn reload_of_one_group_touches_another() {
    let mut it = Cluster::new(&["10.0.0.1 web", "db"]);
    it.ok(Cluster::assign("10.0.0.1", "a"));
    it.ok(Cluster::assign("db", "b"));
    let before = it.0.clone();
    let nodes = vec!["a".into(), "b".into()];
    it.ok(Entry::Configure { model: model(&["/srv 10.0.0.1 web", "db"]), digest: 2, nodes });
    assert_eq!(it.0.may_be_active, before.may_be_active);
    assert_eq!(it.0.assignments[&"db".into()], before.assignments[&"db".into()]);
    assert_eq!(it.0.assignments[&"/srv".into()].node, NodeName::from("a"), "it is the same group to everybody but us");
    assert_eq!(it.0.wants(&"web".into(), &"a".into()), before.wants(&"web".into(), &"a".into()));
    assert_eq!(it.0.wants(&"/srv".into(), &"a".into()), None, "until the next assignment covers it");
    it.ok(Cluster::assign("/srv", "a"));
    assert!(it.0.wants(&"/srv".into(), &"a".into()).is_some());
}

#[test]
fn record_does_not_survive_disk_or_wire() {
    let mut it = Cluster::new(&["10.0.0.1 /srv web", "mail"]);
    it.ok(Cluster::assign("10.0.0.1", "b"));
    it.says("b", "web", monitor_failed());
    let unservable = BTreeSet::from(["10.0.0.1".into()]);
    it.ok(Entry::Standing { node: "a".into(), unservable, pings: (1, 2) });
    it.alone();
    it.ok(Entry::Unclean { node: "b".into(), reason: "split".into(), running: vec!["web".into()], identity: None });
    let json = serde_json::to_string(&it.0).unwrap();
    let back: Record = serde_json::from_str(&json).unwrap();
    assert_eq!((back.digest(), &back), (it.0.digest(), &it.0));
    let bytes = minicbor_serde::to_vec(&it.0).unwrap();
    let back: Record = minicbor_serde::from_slice(&bytes).unwrap();
    assert_eq!(back, it.0);
    let entry = Entry::Batch(vec![it.report("b", "web", 3, start_failed()), Entry::Noop]);
    let bytes = minicbor_serde::to_vec(&entry).unwrap();
    assert_eq!(minicbor_serde::from_slice::<Entry>(&bytes).unwrap(), entry);
    assert_eq!(serde_json::from_str::<Entry>(&serde_json::to_string(&entry).unwrap()).unwrap(), entry);
}

fn raise(version: u8, stated: &[(&str, u64, u8)]) -> Entry {
    let said =
        |&(node, run, newest): &(&str, u64, u8)| Speaks { node: node.into(), incarnation: Incarnation(run), newest };
    Entry::RaiseWire { version, stated: stated.iter().map(said).collect() }
}

/// R-WIRE-6: who does not read the next version would hear nobody, and take over what the others run.
#[test]
fn a_node_that_cannot_speak_the_next_wire_version_takes_over_from_a_live_one() {
    let mut it = Cluster::new(&["web"]);
    assert_eq!(it.0.wire_version, 1);
    let both = [("a", 10, 2), ("b", 20, 2)];
    it.refused("R-WIRE-6", raise(2, &both[..1]));
    it.refused("R-WIRE-6", raise(2, &[("a", 10, 2), ("b", 20, 1)]));
    it.refused("R-WIRE-6", raise(2, &[("a", 10, 2), ("b", 77, 2)]));
    it.refused("R-WIRE-6", raise(3, &[("a", 10, 9), ("b", 20, 9)]));
    it.refused("R-WIRE-6", raise(1, &both));
    // The run that takes part may be another program than the one that said so.
    it.ok(Entry::Admit { node: "b".into(), identity: NodeIdentity(2), incarnation: Incarnation(21) });
    it.refused("R-WIRE-6", raise(2, &both));
    it.ok(raise(2, &[("a", 10, 2), ("b", 21, 3)]));
    assert_eq!(it.0.wire_version, 2);
    it.refused("R-WIRE-6", raise(2, &[("a", 10, 2), ("b", 21, 2)]));
    it.refused("R-WIRE-6", raise(1, &[("a", 10, 2), ("b", 21, 2)]));
}

/// R-WIRE-6, R-TAKE-1: below version 3 somebody may have to read its log who does not know these.
#[test]
fn older_daemon_finds_a_fence_in_its_log_and_never_starts_again() {
    let mut it = Cluster::new(&["web"]);
    it.ok(Cluster::assign("web", "b"));
    let admission = it.0.nodes[&NodeName::from("b")].admission;
    let fenced = Entry::Fenced { node: "b".into(), admission, how: "said".into(), upto: Index(0), request: None };
    let permit = PermitKind::Fenced;
    let alone = Entry::Epoch { name: epoch(2), voters: vec![voter("a", 1)], permit: Some(permit) };
    let forced = Entry::Forced { node: "b".into(), permit, node_silent: true };
    for version in [2, 3] {
        let mut lost = Cluster(it.0.clone());
        lost.ok(Entry::Lost { node: "b".into(), admission });
        lost.refused("R-WIRE-6", fenced.clone());
        it.refused("R-WIRE-6", alone.clone());
        it.refused("R-WIRE-6", forced.clone());
        assert!(lost.flagged("web", "b") && it.0.permit.is_none());
        it.ok(raise(version, &[("a", 10, 3), ("b", 20, 3)]));
    }
    let mut lost = Cluster(it.0.clone());
    lost.ok(Entry::Lost { node: "b".into(), admission });
    lost.ok(fenced);
    it.ok(alone);
    it.ok(forced);
    assert!(!lost.flagged("web", "b") && !it.flagged("web", "b"));
}

/// R-WIRE-6, R-TAKE-1, R-TAKE-6: where an older daemon must read it, what was before `Fenced` clears the same in one entry.
#[test]
fn address_of_a_fenced_machine_is_taken_without_asking_the_wire_because_an_older_daemon_must_read_it() {
    let mut it = Cluster::new(&["10.0.0.1 web"]);
    let nodes: Vec<NodeName> = ["a", "b", "c"].map(NodeName::from).to_vec();
    it.ok(Entry::Configure { model: model(&["10.0.0.1 web"]), digest: 2, nodes });
    it.join("c", 3);
    let voters = vec![voter("a", 1), voter("b", 2), voter("c", 3)];
    it.ok(Entry::Epoch { name: epoch(2), voters, permit: None });
    it.ok(Cluster::assign("10.0.0.1", "b"));
    let node = NodeName::from("b");
    let (admission, incarnation) = (it.0.nodes[&node].admission, it.0.nodes[&node].incarnation);
    it.ok(Entry::Lost { node: node.clone(), admission });
    let mut newer = Cluster(it.0.clone());
    newer.0.wire_version = FENCED_FROM;
    newer.ok(Entry::Fenced { node: node.clone(), admission, how: "said".into(), upto: Index(0), request: None });
    let batch = |admission: Admission| {
        let addresses = BTreeSet::from(["10.0.0.1".into()]);
        Entry::Batch(vec![
            Entry::Leased { node: node.clone(), incarnation, epoch: epoch(2) },
            Entry::Proven { node: node.clone(), admission, addresses },
            Entry::Resigned { node: node.clone(), admission },
        ])
    };
    it.refused("R-LEASE-3", batch(admission.next()));
    it.ok(batch(admission));
    for it in [&it, &newer] {
        assert!(it.0.may_be_active.is_empty() && !it.0.nodes[&node].leased);
        assert_eq!(it.0.check_wire, BTreeSet::from(["10.0.0.1".into()]));
    }
}

/// R-TAKE-1: what a lost machine said after its loss holds until it is off, and not for ever.
#[test]
fn what_a_machine_said_after_it_was_lost_keeps_its_address_away_though_it_was_fenced_since() {
    let mut it = Cluster::new(&["10.0.0.1"]);
    it.0.wire_version = FENCED_FROM;
    let node = NodeName::from("b");
    let admission = it.0.nodes[&node].admission;
    it.ok(Entry::Lost { node: node.clone(), admission });
    let running = vec!["10.0.0.1".into()];
    it.ok(Entry::Unclean { node: node.clone(), reason: "too old".into(), running, identity: None });
    let said = it.0.applied;
    let fenced = |upto: Index| Entry::Fenced { node: node.clone(), admission, how: "said".into(), upto, request: None };
    it.ok(fenced(Index(said.0 - 1)));
    assert!(it.flagged("10.0.0.1", "b"), "the word was given before that was said");
    it.ok(fenced(said));
    assert!(!it.flagged("10.0.0.1", "b"));
}

fn aged(node: &str, action: OpAction, index: Index) -> Entry {
    Entry::Aged { resource: "web".into(), node: node.into(), action, index }
}

/// R-TAKE-8, R-WIRE-6
#[test]
fn a_failure_that_came_after_the_one_that_was_seen_is_forgotten_with_it() {
    let mut it = Cluster::new(&["web"]);
    let failed = |message: &str| ReportKind::MonitorFailed { code: Some(1), message: message.into() };
    it.ok(it.report("a", "web", 0, failed("first")));
    let first = it.0.applied;
    it.refused("R-WIRE-6", aged("a", OpAction::Monitor, first));
    it.ok(raise(2, &[("a", 10, 3), ("b", 20, 3)]));
    it.ok(raise(3, &[("a", 10, 3), ("b", 20, 3)]));
    it.refused("R-TAKE-8", aged("b", OpAction::Monitor, first));
    it.refused("R-TAKE-8", aged("a", OpAction::Start, first));
    it.ok(it.report("a", "web", 0, failed("second")));
    let second = it.0.applied;
    it.refused("R-TAKE-8", aged("a", OpAction::Monitor, first));
    assert_eq!(it.0.failure_count(&"web".into(), &"a".into(), OpAction::Monitor), 2);
    it.ok(aged("a", OpAction::Monitor, second));
    assert_eq!(it.0.failure_count(&"web".into(), &"a".into(), OpAction::Monitor), 0);
    it.refused("R-TAKE-8", aged("a", OpAction::Monitor, second));
}

/// R-TAKE-8: what could not be stopped may still be active, however long ago that was.
#[test]
fn a_failed_stop_is_forgotten_with_time_and_the_service_started_beside_what_is_left() {
    let mut it = Cluster::new(&["web"]);
    it.ok(raise(2, &[("a", 10, 3), ("b", 20, 3)]));
    it.ok(raise(3, &[("a", 10, 3), ("b", 20, 3)]));
    it.ok(it.report("a", "web", 0, ReportKind::StopFailed { code: None, message: "hangs".into() }));
    let index = it.0.applied;
    it.refused("R-TAKE-8", aged("a", OpAction::Stop, index));
    assert_eq!(it.0.states[&("web".into(), "a".into())], ResourceState::Blocked);
    it.ok(it.report("a", "web", 0, ReportKind::ProbeFailed { code: None, message: "hangs".into() }));
    let index = it.0.applied;
    it.refused("R-TAKE-8", aged("a", OpAction::Probe, index));
}

/// R-TAKE-8: it says how it was stopped; that it is stopped, another report says.
#[test]
fn a_stop_that_was_forced_clears_what_was_started_again_in_place() {
    let mut it = Cluster::new(&["web"]);
    it.ok(Cluster::assign("web", "a"));
    let flag = it.0.flag(&"web".into(), &"a".into());
    let forced = ReportKind::StopForced { message: "KILL sent to web".into() };
    it.ok(it.report("a", "web", it.0.applied.0, forced));
    assert_eq!(it.0.flag(&"web".into(), &"a".into()), flag);
    let failure = &it.0.failures[&("web".into(), "a".into(), OpAction::Stop)];
    assert_eq!((failure.count, &*failure.message), (1, "had to be forced: KILL sent to web"));
    assert_eq!(it.0.states.get(&("web".into(), "a".into())), None);
}

/// R-WIRE-6: a machine that is away may come back with the older program.
#[test]
fn a_node_that_was_away_comes_back_and_hears_nobody() {
    let mut it = Cluster::new(&["web"]);
    it.alone();
    it.ok(Entry::Forced { node: "b".into(), permit: PermitKind::Unfenced, node_silent: true });
    it.refused("R-TAKE-1", raise(2, &[("a", 10, 2), ("b", 20, 2)]));
    it.ok(Entry::Admit { node: "b".into(), identity: NodeIdentity(2), incarnation: Incarnation(21) });
    it.ok(raise(2, &[("a", 10, 2), ("b", 21, 2)]));
}

/// R-WIRE-6: a package can be put back for as long as version 1 is in use, so its state must not say more than it knows.
#[test]
fn state_of_version_1_is_not_read_by_the_older_daemon_or_by_us() {
    let mut it = Cluster::new(&["web"]);
    let json = serde_json::to_string(&it.0).unwrap();
    assert!(!json.contains("wire_version"), "{json}");
    assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), it.0);
    it.ok(raise(2, &[("a", 10, 2), ("b", 20, 2)]));
    let json = serde_json::to_string(&it.0).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&json).unwrap().wire_version, 2);
    let bytes = minicbor_serde::to_vec(&it.0).unwrap();
    assert_eq!(minicbor_serde::from_slice::<Record>(&bytes).unwrap(), it.0);
}
