//! What changed, in the past tense.

use core::time::Duration;
use hearth_types::{Incarnation, LinkId, NodeName};
use serde::{Deserialize, Serialize};

/// One change of what is known of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// The peer was heard for the first time in this run, or again after it was dead.
    Appeared {
        /// Peer.
        node: NodeName,
        /// How long it had been silent; none: never heard before.
        silent: Option<Duration>,
    },
    /// Another incarnation of the peer took the place of the one before.
    Restarted {
        /// Peer.
        node: NodeName,
        /// The one that was replaced.
        old: Incarnation,
        /// The one that counts.
        new: Incarnation,
    },
    /// A run that another one had replaced counts again: the other has been silent for deadtime, and this one has answered
    /// what was asked since (R-WIRE-4).
    Returned {
        /// Peer.
        node: NodeName,
        /// The one that was silent.
        old: Incarnation,
        /// The one that counts.
        new: Incarnation,
    },
    /// It has been silent for deadtime on every link.
    Died {
        /// Peer.
        node: NodeName,
        /// Span of silence.
        silent: Duration,
    },
    /// It is heard but does not hear us (R-MEM-3).
    OneWay {
        /// Peer.
        node: NodeName,
    },
    /// It hears us again.
    TwoWay {
        /// Peer.
        node: NodeName,
    },
    /// Nothing was heard for warntime: said once per episode.
    Late {
        /// Peer.
        node: NodeName,
        /// Span of silence.
        silent: Duration,
    },
    /// The late peer was heard again, and the evidence tells why it was late.
    LateEnded {
        /// Peer.
        node: NodeName,
        /// Span of silence.
        silent: Duration,
        /// Why.
        cause: LateCause,
    },
    /// A link to the peer carried three packets in a row.
    LinkUp {
        /// Peer.
        node: NodeName,
        /// Link.
        link: LinkId,
    },
    /// A link to the peer was silent for deadtime.
    LinkDied {
        /// Peer.
        node: NodeName,
        /// Link.
        link: LinkId,
    },
    /// Two live incarnations under one name: neither is vouched for.
    Cloned {
        /// The name; our own if somebody else uses it.
        node: NodeName,
    },
    /// The second one has been silent for deadtime.
    CloneGone {
        /// The name.
        node: NodeName,
    },
}

/// Why a heartbeat was late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LateCause {
    /// The sender says that it stalled.
    SenderStalled,
    /// This node did not run.
    ReceiverStalled,
    /// The sender went on; its packets were lost on the way.
    LinkLost,
}

impl core::fmt::Display for LateCause {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(match self {
            LateCause::SenderStalled => "it was stalled itself",
            LateCause::ReceiverStalled => "this node was stalled",
            LateCause::LinkLost => "packets were lost on the way",
        })
    }
}
