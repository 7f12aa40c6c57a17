//! The text of a name. Names are copied, compared and dropped all the time: a short one stands in its place, and nothing is
//! counted or allocated for it.

use alloc::string::String;
use alloc::sync::Arc;
use core::cmp::Ordering;
use core::fmt;

/// Longest text that stands in its place.
const SHORT: usize = 22;

/// A text that does not change.
#[derive(Clone)]
pub(crate) enum Text {
    /// So many bytes as the last one says; zeros behind them.
    Short([u8; SHORT + 1]),
    /// Longer than that.
    Long(Arc<str>),
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            // It was a text when it was put there.
            Text::Short(bytes) => {
                bytes.get(..usize::from(bytes[SHORT])).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
            }
            Text::Long(text) => text,
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        let mut bytes = [0; SHORT + 1];
        match bytes[..SHORT].get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                bytes[SHORT] = text.len() as u8;
                Text::Short(bytes)
            }
            None => Text::Long(text.into()),
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        if text.len() > SHORT { Text::Long(text.into()) } else { Text::from(text.as_str()) }
    }
}

/// Eight bytes as a number that is ordered as they are.
#[inline]
fn number(bytes: &[u8; SHORT + 1], from: usize) -> u64 {
    let mut part = [0; 8];
    part.copy_from_slice(&bytes[from..from + 8]);
    u64::from_be_bytes(part)
}

/// The order of two texts with zeros behind them; of equal ones the shorter is first.
#[inline]
fn in_order(one: &[u8; SHORT + 1], other: &[u8; SHORT + 1]) -> Ordering {
    // Most names differ in their first bytes.
    let (first, second) = (number(one, 0), number(other, 0));
    if first != second {
        return first.cmp(&second);
    }
    // The last byte is the length.
    (number(one, 8), number(one, SHORT - 7)).cmp(&(number(other, 8), number(other, SHORT - 7)))
}

impl PartialEq for Text {
    #[inline]
    fn eq(&self, other: &Text) -> bool {
        match (self, other) {
            (Text::Short(one), Text::Short(other)) => one == other,
            (Text::Long(one), Text::Long(other)) => Arc::ptr_eq(one, other) || one == other,
            // A text stands in one way only.
            _ => false,
        }
    }
}

impl Eq for Text {}

impl Ord for Text {
    #[inline]
    fn cmp(&self, other: &Text) -> Ordering {
        match (self, other) {
            (Text::Short(one), Text::Short(other)) => in_order(one, other),
            _ => self.as_str().cmp(other.as_str()),
        }
    }
}

impl PartialOrd for Text {
    #[inline]
    fn partial_cmp(&self, other: &Text) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Reads a name where it stands.
pub(crate) struct Reads;

impl serde::de::Visitor<'_> for Reads {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text::from(text))
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name($crate::name::Text);

        impl core::hash::Hash for $name {
            fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                $name(text.into())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::name::Reads).map($name)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self.as_str(), f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(self.as_str())?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Ok($name(d.str()?.into()))
            }
        }
    };
}
pub(crate) use name_type;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeName, ResourceId};
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
            // As long as one that stands in its place can be, one less, one more, and such as differ only there.
            "rack-12-row-07-server",
            "rack-12-row-07-server\0",
            "rack-12-row-07-server1",
            "rack-12-row-07-server2",
            "rack-12-row-07-server\u{7f}",
            "rack-12-row-07-server1\0",
            "rack-12-row-07-server10",
            "rack-12-row-07-server\u{e4}",
            "Filesystem::/dev/sdb1::/srv::ext4",
            "Filesystem::/dev/sdb1::/srv::xfs",
        ];
        let name = |text: &&str| ResourceId::from(*text);
        for (one, other) in texts.iter().flat_map(|one| texts.iter().map(move |other| (one, other))) {
            assert_eq!(name(one).cmp(&name(other)), one.cmp(other), "{one:?} {other:?}");
            assert_eq!(name(one) == name(other), one == other, "{one:?} {other:?}");
        }
        for text in texts {
            let names = [name(&text), name(&text).clone(), ResourceId::from(String::from(text))];
            assert!(names.iter().all(|name| name.as_str() == text && *name == names[0] && name.cmp(&names[0]).is_eq()));
            let bytes = minicbor::to_vec(&names[0]).unwrap();
            assert_eq!(minicbor::decode::<ResourceId>(&bytes).unwrap(), names[0]);
        }
        let nodes: Vec<NodeName> = texts.iter().map(|text| NodeName::new(text)).collect();
        assert!(nodes.iter().all(|node| node.as_str() == node.as_str().to_lowercase()));
    }
}
