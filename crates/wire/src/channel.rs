//! Ordered, retransmitting, fragmenting, bounded channel between two incarnations (R-LEDGER-8).
//!
//! Each side numbers its own sessions upwards. Bytes are sent and accepted only in a pair (session of the sender,
//! session of the receiver) that both have named to each other; a side that resets takes its next session, and a side
//! that sees its peer's next session takes its own next one too. So a pair of sessions is one run, fragment numbers
//! are unique in it, and bytes of two runs never mix.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;
use hearth_types::{Incarnation, NodeName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::message::Segment;

/// Bytes of a message in one segment; the rest of a segment (two names of up to 64 bytes, numbers) stays below
/// [`crate::MAX_PAYLOAD`] - 1000 = 357 bytes.
pub const FRAGMENT: usize = 1000;
/// Fragments under way at once.
pub const SEND_WINDOW: u64 = 64;
/// Longest message, in bytes.
pub const MAX_MESSAGE: usize = 1 << 20;
/// Bytes that may wait or be under way; above it `send` refuses.
pub const MAX_QUEUED: usize = 4 << 20;
/// First and shortest time until a fragment is repeated.
pub const SHORTEST_TIMEOUT: Duration = Duration::from_millis(20);
/// Longest time until a fragment is repeated.
pub const LONGEST_TIMEOUT: Duration = Duration::from_millis(200);
/// Bytes around a fragment in its packet: header, names, numbers and the tag, with short names.
const AROUND: usize = 80;
/// Bytes given to a line that are not acknowledged; what comes after them waits in the channel, where acknowledgements and
/// the answers to them overtake it. Its line is never behind by more, whatever else is on it.
const AHEAD: usize = 2000;
/// Bytes whose time on a line is waited for an answer: what may be on its way in both directions when it is due.
const ANSWER: usize = 2000;
/// Longest time that an acknowledgement waits for bytes to travel with.
pub const ACK_DELAY: Duration = Duration::from_millis(2);
/// What comes again so soon after it was acknowledged is the same copy by another link, and the acknowledgement is on its
/// way by all of them. Below [`SHORTEST_TIMEOUT`], so a copy of a sender that lacks it is answered.
const SAME_COPY: Duration = Duration::from_millis(10);

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// [`MAX_QUEUED`] bytes wait already; the owner waits, or resets.
    #[error("the channel is full")]
    Full,
    /// Longer than [`MAX_MESSAGE`]; it will never be taken.
    #[error("the message is too long for the channel")]
    TooLong,
}

/// Why a session ended. Messages of it that were not delivered are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The peer began another session.
    PeerReset,
    /// The peer sent a message longer than [`MAX_MESSAGE`] or acknowledged what was never sent.
    Nonsense,
}

/// What a segment brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The session ended by it; no message comes with it.
    pub broken: Option<Break>,
    /// A session began, the first or a later one: what was sent before may be lost, so call `reconnected`.
    pub opened: bool,
    /// Messages completed, in order.
    pub messages: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Fragment {
    bytes: Vec<u8>,
    last: bool,
    /// When it was sent; over a line, when that will have carried it.
    sent_at: Timestamp,
    /// A repeated fragment measures no round trip: its acknowledgement may be the first copy's.
    repeated: bool,
}

/// One end of the channel. A new incarnation on either side needs a new one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Channel {
    local: NodeName,
    incarnation: Incarnation,
    peer: NodeName,
    peer_incarnation: Incarnation,
    session: u64,
    /// The peer's newest session heard of.
    heard_session: Option<u64>,
    /// Whether the pair (session, heard_session) is agreed.
    open: bool,

    waiting: VecDeque<(Vec<u8>, bool)>,
    under_way: VecDeque<Fragment>,
    queued: usize,
    /// Number of the first of `under_way`.
    oldest: u64,

    /// All up to here arrived.
    arrived: u64,
    early: BTreeMap<u64, (Vec<u8>, bool)>,
    partial: Vec<u8>,

    ack_due: Option<Timestamp>,
    /// When something last carried an acknowledgement of all that had arrived.
    #[serde(default)]
    acknowledged_at: Option<Timestamp>,
    ask_due: Timestamp,
    mean: Option<Duration>,
    deviation: Duration,
    backoff: u32,

    /// Time for a thousand bytes, while a line alone leads to the peer.
    #[serde(default)]
    pace: Option<Duration>,
    /// When the line will have carried what was sent.
    #[serde(default)]
    carried_at: Timestamp,
}

impl Channel {
    /// A channel from this run of `local` to that run of `peer`. `session` must be higher than that of every channel
    /// made before between the same two incarnations.
    pub fn new(
        local: NodeName,
        incarnation: Incarnation,
        peer: NodeName,
        peer_incarnation: Incarnation,
        session: u64,
    ) -> Channel {
        Channel {
            local,
            incarnation,
            peer,
            peer_incarnation,
            session,
            heard_session: None,
            open: false,
            waiting: VecDeque::new(),
            under_way: VecDeque::new(),
            queued: 0,
            oldest: 1,
            arrived: 0,
            early: BTreeMap::new(),
            partial: Vec::new(),
            ack_due: None,
            acknowledged_at: None,
            ask_due: Timestamp::ZERO,
            mean: None,
            deviation: Duration::ZERO,
            backoff: 0,
            pace: None,
            carried_at: Timestamp::ZERO,
        }
    }

    /// From now on a thousand bytes take that long on their way to the peer, all else counted in: a serial line is all
    /// that is left. None: they take no time worth counting. [Repetitions of what a line cannot have carried yet would
    /// fill it, and none of their answers would come in time either.]
    pub fn keep_pace(&mut self, now: Timestamp, thousand_bytes: Option<Duration>) {
        if thousand_bytes.is_none() && self.pace.is_some() {
            // What waits for its time on the line can go another way.
            self.carried_at = Timestamp::ZERO;
            self.under_way.iter_mut().for_each(|fragment| fragment.sent_at = fragment.sent_at.min(now));
        }
        self.pace = thousand_bytes;
    }

    /// Whether that message was taken and is not known to have arrived.
    pub fn holds(&self, message: &[u8]) -> bool {
        let pieces = self.under_way.iter().map(|fragment| (&fragment.bytes, fragment.last));
        let mut rest = Some(message);
        for (bytes, last) in pieces.chain(self.waiting.iter().map(|(bytes, last)| (bytes, *last))) {
            rest = rest.and_then(|rest| rest.strip_prefix(bytes.as_slice()));
            if last {
                if rest.is_some_and(<[u8]>::is_empty) {
                    return true;
                }
                rest = Some(message);
            }
        }
        false
    }

    /// Whether this segment, which the last `poll` gave out, carries bytes for the first time. Of any other one a copy
    /// before it may have been lost.
    pub fn is_first_copy(&self, segment: &Segment) -> bool {
        let at = segment.number.checked_sub(self.oldest).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.under_way.get(at)).is_some_and(|fragment| !fragment.repeated)
    }

    /// The peer's incarnation that this channel leads to.
    pub fn peer_incarnation(&self) -> Incarnation {
        self.peer_incarnation
    }

    /// Our session.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// Whether both sides agree on a session.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether nothing waits, nothing is under way, and nothing is due that `poll` would say.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        self.open && self.queued == 0 && self.ack_due.is_none_or(|due| now < due)
    }

    /// Bytes that wait or are under way.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Takes a message; it is sent by the next `poll` if the window allows, before the session opens it waits.
    pub fn send(&mut self, message: Vec<u8>) -> Result<(), NotSent> {
        if message.len() > MAX_MESSAGE {
            return Err(NotSent::TooLong);
        }
        if self.queued + cost(&message) > MAX_QUEUED {
            return Err(NotSent::Full);
        }
        let mut rest = message.as_slice();
        loop {
            let (piece, after) = rest.split_at(rest.len().min(FRAGMENT));
            self.queued += cost(piece);
            self.waiting.push_back((piece.to_vec(), after.is_empty()));
            if after.is_empty() {
                return Ok(());
            }
            rest = after;
        }
    }

    /// Drops all that was not delivered and begins the next session; the peer learns of it and breaks too.
    pub fn reset(&mut self) {
        self.session += 1;
        self.open = false;
        self.waiting.clear();
        self.under_way.clear();
        self.queued = 0;
        self.oldest = 1;
        self.arrived = 0;
        self.early.clear();
        self.partial = Vec::new();
        self.ack_due = None;
        self.acknowledged_at = None;
        self.ask_due = Timestamp::ZERO;
        self.backoff = 0;
    }

    /// Takes a segment from any link. One between other incarnations or of an ended session changes nothing.
    pub fn receive(&mut self, now: Timestamp, segment: &Segment) -> Received {
        let mut received = Received::default();
        let ours = segment.from == self.peer
            && segment.incarnation == self.peer_incarnation
            && segment.to == self.local
            && segment.to_incarnation == self.incarnation;
        if !ours || self.heard_session.is_some_and(|heard| segment.session < heard) {
            return received;
        }
        if self.heard_session.is_none_or(|heard| segment.session > heard) {
            self.heard_session = Some(segment.session);
            if self.open {
                self.reset();
                received.broken = Some(Break::PeerReset);
                return received;
            }
        }
        if segment.ask {
            self.ack_due = Some(now);
        }
        if segment.to_session != Some(self.session) {
            return received;
        }
        if !self.open {
            self.open = true;
            self.backoff = 0;
            self.ack_due = Some(now);
            received.opened = true;
        }
        if self
            .take_acknowledgement(now, segment.acknowledged)
            .and_then(|()| self.take_bytes(now, segment, &mut received.messages))
            .is_none()
        {
            self.reset();
            return Received { broken: Some(Break::Nonsense), opened: false, messages: Vec::new() };
        }
        received
    }

    /// Writes what is due into `out`: a repetition, new fragments, an acknowledgement, a question for the session.
    /// The owner sends each on every link that is up.
    pub fn poll(&mut self, now: Timestamp, out: &mut Vec<Segment>) {
        let before = out.len();
        if !self.open {
            if now >= self.ask_due {
                self.ask_due = now + self.timeout();
                self.backoff = (self.backoff + 1).min(8);
                out.push(self.bare(true));
                self.ack_due = None;
            }
        } else {
            self.repeat_oldest(now, out);
            self.send_new(now, out);
        }
        if self.ack_due.is_some_and(|due| now >= due) {
            out.push(self.bare(!self.open));
            self.ack_due = None;
        }
        if out.len() > before {
            self.acknowledged_at = Some(now);
        }
    }

    /// When `poll` has something to do next, if nothing arrives; a moment in the past means at once.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if !self.open {
            return Some(self.ack_due.map_or(self.ask_due, |due| due.min(self.ask_due)));
        }
        let more = (!self.waiting.is_empty() && self.has_room()).then_some(Timestamp::ZERO);
        let repetition = self.under_way.front().map(|fragment| fragment.sent_at + self.timeout());
        [more, repetition, self.ack_due].into_iter().flatten().min()
    }

    /// Whether another fragment may be under way.
    fn has_room(&self) -> bool {
        let ahead = || self.under_way.iter().map(|fragment| fragment.bytes.len() + AROUND).sum::<usize>();
        (self.under_way.len() as u64) < SEND_WINDOW && (self.pace.is_none() || ahead() < AHEAD)
    }

    /// Whether everything said has arrived and nothing is known to be half way here.
    pub fn is_at_rest(&self) -> bool {
        self.open && self.queued == 0 && self.partial.is_empty() && self.early.is_empty()
    }

    /// The time that so many bytes take.
    fn takes(&self, bytes: usize) -> Duration {
        self.pace.map_or(Duration::ZERO, |pace| pace * u32::try_from(bytes).unwrap_or(u32::MAX) / 1000)
    }

    /// When those bytes of a message, sent now, will have been carried.
    fn carry(&mut self, now: Timestamp, bytes: usize) -> Timestamp {
        self.carried_at = self.carried_at.max(now) + self.takes(bytes + AROUND);
        self.carried_at
    }

    fn repeat_oldest(&mut self, now: Timestamp, out: &mut Vec<Segment>) {
        // Only the oldest has a timer: once it is acknowledged, the next hole is the oldest and overdue already.
        let timeout = self.timeout();
        let Some(front) = self.under_way.front_mut() else { return };
        if now < front.sent_at + timeout {
            return;
        }
        front.repeated = true;
        let (bytes, last) = (front.bytes.clone(), front.last);
        let sent_at = self.carry(now, bytes.len());
        if let Some(front) = self.under_way.front_mut() {
            front.sent_at = sent_at;
        }
        self.backoff = (self.backoff + 1).min(8);
        out.push(self.carrying(self.oldest, bytes, last));
        self.ack_due = None;
    }

    fn send_new(&mut self, now: Timestamp, out: &mut Vec<Segment>) {
        while self.has_room() {
            let Some((bytes, last)) = self.waiting.pop_front() else { return };
            let sent_at = self.carry(now, bytes.len());
            out.push(self.carrying(self.oldest + self.under_way.len() as u64, bytes.clone(), last));
            self.under_way.push_back(Fragment { bytes, last, sent_at, repeated: false });
            self.ack_due = None;
        }
    }

    /// None if it acknowledges what was never sent.
    fn take_acknowledgement(&mut self, now: Timestamp, acknowledged: u64) -> Option<()> {
        if acknowledged >= self.oldest + self.under_way.len() as u64 {
            return None;
        }
        while self.oldest <= acknowledged {
            let fragment = self.under_way.pop_front()?;
            self.oldest += 1;
            self.queued -= cost(&fragment.bytes);
            self.backoff = 0;
            if !fragment.repeated && self.oldest > acknowledged {
                self.measure(now.since(fragment.sent_at));
            }
        }
        Some(())
    }

    /// None if a message grows beyond its bound.
    fn take_bytes(&mut self, now: Timestamp, segment: &Segment, messages: &mut Vec<Vec<u8>>) -> Option<()> {
        if segment.number == 0 {
            return Some(());
        }
        let late = segment.number <= self.arrived;
        let gap = segment.number > self.arrived + 1;
        if !late && segment.number - self.arrived <= SEND_WINDOW && segment.bytes.len() <= FRAGMENT {
            self.early.entry(segment.number).or_insert_with(|| (segment.bytes.clone(), segment.last));
        }
        while let Some((bytes, last)) = self.early.remove(&(self.arrived + 1)) {
            self.arrived += 1;
            if self.partial.len() + bytes.len() > MAX_MESSAGE {
                return None;
            }
            self.partial.extend_from_slice(&bytes);
            if last {
                messages.push(core::mem::take(&mut self.partial));
            }
        }
        let out_of_order = late || gap;
        let is_said = self.ack_due.is_none() && self.acknowledged_at.is_some_and(|at| now < at + SAME_COPY);
        if out_of_order && is_said {
            return Some(());
        }
        // A late or early one says that the sender lacks an acknowledgement; a whole message is waited for.
        let at = if out_of_order || !messages.is_empty() { now } else { now + ACK_DELAY };
        self.ack_due = Some(self.ack_due.map_or(at, |due| due.min(at)));
        Some(())
    }

    fn measure(&mut self, sample: Duration) {
        match self.mean {
            None => {
                self.mean = Some(sample);
                self.deviation = sample / 2;
            }
            Some(mean) => {
                self.deviation = (self.deviation * 3 + mean.abs_diff(sample)) / 4;
                self.mean = Some((mean * 7 + sample) / 8);
            }
        }
    }

    fn timeout(&self) -> Duration {
        let measured = self.mean.map_or(SHORTEST_TIMEOUT, |mean| mean + self.deviation * 4 + ACK_DELAY);
        let shortest = SHORTEST_TIMEOUT.max(self.takes(ANSWER));
        let longest = LONGEST_TIMEOUT.max(shortest * 2);
        (measured.clamp(shortest, longest) * (1 << self.backoff)).min(longest)
    }

    fn bare(&self, ask: bool) -> Segment {
        Segment { ask, ..self.carrying(0, Vec::new(), false) }
    }

    fn carrying(&self, number: u64, bytes: Vec<u8>, last: bool) -> Segment {
        Segment {
            from: self.local.clone(),
            incarnation: self.incarnation,
            to: self.peer.clone(),
            to_incarnation: self.peer_incarnation,
            number,
            acknowledged: self.arrived,
            last,
            bytes,
            session: self.session,
            to_session: self.heard_session,
            ask: false,
            mark: None,
        }
    }
}

/// What a piece counts against [`MAX_QUEUED`]: also an empty one takes memory.
fn cost(bytes: &[u8]) -> usize {
    bytes.len() + 64 * (bytes.len() / FRAGMENT + 1)
}

#[cfg(test)]
mod table;
