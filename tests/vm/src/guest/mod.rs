//! What runs inside of a guest beside Hearth.

pub mod init;
pub mod ports;
pub mod switch;
pub mod writer;
