//! This node's share of the plan, as operations in order.
//!
//! For: bringing what runs here to what the record wants here, one operation per resource at a time, and saying what
//! came of it. Level-triggered: it compares and does the next thing that nothing blocks; there is no transition that
//! could be interrupted.
//!
//! Deliberately does not know: who decides, how entries are agreed, leases and gates (it is told its [`Rights`]), how an
//! operation is run, whether another machine answers for an address (it says which it must know, [`ExecutorOutput::NeedWire`]).
//!
//! Inputs: [`ExecutorInput`]. Outputs: [`ExecutorOutput`], in order.
//!
//! Invariants: nothing is started or stopped before everything was probed, nothing is started without the right to and
//! an assignment that the record holds and no report of ours has spent (R-TAKE-1); a group starts in order and stops in
//! reverse, except that addresses go first when the right to keep them ends (R-LEASE-5); never two operations on one
//! resource at once; what is equal is not touched.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod executor;
mod finish;
mod io;
mod local;
mod outbox;
mod settle;
#[cfg(test)]
mod table;
mod tell;

pub use executor::Executor;
pub use io::{
    AddressChange, ExecutorInput, ExecutorOutput, ExecutorTimer, LocalState, Note, NoteKind, OutgoingReport, Policy,
    Rights, StartedResource,
};
