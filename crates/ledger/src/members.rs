//! Nodes that take part without a vote (R-LEDGER-2): they are in the record, learn what is decided from any voter, and keep
//! no log of their own. A voter that the next epoch leaves out becomes one, and one that is wanted becomes a voter.

use crate::ledger::Ledger;
use crate::message::LedgerMessage;
use hearth_cib::Record;
use hearth_types::{Index, NodeIdentity, NodeName};

impl Ledger {
    /// Whether this node takes part in its epoch without a vote.
    pub fn is_member(&self) -> bool {
        self.record.as_ref().is_some_and(|record| self.would_be_member(record))
    }

    /// Whether this node takes part in its epoch, with a vote or without.
    pub fn takes_part(&self) -> bool {
        self.is_voting() || self.is_member()
    }

    pub(crate) fn would_be_member(&self, record: &Record) -> bool {
        is_member_of(record, &self.params.local, self.durable.identity)
    }

    /// Hands the record to a node that takes part without a vote, from which it learns on. Any voter may.
    pub fn offer_membership(&mut self, node: &NodeName) {
        let Some(record) = self.record.clone().filter(|_| self.is_voter() && !self.stopped) else { return };
        self.flush();
        self.say(node, LedgerMessage::Offer { record: Box::new(record) });
    }

    /// Tells a node that takes part without a vote what was decided from that index on, as far as it fits one answer.
    pub fn tell_decided(&mut self, node: &NodeName, from: Index) {
        if let Some(epoch) = self.epoch().cloned().filter(|_| !self.stopped) {
            self.answer(node, &epoch, from);
        }
    }
}

/// Whether the machine of that identity takes part by this record without a vote. Only where leases bind: in a smaller
/// epoch nothing would end what it holds (protocol section 3).
pub fn is_member_of(record: &Record, name: &NodeName, identity: NodeIdentity) -> bool {
    let votes = || record.voters.iter().any(|voter| voter.name == *name);
    let known = || record.nodes.get(name).is_some_and(|node| node.identity == Some(identity));
    record.has_leases() && !votes() && known()
}
