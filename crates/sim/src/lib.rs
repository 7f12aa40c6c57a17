//! Whole clusters in one process and in virtual time, under every fault that hardware, networks and people know.
//!
//! For: finding our bugs before a site does.  A [`World`] drives the same [`hearth_controller::Controller`] that the
//! daemon drives: it plays the kernels (addresses, gates, lifetimes), networks, serial lines, disks, agents, power
//! switches, watchdogs, ping targets and the person at the keyboard.  [`check`] judges by what those really do, never by what
//! nodes believe.  [`swarm`] draws clusters and faults from a seed, [`shrink`] makes a failure small, [`report`]
//! tells it as a story.
//!
//! Deliberately does not know: how a node decides.  It sees inputs, outputs, and the hardware's truth.
//!
//! In: a [`Layout`] and [`Act`]s.  Out: a story and the complaints of the checkers.
//!
//! Invariants: everything random comes from one seed, one generator per purpose; the same layout, acts and seed give the
//! same trace; time jumps to the next event and nothing ticks.
#![forbid(unsafe_code)]

pub mod act;
pub mod agent;
mod blind;
pub mod check;
mod claims;
pub mod clock;
pub mod disk;
pub mod excuse;
mod execute;
pub mod fencing;
mod flapping;
mod idle;
pub mod kernel;
pub mod layout;
mod lists;
pub mod machine;
mod mutant;
pub mod network;
pub mod pace;
mod perform;
mod post;
mod queue;
mod rare;
mod record;
pub mod report;
mod restores;
mod rng;
pub mod scenario;
pub mod shared;
pub mod shrink;
mod site;
pub mod story;
mod stuck;
pub mod swarm;
mod twin;
mod world;

pub use act::Act;
pub use clock::Clock;
pub use layout::{Layout, LinkKind};
pub use mutant::Mutant;
pub use record::Recording;
pub use rng::Rng;
pub use site::{Order, Site};
pub use world::World;
