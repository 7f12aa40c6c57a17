//! Random entries: whatever is proposed, nobody is given what another may hold.

mod cluster;

use cluster::{Cluster, model};
use hearth_cib::*;
use hearth_types::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const NODES: [&str; 3] = ["a", "b", "c"];
const RESOURCES: [&str; 6] = ["10.0.0.1", "/srv", "web", "db", "10.0.0.1@2", "mail"];
const GROUPS: [&str; 5] = ["10.0.0.1", "/srv", "db", "10.0.0.1@2", "web"];
const MODELS: [&[&str]; 4] = [
    &["10.0.0.1 web", "/srv mail", "db"],
    &["/srv 10.0.0.1 web", "db", "10.0.0.1@2"],
    &["10.0.0.1@2 mail", "web /srv"],
    &["10.0.0.1 web mail", "10.0.0.1@2 db", "/srv"],
];

fn name(at: usize) -> NodeName {
    NODES[at % 3].into()
}

fn report() -> impl Strategy<Value = Entry> {
    let kinds = prop_oneof![
        3 => Just(ReportKind::Started),
        5 => Just(ReportKind::Stopped),
        2 => Just(ReportKind::NotRunning),
        1 => Just(ReportKind::Running),
        1 => Just(ReportKind::StartFailed { code: None, message: "no".into() }),
        1 => Just(ReportKind::StopFailed { code: None, message: "no".into() }),
        1 => Just(ReportKind::MonitorFailed { code: None, message: "no".into() }),
    ];
    (0..3usize, 0..6usize, 0..4u64, kinds, 1..4u64).prop_map(|(node, resource, back, what, run)| {
        Entry::Report(Report {
            node: name(node),
            incarnation: Incarnation(run),
            number: 0,
            resource: RESOURCES[resource].into(),
            // How far behind the record the node was; put right when it is applied.
            upto: AssignmentId(back),
            what,
        })
    })
}

fn single() -> impl Strategy<Value = Entry> {
    let node = || 0..3usize;
    let group = || (0..GROUPS.len()).prop_map(|at| GroupId::from(GROUPS[at]));
    let text = String::new;
    prop_oneof![
        8 => (group(), node()).prop_map(move |(group, at)| Entry::Assign { group, node: name(at), reason: text() }),
        4 => group().prop_map(move |group| Entry::Unassign { group, reason: text() }),
        10 => report(),
        2 => (node(), 1..4u64).prop_map(|(at, run)| Entry::Admit {
            node: name(at),
            identity: NodeIdentity(at as u64 + 1),
            incarnation: Incarnation(run),
        }),
        3 => (node(), 1..4u64).prop_map(|(at, run)| Entry::Probed { node: name(at), incarnation: Incarnation(run) }),
        1 => (node(), 0..3u64).prop_map(|(at, n)| Entry::Lost { node: name(at), admission: Admission(n) }),
        1 => (node(), any::<bool>()).prop_map(|(at, node_silent)| Entry::Forced {
            node: name(at),
            permit: PermitKind::Unfenced,
            node_silent,
        }),
        1 => node().prop_map(|at| Entry::Left { node: name(at) }),
        1 => node().prop_map(|at| Entry::Confirmed { node: name(at) }),
        1 => (node(), 0..6usize).prop_map(move |(at, resource)| Entry::Unclean {
            node: name(at),
            reason: text(),
            running: vec![RESOURCES[resource].into()],
            identity: None,
        }),
        1 => (0..MODELS.len(), 2..4usize).prop_map(|(which, nodes)| Entry::Configure {
            model: model(MODELS[which]),
            digest: which as u64,
            nodes: (0..nodes).map(name).collect(),
        }),
        1 => (node(), 0..6usize, 0..40u64).prop_map(|(at, resource, index)| Entry::Aged {
            resource: RESOURCES[resource].into(),
            node: name(at),
            action: OpAction::Start,
            index: Index(index),
        }),
        1 => (1..4u8, 1..4u64, 1..4u64, 1..4u8).prop_map(|(version, a, b, newest)| Entry::RaiseWire {
            version,
            stated: [a, b]
                .iter()
                .enumerate()
                .map(|(at, run)| Speaks { node: name(at), incarnation: Incarnation(*run), newest })
                .collect(),
        }),
        1 => (1..9u64, any::<bool>()).prop_map(|(number, both)| Entry::Epoch {
            name: cluster::epoch(number),
            voters: (0..if both { 2 } else { 1 }).map(|at| cluster::voter(NODES[at], at as u64 + 1)).collect(),
            permit: None,
        }),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![8 => single(), 1 => proptest::collection::vec(single(), 1..4).prop_map(Entry::Batch)]
}

/// A report as that node would number it now.
fn numbered(record: &Record, entry: Entry) -> Entry {
    match entry {
        Entry::Report(mut report) => {
            report.number = record.nodes.get(&report.node).map_or(0, |node| node.reported + 1);
            report.upto = AssignmentId(record.applied.0.saturating_sub(report.upto.0));
            Entry::Report(report)
        }
        Entry::Batch(entries) => Entry::Batch(entries.into_iter().map(|entry| numbered(record, entry)).collect()),
        other => other,
    }
}

/// What nodes said of themselves, or a healed split: the only ways to a second flag.
fn excused(entry: &Entry) -> BTreeSet<(ResourceId, NodeName)> {
    match entry {
        Entry::Report(report) => BTreeSet::from([(report.resource.clone(), report.node.clone())]),
        Entry::Unclean { node, running, .. } => running.iter().map(|id| (id.clone(), node.clone())).collect(),
        Entry::Batch(entries) => entries.iter().flat_map(excused).collect(),
        _ => BTreeSet::new(),
    }
}

fn keys(record: &Record) -> BTreeMap<ResourceId, BTreeSet<String>> {
    let known = record.model.resources().map(|(_, spec)| spec).chain(record.orphans.values());
    let mut keys: BTreeMap<ResourceId, BTreeSet<String>> = BTreeMap::new();
    for spec in known {
        keys.entry(spec.id.clone()).or_default().extend(spec.owns.iter().cloned());
    }
    keys
}

fn check(before: &Record, after: &Record, entry: &Entry) {
    let excused = excused(entry);
    let keys = keys(after);
    for (flag, id) in after.may_be_active.iter().filter(|(flag, _)| !excused.contains(flag)) {
        let (resource, node) = flag;
        assert!(keys.contains_key(resource), "{resource} may be active and nobody knows what it is");
        if before.may_be_active.get(flag) == Some(id) {
            continue;
        }
        // A new flag: nobody else may hold any of its keys, on whatever node and under whatever name.
        for (other, holder) in after.may_be_active.keys().filter(|other| *other != flag && !excused.contains(other)) {
            let shared = keys[resource].intersection(&keys[other]).next();
            assert!(shared.is_none(), "{resource} given to {node} while {other} may hold {shared:?} on {holder}");
        }
    }
    for (group, assignment) in &after.assignments {
        assert!(after.is_admitted(&assignment.node), "{group} is assigned to {} that is not there", assignment.node);
        assert!(after.model.group(group).is_some());
    }
    for id in after.orphans.keys() {
        assert!(after.active_nodes(id).next().is_some(), "{id} is kept for nothing");
    }
    assert!(after.wire_version >= before.wire_version, "R-WIRE-6: lowered");
    assert!(after.lineage.len() <= LINEAGE && after.requests.len() <= after.nodes.len());
    assert_eq!(after.nodes.keys().cloned().collect::<BTreeSet<_>>(), after.node_order.iter().cloned().collect());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// R-TAKE-3, R-TAKE-9, protocol section 8, 1 and 4.
    #[test]
    fn nobody_is_given_what_another_may_hold(entries in proptest::collection::vec(entry(), 1..120)) {
        let mut one = Cluster::new(MODELS[0]);
        let mut other = one.0.clone();
        for entry in entries {
            let before = one.0.clone();
            let entry = numbered(&before, entry);
            let result = one.apply(entry.clone());
            let again = other.apply(before.applied.next(), &entry);
            prop_assert_eq!(&result, &again);
            check(&before, &one.0, &entry);
        }
        prop_assert_eq!(one.0.digest(), other.digest());
        let json = serde_json::to_string(&one.0).unwrap();
        prop_assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), other);
    }
}
