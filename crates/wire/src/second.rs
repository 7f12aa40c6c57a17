//! Wire version 2: a heartbeat spells each name once, in a table, and points to it everywhere else. On a serial line,
//! where the heartbeat's length bounds the keepalive, that is what names of full length cost most.

use alloc::sync::Arc;
use alloc::vec::Vec;
use hearth_types::{Admission, EpochName, Incarnation, Index, MessageNumber, NodeIdentity, NodeName, ResourceId};
use minicbor::{Decode, Encode};

use crate::message::{
    Heartbeat, Mark, Message, NodeStatus, PeerReport, Segment, Statement, Tiebreaker, Watchdog, shared,
};

/// What stands behind the header of a packet of version 2. Segments are those of version 1.
#[derive(Encode, Decode)]
#[allow(clippy::large_enum_variant, reason = "one at a time, on the stack, between bytes and message")]
pub(crate) enum SecondMessage {
    #[n(0)]
    Heartbeat(#[n(0)] SecondHeartbeat),
    #[n(1)]
    Segment(#[cbor(n(0), with = "shared")] Arc<Segment>),
}

/// Position in the table of names.
#[derive(Clone, Copy, Encode, Decode)]
#[cbor(transparent)]
struct NameAt(#[n(0)] u32);

/// [`Heartbeat`], field for field; the sender is the first of the names.
#[derive(Encode, Decode)]
pub(crate) struct SecondHeartbeat {
    #[n(0)]
    names: Vec<NodeName>,
    #[n(1)]
    identity: NodeIdentity,
    #[n(2)]
    incarnation: Incarnation,
    #[n(3)]
    sequence: u64,
    #[n(4)]
    number: MessageNumber,
    #[n(5)]
    epoch: Option<SecondEpoch>,
    #[n(6)]
    lineage: Vec<SecondEpoch>,
    #[n(7)]
    admission: Option<Admission>,
    #[n(8)]
    applied: Index,
    #[n(9)]
    decided: Index,
    #[n(10)]
    status: NodeStatus,
    #[n(11)]
    deadtime_ms: u32,
    #[n(12)]
    versions: (u8, u8),
    #[n(13)]
    digest: (u64, u64),
    #[n(14)]
    stall_us: u32,
    #[n(15)]
    gated: Vec<ResourceId>,
    #[n(16)]
    unservable: Vec<ResourceId>,
    #[n(17)]
    pings: (u16, u16),
    #[n(18)]
    peers: Vec<SecondPeer>,
    #[n(19)]
    answer_now: bool,
    #[n(20)]
    has_carrier: bool,
    #[n(21)]
    dc: Option<NameAt>,
    #[n(22)]
    voters: Vec<NameAt>,
    // Of more than two machines, as it is in version 1.
    #[n(23)]
    statement: Option<Statement>,
    #[n(24)]
    wire: Option<u8>,
    #[n(25)]
    mark: Option<Mark>,
    #[n(26)]
    watchdog: Option<Watchdog>,
    #[n(27)]
    strangers: Option<Vec<NodeName>>,
    #[n(28)]
    tiebreaker: Option<Tiebreaker>,
}

#[derive(Encode, Decode)]
struct SecondEpoch {
    #[n(0)]
    number: u64,
    #[n(1)]
    founder: NameAt,
    #[n(2)]
    nonce: u64,
}

#[derive(Encode, Decode)]
struct SecondPeer {
    #[n(0)]
    node: NameAt,
    #[n(1)]
    incarnation: Incarnation,
    #[n(2)]
    heard: MessageNumber,
    #[n(3)]
    age_us: u32,
    #[n(4)]
    links: u64,
    #[n(5)]
    vouch: Option<MessageNumber>,
    #[n(6)]
    alive: Option<bool>,
    #[n(7)]
    beyond: Option<u64>,
}

impl From<&Heartbeat> for SecondMessage {
    fn from(it: &Heartbeat) -> SecondMessage {
        let mut names = Names(Vec::from([it.from.clone()]));
        SecondMessage::Heartbeat(SecondHeartbeat {
            identity: it.identity,
            incarnation: it.incarnation,
            sequence: it.sequence,
            number: it.number,
            epoch: it.epoch.as_ref().map(|epoch| names.epoch(epoch)),
            lineage: it.lineage.iter().map(|epoch| names.epoch(epoch)).collect(),
            admission: it.admission,
            applied: it.applied,
            decided: it.decided,
            status: it.status,
            deadtime_ms: it.deadtime_ms,
            versions: it.versions,
            digest: it.digest,
            stall_us: it.stall_us,
            gated: it.gated.clone(),
            unservable: it.unservable.clone(),
            pings: it.pings,
            peers: it.peers.iter().map(|peer| names.peer(peer)).collect(),
            answer_now: it.answer_now,
            has_carrier: it.has_carrier,
            dc: it.dc.as_ref().map(|dc| names.at(dc)),
            voters: it.voters.iter().map(|voter| names.at(voter)).collect(),
            statement: it.statement.clone(),
            wire: it.wire,
            mark: it.mark,
            watchdog: it.watchdog.clone(),
            strangers: it.strangers.clone(),
            tiebreaker: it.tiebreaker,
            names: names.0,
        })
    }
}

impl SecondMessage {
    /// With every name in its place; none where one points beyond the table.
    pub(crate) fn spelt_out(self) -> Option<Message> {
        let it = match self {
            SecondMessage::Segment(segment) => return Some(Message::Segment(segment)),
            SecondMessage::Heartbeat(heartbeat) => heartbeat,
        };
        let names = Names(it.names);
        Some(Message::Heartbeat(Arc::new(Heartbeat {
            from: names.0.first()?.clone(),
            identity: it.identity,
            incarnation: it.incarnation,
            sequence: it.sequence,
            number: it.number,
            epoch: match it.epoch {
                Some(epoch) => Some(names.spelt_epoch(epoch)?),
                None => None,
            },
            lineage: it.lineage.into_iter().map(|epoch| names.spelt_epoch(epoch)).collect::<Option<_>>()?,
            admission: it.admission,
            applied: it.applied,
            decided: it.decided,
            status: it.status,
            deadtime_ms: it.deadtime_ms,
            versions: it.versions,
            digest: it.digest,
            stall_us: it.stall_us,
            gated: it.gated,
            unservable: it.unservable,
            pings: it.pings,
            peers: it.peers.into_iter().map(|peer| names.spelt_peer(peer)).collect::<Option<_>>()?,
            answer_now: it.answer_now,
            has_carrier: it.has_carrier,
            dc: match it.dc {
                Some(dc) => Some(names.spelt(dc)?),
                None => None,
            },
            voters: it.voters.into_iter().map(|voter| names.spelt(voter)).collect::<Option<_>>()?,
            statement: it.statement,
            wire: it.wire,
            mark: it.mark,
            watchdog: it.watchdog,
            strangers: it.strangers,
            tiebreaker: it.tiebreaker,
        })))
    }
}

struct Names(Vec<NodeName>);

impl Names {
    /// Each name once. A packet holds so few that looking through them costs less than a map.
    fn at(&mut self, name: &NodeName) -> NameAt {
        let position = self.0.iter().position(|known| known == name).unwrap_or_else(|| {
            self.0.push(name.clone());
            self.0.len() - 1
        });
        // No message in memory has 2^32 names.
        NameAt(position as u32)
    }

    fn epoch(&mut self, epoch: &EpochName) -> SecondEpoch {
        SecondEpoch { number: epoch.number, founder: self.at(&epoch.founder), nonce: epoch.nonce }
    }

    fn peer(&mut self, peer: &PeerReport) -> SecondPeer {
        SecondPeer {
            node: self.at(&peer.node),
            incarnation: peer.incarnation,
            heard: peer.heard,
            age_us: peer.age_us,
            links: peer.links,
            vouch: peer.vouch,
            alive: peer.alive,
            beyond: peer.beyond,
        }
    }

    fn spelt(&self, at: NameAt) -> Option<NodeName> {
        self.0.get(at.0 as usize).cloned()
    }

    fn spelt_epoch(&self, epoch: SecondEpoch) -> Option<EpochName> {
        Some(EpochName { number: epoch.number, founder: self.spelt(epoch.founder)?, nonce: epoch.nonce })
    }

    fn spelt_peer(&self, peer: SecondPeer) -> Option<PeerReport> {
        Some(PeerReport {
            node: self.spelt(peer.node)?,
            incarnation: peer.incarnation,
            heard: peer.heard,
            age_us: peer.age_us,
            links: peer.links,
            vouch: peer.vouch,
            alive: peer.alive,
            beyond: peer.beyond,
        })
    }
}
