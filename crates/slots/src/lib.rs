//! A shared disk with a slot for each machine: a heart that its owner writes, a mailbox into which another one puts a poison
//! pill (`stonith disk`, decision 0055), and a claim by which one of two goes on alone (`tiebreaker disk`, decision 0064).
//!
//! [`Header`], [`Heart`] and [`Pill`] are what stands on the disk, byte by byte (docs/disk.md); [`Keeper`] is what a daemon
//! does with it: it states that it looks, looks for a pill, puts one into the mailbox of another one, and says when that
//! one must have been reset. [`Claimant`] claims, learns who holds the claim, and gives it back, by the rounds of Disk Paxos
//! over the two machines' [`Claim`]s.
//!
//! It deliberately knows no files, no threads and no clock: the driver hands it a [`Device`] and the time, and may be held
//! up in either for as long as the disk likes. What a machine does that finds a pill, or that cannot look, is not decided
//! here but in `controller`.
//!
//! Invariants: bytes of others never panic it; what is damaged is never taken for empty. A look counts from the moment
//! before its read, and its read begins when what it states has been written: who writes a pill and reads the heart
//! afterwards knows at least the times that the owner lives by. Of one term at most one machine ever hears that it holds the
//! claim, in whatever order, however late and whether at all reads and writes of either come about.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod claim;
mod claimant;
mod keeper;
mod layout;
mod record;
mod shot;

pub use claim::{Claim, Favour};
pub use claimant::{Claimant, Holder, Known, Want};
pub use keeper::{Device, Found, Keeper};
pub use layout::{SECTOR, SLOTS_MAX, Shown, SlotShown, add, area, init, show};
pub use record::{Damage, Guard, Header, Heart, NAME_MAX, Pill, RECORD, Stated};
pub use shot::proven_after;

/// Identity of a disk, or of a boot of a machine.
pub type Id = [u8; 16];
