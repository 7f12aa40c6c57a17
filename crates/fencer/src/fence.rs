//! One machine that must be turned off: which device, in which order, when again.
//!
//! A level is one device, or several that must all work: two power supplies of a machine have one each. Each of several is
//! told `off`, one after the other, and only when the last of them has confirmed, the machine was without power: then they
//! are told `on` again. A device that was told `reboot` would have switched its supply on before the other one is off.
//! Nothing is told `on` before all of its level have confirmed, so that no word of a level can be undone while it is waited
//! for: what a level that failed has switched off stays so.

use alloc::collections::BTreeSet;
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
    /// To switch on again what was off.
    on: bool,
}

/// The device that is to be told to turn the machine off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub device: usize,
    /// Whether its word alone says that the machine is off: then it may be told `reboot`, else only `off`.
    pub alone: bool,
}

/// What it means that an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The machine is off, or was: every device of the level has confirmed.
    Off,
    /// The device has confirmed, and another one of its level must, too.
    InPart,
    /// The device has not, and so its level has not; another one is tried at once.
    Failed,
    /// The same of the last level: all begins again after a pause.
    AllFailed,
    /// The order was to switch on again.
    On,
}

/// Every device of a level has said that the machine is off, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// Which level.
    level: usize,
    /// When the first of its orders was given: nothing that the machine did before counts any more.
    pub ordered_at: Timestamp,
    /// When the last device said so.
    pub said_at: Timestamp,
}

/// One machine that must be turned off. One order runs at a time; nothing here waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    target: NodeName,
    /// Devices that must all work, first choice first.
    levels: Vec<Vec<usize>>,
    level: usize,
    /// So many devices of the level have confirmed.
    confirmations: usize,
    /// When the first device of the level was ordered.
    begun_at: Timestamp,
    rounds: u32,
    next_at: Timestamp,
    running: Option<Order>,
    failure: Option<String>,
    confirmed: Option<Confirmed>,
    /// Devices that have switched off what they have there, for a level that has not ended well.
    left_off: BTreeSet<usize>,
    /// Devices that are to switch on again, in their order.
    on: Vec<usize>,
}

impl Fence {
    /// `delay` passes before the first order (R-PAIR-2).
    pub fn new(now: Timestamp, target: NodeName, levels: Vec<Vec<usize>>, delay: Duration) -> Fence {
        Fence {
            target,
            levels,
            level: 0,
            confirmations: 0,
            begun_at: now,
            rounds: 0,
            next_at: now + delay,
            running: None,
            failure: None,
            confirmed: None,
            left_off: BTreeSet::new(),
            on: Vec::new(),
        }
    }

    fn of_level(&self, level: usize) -> &[usize] {
        self.levels.get(level).map_or(&[], Vec::as_slice)
    }

    /// The device that is to turn the machine off at this moment, if any.
    pub fn due(&self, now: Timestamp) -> Option<Due> {
        let idle = self.running.is_none() && self.confirmed.is_none();
        let level = self.of_level(self.level);
        let device = level.get(self.confirmations).copied().filter(|_| idle && now >= self.next_at)?;
        Some(Due { device, alone: level.len() == 1 })
    }

    /// The device that is due was ordered to turn the machine off. Nothing changes where none is.
    pub fn ordered(&mut self, now: Timestamp, id: FenceId) {
        let Some(due) = self.due(now) else { return };
        if self.confirmations == 0 {
            self.begun_at = now;
        }
        self.running = Some(Order { id, device: due.device, at: now, on: false });
    }

    /// Once the machine was off: these devices are to switch on again what they switched off, in this order.
    pub fn switch_on(&mut self, devices: Vec<usize>) {
        self.on = if self.confirmed.is_some() { devices } else { Vec::new() };
    }

    /// The device that is to switch on again at this moment, if any.
    pub fn due_on(&self) -> Option<usize> {
        self.on.first().copied().filter(|_| self.running.is_none())
    }

    /// That device was ordered to. Nothing changes where none is due.
    pub fn ordered_on(&mut self, now: Timestamp, id: FenceId) {
        let Some(device) = self.due_on() else { return };
        self.on.remove(0);
        self.running = Some(Order { id, device, at: now, on: true });
    }

    /// An order ended: which device's, and what that means; none: it was not of this machine. A level that failed is
    /// followed by the next one, the last one by a pause that grows; only the word of a whole level ends it.
    pub fn finished(&mut self, now: Timestamp, id: FenceId, result: &Result<String, String>) -> Option<(usize, Ended)> {
        let order = self.running.take_if(|order| order.id == id)?;
        let ended = match result {
            _ if order.on => Ended::On,
            Ok(_) => self.confirmed_by(now, order),
            Err(why) => self.level_failed(now, why),
        };
        Some((order.device, ended))
    }

    fn confirmed_by(&mut self, now: Timestamp, order: Order) -> Ended {
        let level = self.of_level(self.level).to_vec();
        self.confirmations += 1;
        if self.confirmations < level.len() {
            self.left_off.insert(order.device);
            return Ended::InPart;
        }
        self.left_off.retain(|device| !level.contains(device));
        self.confirmed = Some(Confirmed { level: self.level, ordered_at: self.begun_at, said_at: now });
        Ended::Off
    }

    fn level_failed(&mut self, now: Timestamp, why: &str) -> Ended {
        self.failure = Some(why.into());
        self.confirmations = 0;
        self.level += 1;
        self.next_at = now;
        if self.level < self.levels.len() {
            return Ended::Failed;
        }
        self.level = 0;
        self.next_at = now + PAUSE_MAX.min(PAUSE * (1 << self.rounds.min(16)));
        self.rounds += 1;
        Ended::AllFailed
    }

    /// A person wants it now: no delay and no pause. What was confirmed begins anew, with the levels of now.
    pub fn hurry(&mut self, now: Timestamp, levels: Vec<Vec<usize>>) {
        self.next_at = now;
        self.rounds = 0;
        if self.confirmed.take().is_some() {
            (self.level, self.confirmations, self.levels) = (0, 0, levels);
            self.left_off.extend(self.on.drain(..));
        }
    }

    /// Not before that moment.
    pub fn put_off(&mut self, until: Timestamp) {
        self.next_at = self.next_at.max(until);
    }

    /// Whether some devices of the level have confirmed, and not all.
    pub fn is_in_part(&self) -> bool {
        self.confirmed.is_none() && self.confirmations > 0
    }

    /// Whether an order is under way.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The device that works on it, if one does.
    pub fn device(&self) -> Option<usize> {
        self.running.map(|order| order.device)
    }

    /// The devices of the level that is tried, or has confirmed.
    pub fn level(&self) -> &[usize] {
        self.of_level(self.confirmed.map_or(self.level, |confirmed| confirmed.level))
    }

    /// The word of a level, once there is one.
    pub fn confirmed(&self) -> Option<Confirmed> {
        self.confirmed
    }

    /// Devices that have switched off what they have there, which was not enough, and will not switch it on again.
    pub fn left_off(&self) -> &BTreeSet<usize> {
        &self.left_off
    }

    /// Takes over what an earlier try has left off.
    pub fn inherit(&mut self, left_off: BTreeSet<usize>) {
        self.left_off.extend(left_off);
    }

    /// Positions of devices mean something else from now on: nothing is switched on any more. What runs is waited for.
    pub fn forget_devices(&mut self) {
        self.on.clear();
        self.left_off.clear();
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
        let names = |devices: &[usize]| devices.iter().map(|at| name(*at)).collect::<Vec<_>>().join(" and ");
        let wait = self.next_at.since(now).as_secs();
        let failed = self.failure.as_ref().map(|why| format!(" (it failed before: {why})")).unwrap_or_default();
        if self.confirmed.is_some() {
            let level = self.level();
            let say = if level.len() > 1 { "say" } else { "says" };
            let on = self.running.map(|order| format!("; {} is told to switch on again", name(order.device)));
            return format!("{} {say} that {target} is off, or was{}", names(level), on.unwrap_or_default());
        }
        if let Some(order) = self.running {
            let so_far = self.level().get(..self.confirmations).filter(|so_far| !so_far.is_empty());
            let so_far = so_far.map(|so_far| format!("; {} did, and all must", names(so_far))).unwrap_or_default();
            return format!("{target} is being fenced by {}{so_far}{failed}", name(order.device));
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

    fn fence(levels: &[&[usize]]) -> Fence {
        Fence::new(at(0), "b".into(), levels.iter().map(|level| level.to_vec()).collect(), Duration::ZERO)
    }

    fn done() -> Result<String, String> {
        Ok(String::new())
    }

    fn failed() -> Result<String, String> {
        Err("no power".into())
    }

    /// The device that is due is ordered, and its order ends.
    fn answered(fence: &mut Fence, now: u64, result: Result<String, String>) -> (Due, Ended) {
        let due = fence.due(at(now)).unwrap();
        let id = FenceId(1000 + now);
        fence.ordered(at(now), id);
        assert_eq!((fence.due(at(900)), fence.due_on()), (None, None), "one order at a time");
        let (device, ended) = fence.finished(at(now), id, &result).unwrap();
        assert_eq!(device, due.device);
        (due, ended)
    }

    #[test]
    fn who_goes_second_does_not_fence_before_its_turn() {
        // R-PAIR-2
        let fence = Fence::new(at(0), "b".into(), [[0].into()].into(), Duration::from_secs(20));
        assert_eq!(fence.due(at(19)), None);
        assert_eq!(fence.due(at(20)), Some(Due { device: 0, alone: true }));
        assert_eq!(fence.next_deadline(at(0)), Some(at(20)));
    }

    #[test]
    fn devices_are_tried_in_their_order_and_then_again_after_growing_pauses() {
        let mut fence = fence(&[&[3], &[5]]);
        let (mut now, mut used, mut pauses) = (0, Vec::new(), Vec::new());
        for id in 0..20 {
            while fence.due(at(now)).is_none() {
                now += 1;
                *pauses.last_mut().unwrap() += 1;
            }
            used.extend(fence.due(at(now)).map(|due| due.device));
            fence.ordered(at(now), FenceId(id));
            assert_eq!(fence.due(at(now)), None, "one order at a time");
            let ended = if id % 2 == 0 { Ended::Failed } else { Ended::AllFailed };
            assert_eq!(fence.finished(at(now), FenceId(id), &failed()).map(|(_, ended)| ended), Some(ended));
            pauses.push(0);
        }
        assert_eq!(used[..4], [3, 5, 3, 5]);
        pauses.retain(|pause| *pause > 0);
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn two_owners_because_the_word_of_an_older_order_counted() {
        let mut fence = fence(&[&[0]]);
        fence.ordered(at(1), FenceId(7));
        assert_eq!(fence.finished(at(2), FenceId(6), &done()), None);
        assert_eq!(fence.confirmed(), None);
        assert_eq!(fence.finished(at(2), FenceId(7), &done()), Some((0, Ended::Off)));
        assert_eq!(fence.confirmed(), Some(Confirmed { level: 0, ordered_at: at(1), said_at: at(2) }));
        assert_eq!(fence.due(at(900)), None, "what is confirmed is not fenced again");
    }

    #[test]
    fn two_owners_because_one_of_two_supplies_was_believed() {
        // R-PAIR-1: each is told off, never reboot, and one after the other.
        let mut fence = fence(&[&[3, 4], &[5]]);
        assert_eq!(answered(&mut fence, 1, done()), (Due { device: 3, alone: false }, Ended::InPart));
        assert_eq!((fence.confirmed(), fence.due_on()), (None, None));
        assert_eq!(fence.left_off().iter().copied().collect::<Vec<_>>(), [3]);
        assert_eq!(answered(&mut fence, 7, done()), (Due { device: 4, alone: false }, Ended::Off));
        let word = fence.confirmed().unwrap();
        assert_eq!((word.ordered_at, word.said_at), (at(1), at(7)), "what the machine did since the first order");
        assert_eq!((fence.level(), fence.left_off().len()), (&[3, 4][..], 0));
    }

    #[test]
    fn two_owners_because_a_supply_was_switched_on_before_the_other_was_off() {
        let mut fence = fence(&[&[3, 4]]);
        answered(&mut fence, 1, done());
        fence.switch_on([3].into());
        assert_eq!(fence.due_on(), None, "not before all of the level have confirmed");
        answered(&mut fence, 2, done());
        fence.switch_on([3, 4].into());
        let word = fence.confirmed();
        for (number, result) in [(3, failed()), (4, done())] {
            assert_eq!(fence.due_on(), Some(number));
            fence.ordered_on(at(3), FenceId(number as u64));
            assert_eq!((fence.due(at(900)), fence.due_on()), (None, None), "one order at a time");
            assert_eq!(fence.finished(at(4), FenceId(number as u64), &result), Some((number, Ended::On)));
            assert_eq!(fence.confirmed(), word, "whether it is on again changes nothing about the proof");
        }
        assert_eq!(fence.due_on(), None);
    }

    #[test]
    fn a_level_fails_with_any_of_its_devices_and_begins_anew_as_a_whole() {
        let mut fence = fence(&[&[3, 4], &[5]]);
        answered(&mut fence, 1, done());
        assert_eq!(answered(&mut fence, 2, failed()).1, Ended::Failed);
        assert_eq!(answered(&mut fence, 2, failed()), (Due { device: 5, alone: true }, Ended::AllFailed));
        assert_eq!(fence.left_off().len(), 1, "it stays off: the machine must be fenced still");
        // What was confirmed in the round before is not counted: somebody may have switched it on since.
        assert_eq!(answered(&mut fence, 3, done()), (Due { device: 3, alone: false }, Ended::InPart));
        assert_eq!(answered(&mut fence, 4, failed()).1, Ended::Failed);
        assert_eq!(answered(&mut fence, 5, done()), (Due { device: 5, alone: true }, Ended::Off));
        assert_eq!(fence.confirmed().map(|word| word.ordered_at), Some(at(5)));
        assert_eq!(fence.left_off().len(), 1, "another level's word switches nothing on");
    }

    #[test]
    fn another_machine_was_turned_off_because_devices_were_counted_by_older_files() {
        let mut fence = fence(&[&[3], &[4]]);
        answered(&mut fence, 1, done());
        fence.forget_devices();
        fence.hurry(at(2), [[1].into()].into());
        assert_eq!(answered(&mut fence, 2, done()), (Due { device: 1, alone: true }, Ended::Off));
    }

    #[test]
    fn a_person_who_orders_it_again_has_every_device_of_the_level_ordered_again() {
        let mut fence = fence(&[&[3, 4]]);
        answered(&mut fence, 1, done());
        answered(&mut fence, 2, done());
        fence.switch_on([3, 4].into());
        fence.ordered_on(at(3), FenceId(1));
        fence.hurry(at(4), [[3, 4].into()].into());
        assert_eq!((fence.confirmed(), fence.due(at(4))), (None, None), "the order to switch on still runs");
        assert_eq!(fence.finished(at(5), FenceId(1), &done()), Some((3, Ended::On)));
        assert_eq!((fence.confirmed(), fence.due_on()), (None, None));
        assert_eq!(answered(&mut fence, 5, done()), (Due { device: 3, alone: false }, Ended::InPart));
        assert_eq!(answered(&mut fence, 6, done()).1, Ended::Off);
        assert_eq!(fence.confirmed().map(|word| word.ordered_at), Some(at(5)));
    }
}
