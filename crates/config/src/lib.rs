//! ha.cf, haresources, authkeys: text in, a typed value or every complaint out.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod value;
pub use value::*;

mod source;
pub use source::*;
