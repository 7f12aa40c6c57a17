//! Operations on resources on a real machine: probe, start, stop, monitor.
//!
//! It does not know clusters, records or plans: whether an operation is right was decided before it is asked for,
//! and the only bound it checks by itself is the instant after which a start must not act any more (R-LEASE-5).
//!
//! In: one [`hearth_types::OpRequest`] at a time, any number side by side, and a [`cancel::Cancel`].
//! Out: one [`hearth_types::OpResult`], always, and within a known bound of its timeout.
//!
//! Invariants:
//! * No operation holds up another one; none waits without a deadline (R-TAKE-8).
//! * A stop is reported as done only when the agent, or a status after all stages, said so (R-TAKE-8).
//! * Nothing here signals pid 1, this process, its parents, or anything because a path led to the root file system.
//! * What a start leaves running outlives this process (R-LEAVE-2).

#![deny(unsafe_code)]

pub mod alert;
pub mod cancel;
pub mod fence;
pub mod filesystem;
pub mod net;
pub mod process;
pub mod runner;
pub mod script;
mod sys;
