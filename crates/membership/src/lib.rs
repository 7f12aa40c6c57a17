//! Who is there: links, node liveness and what peers vouch for.
//!
//! Fed with heartbeats that were authenticated and decoded elsewhere, and with the time, it tells per peer and per link
//! what is up, late or dead (R-MEM-2 .. R-MEM-5), which incarnation of a peer is the real one (R-WIRE-4), and until when
//! the peers' vouches carry this node (R-LEASE-1).
//!
//! It deliberately knows nothing of resources, epochs or who may act: a dead peer is a fact here, not a licence.
//!
//! Invariants: a peer is alive only if a packet that names our current incarnation arrived within deadtime and that
//! packet says that the peer hears us; a replaced incarnation is never heard again; nobody is declared dead for the time
//! that this node itself was not running.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod change;
mod link;
mod members;
mod peer;
mod peers;

pub use change::{Change, LateCause};
pub use link::PeerLink;
pub use members::{Members, Params};
pub use peer::{Liveness, PeerView};
