//! What the DC of three and more voters owes the record about nodes that are gone: loss, renewal, proof by time, and who
//! votes in their place (R-LEASE-2 .. 4, R-TAKE-2, R-LEDGER-4).

use crate::Severity;
use crate::leases::Revoked;
use crate::node::Node;
use hearth_cib::{Entry, LEASE_VOTERS, MemberState, NodeRecord, Record, WATCHED_FROM};
use hearth_types::{Admission, NodeName, ResourceId, Timestamp};
use std::collections::BTreeSet;
use std::time::Duration;

/// The kernel removes an address at most so much after its lifetime (R-LEASE-11).
pub(crate) const EXPIRES_WITHIN: Duration = Duration::from_secs(1);
/// A pet that was ordered under the lease reaches the device at most so much later (R-TAKE-2).
pub(crate) const PETS_WITHIN: Duration = Duration::from_secs(1);

impl Node {
    /// Everything that the DC owes about nodes that are gone.
    pub(crate) fn judge_losses(&mut self, now: Timestamp) {
        if !self.is_many() {
            return;
        }
        let Some(record) = self.coming() else { return };
        let settled = !self.ledger.has_undecided();
        let owed = |(name, known): (&NodeName, &NodeRecord)| {
            // What was only proposed nobody has judged yet.
            let applied = self.ledger.record().and_then(|record| record.nodes.get(name));
            let judged = applied.is_some_and(|applied| applied.admission == known.admission);
            let (node, admission) = (name, known.admission);
            if known.member != MemberState::Admitted || !judged {
                None
            } else if self.is_dead_for_majority(now, node) {
                Some(Entry::Lost { node: node.clone(), admission })
            } else if settled && self.is_revoked_somewhere(node, admission) {
                // A `lost` that was accepted and overwritten: who accepted it vouches for that admission no more.
                Some(match self.is_alive_for_majority(node) {
                    true => Entry::Renew { node: node.clone(), admission },
                    false => Entry::Lost { node: node.clone(), admission },
                })
            } else {
                None
            }
        };
        let owed: Vec<Entry> = record.nodes.iter().filter_map(owed).collect();
        for entry in owed {
            self.propose(entry);
        }
        self.lose_unstopped(now);
        self.prove(now);
        self.fence_losses(now);
        self.take_resignations();
    }

    /// Machines of nodes that are lost, or left in order, which came up without their state, or are too old to use it, and,
    /// by their own word, run nothing.
    fn take_resignations(&mut self) {
        for (node, join) in self.alone.joins.clone() {
            let Some(record) = self.coming() else { return };
            let Some(known) = record.nodes.get(&node) else { continue };
            let admission = known.admission;
            // Once is enough: a machine whose daemon is too old asks again as long as it stays so.
            let owes = known.identity.is_some() || record.active_on(&node).next().is_some();
            let gone = matches!(known.member, MemberState::Lost | MemberState::Left);
            let another = known.identity.is_some_and(|identity| identity != join.identity);
            let current = self.members.peer(&node).filter(|peer| peer.is_alive()).and_then(|peer| peer.incarnation);
            if gone
                && owes
                && (another || self.is_refused(&node))
                && join.may_run.is_empty()
                && current == Some(join.incarnation)
            {
                self.propose(Entry::Resigned { node, admission });
            }
        }
    }

    fn is_revoked_somewhere(&self, node: &NodeName, admission: Admission) -> bool {
        self.ledger.is_revoked(node, admission)
            || self.count_voters(false, |voice| {
                let mut revoked = voice.statement.iter().flat_map(|statement| &statement.revoked);
                revoked.any(|it| it.node == *node && it.admission >= admission)
            }) > 0
    }

    /// Addresses of lost nodes whose lease has ended beyond doubt, and everything of those whose watchdog has reset them since
    /// (R-LEASE-4, R-TAKE-2).
    fn prove(&mut self, now: Timestamp) {
        for (node, admission) in self.unproven(self.coming()) {
            let Some(silent) = self.proven_for(now, &node, admission) else { continue };
            let Some(record) = self.coming() else { return };
            let gated = self.members.peer(&node).and_then(|peer| peer.claimed.as_ref()).map(|claimed| &claimed.gated);
            let expired = silent >= self.lifetime() + EXPIRES_WITHIN;
            let is_free = |id: &&ResourceId| expired || gated.is_some_and(|gated| gated.contains(id));
            let addresses: BTreeSet<ResourceId> = provable_on(record, &node).filter(is_free).cloned().collect();
            let reset = record
                .nodes
                .get(&node)
                .and_then(|known| known.watchdog_ms)
                .is_some_and(|timeout| silent >= Duration::from_millis(u64::from(timeout)) * 21 / 20 + PETS_WITHIN);
            if reset {
                let text = format!("Nothing of {node} runs any more: its watchdog has reset it beyond doubt.");
                self.chronicle.note(now, Severity::Info, "watchdog-over", &node, text);
                self.propose(Entry::Reset { node, admission });
            } else if !addresses.is_empty() {
                let text = format!("Nothing of {node} can answer any more: its lease has ended beyond doubt.");
                self.chronicle.note(now, Severity::Info, "lease-over", &node, text);
                self.propose(Entry::Proven { node, admission, addresses });
            }
        }
    }

    /// Lost nodes of which time could still clear something.
    fn unproven(&self, record: Option<&Record>) -> Vec<(NodeName, Admission)> {
        let Some(record) = record.filter(|record| record.has_leases()) else { return Vec::new() };
        let waits = |(name, node): &(&NodeName, &NodeRecord)| {
            node.member == MemberState::Lost
                && node.leased
                && left_by_loss(record, name).any(|id| node.watchdog_ms.is_some() || is_address(record, id))
        };
        record.nodes.iter().filter(waits).map(|(name, node)| (name.clone(), node.admission)).collect()
    }

    /// For how long the proof has stood: a majority has stated the revocation, for the youngest of them 1.05 L has passed
    /// since it last vouched, and the epoch is as old (R-LEASE-4, 12). None: there is no proof yet.
    fn proven_for(&self, now: Timestamp, node: &NodeName, admission: Admission) -> Option<Duration> {
        let record = self.ledger.record()?;
        let known = record.nodes.get(node)?;
        if known.member != MemberState::Lost || known.admission != admission {
            // Applied first: what was only proposed proves nothing.
            return None;
        }
        let mut ages = Vec::new();
        let mut epoch_age = self.epoch_age(now);
        for voter in &record.voters {
            if voter.name == self.local {
                let durable = |it: &&Revoked| it.admission >= admission && it.ticket <= self.durable_ticket;
                let stated = self.revoked.get(node).filter(durable);
                ages.extend(stated.map(|stated| now.since(self.last_vouched_at(node, stated))));
                continue;
            }
            let Some(voice) = self.voice(voter) else { continue };
            let Some(statement) = &voice.statement else { continue };
            // What was stated has grown older since it arrived.
            let heard_at = self.members.peer(&voter.name).map_or(now, |peer| peer.last_heard_at);
            let since = now.since(heard_at);
            epoch_age = epoch_age.max(Duration::from_millis(statement.epoch_age_ms.into()) + since);
            let revoked = statement.revoked.iter().find(|it| it.node == *node && it.admission >= admission);
            ages.extend(revoked.map(|it| Duration::from_micros(it.age_us.into()) + since));
        }
        ages.sort_unstable_by(|one, other| other.cmp(one));
        let youngest = ages.get(record.majority() - 1)?;
        let margin = self.config.cluster.timing.lease() * 21 / 20;
        youngest.min(&epoch_age).checked_sub(margin)
    }

    /// Whether a proof of addresses is under way: it is finished before the voters change (R-LEASE-12). That of a watchdog
    /// takes longer than voters should be missed, and waits for the age of an epoch that begins meanwhile.
    pub(crate) fn is_proving(&self) -> bool {
        let record = self.ledger.record();
        let of_addresses =
            |(node, _): &(NodeName, Admission)| record.is_some_and(|record| provable_on(record, node).next().is_some());
        self.unproven(record).iter().any(of_addresses)
    }

    /// Voters that are gone make room where nobody can take their vote (R-LEDGER-4): five shrink to three, three stay three.
    /// Odd lists only, or a voter would be given up for nothing.
    pub(crate) fn shrink_voters(&mut self, now: Timestamp) {
        let Some(record) = self.ledger.record() else { return };
        let (mut gone, voters) = (self.gone_voters(now, record), record.voters.len());
        if gone.is_empty() || self.ledger.has_undecided() || !self.ledger.accepted_end().is_empty() || self.is_proving()
        {
            return;
        }
        // Whom ha.cf does not name any more does not come back: its vote goes, whatever number stays.
        let listed = &self.config.cluster.nodes;
        let left: Vec<NodeName> = gone.iter().filter(|name| !listed.contains(name)).cloned().collect();
        if !left.is_empty() && voters - left.len() >= LEASE_VOTERS {
            self.ledger.remove_voters(&left);
            return;
        }
        if (voters - gone.len()).is_multiple_of(2) {
            gone.pop();
        }
        if !gone.is_empty() && voters - gone.len() >= LEASE_VOTERS && !self.has_spare() {
            self.ledger.remove_voters(&gone);
        }
    }

    /// Says to the DC that this node keeps things only by its lease, once for each epoch and run until the record shows
    /// it (R-LEASE-4).
    pub(crate) fn leased_entry(&self) -> Option<Entry> {
        let record = self.ledger.record().filter(|record| record.has_leases() && self.keeping.confirmed)?;
        let node = record.nodes.get(&self.local)?;
        let due = !node.leased && node.incarnation == self.incarnation && node.member == MemberState::Admitted;
        due.then(|| Entry::Leased {
            node: self.local.clone(),
            incarnation: self.incarnation,
            epoch: record.epoch.clone(),
        })
    }

    /// Says to the DC what resets this machine when it cannot stop in time, or that nothing does any more, until the record
    /// shows it (R-LEASE-7, R-TAKE-2).
    pub(crate) fn watched_entry(&self) -> Option<Entry> {
        let record = self.ledger.record().filter(|record| record.wire_version >= WATCHED_FROM)?;
        let node = record.nodes.get(&self.local)?;
        let timeout_ms = self.watchdog.outlives_the_kernel();
        // Only the device takes it back: what this node has lost, or does not know yet, disarms nothing.
        let matters = record.has_leases() || self.config.cluster.tiebreaker_disk.is_some();
        let leases = matters && self.keeping.confirmed && node.member == MemberState::Admitted;
        let due =
            node.watchdog_ms != timeout_ms && node.incarnation == self.incarnation && (timeout_ms.is_none() || leases);
        due.then(|| Entry::Watched { node: self.local.clone(), incarnation: self.incarnation, timeout_ms })
    }

    /// Asks the wire for addresses that somebody who is late may have to give up (R-TAKE-6).
    pub(crate) fn holder_is_late(&self, now: Timestamp) -> bool {
        let Some(record) = self.ledger.record() else { return false };
        let warntime = self.config.cluster.timing.warntime;
        let late =
            |name: &NodeName| !self.members.is_alive(name) || now.since(self.members.silent_since(name)) >= warntime;
        let others = record.nodes.keys().filter(|name| **name != self.local);
        // What was cleared without its old owner's word is asked for until somebody has it.
        let owed = !record.check_wire.is_empty();
        owed || others.into_iter().any(|name| addresses_on(record, name).next().is_some() && late(name))
    }
}

fn is_address(record: &Record, id: &ResourceId) -> bool {
    record.spec(id).is_some_and(|spec| spec.address().is_some())
}

/// Native addresses that may be active on a node.
fn addresses_on<'a>(record: &'a Record, node: &'a NodeName) -> impl Iterator<Item = &'a ResourceId> {
    record.active_on(node).filter(|id| is_address(record, id))
}

/// What may be active on a lost node since before that: what it said to run after it was lost is no matter of that lease.
fn left_by_loss<'a>(record: &'a Record, node: &'a NodeName) -> impl Iterator<Item = &'a ResourceId> {
    let lost = record.nodes.get(node).map(|node| node.lost.0);
    record.active_on(node).filter(move |id| record.flag(id, node).map(|flag| flag.0) <= lost)
}

/// The addresses among it, which the end of the lease clears.
fn provable_on<'a>(record: &'a Record, node: &'a NodeName) -> impl Iterator<Item = &'a ResourceId> {
    left_by_loss(record, node).filter(|id| is_address(record, id))
}
