//! Names of machines and of the links between them.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::{Deserialize, Serialize};

/// So many first bytes of a name are compared without reading its text.
pub(crate) const KEY: usize = 8;

/// The first bytes of a name as a number that is ordered as they are; a shorter name is filled up with zeros.
pub(crate) fn key(text: &str) -> u64 {
    let mut bytes = [0; KEY];
    for (byte, from) in bytes.iter_mut().zip(text.bytes()) {
        *byte = from;
    }
    u64::from_be_bytes(bytes)
}

/// The order of two texts whose keys are equal. If one of them ends within the key, the other begins with it.
#[inline]
pub(crate) fn behind_key(one: &Arc<str>, other: &Arc<str>) -> core::cmp::Ordering {
    if one.len() <= KEY || other.len() <= KEY {
        return one.len().cmp(&other.len());
    }
    if Arc::ptr_eq(one, other) {
        return core::cmp::Ordering::Equal;
    }
    one.as_bytes()[KEY..].cmp(&other.as_bytes()[KEY..])
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Deserialize)]
        #[serde(from = "Arc<str>")]
        pub struct $name {
            key: u64,
            text: Arc<str>,
        }

        // Names are compared all the time: most of them differ in their first bytes or are short, and most of the others
        // are copies of the one in the files, whose shared text is equal before it is read.
        impl PartialEq for $name {
            #[inline]
            fn eq(&self, other: &Self) -> bool {
                let short = self.text.len() <= $crate::node::KEY;
                let same = self.key == other.key && self.text.len() == other.text.len();
                same && (short || $crate::node::behind_key(&self.text, &other.text).is_eq())
            }
        }

        impl Eq for $name {}

        impl Ord for $name {
            #[inline]
            fn cmp(&self, other: &Self) -> core::cmp::Ordering {
                match self.key.cmp(&other.key) {
                    core::cmp::Ordering::Equal => $crate::node::behind_key(&self.text, &other.text),
                    differ => differ,
                }
            }
        }

        impl core::hash::Hash for $name {
            fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
                self.text.hash(state);
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
                &self.text
            }
        }

        impl From<Arc<str>> for $name {
            fn from(text: Arc<str>) -> Self {
                $name { key: $crate::node::key(&text), text }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                $name::from(Arc::<str>::from(text))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.text, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.text)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(&self.text)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Ok($name::from(Arc::<str>::from(d.str()?)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Harm: two names count as one, or a record is in another order on another node.
    #[test]
    fn names_are_ordered_and_equal_as_their_texts_are() {
        let texts = [
            "",
            "\0",
            "a",
            "a\0",
            "a\0b",
            "ab",
            "node-1",
            "node-01",
            "node-001",
            "node-001\0",
            "node-0011",
            "node-0012",
            "node-00110",
            "node-0011\0",
            "\u{e4}rger",
            "zz",
            "10.0.0.50/24/eth0",
            "10.0.0.50/24/eth1",
            "10.0.0.5",
        ];
        let name = |text: &&str| NodeName::from(Arc::<str>::from(*text));
        for (one, other) in texts.iter().flat_map(|one| texts.iter().map(move |other| (one, other))) {
            assert_eq!(name(one).cmp(&name(other)), one.cmp(other), "{one:?} {other:?}");
            assert_eq!(name(one) == name(other), one == other, "{one:?} {other:?}");
        }
        let names: Vec<NodeName> = texts.iter().map(name).collect();
        assert!(names.iter().all(|name| name.cmp(&name.clone()).is_eq() && *name == name.clone()));
    }
}
