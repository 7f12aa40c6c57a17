//! The roles of a ledger as a table: every role, everything that can come, what comes of it.

#[path = "../../../tests/tables/table.rs"]
mod table;

use hearth_cib::{Entry, Record, Voter};
use hearth_ledger::founding::{FoundMessage, Proposal};
use hearth_ledger::{Join, Ledger, LedgerMessage, LedgerOut, Params, RivalOffer};
use hearth_types::{EpochName, Incarnation, Index, NodeIdentity, NodeName, PermitKind, ResourceModel, Timestamp};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use table::{Cells, compare};

const NAMES: [&str; 2] = ["a", "b"];

fn name(node: usize) -> NodeName {
    NodeName::new(NAMES[node])
}

fn at(ms: u64) -> Timestamp {
    Timestamp(ms * 1_000_000)
}

fn voter(node: usize) -> Voter {
    Voter { name: name(node), identity: NodeIdentity(100 + node as u64) }
}

fn params(node: usize) -> Params {
    Params {
        local: name(node),
        fresh_identity: NodeIdentity(100 + node as u64),
        nodes: vec![name(0), name(1)],
        digest: 1,
        retry: Duration::from_millis(500),
        seed: node as u64 + 7,
    }
}

/// What this node is to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Outside,
    GaveUp,
    LeftOut,
    Sole,
    Dc,
    Follows,
    Seeks,
    Stopped,
}

const ROLES: usize = 8;

/// In words, complete by the compiler.
fn role_name(role: Role) -> &'static str {
    match role {
        Role::Outside => "no epoch",
        Role::GaveUp => "no epoch, gave one up",
        Role::LeftOut => "in an epoch that it does not vote in",
        Role::Sole => "sole voter",
        Role::Dc => "voter, DC",
        Role::Follows => "voter, follows the DC",
        Role::Seeks => "voter, knows no DC",
        Role::Stopped => "stopped: a write failed",
    }
}

/// Two ledgers with their disks, and what is between them. The table is about `subject`.
struct World {
    ledgers: [Ledger; 2],
    disks: [(Option<String>, Vec<String>); 2],
    wire: VecDeque<(usize, LedgerMessage)>,
    subject: usize,
    stopped: bool,
    epochs: Vec<EpochName>,
}

impl World {
    fn new() -> World {
        let ledger = |node: usize| Ledger::restore(params(node), None, &[]).expect("no state");
        let disks = [(None, Vec::new()), (None, Vec::new())];
        let (wire, epochs) = (VecDeque::new(), Vec::new());
        World { ledgers: [ledger(0), ledger(1)], disks, wire, subject: 0, stopped: false, epochs }
    }

    /// Told in words.
    fn drain(&mut self, node: usize) -> Vec<&'static str> {
        let mut told = Vec::new();
        for item in self.ledgers[node].drain().into_iter().chain(self.ledgers[node].settle()) {
            let word = said(&item);
            if told.last() != Some(&word) {
                told.push(word);
            }
            match item {
                LedgerOut::Persist { state, lines, .. } => {
                    let disk = &mut self.disks[node];
                    if let Some(state) = state {
                        *disk = (Some(state), Vec::new());
                    }
                    disk.1.extend(lines);
                }
                LedgerOut::Say { message, .. } => self.wire.push_back((node, *message)),
                LedgerOut::EpochBegan { epoch, .. } => self.epochs.push(epoch),
                LedgerOut::Applied { .. } => {}
            }
        }
        told
    }

    fn run(&mut self) {
        for _ in 0..30 {
            loop {
                self.drain(0);
                self.drain(1);
                let Some((from, message)) = self.wire.pop_front() else { break };
                self.ledgers[1 - from].handle(&name(from), message);
            }
            self.ledgers.iter_mut().for_each(Ledger::tick);
        }
    }

    fn together() -> World {
        let mut world = World::new();
        for node in [0, 1] {
            world.ledgers[node].poll_founding(at(1000), &[name(1 - node)], false);
        }
        world.run();
        let dc = (0..2).find(|node| world.ledgers[*node].is_dc()).expect("a DC");
        let nodes = vec![name(0), name(1)];
        let model = ResourceModel::default();
        assert!(world.ledgers[dc].propose(Entry::Configure { model, digest: 5, nodes }));
        for node in [0, 1] {
            let (identity, incarnation) = (voter(node).identity, Incarnation(node as u64));
            assert!(world.ledgers[dc].propose(Entry::Admit { node: name(node), identity, incarnation }));
        }
        world.run();
        world.subject = dc;
        world
    }

    /// The shortest way into a role.
    fn at(role: Role) -> World {
        let mut world = if role == Role::Outside { World::new() } else { World::together() };
        let (dc, other) = (world.subject, 1 - world.subject);
        match role {
            Role::Outside | Role::Dc => {}
            Role::GaveUp => world.ledgers[dc].give_up_epoch(),
            Role::LeftOut => {
                assert!(world.ledgers[dc].remove_voters(&[name(other)]));
                world.run();
                world.subject = other;
            }
            Role::Sole => world.ledgers[dc].force(PermitKind::Unfenced, Vec::new()),
            Role::Follows => world.subject = other,
            Role::Seeks => {
                let (state, lines) = world.disks[dc].clone();
                world.ledgers[dc] = Ledger::restore(params(dc), state.as_deref(), &lines).expect("its own state");
            }
            Role::Stopped => {
                world.ledgers[dc].stop();
                world.stopped = true;
            }
        }
        world.drain(0);
        world.drain(1);
        world.wire.clear();
        assert_eq!(world.role(), role);
        world
    }

    fn role(&self) -> Role {
        let ledger = &self.ledgers[self.subject];
        let dc = ledger.dc();
        match () {
            () if self.stopped => Role::Stopped,
            () if ledger.has_no_epoch() && !ledger.given_up().is_empty() => Role::GaveUp,
            () if ledger.has_no_epoch() => Role::Outside,
            () if !ledger.is_voting() => Role::LeftOut,
            () if ledger.is_sole() => Role::Sole,
            () if ledger.is_dc() => Role::Dc,
            () if dc.is_some() => Role::Follows,
            () => Role::Seeks,
        }
    }

    fn epoch(&self) -> EpochName {
        let known = self.ledgers[self.subject].epoch().cloned();
        known.or_else(|| self.epochs.last().cloned()).unwrap_or(epoch(1))
    }

    /// The record of an epoch that follows ours, or of one that does not.
    fn offered(&self, follows: bool, voters: &[usize]) -> LedgerMessage {
        let mut record = Record::found(epoch(50), voters.iter().map(|node| voter(*node)).collect());
        record.lineage = if follows { vec![self.epoch()] } else { vec![epoch(40)] };
        LedgerMessage::Offer { record: Box::new(record) }
    }

    fn hears(&mut self, message: LedgerMessage) {
        self.ledgers[self.subject].handle(&name(1 - self.subject), message);
    }
}

fn epoch(number: u64) -> EpochName {
    EpochName { number, founder: "c".into(), nonce: number }
}

/// An output in words. Complete by the compiler, as are the messages.
fn said(out: &LedgerOut) -> &'static str {
    match out {
        LedgerOut::Persist { .. } => "persist",
        LedgerOut::Applied { rejection: None, .. } => "apply",
        LedgerOut::Applied { rejection: Some(_), .. } => "apply, refused",
        LedgerOut::EpochBegan { .. } => "an epoch begins",
        LedgerOut::Say { message, .. } => message_name(message),
    }
}

fn message_name(message: &LedgerMessage) -> &'static str {
    match message {
        LedgerMessage::Paxos { .. } => "say paxos",
        LedgerMessage::Found(FoundMessage::Prepare { .. }) => "say found: prepare",
        LedgerMessage::Found(FoundMessage::Promise { .. }) => "say found: promise",
        LedgerMessage::Found(FoundMessage::Accept { .. }) => "say found: accept",
        LedgerMessage::Found(FoundMessage::Accepted { .. }) => "say found: accepted",
        LedgerMessage::Join(_) => "say join",
        LedgerMessage::Store { .. } => "say store",
        LedgerMessage::Stored { .. } => "say stored",
        LedgerMessage::Offer { .. } => "say offer",
        LedgerMessage::Ask { .. } => "say ask",
        LedgerMessage::Decided { .. } => "say decided",
        LedgerMessage::Rival { .. } => "say rival",
        LedgerMessage::Resigned { .. } => "say resigned",
    }
}

const MESSAGES: usize = 13;

/// What the other machine says. Every kind of message is among them.
fn messages(world: &World) -> Vec<(&'static str, LedgerMessage)> {
    let (own, from) = (world.epoch(), name(1 - world.subject));
    let round = (9, from.clone());
    let proposal = |epoch| Proposal { epoch, voters: vec![voter(0), voter(1)], digest: 1 };
    let paxos = |epoch: &EpochName| {
        let mut other = World::together();
        let node = 1 - world.subject;
        other.ledgers[node].campaign();
        other.drain(node);
        let found = other.wire.into_iter().find_map(|(_, message)| match message {
            LedgerMessage::Paxos { message, .. } => Some(LedgerMessage::Paxos { epoch: epoch.clone(), message }),
            _ => None,
        });
        found.expect("who campaigns says so")
    };
    let offer = RivalOffer {
        epoch: epoch(40),
        node: from.clone(),
        permit: None,
        reach: 1,
        weight: 1,
        running: Vec::new(),
        age_ms: 0,
    };
    let join = Join {
        identity: NodeIdentity(77),
        incarnation: Incarnation(77),
        may_run: Vec::new(),
        number_seen: 0,
        overlap_ms: None,
        given_up: Vec::new(),
    };
    let stored = Box::new(Record::found(epoch(60), vec![voter(1 - world.subject)]));
    let base = world.ledgers[world.subject].decided();
    vec![
        ("paxos of our epoch", paxos(&own)),
        ("paxos of another epoch", paxos(&epoch(40))),
        ("found: prepare", LedgerMessage::Found(FoundMessage::Prepare { round: round.clone(), digest: 1 })),
        (
            "found: prepare, another list",
            LedgerMessage::Found(FoundMessage::Prepare { round: round.clone(), digest: 2 }),
        ),
        (
            "found: promise that nobody asked for",
            LedgerMessage::Found(FoundMessage::Promise {
                round: round.clone(),
                identity: NodeIdentity(100),
                accepted: None,
            }),
        ),
        (
            "found: accept",
            LedgerMessage::Found(FoundMessage::Accept { round: round.clone(), proposal: proposal(epoch(1)) }),
        ),
        (
            "found: accept of the epoch that we know",
            LedgerMessage::Found(FoundMessage::Accept { round: round.clone(), proposal: proposal(own.clone()) }),
        ),
        ("found: accepted that nobody asked for", LedgerMessage::Found(FoundMessage::Accepted { round })),
        ("offer of an epoch that follows, with us", world.offered(true, &[0, 1])),
        ("offer of an epoch that follows, without us", world.offered(true, &[1 - world.subject])),
        ("offer of a rival epoch with us", world.offered(false, &[0, 1])),
        (
            "offer of the epoch that we know",
            LedgerMessage::Offer { record: Box::new(Record::found(own.clone(), vec![voter(0), voter(1)])) },
        ),
        ("store", LedgerMessage::Store { record: stored }),
        ("stored, though nobody was invited", LedgerMessage::Stored { epoch: own.clone() }),
        ("ask", LedgerMessage::Ask { epoch: own.clone(), from: Index(1) }),
        ("ask of another epoch", LedgerMessage::Ask { epoch: epoch(40), from: Index(1) }),
        (
            "decided, the next entry",
            LedgerMessage::Decided { epoch: own.clone(), from: base.next(), entries: vec![Entry::Noop] },
        ),
        (
            "decided, with a gap",
            LedgerMessage::Decided { epoch: own.clone(), from: base.next().next(), entries: vec![Entry::Noop] },
        ),
        (
            "decided of another epoch",
            LedgerMessage::Decided { epoch: epoch(40), from: base.next(), entries: vec![Entry::Noop] },
        ),
        ("join", LedgerMessage::Join(join)),
        ("rival", LedgerMessage::Rival { own: offer, echo: None }),
        ("resigned", LedgerMessage::Resigned { epoch: own }),
    ]
}

type Happen = fn(&mut World) -> bool;

/// What the node itself does; true where it says that it was done.
const ACTS: [(&str, Happen); 10] = [
    ("(tick)", |world| {
        world.ledgers[world.subject].tick();
        false
    }),
    ("(propose)", |world| world.ledgers[world.subject].propose(Entry::Noop)),
    ("(campaign)", |world| {
        world.ledgers[world.subject].campaign();
        false
    }),
    ("(force, with a permit)", |world| {
        world.ledgers[world.subject].force(PermitKind::Unfenced, Vec::new());
        false
    }),
    ("(give the epoch up)", |world| {
        world.ledgers[world.subject].give_up_epoch();
        false
    }),
    ("(remove the other voter)", |world| {
        let other = name(1 - world.subject);
        world.ledgers[world.subject].remove_voters(&[other])
    }),
    ("(invite the other)", |world| {
        let other = name(1 - world.subject);
        world.ledgers[world.subject].invite(&other, None);
        false
    }),
    ("(invite the other, and it has stored)", |world| {
        let (other, epoch) = (name(1 - world.subject), world.epoch());
        world.ledgers[world.subject].invite(&other, None);
        world.hears(LedgerMessage::Stored { epoch });
        false
    }),
    ("(found the first epoch)", |world| {
        let other = name(1 - world.subject);
        world.ledgers[world.subject].poll_founding(at(9000), std::slice::from_ref(&other), true);
        world.ledgers[world.subject].poll_founding(at(19_000), &[other], true);
        false
    }),
    ("(a write fails)", |world| {
        world.ledgers[world.subject].stop();
        world.stopped = true;
        false
    }),
];

fn outcome(mut after: World, before: Role, done: bool) -> String {
    let subject = after.subject;
    let told = after.drain(subject);
    let role = after.role();
    assert!(role != Role::Stopped || told.is_empty() || before == Role::Stopped, "said after a write failed: {told:?}");
    let mut parts: Vec<String> = Vec::new();
    if role != before {
        parts.push(format!("-> {}", role_name(role)));
    }
    if done {
        parts.push("done".into());
    }
    if !told.is_empty() {
        parts.push(format!("[{}]", told.join(", ")));
    }
    if parts.is_empty() { "-".into() } else { parts.join("  ") }
}

/// R-LEDGER-2, 3, 5, 7, R-JOIN-1
#[test]
fn every_role_and_every_message() {
    let roles =
        [Role::Outside, Role::GaveUp, Role::LeftOut, Role::Sole, Role::Dc, Role::Follows, Role::Seeks, Role::Stopped];
    assert_eq!(BTreeSet::from(roles).len(), ROLES);
    let (mut cells, mut said) = (Cells::default(), BTreeSet::new());
    for role in roles {
        for (act, happen) in ACTS {
            let mut world = World::at(role);
            let done = happen(&mut world);
            cells.note(role_name(role), act, outcome(world, role, done));
        }
        for number in 0.. {
            let mut world = World::at(role);
            let Some((event, message)) = messages(&world).into_iter().nth(number) else { break };
            said.insert(message_name(&message));
            world.hears(message);
            cells.note(role_name(role), event, outcome(world, role, false));
        }
    }
    assert_eq!(said.len(), MESSAGES, "every message is said");
    let head = "One of two ledgers (crates/ledger): what comes of every message, and of every (act) of the node itself.\n\
                -> the role after it, [what is written and said, in order; what stands behind `persist` waits for it].";
    compare("ledger-roles.txt", head, &cells.print("-"));
}
