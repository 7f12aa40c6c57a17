//! One node: routes every input to the right machine.
#![forbid(unsafe_code)]

mod event;
mod io;

pub use event::{Event, EventId, Severity};
pub use io::{AddressChange, Carrier, Input, Output};
