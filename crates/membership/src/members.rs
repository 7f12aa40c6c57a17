//! All peers of this node.

use crate::peers::Peers;
use crate::{Change, LateCause, Liveness, PeerLink, PeerView};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use hearth_types::{Incarnation, LinkId, MessageNumber, NodeName, Timestamp};
use hearth_wire::{Heartbeat, PeerReport, WINDOW_BITS};
use serde::{Deserialize, Serialize};

/// Send times that are remembered: at K = D/8 a lease needs 8, a round trip fewer; the rest is room for slow links.
const SENT_MAX: usize = 128;
/// Packets with rising numbers after which a second incarnation counts as alive and not as packets still under way.
const CLONE_AFTER: u8 = 3;

/// What the judgement of peers depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Params {
    /// This node.
    pub local: NodeName,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Everybody else.
    pub peers: Vec<NodeName>,
    /// K.
    pub keepalive: Duration,
    /// D.
    pub deadtime: Duration,
    /// Lateness that is reported.
    pub warntime: Duration,
    /// Replaces D from the start until a peer's first packet (R-MEM-8).
    pub initdead: Duration,
}

/// Membership of this node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Members {
    params: Params,
    peers: Peers,
    /// From when silence counts: start, or the end of an own pause (R-MEM-5).
    listening_since: Timestamp,
    started_at: Timestamp,
    number: MessageNumber,
    sequence: u64,
    sent: VecDeque<(MessageNumber, Timestamp)>,
    own_clone: PeerView,
    stall: Duration,
    stalled_at: Option<Timestamp>,
    /// After an own stall nobody is declared dead before what arrived meanwhile can have been read.
    dead_not_before: Timestamp,
}

impl Members {
    /// Nobody heard yet.
    pub fn new(params: Params, now: Timestamp) -> Members {
        let peers = Peers::new(&params.peers);
        Members {
            params,
            peers,
            listening_since: now,
            started_at: now,
            number: MessageNumber(0),
            sequence: 0,
            sent: VecDeque::new(),
            own_clone: PeerView::new(),
            stall: Duration::ZERO,
            stalled_at: None,
            dead_not_before: Timestamp::ZERO,
        }
    }

    /// Times and peers changed by a reload; what is known of peers that stay is kept.
    pub fn reconfigure(&mut self, params: Params) {
        self.peers.retain(|name| params.peers.contains(name));
        for name in &params.peers {
            self.peers.add(name);
        }
        self.params = params;
    }

    /// The links of this node have new numbers by a reload: what `moved` leads to keeps what is known of it, what it does
    /// not name is gone without a word, and what it does not lead to begins anew.
    pub fn renumber(&mut self, moved: &BTreeMap<LinkId, LinkId>) {
        for (_, peer) in self.peers.iter_mut() {
            let links = core::mem::take(&mut peer.links);
            peer.links = links.into_iter().filter_map(|(link, known)| Some((*moved.get(&link)?, known))).collect();
        }
    }

    /// This node did not run for `gap` (R-MEM-5): nobody is accused for that time.
    pub fn paused(&mut self, now: Timestamp, gap: Duration) {
        self.stall = self.stall.max(gap);
        self.stalled_at = Some(now);
        self.dead_not_before = now + self.params.keepalive / 2;
        if gap > self.params.deadtime * 4 / 5 {
            self.listening_since = now;
        }
    }

    /// Every link of this node was dead and one is back: nobody is accused before deadtime of listening.
    pub fn listen_anew(&mut self, now: Timestamp) {
        self.listening_since = now;
    }

    /// Longest stall since it was last asked for; asking clears it.
    pub fn take_stall(&mut self) -> Duration {
        core::mem::take(&mut self.stall)
    }

    /// Number for a new heartbeat that is made now.
    pub fn next_message(&mut self, now: Timestamp) -> MessageNumber {
        self.number = self.number.next();
        if self.sent.len() == SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((self.number, now));
        self.number
    }

    /// Sequence number of the next heartbeat that is sent, on whichever links.
    pub fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// When the message of that number was made; none if it is too old.
    pub fn sent_at(&self, number: MessageNumber) -> Option<Timestamp> {
        let (oldest, _) = self.sent.front()?;
        let position = number.0.checked_sub(oldest.0)? as usize;
        self.sent.get(position).map(|(_, at)| *at)
    }

    /// Takes a heartbeat. `at` is when it was received, `link` the one of ours that it came in on. True if it was fresh
    /// and counts.
    pub fn heard(
        &mut self,
        now: Timestamp,
        at: Timestamp,
        link: LinkId,
        heartbeat: &Arc<Heartbeat>,
        out: &mut Vec<Change>,
    ) -> bool {
        if heartbeat.from == self.params.local {
            self.heard_own_name(now, heartbeat, out);
            return false;
        }
        let report = heartbeat.peers.iter().find(|report| report.node == self.params.local);
        let (by, next) = (self.judgement(now), self.number.next());
        let heard_made_at = report.and_then(|report| self.sent_at(report.heard));
        let Some(peer) = self.peers.get_mut(&heartbeat.from) else { return false };
        let names_us = report.is_some_and(|report| report.incarnation == self.params.incarnation);
        if peer.replaced.contains(&heartbeat.incarnation) {
            let heard = report.filter(|_| names_us).map_or(MessageNumber(0), |report| report.heard);
            if peer.liveness != Liveness::Dead {
                // R-WIRE-4: packets still under way, and recordings, are old news; rising numbers of somebody who hears
                // what we say after the switch are a second machine.
                let current = peer.incarnation.unwrap_or(Incarnation(0));
                let is_live = peer.is_live(heartbeat.incarnation, heard, next) && names_us;
                if is_live && note_clone(peer, heartbeat, now, current) {
                    out.push(Change::Cloned { node: heartbeat.from.clone() });
                }
            }
            let made_at = heard_made_at.filter(|made_at| names_us && now.since(*made_at) < by.deadtime);
            let answers = peer.answers(at, heartbeat, heard, made_at, next);
            if !answers || peer.liveness != Liveness::Dead {
                return false;
            }
            end_cloned(peer, &heartbeat.from, out);
        }
        let returns = peer.replaced.contains(&heartbeat.incarnation);
        if !returns && peer.incarnation.is_some_and(|known| known != heartbeat.incarnation) {
            let heard = report.filter(|_| names_us).map_or(MessageNumber(0), |report| report.heard);
            if !peer.is_live(heartbeat.incarnation, heard, next) && names_us {
                // R-WIRE-4: it names this run of ours, and so does every recording of a run before the one that counts.
                return false;
            }
        }
        if !names_us {
            // It has not heard this run of ours: it may be new, or a replay. Our reports name it; no more.
            if peer.incarnation.is_none_or(|known| known != heartbeat.incarnation) {
                let same = peer.candidate == Some(heartbeat.incarnation);
                peer.candidate_newest =
                    if same { peer.candidate_newest.max(heartbeat.number) } else { heartbeat.number };
                peer.candidate = Some(heartbeat.incarnation);
            }
            // It named us when it began to count: an older word that does not is a recording from before (R-WIRE-4).
            if peer.incarnation != Some(heartbeat.incarnation) || heartbeat.number <= peer.newest {
                return false;
            }
        }
        if peer.incarnation != Some(heartbeat.incarnation)
            && let Some(old) = peer.replace(heartbeat.incarnation)
        {
            let (node, new) = (heartbeat.from.clone(), heartbeat.incarnation);
            out.push(if returns { Change::Returned { node, old, new } } else { Change::Restarted { node, old, new } });
        }
        // A link that has not been heard remembers nothing: what no other link's window would remember is not new to it.
        if heartbeat.number.0 + WINDOW_BITS <= peer.newest.0 {
            return false;
        }
        let peer_link = peer.links.entry(link).or_insert_with(PeerLink::new);
        if !peer_link.window.accept(heartbeat.sequence) {
            return false;
        }
        if peer_link.heard(at, heartbeat.sequence, self.params.keepalive) {
            out.push(Change::LinkUp { node: heartbeat.from.clone(), link });
        }
        let ours = report.filter(|_| names_us);
        if let (Some(report), Some(made_at)) = (ours, heard_made_at) {
            // Only a prompt answer measures the line and not the keepalive.
            peer_link.measured(now.since(made_at).saturating_sub(Duration::from_micros(report.age_us.into())));
        }
        let silent = at.since(peer.last_heard_at);
        let first_copy = heartbeat.number > peer.newest;
        if first_copy {
            // Only what is news is a sign of life: a copy could have been kept by somebody (R-WIRE-4).
            peer.last_heard_at = peer.last_heard_at.max(at);
            peer.second = None;
            let skipped = heartbeat.number.0 - peer.newest.0 - 1;
            end_lateness(peer, heartbeat, silent, skipped, self.stalled_at, out);
            peer.newest = heartbeat.number;
            peer.claimed = Some(heartbeat.clone());
        }
        if let Some(report) = ours.filter(|_| first_copy) {
            peer.take_report(at, report, by.deadtime);
        }
        judge(&heartbeat.from, peer, &by, out);
        true
    }

    /// What we sent ourselves, or a second machine with our name.
    fn heard_own_name(&mut self, now: Timestamp, heartbeat: &Heartbeat, out: &mut Vec<Change>) {
        let own = self.params.incarnation;
        let names_us = || heartbeat.peers.iter().any(|report| self.peers.get(&report.node).is_some());
        if heartbeat.incarnation != own && names_us() && note_clone(&mut self.own_clone, heartbeat, now, own) {
            out.push(Change::Cloned { node: heartbeat.from.clone() });
        }
    }

    fn judgement(&self, now: Timestamp) -> Judgement {
        Judgement {
            now,
            deadtime: self.params.deadtime,
            listening_since: self.listening_since,
            dead_not_before: self.dead_not_before,
        }
    }

    /// Judges everybody: to be called when [`Members::next_deadline`] has come.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<Change>) {
        let by = self.judgement(now);
        let (warntime, deadtime, listening) = (self.params.warntime, self.params.deadtime, self.listening_since);
        for (name, peer) in self.peers.iter_mut() {
            judge(name, peer, &by, out);
        }
        for (name, peer) in self.peers.iter_mut() {
            if let Some((since, told)) = peer.one_way.as_mut().filter(|(_, told)| !told)
                && now.is_past(*since, deadtime)
            {
                *told = true;
                out.push(Change::OneWay { node: name.clone() });
            }
            let heard_at = peer.last_heard_at.max(listening);
            if !peer.late && peer.is_alive() && now.is_past(heard_at, warntime) {
                peer.late = true;
                out.push(Change::Late { node: name.clone(), silent: now.since(peer.last_heard_at) });
            }
            for (link, state) in &mut peer.links {
                if state.up && now.is_past(state.last_heard_at.max(listening), deadtime) {
                    state.died();
                    out.push(Change::LinkDied { node: name.clone(), link: *link });
                }
            }
            end_clone(name, peer, &by, out);
        }
        end_clone(&self.params.local, &mut self.own_clone, &by, out);
    }

    /// The next moment at which silence would change a judgement.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        let mut at_latest = |at: Timestamp| next = Some(next.map_or(at, |known| known.min(at)));
        for (_, peer) in self.peers.iter() {
            let heard_at = peer.last_heard_at.max(self.listening_since);
            if matches!(peer.liveness, Liveness::Alive | Liveness::OneWay) {
                at_latest((heard_at + self.params.deadtime).max(self.dead_not_before));
            }
            if let Some((since, false)) = peer.one_way {
                at_latest(since + self.params.deadtime);
            }
            if peer.is_alive() && !peer.late {
                at_latest(heard_at + self.params.warntime);
            }
            for link in peer.links.values().filter(|link| link.up) {
                at_latest(link.last_heard_at.max(self.listening_since) + self.params.deadtime);
            }
            if let Some(at) = peer.clone_seen_at {
                at_latest(at.max(self.listening_since) + self.params.deadtime);
            }
        }
        if let Some(at) = self.own_clone.clone_seen_at {
            at_latest(at.max(self.listening_since) + self.params.deadtime);
        }
        next
    }

    /// What our next heartbeat says of every peer. `vouch` decides for whom we may vouch (R-LEASE-1).
    pub fn reports(&mut self, now: Timestamp, vouch: impl Fn(&NodeName) -> bool) -> Vec<PeerReport> {
        let mut reports = Vec::new();
        for (name, peer) in self.peers.iter_mut() {
            // The candidate is named until it counts, or it could never count (R-WIRE-4).
            let alive = matches!(peer.liveness, Liveness::Alive | Liveness::OneWay);
            let known = peer.incarnation.filter(|_| alive || peer.candidate.is_none());
            let Some(incarnation) = known.or(peer.candidate) else { continue };
            let counts = peer.incarnation == Some(incarnation);
            let mut links = 0;
            for (link, state) in &peer.links {
                if !now.is_past(state.last_heard_at, self.params.deadtime) && link.0 < 64 {
                    links |= 1 << link.0;
                }
            }
            let age = now.since(peer.last_heard_at).as_micros().min(u128::from(u32::MAX)) as u32;
            let may_vouch = counts && peer.is_alive() && !peer.is_cloned() && vouch(name);
            if may_vouch {
                peer.last_vouched_at = Some(peer.last_heard_at);
            }
            reports.push(PeerReport {
                node: name.clone(),
                incarnation,
                heard: if counts { peer.newest } else { peer.candidate_newest },
                age_us: if counts { age } else { u32::MAX },
                links,
                vouch: may_vouch.then_some(peer.newest),
                alive: None,
                beyond: None,
            });
        }
        reports
    }

    /// When the newest of our heartbeats was made that this peer vouched for (R-LEASE-1); none: it vouches for nothing.
    pub fn vouched_at(&self, node: &NodeName) -> Option<Timestamp> {
        let peer = self.peers.get(node)?;
        if peer.is_cloned() || self.own_clone.is_cloned() {
            return None;
        }
        self.sent_at(peer.vouched?)
    }

    /// When the newest heartbeat of that peer that this run vouched for arrived. A run that has not vouched for it counts
    /// from its start: what the one before it vouched for it cannot know (R-LEASE-3).
    pub fn last_vouched_at(&self, node: &NodeName) -> Timestamp {
        self.peers.get(node).and_then(|peer| peer.last_vouched_at).unwrap_or(self.started_at)
    }

    /// Whether a peer has not been alive for deadtime by our own ears (R-LEASE-2); for initdead from the start if it was
    /// not heard in this run.
    pub fn is_dead(&self, node: &NodeName, now: Timestamp) -> bool {
        let Some(peer) = self.peers.get(node) else { return false };
        match peer.liveness {
            Liveness::Alive => false,
            Liveness::Dead => true,
            // Somebody who has only just been heard may not have heard us yet.
            Liveness::OneWay => peer.one_way.is_some_and(|(_, told)| told),
            Liveness::NeverSeen => now >= self.lost_at(node),
        }
    }

    /// What is known of a peer.
    #[inline]
    pub fn peer(&self, node: &NodeName) -> Option<&PeerView> {
        self.peers.get(node)
    }

    /// All peers.
    #[inline]
    pub fn peers(&self) -> impl Iterator<Item = (&NodeName, &PeerView)> + Clone {
        self.peers.iter()
    }

    /// Whether a peer counts as there for decisions.
    #[inline]
    pub fn is_alive(&self, node: &NodeName) -> bool {
        self.peers.get(node).is_some_and(PeerView::is_alive)
    }

    /// Since when a peer has been silent, as far as this node may judge: from its last packet, our start, or the end of
    /// our own pause, whichever is latest.
    pub fn silent_since(&self, node: &NodeName) -> Timestamp {
        let heard_at = self.peers.get(node).map_or(Timestamp::ZERO, |peer| peer.last_heard_at);
        heard_at.max(self.listening_since)
    }

    /// When this run began.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// When a peer that is silent counts as lost: after deadtime if it was heard in this run, else after initdead from
    /// the start (R-MEM-8).
    pub fn lost_at(&self, node: &NodeName) -> Timestamp {
        let heard = self.peers.get(node).is_some_and(|peer| peer.liveness != Liveness::NeverSeen);
        if heard {
            (self.silent_since(node) + self.params.deadtime).max(self.dead_not_before)
        } else {
            (self.started_at + self.params.initdead).max(self.listening_since + self.params.deadtime)
        }
    }

    /// Whether somebody else uses our own name.
    pub fn is_own_name_cloned(&self) -> bool {
        self.own_clone.is_cloned()
    }

    /// Whether anything fresh was heard of anybody since `since`.
    pub fn heard_since(&self, since: Timestamp) -> bool {
        self.peers.iter().any(|(_, peer)| peer.last_heard_at > since)
    }
}

/// What one judgement depends on.
struct Judgement {
    now: Timestamp,
    deadtime: Duration,
    listening_since: Timestamp,
    dead_not_before: Timestamp,
}

/// Judges one peer by what has been heard until now.
fn judge(name: &NodeName, peer: &mut PeerView, by: &Judgement, out: &mut Vec<Change>) {
    let Judgement { now, deadtime, listening_since, dead_not_before } = *by;
    if peer.incarnation.is_none() {
        return;
    }
    let gone =
        |peer: &PeerView| now.is_past(peer.last_heard_at.max(listening_since), deadtime) && now >= dead_not_before;
    if peer.liveness != Liveness::Dead
        && gone(peer)
        && let Some((old, new)) = peer.take_back(now, deadtime)
    {
        // Nobody is dead while a machine of that name has answered (R-WIRE-4): else it would be taken over alive.
        out.push(Change::Returned { node: name.clone(), old, new });
        end_cloned(peer, name, out);
    }
    let heard_at = peer.last_heard_at.max(listening_since);
    let heard_us_at = peer.heard_us_at.max(listening_since);
    let liveness = if peer.last_heard_at == Timestamp::ZERO {
        Liveness::NeverSeen
    } else if now.is_past(heard_at, deadtime) && now < dead_not_before {
        peer.liveness
    } else if now.is_past(heard_at, deadtime) {
        Liveness::Dead
    } else if peer.heard_us_at == Timestamp::ZERO || heard_at.is_past(heard_us_at, deadtime) {
        // Its own word says so (R-MEM-3); silence says nothing of what it hears.
        Liveness::OneWay
    } else {
        Liveness::Alive
    };
    let before = peer.liveness;
    // Listening anew accuses nobody and acquits nobody: who was dead comes back by a packet, who did not hear us by its
    // own word (R-MEM-3, R-MEM-5).
    let unheard = before == Liveness::Dead && peer.last_heard_at == peer.silent_from;
    let still_deaf = before == Liveness::OneWay && peer.last_heard_at.is_past(peer.heard_us_at, deadtime);
    if liveness == before || unheard || (still_deaf && liveness == Liveness::Alive) {
        return;
    }
    peer.liveness = liveness;
    let node = name.clone();
    match (before, liveness) {
        (_, Liveness::Dead) => {
            out.push(Change::Died { node, silent: now.since(peer.last_heard_at) });
            peer.silent_from = peer.last_heard_at;
            peer.late = false;
            peer.one_way = None;
        }
        (Liveness::Alive, Liveness::OneWay) => {
            peer.one_way = Some((now, true));
            out.push(Change::OneWay { node });
        }
        // Somebody who has only just been heard may not have heard us yet: told when it lasts.
        (_, Liveness::OneWay) => peer.one_way = Some((now, false)),
        (_, Liveness::Alive) => {
            let told = peer.one_way.take().is_some_and(|(_, told)| told);
            let silent = (peer.silent_from > Timestamp::ZERO).then(|| now.since(peer.silent_from));
            peer.alive_since = now;
            out.push(if told { Change::TwoWay { node } } else { Change::Appeared { node, silent } });
        }
        (_, Liveness::NeverSeen) => {}
    }
}

/// Counts packets of an incarnation that should not be there; true if it has just become a clone.
fn note_clone(peer: &mut PeerView, heartbeat: &Heartbeat, now: Timestamp, current: Incarnation) -> bool {
    let (incarnation, newest, count) = peer.clone_numbers;
    if heartbeat.incarnation == current || (incarnation == heartbeat.incarnation && heartbeat.number <= newest) {
        return false;
    }
    let count = if incarnation == heartbeat.incarnation { count.saturating_add(1) } else { 1 };
    peer.clone_numbers = (heartbeat.incarnation, heartbeat.number, count);
    if count < CLONE_AFTER {
        return false;
    }
    peer.clone_seen_at.replace(now).is_none()
}

fn end_clone(name: &NodeName, peer: &mut PeerView, by: &Judgement, out: &mut Vec<Change>) {
    // What could not be heard while this node stood still is no silence (R-MEM-5).
    let silent = |at: Timestamp| by.now.since(at.max(by.listening_since));
    if peer.clone_seen_at.is_some_and(|at| silent(at) >= by.deadtime) {
        end_cloned(peer, name, out);
    }
}

fn end_cloned(peer: &mut PeerView, name: &NodeName, out: &mut Vec<Change>) {
    peer.clone_numbers = (Incarnation(0), MessageNumber(0), 0);
    if peer.clone_seen_at.take().is_some() {
        out.push(Change::CloneGone { node: name.clone() });
    }
}

fn end_lateness(
    peer: &mut PeerView,
    heartbeat: &Heartbeat,
    silent: Duration,
    skipped: u64,
    stalled_at: Option<Timestamp>,
    out: &mut Vec<Change>,
) {
    if !core::mem::take(&mut peer.late) {
        return;
    }
    let stall = Duration::from_micros(heartbeat.stall_us.into());
    let cause = if stalled_at.is_some_and(|at| at + silent >= peer.last_heard_at) && stall < silent / 2 {
        LateCause::ReceiverStalled
    } else if stall >= silent / 2 || skipped == 0 {
        LateCause::SenderStalled
    } else {
        LateCause::LinkLost
    };
    out.push(Change::LateEnded { node: heartbeat.from.clone(), silent, cause });
}
