//! One node: routes every input to the right machine.
#![forbid(unsafe_code)]

mod event;
mod io;
mod start;

pub use event::{Event, EventId, Severity};
pub use io::{AddressChange, Carrier, Input, Output};
pub use start::{Controller, Start, StartError, TimerKind};
