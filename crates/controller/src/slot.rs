//! This machine's slot on a shared disk (`stonith disk`, decision 0055): the right to hold anything ends with the last good
//! look at it, and a pill in it is the end.
//!
//! Whoever puts a pill there waits until this machine must have read it, or must have been reset by its watchdog because
//! it could not. So from a look that began at some moment, what is held may be kept, and the watchdog petted, for
//! `patience` and no longer. Where the others carry this node by their vouches nobody puts a pill there, and its disk may
//! fail: that counts as a look.

use crate::node::Node;
use crate::{Output, Severity};
use hearth_types::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is stated in the slot, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotOrder {
    /// Path of the disk.
    pub device: String,
    /// How long this machine goes on without a good look.
    pub patience: Duration,
    /// Timeout of the armed watchdog, and whether it fires whatever becomes of the kernel; none: nothing is armed.
    pub watchdog: Option<(Duration, bool)>,
}

/// A good look at the own slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotSeen {
    /// When the read began: a pill that was written later may not have been seen.
    pub began_at: Timestamp,
    /// What the slot has stated since before that.
    pub patience: Duration,
    /// Who has put a pill there that this boot has not taken for an old one.
    pub pill: Option<String>,
}

/// State of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Slot {
    /// What the driver was told last.
    told: Option<SlotOrder>,
    /// The newest good look, and how long it lasts.
    seen: Option<(Timestamp, Duration)>,
    /// Who has told this machine to end itself. Nothing takes that back but a boot.
    pill: Option<String>,
    trouble: Option<String>,
}

impl Slot {
    /// Whether this machine was told to end itself: its watchdog is not petted any more, whatever runs.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.pill.is_some()
    }

    /// For people; none: nothing is wrong.
    pub(crate) fn note(&self) -> Option<String> {
        if let Some(by) = &self.pill {
            return Some(format!("{by} has told this machine to end itself: it holds nothing before it has booted."));
        }
        let device = &self.told.as_ref()?.device;
        let trouble = self.trouble.as_ref()?;
        Some(format!("The slot of this machine on {device} cannot be used: {trouble}."))
    }
}

/// Until when what is held may be kept: for `patience` from the newest moment at which no pill can have been there.
fn slot_until(seen: Option<(Timestamp, Duration)>, poisoned: bool, vouched_at: Option<Timestamp>) -> Timestamp {
    let Some((looked_at, patience)) = seen.filter(|_| !poisoned) else { return Timestamp::ZERO };
    vouched_at.map_or(looked_at, |at| at.max(looked_at)) + patience
}

impl Node {
    /// What the slot is to state, if this machine needs one: a witness runs nothing that anybody would have to end.
    fn slot_order(&self) -> Option<SlotOrder> {
        let cluster = &self.config.cluster;
        let device = cluster.fencing.disk()?.program.clone();
        let patience = hearth_config::slot_patience(cluster)?;
        let watchdog = self.watchdog.armed().map(|armed| {
            let timeout = Duration::from_millis(u64::from(armed.timeout_ms));
            (timeout, self.watchdog.outlives_the_kernel().is_some())
        });
        (!self.config.resources.is_witness(&self.local)).then_some(SlotOrder { device, patience, watchdog })
    }

    /// Until when the slot lets this node keep what it holds; none: it has none.
    pub(crate) fn slot_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.slot_order()?;
        // A peer that vouches hears this node, and fences nobody whom it hears. Of three and more a majority vouches for
        // nobody who is lost for it (R-LEASE-3).
        let vouched_at = match self.peer() {
            Some(peer) => self.members.vouched_at(&peer),
            None => self.leased_until(now).map(|until| until.before(self.config.cluster.timing.lease())),
        };
        Some(slot_until(self.slot.seen, self.slot.is_poisoned(), vouched_at))
    }

    /// Tells the driver what to state, whenever that has changed.
    pub(crate) fn order_slot(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let silent = self.slot.seen.filter(|(at, patience)| now.since(*at) > *patience / 2);
        if let Some((at, _)) = silent.filter(|_| self.slot.trouble.is_none()) {
            // A disk that hangs says nothing; how old the newest look is says it.
            self.take_slot(now, Err(format!("it has not answered for {} ms", now.since(at).as_millis())));
        }
        let order = self.slot_order();
        if order != self.slot.told {
            if order.as_ref().map(|order| &order.device) != self.slot.told.as_ref().map(|told| &told.device) {
                (self.slot.seen, self.slot.trouble) = (None, None);
            }
            self.slot.told.clone_from(&order);
            out.push(Output::Slot { order });
        }
    }

    /// What came of a look at the slot.
    pub(crate) fn take_slot(&mut self, now: Timestamp, seen: Result<SlotSeen, String>) {
        let Some(device) = self.slot.told.as_ref().map(|told| told.device.clone()) else { return };
        match seen {
            Ok(seen) => {
                if self.slot.trouble.take().is_some() {
                    let text = format!("The slot of this machine on {device} is used again.");
                    self.chronicle.note(now, Severity::Info, "slot-works", self.local.clone(), text);
                }
                self.slot.seen = Some((seen.began_at, seen.patience));
                if let Some(by) = seen.pill.filter(|_| self.slot.pill.is_none()) {
                    let text = format!(
                        "{by} has put a poison pill into the slot of this machine: it gives up what it holds, and its \
                         watchdog resets it."
                    );
                    self.chronicle.lead(now, Severity::Error, "poisoned", self.local.clone(), text);
                    self.slot.pill = Some(by);
                }
            }
            Err(trouble) => {
                if self.slot.trouble.is_none() {
                    let text = format!(
                        "The slot of this machine on {device} cannot be used: {trouble}. What it holds is kept only while \
                         the others vouch for it."
                    );
                    self.chronicle.note(now, Severity::Error, "slot-fails", self.local.clone(), text);
                }
                self.slot.trouble = Some(trouble);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(6);

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1_000_000_000)
    }

    #[test]
    fn nothing_is_held_before_the_first_look_nor_longer_than_the_last_one_lasts() {
        assert_eq!(slot_until(None, false, Some(at(100))), Timestamp::ZERO);
        assert_eq!(slot_until(Some((at(10), PATIENCE)), false, None), at(16));
    }

    #[test]
    fn a_disk_that_fails_takes_nothing_from_whom_the_others_vouch_for() {
        assert_eq!(slot_until(Some((at(10), PATIENCE)), false, Some(at(100))), at(106));
        assert_eq!(slot_until(Some((at(10), PATIENCE)), false, Some(at(3))), at(16));
    }

    #[test]
    fn whoever_has_its_pill_keeps_nothing_whoever_vouches_for_it() {
        assert_eq!(slot_until(Some((at(10), PATIENCE)), true, Some(at(100))), Timestamp::ZERO);
    }
}
