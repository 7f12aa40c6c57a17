//! Several machines on one machine, with faults and an outside observer.
//!
//! A [`Lab`] is a switch with two networks and a few machines on it, all made of Linux namespaces: each machine has its
//! own network, processes, mounts and host name, and its cables can be pulled, its packets dropped, its processes frozen
//! or its power cut.  A [`Client`] asks a service and knows how long it had to wait; an [`Observer`] asks each machine by
//! itself on its own switch port whether it answers for the address; a [`StallMeter`] says when this machine was too busy
//! for any of it to be believed; a [`Line`] is a serial line between two machines.  `hearth demo` and the tests under
//! tests/cable are built on it.
//!
//! It deliberately does not know how a cluster decides: [`Cluster`] starts the real programs, writes their files and asks
//! their control socket, nothing more.
//!
//! Inputs: two programs, a helper (this crate's own process, see [`host`]), faults as method calls.  Outputs: times and
//! counts.  All times are nanoseconds of CLOCK_MONOTONIC ([`now`]).
//!
//! Invariants: nothing is changed outside the namespaces made here; every process belongs to a process namespace whose
//! first process ends when the pipe from its maker closes, so that an aborted run leaves neither process nor interface;
//! no bound is ever loosened because this machine was slow, the verdict is then [`Verdict::CannotJudge`].
//!
//! It works as root and, after [`as_root_of_own_namespace`], for any user who may make user namespaces; the real-time
//! class and locked memory are then not allowed, so the daemons warn and run without them.
#![deny(unsafe_code)]

mod bare;
mod client;
mod clock;
mod cluster;
mod faults;
mod flood;
mod frames;
mod frames6;
pub mod host;
mod kernel;
mod lab;
mod line;
mod observer;
mod serve;
mod space;
mod stall;
mod sys;
mod verdict;

pub use bare::BareLoop;
pub use client::{Answer, Client, Felt};
pub use clock::{millis, now, wait_until};
pub use cluster::{Cluster, Files, Programs};
pub use faults::Direction;
pub use flood::{Flood, Flooded};
pub use kernel::{AddressChange, AddressWatch, ChangeKind};
pub use lab::{Lab, Net, Options};
pub use line::Line;
pub use observer::{Observer, Owners, Run};
pub use space::{Helper, Process, Space, as_root_of_own_namespace};
pub use stall::StallMeter;
pub use verdict::{Verdict, judge};
