//! Which lines of ha.cf are one path to the peers, and which paths outlive a change of the lines.

use crate::Medium;
use alloc::collections::BTreeMap;
use core::fmt;
use core::net::IpAddr;

impl Medium {
    /// Whether both are one path: several ucast lines on one interface and port lead to different peers. What a path is
    /// tuned to (hops, speed) may differ.
    pub fn is_path_of(&self, other: &Medium) -> bool {
        use Medium::{Bcast, Mcast, Mcast6, Serial, Ucast};
        match (self, other) {
            (Ucast { interface: a, port: p, .. }, Ucast { interface: b, port: q, .. })
            | (Bcast { interface: a, port: p }, Bcast { interface: b, port: q }) => (a, p) == (b, q),
            (Mcast { interface: a, group: g, port: p, .. }, Mcast { interface: b, group: h, port: q, .. }) => {
                (a, g, p) == (b, h, q)
            }
            (Mcast6 { interface: a, group: g, port: p, .. }, Mcast6 { interface: b, group: h, port: q, .. }) => {
                (a, g, p) == (b, h, q)
            }
            (Serial { device: a, .. }, Serial { device: b, .. }) => a == b,
            _ => false,
        }
    }
}

/// As ha.cf says it.
impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Medium::Ucast { interface, peer, port } => write!(f, "ucast {interface} {peer} (port {port})"),
            Medium::Bcast { interface, port } => write!(f, "bcast {interface} (port {port})"),
            Medium::Mcast { interface, group, port, ttl, loopback } => {
                write!(f, "mcast {interface} {group} {port} {ttl} {}", u8::from(*loopback))
            }
            Medium::Mcast6 { interface, group, port, hops, loopback } => {
                write!(f, "mcast6 {interface} {group} {port} {hops} {}", u8::from(*loopback))
            }
            Medium::Serial { device, baud } => write!(f, "serial {device} (baud {baud})"),
        }
    }
}

/// The first line of the path that the line at `position` belongs to; none where there is no such line.
pub fn path(media: &[Medium], position: usize) -> Option<usize> {
    let medium = media.get(position)?;
    media.iter().position(|other| medium.is_path_of(other))
}

/// Where the paths that go on carrying what they carry now are found in the new lines, by the first line of each: every
/// line of such a path is still there, and as it was where both ends must agree (speed, group, port). A `ucast` line to one of
/// the `gone`, machines that are taken out of the list, carries nothing that is missed.
pub fn kept_paths(old: &[Medium], new: &[Medium], gone: &[IpAddr]) -> BTreeMap<usize, usize> {
    let kept = |first: usize| {
        let goes_on = |line: &Medium| {
            let leads_to_gone = matches!(line, Medium::Ucast { peer, .. } if gone.contains(peer));
            leads_to_gone
                || new.iter().any(|other| match (line, other) {
                    // With no hop left it would carry nothing any more.
                    (
                        Medium::Mcast { .. } | Medium::Mcast6 { .. },
                        Medium::Mcast { ttl: 0, .. } | Medium::Mcast6 { hops: 0, .. },
                    ) => false,
                    (Medium::Mcast { .. } | Medium::Mcast6 { .. }, _) => line.is_path_of(other),
                    _ => line == other,
                })
        };
        let mut lines = old.iter().filter(|line| line.is_path_of(&old[first]));
        let moved = new.iter().position(|line| line.is_path_of(&old[first]))?;
        lines.all(goes_on).then_some((first, moved))
    };
    (0..old.len()).filter(|position| path(old, *position) == Some(*position)).filter_map(kept).collect()
}
