//! Whether the times leave room: the arithmetic that the checks use and that `hearth check` shows.

use crate::Timing;
use core::time::Duration;

/// What a loaded machine may add between two steps of the heartbeat thread, three round trips included (R-LEASE-10).
pub const ALLOWANCE: Duration = Duration::from_millis(100);

/// Bytes of one heartbeat of two nodes on a serial line: a sealed packet of 261 bytes (HMAC-SHA-256, short names, one
/// peer, a few epochs of lineage) in five frames of at most 58 bytes of it, each with five bytes of its own.
pub const SERIAL_HEARTBEAT: u32 = 261 + 5 * 5;

/// Start bit, eight bits, stop bit.
const BITS_PER_BYTE: u64 = 10;

/// How a lease is spent at worst (R-LEASE-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// What there is: 4/5 of deadtime.
    pub lease: Duration,
    /// Two keepalives: one heartbeat may be lost.
    pub keepalives: Duration,
    /// Round trips and scheduling.
    pub allowance: Duration,
}

impl Budget {
    /// What is left for bad days; none: the times do not fit.
    pub fn spare(&self) -> Option<Duration> {
        self.lease.checked_sub(self.keepalives + self.allowance).filter(|spare| !spare.is_zero())
    }
}

/// The budget of those times.
pub fn budget(timing: &Timing) -> Budget {
    Budget { lease: timing.lease(), keepalives: timing.keepalive * 2, allowance: ALLOWANCE }
}

/// How long one heartbeat takes on a line of `baud` bits per second (R-WIRE-8), in whole milliseconds, rounded up.
pub fn serial_heartbeat(baud: u32) -> Duration {
    let bits = u64::from(SERIAL_HEARTBEAT) * BITS_PER_BYTE;
    Duration::from_millis((bits * 1000).div_ceil(u64::from(baud.max(1))))
}
