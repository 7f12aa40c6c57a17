//! The first epoch (R-JOIN-1): one decree of Paxos over the configured list.
//!
//! Rounds are (count, name).  A consent is durable before it is said, is superseded only by a higher round, and that
//! round carries on the proposal of the highest consent among a majority, so two proposers found one epoch.

use hearth_cib::Voter;
use hearth_types::{EpochName, NodeIdentity, NodeName, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Number of a proposal: count, then name.
pub type Round = (u64, NodeName);

/// What is agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Name of the first epoch.
    pub epoch: EpochName,
    /// Its voters by name and persisted identity.
    pub voters: Vec<Voter>,
    /// Digest of the node list: only nodes with an equal list consent.
    pub digest: u64,
}

/// What a node has promised and accepted; durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// Highest round promised.
    pub promised: Option<Round>,
    /// Highest round accepted, with its proposal.
    pub accepted: Option<(Round, Proposal)>,
}

/// Messages of the decree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FoundMessage {
    /// Phase one.
    Prepare {
        /// Round.
        round: Round,
        /// Digest of the proposer's node list.
        digest: u64,
    },
    /// Answer to it.
    Promise {
        /// Round.
        round: Round,
        /// Who answers, by identity.
        identity: NodeIdentity,
        /// Highest accepted proposal.
        accepted: Option<(Round, Proposal)>,
    },
    /// Phase two.
    Accept {
        /// Round.
        round: Round,
        /// Proposal.
        proposal: Proposal,
    },
    /// Answer to it.
    Accepted {
        /// Round.
        round: Round,
    },
}

/// What the decree wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The consent changed and must be durable before what follows is said.
    Persist,
    /// Say it to that node.
    Say(NodeName, FoundMessage),
    /// A majority accepted: this epoch begins.
    Founded(Proposal),
}

/// A node's part in the decree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Founding {
    local: NodeName,
    identity: NodeIdentity,
    nodes: Vec<NodeName>,
    digest: u64,
    /// What was promised and accepted.
    pub consent: Consent,
    /// Epochs that this node gave up. None of them is founded again: it has entries of its own, and under one name there
    /// would be two histories.
    pub given_up: Vec<EpochName>,
    attempt: Option<Attempt>,
    retry: Duration,
    retry_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Attempt {
    round: Round,
    promises: BTreeMap<NodeName, (NodeIdentity, Option<(Round, Proposal)>)>,
    proposal: Option<Proposal>,
    accepted: Vec<NodeName>,
    /// How many promises it waits for: whoever promises votes.
    wanted: usize,
}

impl Founding {
    /// Nothing proposed yet.
    pub fn new(
        local: NodeName,
        identity: NodeIdentity,
        nodes: Vec<NodeName>,
        digest: u64,
        consent: Consent,
        given_up: Vec<EpochName>,
        retry: Duration,
    ) -> Founding {
        Founding { local, identity, nodes, digest, consent, given_up, attempt: None, retry, retry_at: Timestamp::ZERO }
    }

    /// The epoch that was founded is given up: its proposal is carried on no more where every machine must consent, for
    /// then nobody can be in it when it is asked for again. Promises still hold.
    pub fn forget(&mut self) {
        if self.majority() == self.nodes.len() {
            self.consent.accepted = None;
            self.attempt = None;
        }
    }

    /// This node is another from now on: an attempt under its old identity ends, what it promised and accepted still holds.
    pub fn take_identity(&mut self, identity: NodeIdentity) {
        self.identity = identity;
        self.attempt = None;
    }

    /// Another list, or other files. An attempt that asked the nodes of before ends. Where a proposal with another digest was
    /// accepted, nothing changes: it may be decided, and is carried on (R-JOIN-1).
    pub fn reconfigure(&mut self, nodes: Vec<NodeName>, digest: u64) {
        if self.accepted().is_some_and(|(_, proposal)| proposal.digest != digest) {
            return;
        }
        if self.nodes != nodes || self.digest != digest {
            self.attempt = None;
        }
        self.nodes = nodes;
        self.digest = digest;
    }

    fn majority(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    /// Proposes when it is this node's turn: `reachable` are the others that are heard two-way with an equal list and
    /// no epoch; a majority is enough once they have been `waited_for`, before that all must be there, or a machine that
    /// boots a moment later would have to be let in. The lowest name goes at once, the others when that one did not get
    /// through.
    pub fn poll(&mut self, now: Timestamp, reachable: &[NodeName], waited_for: bool, nonce: u64, out: &mut Vec<Step>) {
        let all = reachable.len() + 1 >= self.nodes.len();
        if reachable.len() + 1 < self.majority() || !(all || waited_for) {
            self.retry_at = Timestamp::ZERO;
            return;
        }
        if self.retry_at == Timestamp::ZERO {
            let first = reachable.iter().all(|name| &self.local < name);
            self.retry_at = if first { now } else { now + self.retry };
        }
        if now < self.retry_at {
            return;
        }
        self.retry_at = now + self.retry * if reachable.iter().all(|name| &self.local < name) { 1 } else { 2 };
        let count = self.consent.promised.as_ref().map_or(0, |(count, _)| *count) + 1;
        let round = (count, self.local.clone());
        self.consent.promised = Some(round.clone());
        let own = (self.identity, self.accepted());
        self.attempt = Some(Attempt {
            round: round.clone(),
            promises: BTreeMap::from([(self.local.clone(), own)]),
            proposal: None,
            accepted: Vec::new(),
            wanted: reachable.len() + 1,
        });
        out.push(Step::Persist);
        for node in self.others() {
            out.push(Step::Say(node, FoundMessage::Prepare { round: round.clone(), digest: self.digest }));
        }
        self.maybe_propose(nonce, out);
    }

    /// Whether a proposal is not of an epoch that was given up here.
    fn counts(&self, proposal: &Proposal) -> bool {
        !self.given_up.contains(&proposal.epoch)
    }

    fn accepted(&self) -> Option<(Round, Proposal)> {
        self.consent.accepted.clone().filter(|(_, proposal)| self.counts(proposal))
    }

    fn others(&self) -> Vec<NodeName> {
        self.nodes.iter().filter(|name| **name != self.local).cloned().collect()
    }

    /// Takes a message of another configured node.
    pub fn handle(&mut self, from: &NodeName, message: FoundMessage, nonce: u64, out: &mut Vec<Step>) {
        match message {
            FoundMessage::Prepare { round, digest } => {
                let higher = self.consent.promised.as_ref().is_none_or(|promised| round >= *promised);
                if digest == self.digest && round.1 == *from && higher {
                    self.consent.promised = Some(round.clone());
                    out.push(Step::Persist);
                    let accepted = self.accepted();
                    let identity = self.identity;
                    out.push(Step::Say(from.clone(), FoundMessage::Promise { round, identity, accepted }));
                }
            }
            FoundMessage::Promise { round, identity, accepted } => {
                if let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.round == round) {
                    attempt.promises.insert(from.clone(), (identity, accepted));
                    self.maybe_propose(nonce, out);
                }
            }
            FoundMessage::Accept { round, proposal } => {
                let promised = self.consent.promised.as_ref().is_none_or(|promised| round >= *promised);
                let counts = self.counts(&proposal);
                if promised && counts && round.1 == *from && proposal.digest == self.digest {
                    self.consent.promised = Some(round.clone());
                    self.consent.accepted = Some((round.clone(), proposal));
                    out.push(Step::Persist);
                    out.push(Step::Say(from.clone(), FoundMessage::Accepted { round }));
                }
            }
            FoundMessage::Accepted { round } => {
                let majority = self.majority();
                if let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.round == round) {
                    if !attempt.accepted.contains(from) {
                        attempt.accepted.push(from.clone());
                    }
                    if let Some(proposal) = attempt.proposal.clone().filter(|_| attempt.accepted.len() >= majority) {
                        self.attempt = None;
                        out.push(Step::Founded(proposal));
                    }
                }
            }
        }
    }

    fn maybe_propose(&mut self, nonce: u64, out: &mut Vec<Step>) {
        let (majority, others) = (self.majority(), self.others());
        let Some(attempt) = self.attempt.as_mut() else { return };
        if attempt.proposal.is_some() || attempt.promises.len() < majority.max(attempt.wanted) {
            return;
        }
        // Its own promise binds the proposer like any other machine: what it consents to below a higher round, the
        // majority of that round does not know, and two epochs are founded.
        if self.consent.promised.as_ref().is_some_and(|promised| *promised > attempt.round) {
            self.attempt = None;
            return;
        }
        let highest =
            attempt.promises.values().filter_map(|(_, accepted)| accepted.clone()).max_by(|a, b| a.0.cmp(&b.0));
        let highest = highest.filter(|(_, proposal)| !self.given_up.contains(&proposal.epoch));
        let number = 1 + self.given_up.iter().map(|epoch| epoch.number).max().unwrap_or(0);
        let proposal = match highest {
            Some((_, proposal)) => proposal,
            None => Proposal {
                epoch: EpochName { number, founder: self.local.clone(), nonce },
                voters: attempt
                    .promises
                    .iter()
                    .map(|(name, (identity, _))| Voter { name: name.clone(), identity: *identity })
                    .collect(),
                digest: self.digest,
            },
        };
        attempt.proposal = Some(proposal.clone());
        attempt.accepted = vec![self.local.clone()];
        let round = attempt.round.clone();
        self.consent.accepted = Some((round.clone(), proposal.clone()));
        out.push(Step::Persist);
        for node in others {
            out.push(Step::Say(node, FoundMessage::Accept { round: round.clone(), proposal: proposal.clone() }));
        }
        // A list of one machine is its own majority.
        if majority <= 1 {
            self.attempt = None;
            out.push(Step::Founded(proposal));
        }
    }
}
