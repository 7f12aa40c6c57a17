//! What may be asked of a node and what it answers.
//!
//! Carried as JSON lines over the control socket: one [`Request`] a line, answered by one or more lines of [`Reply`].
//! This crate knows no socket.  Field names are an interface that scripts use: they are only ever added to.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod reply;
mod request;
mod status;

pub use reply::*;
pub use request::*;
pub use status::*;
