//! What nodes say to each other, as values. Numbered fields: old reads new, new reads old.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hearth_types::{Admission, EpochName, Incarnation, Index, MessageNumber, NodeIdentity, NodeName};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// What a packet carries behind its header.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize, Deserialize)]
pub enum Message {
    /// "I am here", on every link each keepalive (R-MEM-1).
    #[n(0)]
    Heartbeat(
        // Shared: the same on every link, and kept by its receivers as it is.
        #[cbor(n(0), with = "shared")] Arc<Heartbeat>,
    ),
    /// A piece of the ordered channel between two incarnations (R-LEDGER-8).
    #[n(1)]
    Segment(#[cbor(n(0), with = "shared")] Arc<Segment>),
}

/// Daemon status that a heartbeat states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum NodeStatus {
    /// Started, has not heard of an epoch.
    #[n(0)]
    Init,
    /// Hears its peer, takes no part yet.
    #[n(1)]
    Up,
    /// Takes part.
    #[n(2)]
    Active,
    /// Stops in order; its word that it holds nothing more (R-LEAVE-1).
    #[n(3)]
    Leaving,
}

/// R-MEM-1.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Sender.
    #[n(0)]
    pub from: NodeName,
    /// Its persisted identity (R-JOIN-5).
    #[n(1)]
    pub identity: NodeIdentity,
    /// Its incarnation.
    #[n(2)]
    pub incarnation: Incarnation,
    /// Sequence number (R-WIRE-4 window): rises by one a heartbeat, the same on every link, each of which has its window.
    #[n(3)]
    pub sequence: u64,
    /// Message number, equal on all links.
    #[n(4)]
    pub number: MessageNumber,
    /// Epoch the sender is in.
    #[n(5)]
    pub epoch: Option<EpochName>,
    /// Epoch from which that one descends, newest first, at most 8.
    #[n(6)]
    pub lineage: Vec<EpochName>,
    /// Admission of the sender in its record.
    #[n(7)]
    pub admission: Option<Admission>,
    /// Index of the last entry applied.
    #[n(8)]
    pub applied: Index,
    /// Index of the last entry it knows decided.
    #[n(9)]
    pub decided: Index,
    /// Status.
    #[n(10)]
    pub status: NodeStatus,
    /// Its deadtime in milliseconds.
    #[n(11)]
    pub deadtime_ms: u32,
    /// Oldest and newest wire version it speaks.
    #[n(12)]
    pub versions: (u8, u8),
    /// Digest of its configuration (R-JOIN-4): cluster part and resource part.
    #[n(13)]
    pub digest: (u64, u64),
    /// Longest own stall since the last heartbeat, microseconds.
    #[n(14)]
    pub stall_us: u32,
    /// Resource ids of addresses whose gate was seen whole since the last tick (R-LEASE-13).
    #[n(15)]
    pub gated: Vec<hearth_types::ResourceId>,
    /// Addresses that it could not serve for want of carrier (R-MEM-7).
    #[n(16)]
    pub unservable: Vec<hearth_types::ResourceId>,
    /// Ping targets reached, and configured (R-MEM-9).
    #[n(17)]
    pub pings: (u16, u16),
    /// Per peer, what we heard of it.
    #[n(18)]
    pub peers: Vec<PeerReport>,
    /// The sender's lease is past half: answer at once.
    #[n(19)]
    pub answer_now: bool,
    /// Whether any interface of links and held addresses has carrier.
    #[n(20)]
    pub has_carrier: bool,
    /// Its DC, if it knows one.
    #[n(21)]
    pub dc: Option<NodeName>,
    /// Voters of its epoch.
    #[n(22)]
    pub voters: Vec<NodeName>,
    /// What it states as one of more than two machines.
    #[n(23)]
    pub statement: Option<Statement>,
    /// Wire version that the sender's record has in use (R-WIRE-6); none while it has no record.
    #[n(24)]
    pub wire: Option<u8>,
    /// How far the sender's disk has come (R-LEDGER-3); none: it does not count that.
    #[n(25)]
    pub mark: Option<Mark>,
    /// What resets the sender's machine when it cannot stop in time, as far as it is armed (R-LEASE-6).
    #[n(26)]
    pub watchdog: Option<Watchdog>,
    /// Who is heard with the cluster's key and is not in the sender's list of nodes; none: nobody (decision 0058).
    #[n(27)]
    pub strangers: Option<Vec<NodeName>>,
    /// The tiebreaker that the sender's ha.cf names; none: it goes by none (section 3).
    #[n(28)]
    pub tiebreaker: Option<Tiebreaker>,
}

/// What lets one of two machines go on alone, besides a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum Tiebreaker {
    /// `tiebreaker ping`.
    #[n(0)]
    Ping,
    /// `tiebreaker disk`.
    #[n(1)]
    Disk,
}

/// Letters of a driver's name that a heartbeat carries: with them it takes no more frames of a serial line.
pub const DRIVER_LETTERS: usize = 20;

/// A watchdog that is armed, as its driver says (R-MEM-1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Watchdog {
    /// Name of its driver, cut to [`DRIVER_LETTERS`].
    #[n(0)]
    pub driver: String,
    /// From the last pet to the reset, as read back, in milliseconds.
    #[n(1)]
    pub timeout_ms: u32,
    /// Whether it can never be closed again.
    #[n(2)]
    pub nowayout: bool,
}

/// How many writes that something depends on the disk of an identity has taken (R-LEDGER-3). Two numbers of one disk are
/// in the order of time, unless somebody put the disk back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Mark {
    /// What this run found.
    #[n(0)]
    pub began: u64,
    /// What is durable.
    #[n(1)]
    pub reached: u64,
}

/// What one of more than two machines states, so that loss, leases and proof by time are judged by all voters and not by
/// the DC's own ears (R-LEASE-2, 3, 4, 12).
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode, Serialize, Deserialize)]
pub struct Statement {
    /// Nodes that have not been alive for deadtime and of which no report says so: it never heard them.
    #[n(0)]
    pub unheard: Vec<NodeName>,
    /// Voters of the next epoch, while it has accepted an end of its own and does not know it decided.
    #[n(1)]
    pub next: Vec<NodeName>,
    /// What it will vouch for no more, durably.
    #[n(2)]
    pub revoked: Vec<Revocation>,
    /// Milliseconds since it knew its epoch decided, at most 2^32 - 1.
    #[n(3)]
    pub epoch_age_ms: u32,
}

/// "I vouch for that admission and every lower one no more" (R-LEASE-3).
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize, Deserialize)]
pub struct Revocation {
    /// Of whom.
    #[n(0)]
    pub node: NodeName,
    /// The newest admission revoked.
    #[n(1)]
    pub admission: Admission,
    /// Microseconds since the newest heartbeat of it that the sender vouched for arrived, under whatever admission; at
    /// most 2^32 - 1.
    #[n(2)]
    pub age_us: u32,
}

/// A shared value is encoded as the value itself.
pub(crate) mod shared {
    use super::Arc;
    use minicbor::decode::{self, Decode, Decoder};
    use minicbor::encode::{self, Encode, Encoder, Write};

    pub(crate) fn encode<C, T: Encode<C>, W: Write>(
        value: &Arc<T>,
        e: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        T::encode(value, e, context)
    }

    pub(crate) fn decode<'b, C, T: Decode<'b, C>>(
        d: &mut Decoder<'b>,
        context: &mut C,
    ) -> Result<Arc<T>, decode::Error> {
        T::decode(d, context).map(Arc::new)
    }
}

/// What the sender of a heartbeat knows of one peer.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize, Deserialize)]
pub struct PeerReport {
    /// The peer.
    #[n(0)]
    pub node: NodeName,
    /// Its incarnation as we know it (R-WIRE-4).
    #[n(1)]
    pub incarnation: Incarnation,
    /// Newest message number heard, on any link.
    #[n(2)]
    pub heard: MessageNumber,
    /// Microseconds since then, at most 2^32 - 1.
    #[n(3)]
    pub age_us: u32,
    /// Links, as bits of their number, on which it was heard within deadtime.
    #[n(4)]
    pub links: u64,
    /// Newest message number vouched for (R-LEASE-1); none: revoked or not entitled.
    #[n(5)]
    pub vouch: Option<MessageNumber>,
    /// Of more than two machines: whether it is alive; false: it has not been for deadtime; none: neither is sure
    /// (R-LEASE-2).
    #[n(6)]
    pub alive: Option<bool>,
    /// The mark that its identity stated and that its disk had forgotten when this run of it began: nothing of what it says
    /// in the ledger is taken (R-LEDGER-3).
    #[n(7)]
    pub beyond: Option<u64>,
}

impl Heartbeat {
    /// Whether the sender says that a node is alive.
    pub fn says_alive(&self, node: &NodeName) -> bool {
        self.peers.iter().any(|report| report.node == *node && report.alive == Some(true))
    }

    /// Whether the sender says that a node has not been alive for deadtime.
    pub fn says_dead(&self, node: &NodeName) -> bool {
        self.peers.iter().any(|report| report.node == *node && report.alive == Some(false))
            || self.statement.as_ref().is_some_and(|statement| statement.unheard.contains(node))
    }
}

/// One fragment of the ordered channel between two incarnations.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize, Deserialize)]
pub struct Segment {
    /// Sender.
    #[n(0)]
    pub from: NodeName,
    /// Its incarnation.
    #[n(1)]
    pub incarnation: Incarnation,
    /// Receiver.
    #[n(2)]
    pub to: NodeName,
    /// Receiver's incarnation as the sender knows it.
    #[n(3)]
    pub to_incarnation: Incarnation,
    /// Number of this fragment, from 1, without gap; 0: only an acknowledgement.
    #[n(4)]
    pub number: u64,
    /// All fragments of the other direction up to this one have arrived.
    #[n(5)]
    pub acknowledged: u64,
    /// Whether this fragment ends a message.
    #[n(6)]
    pub last: bool,
    /// The bytes.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// The channel's own run between the two incarnations; a break begins the next one.
    #[n(8)]
    pub session: u64,
    /// Newest session of the receiver that the sender knows; bytes count only in the pair (session, to_session).
    #[n(9)]
    pub to_session: Option<u64>,
    /// The sender waits for a segment that names its session: answer even if there is nothing to say.
    #[n(10)]
    #[cbor(default)]
    pub ask: bool,
    /// The sender's mark ([`Mark::reached`]) by when this leaves: whoever acts on it knows how far that disk had come.
    #[n(11)]
    pub mark: Option<u64>,
}

impl Segment {
    /// The same for every copy of a segment: what a later copy may replace while it waits for a slow line. Two segments
    /// that share one by chance cost a repetition.
    pub fn topic(&self) -> u64 {
        let numbers = [self.to_incarnation.0, self.session, self.number, u64::from(self.ask)];
        let bytes = self.to.as_str().bytes().chain(numbers.into_iter().flat_map(u64::to_be_bytes));
        // FNV-1a.
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}
