//! Whether a machine takes part, as a table: every state of a member, every entry, what the record makes of it.

mod cluster;
#[path = "../../../tests/tables/table.rs"]
mod table;

use cluster::{Cluster, epoch, model, voter};
use hearth_cib::*;
use hearth_types::*;
use std::collections::BTreeSet;
use table::{Cells, compare, decisions, flag, input};

const B: &str = "b";

/// In words. Complete by the compiler: a state that is added fails the test until it stands in the table.
fn member(state: MemberState) -> &'static str {
    match state {
        MemberState::Out => "out",
        MemberState::Admitted => "admitted",
        MemberState::Lost => "lost",
        MemberState::Left => "left",
    }
}

/// The entry in words. Complete by the compiler: an entry that is added is told here, and tried in [`entries`].
fn kind(entry: &Entry) -> &'static str {
    match entry {
        Entry::Noop => "noop",
        Entry::Configure { .. } => "configure",
        Entry::Admit { .. } => "admit",
        Entry::Probed { .. } => "probed",
        Entry::Forced { .. } => "forced",
        Entry::Lost { .. } => "lost",
        Entry::Renew { .. } => "renew",
        Entry::Leased { .. } => "leased",
        Entry::Proven { .. } => "proven",
        Entry::Watched { .. } => "watched",
        Entry::Reset { .. } => "reset",
        Entry::Resigned { .. } => "resigned",
        Entry::Fenced { .. } => "fenced",
        Entry::Left { .. } => "left",
        Entry::Unclean { .. } => "unclean",
        Entry::Confirmed { .. } => "confirmed",
        Entry::Assign { .. } => "assign",
        Entry::Unassign { .. } => "unassign",
        Entry::Report(_) => "report",
        Entry::Standing { .. } => "standing",
        Entry::Move { .. } => "move",
        Entry::Failback { .. } => "failback",
        Entry::Clear { .. } => "clear",
        Entry::Aged { .. } => "aged",
        Entry::RaiseWire { .. } => "raise the wire version",
        Entry::Epoch { .. } => "epoch",
        Entry::Batch(_) => "batch",
    }
}

const KINDS: usize = 27;

/// Every entry that is about machine b, right and wrong in what it names.
fn entries(it: &Cluster) -> Vec<(&'static str, Entry)> {
    let node = it.0.nodes[&NodeName::from(B)].clone();
    let (identity, run) = (node.identity.unwrap_or(NodeIdentity(2)), node.incarnation);
    let (admission, name) = (node.admission, || NodeName::from(B));
    let request = |number| RequestId { origin: name(), incarnation: run, number };
    let next = epoch(it.0.epoch.number + 1);
    let without: Vec<Voter> = it.0.voters.iter().filter(|voter| voter.name != name()).cloned().collect();
    let speaks = |newest| vec![Speaks { node: "a".into(), incarnation: Incarnation(10), newest }];
    let others = BTreeSet::from([ResourceId::from("10.0.0.1")]);
    vec![
        ("", Entry::Noop),
        ("that keeps it", Entry::Configure { model: model(&["10.0.0.1 web"]), digest: 2, nodes: list(it, true) }),
        ("without it", Entry::Configure { model: model(&["10.0.0.1 web"]), digest: 2, nodes: list(it, false) }),
        ("the same run", Entry::Admit { node: name(), identity, incarnation: run }),
        ("another run", Entry::Admit { node: name(), identity, incarnation: Incarnation(77) }),
        ("another machine", Entry::Admit { node: name(), identity: NodeIdentity(99), incarnation: Incarnation(77) }),
        ("", Entry::Probed { node: name(), incarnation: run }),
        ("another run", Entry::Probed { node: name(), incarnation: Incarnation(77) }),
        ("", Entry::Forced { node: name(), permit: PermitKind::Unfenced, node_silent: true }),
        ("", Entry::Lost { node: name(), admission }),
        ("an older admission", Entry::Lost { node: name(), admission: Admission(admission.0.wrapping_sub(1)) }),
        ("", Entry::Renew { node: name(), admission }),
        ("an older admission", Entry::Renew { node: name(), admission: Admission(admission.0.wrapping_sub(1)) }),
        ("", Entry::Leased { node: name(), incarnation: run, epoch: it.0.epoch.clone() }),
        ("another epoch", Entry::Leased { node: name(), incarnation: run, epoch: epoch(99) }),
        ("", Entry::Proven { node: name(), admission, addresses: others }),
        ("", Entry::Watched { node: name(), incarnation: run, timeout_ms: Some(9000) }),
        ("by nothing any more", Entry::Watched { node: name(), incarnation: run, timeout_ms: None }),
        ("another run", Entry::Watched { node: name(), incarnation: Incarnation(77), timeout_ms: Some(9000) }),
        ("", Entry::Reset { node: name(), admission }),
        ("", Entry::Resigned { node: name(), admission }),
        ("", Entry::Fenced { node: name(), admission, how: "said".into(), upto: Index(0), request: None }),
        (
            "an older admission",
            Entry::Fenced {
                node: name(),
                admission: Admission(admission.0.wrapping_sub(1)),
                how: "said".into(),
                upto: Index(0),
                request: None,
            },
        ),
        ("", Entry::Left { node: name() }),
        ("", Entry::Unclean { node: name(), reason: "split".into(), running: vec!["web".into()], identity: None }),
        ("", Entry::Confirmed { node: name() }),
        ("", Cluster::assign("10.0.0.1", B)),
        ("", Cluster::unassign("10.0.0.1")),
        ("stopped", it.report(B, "web", it.0.applied.0, ReportKind::Stopped)),
        ("running", it.report(B, "web", it.0.applied.0, ReportKind::Running)),
        ("", Entry::Standing { node: name(), unservable: BTreeSet::new(), pings: (1, 1) }),
        (
            "to it",
            Entry::Move {
                request: request(1),
                groups: vec!["10.0.0.1".into()],
                to: Some(name()),
                away_from: None,
                by: "root".into(),
            },
        ),
        ("", Entry::Failback { request: request(1), groups: vec!["10.0.0.1".into()], by: "root".into() }),
        ("", Entry::Clear { request: request(1), subject: ClearSubject::All }),
        ("of it", Entry::Aged { resource: "web".into(), node: name(), action: OpAction::Start, index: it.0.applied }),
        ("that it cannot speak", Entry::RaiseWire { version: it.0.wire_version + 1, stated: speaks(9) }),
        ("with it", Entry::Epoch { name: next.clone(), voters: with(&without, identity), permit: None }),
        ("without it", Entry::Epoch { name: next.clone(), voters: without.clone(), permit: None }),
        ("with another machine", Entry::Epoch { name: next, voters: with(&without, NodeIdentity(99)), permit: None }),
        ("inside a batch", Entry::Batch(vec![Entry::Batch(Vec::new())])),
    ]
}

fn with(others: &[Voter], identity: NodeIdentity) -> Vec<Voter> {
    others.iter().cloned().chain([voter(B, identity.0)]).collect()
}

fn list(it: &Cluster, all: bool) -> Vec<NodeName> {
    it.0.node_order.iter().filter(|name| all || name.as_str() != B).cloned().collect()
}

/// A record of `count` machines that all vote; b not yet admitted.
fn record(count: usize) -> Cluster {
    let names: Vec<NodeName> = ["a", "b", "c"][..count].iter().map(|name| (*name).into()).collect();
    let voters = names.iter().enumerate().map(|(at, name)| voter(name.as_str(), at as u64 + 1)).collect();
    let mut it = Cluster(Record::found(epoch(1), voters));
    it.ok(Entry::Configure { model: model(&["10.0.0.1 web"]), digest: 1, nodes: names.clone() });
    for (at, name) in names.iter().enumerate().filter(|(_, name)| name.as_str() != B) {
        it.join(name.as_str(), at as u64 + 1);
    }
    it.0.wire_version = NEWEST_WIRE_VERSION;
    it
}

type Way = fn(&mut Cluster);

/// Every state by the shortest way into it.
const STATES: [Way; 10] = [
    |_| {},
    |it| it.ok(Entry::Admit { node: B.into(), identity: NodeIdentity(2), incarnation: Incarnation(20) }),
    |it| it.join(B, 2),
    |it| {
        it.join(B, 2);
        it.ok(Cluster::assign("10.0.0.1", B));
    },
    |it| {
        it.join(B, 2);
        it.ok(Entry::Lost { node: B.into(), admission: Admission(1) });
    },
    |it| {
        it.join(B, 2);
        it.ok(Cluster::assign("10.0.0.1", B));
        it.ok(Entry::Lost { node: B.into(), admission: Admission(1) });
    },
    |it| {
        it.join(B, 2);
        let lease = Entry::Leased { node: B.into(), incarnation: Incarnation(20), epoch: it.0.epoch.clone() };
        let _ = it.apply(lease);
        it.ok(Cluster::assign("10.0.0.1", B));
        it.ok(Entry::Lost { node: B.into(), admission: Admission(1) });
    },
    |it| {
        it.join(B, 2);
        it.ok(Entry::Left { node: B.into() });
    },
    |it| {
        it.join(B, 2);
        it.ok(Entry::Unclean { node: B.into(), reason: "split".into(), running: vec!["web".into()], identity: None });
    },
    |it| {
        it.join(B, 2);
        it.ok(Entry::Lost { node: B.into(), admission: Admission(1) });
        it.ok(Entry::Unclean { node: B.into(), reason: "split".into(), running: vec!["web".into()], identity: None });
    },
];

fn state(record: &Record) -> String {
    let name = NodeName::from(B);
    let Some(node) = record.nodes.get(&name) else { return "not in the record".into() };
    let marks = [
        (node.probed, "probed"),
        (node.leased, "leased"),
        (node.unclean.is_some(), "unclean"),
        (record.active_on(&name).next().is_some(), "may run something"),
        (record.voters.iter().any(|voter| voter.name == name), "votes"),
    ];
    let marks = marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark);
    std::iter::once(member(node.member)).chain(marks).collect::<Vec<_>>().join(", ")
}

/// The rule by which it was refused: every refusal ends with it.
fn rule(why: &Rejection) -> String {
    let text = why.to_string();
    let rule = text.rsplit_once(" (").map_or(text.as_str(), |(_, rule)| rule.trim_end_matches(')'));
    let why = match why {
        Rejection::NotAdmitted { .. } => "does not take part",
        Rejection::NotProbed { .. } => "not probed",
        Rejection::NodeUnclean { .. } => "unclean",
        Rejection::Identity { .. } => "another machine",
        Rejection::Incarnation { .. } => "another run",
        Rejection::Admission { .. } => "another admission",
        Rejection::StillActive { .. } | Rejection::MayBeActive { .. } => "may run something",
        Rejection::StillVoter { .. } | Rejection::NodeInUse { .. } => "votes, or may run something",
        Rejection::NotAPair { .. } => "no pair",
        Rejection::NoLeases { .. } => "no leases in this epoch",
        Rejection::NotLost { .. } => "not lost",
        Rejection::NotLeased { .. } => "keeps things without a lease",
        Rejection::NotWatched { .. } => "nothing resets it",
        _ => "",
    };
    format!("refused: {why}{}{rule}", if why.is_empty() { "" } else { ", " })
}

#[test]
fn every_state_of_a_member_and_every_entry() {
    let mut tried: BTreeSet<&str> = BTreeSet::new();
    let mut text = String::new();
    let mut states: BTreeSet<&str> = BTreeSet::new();
    for (count, votes) in [(2, true), (2, false), (3, true), (3, false)] {
        let mut cells = Cells::default();
        for way in STATES {
            let mut before = record(count);
            way(&mut before);
            if !votes {
                let voters = before.0.voters.iter().filter(|voter| voter.name.as_str() != B).cloned().collect();
                before.ok(Entry::Epoch { name: epoch(2), voters, permit: None });
            }
            states.insert(member(before.0.nodes[&NodeName::from(B)].member));
            for (how, entry) in entries(&before) {
                tried.insert(kind(&entry));
                let mut after = Cluster(before.0.clone());
                let verdict = after.apply(entry.clone());
                let outcome = match verdict {
                    Err(why) => rule(&why),
                    Ok(()) if state(&after.0) == state(&before.0) => "-".into(),
                    Ok(()) => format!("-> {}", state(&after.0)),
                };
                let event = if how.is_empty() { kind(&entry).into() } else { format!("{} {how}", kind(&entry)) };
                cells.note(&state(&before.0), &event, outcome);
            }
        }
        let leases = if count == 3 && votes { ", leases bind" } else { "" };
        text += &format!("== {count} machines, b {}{leases}: ", if votes { "votes" } else { "does not vote" });
        text += &cells.print("-");
        text.push('\n');
    }
    assert_eq!(tried.len(), KINDS, "every entry is tried");
    assert_eq!(states.len(), 4, "every state of a member");
    let head = "Machine b in the record (crates/cib): what comes of every entry in every state of it.\n\
                -> the state after it; refused: why, and by which clause. `10.0.0.1 web` is one group, nothing runs on a.";
    compare("cib-member.txt", head, text.trim_end_matches('\n'));
}

/// Protocol section 5, the column "clears": and what only the wire can say remains.
#[test]
fn every_permit_and_what_it_clears() {
    let kinds = ["10.0.0.1", "/srv", "web"];
    // Complete by the compiler.
    let told = |permit: PermitKind| match permit {
        PermitKind::Unfenced
        | PermitKind::Tiebreaker
        | PermitKind::Watchdog
        | PermitKind::Resigned
        | PermitKind::Fenced => permit.to_string(),
    };
    let permits =
        [PermitKind::Unfenced, PermitKind::Tiebreaker, PermitKind::Watchdog, PermitKind::Resigned, PermitKind::Fenced];
    let inputs = [
        input("permit", &permits.map(told)),
        // Under `watchdog`: reset beyond doubt.
        flag("b silent, or reset"),
        input("resource", &["address", "file system", "script"]),
        input("machines", &["2", "3"]),
        flag("b votes"),
    ];
    let text = decisions(&inputs, "what becomes of it", |at| {
        let &[permit, silent, kind, machines, votes] = at else { unreachable!("five inputs") };
        let names = ["a", "b", "c"][..machines + 2].iter().map(|name| (*name).into()).collect();
        let mut it = Cluster(Record::found(epoch(1), vec![voter("a", 1), voter("b", 2)]));
        it.0.wire_version = NEWEST_WIRE_VERSION;
        it.ok(Entry::Configure { model: model(&[kinds[kind]]), digest: 1, nodes: names });
        it.join("a", 1);
        it.join("b", 2);
        it.ok(Cluster::assign(kinds[kind], B));
        if votes == 0 {
            it.ok(Entry::Epoch { name: epoch(2), voters: vec![voter("a", 1)], permit: Some(permits[permit]) });
        }
        let forced = Entry::Forced { node: B.into(), permit: permits[permit], node_silent: silent == 1 };
        if let Err(why) = it.apply(forced) {
            return rule(&why);
        }
        let asked = it.0.check_wire.contains(&ResourceId::from(kinds[kind]));
        match (it.flagged(kinds[kind], B), asked) {
            (true, _) => "may still be active on b: waits for its word".into(),
            (false, true) => "free once the wire is silent".into(),
            (false, false) => "free".into(),
        }
    });
    let head = "What a permit clears of the machine that is lost (protocol section 5, crates/cib).";
    compare("permits-clear.txt", head, &text);
}

/// R-LEASE-4, R-TAKE-2
#[test]
fn every_proof_by_time_and_what_it_clears() {
    let inputs = [
        input("voters", &["2", "3"]),
        input("b is", &["admitted", "lost", "lost, admitted again", "left"]),
        flag("leased"),
        input("names admission", &["its own", "another"]),
        input("resource", &["10.0.0.1", "/srv", "web"]),
        flag("assigned after the loss"),
    ];
    let text = decisions(&inputs, "what becomes of it", |at| {
        let &[voters, is, leased, admission, kind, late] = at else { unreachable!("six inputs") };
        let id = ["10.0.0.1", "/srv", "web"][kind];
        let mut it = Cluster(Record::found(epoch(1), vec![voter("a", 1), voter("b", 2), voter("c", 3)]));
        let names = ["a", "b", "c"].map(NodeName::from).to_vec();
        it.ok(Entry::Configure { model: model(&[id]), digest: 1, nodes: names });
        for (number, name) in [(1, "a"), (2, "b"), (3, "c")] {
            it.join(name, number);
        }
        if leased == 1 {
            it.ok(Entry::Leased { node: B.into(), incarnation: Incarnation(20), epoch: epoch(1) });
        }
        if is != 3 {
            it.ok(Cluster::assign(id, B));
        }
        match is {
            0 => {}
            3 => it.ok(Entry::Left { node: B.into() }),
            _ => it.ok(Entry::Lost { node: B.into(), admission: Admission(1) }),
        }
        if is == 2 {
            it.join(B, 2);
        }
        if voters == 0 {
            it.ok(Entry::Epoch { name: epoch(2), voters: vec![voter("a", 1), voter("c", 3)], permit: None });
        }
        if late == 1 {
            it.0.may_be_active.insert((id.into(), B.into()), AssignmentId(it.0.applied.0 + 1));
        }
        let known = it.0.nodes[&NodeName::from(B)].admission;
        let admission = if admission == 0 { known } else { Admission(known.0 + 1) };
        if let Err(why) = it.apply(Entry::Proven { node: B.into(), admission, addresses: [id.into()].into() }) {
            return rule(&why);
        }
        match (it.flagged(id, B), it.0.check_wire.contains(&ResourceId::from(id))) {
            (true, _) => "may still be active on b".into(),
            (false, true) => "free once the wire is silent".into(),
            (false, false) => "free".into(),
        }
    });
    let head = "What time alone clears of a lost machine (R-LEASE-4, R-TAKE-2): the entry `proven` in every record.";
    compare("proof-by-time.txt", head, &text);
}
