//! The watchdog: what resets a machine that cannot stop what it lost the right to (R-LEASE-6, R-LEASE-7).
//!
//! It is petted while the right to keep holds, and while nothing is here that would need one: a machine that holds
//! something it has no right to any more has the watchdog's timeout to stop it.

use crate::node::Node;
use crate::rights::Keep;
use crate::{Output, Severity};
use hearth_config::WatchdogDevice;
use hearth_executor::LocalState;
use hearth_types::{ResourceId, Timestamp};
use hearth_wire::{NodeStatus, Watchdog};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// State of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Guardian {
    /// Which; for the rest of this boot the one that the daemon before armed, whatever the file says by now: nobody else
    /// keeps it from its end.
    pub device: Option<WatchdogDevice>,
    /// A pet was ordered in this boot, which arms it.
    ordered: bool,
    /// What its driver says.
    armed: Option<Watchdog>,
    trouble: Option<String>,
    next_at: Timestamp,
    /// Since when it is not petted.
    left_since: Option<Timestamp>,
    /// What this node ran when it gave up its epoch, and has not stopped since: others may have it, whatever right comes
    /// back here, to this daemon or to the next one of this boot.
    #[serde(default)]
    lost: BTreeSet<ResourceId>,
}

impl Guardian {
    /// The daemon before armed `left`, whose driver said `armed`, and lost `lost`. What it armed is armed whether or not
    /// this daemon has touched it: others go by that from its first heartbeat on.
    pub(crate) fn new(
        configured: Option<WatchdogDevice>,
        left: Option<WatchdogDevice>,
        armed: Option<Watchdog>,
        lost: BTreeSet<ResourceId>,
    ) -> Guardian {
        let armed = armed.filter(|_| left.is_some());
        Guardian { ordered: left.is_some(), device: left.or(configured), armed, lost, ..Guardian::default() }
    }

    /// These are not this node's any more.
    pub(crate) fn lose(&mut self, held: impl IntoIterator<Item = ResourceId>) {
        self.lost.extend(held);
    }

    /// What of [`Guardian::lose`] is not known to have stopped.
    pub(crate) fn lost(&self) -> &BTreeSet<ResourceId> {
        &self.lost
    }

    /// What heartbeats say of it (R-MEM-1).
    pub(crate) fn armed(&self) -> Option<&Watchdog> {
        self.armed.as_ref()
    }

    /// Its timeout in milliseconds, if it fires whatever becomes of the kernel: softdog does not (R-LEASE-7).
    pub(crate) fn outlives_the_kernel(&self) -> Option<u32> {
        self.armed.as_ref().filter(|armed| !is_software(armed)).map(|armed| armed.timeout_ms)
    }

    /// For the next daemon of this boot.
    pub(crate) fn left(&self) -> Option<WatchdogDevice> {
        self.device.clone().filter(|_| self.ordered)
    }

    fn timeout(&self) -> Duration {
        let configured = self.device.as_ref().map_or(Duration::ZERO, |device| device.timeout);
        self.armed.as_ref().map_or(configured, |armed| Duration::from_millis(u64::from(armed.timeout_ms)))
    }

    /// For people; none: there is none.
    pub(crate) fn in_words(&self) -> Option<String> {
        self.armed.as_ref().map(in_words)
    }

    pub(crate) fn note(&self) -> Option<String> {
        let device = &self.device.as_ref()?.device;
        if self.left_since.is_some() {
            return Some(format!("{device} is not petted: it resets this machine if what runs here does not stop."));
        }
        self.trouble.as_ref().map(|trouble| format!("The watchdog {device} is not armed: {trouble}."))
    }
}

pub(crate) fn is_software(watchdog: &Watchdog) -> bool {
    watchdog.driver.starts_with("Software")
}

pub(crate) fn in_words(watchdog: &Watchdog) -> String {
    let way = if watchdog.nowayout { ", never closed" } else { "" };
    format!("{}, {:?}{way}", watchdog.driver, Duration::from_millis(u64::from(watchdog.timeout_ms)))
}

/// Until when a pet that is ordered at `now` may reach the device; none: it must not be petted (R-LEASE-6). `holding`:
/// something is not confirmed stopped here.
fn may_pet(now: Timestamp, keep: Keep, holding: bool, lease: Duration) -> Option<Timestamp> {
    if keep.holds(now) {
        return Some(now + keep.hold(now, lease));
    }
    (!holding).then(|| now + lease)
}

impl Node {
    /// Orders a pet if one is due and nothing forbids it. The first one arms it: not before this node has become active,
    /// or a machine whose files are wrong would reset itself again and again.
    pub(crate) fn pet_watchdog(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let Some(device) = self.watchdog.device.clone() else { return };
        let halted = self.shutdown.as_ref().is_some_and(|shutdown| shutdown.halted);
        let active = self.keeping.confirmed && self.status_word() == NodeStatus::Active;
        if halted || !(self.watchdog.ordered || active) {
            return;
        }
        let timing = self.config.cluster.timing;
        let may = self.may_pet(now).or_else(|| self.may_pet_undecided(now)).filter(|_| !self.slot.is_poisoned());
        if may.is_none() && !self.watchdog.ordered {
            // Nothing is known yet of what could run here, and nothing is armed that would reset anything.
            return;
        }
        self.tell_of_pets(now, may.is_some());
        let Some(not_after) = may.filter(|_| now >= self.watchdog.next_at) else { return };
        self.watchdog.next_at = now + hearth_config::pet_period(self.watchdog.timeout(), timing.keepalive);
        if !std::mem::replace(&mut self.watchdog.ordered, true) {
            self.volatile_dirty = true;
        }
        out.push(Output::PetWatchdog { device, not_after });
    }

    /// Until when a pet may reach the device; none: something is here that is not this node's to keep (R-LEASE-6).
    pub(crate) fn may_pet(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.forget_lost();
        // A right that is back is one to what this node is given, not to what it was superseded in (decision 0049): the
        // other machine runs that, or both would go on with one disk until the agent's timeout.
        let owes = !self.watchdog.lost.is_empty();
        let holding = owes || self.executor.holds_anything();
        let keep = if owes { Keep::No } else { self.keeping.keep };
        may_pet(now, keep, holding, self.config.cluster.timing.lease())
    }

    /// The same for a daemon that has replaced another one and is not to stop anything before it knows whose it is: where
    /// nobody counts on that end, a reset would only take down what this node owns (decision 0034).
    fn may_pet_undecided(&self, now: Timestamp) -> Option<Timestamp> {
        let keep = if self.watchdog.lost.is_empty() { self.keep_undecided(now) } else { Keep::No };
        may_pet(now, keep, true, self.config.cluster.timing.lease())
    }

    /// What of the lost has stopped. A daemon that has just started does not know yet what the one before left running, until
    /// it has looked at that: also one that is let in by nobody, and so never says that it has looked at everything.
    fn forget_lost(&mut self) {
        if self.watchdog.lost.is_empty() {
            return;
        }
        let (held, before) = (self.executor.held(), self.watchdog.lost.len());
        let stopped = |lost: &ResourceId| self.probes_done || self.executor.local_state(lost) == LocalState::Stopped;
        self.watchdog.lost.retain(|lost| held.contains(lost) || !stopped(lost));
        self.volatile_dirty |= self.watchdog.lost.len() != before;
    }

    /// Closes it in the end of an orderly stop. Where something could not be stopped it stays, and resets the machine.
    pub(crate) fn close_watchdog(&mut self, out: &mut Vec<Output>) {
        if self.watchdog.ordered && !self.executor.holds_anything() {
            self.watchdog.ordered = false;
            self.volatile_dirty = true;
            out.push(Output::CloseWatchdog);
        }
    }

    fn tell_of_pets(&mut self, now: Timestamp, petted: bool) {
        if petted == self.watchdog.left_since.is_none() {
            return;
        }
        let timeout = self.watchdog.timeout();
        let (severity, name, text) = match self.watchdog.left_since.take() {
            Some(since) => {
                let text = format!("The watchdog is petted again after {} ms.", now.since(since).as_millis());
                (Severity::Info, "watchdog-petted", text)
            }
            None => {
                self.watchdog.left_since = Some(now);
                let held = &self.executor.held() | &self.watchdog.lost;
                let held: Vec<String> = held.iter().map(ToString::to_string).collect();
                let text = if self.slot.is_poisoned() {
                    format!("The watchdog is not petted any more: it resets this machine within {timeout:?}.")
                } else {
                    format!(
                        "The right to keep {} has ended and it is not confirmed stopped: the watchdog resets this \
                         machine within {timeout:?} unless it is.",
                        held.join(", ")
                    )
                };
                (Severity::Error, "watchdog-left", text)
            }
        };
        self.chronicle.lead(now, severity, name, self.local.clone(), text);
    }

    /// What became of arming it, or that it has failed.
    pub(crate) fn take_watchdog(&mut self, now: Timestamp, seen: Result<Watchdog, String>) {
        // The record is to know it before anything happens here (R-TAKE-2).
        self.resend_at = now;
        self.volatile_dirty |= self.watchdog.armed.as_ref() != seen.as_ref().ok();
        match seen {
            Ok(armed) => {
                let mut text = format!("The watchdog is armed: {}.", in_words(&armed));
                if is_software(&armed) {
                    // R-LEASE-7
                    text.push_str(" It does nothing where the kernel itself has died.");
                }
                self.chronicle.note(now, Severity::Info, "watchdog-armed", self.local.clone(), text);
                self.watchdog.trouble = None;
                self.watchdog.armed = Some(armed);
            }
            Err(trouble) => {
                self.watchdog.armed = None;
                if self.watchdog.trouble.as_ref() != Some(&trouble) {
                    let text = format!("The watchdog is not armed: {trouble}. Nothing resets this machine.");
                    self.chronicle.note(now, Severity::Error, "watchdog-failed", self.local.clone(), text);
                    self.watchdog.trouble = Some(trouble);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(400);

    fn at(ms: u64) -> Timestamp {
        Timestamp(ms * 1_000_000)
    }

    #[test]
    fn from_the_end_of_a_lease_nothing_pets_until_all_that_was_held_is_stopped() {
        // R-LEASE-6
        for holding in [false, true] {
            assert_eq!(may_pet(at(1000), Keep::Until(at(1100)), holding, LEASE), Some(at(1100)));
            assert_eq!(may_pet(at(1000), Keep::Unbound, holding, LEASE), Some(at(1400)));
        }
        for keep in [Keep::No, Keep::Until(at(1000)), Keep::Until(at(900))] {
            assert_eq!(may_pet(at(1000), keep, true, LEASE), None);
            assert_eq!(may_pet(at(1000), keep, false, LEASE), Some(at(1400)));
        }
    }

    #[test]
    fn a_watchdog_that_the_daemon_before_armed_is_kept_whatever_the_file_says() {
        let device = |name: &str| Some(WatchdogDevice { device: name.into(), timeout: Duration::from_secs(10) });
        let none = BTreeSet::new;
        assert_eq!(Guardian::new(None, device("/dev/watchdog0"), None, none()).left(), device("/dev/watchdog0"));
        let both = Guardian::new(device("/dev/watchdog1"), device("/dev/watchdog0"), None, none());
        assert_eq!(both.left(), device("/dev/watchdog0"));
        // Nothing is armed by being named.
        assert_eq!(Guardian::new(device("/dev/watchdog1"), None, None, none()).left(), None);
    }
}
