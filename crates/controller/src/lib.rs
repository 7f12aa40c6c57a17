//! One node: composes membership, ledger, fencer, scheduler and executor, and routes every input to them.
//!
//! For: a deterministic whole node. It is fed [`Input`]s with the time, and returns [`Output`]s whose order is meaning;
//! the same start and inputs give the same outputs, so a recording, a simulation and a test are the same thing.
//!
//! Deliberately does not know: sockets, keys, clocks, files, processes, wall time. Packets arrive authenticated.
//!
//! Invariants: an own pause is judged before anything else that one input brings (R-MEM-5); whatever depends on a write
//! stands behind its [`Output::Persist`] (R-LEDGER-3); every action has an [`Event`] with a cause.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "../../../tests/tables/table.rs"]
mod table;

mod aging;
mod alert;
mod alert_facts;
mod alerts;
mod alone;
mod beats;
mod by_hand;
mod checkpoint;
mod chronicle;
mod disk;
mod duties;
mod event;
mod fence_ends;
mod fences;
mod flaps;
mod forgotten;
mod held;
mod io;
mod keeping;
mod leases;
mod leave;
mod list;
mod listing;
mod local;
mod losses;
mod make;
mod mark;
mod members;
mod node;
mod orders;
mod reload;
mod report;
mod rest;
mod rights;
mod self_fence;
mod slot;
mod speech;
mod standing;
mod start;
mod stops;
mod talk;
mod tiebreaker;
mod together;
mod watchdog;
mod ways;

pub use alert::{Alert, AlertKind, DeviceState};
pub use checkpoint::NoCheckpoint;
pub use event::{Event, EventId, Severity};
pub use hearth_cib::FENCED_FROM;
pub use held::{HeldBack, Next, overtakes};
pub use io::{AddressChange, Carrier, Input, Output};
pub use slot::{SlotOrder, SlotSeen};
pub use start::{Controller, Start, StartError, TimerKind};
pub use tiebreaker::{ClaimHolder, ClaimWant, TiebreakerOrder, TiebreakerSeen};
