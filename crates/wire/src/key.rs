//! Methods of authkeys and their prepared state.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;

/// How a key signs. Ordered weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// CRC-32 over the bytes: finds damage, authenticates nothing. Anybody can make it.
    Crc,
    /// HMAC-MD5, for old authkeys files.
    Md5,
    /// HMAC-SHA-1, for old authkeys files.
    Sha1,
    /// HMAC-SHA-256, the default.
    Sha256,
}

impl Method {
    /// Bytes of its tag.
    pub const fn tag_length(self) -> usize {
        match self {
            Method::Crc => 4,
            Method::Md5 => 16,
            Method::Sha1 => 20,
            Method::Sha256 => 32,
        }
    }

    /// Whether a tag proves that its maker knows the key.
    pub const fn authenticates(self) -> bool {
        !matches!(self, Method::Crc)
    }
}

/// A key with the cluster's name already absorbed; cloned for each packet.
#[derive(Clone)]
pub(crate) enum KeyState {
    Crc(Crc32),
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
}

impl KeyState {
    /// Prepares `key`; `name` is preceded by its length, so that no name is the beginning of another's packet.
    pub(crate) fn new(method: Method, key: &[u8], name: &[u8]) -> Option<KeyState> {
        let length = (name.len() as u64).to_be_bytes();
        Some(match method {
            Method::Crc => {
                let mut crc = Crc32::new();
                crc.update(&length);
                crc.update(name);
                KeyState::Crc(crc)
            }
            Method::Md5 => KeyState::Md5(prepared(key, &length, name)?),
            Method::Sha1 => KeyState::Sha1(prepared(key, &length, name)?),
            Method::Sha256 => KeyState::Sha256(prepared(key, &length, name)?),
        })
    }

    pub(crate) fn method(&self) -> Method {
        match self {
            KeyState::Crc(_) => Method::Crc,
            KeyState::Md5(_) => Method::Md5,
            KeyState::Sha1(_) => Method::Sha1,
            KeyState::Sha256(_) => Method::Sha256,
        }
    }

    /// Appends the tag over all of `out`.
    pub(crate) fn sign(&self, out: &mut alloc::vec::Vec<u8>) {
        match self {
            KeyState::Crc(crc) => {
                let mut crc = crc.clone();
                crc.update(out);
                out.extend_from_slice(&crc.value().to_be_bytes());
            }
            KeyState::Md5(mac) => append(mac, out),
            KeyState::Sha1(mac) => append(mac, out),
            KeyState::Sha256(mac) => append(mac, out),
        }
    }

    /// Whether `tag` is the tag over `bytes`; in constant time where the tag is a secret (R-WIRE-2).
    pub(crate) fn verify(&self, bytes: &[u8], tag: &[u8]) -> bool {
        match self {
            KeyState::Crc(crc) => {
                let mut crc = crc.clone();
                crc.update(bytes);
                crc.value().to_be_bytes() == tag
            }
            KeyState::Md5(mac) => mac.clone().chain_update(bytes).verify_slice(tag).is_ok(),
            KeyState::Sha1(mac) => mac.clone().chain_update(bytes).verify_slice(tag).is_ok(),
            KeyState::Sha256(mac) => mac.clone().chain_update(bytes).verify_slice(tag).is_ok(),
        }
    }
}

fn prepared<M: Mac + KeyInit>(key: &[u8], length: &[u8], name: &[u8]) -> Option<M> {
    let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
    mac.update(length);
    mac.update(name);
    Some(mac)
}

fn append<M: Mac + Clone>(mac: &M, out: &mut alloc::vec::Vec<u8>) {
    let tag = mac.clone().chain_update(out.as_slice()).finalize().into_bytes();
    out.extend_from_slice(&tag);
}

/// CRC-32 of IEEE 802.3, reflected.
#[derive(Clone)]
pub(crate) struct Crc32(u32);

impl Crc32 {
    pub(crate) fn new() -> Crc32 {
        Crc32(!0)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 ^= u32::from(*byte);
            for _ in 0..8 {
                self.0 = (self.0 >> 1) ^ (0xEDB8_8320 & (self.0 & 1).wrapping_neg());
            }
        }
    }

    pub(crate) fn value(&self) -> u32 {
        !self.0
    }
}
