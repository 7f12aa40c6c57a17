//! One machine that must be turned off: which device, in which order, when again.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use hearth_types::{FenceId, NodeName, Timestamp};
use serde::{Deserialize, Serialize};

/// Pause after every device has failed once; doubled each time.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// An order under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    id: FenceId,
    device: usize,
    at: Timestamp,
}

/// A device's word that the machine is off, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// Which device.
    pub device: usize,
    /// When the order was given: nothing that the machine did before counts any more.
    pub ordered_at: Timestamp,
    /// When the device said so.
    #[serde(default)]
    pub said_at: Timestamp,
}

/// One machine that must be turned off. One order runs at a time; nothing here waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    target: NodeName,
    /// Devices, first choice first.
    levels: Vec<usize>,
    level: usize,
    rounds: u32,
    next_at: Timestamp,
    running: Option<Order>,
    failure: Option<String>,
    confirmed: Option<Confirmed>,
}

impl Fence {
    /// `delay` passes before the first order (R-PAIR-2).
    pub fn new(now: Timestamp, target: NodeName, levels: Vec<usize>, delay: Duration) -> Fence {
        let next_at = now + delay;
        Fence { target, levels, level: 0, rounds: 0, next_at, running: None, failure: None, confirmed: None }
    }

    /// The device that is to be used at this moment, if any.
    pub fn due(&self, now: Timestamp) -> Option<usize> {
        let idle = self.running.is_none() && self.confirmed.is_none();
        self.levels.get(self.level).copied().filter(|_| idle && now >= self.next_at)
    }

    /// The device that is due was ordered to turn the machine off. Nothing changes where none is.
    pub fn ordered(&mut self, now: Timestamp, id: FenceId) {
        self.running = self.due(now).map(|device| Order { id, device, at: now }).or(self.running);
    }

    /// An order ended: true if it was of this machine. A device that failed is followed by the next one, the last one by
    /// a pause that grows; only its own word that the machine is off ends it.
    pub fn finished(&mut self, now: Timestamp, id: FenceId, result: &Result<String, String>) -> bool {
        let Some(order) = self.running.filter(|order| order.id == id) else { return false };
        self.running = None;
        match result {
            Ok(_) => self.confirmed = Some(Confirmed { device: order.device, ordered_at: order.at, said_at: now }),
            Err(why) => {
                self.failure = Some(why.clone());
                self.level += 1;
                self.next_at = now;
                if self.level >= self.levels.len() {
                    self.level = 0;
                    self.next_at = now + PAUSE_MAX.min(PAUSE * (1 << self.rounds.min(16)));
                    self.rounds += 1;
                }
            }
        }
        true
    }

    /// A person wants it now: no delay and no pause.
    pub fn hurry(&mut self, now: Timestamp) {
        self.next_at = now;
        self.rounds = 0;
        self.confirmed = None;
    }

    /// Not before that moment.
    pub fn put_off(&mut self, until: Timestamp) {
        self.next_at = self.next_at.max(until);
    }

    /// Whether an order is under way.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The device that works on it, if one does.
    pub fn device(&self) -> Option<usize> {
        self.running.map(|order| order.device)
    }

    /// The word of a device, once there is one.
    pub fn confirmed(&self) -> Option<Confirmed> {
        self.confirmed
    }

    /// Whether anything was ordered yet.
    pub fn has_begun(&self) -> bool {
        self.running.is_some() || self.confirmed.is_some() || self.failure.is_some()
    }

    /// When [`Fence::due`] changes by time alone.
    pub fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let waits = self.running.is_none() && self.confirmed.is_none() && !self.levels.is_empty();
        Some(self.next_at).filter(|at| waits && *at > now)
    }

    /// How it stands, for people; `name` tells of a device.
    pub fn text<'a>(&self, now: Timestamp, name: impl Fn(usize) -> &'a str) -> String {
        let target = &self.target;
        let wait = self.next_at.since(now).as_secs();
        let failed = self.failure.as_ref().map(|why| format!(" (it failed before: {why})")).unwrap_or_default();
        if let Some(confirmed) = self.confirmed {
            return format!("{} says that {target} is off, or was", name(confirmed.device));
        }
        if let Some(order) = self.running {
            return format!("{target} is being fenced by {}{failed}", name(order.device));
        }
        match self.levels.is_empty() {
            true => format!("{target} must be fenced first, and no device that this node can use does that"),
            false if now < self.next_at && self.failure.is_none() => {
                format!("{target} must be fenced first; this node waits {wait} s for its turn")
            }
            false if now < self.next_at => {
                format!("{target} must be fenced first, and every device failed; the next try is in {wait} s{failed}")
            }
            false => format!("{target} must be fenced first{failed}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * SECOND)
    }

    fn fence(levels: &[usize]) -> Fence {
        Fence::new(at(0), "b".into(), levels.to_vec(), Duration::ZERO)
    }

    fn failed() -> Result<String, String> {
        Err("no power".into())
    }

    #[test]
    fn who_goes_second_does_not_fence_before_its_turn() {
        // R-PAIR-2
        let fence = Fence::new(at(0), "b".into(), [0].into(), Duration::from_secs(20));
        assert_eq!(fence.due(at(19)), None);
        assert_eq!(fence.due(at(20)), Some(0));
        assert_eq!(fence.next_deadline(at(0)), Some(at(20)));
    }

    #[test]
    fn devices_are_tried_in_their_order_and_then_again_after_growing_pauses() {
        let mut fence = fence(&[3, 5]);
        let (mut now, mut used, mut pauses) = (0, Vec::new(), Vec::new());
        for id in 0..20 {
            while fence.due(at(now)).is_none() {
                now += 1;
                *pauses.last_mut().unwrap() += 1;
            }
            used.extend(fence.due(at(now)));
            fence.ordered(at(now), FenceId(id));
            assert_eq!(fence.due(at(now)), None, "one order at a time");
            assert!(fence.finished(at(now), FenceId(id), &failed()));
            pauses.push(0);
        }
        assert_eq!(used[..4], [3, 5, 3, 5]);
        pauses.retain(|pause| *pause > 0);
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn two_owners_because_the_word_of_an_older_order_counted() {
        let mut fence = fence(&[0]);
        fence.ordered(at(1), FenceId(7));
        assert!(!fence.finished(at(2), FenceId(6), &Ok(String::new())));
        assert_eq!(fence.confirmed(), None);
        assert!(fence.finished(at(2), FenceId(7), &Ok(String::new())));
        assert_eq!(fence.confirmed(), Some(Confirmed { device: 0, ordered_at: at(1), said_at: at(2) }));
        assert_eq!(fence.due(at(900)), None, "what is confirmed is not fenced again");
    }
}
