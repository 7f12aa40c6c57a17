//! Between this node's ledger and its peers: messages over the ordered channel, and what the ledger has decided.

use crate::fences::called_off;
use crate::listing::{Asked, Said};
use crate::node::Node;
use crate::ways::Copy;
use crate::{Output, Severity};
use hearth_cib::{Entry, Record, Rejection, ReportKind, Voter};
use hearth_ledger::{LedgerMessage, LedgerOut};
use hearth_types::{Incarnation, NodeName, Timestamp};
use hearth_wire::{Message, Segment, is_shallow};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// What nodes say over the ordered channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PeerMessage {
    /// The ledger's own.
    Ledger(Box<LedgerMessage>),
    /// To the DC: propose this. Repeated by its origin until the record shows it.
    Propose(Vec<Entry>),
    /// To the DC: this node wants to stop in order (R-LEAVE-1). Repeated until it is done.
    WantsToLeave,
    /// To a machine that is taken out of the list: it stops in order. Repeated until it has left.
    Leave {
        /// Who ordered it.
        by: String,
    },
    /// Look at the list of nodes in ha.cf, or change it (decision 0059). Repeated until it is answered.
    List(Asked),
    /// The answer.
    ListSaid {
        /// Run of the daemon that asked.
        run: Incarnation,
        /// Its order.
        number: u64,
        /// Whether it was to be done.
        commit: bool,
        /// Digest of the files with the change; else why not.
        said: Said,
    },
    /// For the DC, from a node that does not hear it (R-LEDGER-2).
    Relay {
        /// Whose words they are.
        origin: NodeName,
        /// The words.
        message: Box<PeerMessage>,
    },
}

impl PeerMessage {
    /// What came over a channel; none if it is nothing that a peer says. What is nested too deep is not decoded: that
    /// would take more stack than there is.
    pub(crate) fn read(bytes: &[u8]) -> Option<PeerMessage> {
        is_shallow(bytes).then(|| minicbor_serde::from_slice(bytes).ok()).flatten()
    }

    /// Whether its origin says it again until it has an effect: a copy behind one that has not arrived yet says nothing.
    pub(crate) fn is_repeated(&self) -> bool {
        match self {
            PeerMessage::Propose(_)
            | PeerMessage::WantsToLeave
            | PeerMessage::Leave { .. }
            | PeerMessage::List(_)
            | PeerMessage::ListSaid { .. } => true,
            PeerMessage::Relay { message, .. } => message.is_repeated(),
            PeerMessage::Ledger(message) => {
                matches!(**message, LedgerMessage::Join(_) | LedgerMessage::Rival { .. } | LedgerMessage::Offer { .. })
            }
        }
    }

    /// What is said in the same form in every wire version: that a node holds nothing and would like to be let in, and
    /// the comparison of rivals. All else of a node that cannot speak the version in use would be half understood.
    pub(crate) fn is_of_every_version(&self) -> bool {
        let PeerMessage::Ledger(message) = self else { return false };
        matches!(**message, LedgerMessage::Join(_) | LedgerMessage::Rival { .. })
    }
}

impl Node {
    /// True if something may follow from it: not from what only acknowledges, came before over another link, or asks and
    /// answers at an election tick without electing anybody.
    pub(crate) fn take_segment(&mut self, now: Timestamp, segment: &Segment, out: &mut Vec<Output>) -> bool {
        if segment.to != self.local || segment.to_incarnation != self.incarnation {
            return false;
        }
        let Some(channel) = self.channels.get_mut(&segment.from) else { return false };
        if channel.peer_incarnation() != segment.incarnation {
            return false;
        }
        let (received, from) = (channel.receive(now, segment), &segment.from);
        let mut news = received.opened || received.broken.is_some();
        if let Some(reached) = segment.mark {
            self.saw_segment_mark(from, reached);
        }
        if received.opened {
            self.ledger.reconnected(from);
            self.resend_at = now;
        }
        for bytes in received.messages {
            // A peer that holds the key and says nonsense is a bug or a version that we do not speak: dropped.
            if let Some(message) = PeerMessage::read(&bytes) {
                news |= !matches!(&message, PeerMessage::Ledger(message) if message.is_ballot());
                let leads = (!news).then(|| (self.ledger.leader(), self.ledger.dc()));
                self.take_message(now, from, message);
                news |= self.drain_ledger(now, out);
                news |= leads.is_some_and(|before| before != (self.ledger.leader(), self.ledger.dc()));
            }
        }
        if !news {
            // What it makes room for, and what was answered, goes out at once.
            self.settle_ledger(now, out);
            self.poll_channels(now, out);
        }
        news || self.record_changed || self.beat_now
    }

    pub(crate) fn take_message(&mut self, now: Timestamp, from: &NodeName, message: PeerMessage) {
        if (self.hears_half(from) && !message.is_of_every_version()) || self.is_unheard(from, &message) {
            return;
        }
        match message {
            PeerMessage::Ledger(message) => match *message {
                LedgerMessage::Join(join) => self.take_join(now, from, join),
                LedgerMessage::Rival { own, echo } => self.take_rival(from, own, echo),
                LedgerMessage::Found(_) if self.ledger.has_no_epoch() && !self.may_consent() => {}
                message => {
                    if let LedgerMessage::Offer { record } = &message {
                        self.heed_offer(now, record);
                    }
                    self.ledger.handle(from, message);
                }
            },
            PeerMessage::Propose(entries) => {
                if self.ledger.is_dc() && self.record().is_some_and(|record| record.nodes.contains_key(from)) {
                    for entry in entries {
                        self.propose_once(entry);
                    }
                }
            }
            PeerMessage::Relay { origin, message } => self.take_relay(now, from, &origin, *message),
            PeerMessage::Leave { by } => self.take_leave(now, from, &by),
            PeerMessage::List(asked) => self.take_asked(from, asked),
            PeerMessage::ListSaid { run, number, commit, said } if run == self.incarnation => {
                self.take_list_said(from, number, commit, said);
            }
            PeerMessage::ListSaid { .. } => {}
            PeerMessage::WantsToLeave => {
                if self.leaving.insert(from.clone()) {
                    let text = format!("{from} stops in order: what it runs moves away first.");
                    self.chronicle.lead(now, Severity::Info, "node-leaving", from, text);
                }
            }
        }
    }

    /// Proposes what a peer repeats until it is decided: what is under way already is not proposed again.
    fn propose_once(&mut self, entry: Entry) {
        let Some(record) = self.ahead.as_ref().or(self.ledger.record()) else { return };
        let mut next: Record = record.clone();
        // What would be refused now, because it is applied or under way, needs no entry.
        if next.apply(next.applied.next(), &entry).is_ok() {
            self.propose(entry);
        }
    }

    /// Proposes an entry as the DC; false if this node is none.
    pub(crate) fn propose(&mut self, entry: Entry) -> bool {
        if !self.ledger.is_dc() {
            return false;
        }
        if self.ahead.is_none() {
            self.ahead = self.ledger.record().cloned();
        }
        if let Some(ahead) = self.ahead.as_mut() {
            let index = ahead.applied.next();
            // The copy only saves a round: what it refuses is refused again, and told, when it is decided.
            let _ = ahead.apply(index, &entry);
        }
        self.ledger.propose(entry)
    }

    /// Hands an entry to the DC, whoever that is; false if there is none.
    pub(crate) fn hand_in(&mut self, entries: Vec<Entry>) -> bool {
        match self.ledger.dc() {
            Some(dc) if dc == self.local => {
                for entry in entries {
                    self.propose_once(entry);
                }
                true
            }
            _ => self.say_to_dc(PeerMessage::Propose(entries)),
        }
    }

    /// Turns what the ledger has to say into outputs, in its order. True if the record changed.
    pub(crate) fn drain_ledger(&mut self, now: Timestamp, out: &mut Vec<Output>) -> bool {
        let items = self.ledger.drain();
        self.carry_out(now, items, out)
    }

    /// The same at the end of an input, with what nothing waits for.
    pub(crate) fn settle_ledger(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let items = self.ledger.settle();
        self.carry_out(now, items, out);
    }

    fn carry_out(&mut self, now: Timestamp, items: Vec<LedgerOut>, out: &mut Vec<Output>) -> bool {
        let mut changed = false;
        let mut first = None;
        for item in items {
            match item {
                LedgerOut::Persist { state, lines, mark } => {
                    // What was said before stands before it.
                    self.poll_channels(now, out);
                    self.ticket += 1;
                    self.marks.will_reach(self.ticket, mark);
                    self.writes(now, self.ticket);
                    out.push(Output::Persist { ticket: self.ticket, state, log: lines });
                }
                LedgerOut::Say { to, message } => self.say(&to, &PeerMessage::Ledger(message)),
                LedgerOut::Applied { index, entry, rejection } => {
                    changed = true;
                    first = first.or(Some(index));
                    self.note_applied(now, &entry, rejection);
                }
                LedgerOut::EpochBegan { epoch, voters } => {
                    changed = true;
                    let names: Vec<&str> = voters.iter().map(NodeName::as_str).collect();
                    let text = format!("Epoch {epoch} began; it votes: {}.", names.join(", "));
                    self.chronicle.note(now, Severity::Info, "epoch-began", self.local.clone(), text);
                    self.alone.epoch_began_at = now;
                    if let Some(record) = self.ledger.record() {
                        self.alerts.facts.learn(record);
                    }
                    self.alone.joins.retain(|name, _| !voters.contains(name));
                    if voters.iter().any(|name| *name != self.local) {
                        self.alone.overlap_to_tell = None;
                    }
                    self.ahead = None;
                    self.resend_at = now;
                    self.beat_now = true;
                    self.hand_over_to_all(now);
                    self.forget_given_up();
                    self.marks.forgot = None;
                    if voters.len() == 1 && voters[0] == self.local {
                        self.keeping.confirmed = true;
                        self.ledger.set_note("heard-other", "");
                    }
                }
            }
        }
        if let Some(first) = first {
            self.tell_members(first);
        }
        if changed {
            self.record_changed = true;
            self.last_change_at = Some(now);
            self.note_admissions();
            if self.ahead.is_some() && !self.ledger.has_undecided() {
                self.ahead = None;
            }
        }
        changed
    }

    fn note_applied(&mut self, now: Timestamp, entry: &Entry, rejection: Option<Rejection>) {
        if let Some(rejection) = rejection {
            // A repeated report or request is the ordinary case (R-LEDGER-9); the timeline keeps the rest.
            if matches!(rejection, Rejection::ReportOrder { .. } | Rejection::RequestSpent { .. }) {
                return;
            }
            let text = format!("Refused by the record: {rejection}.");
            self.chronicle.note(now, Severity::Debug, "entry-refused", "record", text);
            return;
        }
        self.tell_entry(now, entry);
        self.count_flaps(now, entry);
    }

    fn tell_entry(&mut self, now: Timestamp, entry: &Entry) {
        self.alert_applied(now, entry);
        let (severity, name, subject, text) = match entry {
            Entry::Batch(entries) => match (called_off(entries), &entries[..]) {
                (Some((node, how)), _) => off(node, how),
                (None, [Entry::Lost { node, .. }, Entry::Unclean { reason, .. }]) => {
                    (Severity::Error, "node-lost", node.to_string(), format!("{node} counts as lost: {reason}."))
                }
                _ => return entries.iter().for_each(|entry| self.tell_entry(now, entry)),
            },
            Entry::Noop | Entry::Standing { .. } | Entry::Epoch { .. } => return,
            Entry::Configure { model, .. } => {
                let text = format!("{} groups are to run.", model.groups.len());
                (Severity::Info, "configured", "record".to_owned(), text)
            }
            Entry::Admit { node, .. } => {
                // The others vouch for an admission that they have heard of.
                self.beat_now |= *node == self.local && self.is_many();
                (Severity::Info, "node-admitted", node.to_string(), format!("{node} takes part."))
            }
            Entry::Probed { node, .. } => {
                let text = format!("{node} has looked at everything that could run on it.");
                (Severity::Info, "node-probed", node.to_string(), text)
            }
            Entry::Forced { node, permit, .. } => {
                let permit = self.permit_meant(*permit);
                let text = format!("{node} counts as lost; what it ran may be taken (permit {permit}).");
                (Severity::Warning, "node-lost", node.to_string(), text)
            }
            Entry::Lost { node, .. } => (Severity::Error, "node-lost", node.to_string(), format!("{node} is lost.")),
            Entry::Renew { node, .. } => {
                (Severity::Info, "node-renewed", node.to_string(), format!("{node} goes on: it was not lost."))
            }
            Entry::Leased { .. } => return,
            Entry::Watched { node, timeout_ms: Some(timeout), .. } => {
                let text =
                    format!("The watchdog of {node} resets it after {:?}.", Duration::from_millis(u64::from(*timeout)));
                (Severity::Info, "node-watched", node.to_string(), text)
            }
            Entry::Watched { node, timeout_ms: None, .. } => {
                (Severity::Warning, "node-unwatched", node.to_string(), format!("No watchdog resets {node} any more."))
            }
            Entry::Reset { node, .. } => {
                let text = format!("The watchdog of {node} has reset it beyond doubt: what it ran may be taken.");
                (Severity::Warning, "watchdog-proven", node.to_string(), text)
            }
            Entry::Proven { node, addresses, .. } => {
                let names: Vec<&str> = addresses.iter().map(hearth_types::ResourceId::as_str).collect();
                let text = format!("The lease of {node} has ended beyond doubt: {} may be taken.", names.join(", "));
                (Severity::Warning, "lease-proven", node.to_string(), text)
            }
            Entry::Resigned { node, .. } => {
                let text = format!("{node} came up without its state and runs nothing.");
                (Severity::Warning, "resigned", node.to_string(), text)
            }
            Entry::Fenced { node, how, .. } => off(node, how),
            Entry::Left { node } => {
                (Severity::Info, "node-left", node.to_string(), format!("{node} has left in order."))
            }
            Entry::Unclean { node, reason, .. } => {
                (Severity::Error, "node-unclean", node.to_string(), format!("{node} is unclean: {reason}."))
            }
            Entry::Confirmed { node } => {
                (Severity::Info, "node-clean", node.to_string(), format!("{node} has stopped everything: clean again."))
            }
            Entry::Assign { group, node, reason } => {
                (Severity::Info, "group-assigned", group.to_string(), format!("{group} is to run on {node}: {reason}."))
            }
            Entry::Unassign { group, reason } => {
                (Severity::Info, "group-unassigned", group.to_string(), format!("{group} is to stop: {reason}."))
            }
            Entry::Report(report) => return self.note_report(now, report),
            Entry::Move { by, groups, .. } => {
                let names: Vec<String> = groups.iter().map(ToString::to_string).collect();
                (Severity::Info, "move-requested", "record".to_owned(), format!("{by}: {}.", names.join(", ")))
            }
            Entry::Failback { by, .. } => (Severity::Info, "failback-requested", "record".to_owned(), format!("{by}.")),
            Entry::Aged { resource, node, action, .. } => {
                let text = format!("The failed {action} of {resource} on {node} is too long ago to count any more.");
                (Severity::Info, "failure-aged", resource.to_string(), text)
            }
            Entry::RaiseWire { version, .. } => {
                let text = format!("Wire version {version} is in use: every node speaks it.");
                (Severity::Info, "wire-raised", "record".to_owned(), text)
            }
            Entry::Clear { .. } => {
                (Severity::Info, "failures-cleared", "record".to_owned(), "Failures were forgotten.".to_owned())
            }
        };
        self.chronicle.note(now, severity, name, subject, text);
    }

    fn note_report(&mut self, now: Timestamp, report: &hearth_cib::Report) {
        let (node, resource) = (&report.node, &report.resource);
        if *node == self.local {
            // The executor has told it already, when it happened.
            return;
        }
        let (severity, name, text) = match &report.what {
            ReportKind::Started => (Severity::Info, "resource-started", format!("{resource} runs on {node}.")),
            ReportKind::Stopped => (Severity::Info, "resource-stopped", format!("{resource} is stopped on {node}.")),
            ReportKind::NotRunning => return,
            ReportKind::Running => {
                (Severity::Info, "resource-found", format!("{resource} was found running on {node}."))
            }
            ReportKind::ProbeFailed { message, .. } => {
                (Severity::Error, "probe-failed", format!("{resource} on {node} could not be probed: {message}"))
            }
            ReportKind::StartFailed { message, .. } => {
                (Severity::Error, "start-failed", format!("{resource} did not start on {node}: {message}"))
            }
            ReportKind::StopFailed { message, .. } => {
                (Severity::Error, "stop-failed", format!("{resource} did not stop on {node}: {message}"))
            }
            ReportKind::StopForced { message } => {
                let text = format!("{resource} on {node} is stopped, but not by its own stop: {message}");
                (Severity::Warning, "stop-forced", text)
            }
            ReportKind::MonitorFailed { message, .. } => {
                (Severity::Error, "monitor-failed", format!("{resource} failed on {node}: {message}"))
            }
        };
        self.chronicle.note(now, severity, name, resource, text);
    }

    /// Sends what the channels have, on every medium.
    pub(crate) fn poll_channels(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        if self.channels.values().all(|channel| channel.is_silent(now)) {
            return;
        }
        // Whatever this rests on stands before it in the outputs, so that it is durable when this leaves.
        let mark = Some(self.marks.ordered());
        let (mut channels, mut segments) = (std::mem::take(&mut self.channels), Vec::new());
        for (node, channel) in &mut channels {
            channel.keep_pace(now, self.pace_to(node));
            channel.poll(now, &mut segments);
            for segment in segments.drain(..) {
                let copy = Copy::of(channel, &segment);
                let segment = Arc::new(Segment { mark, ..segment });
                let version = self.segment_version(&segment.to);
                for link in self.media_to(&segment.to, copy) {
                    out.push(Output::Send { link, version, message: Message::Segment(segment.clone()) });
                }
            }
        }
        self.channels = channels;
    }

    /// Campaigns where the voters are together and none leads, or nothing is decided any more: the first of them at once,
    /// the others if that fails. Of two both must be there, of more a majority.
    pub(crate) fn elect(&mut self, now: Timestamp) {
        let timing = self.config.cluster.timing;
        let stuck = self.ledger.is_stuck();
        let gone = self.is_many() && self.leader_is_gone(now);
        let is_witness = |name: &NodeName| self.config.resources.is_witness(name);
        let by_unstopped = !is_witness(&self.local) && self.is_led_by_unstopped();
        let wanted = self.ledger.is_voting()
            && !self.cannot_write()
            && !self.is_listening()
            && !self.follows_others()
            && (!self.ledger.has_dc() || stuck || gone || self.is_led_by_witness() || by_unstopped);
        let late = || self.channels.keys().any(|node| self.is_on_its_way(node));
        let Some(record) = self.ledger.record().filter(|_| wanted && !late()) else {
            self.without_dc_since = None;
            return;
        };
        let is_here = |voter: &&Voter| match self.is_many() {
            true => self.voice(voter).is_some_and(|voice| voice.status != hearth_wire::NodeStatus::Leaving),
            false => {
                let peer = self.members.peer(&voter.name).filter(|peer| peer.is_alive());
                let claimed = peer.and_then(|peer| peer.claimed.as_ref());
                claimed.is_some_and(|claimed| claimed.epoch.as_ref() == Some(&record.epoch))
            }
        };
        let here: Vec<&Voter> =
            record.voters.iter().filter(|voter| voter.name == self.local || is_here(voter)).collect();
        let enough = if self.is_many() { record.majority() } else { record.voters.len() };
        if here.len() < enough {
            self.without_dc_since = None;
            return;
        }
        let deposed = |name: &NodeName| by_unstopped && self.ledger.dc().as_ref() == Some(name);
        let turn = |name: &NodeName| (is_witness(name) || deposed(name), name.clone());
        let first = here.iter().all(|voter| turn(&self.local) <= turn(&voter.name));
        let wait = match (first && !stuck, gone) {
            // The others have just said so too: nothing is waited for.
            (true, true) => Duration::ZERO,
            // A campaign that begins before the last one can have been answered ends that: over a slow line none would win.
            (true, false) | (false, true) => (timing.keepalive * 2).max(self.answered_within(&here)),
            (false, false) => timing.deadtime,
        };
        let since = *self.without_dc_since.get_or_insert(now);
        if now.since(since) >= wait {
            self.without_dc_since = Some(now);
            self.ledger.campaign();
        }
    }

    /// A witness leads only while no node can.
    pub(crate) fn is_led_by_witness(&self) -> bool {
        let is_witness = |name: &NodeName| self.config.resources.is_witness(name);
        !self.config.resources.witnesses.is_empty()
            && !is_witness(&self.local)
            && self.ledger.dc().is_some_and(|dc| is_witness(&dc))
    }

    /// How long a round of the ledger with these voters may take: four round trips to the farthest, each over its fastest
    /// link, and over a line alone the time that the log takes besides.
    fn answered_within(&self, voters: &[&Voter]) -> Duration {
        let answer = |voter: &&Voter| {
            let links = self.members.peer(&voter.name)?.links.values();
            let rtt = links.filter(|link| link.up && link.rtt_us > 0).map(|link| link.rtt_us).min().unwrap_or(0);
            Some((Duration::from_micros(rtt) * 4).max(self.repeat_after(&voter.name, Duration::ZERO)))
        };
        voters.iter().filter_map(answer).max().unwrap_or_default()
    }

    /// The ledger's clock: fine enough that a lost message costs little, coarse enough to be silent when idle.
    pub(crate) fn ledger_period(&self) -> Duration {
        (self.config.cluster.timing.deadtime / 5).clamp(Duration::from_millis(50), Duration::from_secs(1))
    }
}

fn off(node: &NodeName, how: &str) -> (Severity, &'static str, String, String) {
    (
        Severity::Warning,
        "fence-counts",
        node.to_string(),
        format!("{node} counts as off: {how}. What it ran may be taken."),
    )
}
