//! Names and numbers that everyone in Hearth agrees on.
//!
//! No behaviour beyond parsing, ordering and display lives here, and nothing in this crate
//! touches a clock, a socket or a file.  Every identifier is a newtype; points in time are
//! [`Timestamp`]s on a clock that counts suspend, spans are [`core::time::Duration`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod address;
pub mod alert;
pub mod epoch;
pub mod fence;
mod name;
pub mod node;
pub mod op;
pub mod resource;
pub mod time;

pub use address::AddressSpec;
pub use alert::AlertId;
pub use epoch::{Admission, AssignmentId, EpochName, Incarnation, Index, MessageNumber, PermitKind};
pub use fence::{FenceId, FenceTask};
pub use node::{LinkId, NodeIdentity, NodeName};
pub use op::{OpAction, OpId, OpOutcome, OpRequest, OpResult};
pub use resource::{
    AgentClass, AutoFailback, GroupId, GroupSpec, OnStopFail, OpTimeouts, ResourceId, ResourceKind, ResourceModel,
    ResourceSpec,
};
pub use time::Timestamp;

/// Oldest wire version that this code reads and writes (R-WIRE-6).
pub const OLDEST_WIRE_VERSION: u8 = 1;
/// Newest wire version that this code reads and writes. What each one brought stands in `docs/operations.md`.
pub const NEWEST_WIRE_VERSION: u8 = 4;
