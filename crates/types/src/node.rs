//! Names of machines and of the links between them.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::{Deserialize, Serialize};

/// Names of one cluster often begin alike and end otherwise, and are too short to be worth a call.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().rev().eq(other.iter().rev())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Serialize, Deserialize)]
        pub struct $name(Arc<str>);

        // Names are compared all the time, and most of them are copies of the one in the files: a shared text is equal
        // before it is read.
        impl PartialEq for $name {
            #[inline]
            fn eq(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.0, &other.0) || $crate::node::same(self.0.as_bytes(), other.0.as_bytes())
            }
        }

        impl Ord for $name {
            #[inline]
            fn cmp(&self, other: &Self) -> core::cmp::Ordering {
                if self == other { core::cmp::Ordering::Equal } else { self.0.cmp(&other.0) }
            }
        }

        impl core::hash::Hash for $name {
            fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
                self.0.hash(state);
            }
        }

        impl PartialOrd for $name {
            #[inline]
            fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                $name(Arc::from(text))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Ok($name(Arc::from(d.str()?)))
            }
        }
    };
}
pub(crate) use name_type;

name_type! {
    /// Name of a configured machine, lower case, as Heartbeat compared them.
    NodeName
}

impl NodeName {
    /// Makes a name, lower-cased.
    pub fn new(text: &str) -> Self {
        NodeName(Arc::from(text.to_lowercase()))
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
