//! Which media lead to a peer, and how slow they are: a serial line is spared while a network does its work (R-WIRE-8).

use crate::node::Node;
use hearth_config::Medium;
use hearth_types::{LinkId, NodeName, Timestamp};
use hearth_wire::Channel;
use std::time::Duration;

/// Shortest time between two heartbeats that are sent out of turn: answers to many questions at once stay one.
const OUT_OF_TURN: Duration = Duration::from_millis(2);

/// What a pace is counted for.
const KILOBYTE: u128 = 1000;
/// A thousand bytes of packets in their frames on a line, ten bits each.
const BITS_PER_KILOBYTE: u128 = 1100 * 10;

impl Node {
    /// Whether a network carries what we say to that peer: packets of it come, and it says that ours do.
    fn has_network_to(&self, node: &NodeName) -> bool {
        let Some(peer) = self.members.peer(node) else { return false };
        let report = peer.claimed.as_ref().and_then(|claimed| claimed.peers.iter().find(|it| it.node == self.local));
        let hears = report.map_or(0, |report| report.links);
        peer.links.iter().any(|(link, known)| {
            known.up && link.0 < 64 && hears & (1 << link.0) != 0 && !self.is_line(usize::from(link.0))
        })
    }

    fn is_line(&self, position: usize) -> bool {
        matches!(self.config.cluster.media.get(position), Some(Medium::Serial { .. }))
    }

    /// The media for a segment to that peer. [A line that is given everything that a network has carried long ago is
    /// seconds behind when it is needed.]
    pub(crate) fn media_to(&self, node: &NodeName, first_copy: bool) -> Vec<LinkId> {
        let spared = first_copy && self.has_network_to(node);
        let media = 0..self.config.cluster.media.len();
        media.filter(|position| !(spared && self.is_line(*position))).map(|position| LinkId(position as u8)).collect()
    }

    /// The time that a thousand bytes to that peer take where a serial line alone is left, with its heartbeats between
    /// them; none: a network is there, or was until now.
    pub(crate) fn pace_to(&self, node: &NodeName) -> Option<Duration> {
        let cluster = &self.config.cluster;
        let up = |position: usize| {
            let links = self.members.peer(node).map(|peer| &peer.links);
            links.and_then(|links| links.get(&LinkId(position as u8))).is_some_and(|link| link.up)
        };
        let alone = cluster.media.iter().all(|medium| matches!(medium, Medium::Serial { .. }));
        if !alone && self.has_network_to(node) {
            return None;
        }
        let speeds = cluster.media.iter().enumerate().filter_map(|(position, medium)| match medium {
            Medium::Serial { baud, .. } if alone || up(position) => Some(*baud),
            _ => None,
        });
        let baud = speeds.max()?;
        let keepalive = cluster.timing.keepalive.as_micros();
        // Heartbeats never take more than every other frame.
        let heartbeat = hearth_config::serial_heartbeat(baud).as_micros().min(keepalive / 2);
        let micros =
            BITS_PER_KILOBYTE * 1_000_000 / u128::from(baud.max(1)) * keepalive / (keepalive - heartbeat).max(1);
        Some(Duration::from_micros(micros.min(10_000 * KILOBYTE) as u64))
    }

    /// Whether a line alone leads to that peer and has not carried yet what is under way on it. [A campaign in the middle
    /// of that makes everything under way void, and the answers to it fill the line.]
    pub(crate) fn is_on_its_way(&self, node: &NodeName) -> bool {
        self.pace_to(node).is_some() && !self.channels.get(node).is_some_and(Channel::is_at_rest)
    }

    /// Shortest time between two heartbeats that are sent out of turn: over a line alone they leave half of it to the rest.
    pub(crate) fn out_of_turn(&self) -> Duration {
        let alone = self.channels.keys().any(|node| self.pace_to(node).is_some());
        let lines = self.config.cluster.media.iter().filter_map(|medium| match medium {
            Medium::Serial { baud, .. } => Some(hearth_config::serial_heartbeat(*baud) * 2),
            _ => None,
        });
        lines.filter(|_| alone).max().map_or(OUT_OF_TURN, |span| span.max(OUT_OF_TURN))
    }

    /// When a heartbeat that waits for its turn may go, over a line or with news of ping targets; none: none waits so.
    pub(crate) fn out_of_turn_at(&self) -> Option<Timestamp> {
        let has_news = self.has_news_of_pings(self.last_wake_at);
        if !self.beat_now && !has_news {
            return None;
        }
        let span = self.out_of_turn();
        (has_news || span > OUT_OF_TURN).then(|| self.keeping.beat_at + span)
    }

    /// How long something is waited for before it is said to that peer again: over a line longer than elsewhere, where
    /// the repetition itself would hold up the answer.
    pub(crate) fn repeat_after(&self, node: &NodeName, usual: Duration) -> Duration {
        self.pace_to(node).map_or(usual, |pace| usual.max(pace * 3))
    }

    /// The same for the DC. If that is this node, its own words are as slow as the answer to what it proposes.
    pub(crate) fn repeat_to_dc_after(&self, usual: Duration) -> Duration {
        match self.ledger.dc() {
            Some(dc) if dc != self.local => self.repeat_after(&dc, usual),
            _ => self.channels.keys().map(|node| self.repeat_after(node, usual)).max().unwrap_or(usual),
        }
    }
}
