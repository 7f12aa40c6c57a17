//! What one node began with and everything that it was told, in a form that is lived through again offline.
//!
//! For: the daemon and the simulator, which write recordings ([`Writer`]); `hearth replay` and the tests, which read them
//! ([`Reader`]) and run them through the same controller ([`Replay`]).
//!
//! Deliberately does not know: files, folders, rings, threads, clocks. It writes to an `io::Write` and reads bytes.
//! Keys cannot be in a recording, since neither an input nor a serialised configuration holds any (decision 0003).
//!
//! Layout: one line of text that names the format, then blocks of (length, CRC-32, content). A block that was cut short
//! ends the recording. Content is a list of records: what the node began with ([`Head`]), inputs, gaps, wall times, the
//! end. An input is CBOR with names, of which only the difference to the last one of the same length is stored, with the
//! time since the input before it and two bytes of a check over all inputs and outputs so far.
//!
//! Invariants: what was read is what was written, to the last input of the last whole block; a recording in which an input
//! was changed, dropped or added, or by which a controller orders something else, is found at that input.
#![forbid(unsafe_code)]

mod bytes;
mod check;
mod delta;
mod read;
mod replay;
mod write;

pub use check::Check;
pub use read::{Item, ReadError, Reader};
pub use replay::{Place, Replay, ReplayError, Step};
pub use write::{Begin, Head, Writer};

/// First line of every recording.
pub const MAGIC: &[u8] = b"hearth-recording 1\n";
