//! Which wire version this node writes, whom it cannot talk to, and when the record's version is raised (R-WIRE-6).
//!
//! Every daemon reads a range of versions and states it in its heartbeats. What is written is the record's version;
//! to a peer that cannot read that, and for heartbeats to everybody while such a peer is heard, the newest that the
//! peer reads: it must go on hearing that this node is alive, or it would take over what runs here.

use crate::Severity;
use crate::node::Node;
use hearth_cib::{Entry, MemberState, Speaks};
use hearth_ledger::Join;
use hearth_membership::PeerView;
use hearth_types::{NodeName, PermitKind, Timestamp};
use hearth_wire::{Heartbeat, NEWEST_VERSION, OLDEST_VERSION};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Durable note: the newest wire version of a record that this node had to give up because it cannot speak it.
const GIVEN_UP: &str = "wire-given-up";

/// What is known of how others speak.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Speech {
    /// Newest version that a peer's last packet said it reads, also of a run that does not count yet, and when.
    heard: BTreeMap<NodeName, (u8, Timestamp)>,
    /// Peers whose refusal was told.
    refused: BTreeSet<NodeName>,
    /// Our own refusal, as it was told.
    told: Option<String>,
}

impl Speech {
    /// ha.cf names that machine no more.
    pub(crate) fn forget_peer(&mut self, node: &NodeName) {
        self.heard.remove(node);
        self.refused.remove(node);
    }
}

impl Node {
    /// Oldest and newest version that this daemon reads and writes.
    pub(crate) fn spoken(&self) -> (u8, u8) {
        (OLDEST_VERSION, self.config.cluster.wire_version)
    }

    fn speaks(&self, version: u8) -> bool {
        let (oldest, newest) = self.spoken();
        (oldest..=newest).contains(&version)
    }

    fn in_use(&self) -> u8 {
        self.record().map_or(OLDEST_VERSION, |record| record.wire_version)
    }

    /// Notes what a heartbeat of a listed peer says that its sender reads; also of one that is not fresh, because a peer that cannot read
    /// ours cannot make itself fresh. A replay makes us write an older version for a deadtime, which everybody reads.
    pub(crate) fn note_speech(&mut self, now: Timestamp, heartbeat: &Heartbeat) {
        let newest = heartbeat.versions.1;
        let known = match self.speech.heard.get_mut(&heartbeat.from) {
            Some(known) => Some(std::mem::replace(known, (newest, now))),
            None => self.speech.heard.insert(heartbeat.from.clone(), (newest, now)),
        };
        if newest < self.in_use() && known.is_none_or(|(known, at)| known != newest || self.is_over(now, at)) {
            // It has not understood the heartbeats of before.
            self.beat_now = true;
        }
    }

    fn is_over(&self, now: Timestamp, at: Timestamp) -> bool {
        now.since(at) >= self.config.cluster.timing.deadtime
    }

    /// Version of a heartbeat, which goes to all.
    pub(crate) fn heartbeat_version(&self, now: Timestamp) -> u8 {
        let heard = self.speech.heard.values().filter(|(_, at)| !self.is_over(now, *at)).map(|(newest, _)| *newest);
        heard.chain([self.in_use()]).min().unwrap_or(OLDEST_VERSION).max(OLDEST_VERSION)
    }

    /// Version of what only that node has to read.
    pub(crate) fn segment_version(&self, to: &NodeName) -> u8 {
        let theirs = self.speech.heard.get(to).map_or(OLDEST_VERSION, |(newest, _)| *newest);
        theirs.min(self.in_use()).max(OLDEST_VERSION)
    }

    /// Whether a peer cannot speak the version that the record has in use: it takes no part, and nothing of what it says
    /// of the record is believed.
    pub(crate) fn is_refused(&self, node: &NodeName) -> bool {
        self.members.peer(node).is_some_and(|peer| self.refuses(peer))
    }

    fn refuses(&self, peer: &PeerView) -> bool {
        let in_use = self.in_use();
        peer.claimed.as_ref().is_some_and(|claimed| in_use < claimed.versions.0 || in_use > claimed.versions.1)
    }

    /// The version of the cluster that this node has to keep out of, if it cannot speak it.
    fn kept_out_by(&self) -> Option<u8> {
        if self.record().is_some() {
            return None;
        }
        let alive = self.members.peers().filter(|(_, peer)| peer.is_alive());
        let heard = alive.filter_map(|(_, peer)| peer.claimed.as_ref()?.wire).max();
        let version = heard.or_else(|| self.ledger.note(GIVEN_UP).and_then(|note| note.parse().ok()))?;
        (!self.speaks(version)).then_some(version)
    }

    /// Whether of a peer's messages only those count that have the same form in every version.
    pub(crate) fn hears_half(&self, from: &NodeName) -> bool {
        self.is_refused(from) || self.kept_out_by().is_some()
    }

    /// Why this node takes no part, with the way out; none if it may.
    pub(crate) fn own_refusal(&self) -> Option<String> {
        let version = self.kept_out_by()?;
        let newest = self.spoken().1;
        let way = if version <= NEWEST_VERSION {
            format!("ha.cf holds it at {newest}: take `wire_version {newest}` out and `hearth reload`")
        } else {
            "upgrade hearthd here".to_owned()
        };
        Some(format!("the cluster uses wire version {version}, this daemon speaks up to {newest}; {way}"))
    }

    /// Before anything is decided: a record that this daemon cannot speak is given up, and what runs by it is stopped.
    /// What it holds is not founded anew either, or the half of the cluster that was taken back would run beside the other.
    pub(crate) fn give_up_unspoken(&mut self) {
        let Some(record) = self.ledger.record().cloned().filter(|record| !self.speaks(record.wire_version)) else {
            return;
        };
        self.ledger.set_note(GIVEN_UP, &record.wire_version.to_string());
        self.ledger.give_up_epoch();
        let mut shadow = record;
        shadow.assignments.clear();
        self.shadow = Some(shadow);
        self.keeping.confirmed = false;
    }

    /// An epoch whose record is spoken has begun here: what was given up before is over.
    pub(crate) fn forget_given_up(&mut self) {
        if self.ledger.note(GIVEN_UP).is_some_and(|note| !note.is_empty()) && self.speaks(self.in_use()) {
            self.ledger.set_note(GIVEN_UP, "");
        }
    }

    /// Tells who is refused and who refuses, once an episode.
    pub(crate) fn judge_speech(&mut self, now: Timestamp) {
        let found =
            self.members.peers().filter(|(_, peer)| peer.is_alive() && self.refuses(peer)).map(|(name, _)| name);
        if !found.clone().eq(&self.speech.refused) {
            let refused: BTreeSet<NodeName> = found.cloned().collect();
            let before = std::mem::replace(&mut self.speech.refused, refused);
            for name in self.speech.refused.clone().difference(&before) {
                if let Some(text) = self.refusal_of(name) {
                    let text = format!("{name} is refused: {text}.");
                    self.chronicle.lead(now, Severity::Error, "node-refused", name, text);
                }
            }
        }
        let own = self.own_refusal();
        if own != self.speech.told {
            if let (Some(text), Some(version)) = (&own, self.kept_out_by()) {
                self.ledger.set_note(GIVEN_UP, &version.to_string());
                let text = format!("This node takes no part: {text}.");
                self.chronicle.lead(now, Severity::Error, "wire-refused", self.local.clone(), text);
            }
            self.speech.told = own;
        }
    }

    /// Why a peer takes no part, with the way out; none if it is not refused.
    pub(crate) fn refusal_of(&self, node: &NodeName) -> Option<String> {
        if !self.is_refused(node) {
            return None;
        }
        let (oldest, newest) = self.members.peer(node)?.claimed.as_ref()?.versions;
        let in_use = self.in_use();
        let (speaks, way) = if newest < in_use {
            (format!("up to {newest}"), format!("upgrade hearthd on {node}, or take `wire_version` out of its ha.cf"))
        } else {
            (format!("from {oldest} on"), format!("put the hearthd of before on {node} until all others are upgraded"))
        };
        Some(format!("wire version {in_use} is in use, it speaks {speaks}; {way}"))
    }

    /// The request of a peer that is refused, in its present run: its word on what still runs there.
    fn word_of_refused(&self, name: &NodeName) -> Option<&Join> {
        let join = self.alone.joins.get(name)?;
        let current = self.members.peer(name).filter(|peer| peer.is_alive() && self.is_refused(name))?.incarnation;
        (current == Some(join.incarnation)).then_some(join)
    }

    /// The DC: who is refused is not let in, but what it says of what runs there counts as that of anybody who comes
    /// back (section 5, `resigned`): nothing is started beside it, and it does not block what it has stopped.
    pub(crate) fn propose_refused(&mut self) {
        let Some(record) = self.coming() else { return };
        let mut words = Vec::new();
        for (name, node) in &record.nodes {
            let Some(join) = self.word_of_refused(name) else { continue };
            if !join.may_run.is_empty() && node.unclean.is_none() {
                let reason = "it cannot speak the wire version in use, and has not stopped everything".to_owned();
                // Who was never let in is bound to nothing: it may come as another one once it speaks the version.
                let (running, identity) = (join.may_run.clone(), node.identity.map(|_| join.identity));
                words.push(Entry::Unclean { node: name.clone(), reason, running, identity });
            } else if join.may_run.is_empty() && record.active_on(name).next().is_some() {
                words.push(Entry::Forced { node: name.clone(), permit: PermitKind::Resigned, node_silent: false });
            }
        }
        for word in words {
            // A voter's word is the permit's matter, and among more than two time proves.
            if self.would_apply(&word).is_some() {
                self.propose(word);
            }
        }
    }

    /// Whether a refused peer has said what runs there, and the record knows it.
    pub(crate) fn refused_has_spoken(&self, name: &NodeName) -> bool {
        let Some((record, join)) = self.record().zip(self.word_of_refused(name)) else { return false };
        let is_unclean = record.nodes.get(name).is_some_and(|node| node.unclean.is_some());
        is_unclean || (join.may_run.is_empty() && record.active_on(name).next().is_none())
    }

    /// The DC: once every node of the record is there and says that it speaks the next version, that is used.
    pub(crate) fn propose_wire(&mut self) {
        let Some(record) = self.coming() else { return };
        let version = record.wire_version.saturating_add(1);
        if !self.speaks(version) {
            return;
        }
        let mut stated = Vec::new();
        for (name, node) in &record.nodes {
            let newest = if *name == self.local { Some(self.spoken().1) } else { self.stated_here(name) };
            let Some(newest) = newest.filter(|newest| node.member == MemberState::Admitted && *newest >= version)
            else {
                return;
            };
            stated.push(Speaks { node: name.clone(), incarnation: node.incarnation, newest });
        }
        let entry = Entry::RaiseWire { version, stated };
        if self.would_apply(&entry).is_some() {
            self.propose(entry);
        }
    }

    /// What a peer that takes part here, in the run that the record admitted, says that it speaks.
    fn stated_here(&self, name: &NodeName) -> Option<u8> {
        let record = self.coming()?;
        let peer = self.members.peer(name).filter(|peer| peer.is_alive() && !peer.is_cloned())?;
        let claimed = peer.claimed.as_ref().filter(|claimed| claimed.epoch.as_ref() == self.ledger.epoch())?;
        (claimed.incarnation == record.nodes.get(name)?.incarnation).then_some(claimed.versions.1)
    }

    /// One line on a version that is not raised, for status.
    pub(crate) fn speech_note(&self) -> Option<String> {
        let (in_use, newest) = (self.record()?.wire_version, self.spoken().1);
        if newest < NEWEST_VERSION {
            return Some(format!(
                "ha.cf holds this node at wire version {newest} (`wire_version {newest}`); hearthd speaks up to {NEWEST_VERSION}."
            ));
        }
        if in_use >= newest {
            return None;
        }
        let others = self.record()?.nodes.keys().filter(|name| **name != self.local);
        let mut missing = others.filter(|name| self.stated_here(name).is_none_or(|theirs| theirs <= in_use));
        let name = missing.next()?;
        let theirs = self.members.peer(name).filter(|peer| peer.is_alive()).and_then(|peer| peer.claimed.as_ref());
        let why = match theirs {
            Some(claimed) if claimed.versions.1 <= in_use => {
                format!("{name} speaks it (it speaks {})", claimed.versions.1)
            }
            _ => format!("{name} takes part and speaks it"),
        };
        Some(format!("Wire version {in_use} is in use; this node speaks {newest}, which is used as soon as {why}."))
    }
}
