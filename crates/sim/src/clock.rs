//! The clock of a machine against true time.

use hearth_types::Timestamp;
use std::time::Duration;

/// CLOCK_BOOTTIME of one machine, with drift.  [R-LEASE-9: any two differ by at most 5 %.]
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// A true moment ...
    pub real: Timestamp,
    /// ... and what the clock showed then.
    pub local: Timestamp,
    /// Local nanoseconds in 1000 true ones.
    pub rate: u64,
    /// What somebody added to wall time, in milliseconds: display only, nothing may follow from it.
    pub wall_step_ms: i64,
}

impl Clock {
    /// A clock that starts with a machine.
    pub fn boot(real: Timestamp, rate: u64) -> Clock {
        Clock { real, local: Timestamp(1_000_000_000), rate, wall_step_ms: 0 }
    }

    /// What it shows at a true moment not before its anchor.
    pub fn local(&self, real: Timestamp) -> Timestamp {
        if self.rate == 1000 {
            return self.local + real.since(self.real);
        }
        let span = u128::from(real.0.saturating_sub(self.real.0));
        self.local + Duration::from_nanos((span * u128::from(self.rate) / 1000) as u64)
    }

    /// The first true moment at which it shows `local`.
    pub fn real(&self, local: Timestamp) -> Timestamp {
        let span = local.0.saturating_sub(self.local.0);
        if self.rate == 1000 {
            return self.real + Duration::from_nanos(span);
        }
        self.real + Duration::from_nanos((u128::from(span) * 1000).div_ceil(u128::from(self.rate)) as u64)
    }

    /// From `now` on it goes on as if `span` had not been (a hypervisor's pause).
    pub fn lose(&mut self, now: Timestamp, span: Duration) {
        let local = self.local(now.before(span));
        (self.real, self.local) = (now, local);
    }

    /// Display time at a true moment, milliseconds since the story began.
    pub fn wall_ms(&self, real: Timestamp) -> i64 {
        (real.0 / 1_000_000) as i64 + self.wall_step_ms
    }
}
