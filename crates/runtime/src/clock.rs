//! The one clock (R-LEASE-9), and wall time for display.

use hearth_types::Timestamp;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Now on CLOCK_BOOTTIME.
pub fn now() -> Timestamp {
    Timestamp(read(ClockId::CLOCK_BOOTTIME))
}

/// Wall time in milliseconds since 1970 of a moment on the node's clock; for display only.
pub fn wall_ms(at: Timestamp) -> u64 {
    to_wall(at) / 1_000_000
}

/// The same in microseconds.
pub(crate) fn wall_us(at: Timestamp) -> u64 {
    to_wall(at) / 1_000
}

/// A CLOCK_REALTIME stamp of the kernel on our clock; never later than now. A wall clock that was stepped since makes
/// a stamp that cannot be used: then it is now.
pub(crate) fn from_wall(stamp: Duration) -> Timestamp {
    let (boot, wall) = (read(ClockId::CLOCK_BOOTTIME), read(ClockId::CLOCK_REALTIME));
    match wall.checked_sub(stamp.as_nanos() as u64) {
        Some(age) if age < 10_000_000_000 => Timestamp(boot.saturating_sub(age)),
        _ => Timestamp(boot),
    }
}

fn to_wall(at: Timestamp) -> u64 {
    let (boot, wall) = (read(ClockId::CLOCK_BOOTTIME), read(ClockId::CLOCK_REALTIME));
    wall.saturating_sub(boot).saturating_add(at.0)
}

fn read(clock: ClockId) -> u64 {
    // Both clocks exist on every Linux that runs this; a zero would only stop time, never lengthen a right.
    clock_gettime(clock).map_or(0, |time| Duration::from(time).as_nanos() as u64)
}
