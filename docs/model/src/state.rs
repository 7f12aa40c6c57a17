//! A moment of the cluster: what every node knows, what is on the way, and for how long the owner's gate stays open.

use crate::record::{A, Admission, C, D, Entry, Log, NODES, Node, Record, Voters};

/// Rounds of the ledger: a leader, and two that depose one before them.
pub const ROUNDS: usize = 3;

/// A span in ticks of true time. Tickss stop growing at the length of a lease, beyond which nothing depends on them.
pub type Ticks = u8;

/// One leader's round of the ledger. Rounds are numbered from 1; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Round {
    /// The place in the log for which it proposes.
    pub slot: u8,
    /// What it proposed there. Whoever has promised no higher round may accept that, however late.
    pub proposed: Option<Entry>,
    /// Its leader may propose.
    pub leads: bool,
}

/// What a node keeps of the ledger, and as a voter of the owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Machine {
    /// How many decided entries it has applied.
    pub applied: u8,
    /// The highest round that it promised to heed.
    pub promised: u8,
    /// Accepted for the next place, and on the disk: in which round, and what.
    pub accepted: Option<(u8, Entry)>,
    /// On the disk: it vouches for that admission of the owner, and every lower one, no more.
    pub revoked: Admission,
    /// Ticks since it last vouched for the owner; the owner: since it last counted its own vote.
    pub vouched: Ticks,
}

/// What a vouch carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Vouch {
    /// Ticks since the heartbeat that it repeats was sent.
    pub age: Ticks,
    /// Voters of the next epoch, where the voter has accepted the end of its own, or is beyond it.
    pub next: Option<Voters>,
}

/// What a voter has stated of the admission that it revoked, as far as any DC may have heard of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Statement {
    /// It vouches for that admission no more, nor for a lower one.
    pub admission: Admission,
    /// Ticks since it last vouched for the owner, by its own word; grows by itself afterwards.
    pub age: Ticks,
}

/// A moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// Entries that a majority has accepted, whether anybody knows it or not.
    pub log: Log,
    /// Rounds begun so far.
    pub rounds: [Option<Round>; ROUNDS],
    /// The machines.
    pub machines: [Machine; 4],
    /// The newest vouch of each voter that the owner has.
    pub vouches: [Option<Vouch>; 4],
    /// Ticks for which the owner's address still answers. The kernel counts them: nothing that happens to the daemon stops it.
    pub gate: u8,
    /// What each voter stated.
    pub stated: [Option<Statement>; 4],
    /// Ticks since anybody knew the second epoch decided.
    pub epoch: Option<Ticks>,
    /// Daemons that were killed and started again.
    pub crashes: u8,
}

impl State {
    /// The owner serves, both others have just vouched for it, and somebody leads.
    pub fn first(lease: Ticks) -> State {
        let machine = |node| Machine {
            applied: 0,
            promised: 1,
            accepted: None,
            revoked: 0,
            vouched: if node == D { lease } else { 0 },
        };
        let fresh = |node: Node| (node != A && node <= C).then_some(Vouch { age: 0, next: None });
        let mut rounds = [None; ROUNDS];
        rounds[0] = Some(Round { leads: true, ..Round::default() });
        State {
            log: Log::default(),
            rounds,
            machines: NODES.map(machine),
            vouches: NODES.map(fresh),
            gate: lease,
            stated: [None; 4],
            epoch: None,
            crashes: 0,
        }
    }

    /// The record as a node knows it.
    pub fn record(&self, node: Node) -> Record {
        self.log.record(self.machines[node].applied.into())
    }

    /// What the decided entries say, whoever knows them.
    pub fn truth(&self) -> Record {
        self.log.record(self.log.len())
    }

    /// Whether a node votes, as far as it knows.
    pub fn votes(&self, node: Node) -> bool {
        self.record(node).voters.has(node)
    }

    /// Voters of the next epoch, where a node has accepted the end of its own and does not know it decided.
    pub fn accepted_end(&self, node: Node) -> Option<Voters> {
        let machine = &self.machines[node];
        match machine.accepted?.1 {
            Entry::Switch(voters) => Some(voters),
            _ => None,
        }
    }

    /// The address answers on two machines.
    pub fn has_two_owners(&self) -> bool {
        self.gate > 0 && self.truth().freed
    }

    /// One tick of true time passes.
    pub fn tick(&mut self, lease: Ticks) {
        let older = |age: &mut Ticks| *age = (*age + 1).min(lease);
        self.gate = self.gate.saturating_sub(1);
        self.machines.iter_mut().for_each(|machine| older(&mut machine.vouched));
        self.vouches.iter_mut().flatten().for_each(|vouch| older(&mut vouch.age));
        self.stated.iter_mut().flatten().for_each(|stated| older(&mut stated.age));
        self.epoch.iter_mut().for_each(older);
    }
}
