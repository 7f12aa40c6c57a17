//! How long this machine did not let us run.
//!
//! A thread wants to wake every millisecond.  What it is late by is what every other thread of this run may have been
//! late by too: a figure that is worse than its bound by no more than that says nothing about the cluster.

use crate::now;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const TICK: u64 = 1_000_000;
/// Smaller delays are ordinary and not kept.
const WORTH_KEEPING: u64 = 1_000_000;

/// Measures until it is dropped.
pub struct StallMeter {
    stalls: Arc<Mutex<Vec<(u64, u64)>>>,
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl StallMeter {
    /// Starts a ticker for each processor: one that runs proves nothing about the other.
    ///
    /// # Errors
    /// When the kernel gives no timer.
    pub fn start() -> anyhow::Result<Self> {
        let stalls = Arc::new(Mutex::new(Vec::new()));
        let ends = Arc::new(AtomicBool::new(false));
        let processors = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        let mut threads = Vec::new();
        for processor in 0..processors {
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
            timer
                .set(Expiration::Interval(Duration::from_nanos(TICK).into()), TimerSetTimeFlags::empty())
                .map_err(anyhow::Error::from)?;
            let (stalls, ends) = (stalls.clone(), ends.clone());
            threads.push(std::thread::Builder::new().name("stall meter".into()).spawn(move || {
                let mut set = nix::sched::CpuSet::new();
                // Where pinning is not allowed the ticker measures whatever processor it is given.
                let _ = set
                    .set(processor)
                    .and_then(|()| nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set));
                tick(&timer, &stalls, &ends);
            })?);
        }
        Ok(Self { stalls, ends, threads })
    }

    /// The longest stall that touches the span, in nanoseconds.
    pub fn worst(&self, from: u64, to: u64) -> u64 {
        let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
        stalls
            .iter()
            .filter(|(at, length)| at + length >= from && *at <= to)
            .map(|(_, length)| *length)
            .max()
            .unwrap_or(0)
    }

    /// The sum of all stalls of 3 ms and more that touch the span, in nanoseconds; stalls at the same time on several
    /// processors count once.
    pub fn total(&self, from: u64, to: u64) -> u64 {
        let mut spans: Vec<(u64, u64)> = {
            let stalls = self.stalls.lock().unwrap_or_else(PoisonError::into_inner);
            stalls
                .iter()
                .filter(|(at, length)| *length >= 3 * TICK && at + length >= from && *at <= to)
                .map(|(at, length)| (*at, at + length))
                .collect()
        };
        spans.sort_unstable();
        let (mut sum, mut reached) = (0, 0);
        for (start, end) in spans {
            sum += end.saturating_sub(start.max(reached));
            reached = reached.max(end);
        }
        sum
    }
}

impl Drop for StallMeter {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A ticker that panicked has nothing left to clean up.
            let _ = thread.join();
        }
    }
}

fn tick(timer: &TimerFd, stalls: &Mutex<Vec<(u64, u64)>>, ends: &AtomicBool) {
    let mut due = now() + TICK;
    while !ends.load(Ordering::Relaxed) && timer.wait().is_ok() {
        let woke = now();
        if woke > due + WORTH_KEEPING {
            stalls.lock().unwrap_or_else(PoisonError::into_inner).push((due, woke - due));
        }
        due = woke + TICK;
    }
}
