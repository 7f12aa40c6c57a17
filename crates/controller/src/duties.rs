//! What the DC does: keeps the record true to what is known of the nodes, and proposes the plan.

use crate::node::Node;
use crate::{EventId, Severity};
use hearth_cib::{Entry, MemberState, NodeRecord, Record, Rejection};
use hearth_scheduler::Alive;
use hearth_types::{Incarnation, NodeIdentity, NodeName, PermitKind, ResourceId, Timestamp};
use hearth_wire::{Heartbeat, NodeStatus};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Node {
    /// Everything that the DC owes the record at this moment.
    pub(crate) fn serve_as_dc(&mut self, now: Timestamp) {
        if !self.ledger.is_dc() || self.cannot_write() || !self.keeping.confirmed {
            self.ahead = None;
            return;
        }
        if self.ahead.is_none() {
            self.ahead = self.ledger.record().cloned();
        }
        if self.ledger.is_stuck() {
            // What is proposed now could not be decided: it is proposed when it can.
            return;
        }
        self.propose_configuration(now);
        self.propose_admissions(now);
        self.judge_losses(now);
        self.propose_refused();
        self.propose_strangers(now);
        self.propose_wire();
        self.propose_standings(now);
        self.propose_aged(now);
        self.let_leavers_go();
        self.shrink_voters(now);
        self.invite(now);
        self.propose_plan();
    }

    /// The record as it will be when what this DC has proposed is decided.
    pub(crate) fn coming(&self) -> Option<&Record> {
        self.ahead.as_ref().or(self.ledger.record())
    }

    /// What is coming, and then this entry; none if that would be refused.
    pub(crate) fn would_apply(&self, entry: &Entry) -> Option<Record> {
        let mut next = self.coming()?.clone();
        next.apply(next.applied.next(), entry).is_ok().then_some(next)
    }

    /// The files are taken over when the record has none yet, or when all nodes state the same newer ones (R-JOIN-4).
    fn propose_configuration(&mut self, now: Timestamp) {
        let Some(record) = self.coming() else { return };
        let empty = record.node_order.is_empty();
        let differs = record.digest != self.digest.1 || self.names_others(record);
        if !empty && !differs {
            return;
        }
        let others = self.members.peers().filter(|(_, peer)| peer.is_alive());
        let claimed: Vec<(u64, u64)> =
            others.filter_map(|(_, peer)| peer.claimed.as_ref()).map(|claimed| claimed.digest).collect();
        let all_here = claimed.len() + 1 == self.config.cluster.nodes.len();
        let agree = claimed.iter().all(|digest| *digest == self.digest);
        if empty || (agree && all_here) {
            let entry = self.whole_configuration();
            // A machine that still votes, or may run something, is not forgotten because no file names it.
            let mut next = record.clone();
            if next.apply(next.applied.next(), &entry).is_err() {
                return;
            }
            if !empty {
                let text = "The files of all nodes say the same and differ from the record: they are taken over.";
                self.chronicle.lead(now, Severity::Info, "files-taken", "record", text.to_owned());
            }
            self.propose(entry);
        }
    }

    fn propose_admissions(&mut self, now: Timestamp) {
        let Some(record) = self.coming() else { return };
        // Most of the time nobody is new, and this is asked at every beat.
        let is_new = |name: &NodeName, identity: NodeIdentity, incarnation: Incarnation| {
            let is_known = |known: &NodeRecord| {
                // In one run with another identity, too: its disk was found to be an older copy, and it has given that up.
                let run = known.incarnation == incarnation && known.identity == Some(identity);
                run && known.member == MemberState::Admitted
            };
            record.nodes.get(name).is_some_and(|known| !is_known(known))
        };
        let mut wanted = Vec::new();
        let identity = self.ledger.identity();
        if is_new(&self.local, identity, self.incarnation) {
            wanted.push((self.local.clone(), identity, self.incarnation, Vec::new()));
        }
        let voters = record.voters.iter().map(|voter| (&voter.name, voter.identity));
        for (name, identity) in voters.chain(self.without_a_vote(record)) {
            let Some(peer) = self.members.peer(name).filter(|peer| peer.is_alive() && !peer.is_cloned()) else {
                continue;
            };
            let claimed = peer
                .claimed
                .as_ref()
                .filter(|claimed| claimed.epoch.as_ref() == self.ledger.epoch() && claimed.identity == identity);
            // R-JOIN-3: whoever was lost has applied that first; and who is dead for the others would be lost again.
            let back = |claimed: &&Arc<Heartbeat>| {
                is_new(name, identity, claimed.incarnation)
                    && record.nodes.get(name).is_none_or(|node| claimed.decided >= node.lost)
                    && !self.is_refused(name)
                    && !self.waits_for_fence(record, name)
                    && !self.was_turned_off(name, claimed.incarnation)
                    && self.beyond(name).is_none()
                    && self.may_come_back(claimed)
            };
            if let Some(claimed) = claimed.filter(back) {
                wanted.push((name.clone(), identity, claimed.incarnation, Vec::new()));
            }
        }
        for (name, join) in &self.alone.joins {
            let current = self.members.peer(name).filter(|peer| peer.is_alive()).and_then(|peer| peer.incarnation);
            let is_new = is_new(name, join.identity, join.incarnation);
            if current == Some(join.incarnation) && !self.is_refused(name) && is_new {
                wanted.push((name.clone(), join.identity, join.incarnation, join.may_run.clone()));
            }
        }
        for (name, identity, incarnation, may_run) in wanted {
            self.propose_admission(now, name, identity, incarnation, may_run);
        }
    }

    fn propose_admission(
        &mut self,
        now: Timestamp,
        name: NodeName,
        identity: NodeIdentity,
        incarnation: Incarnation,
        may_run: Vec<ResourceId>,
    ) {
        let Some(record) = self.coming() else { return };
        let Some(known) = record.nodes.get(&name) else { return };
        // A voter that leaves before this run of it was admitted could not even report that nothing runs there.
        let votes = record.voters.iter().any(|voter| voter.name == name);
        if self.is_many() && known.identity.is_some_and(|known| known != identity) {
            // First what it was is lost and given up by its own word (R-LEDGER-3).
            return;
        }
        let gone = self.is_many() && known.member == MemberState::Left;
        if self.leaving.contains(&name) && (!votes || gone) {
            return;
        }
        let mut next = record.clone();
        let entry = Entry::Admit { node: name.clone(), identity, incarnation };
        let known_unclean = known.unclean.is_some();
        if let Err(rejection) = next.apply(next.applied.next(), &entry) {
            // The machine came up without its state and says what it runs: that is the word on what it ran (section 5,
            // `resigned`), and it is a new member from now on (R-LEDGER-3).
            let word = Entry::Forced { node: name.clone(), permit: PermitKind::Resigned, node_silent: false };
            let new = matches!(rejection, Rejection::Identity { .. }) && next.apply(next.applied.next(), &word).is_ok();
            if !new {
                self.problem(now, Severity::Error, "admission-refused", name.as_str(), rejection.to_string());
                return;
            }
            self.propose(word);
        }
        if !may_run.is_empty() && !known_unclean {
            let reason = "it ran resources of its own epoch while the machines were split".to_owned();
            self.propose(Entry::Unclean { node: name, reason, running: may_run, identity: Some(identity) });
        }
        self.propose(entry);
    }

    /// Whether a voter that is not admitted may be: among more than two it must be alive for a majority, and not on its
    /// way out.
    fn may_come_back(&self, claimed: &Heartbeat) -> bool {
        let leaves = claimed.status == NodeStatus::Leaving;
        !self.is_many() || (self.is_alive_for_majority(&claimed.from) && !leaves)
    }

    /// Says a problem once for as long as it lasts with the same words.
    pub(crate) fn problem(&mut self, now: Timestamp, severity: Severity, name: &str, subject: &str, text: String) {
        let key = format!("{name} {subject} {text}");
        if !self.problems.contains_key(&key) {
            if self.problems.len() > 256 {
                self.problems.clear();
            }
            let id: EventId = self.chronicle.note(now, severity, name, subject, text);
            self.problems.insert(key, id);
        }
    }

    /// What nodes can serve, as their heartbeats say: carriers at once, ping counts when they have stood for a lease.
    fn propose_standings(&mut self, now: Timestamp) {
        let timing = self.config.cluster.timing;
        let lease = timing.lease();
        let own = (self.standing.unservable(now, timing.carrier_grace), self.standing.pings(now, timing.deadping));
        let alive = self.members.peers().filter(|(_, peer)| peer.is_alive());
        let claims = alive.filter_map(|(name, peer)| Some((name, peer.claimed.as_deref()?)));
        // Counts are compared with each other: they are taken over together, when all have stood for a lease (R-MEM-9).
        let mut settled = true;
        let counts = claims.clone().map(|(name, claimed)| (name, claimed.pings.0));
        for (name, count) in counts.chain([(&self.local, own.1.0)]) {
            match self.standings.get(name) {
                Some((known, since)) if *known == count => settled &= now.since(*since) >= lease,
                _ => {
                    self.standings.insert(name.clone(), (count, now));
                    settled = false;
                }
            }
        }
        let Some(record) = self.ahead.as_ref().or(self.ledger.record()) else { return };
        let mut entries: Vec<Entry> = Vec::new();
        entries.extend(standing_entry(record, &self.local, own.0.iter(), Some(own.1).filter(|_| settled)));
        for (name, claimed) in claims {
            let pings = Some(claimed.pings).filter(|_| settled);
            entries.extend(standing_entry(record, name, claimed.unservable.iter(), pings));
        }
        for entry in entries {
            self.propose(entry);
        }
    }

    /// When the next count of ping targets will have stood for a lease (R-MEM-9); none: it is not for this node to say.
    pub(crate) fn settled_at(&self) -> Option<Timestamp> {
        let lease = self.config.cluster.timing.lease();
        let ends = self.standings.values().map(|(_, since)| *since + lease);
        ends.filter(|at| *at > self.last_wake_at && self.ledger.is_dc()).min()
    }

    /// A node that wants to stop leaves the voters when nothing may be active there (R-LEAVE-1).
    fn let_leavers_go(&mut self) {
        for name in self.leaving.clone() {
            let Some(record) = self.coming() else { return };
            let free = record.active_on(&name).next().is_none();
            let votes = record.voters.iter().any(|voter| voter.name == name);
            let others = record.voters.len() > 1;
            let member = record.nodes.get(&name).map(|node| node.member);
            if !free {
                continue;
            }
            if votes && others && !self.is_many() {
                if !self.ledger.has_undecided() {
                    self.ledger.remove_voters(&[name]);
                }
            } else if (!votes || self.is_many()) && member == Some(MemberState::Admitted) {
                self.propose(Entry::Left { node: name });
            }
        }
    }

    /// Who is heard by a majority of voters is there, though the DC itself may not hear it.
    fn is_there(&self, name: &NodeName) -> bool {
        self.members.is_alive(name) || (self.is_many() && self.is_alive_for_majority(name))
    }

    /// All other machines, also those that only what is agreed names, and ha.cf here does not: others may hear them.
    fn others(&self) -> impl Iterator<Item = &NodeName> {
        let named = &self.config.cluster.nodes;
        let record = self.ledger.record().filter(|record| record.node_order != *named);
        let unlisted = record.into_iter().flat_map(|record| &record.node_order);
        let unlisted = unlisted.filter(|name| !named.contains(name) && **name != self.local);
        self.members.peers().map(|(name, _)| name).chain(unlisted)
    }

    /// Who is there, for the scheduler.
    pub(crate) fn alive(&self) -> Alive {
        let mut alive: BTreeSet<NodeName> = self.others().filter(|name| self.is_there(name)).cloned().collect();
        alive.insert(self.local.clone());
        let (leaving, without_disk) = (self.leaving.clone(), self.without_disk());
        Alive { alive, leaving, without_disk, left_out: self.left_out() }
    }

    fn without_disk(&self) -> BTreeSet<NodeName> {
        let names = self.config.cluster.nodes.iter();
        names.filter(|name| self.says_it_cannot_write(name)).cloned().collect()
    }

    fn propose_plan(&mut self) {
        let Some(record) = self.coming() else { return };
        if self.is_planned(record) {
            return;
        }
        let alive = self.alive();
        let plan = hearth_scheduler::plan(record, &alive);
        self.planned = Some((record.applied, alive, record.epoch.clone()));
        for action in plan.actions {
            self.propose(action.entry);
        }
    }

    /// Whether the plan was made for this record and for those who are there now.
    fn is_planned(&self, record: &Record) -> bool {
        let Some((applied, there, epoch)) = &self.planned else { return false };
        let nodes = &self.config.cluster.nodes;
        *applied == record.applied
            && *epoch == record.epoch
            && there.leaving == self.leaving
            && there.without_disk.iter().all(|name| nodes.contains(name))
            && nodes.iter().all(|name| there.without_disk.contains(name) == self.says_it_cannot_write(name))
            && there.left_out == self.left_out()
            && self.others().all(|name| there.alive.contains(name) == self.is_there(name))
    }
}

/// What the record is to be told of a node's standing, if it differs; `pings` only where they may be taken over.
fn standing_entry<'a>(
    record: &Record,
    name: &NodeName,
    unservable: impl Iterator<Item = &'a ResourceId> + Clone,
    pings: Option<(u16, u16)>,
) -> Option<Entry> {
    let node = record.nodes.get(name).filter(|node| node.member == MemberState::Admitted)?;
    let pings = pings.unwrap_or(node.pings);
    let known = unservable.filter(|id| record.model.resource(id).is_some());
    if node.pings == pings && node.unservable.iter().eq(known.clone()) {
        return None;
    }
    let unservable: BTreeSet<ResourceId> = known.cloned().collect();
    let differs = node.unservable != unservable || node.pings != pings;
    differs.then(|| Entry::Standing { node: name.clone(), unservable, pings })
}
