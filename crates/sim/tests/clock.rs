//! The clock of a simulated machine finds what it lost.

use hearth_sim::clock::Clock;
use hearth_types::Timestamp;
use std::time::Duration;

#[test]
fn a_moment_is_found_again_on_a_clock_that_drifts() {
    for rate in [950, 1000, 1024] {
        let clock = Clock::boot(Timestamp(5_000), rate);
        let at = clock.real(Timestamp(3_000_000_001));
        assert!(clock.local(at) >= Timestamp(3_000_000_001));
        assert!(clock.local(Timestamp(at.0 - 2)) < Timestamp(3_000_000_001));
    }
}

#[test]
fn a_pause_is_not_seen_by_the_clock_that_it_stopped() {
    let mut clock = Clock::boot(Timestamp(0), 1000);
    clock.lose(Timestamp(9_000), Duration::from_nanos(4_000));
    assert_eq!(clock.local(Timestamp(9_000)), Timestamp(1_000_005_000));
}
