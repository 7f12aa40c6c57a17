//! Time as an integer: no clock is read in the core, so every trace can be replayed.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Nanoseconds on CLOCK_BOOTTIME (R-LEASE-9): monotonic, counts suspend, ignores wall time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The earliest point in time.
    pub const ZERO: Timestamp = Timestamp(0);

    /// Span since `earlier`; zero if `earlier` is later.
    #[inline]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment minus `span`, not before zero.
    #[inline]
    pub fn before(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(span.as_nanos() as u64))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    #[inline]
    fn add(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(span.as_nanos() as u64))
    }
}

impl Sub<Timestamp> for Timestamp {
    type Output = Duration;
    #[inline]
    fn sub(self, earlier: Timestamp) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1_000_000_000, self.0 / 1_000_000 % 1000)
    }
}
