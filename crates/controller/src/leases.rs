//! Leases of three and more voters (R-LEASE-1, 3, 12): until when the others carry this node, and whom it carries.

use crate::node::Node;
use hearth_types::{Admission, NodeName, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What this voter vouches for no more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Revoked {
    /// That admission, and every lower one.
    pub admission: Admission,
    /// With which ticket that is durable.
    pub ticket: u64,
    /// When it was accepted, or this run began.
    pub at: Timestamp,
}

impl Node {
    /// Until when this node may keep what it holds: by a majority of its own epoch's voters, and of every next list that
    /// a voter has named and that is not known to be decided or given up (R-LEASE-12). None: nothing carries it.
    pub(crate) fn leased_until(&self, now: Timestamp) -> Option<Timestamp> {
        let record = self.ledger.record()?;
        let lease = self.config.cluster.timing.lease();
        let carries = |name: &NodeName| match *name == self.local {
            true => self.carries_itself().then_some(now),
            false => self.members.vouched_at(name),
        };
        let own = record.voters.iter().map(|voter| {
            let peer = self.members.peer(&voter.name).and_then(|peer| peer.claimed.as_ref());
            let same = voter.name == self.local || peer.is_some_and(|claimed| claimed.identity == voter.identity);
            same.then(|| carries(&voter.name)).flatten()
        });
        let mut until = majority_of(own.collect())?;
        for list in self.next_lists() {
            until = until.min(majority_of(list.iter().map(carries).collect())?);
        }
        Some(until + lease)
    }

    /// Its own vote counts by the same rule, and not once it accepted its own loss.
    fn carries_itself(&self) -> bool {
        let admission = self.ledger.record().and_then(|record| record.nodes.get(&self.local)).map(|it| it.admission);
        !admission.is_some_and(|admission| self.ledger.is_revoked(&self.local, admission))
    }

    /// Voters of epochs that may follow ours, as far as anybody has told us. What a voter named counts until it says
    /// otherwise, also when it is silent.
    fn next_lists(&self) -> BTreeSet<Vec<NodeName>> {
        let mut lists = BTreeSet::new();
        let end = self.ledger.accepted_end();
        if !end.is_empty() {
            lists.insert(end);
        }
        for (_, peer) in self.members.peers() {
            let Some(claimed) = &peer.claimed else { continue };
            match self.ledger.relation(claimed.epoch.as_ref(), &claimed.lineage) {
                hearth_ledger::Relation::Ahead => {
                    lists.insert(claimed.voters.clone());
                }
                hearth_ledger::Relation::Same if claimed.epoch.is_some() => {
                    let next = claimed.statement.as_ref().map(|statement| &statement.next);
                    lists.extend(next.filter(|next| !next.is_empty()).cloned());
                }
                _ => {}
            }
        }
        lists.retain(|list| !list.is_empty());
        lists
    }

    /// Nodes that this one vouches for no more under the admission that they state (R-LEASE-3).
    pub(crate) fn not_vouched_for(&self) -> BTreeSet<NodeName> {
        let refused = |(name, peer): (&NodeName, &hearth_membership::PeerView)| {
            let admission = peer.claimed.as_ref().and_then(|claimed| claimed.admission);
            let revoked = admission.is_none_or(|admission| self.ledger.is_revoked(name, admission));
            revoked.then(|| name.clone())
        };
        self.members.peers().filter_map(refused).collect()
    }

    /// Notes what was revoked by this input: it is stated when everything written up to now is durable.
    pub(crate) fn note_revocations(&mut self, now: Timestamp) {
        for (node, admission) in self.ledger.revoked() {
            let known = self.revoked.get(node).is_some_and(|known| known.admission >= admission);
            if !known {
                self.revoked.insert(node.clone(), Revoked { admission, ticket: self.ticket, at: now });
            }
        }
    }

    /// When this node last vouched for one that it has revoked. For itself: when it accepted its own loss. Until then it
    /// carried itself, and its gate may be open for a lease from there, whatever its daemon does.
    pub(crate) fn last_vouched_at(&self, node: &NodeName, revoked: &Revoked) -> Timestamp {
        let heard = || self.members.last_vouched_at(node);
        if *node == self.local { revoked.at } else { self.unlisted_since(node).unwrap_or_else(heard) }
    }

    /// Everything up to that ticket is durable.
    pub(crate) fn take_persisted(&mut self, ticket: u64) {
        let before = self.durable_ticket;
        let after = before.max(ticket);
        self.durable_ticket = after;
        self.volatile_dirty |= self.marks.persisted(after);
        if self.revoked.values().any(|it| it.ticket > before && it.ticket <= after) {
            // The DC waits for it.
            self.beat_now = true;
        }
    }
}

/// The latest moment that a majority has reached.
fn majority_of(mut moments: Vec<Option<Timestamp>>) -> Option<Timestamp> {
    moments.sort_unstable_by(|one, other| other.cmp(one));
    moments.get(moments.len() / 2).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Option<Timestamp> {
        Some(Timestamp(ms))
    }

    #[test]
    fn half_of_the_voters_carry_nobody() {
        // R-LEASE-1
        assert_eq!(majority_of(vec![at(9), at(5), None]), at(5));
        assert_eq!(majority_of(vec![at(9), None, None]), None);
        assert_eq!(majority_of(vec![at(9), at(8), None, None]), None);
        assert_eq!(majority_of(vec![at(9), at(8), at(3), None]), at(3));
        assert_eq!(majority_of(vec![at(9), at(1), at(8), at(3), None]), at(3));
    }
}
