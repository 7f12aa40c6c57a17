//! Which media lead to a peer, and how slow they are: a serial line is spared while a network does its work (R-WIRE-8).

use crate::node::Node;
use hearth_config::Medium;
use hearth_types::{LinkId, NodeName, Timestamp};
use hearth_wire::{Channel, Segment};
use std::net::IpAddr;
use std::time::Duration;

/// Shortest time between two heartbeats that are sent out of turn: answers to many questions at once stay one.
const OUT_OF_TURN: Duration = Duration::from_millis(2);
/// Machines that may answer each other so often: of twice as many, four times as many packets would come of it.
const FEW: u32 = 8;

/// What a pace is counted for.
const KILOBYTE: u128 = 1000;
/// A thousand bytes of packets in their frames on a line, ten bits each.
const BITS_PER_KILOBYTE: u128 = 1100 * 10;

/// What a segment is of what was said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copy {
    /// New bytes.
    First,
    /// It acknowledges and carries nothing; whatever is repeated is acknowledged again.
    Acknowledgement,
    /// A copy of it may have been lost.
    Again,
}

impl Copy {
    /// Of a segment that the last poll of that channel gave out.
    pub(crate) fn of(channel: &Channel, segment: &Segment) -> Copy {
        if channel.is_first_copy(segment) {
            Copy::First
        } else if segment.bytes.is_empty() && !segment.ask {
            Copy::Acknowledgement
        } else {
            Copy::Again
        }
    }
}

/// The lines that lead to a peer, or may (decision 0060): of the `ucast` lines of one path those to its addresses, where one
/// of them is known; all others.
fn lines_to(media: &[Medium], is_theirs: impl Fn(IpAddr) -> bool) -> Vec<usize> {
    let theirs: Vec<&Medium> =
        media.iter().filter(|medium| matches!(medium, Medium::Ucast { peer, .. } if is_theirs(*peer))).collect();
    let leads_elsewhere =
        |medium: &Medium| theirs.iter().any(|line| medium.is_path_of(line)) && !theirs.contains(&medium);
    (0..media.len()).filter(|position| !leads_elsewhere(&media[*position])).collect()
}

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
    pub(crate) fn media_to(&self, node: &NodeName, copy: Copy) -> Vec<LinkId> {
        let spared = copy == Copy::First && self.has_network_to(node);
        // What may have been lost goes everywhere, whatever we believe of where the peer is.
        let is_theirs = |address| copy != Copy::Again && self.alone.is_address_of(node, address);
        let lines = lines_to(&self.config.cluster.media, is_theirs).into_iter();
        lines.filter(|position| !(spared && self.is_line(*position))).map(|position| LinkId(position as u8)).collect()
    }

    /// The time that a thousand bytes to that peer take where a serial line alone is left, with its heartbeats between
    /// them; none: a network is there, or was until now.
    pub(crate) fn pace_to(&self, node: &NodeName) -> Option<Duration> {
        let cluster = &self.config.cluster;
        let is_line = |medium: &Medium| matches!(medium, Medium::Serial { .. });
        // Asked for each peer with everything that comes.
        if !cluster.media.iter().any(is_line) {
            return None;
        }
        let up = |position: usize| {
            let links = self.members.peer(node).map(|peer| &peer.links);
            links.and_then(|links| links.get(&LinkId(position as u8))).is_some_and(|link| link.up)
        };
        let alone = cluster.media.iter().all(is_line);
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

    /// Shortest time between two heartbeats that are sent out of turn: among many machines each is taken in by all others, and
    /// over a line alone they leave half of it to the rest.
    pub(crate) fn out_of_turn(&self) -> Duration {
        let crowd = (self.config.cluster.nodes.len() as u32 / FEW).max(1);
        let usual = OUT_OF_TURN * crowd * crowd;
        let alone = self.channels.keys().any(|node| self.pace_to(node).is_some());
        let lines = self.config.cluster.media.iter().filter_map(|medium| match medium {
            Medium::Serial { baud, .. } => Some(hearth_config::serial_heartbeat(*baud) * 2),
            _ => None,
        });
        lines.filter(|_| alone).max().map_or(usual, |span| span.max(usual))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Harm: what is for one machine goes to 31, or to none.
    #[test]
    fn what_is_for_one_peer_takes_its_lines_and_all_that_may_lead_to_it() {
        let ucast = |wire: u8, host: u8| {
            let (interface, peer) = (format!("eth{wire}"), IpAddr::from([10, 0, wire, host]));
            Medium::Ucast { interface, peer, port: 694 }
        };
        let bcast = Medium::Bcast { interface: "eth2".into(), port: 694 };
        let line = Medium::Serial { device: "/dev/ttyS0".into(), baud: 115_200 };
        let media = [ucast(0, 1), ucast(1, 1), ucast(0, 2), ucast(1, 2), ucast(0, 3), ucast(1, 3), bcast, line];
        let to = |known: &[[u8; 4]]| lines_to(&media, |address| known.iter().any(|it| IpAddr::from(*it) == address));
        assert_eq!(to(&[]), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(to(&[[10, 0, 0, 2], [10, 0, 1, 2]]), [2, 3, 6, 7]);
        // Nothing is known of the other network, and nothing of where a stranger's packets come from.
        assert_eq!(to(&[[10, 0, 0, 2]]), [1, 2, 3, 5, 6, 7]);
        assert_eq!(to(&[[10, 9, 9, 9]]), [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
