//! Addresses: netlink, the gate in the kernel, announcements, questions on the wire, ICMP.
//!
//! Everything here speaks to the kernel through sockets of its own; no program is started and no file is written except
//! the interface settings that R-LEASE-11 and R-LEASE-13 need (`promote_secondaries`, `arp_ignore`). Calls are short
//! system calls and may be made from any thread; only [`watch`] needs a tokio runtime and only [`ask`] has a thread.

pub mod address;
pub mod announce;
pub mod ask;
pub mod carrier;
pub mod gate;
pub mod held;
pub mod icmp;
pub mod link;
pub mod watch;

mod netlink;
mod packet;
mod rules;

pub use address::{AddressAgent, Home};
pub use announce::{Announcer, BURST};
pub use ask::{AskEvent, Asker, Question};
pub use carrier::Carrier;
pub use gate::{Gate, GateError, GateReport, Ticked, Ticker};
pub use held::Held;
pub use icmp::Pinger;
pub use link::{Address, Link, Snapshot};
pub(crate) use netlink::Netlink as Socket;
pub use watch::{Loss, NetEvent, Watch};
