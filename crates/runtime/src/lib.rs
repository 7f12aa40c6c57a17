//! The real machine: sockets, clock, processes, state, control socket, log.
//!
//! It is the driver of [`hearth_controller::Controller`]: it reports what happened as inputs and does what outputs say.
//! It decides nothing about who owns what, reads no field of a message, and knows no protocol state.
//!
//! In: the checked configuration and three folders. Out: an exit reason.
//!
//! Invariants: whatever stands behind a persist waits until it is durable, except heartbeats and the gate (R-LEDGER-3);
//! the heartbeat thread never waits for a disk, a process, a client or another medium (R-WIRE-7).

#![deny(unsafe_code)]

#[cfg(test)]
#[path = "../../../tests/tables/table.rs"]
mod table;

mod alerts;
pub mod clock;
mod control;
mod core_thread;
mod daemon;
mod fences;
pub mod files;
mod gatekeeper;
mod log;
mod media;
mod network;
mod ops;
mod order;
mod peers;
mod pings;
mod recorder;
mod refused;
mod reload;
#[cfg(test)]
#[path = "../../wire/tests/samples/mod.rs"]
#[allow(dead_code, reason = "only the heartbeat and the ring are of use here")]
mod samples;
mod sealed;
mod self_fence;
mod signers;
pub mod slots;
pub mod storage;
pub mod supervise;
mod sys;
pub mod volatile;
mod watchdog;

pub use daemon::{DaemonError, Folders, configuration, run};
pub use self_fence::refusal as self_fence_refusal;
