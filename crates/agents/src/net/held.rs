//! What this daemon did to addresses, so that the watch can tell it from what others do.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The kernel may round an expiry down by its timer's fuzz.
const EARLY: Duration = Duration::from_millis(40);
/// Lifetimes are listed in whole seconds, and a list may be read a moment late.
const ROUNDING: Duration = Duration::from_secs(2);

/// An address that this daemon put onto an interface and has not taken away.
#[derive(Clone, Debug)]
pub(crate) struct HeldAddress {
    /// Number of the interface.
    pub index: u32,
    /// Length of its prefix.
    pub prefix: u8,
    /// Its IPv4 label.
    pub label: Option<String>,
    /// Its broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// Not before this moment does the kernel remove it; none: never.
    pub valid_until: Option<Instant>,
    /// Somebody took it away, and that was reported.
    pub lost: bool,
    /// Somebody set another lifetime, and that was reported.
    pub changed: bool,
}

impl HeldAddress {
    /// Whether a removal now is the end of its lifetime.
    pub fn has_expired(&self, now: Instant) -> bool {
        self.valid_until.is_some_and(|end| now + EARLY >= end)
    }

    /// Whether a lifetime that the kernel lists is the one that was set.
    pub fn agrees(&self, listed: Option<Duration>, now: Instant) -> bool {
        match (self.valid_until, listed) {
            (None, None) => true,
            (Some(end), Some(listed)) => end.saturating_duration_since(now).abs_diff(listed) <= ROUNDING,
            _ => false,
        }
    }
}

/// The addresses that are ours now, shared between the agent that changes them and the watch.
#[derive(Clone, Debug, Default)]
pub struct Held {
    all: Arc<Mutex<BTreeMap<IpAddr, HeldAddress>>>,
    /// The netlink socket that renews their lifetimes and does nothing else.
    pub(crate) renewals: Option<u32>,
}

impl Held {
    pub(crate) fn renewed_by(port: u32) -> Held {
        Held { all: Arc::default(), renewals: Some(port) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, HeldAddress>> {
        // The map is whole between any two statements, so a panic elsewhere spoils nothing.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Addresses that this daemon holds, whether or not somebody removed them meanwhile.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.lock().keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_and_foreign_lifetimes_are_told_apart() {
        // R-LEASE-11, R-TAKE-7
        let now = Instant::now();
        let of = |valid_until| {
            let (label, broadcast) = (None, None);
            HeldAddress { index: 2, prefix: 24, label, broadcast, valid_until, lost: false, changed: false }
        };
        let held = of(Some(now + Duration::from_secs(3)));
        assert!(!held.has_expired(now));
        assert!(held.has_expired(now + Duration::from_secs(3)));
        assert!(held.agrees(Some(Duration::from_secs(2)), now));
        assert!(!held.agrees(Some(Duration::from_secs(86_400)), now));
        assert!(!held.agrees(None, now));
        let for_ever = of(None);
        assert!(!for_ever.has_expired(now + Duration::from_secs(1_000_000)));
        assert!(for_ever.agrees(None, now) && !for_ever.agrees(Some(Duration::from_secs(60)), now));
    }
}
