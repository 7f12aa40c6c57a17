//! Real daemons on machines made of namespaces, one fault at a time: what a client feels, and who answers meanwhile.
//!
//! Each file is a family of faults.  A test makes its machines, waits until they are quiet, does one thing to them, and
//! compares what was measured with the bound of docs/protocol.md.  A run in which this machine stalled too long to be
//! judged is repeated a few times and says so; a bound is never loosened.  Figures go to target/cable/table.md.
//!
//! Needs root and namespaces, and fails without them.

mod alert;
mod bench;
mod cables;
mod claim;
mod clock;
mod crowd;
mod daemon;
mod disk;
mod fence;
mod figures;
mod flood;
mod freeze;
mod idle;
mod interfaces;
mod ipv6;
mod list;
mod many;
mod matrix;
mod pill;
mod planned;
mod power;
mod recording;
mod reload;
mod resources;
mod serial;
mod silent;
mod standby;
mod start;
mod three;
mod upgrade;
mod witness;
