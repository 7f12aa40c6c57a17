//! Messages to authenticated bytes and back.
//!
//! In: packets as they came from a medium, bytes of a serial line, messages to send, the time. Out: messages whose
//! sender knew the cluster's key, packets, segments, frames. It opens no socket, reads no clock, knows no membership:
//! whom to believe beyond the key is decided by its caller.
//!
//! Invariants: nothing but a header of fixed form is read before it is authenticated (R-WIRE-1); no input makes a
//! decoder panic or allocate more than the named bounds; a channel delivers each message of a session once and in
//! order (R-LEDGER-8).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod channel;
mod frame;
mod key;
mod message;
mod nesting;
mod second;
mod serial;
mod window;

pub use channel::{
    ACK_DELAY, Break, Channel, FRAGMENT, LONGEST_TIMEOUT, MAX_MESSAGE, MAX_QUEUED, NotSent, Received, SEND_WINDOW,
    SHORTEST_TIMEOUT,
};
pub use frame::{
    Fault, HEADER_LENGTH, KeyRing, LONGEST_PACKET, LONGEST_TAG, MAGIC, MAX_PACKET, MAX_PAYLOAD, Oversize, Refusal,
    RingError,
};
pub use hearth_types::{NEWEST_WIRE_VERSION as NEWEST_VERSION, OLDEST_WIRE_VERSION as OLDEST_VERSION};
pub use key::Method;
pub use message::*;
pub use nesting::{DEEPEST, is_shallow};
pub use serial::{FRAME_DATA, SerialReceiver, SerialSender, line_bytes, line_time};
pub use window::{SequenceWindow, WINDOW_BITS};
