//! Among more than two machines: who votes, and who takes part without a vote (R-LEDGER-2, R-LEDGER-4, decision 0033).
//!
//! Who takes part without a vote is in the record, holds by the lease that the voters give it, and is told by them what
//! is decided. When a voter is gone, its vote goes to such a node.

use crate::node::Node;
use hearth_cib::{MemberState, Record, VOTERS_MAX, Voter};
use hearth_ledger::{Join, is_member_of};
use hearth_membership::PeerView;
use hearth_types::{Index, NodeIdentity, NodeName, Timestamp};
use hearth_wire::{Heartbeat, NodeStatus};
use std::time::Duration;

/// Span between repeats of an invitation, or of a record that is handed over.
const REPEAT: Duration = Duration::from_millis(250);

impl Node {
    /// Whether a node is among those of the list that found an epoch and vote in it first (decision 0033).
    pub(crate) fn may_found(&self, name: &NodeName) -> bool {
        self.config.cluster.nodes.iter().take(VOTERS_MAX).any(|known| known == name)
    }

    /// Peers that take part in our epoch without a vote and are heard, by their newest heartbeat.
    fn members_here<'a>(&'a self, record: &'a Record) -> impl Iterator<Item = (&'a NodeName, &'a Heartbeat)> {
        let heard = |peer: &&PeerView| peer.is_alive() && !peer.is_cloned();
        let peers = self.members.peers().filter(move |(_, peer)| heard(peer));
        let claims = peers.filter_map(|(name, peer)| Some((name, peer.claimed.as_deref()?)));
        claims.filter(|(name, claimed)| self.is_many() && is_member_of(record, name, claimed.identity))
    }

    /// Nodes that take part by the record without a vote, and as which machine.
    pub(crate) fn without_a_vote<'a>(
        &'a self,
        record: &'a Record,
    ) -> impl Iterator<Item = (&'a NodeName, NodeIdentity)> {
        let known = record.nodes.iter().filter_map(|(name, node)| Some((name, node.identity?)));
        known.filter(|(name, identity)| self.is_many() && is_member_of(record, name, *identity))
    }

    /// What was decided from that index on is told to who takes part without a vote: the DC's part, so that nobody waits
    /// for a heartbeat. Whoever does not hear the DC asks another voter.
    pub(crate) fn tell_members(&mut self, from: Index) {
        let Some(record) = self.ledger.record().filter(|_| self.is_many() && self.ledger.is_dc()) else { return };
        let ours = |claimed: &Heartbeat| claimed.epoch.as_ref() == Some(&record.epoch);
        let here = self.members_here(record).filter(|(_, claimed)| ours(claimed));
        let names: Vec<NodeName> = here.map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.ledger.tell_decided(name, from));
    }

    /// An epoch began: the one who led before hands it to everybody who takes part in it without a vote.
    pub(crate) fn hand_over_to_all(&mut self, now: Timestamp) {
        self.alone.handed.clear();
        self.alone.ahead_since = None;
        let Some(record) = self.ledger.record().filter(|_| self.last_dc.as_ref() == Some(&self.local)) else { return };
        let names: Vec<NodeName> = self.members_here(record).map(|(name, _)| name.clone()).collect();
        for name in names {
            self.ledger.offer_membership(&name);
            self.alone.handed.insert(name, now);
        }
    }

    /// The same to one that is heard in an epoch before ours: by any voter, if the one who led has not.
    pub(crate) fn hand_over(&mut self, now: Timestamp, heartbeat: &Heartbeat) {
        let takes_part = |record: &Record| is_member_of(record, &heartbeat.from, heartbeat.identity);
        if !self.is_many() || !self.ledger.record().is_some_and(takes_part) {
            return;
        }
        let last = self.alone.handed.get(&heartbeat.from).copied().unwrap_or(self.alone.epoch_began_at);
        if now.since(last) >= REPEAT {
            self.alone.handed.insert(heartbeat.from.clone(), now);
            self.ledger.offer_membership(&heartbeat.from);
        }
    }

    /// Whether an epoch in which this node does not vote is waited for: its voters hand it over to who takes part in it.
    pub(crate) fn waits_to_be_handed(&mut self, now: Timestamp) -> bool {
        let leases = self.is_many() && self.ledger.record().is_some_and(Record::has_leases);
        let since = *self.alone.ahead_since.get_or_insert(now);
        leases && now.since(since) < self.config.cluster.timing.deadtime
    }

    /// Who asked to be let in takes part.
    pub(crate) fn has_joined(&mut self, heartbeat: &Heartbeat) {
        let is_in = |record: &Record| is_member_of(record, &heartbeat.from, heartbeat.identity);
        let asked = self.alone.joins.contains_key(&heartbeat.from);
        if asked && self.is_many() && self.ledger.record().is_some_and(is_in) {
            self.alone.joins.remove(&heartbeat.from);
        }
    }

    /// The DC: lets nodes that were admitted vote, one at a time; where there is no vote to give they take part without.
    pub(crate) fn invite(&mut self, now: Timestamp) {
        if now.since(self.alone.invited_at) < REPEAT || !(self.ledger.is_sole() || self.is_many()) {
            return;
        }
        // One change of voters at a time, and a proof under way goes first (R-LEDGER-2, R-LEASE-12).
        let changing = || self.ledger.has_undecided() || !self.ledger.accepted_end().is_empty() || self.is_proving();
        if let Some((node, gone)) = self.next_voter(now).filter(|_| !changing()) {
            self.alone.invited_at = now;
            return self.ledger.invite(&node, gone.as_ref());
        }
        let Some(record) = self.ledger.record().filter(|record| self.is_many() && record.has_leases()) else { return };
        let without = self.alone.joins.iter().filter(|(node, join)| self.is_let_in(record, node, join));
        let names: Vec<NodeName> = without.map(|(node, _)| node.clone()).collect();
        for node in names {
            self.alone.invited_at = now;
            self.ledger.offer_membership(&node);
        }
    }

    /// Whether who asked to be let in was admitted in this run.
    fn is_let_in(&self, record: &Record, node: &NodeName, join: &Join) -> bool {
        let known = record.nodes.get(node);
        known.is_some_and(|known| known.incarnation == join.incarnation && known.identity == Some(join.identity))
            && record.is_admitted(node)
            && self.members.is_alive(node)
    }

    /// Who is to vote next, and whose vote it gets; none: nobody, or not now.
    fn next_voter(&self, now: Timestamp) -> Option<(NodeName, Option<NodeName>)> {
        let record = self.ledger.record()?;
        let joins = self.alone.joins.iter().filter(|(node, join)| self.is_let_in(record, node, join));
        let joins = joins.map(|(node, _)| node.clone());
        let gone = self.gone_voters(now, record).into_iter().next();
        let mut candidates = joins.chain(self.spares(record));
        candidates.find_map(|node| {
            let takes_own = record.voters.iter().any(|voter| voter.name == node);
            let gone = gone.clone().filter(|_| !takes_own);
            let room = takes_own || gone.is_some() || record.voters.len() < VOTERS_MAX;
            (room && self.would_carry(record, &node, gone.as_ref())).then_some((node, gone))
        })
    }

    /// Nodes that take part without a vote and could have one, in the order of the node list.
    fn spares(&self, record: &Record) -> Vec<NodeName> {
        let fit = |name: &NodeName, claimed: &Heartbeat| {
            claimed.epoch.as_ref() == Some(&record.epoch)
                && claimed.status == NodeStatus::Active
                && record.is_admitted(name)
                && record.nodes.get(name).is_some_and(|node| node.incarnation == claimed.incarnation)
                && !self.leaving.contains(name)
                && !self.is_refused(name)
                && self.beyond(name).is_none()
                && self.is_alive_for_majority(name)
        };
        let here = self.members_here(record).filter(|(name, claimed)| fit(name, claimed));
        let mut names: Vec<NodeName> = here.map(|(name, _)| name.clone()).collect();
        names.sort_by_key(|name| record.node_order.iter().position(|known| known == name));
        names
    }

    /// Whether somebody could take the vote of one that is gone: then the voters do not shrink (R-LEDGER-4).
    pub(crate) fn has_spare(&self) -> bool {
        self.ledger.record().is_some_and(|record| !self.spares(record).is_empty())
    }

    /// Whose votes others may get, or nobody (R-LEDGER-4): voters that are lost or have left, and do not speak as ones.
    pub(crate) fn gone_voters(&self, now: Timestamp, record: &Record) -> Vec<NodeName> {
        let is_gone = |voter: &&Voter| {
            let gone = match record.nodes.get(&voter.name).map(|node| node.member) {
                Some(MemberState::Lost | MemberState::Left) => true,
                // It founded the epoch and was gone before it took part: there is no loss to wait for.
                Some(MemberState::Out) | None => self.is_dead_for_majority(now, &voter.name),
                Some(MemberState::Admitted) => false,
            };
            gone && voter.name != self.local && self.voice(voter).is_none()
        };
        record.voters.iter().filter(|_| self.is_many()).filter(is_gone).map(|voter| voter.name.clone()).collect()
    }

    /// Whether the voters that stay and are here carry an owner without the new one, which vouches for nobody before it
    /// votes. [Else an owner has no majority from the moment on at which it accepts the new list (R-LEASE-12), and stops.]
    fn would_carry(&self, record: &Record, new: &NodeName, gone: Option<&NodeName>) -> bool {
        let stays = |voter: &&Voter| voter.name != *new && Some(&voter.name) != gone;
        let stay: Vec<&Voter> = record.voters.iter().filter(stays).collect();
        let here = stay.iter().filter(|voter| voter.name == self.local || self.voice(voter).is_some()).count();
        !record.has_leases() || here * 2 > stay.len() + 1
    }
}
