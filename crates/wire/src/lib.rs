//! Messages to authenticated bytes and back.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod message;
pub use message::*;
