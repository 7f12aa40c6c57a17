//! A disk that was put back to an older copy (R-LEDGER-3): a snapshot of a virtual machine, a file system rolled back, a
//! backup restored while the daemon was off.
//!
//! Heartbeats and segments state how far the sender's disk has come; nothing leaves before it is durable.  Who knows of
//! more than a run began with takes nothing that it says in the ledger, tells it, and it comes back under a new identity.
//! Among more than two a voter that restarted takes no part in the ledger before the others could have told it so: of those
//! who know and those who do not, the latter may be the first to be heard.

use crate::Severity;
use crate::node::Node;
use crate::talk::PeerMessage;
use hearth_cib::Record;
use hearth_ledger::{LedgerMessage, Relation};
use hearth_membership::PeerView;
use hearth_types::{MessageNumber, NodeName, Timestamp};
use hearth_wire::{Heartbeat, Mark, PeerReport};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// What is known of our own mark and said of those of others.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Marks {
    /// Durable on this disk.
    reached: u64,
    /// What becomes durable with which ticket, oldest first.
    under_way: VecDeque<(u64, u64)>,
    /// This run takes part in the ledger only when the others have had the time to say what they know.
    listening: bool,
    /// Peers of which it was told that their disk is older than their word.
    told: BTreeSet<NodeName>,
    /// Why this node has taken a new identity, until it is let in.
    pub forgot: Option<String>,
    /// What others say of messages up to this one is of an identity that this node had before.
    #[serde(default)]
    named_at: MessageNumber,
}

impl Marks {
    /// Of a disk that was read up to that mark; `listening`: it may have voted.
    pub(crate) fn new(reached: u64, listening: bool) -> Marks {
        Marks { reached, listening, ..Marks::default() }
    }

    pub(crate) fn will_reach(&mut self, ticket: u64, mark: u64) {
        self.under_way.push_back((ticket, mark));
    }

    /// What everything that is ordered up to now has brought the disk to, once it is durable.
    pub(crate) fn ordered(&self) -> u64 {
        self.under_way.back().map_or(self.reached, |(_, mark)| *mark)
    }

    /// What is durable.
    pub(crate) fn reached(&self) -> u64 {
        self.reached
    }

    /// A write failed: what was ordered never comes to be.
    pub(crate) fn failed(&mut self) {
        self.under_way.clear();
    }

    /// Everything up to that ticket is durable. True if that is further than before.
    pub(crate) fn persisted(&mut self, ticket: u64) -> bool {
        let before = self.reached;
        while let Some((_, mark)) = self.under_way.front().filter(|(under_way, _)| *under_way <= ticket) {
            self.reached = self.reached.max(*mark);
            self.under_way.pop_front();
        }
        self.reached > before
    }
}

impl Node {
    /// What this node's heartbeats state of its disk: what is durable and no more, or a write that is lost would look like a
    /// disk that was put back.
    pub(crate) fn own_mark(&self) -> Mark {
        Mark { began: self.ledger.mark_at_start(), reached: self.marks.reached }
    }

    /// The mark that a peer's disk has forgotten, if it was put back to an older copy. Only where it could vote with what
    /// is left: who went on alone by a permit meanwhile is judged as anybody who did (R-LEDGER-6).
    pub(crate) fn beyond(&self, peer: &NodeName) -> Option<u64> {
        self.beyond_of(self.members.peer(peer)?.claimed.as_ref()?)
    }

    /// The same of its newest heartbeat.
    pub(crate) fn beyond_of(&self, claimed: &Heartbeat) -> Option<u64> {
        let votes_here = || {
            let relation = self.ledger.relation(claimed.epoch.as_ref(), &claimed.lineage);
            matches!(relation, Relation::Same | Relation::Behind)
        };
        let beyond = self.ledger.mark_beyond(claimed.identity, claimed.incarnation, claimed.mark?.began)?;
        (!self.ledger.has_no_epoch() && votes_here()).then_some(beyond)
    }

    /// Says in the reports of peers whose disk has forgotten what it said.
    pub(crate) fn report_marks(&self, reports: &mut [PeerReport]) {
        for report in reports {
            let claimed = self.members.peer(&report.node).and_then(|peer| peer.claimed.as_ref());
            let claimed = claimed.filter(|claimed| claimed.incarnation == report.incarnation);
            report.beyond = claimed.and_then(|claimed| self.beyond_of(claimed));
        }
    }

    /// Takes what a fresh heartbeat states of its sender's disk, and what it says of ours.
    pub(crate) fn heed_marks(&mut self, now: Timestamp, heartbeat: &Heartbeat) {
        match heartbeat.mark {
            Some(mark) => self.saw_mark(heartbeat, mark.reached),
            None => self.ledger.forget_mark(heartbeat.identity),
        }
        let of_us = |report: &&PeerReport| report.node == self.local && report.incarnation == self.incarnation;
        // Of an identity that was drawn in this run no disk has forgotten anything, unless it is on a copied one, too.
        let named = |report: &&PeerReport| report.heard > self.marks.named_at;
        let beyond = heartbeat.peers.iter().find(of_us).filter(named).and_then(|report| report.beyond);
        let began = self.ledger.mark_at_start();
        let told = beyond.filter(|beyond| *beyond > began);
        if let Some(beyond) = told {
            let what =
                format!("older than what it has said before ({began} writes, {} knows of {beyond})", heartbeat.from);
            self.come_back_as_another(now, &what);
        }
    }

    /// The note in /run knows of more than this disk does: it was put back within one boot, and nobody need be asked.
    pub(crate) fn heed_own_note(&mut self, now: Timestamp, beyond: u64) {
        let began = self.ledger.mark_at_start();
        let what = format!("older than what this node has said since it booted ({began} writes of {beyond})");
        self.come_back_as_another(now, &what);
    }

    /// What was seen of others is written while the disk has nothing else to do, at the pace of the ledger's clock.
    pub(crate) fn keep_marks(&mut self) {
        if self.marks.under_way.is_empty() {
            self.ledger.note_marks();
        }
    }

    fn saw_mark(&mut self, claimed: &Heartbeat, reached: u64) {
        let Some(mark) = claimed.mark else { return };
        if self.ledger.mark_beyond(claimed.identity, claimed.incarnation, mark.began).is_none() {
            self.ledger.saw_mark(claimed.identity, claimed.incarnation, reached);
        }
    }

    /// What a segment states: whoever acts on it knows of what it rests on, also if no heartbeat follows.
    pub(crate) fn saw_segment_mark(&mut self, from: &NodeName, reached: u64) {
        if let Some(claimed) = self.members.peer(from).and_then(|peer| peer.claimed.clone()) {
            self.saw_mark(&claimed, reached);
        }
    }

    /// An epoch that follows ours, and in which a machine of our name votes that this one is not: it lost its disk and was
    /// let in anew since, and this copy is from before that.
    pub(crate) fn heed_offer(&mut self, now: Timestamp, record: &Record) {
        let follows = self.ledger.epoch().is_some_and(|epoch| record.lineage.contains(epoch));
        let own = record.voters.iter().find(|voter| voter.name == self.local);
        if follows && own.is_some_and(|own| own.identity != self.ledger.identity()) {
            self.come_back_as_another(now, "from before this node was let in anew");
        }
    }

    /// This node's disk was put back: it stops what it runs by the record that it has, and asks to be let in as a machine
    /// that never was here. What it has forgotten it cannot vote with.
    fn come_back_as_another(&mut self, now: Timestamp, what: &str) {
        let text = format!(
            "The state on this node's disk is {what}: was a snapshot or a backup put back? It decides nothing by it, stops \
             what it runs, and comes back as a new member."
        );
        self.chronicle.lead(now, Severity::Error, "state-rolled-back", self.local.clone(), text);
        // What waits in the channels was said under the old identity.
        self.channels.values_mut().for_each(|channel| channel.reset());
        if !self.ledger.has_no_epoch() {
            self.stop_by_own_record(now);
        }
        self.ledger.take_new_identity();
        self.marks.named_at = self.members.next_message(now);
        let forgot = "its disk was put back to an older copy, and it waits to be let in as a new member";
        self.marks.forgot = Some(forgot.to_owned());
        self.beat_now = true;
    }

    /// Tells of whom it is known, and begins to take part when everybody could have been told of us.
    pub(crate) fn judge_marks(&mut self, now: Timestamp) {
        if self.marks.listening && self.could_be_told(now) {
            self.marks.listening = false;
            let peers: Vec<NodeName> = self.members.peers().map(|(name, _)| name.clone()).collect();
            // What was left unread meanwhile is said again.
            peers.iter().for_each(|peer| self.ledger.reconnected(peer));
        }
        let is_older = |peer: &PeerView| {
            peer.is_alive() && peer.claimed.as_ref().is_some_and(|claimed| self.beyond_of(claimed).is_some())
        };
        let older = self.members.peers().filter(|(_, peer)| is_older(peer)).map(|(name, _)| name);
        if older.clone().eq(&self.marks.told) {
            return;
        }
        let older: BTreeSet<NodeName> = older.cloned().collect();
        for name in older.difference(&self.marks.told) {
            let text = format!(
                "The state of {name} is older than what it has said before: was a snapshot or a backup put back? Nothing \
                 is decided with it; it comes back as a new member."
            );
            self.chronicle.lead(now, Severity::Error, "node-rolled-back", name, text);
        }
        self.marks.told = older;
    }

    /// Every other voter has heard this run, or has been silent for so long that it is late (R-MEM-2).
    fn could_be_told(&self, now: Timestamp) -> bool {
        let warntime = self.config.cluster.timing.warntime;
        let heard_us = |peer: &PeerView| {
            let of_us = |report: &&PeerReport| report.node == self.local && report.incarnation == self.incarnation;
            let report = peer.claimed.as_ref().and_then(|claimed| claimed.peers.iter().find(of_us));
            // A run that does not count there yet was not judged.
            peer.is_alive() && report.is_some_and(|report| report.age_us < u32::MAX)
        };
        let listened = |name: &NodeName| now.since(self.members.silent_since(name)) >= warntime;
        self.members.peers().all(|(name, peer)| heard_us(peer) || listened(name))
    }

    /// Whether this run only listens yet.
    pub(crate) fn is_listening(&self) -> bool {
        self.marks.listening
    }

    /// Whether a message is left unread, or unsaid, because the state of one of the two is or may be older than its word.
    /// Who asks to be let in, and how rivals compare, rests on no vote.
    pub(crate) fn is_unheard(&self, peer: &NodeName, message: &PeerMessage) -> bool {
        let PeerMessage::Ledger(inner) = message else { return self.beyond(peer).is_some() };
        if matches!(**inner, LedgerMessage::Join(_) | LedgerMessage::Rival { .. } | LedgerMessage::Resigned { .. }) {
            return false;
        }
        self.is_listening() || self.beyond(peer).is_some() || self.speaks_as_another(peer, inner)
    }

    /// Whether something of an epoch would be taken for the word of the voter of that name, whose identity it has not.
    fn speaks_as_another(&self, peer: &NodeName, message: &LedgerMessage) -> bool {
        let claimed = self.members.peer(peer).and_then(|peer| peer.claimed.as_ref());
        let voter = self.ledger.record().and_then(|record| record.voters.iter().find(|voter| voter.name == *peer));
        let (Some(claimed), Some(voter)) = (claimed, voter) else { return false };
        matches!(message, LedgerMessage::Paxos { .. }) && claimed.identity != voter.identity
    }

    /// One sentence on a peer whose state is older than its word, for status.
    pub(crate) fn rolled_back_reason(&self, peer: &NodeName) -> Option<String> {
        self.marks.told.contains(peer).then(|| "its state is older than what it has said: it is let in anew".to_owned())
    }
}
