//! Agreement on the record: who may change it, in what order, and what is durable before it is visible.
//!
//! An epoch of two or more voters is one omnipaxos configuration, an epoch of one voter decides by itself (R-LEDGER-2).
//! This crate runs the epochs: the first one (R-JOIN-1), forced ones (R-LEDGER-5), ordinary changes of voters by
//! stop-sign, and rival ones (R-LEDGER-6).  It is fed with messages of peers, with time as ticks and with proposals, and
//! returns what must be made durable, what must be said, and what was decided, in the order in which it must happen.
//!
//! It deliberately does not know who is alive, what a permit needs, or what an entry means beyond `cib::apply`; and it
//! touches no disk, clock or random source.
//!
//! Invariants: only messages of the current epoch reach omnipaxos, from a voter of that name, to us (R-LEDGER-7); a voter
//! is a name with its persisted identity, so a machine that lost its state never votes for what it was; everything that
//! stands behind a `Persist` in the output depends on it.
#![forbid(unsafe_code)]

mod durable;
mod epochs;
pub mod founding;
mod learn;
mod ledger;
mod mark;
mod members;
mod message;
mod paxos;
mod revoke;
mod storage;

pub use ledger::{Ledger, LedgerOut, Params, Relation};
pub use members::is_member_of;
pub use message::{Join, LedgerMessage, RivalOffer};
pub use storage::Item;
