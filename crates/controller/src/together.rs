//! What more than two machines judge together: who is alive, whether there is a majority, and how a node that does not
//! hear the DC takes part (R-LEASE-2, R-LEDGER-2).

use crate::leases::Revoked;
use crate::node::Node;
use crate::talk::PeerMessage;
use hearth_cib::{NodeRecord, Voter};
use hearth_types::{Index, NodeName, Timestamp};
use hearth_wire::{Heartbeat, NodeStatus, PeerReport, Revocation, Statement};
use std::time::Duration;

/// Span between two questions for decided entries.
const ASK_EVERY: Duration = Duration::from_millis(20);

impl Node {
    /// Whether ha.cf lists more than two machines: then no permit but a fence exists, and voters judge together.
    pub(crate) fn is_many(&self) -> bool {
        self.config.cluster.nodes.len() > 2
    }

    /// The newest heartbeat of another voter that is heard two-way in our epoch, under the identity that votes.
    pub(crate) fn voice(&self, voter: &Voter) -> Option<&Heartbeat> {
        self.voice_that(voter, |_| true)
    }

    /// The same if it says so. That is looked at first: most of the time nobody says what is asked for, and whether a word
    /// counts is the longer question.
    fn voice_that(&self, voter: &Voter, says: impl Fn(&Heartbeat) -> bool) -> Option<&Heartbeat> {
        let peer = self.members.peer(&voter.name)?;
        let said = peer.claimed.as_deref().filter(|claimed| says(claimed))?;
        let ours = said.identity == voter.identity && said.epoch.as_ref() == self.ledger.epoch();
        let counts = ours && peer.is_alive() && !peer.is_cloned() && self.beyond_of(said).is_none();
        counts.then_some(said)
    }

    /// How many voters say so: this node by `own`, the others by their newest statement.
    pub(crate) fn count_voters(&self, own: bool, says: impl Fn(&Heartbeat) -> bool) -> usize {
        let Some(record) = self.ledger.record() else { return 0 };
        let says_so = |voter: &&Voter| match voter.name == self.local {
            true => own && self.ledger.is_voting(),
            false => self.voice_that(voter, &says).is_some(),
        };
        record.voters.iter().filter(says_so).count()
    }

    fn is_majority(&self, count: usize) -> bool {
        self.ledger.record().is_some_and(|record| count >= record.majority())
    }

    /// Whether a node counts as dead by our own ears. A paused node accuses nobody (R-MEM-5); a machine that came up
    /// without its state is not what it was.
    fn is_dead_here(&self, now: Timestamp, node: &NodeName) -> bool {
        let deadtime = self.config.cluster.timing.deadtime;
        let unlisted = || self.unlisted_since(node).is_some_and(|since| now.since(since) >= deadtime);
        let gone = *node != self.local && (self.members.is_dead(node, now) || self.is_another(node) || unlisted());
        gone && !self.keeping.is_suspended() && self.standing.links_have_carrier()
    }

    /// A machine under that name that has no epoch and another identity than the record knows, or has given its epoch up
    /// because it cannot speak the wire version in use (R-WIRE-6): what it was is gone.
    fn is_another(&self, node: &NodeName) -> bool {
        let claimed = self.members.peer(node).filter(|peer| peer.is_alive()).and_then(|peer| peer.claimed.as_ref());
        let known = || self.ledger.record()?.nodes.get(node)?.identity;
        claimed.is_some_and(|it| {
            it.epoch.is_none() && known().is_some_and(|known| known != it.identity || self.is_refused(node))
        })
    }

    /// Says in the reports of peers who is alive and who has not been for deadtime.
    pub(crate) fn judge_reports(&self, now: Timestamp, reports: &mut [PeerReport]) {
        for report in reports.iter_mut().filter(|_| self.is_many()) {
            let dead = self.is_dead_here(now, &report.node);
            let alive = !dead && self.members.is_alive(&report.node);
            report.alive = (dead || alive).then_some(alive);
        }
    }

    /// For a majority of voters, by their own heartbeats, it has not been alive for deadtime (R-LEASE-2).
    pub(crate) fn is_dead_for_majority(&self, now: Timestamp, node: &NodeName) -> bool {
        // Who has not applied its admission speaks of what it was before: it would be lost again as soon as it is let in.
        let since = || self.admissions.get(node).map_or(Index(0), |(_, since)| *since);
        let says_dead = |voice: &Heartbeat| voice.from != *node && voice.says_dead(node) && voice.applied >= since();
        let others = self.count_voters(false, says_dead);
        // With our own word it is one more at most, and most of the time that is too few anyway.
        self.is_majority(others + 1) && self.is_majority(others + self.count_own(self.is_dead_here(now, node)))
    }

    /// What this node's own word counts for among the voters.
    fn count_own(&self, says: bool) -> usize {
        usize::from(says && self.ledger.is_voting())
    }

    /// Notes from which index on nodes have the admission that the record shows; zero for what was there at the start.
    pub(crate) fn note_admissions(&mut self) {
        let Some(record) = self.ledger.record() else { return };
        let known = std::mem::take(&mut self.admissions);
        let admission = |(name, node): (&NodeName, &NodeRecord)| {
            let since = match known.get(name) {
                Some((admission, since)) if *admission == node.admission => *since,
                Some(_) => record.applied,
                None => Index(0),
            };
            (name.clone(), (node.admission, since))
        };
        self.admissions = record.nodes.iter().map(admission).collect();
    }

    /// For a majority of voters it is alive; a voter is so for itself while any other hears it.
    pub(crate) fn is_alive_for_majority(&self, node: &NodeName) -> bool {
        let own = *node == self.local || (self.members.is_alive(node) && !self.is_another(node));
        let others = self.count_voters(own, |voice| voice.from != *node && voice.says_alive(node));
        let votes = self.ledger.record().is_some_and(|record| record.voters.iter().any(|voter| voter.name == *node));
        let itself = usize::from(others > 0 && votes && *node != self.local);
        self.is_majority(others + itself)
    }

    /// Whether a majority of voters is heard in our epoch; of two voters the other one, whatever it has heard of by now.
    pub(crate) fn has_quorum(&self) -> bool {
        if !self.is_many() {
            // The log of the last voter that is left still names the leader that it lost, or itself.
            let heard = || self.peer().is_some_and(|peer| self.members.is_alive(&peer));
            return self.ledger.dc().is_some() && (self.ledger.is_sole() || heard());
        }
        self.known_dc().is_some() && self.is_majority(self.count_voters(true, |_| true))
    }

    /// The leader as far as anybody has told us: by our own log, or by the heartbeats of others.
    pub(crate) fn known_dc(&self) -> Option<NodeName> {
        let own = self.ledger.dc().filter(|dc| *dc == self.local || self.members.is_alive(dc));
        own.or_else(|| {
            let voters = self.ledger.record().filter(|_| self.is_many())?.voters.iter();
            voters.filter_map(|voter| self.voice(voter)?.dc.clone()).find(|dc| *dc != self.local)
        })
        .or_else(|| self.ledger.dc().filter(|_| !self.is_many()))
    }

    /// Whether the leader of our log is gone for a majority of voters, or says that it leaves (R-MEM-6), or that it cannot
    /// write (R-LEDGER-3).
    pub(crate) fn leader_is_gone(&self, now: Timestamp) -> bool {
        let Some(leader) = self.ledger.leader().filter(|leader| *leader != self.local) else { return false };
        let claimed = self.members.peer(&leader).and_then(|peer| peer.claimed.as_ref());
        let leaves = claimed.is_some_and(|claimed| claimed.status == NodeStatus::Leaving);
        leaves || self.says_it_cannot_write(&leader) || self.is_dead_for_majority(now, &leader)
    }

    /// Whether this voter is told what is decided, and goes by whom the others follow and hear. [Else two that do not hear each other
    /// would depose each other for ever.]
    pub(crate) fn follows_others(&self) -> bool {
        self.ledger.is_told() && self.known_dc().is_some_and(|dc| self.is_alive_for_majority(&dc))
    }

    /// Whether this node hears who leads, and that one says so: it may have been deposed by one that it does not hear. Itself does
    /// not count, for nobody knows more than who leads.
    fn hears_the_leader(&self) -> bool {
        let Some(leader) = self.ledger.leader() else { return false };
        let says_so = self.members.peer(&leader).filter(|peer| peer.is_alive()).and_then(|peer| peer.claimed.as_ref());
        says_so.is_some_and(|claimed| claimed.dc.as_ref() == Some(&leader))
    }

    /// A voter knows more than we do, and we do not hear the DC: it tells us (R-LEDGER-2). One without a DC is not asked: it may have
    /// been told itself, and has no log of that.
    pub(crate) fn learn_from(&mut self, now: Timestamp, heartbeat: &Heartbeat) {
        let ahead = heartbeat.dc.is_some()
            && heartbeat.epoch.is_some()
            && heartbeat.epoch.as_ref() == self.ledger.epoch()
            && heartbeat.decided > self.ledger.decided();
        let votes =
            || self.ledger.record().is_some_and(|it| it.voters.iter().any(|voter| voter.name == heartbeat.from));
        if !self.is_many() || !ahead || self.hears_the_leader() || now.since(self.asked_at) < ASK_EVERY || !votes() {
            return;
        }
        self.asked_at = now;
        self.ledger.ask(&heartbeat.from);
    }

    /// Says something to the DC; through another voter if it is not heard. False if there is no way.
    pub(crate) fn say_to_dc(&mut self, message: PeerMessage) -> bool {
        let Some(dc) = self.known_dc().filter(|dc| *dc != self.local) else { return false };
        if self.members.is_alive(&dc) || !self.is_many() {
            self.say(&dc, &message);
            return true;
        }
        let Some(record) = self.ledger.record() else { return false };
        let helper = record.voters.iter().find(|voter| self.voice(voter).is_some_and(|voice| voice.dc.is_some()));
        let Some(helper) = helper.map(|voter| voter.name.clone()) else { return false };
        self.say(&helper, &PeerMessage::Relay { origin: self.local.clone(), message: Box::new(message) });
        true
    }

    /// Something for the DC from a node that does not hear it: one hop and no more, or it could go in circles. Who takes part
    /// by what is agreed is heard, whomever ha.cf names here: it could neither report nor leave.
    pub(crate) fn take_relay(&mut self, now: Timestamp, from: &NodeName, origin: &NodeName, message: PeerMessage) {
        let agreed = || self.ledger.record().is_some_and(|record| record.nodes.contains_key(origin));
        let known = self.config.cluster.nodes.contains(origin) || agreed();
        if !known || matches!(message, PeerMessage::Relay { .. }) {
            return;
        }
        if self.ledger.is_dc() {
            return self.take_message(now, origin, message);
        }
        let dc = self.ledger.dc().filter(|dc| self.members.is_alive(dc));
        if let Some(dc) = dc.filter(|_| from == origin) {
            self.say(&dc, &PeerMessage::Relay { origin: origin.clone(), message: Box::new(message) });
        }
    }

    /// What this node states as one of more than two.
    pub(crate) fn make_statement(&self, now: Timestamp) -> Option<Statement> {
        if !self.is_many() {
            return None;
        }
        let unheard = |node: &NodeName| {
            self.members.peer(node).is_none_or(|peer| peer.liveness == hearth_membership::Liveness::NeverSeen)
        };
        let unlisted = self.ledger.record().into_iter().flat_map(|record| record.nodes.keys());
        let unlisted = unlisted.filter(|node| !self.config.cluster.nodes.contains(node));
        let others = self.config.cluster.nodes.iter().chain(unlisted).filter(|node| **node != self.local);
        let micros = |span: Duration| span.as_micros().min(u128::from(u32::MAX)) as u32;
        let stated = |(node, revoked): (&NodeName, &Revoked)| {
            let current = self.ledger.record().and_then(|record| record.nodes.get(node));
            let over = current.is_some_and(|current| current.admission > revoked.admission);
            // Only what is durable: a voter that forgot it could vouch again (R-LEASE-3).
            (revoked.ticket <= self.durable_ticket && !over).then(|| Revocation {
                node: node.clone(),
                admission: revoked.admission,
                age_us: micros(now.since(self.last_vouched_at(node, revoked))),
            })
        };
        Some(Statement {
            unheard: others.filter(|node| unheard(node) && self.is_dead_here(now, node)).cloned().collect(),
            next: self.ledger.accepted_end(),
            revoked: self.revoked.iter().filter_map(stated).collect(),
            epoch_age_ms: self.epoch_age(now).as_millis().min(u128::from(u32::MAX)) as u32,
        })
    }

    /// For how long this run has known its epoch decided (R-LEASE-12).
    pub(crate) fn epoch_age(&self, now: Timestamp) -> Duration {
        now.since(self.alone.epoch_began_at.max(self.members.started_at()))
    }
}
