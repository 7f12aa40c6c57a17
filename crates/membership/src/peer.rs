//! What we believe of one peer.

use crate::PeerLink;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use hearth_types::{Incarnation, LinkId, MessageNumber, Timestamp};
use hearth_wire::{Heartbeat, PeerReport};
use serde::{Deserialize, Serialize};

/// Replaced incarnations that are remembered per peer: one a start; the oldest is forgotten first, and by then any
/// replay of it fails because it does not name our incarnation.
const REPLACED_MAX: usize = 64;

/// Unknown incarnations of one peer that are remembered at once; recordings of more push out the oldest.
const CHALLENGES_MAX: usize = 16;

/// Whether a peer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Liveness {
    /// Not heard in this run.
    NeverSeen,
    /// Heard within deadtime, and it hears us.
    Alive,
    /// Heard within deadtime, and it does not hear us (R-MEM-3).
    OneWay,
    /// Silent for deadtime.
    Dead,
}

/// What is known of one peer. Fields that end in `claimed` are its own words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerView {
    /// The incarnation that counts.
    pub incarnation: Option<Incarnation>,
    /// Last packet seen of an incarnation that does not count yet.
    pub(crate) candidate: Option<Incarnation>,
    /// Newest message number of the candidate: told to it, so that it can be seen to be live.
    pub(crate) candidate_newest: MessageNumber,
    /// Unknown incarnations, oldest first, each with the message number of ours that it must have heard before it
    /// replaces the one that counts: a recording has not.
    pub(crate) challenges: Vec<(Incarnation, MessageNumber)>,
    pub(crate) replaced: Vec<Incarnation>,
    /// Whether it counts.
    pub liveness: Liveness,
    /// Last fresh packet on any link.
    pub last_heard_at: Timestamp,
    /// Since when it has been heard without becoming dead.
    pub alive_since: Timestamp,
    /// Its last packet before it was declared dead.
    pub(crate) silent_from: Timestamp,
    /// Since when it has not heard us, and whether that was told.
    pub(crate) one_way: Option<(Timestamp, bool)>,
    /// When it last said that it hears us.
    pub heard_us_at: Timestamp,
    /// Newest message number heard.
    pub newest: MessageNumber,
    /// Newest of our message numbers that it vouched for.
    pub vouched: Option<MessageNumber>,
    /// When the newest of its heartbeats that we vouched for arrived, whatever its incarnation.
    pub(crate) last_vouched_at: Option<Timestamp>,
    /// Its newest heartbeat.
    pub claimed: Option<Arc<Heartbeat>>,
    /// Links.
    pub links: BTreeMap<LinkId, PeerLink>,
    /// Whether lateness was reported in this episode.
    pub(crate) late: bool,
    /// Last packet of a second live incarnation.
    pub(crate) clone_seen_at: Option<Timestamp>,
    pub(crate) clone_numbers: (Incarnation, MessageNumber, u8),
    /// A replaced run that is heard while the one that counts is silent.
    pub(crate) second: Option<Second>,
}

/// A run that was replaced, and would count again if the one that counts were gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Second {
    incarnation: Incarnation,
    /// The message of ours that it must have heard: made after the run that counts was last heard.
    asked: MessageNumber,
    answer: Option<Answer>,
}

/// The newest heartbeat that shows that it is live.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answer {
    number: MessageNumber,
    at: Timestamp,
    /// When what it had heard of us was made.
    heard_us_at: Timestamp,
}

impl PeerView {
    pub(crate) fn new() -> PeerView {
        PeerView {
            incarnation: None,
            candidate: None,
            candidate_newest: MessageNumber(0),
            challenges: Vec::new(),
            replaced: Vec::new(),
            liveness: Liveness::NeverSeen,
            last_heard_at: Timestamp::ZERO,
            alive_since: Timestamp::ZERO,
            silent_from: Timestamp::ZERO,
            one_way: None,
            heard_us_at: Timestamp::ZERO,
            newest: MessageNumber(0),
            vouched: None,
            last_vouched_at: None,
            claimed: None,
            links: BTreeMap::new(),
            late: false,
            clone_seen_at: None,
            clone_numbers: (Incarnation(0), MessageNumber(0), 0),
            second: None,
        }
    }

    /// Whether two live incarnations use its name.
    pub fn is_cloned(&self) -> bool {
        self.clone_seen_at.is_some()
    }

    /// Whether it is alive.
    pub fn is_alive(&self) -> bool {
        self.liveness == Liveness::Alive
    }

    /// Whether an unknown incarnation that heard our message `heard` has shown that it is live; `next` is the number of
    /// our next message, which it is asked to hear.
    pub(crate) fn is_live(&mut self, incarnation: Incarnation, heard: MessageNumber, next: MessageNumber) -> bool {
        if let Some((_, asked)) = self.challenges.iter().find(|(known, _)| *known == incarnation) {
            return heard >= *asked;
        }
        if self.challenges.len() == CHALLENGES_MAX {
            self.challenges.remove(0);
        }
        self.challenges.push((incarnation, next));
        false
    }

    /// Whether a run that was replaced has shown that it is live since the one that counts was last heard: it has heard our
    /// message `heard`, made at `made_at` within deadtime, which is not older than what it was asked to hear then. So no
    /// recording of a time when both were alive answers, and none that was held back (R-WIRE-4).
    pub(crate) fn answers(
        &mut self,
        at: Timestamp,
        heartbeat: &Heartbeat,
        heard: MessageNumber,
        made_at: Option<Timestamp>,
        next: MessageNumber,
    ) -> bool {
        let second = self.second.as_mut().filter(|second| second.incarnation == heartbeat.incarnation);
        let Some(second) = second else {
            let (incarnation, asked) = (heartbeat.incarnation, next);
            self.second = Some(Second { incarnation, asked, answer: None });
            return false;
        };
        let Some(heard_us_at) = made_at.filter(|_| heard >= second.asked) else { return false };
        if second.answer.as_ref().is_none_or(|known| known.number < heartbeat.number) {
            second.answer = Some(Answer { number: heartbeat.number, at, heard_us_at });
        }
        true
    }

    /// The run that counts is gone: one that it had replaced, and that has answered within deadtime, counts again. Both
    /// runs, the gone one first.
    pub(crate) fn take_back(&mut self, now: Timestamp, deadtime: Duration) -> Option<(Incarnation, Incarnation)> {
        let second = self.second.take()?;
        let answer = second.answer.filter(|answer| now.since(answer.at) < deadtime)?;
        let old = self.replace(second.incarnation)?;
        self.newest = answer.number;
        self.last_heard_at = self.last_heard_at.max(answer.at);
        self.heard_us_at = self.heard_us_at.max(answer.heard_us_at);
        Some((old, second.incarnation))
    }

    /// Takes what its newest heartbeat says of us, received `at`; an older one neither revokes nor brings back.
    pub(crate) fn take_report(&mut self, at: Timestamp, report: &PeerReport, deadtime: Duration) {
        let age = Duration::from_micros(report.age_us.into());
        if age < deadtime {
            self.heard_us_at = self.heard_us_at.max(at.before(age));
        }
        // A vouch that is missing is a revocation (R-MEM-1).
        self.vouched = report.vouch.map(|vouch| self.vouched.map_or(vouch, |known| known.max(vouch)));
    }

    pub(crate) fn replace(&mut self, new: Incarnation) -> Option<Incarnation> {
        let old = self.incarnation.replace(new);
        self.replaced.retain(|known| *known != new);
        self.candidate = None;
        self.second = None;
        self.challenges.clear();
        self.newest = MessageNumber(0);
        self.vouched = None;
        self.claimed = None;
        for link in self.links.values_mut() {
            link.restarted();
        }
        if let Some(old) = old {
            if self.replaced.len() == REPLACED_MAX {
                self.replaced.remove(0);
            }
            self.replaced.push(old);
        }
        old
    }
}
