//! A packet: magic, wire version, key index, link number, mark of the cluster, payload, tag (R-WIRE-1).

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use hearth_types::LinkId;

use crate::key::{Crc32, KeyState, Method};
use crate::message::Message;
use crate::second::SecondMessage;
use crate::{NEWEST_VERSION, OLDEST_VERSION};

/// First bytes of each packet. Not ASCII at the start, so that no text protocol makes it by accident.
pub const MAGIC: [u8; 4] = [0xE8, b'H', b'R', b'T'];
/// Magic 4, wire version 1, key index 1, link 1, mark of the cluster's name 4.
pub const HEADER_LENGTH: usize = 4 + 1 + 1 + 1 + 4;
/// Longest tag.
pub const LONGEST_TAG: usize = Method::Sha256.tag_length();
/// Longest packet but for heartbeats of many nodes: an Ethernet frame of 1500 bytes holds it behind IPv6 (40) and UDP (8)
/// with 52 bytes to spare for a tunnel, so that no IP fragment is made.
pub const MAX_PACKET: usize = 1400;
/// Longest heartbeat of many nodes, which reports of each of them: 31 reports with names of 64 bytes, spelt out as in wire
/// version 1 (110 each), as many nodes never heard (66 each), and 2,500 for the rest. Above [`MAX_PACKET`], from about 20
/// nodes on, IP sends it in fragments (decision 0033).
pub const LONGEST_PACKET: usize = 8192;
/// Longest encoded message: 1400 - 11 - 32 = 1357 bytes.
pub const MAX_PAYLOAD: usize = MAX_PACKET - HEADER_LENGTH - LONGEST_TAG;

/// The version whose heartbeats write every name out.
const FIRST: u8 = 1;
const VERSION_AT: usize = 4;
const KEY_AT: usize = 5;
const LINK_AT: usize = 6;
const MARK_AT: usize = 7;

/// Whose doing a refusal is, as far as the packet tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Somebody else's traffic, or noise.
    Stranger,
    /// Files of the nodes differ, or the nodes run different software.
    Setup,
    /// A peer that knows the key sent what we cannot read.
    Peer,
}

/// Why a packet was dropped. Nothing of it was believed, except [`Refusal::Malformed`], whose sender knew the key.
/// The numbers named were read before authentication: good for a message to people, for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// Does not begin with [`MAGIC`].
    #[error("not a packet of Hearth")]
    NotOurs,
    /// Begins like ours but ends before its tag does.
    #[error("the packet is cut short")]
    Short,
    /// Longer than [`LONGEST_PACKET`].
    #[error("the packet is longer than {LONGEST_PACKET} bytes")]
    TooLong,
    /// Written in a wire version that this daemon does not read (R-WIRE-6).
    #[error(
        "wire version {found} is not understood here (understood: {OLDEST_VERSION} to {newest}); {}",
        if found > newest { way_to_newer(*newest) } else { "upgrade its sender" }
    )]
    Version {
        /// Version that the packet names.
        found: u8,
        /// Newest that is understood here.
        newest: u8,
    },
    /// Marked with another cluster's name (R-WIRE-5).
    #[error("it belongs to another cluster on the same wire; give the clusters different ports or addresses")]
    OtherCluster,
    /// Names a key that authkeys does not list.
    #[error("it is signed with key {0}, which authkeys does not list; add the key on this node")]
    UnknownKey(u8),
    /// The tag does not fit: damage, a forgery, or a different text under the same key index.
    #[error("its tag does not fit key {0}; compare authkeys of both nodes")]
    BadTag(u8),
    /// Authentic, but not a message that we can read.
    #[error("it is authentic but its content cannot be read; the sender may be newer")]
    Malformed,
}

impl Refusal {
    /// Stable word for counters and recordings.
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::NotOurs => "not-ours",
            Refusal::Short => "short",
            Refusal::TooLong => "too-long",
            Refusal::Version { .. } => "version",
            Refusal::OtherCluster => "other-cluster",
            Refusal::UnknownKey(_) => "unknown-key",
            Refusal::BadTag(_) => "bad-tag",
            Refusal::Malformed => "malformed",
        }
    }

    /// Whose doing it most likely is.
    pub const fn fault(self) -> Fault {
        match self {
            Refusal::NotOurs | Refusal::Short | Refusal::TooLong => Fault::Stranger,
            Refusal::Version { .. } | Refusal::OtherCluster | Refusal::UnknownKey(_) | Refusal::BadTag(_) => {
                Fault::Setup
            }
            Refusal::Malformed => Fault::Peer,
        }
    }
}

/// What lets a daemon speak a newer version than `newest`.
fn way_to_newer(newest: u8) -> &'static str {
    if newest < NEWEST_VERSION { "take `wire_version` out of ha.cf on this node" } else { "upgrade this node" }
}

/// Why no ring could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// The signing key is not among the keys.
    #[error("authkeys signs with key {0} but does not list it")]
    NoSigningKey(u8),
    /// The method cannot take this key text.
    #[error("the text of key {0} does not suit its method")]
    BadKey(u8),
}

/// A message that does not fit into one packet; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message has {length} bytes encoded; a packet holds {MAX_PAYLOAD}")]
pub struct Oversize {
    /// Bytes of the encoded message.
    pub length: usize,
}

/// All keys of a cluster, prepared once and replaced as a whole on reload (R-WIRE-3).
#[derive(Clone)]
pub struct KeyRing {
    name: String,
    mark: [u8; 4],
    newest: u8,
    signing: u8,
    signer: KeyState,
    keys: BTreeMap<u8, KeyState>,
}

impl fmt::Debug for KeyRing {
    /// Never shows key text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("cluster", &self.name).field("signing", &self.signing).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// Prepares `keys` (index, method, text) for the cluster `cluster_name`; `signing` is the index of `auth`.
    pub fn new(
        cluster_name: &str,
        signing: u8,
        keys: impl IntoIterator<Item = (u8, Method, Vec<u8>)>,
    ) -> Result<KeyRing, RingError> {
        let mut states = BTreeMap::new();
        for (index, method, text) in keys {
            let state = KeyState::new(method, &text, cluster_name.as_bytes()).ok_or(RingError::BadKey(index))?;
            states.insert(index, state);
        }
        let signer = states.get(&signing).ok_or(RingError::NoSigningKey(signing))?.clone();
        let mut mark = Crc32::new();
        mark.update(cluster_name.as_bytes());
        Ok(KeyRing {
            name: cluster_name.into(),
            mark: mark.value().to_be_bytes(),
            newest: NEWEST_VERSION,
            signing,
            signer,
            keys: states,
        })
    }

    /// The same ring for a daemon that is held at wire version `newest`: packets of a newer one are refused by name.
    #[must_use]
    pub fn held_at(self, newest: u8) -> KeyRing {
        KeyRing { newest: newest.clamp(OLDEST_VERSION, NEWEST_VERSION), ..self }
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.name
    }

    /// Number of the key that a packet names; of use once [`KeyRing::open`] has taken it. None: it is no packet.
    pub fn named_key(packet: &[u8]) -> Option<u8> {
        packet.get(KEY_AT).copied()
    }

    /// Method of the key that signs.
    pub fn signing_method(&self) -> Method {
        self.signer.method()
    }

    /// Replaces the content of `out` by the packet that carries `message` on `link`, in the form of wire version
    /// `version` (R-WIRE-6); one that this ring does not speak counts as the nearest that it does.
    pub fn seal(&self, version: u8, link: LinkId, message: &Message, out: &mut Vec<u8>) -> Result<(), Oversize> {
        let version = version.clamp(OLDEST_VERSION, self.newest);
        out.clear();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[version, self.signing, link.0]);
        out.extend_from_slice(&self.mark);
        // Writing to a vector cannot fail, and no field of a message has an encoder that can.
        let encoded = match message {
            Message::Heartbeat(heartbeat) if version > FIRST => {
                minicbor::encode(SecondMessage::from(&**heartbeat), &mut *out)
            }
            message => minicbor::encode(message, &mut *out),
        };
        let length = out.len() - HEADER_LENGTH;
        let longest = match message {
            Message::Heartbeat(_) => LONGEST_PACKET - HEADER_LENGTH - LONGEST_TAG,
            Message::Segment(_) => MAX_PAYLOAD,
        };
        if encoded.is_err() || length > longest {
            out.clear();
            return Err(Oversize { length });
        }
        self.signer.sign(out);
        Ok(())
    }

    /// Checks a packet with the key that it names and reads it. Before the tag is found good only the header is
    /// looked at, which has a fixed form (R-WIRE-1).
    pub fn open(&self, bytes: &[u8]) -> Result<(LinkId, Message), Refusal> {
        let (link, payload) = self.authenticate(bytes)?;
        let mut decoder = minicbor::Decoder::new(payload);
        let message = match bytes[VERSION_AT] {
            FIRST => decoder.decode::<Message>().ok(),
            _ => decoder.decode::<SecondMessage>().ok().and_then(SecondMessage::spelt_out),
        };
        if decoder.position() != payload.len() {
            return Err(Refusal::Malformed);
        }
        Ok((link, message.ok_or(Refusal::Malformed)?))
    }

    fn authenticate<'a>(&self, bytes: &'a [u8]) -> Result<(LinkId, &'a [u8]), Refusal> {
        if !bytes.starts_with(&MAGIC) {
            return Err(Refusal::NotOurs);
        }
        if bytes.len() > LONGEST_PACKET {
            return Err(Refusal::TooLong);
        }
        if bytes.len() < HEADER_LENGTH {
            return Err(Refusal::Short);
        }
        let version = bytes[VERSION_AT];
        if !(OLDEST_VERSION..=self.newest).contains(&version) {
            return Err(Refusal::Version { found: version, newest: self.newest });
        }
        if bytes[MARK_AT..HEADER_LENGTH] != self.mark {
            return Err(Refusal::OtherCluster);
        }
        let index = bytes[KEY_AT];
        let key = self.keys.get(&index).ok_or(Refusal::UnknownKey(index))?;
        let tag_at = bytes.len().checked_sub(key.method().tag_length()).filter(|at| *at >= HEADER_LENGTH);
        let (signed, tag) = bytes.split_at(tag_at.ok_or(Refusal::Short)?);
        if !key.verify(signed, tag) {
            return Err(Refusal::BadTag(index));
        }
        Ok((LinkId(bytes[LINK_AT]), &signed[HEADER_LENGTH..]))
    }
}
