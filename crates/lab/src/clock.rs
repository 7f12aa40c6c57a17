//! The clock of all measurements.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn now() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Nanoseconds as milliseconds, for people.
pub fn millis(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// What must be added to a kernel receive timestamp (wall clock) to get [`now`]. Read it anew for every batch: then a
/// slewed wall clock costs nothing that matters here.
pub(crate) fn from_wall() -> i128 {
    i128::from(now()) - i128::from(read(ClockId::CLOCK_REALTIME))
}

fn read(clock: ClockId) -> u64 {
    // Both clocks exist on every Linux; a kernel without them could not have started this program.
    let time = clock_gettime(clock).expect("the kernel has this clock");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// Looks every `step` whether `holds` gives something, for at most `limit`. None when it never did.
pub fn wait_until<T>(limit: Duration, step: Duration, mut holds: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = now() + limit.as_nanos() as u64;
    loop {
        if let Some(found) = holds() {
            return Some(found);
        }
        if now() >= deadline {
            return None;
        }
        std::thread::sleep(step);
    }
}
