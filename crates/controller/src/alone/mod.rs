//! Going on alone, and the evidence that it rests on: the first epoch, permits, the wire check, joins (protocol sections
//! 5 to 7). How two epochs meet again stands in `rivals`.

mod rivals;

use crate::alert::AlertKind;
use crate::forgotten::Forgotten;
use crate::node::Node;
use crate::talk::PeerMessage;
use crate::{Output, Severity};
use hearth_cib::{Entry, Record};
use hearth_config::Medium;
use hearth_fencer::{Facts, Policy, Verdict};
use hearth_ledger::{Join, LedgerMessage, RivalOffer};
use hearth_types::{EpochName, NodeName, PermitKind, ResourceId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How often the wire must have been asked before its silence counts (R-TAKE-6).
const ASKS_MIN: u32 = 3;
/// For how long it must have been silent.
const SILENT_FOR: Duration = Duration::from_millis(60);
/// Addresses that are remembered of a peer: one a medium, and some that it changed.
const PEER_ADDRESSES_MAX: usize = 16;
/// For how long a node that lost a split waits for its own stops before it asks to be let in.
const SPLIT_TOLD_WITHIN: Duration = Duration::from_secs(2);
/// Span between repeats of a request to join, an invitation or an offer.
const REPEAT: Duration = Duration::from_millis(250);

/// What the wire said about one address.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ask {
    count: u32,
    first_at: Timestamp,
    last_at: Timestamp,
    answered: Option<(Timestamp, String)>,
    trouble: Option<String>,
}

/// A rival epoch under comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Rival {
    /// With whom; none in a checkpoint from before: the other machine of the pair.
    #[serde(default)]
    with: Option<NodeName>,
    own: RivalOffer,
    theirs: Option<RivalOffer>,
    echoed: bool,
    said_at: Timestamp,
    won: bool,
}

/// What people were told of two rival epochs. One comparison after the other, because a daemon was started anew or a channel
/// was opened anew, is one story.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Met {
    own: EpochName,
    theirs: EpochName,
    /// What may run over there, once this side has won.
    won: Option<Vec<ResourceId>>,
}

/// A split that this node lost: until everything is stopped there may have been two owners.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Split {
    since: Timestamp,
    lost_at: Timestamp,
    peer: NodeName,
    /// Whether its length was told although something has not stopped yet.
    #[serde(default)]
    told: bool,
}

/// State of all that.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Alone {
    asks: BTreeMap<ResourceId, Ask>,
    peer_asked_since: Option<Timestamp>,
    peer_answered: BTreeMap<NodeName, Timestamp>,
    /// Addresses that packets of peers came from.
    peer_addresses: BTreeMap<NodeName, BTreeSet<IpAddr>>,
    pub resigned: Option<EpochName>,
    /// What a permit waits for, for status.
    pub verdict: Option<String>,
    verdict_until: Option<Timestamp>,
    joined_at: Timestamp,
    pub invited_at: Timestamp,
    offered_at: Timestamp,
    /// Nodes that take part without a vote, and when they were last handed the record of a new epoch.
    #[serde(default)]
    pub handed: BTreeMap<NodeName, Timestamp>,
    /// Since when an epoch is heard of that follows ours, and in which this node does not vote.
    #[serde(default)]
    pub ahead_since: Option<Timestamp>,
    /// Nodes that want to be let in.
    pub joins: BTreeMap<NodeName, Join>,
    rival: Option<Rival>,
    #[serde(default)]
    met: Option<Met>,
    split: Option<Split>,
    /// Of three and more: epochs that voters have forgotten.
    #[serde(default)]
    pub forgotten: Forgotten,
    /// Of the last split that this node lost, for status.
    pub overlap: Option<Duration>,
    /// The same for the other side, which asks for it when it lets this node in: no older split is told twice.
    #[serde(default)]
    pub overlap_to_tell: Option<Duration>,
    /// When the current epoch began here.
    pub epoch_began_at: Timestamp,
}

impl Alone {
    pub(crate) fn asked(&mut self, now: Timestamp, resource: &ResourceId) {
        let new = Ask { count: 0, first_at: now, last_at: now, answered: None, trouble: None };
        let ask = self.asks.entry(resource.clone()).or_insert(new);
        ask.count = ask.count.saturating_add(1);
        ask.last_at = now;
        ask.trouble = None;
    }

    pub(crate) fn answered(&mut self, now: Timestamp, resource: &ResourceId, hardware: &str) -> bool {
        let Some(ask) = self.asks.get_mut(resource) else { return false };
        let news = ask.answered.is_none();
        ask.answered = Some((now, hardware.to_owned()));
        news
    }

    pub(crate) fn trouble(&mut self, resource: &ResourceId, trouble: String) {
        if let Some(ask) = self.asks.get_mut(resource) {
            ask.count = 0;
            ask.trouble = Some(trouble);
        }
    }

    pub(crate) fn peer_answered(&mut self, now: Timestamp, node: &NodeName) {
        self.peer_answered.insert(node.clone(), now);
    }

    pub(crate) fn peer_address(&mut self, node: NodeName, address: IpAddr) {
        let known = self.peer_addresses.entry(node).or_default();
        if known.len() < PEER_ADDRESSES_MAX {
            known.insert(address);
        }
    }

    /// Whether packets of that peer came from there, and of no other: one that somebody sends again from elsewhere makes no
    /// address another machine's.
    pub(crate) fn is_address_of(&self, node: &NodeName, address: IpAddr) -> bool {
        let mut from = self.peer_addresses.iter().filter(|(_, known)| known.contains(&address)).map(|(name, _)| name);
        from.next() == Some(node) && from.next().is_none()
    }

    /// Where packets of a peer came from.
    pub(crate) fn addresses_of(&self, node: &NodeName) -> Vec<IpAddr> {
        self.peer_addresses.get(node).into_iter().flatten().copied().collect()
    }

    /// ha.cf names that machine no more.
    pub(crate) fn forget_peer(&mut self, node: &NodeName) {
        self.peer_restarted(node);
        self.peer_answered.remove(node);
        self.peer_addresses.remove(node);
        self.handed.remove(node);
        self.forgotten.heard_of.remove(node);
        self.forgotten.strangers.remove(node);
    }

    pub(crate) fn peer_restarted(&mut self, node: &NodeName) {
        self.joins.remove(node);
        self.resigned = None;
        self.rival = None;
    }

    /// Whether the wire was asked often enough and is silent; else who answers, if anybody.
    pub(crate) fn wire_is_clear(&self, now: Timestamp, resource: &ResourceId) -> (bool, Option<String>) {
        let Some(ask) = self.asks.get(resource) else { return (false, None) };
        let silent = ask.answered.as_ref().is_none_or(|(at, _)| now.since(*at) >= SILENT_FOR);
        let long_enough = ask.count >= ASKS_MIN && ask.last_at.since(ask.first_at) >= SILENT_FOR * 2 / 3;
        let answered_by = match (&ask.answered, &ask.trouble) {
            (Some((_, hardware)), _) if !silent => Some(hardware.clone()),
            (_, trouble) => trouble.clone(),
        };
        (silent && long_enough, answered_by)
    }

    /// Whether nobody is to be let in, to go on alone, or to give way.
    pub(crate) fn rests(&self) -> bool {
        self.resigned.is_none()
            && self.verdict.is_none()
            && self.joins.is_empty()
            && self.rival.is_none()
            && self.split.is_none()
            && self.ahead_since.is_none()
            && self.asks.is_empty()
    }

    pub(crate) fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let silence = self.asks.values().filter_map(|ask| ask.answered.as_ref().map(|(at, _)| *at + SILENT_FOR));
        let rival = self.rival.as_ref().filter(|rival| !rival.won).map(|rival| rival.said_at + REPEAT);
        silence.chain(self.verdict_until).chain(rival).filter(|at| *at > now).min()
    }
}

impl Node {
    /// Whether the peer has been silent for so long that evidence is gathered (R-TAKE-6): from warntime on.
    fn peer_is_late(&self, now: Timestamp) -> bool {
        if self.is_many() {
            return self.holder_is_late(now);
        }
        let Some(peer) = self.peer() else { return false };
        let silent = now.since(self.members.silent_since(&peer)) >= self.config.cluster.timing.warntime;
        silent || !self.members.is_alive(&peer)
    }

    /// First epochs, permits and joins, by what is known at this moment.
    pub(crate) fn go_alone(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.alone.verdict = None;
        self.alone.verdict_until = None;
        // Who has to stop is settled also by a node that may start nothing yet (R-MEM-5), cannot write, or is to stop: it
        // would wait for ever for a successor that is in another epoch.
        self.go_on_with_rival(now);
        self.end_split(now);
        // A peer that came up without its state can take over what this node gives up only once it is let in.
        if self.shutdown.is_some() && self.alone.resigned.is_none() {
            return;
        }
        if self.disk_failed.is_some() || self.keeping.is_suspended() {
            return;
        }
        self.come_back_in(now);
        if let Some(refusal) = self.own_refusal() {
            self.alone.verdict = Some(refusal);
            return;
        }
        if self.ledger.has_no_epoch() {
            let reachable: Vec<NodeName> = self
                .members
                .peers()
                .filter(|(name, peer)| peer.is_alive() && !peer.is_cloned() && self.may_found(name))
                .filter(|(_, peer)| {
                    let claimed = peer.claimed.as_ref();
                    claimed.is_some_and(|claimed| claimed.epoch.is_none() && claimed.digest.0 == self.digest.0)
                })
                .map(|(name, _)| name.clone())
                .collect();
            // Where an epoch is heard of, what this machine and others have forgotten is not founded anew beside it.
            self.note_epochs_heard_of();
            let known = !self.alone.forgotten.heard_of.is_empty();
            if known {
                self.alone.verdict = self.waits_to_be_let_in();
            }
            if self.config.cluster.nodes.len() == 1 || (!reachable.is_empty() && !known && self.may_found(&self.local))
            {
                let waited_for = now >= self.members.started_at() + self.config.cluster.timing.initdead;
                self.ledger.poll_founding(now, &reachable, waited_for);
            }
        }
        if self.may_resume_alone() && !self.keeping.confirmed {
            return self.resume_alone(now);
        }
        if let Some(peer) = self.peer() {
            self.fence_unstopped_peer(now, &peer);
            // Also one that went on alone: its peer may have come back, run something, and died again before it voted.
            let held_there = self.ledger.record().is_some_and(|record| record.active_on(&peer).next().is_some());
            let needs_permit = !self.ledger.is_sole() || !self.keeping.confirmed || held_there;
            if needs_permit && self.is_no_pair() {
                self.alone.verdict = self.list_note();
            } else if needs_permit {
                self.ask_for_permit(now, &peer, out);
            }
        } else if let Some(other) = self.other_of_two().filter(|_| self.has_resigned()) {
            // Its own word forces nothing, whatever number of machines ha.cf lists here by now.
            self.ask_for_permit(now, &other, out);
        }
    }

    /// The other machine by what is agreed, where that names two; ha.cf may list more here by now.
    pub(crate) fn other_of_two(&self) -> Option<NodeName> {
        let agreed = self.ledger.record().map(|record| &record.node_order).filter(|agreed| agreed.len() == 2)?;
        agreed.iter().find(|name| **name != self.local).cloned()
    }

    /// The other one of two machines, by ha.cf or by what is agreed.
    pub(crate) fn only_other(&self) -> Option<NodeName> {
        self.peer().or_else(|| self.other_of_two())
    }

    /// Whether the other voter said that it has no part in our epoch any more.
    fn has_resigned(&self) -> bool {
        self.alone.resigned.as_ref().is_some_and(|epoch| Some(epoch) == self.ledger.epoch())
    }

    /// A sole voter listens for deadtime before it goes on: the other machine may have come up alone while this one was
    /// away, and then it is heard at once.
    fn resume_alone(&mut self, now: Timestamp) {
        let until = self.members.started_at() + self.config.cluster.timing.deadtime;
        let isolated = self.keeping.is_isolated() || !self.standing.links_have_carrier();
        if now < until || isolated {
            self.alone.verdict =
                Some("it went on alone before, and listens whether the other machine did too".to_owned());
            self.alone.verdict_until = Some(until).filter(|until| now < *until);
            return;
        }
        if let Some(other) = self.may_have_gone_on_since() {
            let text = "it went on alone by a tiebreaker that ha.cf does not name any more, and so may";
            let way = format!("start {other}, or restart hearthd here with the ha.cf of before");
            self.alone.verdict =
                Some(format!("{text} {other} have done since: it waits until {other} is heard; {way}"));
            return;
        }
        let text = match self.peer().filter(|peer| !self.members.is_alive(peer)) {
            Some(peer) if self.has_tiebreaker() || self.is_one_way(&peer) => {
                // Both can have gone on alone, one after the other: who comes up where the targets do not answer may be
                // the one that was taken for dead (R-PAIR-1). And who is heard keeps what it runs.
                match hearth_fencer::judge(self.policy(), &Facts { lost_at: until, ..self.facts(now, &peer) }) {
                    Verdict::Granted { reason, .. } => format!("Goes on alone as before: {reason}."),
                    Verdict::Waiting { reason, until } => {
                        self.alone.verdict = Some(format!("it went on alone before, but {reason}"));
                        self.alone.verdict_until = until;
                        return;
                    }
                    Verdict::Refused { reason } => {
                        self.alone.verdict = Some(format!("it went on alone before, but {reason}"));
                        return;
                    }
                    Verdict::MustFence => {
                        let reason = self.pursue(now, &peer);
                        self.alone.verdict = Some(format!("it went on alone before, but {reason}"));
                        return;
                    }
                }
            }
            _ => "Nobody else was heard: it goes on alone as before.".to_owned(),
        };
        self.keeping.confirmed = true;
        self.record_changed = true;
        self.chronicle.lead(now, Severity::Info, "resumed-alone", self.local.clone(), text);
    }

    /// The other one of two, where this node went on alone by a tiebreaker, and nothing that ha.cf names by now says whether
    /// that one has done so since (decision 0028).
    fn may_have_gone_on_since(&self) -> Option<NodeName> {
        let permit = self.ledger.record().and_then(|record| record.permit);
        let cluster = &self.config.cluster;
        let judged = self.has_tiebreaker() || cluster.permits.unfenced || cluster.fencing.is_configured();
        let by_tiebreaker = matches!(permit, Some(PermitKind::Tiebreaker | PermitKind::Watchdog));
        let other = self.only_other().filter(|_| by_tiebreaker && !judged)?;
        (!self.members.is_alive(&other) && self.word_on(&other).is_none()).then_some(other)
    }

    /// An end of the epoch without us was decided, though this run does not leave: an earlier run had asked for it, or the
    /// other machine had taken us for gone. Who does not vote of two machines, or is not the machine that the record
    /// knows, takes no part: it asks to be let in.
    fn come_back_in(&mut self, now: Timestamp) {
        let left_out = !self.ledger.has_no_epoch() && !self.ledger.takes_part();
        let heard = || self.members.peers().find(|(_, peer)| peer.is_alive()).map(|(name, _)| name.clone());
        let Some(peer) = self.peer().or_else(|| heard().filter(|_| self.is_many())).filter(|_| left_out) else {
            return;
        };
        let text = format!("{peer} goes on as agreed before, without this node: it asks to be let in again.");
        self.chronicle.lead(now, Severity::Warning, "left-out", self.local.clone(), text);
        self.lose(now, &peer, now, false);
        // It was agreed on, so there were no two sides.
        self.alone.split = None;
    }

    fn policy(&self) -> Policy {
        let permits = self.config.cluster.permits;
        let fencing = self.config.cluster.fencing.is_configured();
        let tiebreaker_disk = self.config.cluster.tiebreaker_disk.is_some();
        Policy { fencing, tiebreaker_ping: permits.tiebreaker_ping, tiebreaker_disk, unfenced: permits.unfenced }
    }

    /// One sentence on what the permits do not protect from (R-PAIR-4).
    pub(crate) fn protection(&self, now: Timestamp) -> String {
        let sentence = hearth_fencer::protection(self.policy(), self.config.cluster.nodes.len());
        let trouble = self.fence_trouble(now).or_else(|| self.tiebreaker.note());
        trouble.map_or(sentence.clone(), |trouble| format!("{sentence} {trouble}"))
    }

    fn ask_for_permit(&mut self, now: Timestamp, peer: &NodeName, out: &mut Vec<Output>) {
        let facts = self.facts(now, peer);
        if !facts.resigned && self.keeping.confirmed && self.members.is_alive(peer) {
            // There is nothing to ask for, and nobody who takes part is told what he waits for.
            return;
        }
        match hearth_fencer::judge(self.policy(), &facts) {
            Verdict::Granted { permit, reason } => self.force(now, peer, permit, reason, out),
            Verdict::Waiting { reason, until } => {
                self.alone.verdict = Some(reason);
                self.alone.verdict_until = until;
            }
            Verdict::MustFence => self.alone.verdict = Some(self.pursue(now, peer)),
            Verdict::Refused { reason } => {
                let way = format!("if it is off, say `hearth node confirm-off {peer}`");
                self.alone.verdict = Some(format!("{reason}; {way}"));
            }
        }
    }

    fn is_one_way(&self, peer: &NodeName) -> bool {
        self.members.peer(peer).is_some_and(|view| view.liveness == hearth_membership::Liveness::OneWay)
    }

    /// What a permit is judged by, as of now.
    fn facts(&self, now: Timestamp, peer: &NodeName) -> Facts {
        let lease = self.config.cluster.timing.lease();
        let view = self.members.peer(peer);
        let resigned = self.has_resigned();
        let asked = self.alone.peer_asked_since.is_some_and(|at| now.since(at) >= SILENT_FOR);
        Facts {
            now,
            peer: peer.clone(),
            lost_at: self.members.lost_at(peer),
            alive: view.is_some_and(|view| view.is_alive()) && !resigned,
            one_way: self.is_one_way(peer),
            // While no link of ours has carrier, the peer's silence says nothing of the peer (R-MEM-7).
            isolated: self.keeping.is_isolated() || !self.standing.links_have_carrier(),
            resigned,
            fenced: self.word_on(peer),
            pings: self.standing.pings(now, lease),
            pings_for: self.standing.favoured_for(now, lease),
            peer_asked: asked || self.peer_addresses(peer).is_empty(),
            peer_answered_at: self.alone.peer_answered.get(peer).copied(),
            lease,
            claimed: self.claimed_since(now),
            claim_wait: self.claim_wait(peer),
            watchdog: self.watchdog_of(peer).is_some(),
        }
    }

    fn force(&mut self, now: Timestamp, peer: &NodeName, permit: PermitKind, reason: String, out: &mut Vec<Output>) {
        let lease = self.config.cluster.timing.lease();
        let answered = self.alone.peer_answered.get(peer);
        let known = !self.peer_addresses(peer).is_empty();
        // Silence counts where something was asked, or a file system would be mounted beside one whose machine lives.
        let asked = self.alone.peer_asked_since.is_some_and(|at| now.since(at) >= SILENT_FOR);
        let silent = known && asked && answered.is_none_or(|at| now.since(*at) >= lease);
        let node_silent = match permit {
            PermitKind::Resigned | PermitKind::Fenced => true,
            PermitKind::Watchdog => self.is_reset(now, peer),
            // Who loses a claim lives, cut off: that it does not answer says nothing (decision 0064).
            PermitKind::Tiebreaker if self.config.cluster.tiebreaker_disk.is_some() => {
                let text =
                    format!("what {peer} may have mounted waits for its word, or for `hearth node confirm-off {peer}`");
                self.alone.verdict = Some(text);
                false
            }
            PermitKind::Tiebreaker | PermitKind::Unfenced => silent,
        };
        let said = self.permit_to_say(permit);
        let forced = Entry::Forced { node: peer.clone(), permit: said, node_silent };
        if self.ledger.is_sole() && self.keeping.confirmed {
            return self.release_lost(now, forced, peer, &reason, out);
        }
        let weight = self.executor_weight();
        self.chronicle.lead(now, Severity::Warning, "permit", peer, format!("Goes on alone ({permit}): {reason}."));
        let mut entries = Vec::new();
        if self.ledger.record().is_none() {
            entries.push(self.own_configuration());
        }
        entries.push(forced);
        if let Some(how) = self.word_on(peer).filter(|_| said == PermitKind::Fenced) {
            let known = self.ledger.record().and_then(|record| record.nodes.get(peer));
            let admission = known.map(|node| node.admission).unwrap_or_default();
            let upto = self.known_at_order(peer);
            entries.push(Entry::Fenced { node: peer.clone(), admission, how, upto, request: None });
        }
        self.ledger.set_note("fork-weight", &weight.to_string());
        self.ledger.set_note("heard-other", "");
        self.ledger.force(said, entries);
        self.keeping.confirmed = true;
        self.alone.resigned = None;
        self.drain_ledger(now, out);
    }

    /// Whether the peer's watchdog has reset it beyond doubt; if not, the verdict says when that will be.
    fn is_reset(&mut self, now: Timestamp, peer: &NodeName) -> bool {
        let (Some(timeout), Ok(claimed)) = (self.watchdog_of(peer), self.claimed_since(now)) else { return false };
        let at = self.reset_beyond_doubt_at(peer, timeout, claimed);
        if now < at {
            let text =
                format!("what ran on {peer} besides addresses moves when its watchdog has reset it beyond doubt");
            (self.alone.verdict, self.alone.verdict_until) = (Some(text), Some(at));
        }
        now >= at
    }

    /// What may be active on a lost peer of a node that goes on alone already: the permit clears it, if it clears anything.
    fn release_lost(&mut self, now: Timestamp, entry: Entry, peer: &NodeName, reason: &str, out: &mut Vec<Output>) {
        let Some(record) = self.ledger.record() else { return };
        let mut next = record.clone();
        let refused = next.apply(next.applied.next(), &entry).is_err();
        if refused || next.active_on(peer).count() >= record.active_on(peer).count() {
            return;
        }
        self.chronicle.lead(now, Severity::Warning, "permit", peer, format!("{peer} is lost again: {reason}."));
        self.propose(entry);
        self.drain_ledger(now, out);
    }

    /// How many resources this node runs: what it brings into a comparison of rivals.
    fn executor_weight(&self) -> u32 {
        let Some(record) = self.ledger.record() else { return 0 };
        record.active_on(&self.local).count() as u32
    }

    /// Addresses at which a peer can be asked: those of ha.cf and those that its packets came from.
    fn peer_addresses(&self, peer: &NodeName) -> Vec<IpAddr> {
        // Of two machines, every ucast line that does not lead to ourselves leads to the peer; the driver leaves out
        // our own addresses.
        let written = self.config.cluster.media.iter().filter_map(|medium| match medium {
            Medium::Ucast { peer, .. } => Some(*peer),
            _ => None,
        });
        let seen = self.alone.peer_addresses.get(peer).into_iter().flatten().copied();
        written.chain(seen).collect::<BTreeSet<IpAddr>>().into_iter().collect()
    }

    /// Keeps the driver asking the wire for what may have to be taken without its old owner's word.
    pub(crate) fn ask_wire(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let mut wanted: BTreeSet<ResourceId> = self.needs_wire.clone();
        let decided = self.ledger.is_sole() && self.keeping.confirmed;
        let late = self.peer_is_late(now) && !decided;
        if late {
            let held = self.held_addresses();
            let addresses = self.guarded.iter().map(|spec| spec.id.clone());
            wanted.extend(addresses.filter(|id| !held.contains(id)));
        }
        self.alone.asks.retain(|resource, _| wanted.contains(resource));
        if wanted != self.asked {
            self.asked.clone_from(&wanted);
            out.push(Output::AskWire { resources: wanted.into_iter().collect() });
        }
        let peers: BTreeSet<NodeName> =
            self.peer().filter(|peer| late || self.waits_for_silence(peer)).into_iter().collect();
        if peers != self.probed_peers {
            self.probed_peers.clone_from(&peers);
            self.alone.peer_asked_since = (!peers.is_empty()).then_some(now);
            self.alone.peer_answered.clear();
            let nodes = peers.iter().map(|peer| (peer.clone(), self.peer_addresses(peer))).collect();
            out.push(Output::ProbePeer { nodes });
        }
    }

    /// Whether something may be active on a lost peer that only its silence clears: it is asked until then.
    fn waits_for_silence(&self, peer: &NodeName) -> bool {
        let held_there = self.ledger.record().is_some_and(|record| record.active_on(peer).next().is_some());
        held_there && !self.members.is_alive(peer)
    }

    pub(crate) fn take_wire_answer(&mut self, now: Timestamp, resource: ResourceId, hardware: String) {
        if self.alone.answered(now, &resource, &hardware) && !self.ledger.has_no_epoch() {
            let text = format!("Another machine ({hardware}) answers for {resource}: it is not taken while it does.");
            self.chronicle.note(now, Severity::Warning, "wire-answered", &resource, text);
        }
    }

    /// The record of a node that has no epoch: the resources of its own files, none of them wanted.
    pub(crate) fn empty_shadow(&self) -> Option<Record> {
        let name = EpochName { number: 0, founder: self.local.clone(), nonce: 0 };
        let mut record = Record::found(name, Vec::new());
        let index = record.applied.next();
        record.apply(index, &self.whole_configuration()).ok()?;
        Some(record)
    }

    fn ask_to_join(&mut self, now: Timestamp, node: &NodeName) {
        // What this node ran must be known before it is let in: it has probed everything, or says what may run.
        if !self.shadow_probed || now.since(self.alone.joined_at) < REPEAT {
            return;
        }
        // What the split cost is told with the request; a stop that hangs is not waited for.
        if let Some(split) = self.alone.split.clone() {
            if now.since(split.lost_at) < SPLIT_TOLD_WITHIN {
                return;
            }
            if !split.told {
                self.tell_overlap(now, &split.peer, now.since(split.since));
            }
        }
        self.alone.joined_at = now;
        let may_run: Vec<ResourceId> = self.held();
        let join = Join {
            identity: self.ledger.identity(),
            incarnation: self.incarnation,
            may_run,
            number_seen: self.ledger.number_seen(),
            overlap_ms: self.alone.overlap_to_tell.map(|span| span.as_millis() as u64),
            given_up: self.ledger.given_up().to_vec(),
        };
        let dc = self.members.peer(node).and_then(|peer| peer.claimed.as_ref()).and_then(|claimed| claimed.dc.clone());
        match dc.filter(|dc| self.is_many() && dc != node) {
            Some(dc) if self.members.is_alive(&dc) => self.ledger.ask_to_join(&dc, join),
            Some(_) => {
                let message = Box::new(PeerMessage::Ledger(Box::new(LedgerMessage::Join(join))));
                self.say(node, &PeerMessage::Relay { origin: self.local.clone(), message });
            }
            None => self.ledger.ask_to_join(node, join),
        }
    }

    pub(crate) fn take_join(&mut self, now: Timestamp, from: &NodeName, join: Join) {
        self.ledger.saw_number(join.number_seen);
        let claimed = self.members.peer(from).and_then(|peer| peer.claimed.as_ref());
        if self.beyond(from).is_some() && claimed.is_some_and(|claimed| claimed.identity == join.identity) {
            // It asks as what it was; that it must not be it hears with our heartbeat.
            return;
        }
        let Some(record) = self.ledger.record() else { return };
        let voter = record.voters.iter().find(|voter| voter.name == *from).map(|voter| voter.identity);
        let gave_up = join.given_up.contains(&record.epoch);
        match voter {
            Some(identity) if identity == join.identity && !gave_up && !self.is_refused(from) => {
                self.ledger.offer(from)
            }
            Some(_) if self.is_many() && self.other_of_two().as_ref() != Some(from) => {
                _ = self.alone.joins.insert(from.clone(), join)
            }
            Some(_) if join.may_run.is_empty() => {
                // It is the voter's machine without the voter's state, or with a daemon that had to give it up (R-WIRE-6):
                // its word that it does not vote (section 5).
                if self.alone.resigned.is_none() {
                    let text = format!("{from} came up without a part in this epoch and runs nothing.");
                    self.chronicle.lead(now, Severity::Warning, "resigned", from, text);
                }
                self.alone.resigned = Some(record.epoch.clone());
            }
            Some(_) => {}
            None => {
                if let Some(ms) = join.overlap_ms.filter(|_| !self.alone.joins.contains_key(from)) {
                    let text = format!("{from} reports that there may have been two owners for up to {ms} ms.");
                    self.chronicle.lead(now, Severity::Error, "two-owners-possible", from, text.clone());
                    let overlap = Duration::from_millis(ms);
                    self.alert_alone(now, AlertKind::SplitHealed { overlap }, from, text);
                }
                self.alone.joins.insert(from.clone(), join);
            }
        }
    }
}
