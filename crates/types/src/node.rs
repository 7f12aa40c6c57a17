//! Names of machines and of the links between them.

use crate::name::name_type;
use alloc::string::String;
use core::fmt;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

name_type! {
    /// Name of a configured machine, lower case, as Heartbeat compared them.
    NodeName
}

impl NodeName {
    /// Makes a name, lower-cased.
    pub fn new(text: &str) -> Self {
        NodeName::from(text.to_lowercase())
    }
}

impl From<&str> for NodeName {
    fn from(text: &str) -> Self {
        NodeName::new(text)
    }
}

/// Random 64-bit number that a machine persists with its state (R-JOIN-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct NodeIdentity(#[n(0)] pub u64);

/// Number of a configured medium, in ha.cf order; the same on all nodes with equal files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct LinkId(#[n(0)] pub u8);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link{}", self.0)
    }
}
