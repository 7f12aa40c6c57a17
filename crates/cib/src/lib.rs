//! The agreed record and its safety rules.
//!
//! For: one value, [`Record`], that every node computes alike from the same decided entries, and the one place where
//! an entry that would allow two owners is refused ([`Record::apply`], R-LEDGER-1, protocol section 6).
//!
//! Deliberately does not know: who is alive, what should run where (the scheduler), how entries are agreed (the
//! ledger), time, messages, agents.
//!
//! Inputs: decided [`Entry`]s in index order. Outputs: the record, or a [`Rejection`] that names the rule.
//!
//! Invariants: `apply` is deterministic and total; a refused entry changes nothing but `applied`; an exclusive resource
//! is assigned to one node, and may be active on at most one, except where a node itself said that it runs it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod aged;
mod apply;
mod assign;
mod configure;
mod digest;
mod entry;
mod list;
mod nodes;
mod record;
mod rejection;
mod report;
mod wire;

pub use aged::FORGETS_FROM;
pub use entry::{ClearSubject, Entry, Report, ReportKind, RequestId, Speaks};
pub use nodes::VOTERS_MAX;
pub use record::{
    Assignment, Change, Failure, LEASE_VOTERS, LINEAGE, MemberState, NodeRecord, Record, RequestedPlacement,
    ResourceState, Unclean, Voter,
};
pub use rejection::Rejection;
pub use wire::{FENCED_FROM, WATCHED_FROM};
