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

    /// Whether `span` has passed since `earlier`: as `self.since(earlier) >= span`, without the way over seconds.
    #[inline]
    pub fn is_past(self, earlier: Timestamp, span: Duration) -> bool {
        u128::from(self.0.saturating_sub(earlier.0)) >= span.as_nanos()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_passed_when_the_time_since_is_as_long() {
        let spans = [Duration::ZERO, Duration::from_nanos(1), Duration::from_nanos(1_500_000_000), Duration::MAX];
        let moments = [0, 1, 2, 1_500_000_000, 1_500_000_001, u64::MAX].map(Timestamp);
        for (now, then) in moments.into_iter().flat_map(|now| moments.map(|then| (now, then))) {
            for span in spans {
                assert_eq!(now.is_past(then, span), now.since(then) >= span, "{now:?} {then:?} {span:?}");
            }
        }
    }
}
