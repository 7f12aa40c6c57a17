//! Why an entry was refused.

use alloc::string::String;
use hearth_types::{Admission, EpochName, GroupId, Incarnation, NodeIdentity, NodeName, OpAction, ResourceId};
use thiserror::Error;

use crate::RequestId;

/// Why an entry was refused. Every sentence ends with the rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the sentence of each variant says what its fields are")]
pub enum Rejection {
    #[error("entry {index} was applied before: the record stands at {applied} (R-LEDGER-1)")]
    OutOfOrder { index: u64, applied: u64 },
    #[error("there is no node {node} in the record (R-JOIN-5)")]
    UnknownNode { node: NodeName },
    #[error("there is no group {group} in the record (R-LEDGER-1)")]
    UnknownGroup { group: GroupId },
    #[error("there is no resource {resource} in the record (R-LEDGER-1)")]
    UnknownResource { resource: ResourceId },
    #[error("{node} is known under identity {known:?}, not {offered:?}: another machine uses its name (R-JOIN-5)")]
    Identity { node: NodeName, known: NodeIdentity, offered: NodeIdentity },
    #[error("{node} does not take part: it is {state} (R-TAKE-1)")]
    NotAdmitted { node: NodeName, state: &'static str },
    #[error("{node} has not reported its probes yet (R-TAKE-4)")]
    NotProbed { node: NodeName },
    #[error("{node} is unclean since a split has healed: {reason} (R-LEDGER-6)")]
    NodeUnclean { node: NodeName, reason: String },
    #[error("{node} is not unclean (R-LEDGER-6)")]
    NotUnclean { node: NodeName },
    #[error("{node} takes part as run {known:?}, not {named:?} (R-TAKE-1)")]
    Incarnation { node: NodeName, known: Incarnation, named: Incarnation },
    #[error("report {number} of {node} does not follow {reported} (R-TAKE-1)")]
    ReportOrder { node: NodeName, number: u64, reported: u64 },
    #[error("{node} takes part under admission {known}, not {named} (R-LEASE-3)")]
    Admission { node: NodeName, known: Admission, named: Admission },
    #[error("{node} is {state}, not lost: time proves nothing (R-LEASE-4)")]
    NotLost { node: NodeName, state: &'static str },
    #[error("{node} is {state}, not lost: what it runs now is not what was fenced (R-TAKE-1)")]
    NotGone { node: NodeName, state: &'static str },
    #[error("{node} has not said that it keeps things only by a lease: time proves nothing (R-LEASE-4)")]
    NotLeased { node: NodeName },
    #[error("{node} has not said that a watchdog resets it: time proves nothing of what it runs (R-TAKE-2)")]
    NotWatched { node: NodeName },
    #[error("the epoch is {current}, not {named} (R-LEASE-4)")]
    AnotherEpoch { named: EpochName, current: EpochName },
    #[error("in an epoch of {count} voters no lease binds (R-LEASE-4)")]
    NoLeases { count: usize },
    #[error("{resource} may be active on {node}: not to be assigned elsewhere before that is cleared (R-TAKE-3)")]
    MayBeActive { resource: ResourceId, node: NodeName },
    #[error("{resource} owns {key}, which {other} may hold active on {node} (R-TAKE-9)")]
    KeyInUse { resource: ResourceId, key: String, other: ResourceId, node: NodeName },
    #[error("{group} is assigned to {node}: first stop it there (R-TAKE-5)")]
    AssignedElsewhere { group: GroupId, node: NodeName },
    #[error("{group} is not assigned to any node (R-TAKE-5)")]
    NotAssigned { group: GroupId },
    #[error("{resource} may still be active on {node} (R-LEAVE-1)")]
    StillActive { resource: ResourceId, node: NodeName },
    #[error("{node} votes: first an epoch without it (R-LEDGER-5)")]
    StillVoter { node: NodeName },
    #[error("permits without a fence exist only where ha.cf lists two machines; it lists {count} (R-LEDGER-4)")]
    NotAPair { count: usize },
    #[error("epoch {name} does not follow {current} (R-LEDGER-5)")]
    EpochNumber { name: EpochName, current: EpochName },
    #[error("an epoch has one to seven voters, each once; this one has {count} (R-LEDGER-2)")]
    Voters { count: usize },
    #[error("request {request} was applied before or its run is over (R-LEDGER-9)")]
    RequestSpent { request: RequestId },
    #[error("a move needs a node to go to or one to leave, and a group (R-LEDGER-9)")]
    EmptyMove,
    #[error("{node} cannot be taken out of the list: it votes or something may be active there (R-LEDGER-4)")]
    NodeInUse { node: NodeName },
    #[error("group {group} is empty or named twice (R-LEDGER-1)")]
    BadGroup { group: GroupId },
    #[error("resource {resource} is named twice (R-TAKE-9)")]
    DuplicateResource { resource: ResourceId },
    #[error("wire version {version} does not follow {current}: it rises by one at a time (R-WIRE-6)")]
    WireVersion { version: u8, current: u8 },
    #[error("{node} has not stated in its present run that it speaks wire version {version} (R-WIRE-6)")]
    CannotSpeak { node: NodeName, version: u8 },
    #[error("no entry of wire version {version} while {current} is in use (R-WIRE-6)")]
    NotSpokenYet { version: u8, current: u8 },
    #[error(
        "failure {index} of the {action} of {resource} on {node} is not the newest, or none that time ends (R-TAKE-8)"
    )]
    NotAged { resource: ResourceId, node: NodeName, action: OpAction, index: u64 },
    #[error("a batch inside a batch (R-LEDGER-1)")]
    NestedBatch,
}
