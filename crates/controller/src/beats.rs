//! Heartbeats out and in, carriers and links: what membership is fed with and what it says.

use crate::node::Node;
use crate::{Carrier, Output, Severity};
use hearth_cib::Record;
use hearth_config::Medium;
use hearth_ledger::Relation;
use hearth_membership::Change;
use hearth_types::{Incarnation, LinkId, NodeName, Timestamp};
use hearth_wire::{Channel, Heartbeat, Message, NodeStatus};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

impl Node {
    /// Judges the gap since the last wake-up before anything else is looked at (R-MEM-5).
    pub(crate) fn wake(&mut self, now: Timestamp) {
        let gap = now.since(self.last_wake_at);
        let expected = self.next_keepalive_at;
        if self.last_wake_at > Timestamp::ZERO {
            let late = now.since(expected);
            if late > self.config.cluster.timing.keepalive / 2 {
                self.rest.end();
                self.members.paused(now, gap);
            }
            if gap > self.config.cluster.timing.lease() {
                self.paused(now, gap);
            }
        }
        self.last_wake_at = now;
    }

    /// Links that are one path: several ucast lines on one interface lead to different peers.
    pub(crate) fn canonical(&self, link: LinkId) -> Option<LinkId> {
        hearth_config::path(&self.config.cluster.media, usize::from(link.0)).map(|first| LinkId(first as u8))
    }

    pub(crate) fn status_word(&self) -> NodeStatus {
        if self.shutdown.as_ref().is_some_and(|shutdown| shutdown.finished) {
            return NodeStatus::Leaving;
        }
        match self.record() {
            Some(record) if record.is_admitted(&self.local) && !self.cannot_write() => NodeStatus::Active,
            _ if self.members.peers().any(|(_, peer)| peer.is_alive()) => NodeStatus::Up,
            _ => NodeStatus::Init,
        }
    }

    /// Sends heartbeats when they are due, or at once when something must be known at once.
    pub(crate) fn beat(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let timing = self.config.cluster.timing;
        // A target that was lost or is back is said at once: the DC counts the lease from when it hears of it (R-MEM-9).
        self.beat_now |= self.has_news_of_pings(now);
        if now >= self.next_keepalive_at {
            // A fixed rhythm; after a stall it begins anew, missed beats are not made up for.
            let next = self.next_keepalive_at + timing.keepalive;
            self.next_keepalive_at = if next > now { next } else { now + timing.keepalive };
        } else if !self.beat_now || now.since(self.keeping.beat_at) < self.out_of_turn() {
            return;
        }
        self.beat_now = false;
        self.keeping.beat_at = now;
        let (version, heartbeat) = (self.heartbeat_version(now), Arc::new(self.make_heartbeat(now)));
        for position in 0..self.config.cluster.media.len() {
            let link = LinkId(position as u8);
            let message = Message::Heartbeat(heartbeat.clone());
            out.push(Output::Send { link, version, message });
        }
    }

    /// Whether more or fewer ping targets are reached than our newest heartbeat says.
    pub(crate) fn has_news_of_pings(&self, now: Timestamp) -> bool {
        self.standing.pings(now, self.config.cluster.timing.deadping).0 != self.said_pings
    }

    fn make_heartbeat(&mut self, now: Timestamp) -> Heartbeat {
        let timing = self.config.cluster.timing;
        let own_clone = self.members.is_own_name_cloned();
        let number = self.members.next_message(now);
        let stall = self.members.take_stall();
        let held = self.held_addresses();
        let gated = self.config.is_gated() && self.gate_trouble.is_none();
        let refused = if self.is_many() { self.not_vouched_for() } else { BTreeSet::new() };
        let entitled = if self.is_many() { self.ledger.is_voting() } else { self.ledger.record().is_some() };
        let mut peers = self.members.reports(now, |name| !own_clone && entitled && !refused.contains(name));
        self.judge_reports(now, &mut peers);
        self.report_marks(&mut peers);
        let statement = self.make_statement(now);
        let sequence = self.members.next_sequence();
        let pings = self.standing.pings(now, timing.deadping);
        self.said_pings = pings.0;
        let record = self.ledger.record();
        Heartbeat {
            from: self.local.clone(),
            identity: self.ledger.identity(),
            incarnation: self.incarnation,
            sequence,
            number,
            epoch: record.map(|record| record.epoch.clone()),
            lineage: record.map(|record| record.lineage.clone()).unwrap_or_default(),
            admission: record.and_then(|record| record.nodes.get(&self.local)).map(|node| node.admission),
            applied: self.ledger.decided(),
            decided: self.ledger.decided(),
            status: self.status_word(),
            deadtime_ms: timing.deadtime.as_millis() as u32,
            versions: self.spoken(),
            digest: self.digest,
            stall_us: stall.as_micros().min(u128::from(u32::MAX)) as u32,
            gated: if gated { held.iter().cloned().collect() } else { Vec::new() },
            unservable: self.standing.unservable(now, timing.carrier_grace).into_iter().collect(),
            pings,
            answer_now: self.keeping.wants_answer(now, timing.lease())
                || (record.is_some_and(Record::has_leases) && !self.keeping.keep.holds(now)),
            has_carrier: self.standing.has_carrier(&held),
            dc: self.ledger.dc(),
            voters: record
                .map(|record| record.voters.iter().map(|voter| voter.name.clone()).collect())
                .unwrap_or_default(),
            wire: record.map(|record| record.wire_version),
            peers,
            statement,
            mark: Some(self.own_mark()),
            watchdog: self.watchdog.armed().cloned(),
            strangers: self.unlisted.strangers(now, timing.deadtime),
            tiebreaker: self.own_tiebreaker(),
        }
    }

    /// True if something may follow from it.
    pub(crate) fn take_packet(
        &mut self,
        now: Timestamp,
        link: LinkId,
        message: Message,
        received_at: Timestamp,
        out: &mut Vec<Output>,
    ) -> bool {
        match message {
            Message::Heartbeat(heartbeat) => self.take_heartbeat(now, link, &heartbeat, received_at),
            Message::Segment(segment) => self.take_segment(now, &segment, out),
        }
    }

    /// True if something may follow from it.
    fn take_heartbeat(
        &mut self,
        now: Timestamp,
        link: LinkId,
        heartbeat: &Arc<Heartbeat>,
        received_at: Timestamp,
    ) -> bool {
        let Some(link) = self.canonical(link) else { return false };
        let peer = self.members.peer(&heartbeat.from);
        let (is_listed, known) = (peer.is_some(), peer.and_then(|peer| peer.incarnation));
        let newest = peer.map(|peer| peer.newest);
        let first_copy = newest.is_some_and(|newest| heartbeat.number > newest);
        let before = peer.filter(|_| first_copy).and_then(|peer| peer.claimed.clone());
        if is_listed {
            self.note_speech(now, heartbeat);
        }
        self.note_unlisted(now, heartbeat, is_listed);
        if !is_listed {
            self.rest.end();
        }
        let mut changes = Vec::new();
        let fresh = self.members.heard(now, received_at.min(now), link, heartbeat, &mut changes);
        let mut news = !changes.is_empty();
        self.note_changes(now, changes);
        if !fresh {
            // A peer that does not know this run yet is answered at once: joining and restarting cost no keepalive.
            let counts = known == Some(heartbeat.incarnation);
            self.beat_now |= is_listed && !counts;
            // A repetition, or what we sent ourselves: nothing else follows.
            return news || self.beat_now;
        }
        if known != Some(heartbeat.incarnation) || !self.channels.contains_key(&heartbeat.from) {
            self.open_channel(&heartbeat.from, heartbeat.incarnation);
            self.beat_now = true;
            news = true;
        }
        if !first_copy && known == Some(heartbeat.incarnation) {
            return news;
        }
        if heartbeat.answer_now {
            self.beat_now = true;
        }
        if let Some(epoch) = &heartbeat.epoch {
            self.ledger.saw_number(epoch.number);
        }
        let relation = self.ledger.relation(heartbeat.epoch.as_ref(), &heartbeat.lineage);
        self.meet(now, heartbeat, relation);
        self.heed_marks(now, heartbeat);
        self.learn_from(now, heartbeat);
        self.confirm(now, heartbeat, relation);
        // Of a peer that says what it said before nothing follows that the next turn would not see in time.
        let settled = relation == Relation::Same && self.keeping.confirmed && !self.keeping.is_suspended();
        self.rouse_by(before.as_deref(), heartbeat);
        let said_before = || before.is_some_and(|before| says_the_same(&before, heartbeat));
        news || !settled || self.beat_now || self.record_changed || !said_before()
    }

    fn open_channel(&mut self, node: &NodeName, incarnation: Incarnation) {
        self.close_channel(node);
        self.sessions += 1;
        let channel = Channel::new(self.local.clone(), self.incarnation, node.clone(), incarnation, self.sessions);
        self.channels.insert(node.clone(), channel);
        self.alone.peer_restarted(node);
    }

    /// Drops the channel to a peer. Each break took it to a next session: the peer hears no channel after it that begins at
    /// one of these, and would answer it never (R-LEDGER-8).
    pub(crate) fn close_channel(&mut self, node: &NodeName) {
        if let Some(channel) = self.channels.remove(node) {
            self.sessions = self.sessions.max(channel.session());
        }
    }

    pub(crate) fn judge_members(&mut self, now: Timestamp) {
        let mut changes = Vec::new();
        self.members.tick(now, &mut changes);
        self.note_changes(now, changes);
    }

    fn note_changes(&mut self, now: Timestamp, changes: Vec<Change>) {
        for change in changes {
            self.note_change(now, change);
        }
    }

    fn note_change(&mut self, now: Timestamp, change: Change) {
        let ms = |span: Duration| span.as_millis();
        match change {
            Change::Appeared { node, silent } => {
                self.beat_now = true;
                let text = match silent {
                    None => format!("{node} is heard."),
                    Some(span) => format!("{node} is heard again after {} ms.", ms(span)),
                };
                self.chronicle.lead(now, Severity::Info, "node-appeared", &node, text);
                self.heard_other();
            }
            Change::Restarted { node, .. } => {
                let text = format!("The daemon of {node} was started anew.");
                self.chronicle.lead(now, Severity::Warning, "node-restarted", &node, text);
                // The run that wanted to leave is over; this one came to take part.
                self.leaving.remove(&node);
                if self.ledger.dc().as_ref() == Some(&node) {
                    self.ledger.campaign();
                }
            }
            Change::Returned { node, .. } => {
                let text =
                    format!("The machine that used the name {node} before is taken back: the other one is gone.");
                self.chronicle.lead(now, Severity::Warning, "node-returned", &node, text);
                // What was said to the other one is lost.
                self.close_channel(&node);
                self.beat_now = true;
                if self.ledger.dc().as_ref() == Some(&node) {
                    self.ledger.campaign();
                }
            }
            Change::Died { node, silent } => {
                let text = format!("{node} is dead: silent on every link for {} ms.", ms(silent));
                self.chronicle.lead(now, Severity::Error, "node-died", &node, text);
                self.close_channel(&node);
                self.leaving.remove(&node);
                self.note_silent(now, &node);
                // The other voters wait for our word (R-LEASE-2).
                self.beat_now |= self.is_many();
            }
            Change::OneWay { node } => {
                let text = format!("{node} is heard but does not hear this node.");
                self.chronicle.lead(now, Severity::Warning, "node-one-way", &node, text);
            }
            Change::TwoWay { node } => {
                let text = format!("{node} hears this node again.");
                self.chronicle.lead(now, Severity::Info, "node-two-way", &node, text);
                self.heard_other();
            }
            Change::Late { node, silent } => {
                let text = format!("Nothing was heard of {node} for {} ms.", ms(silent));
                self.chronicle.lead(now, Severity::Warning, "node-late", &node, text);
            }
            Change::LateEnded { node, silent, cause } => {
                let text = format!("{node} was late by {} ms: {cause}.", ms(silent));
                self.chronicle.lead(now, Severity::Warning, "node-late-ended", &node, text);
            }
            Change::LinkUp { node, link } => {
                let text = format!("{} to {node} is up.", self.link_name(link));
                self.chronicle.note(now, Severity::Info, "link-up", &node, text);
                self.keeping.announce_burst = true;
            }
            Change::LinkDied { node, link } => {
                let text = format!("{} to {node} is dead.", self.link_name(link));
                self.chronicle.note(now, Severity::Warning, "link-died", &node, text);
            }
            Change::Cloned { node } => {
                let text = format!(
                    "Two machines use the name {node} with our key: neither is vouched for. Change the name of one."
                );
                self.chronicle.lead(now, Severity::Error, "node-cloned", &node, text);
            }
            Change::CloneGone { node } => {
                let text = format!("The second machine with the name {node} is gone.");
                self.chronicle.lead(now, Severity::Info, "clone-gone", &node, text);
            }
        }
    }

    /// Notes durably that the other machine was heard since this sole epoch was founded (R-MEM-8).
    fn heard_other(&mut self) {
        if self.ledger.is_sole() {
            self.ledger.set_note("heard-other", "yes");
        }
    }

    pub(crate) fn link_name(&self, link: LinkId) -> String {
        match self.config.cluster.media.get(usize::from(link.0)) {
            Some(Medium::Ucast { interface, .. }) => format!("{interface} ucast"),
            Some(Medium::Bcast { interface, .. }) => format!("{interface} bcast"),
            Some(Medium::Mcast { interface, group, .. }) => format!("{interface} mcast {group}"),
            Some(Medium::Mcast6 { interface, group, .. }) => format!("{interface} mcast6 {group}"),
            Some(Medium::Serial { device, .. }) => format!("{device} serial"),
            None => link.to_string(),
        }
    }

    pub(crate) fn take_refused(&mut self, now: Timestamp, link: LinkId, reason: String, source: String, count: u64) {
        let total = self.refused.entry(reason.clone()).or_insert(0);
        *total += count;
        let text = format!("{count} packets from {source} refused on {}: {reason}.", self.link_name(link));
        self.chronicle.note(now, Severity::Warning, "packets-refused", self.link_name(link), text);
    }

    pub(crate) fn take_link(&mut self, now: Timestamp, link: LinkId, trouble: Option<String>) {
        let name = self.link_name(link);
        match trouble {
            None => {
                if self.media_trouble.remove(&link.0).is_some() {
                    self.chronicle.note(now, Severity::Info, "medium-open", &name, format!("{name} is open again."));
                    self.beat_now = true;
                }
            }
            Some(trouble) => {
                let text = format!("{name} cannot be used: {trouble}. It is tried again.");
                if self.media_trouble.insert(link.0, trouble.clone()).as_ref() != Some(&trouble) {
                    self.chronicle.note(now, Severity::Warning, "medium-failed", &name, text);
                }
            }
        }
    }

    pub(crate) fn take_carrier(&mut self, now: Timestamp, interface: &str, carrier: Carrier) {
        let grace = self.config.cluster.timing.carrier_grace;
        let heard = self.standing.links_have_carrier();
        if !self.standing.carrier_changed(now, interface, carrier, grace) {
            return;
        }
        if !heard && self.standing.links_have_carrier() {
            // What was silent while no link had carrier accuses nobody: this node listens anew.
            self.members.listen_anew(now);
        }
        if carrier == Carrier::Up {
            let here = self.wanted_or_held();
            self.standing.carrier_is_back(interface, |resource| here.contains(resource));
        }
        self.beat_now = true;
        let (severity, name, text) = match carrier {
            Carrier::Up => (Severity::Info, "carrier-up", format!("{interface} has carrier.")),
            Carrier::Down => (Severity::Warning, "carrier-lost", format!("{interface} has no carrier.")),
            Carrier::Unknown => return,
        };
        if carrier == Carrier::Up {
            self.keeping.announce_burst = true;
        }
        self.chronicle.lead(now, severity, name, interface, text);
    }

    /// What the peer's epoch means for ours.
    fn meet(&mut self, now: Timestamp, heartbeat: &Heartbeat, relation: Relation) {
        match relation {
            Relation::Same => self.meet_same(now, heartbeat),
            Relation::Ahead => self.meet_ahead(now, heartbeat),
            Relation::Behind => self.meet_behind(now, heartbeat),
            Relation::Rival => self.meet_rival(now, heartbeat),
        }
    }
}

/// Whether two heartbeats of a peer say the same of itself; what it says of us is membership's.
fn says_the_same(one: &Heartbeat, other: &Heartbeat) -> bool {
    one.status == other.status
        && one.decided == other.decided
        && one.epoch == other.epoch
        && one.dc == other.dc
        && one.admission == other.admission
        && one.digest == other.digest
        && one.unservable == other.unservable
        && one.pings == other.pings
        && one.has_carrier == other.has_carrier
        && one.versions == other.versions
        && one.wire == other.wire
        && one.gated == other.gated
        && one.tiebreaker == other.tiebreaker
        && one.incarnation == other.incarnation
        && states_the_same(one, other)
        && judges_the_same(one, other)
}

/// Whether two heartbeats state the same to the other voters, apart from what only grows older.
fn states_the_same(one: &Heartbeat, other: &Heartbeat) -> bool {
    match (&one.statement, &other.statement) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            one.unheard == other.unheard && one.next == other.next && one.revoked.len() == other.revoked.len()
        }
        _ => false,
    }
}

/// Whether two heartbeats judge the peers alike.
fn judges_the_same(one: &Heartbeat, other: &Heartbeat) -> bool {
    let judged = |heartbeat: &Heartbeat| heartbeat.statement.is_some();
    let same = || one.peers.iter().map(|report| report.alive).eq(other.peers.iter().map(|report| report.alive));
    !judged(one) || !judged(other) || same()
}
