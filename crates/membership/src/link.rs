//! One (peer, link), judged alone (R-MEM-4).

use core::time::Duration;
use hearth_types::Timestamp;
use hearth_wire::SequenceWindow;
use serde::{Deserialize, Serialize};

/// How many packets in a row make a link up.
const UP_AFTER: u8 = 3;
/// Weight of a new sample in the running means, as a divisor.
const SMOOTHING: u64 = 8;

/// What is known of one link to one peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerLink {
    /// Sequence numbers seen of the current incarnation.
    pub(crate) window: SequenceWindow,
    /// Last fresh packet.
    pub last_heard_at: Timestamp,
    /// Whether it is up.
    pub up: bool,
    in_a_row: u8,
    newest: u64,
    received: u64,
    first: u64,
    /// Mean round trip in microseconds; zero until known.
    pub rtt_us: u64,
    /// Mean deviation of the spacing of packets in microseconds.
    pub jitter_us: u64,
}

impl PeerLink {
    pub(crate) fn new() -> PeerLink {
        PeerLink {
            window: SequenceWindow::new(),
            last_heard_at: Timestamp::ZERO,
            up: false,
            in_a_row: 0,
            newest: 0,
            received: 0,
            first: 0,
            rtt_us: 0,
            jitter_us: 0,
        }
    }

    /// Takes a fresh packet; true if the link came up by it.
    pub(crate) fn heard(&mut self, at: Timestamp, sequence: u64, keepalive: Duration) -> bool {
        if self.received == 0 {
            self.first = sequence;
        } else if self.last_heard_at > Timestamp::ZERO && sequence == self.newest + 1 {
            let spacing = at.since(self.last_heard_at).as_micros() as u64;
            let deviation = spacing.abs_diff(keepalive.as_micros() as u64);
            self.jitter_us = smooth(self.jitter_us, deviation);
        }
        self.received += 1;
        self.newest = self.newest.max(sequence);
        self.last_heard_at = self.last_heard_at.max(at);
        self.in_a_row = self.in_a_row.saturating_add(1).min(UP_AFTER);
        if !self.up && self.in_a_row >= UP_AFTER {
            self.up = true;
            return true;
        }
        false
    }

    /// Notes a round trip.
    pub(crate) fn measured(&mut self, rtt: Duration) {
        self.rtt_us = smooth(self.rtt_us, rtt.as_micros() as u64);
    }

    /// The link was silent for deadtime.
    pub(crate) fn died(&mut self) {
        self.up = false;
        self.in_a_row = 0;
    }

    /// Another incarnation sends from now on.
    pub(crate) fn restarted(&mut self) {
        *self = PeerLink {
            up: self.up,
            in_a_row: self.in_a_row,
            last_heard_at: self.last_heard_at,
            rtt_us: self.rtt_us,
            jitter_us: self.jitter_us,
            ..PeerLink::new()
        };
    }

    /// Packets of this incarnation that did not arrive, in thousandths.
    pub fn loss_permille(&self) -> u32 {
        let expected = self.newest.saturating_sub(self.first) + 1;
        if self.received == 0 || expected <= self.received {
            return 0;
        }
        ((expected - self.received) * 1000 / expected) as u32
    }
}

fn smooth(mean: u64, sample: u64) -> u64 {
    if mean == 0 { sample } else { (mean * (SMOOTHING - 1) + sample) / SMOOTHING }
}
