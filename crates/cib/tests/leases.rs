//! What time proves in an epoch of three voters, and what it does not.

mod cluster;

use cluster::{Cluster, epoch, model, voter};
use hearth_cib::*;
use hearth_types::*;
use std::collections::BTreeSet;

const ALL: [&str; 3] = ["a", "b", "c"];

fn voters(names: &[&str]) -> Vec<Voter> {
    let numbered =
        |name: &&str| voter(name, 1 + ALL.iter().position(|known| known == name).expect("one of three") as u64);
    names.iter().map(numbered).collect()
}

/// Three machines that vote, an address and a script on `a`.
fn trio() -> Cluster {
    let mut it = Cluster::new(&["10.0.0.1", "web"]);
    let nodes = ALL.into_iter().map(NodeName::new).collect();
    it.ok(Entry::Configure { model: model(&["10.0.0.1", "web"]), digest: 2, nodes });
    it.join("c", 3);
    it.ok(Entry::Epoch { name: epoch(2), voters: voters(&ALL), permit: None });
    it.ok(Cluster::assign("10.0.0.1", "a"));
    it.ok(Cluster::assign("web", "a"));
    it
}

fn admission(it: &Cluster, node: &str) -> Admission {
    it.0.nodes[&NodeName::new(node)].admission
}

fn leased(it: &Cluster, node: &str, number: u64) -> Entry {
    let incarnation = it.0.nodes[&NodeName::new(node)].incarnation;
    Entry::Leased { node: node.into(), incarnation, epoch: epoch(number) }
}

fn lose(it: &mut Cluster, node: &str) {
    let entry = Entry::Lost { node: node.into(), admission: admission(it, node) };
    it.ok(entry);
}

fn proven(it: &Cluster, node: &str) -> Entry {
    let addresses = BTreeSet::from(["10.0.0.1".into(), "web".into()]);
    Entry::Proven { node: node.into(), admission: admission(it, node), addresses }
}

/// R-TAKE-2: two machines mount one file system if time clears more than addresses.
#[test]
fn time_clears_a_script_that_may_still_run() {
    let mut it = trio();
    it.ok(leased(&it, "a", 2));
    lose(&mut it, "a");
    it.ok(proven(&it, "a"));
    assert!(!it.flagged("10.0.0.1", "a"));
    assert!(it.flagged("web", "a"), "only its own word or a fence");
    assert!(it.0.check_wire.contains(&"10.0.0.1".into()), "R-TAKE-6");
    it.ok(Cluster::assign("10.0.0.1", "b"));
    it.refused("R-TAKE-3", Cluster::assign("web", "b"));
}

fn watched(it: &Cluster, node: &str, timeout_ms: Option<u32>) -> Entry {
    let incarnation = it.0.nodes[&NodeName::new(node)].incarnation;
    Entry::Watched { node: node.into(), incarnation, timeout_ms }
}

fn reset(it: &Cluster, node: &str) -> Entry {
    Entry::Reset { node: node.into(), admission: admission(it, node) }
}

/// R-TAKE-2: what resets a machine clears all that it ran until its loss, and nothing that it said to run since.
#[test]
fn a_machine_that_nothing_resets_counts_as_reset() {
    let mut it = trio();
    it.refused("R-WIRE-6", watched(&it, "a", Some(9000)));
    it.0.wire_version = WATCHED_FROM;
    it.ok(leased(&it, "a", 2));
    let mut bare = Cluster(it.0.clone());
    lose(&mut bare, "a");
    bare.refused("R-TAKE-2", reset(&bare, "a"));
    bare.refused("R-TAKE-1", watched(&bare, "a", Some(9000)));
    it.ok(watched(&it, "a", Some(9000)));
    it.refused("R-LEASE-4", reset(&it, "a"));
    lose(&mut it, "a");
    let mut without = Cluster(it.0.clone());
    // Whoever is out may say that it has lost it.
    without.ok(watched(&without, "a", None));
    without.refused("R-TAKE-2", reset(&without, "a"));
    it.0.may_be_active.insert(("late".into(), "a".into()), AssignmentId(it.0.applied.0 + 1));
    it.ok(reset(&it, "a"));
    assert!(!it.flagged("10.0.0.1", "a") && !it.flagged("web", "a") && it.flagged("late", "a"));
    assert!(it.0.check_wire.contains(&"10.0.0.1".into()), "R-TAKE-6");
    it.ok(Cluster::assign("web", "b"));
}

/// R-LEASE-7: the word of one run says nothing of the next, which may have found no device.
#[test]
fn the_watchdog_of_the_run_before_counts_for_the_next() {
    let mut it = trio();
    it.0.wire_version = WATCHED_FROM;
    it.ok(watched(&it, "a", Some(9000)));
    it.join("a", 1);
    assert_eq!(it.0.nodes[&NodeName::new("a")].watchdog_ms, None);
}

/// R-LEASE-4
#[test]
fn time_clears_what_no_lease_binds() {
    let mut it = trio();
    it.refused("R-LEASE-4", proven(&it, "a"));
    lose(&mut it, "a");
    // It never said that it has applied an epoch of three voters: it may hold on as one of two.
    it.refused("R-LEASE-4", proven(&it, "a"));
    assert!(it.flagged("10.0.0.1", "a"));
}

/// R-LEASE-4: the mark is void in a smaller epoch, and an old word does not bring it back.
#[test]
fn a_lease_is_believed_that_a_smaller_epoch_ended() {
    let mut it = trio();
    it.ok(leased(&it, "a", 2));
    let old_word = leased(&it, "a", 2);
    it.ok(Entry::Epoch { name: epoch(3), voters: voters(&["a", "b"]), permit: None });
    it.refused("R-LEASE-4", old_word.clone());
    it.ok(Entry::Epoch { name: epoch(4), voters: voters(&ALL), permit: None });
    it.refused("R-LEASE-4", old_word);
    lose(&mut it, "a");
    it.refused("R-LEASE-4", proven(&it, "a"));
}

/// R-LEASE-4, R-JOIN-3: it is back, and its own word counts again.
#[test]
fn proof_by_time_for_a_node_that_is_back() {
    let mut it = trio();
    it.ok(leased(&it, "a", 2));
    lose(&mut it, "a");
    let proof = proven(&it, "a");
    it.join("a", 1);
    it.refused("R-LEASE-4", proof);
    assert!(it.flagged("10.0.0.1", "a"));
}

/// R-LEASE-3: who was renewed is not lost by an entry that names its admission before.
#[test]
fn renewed_node_is_lost_by_an_old_entry() {
    let mut it = trio();
    let lost = Entry::Lost { node: "a".into(), admission: admission(&it, "a") };
    let renew = Entry::Renew { node: "a".into(), admission: admission(&it, "a") };
    it.ok(renew.clone());
    it.refused("R-LEASE-3", lost);
    it.refused("R-LEASE-3", renew);
    assert!(it.flagged("web", "a"));
    assert!(it.0.assignments.contains_key(&"web".into()), "assignments stay");
    assert!(it.0.nodes[&NodeName::new("a")].probed);
}
