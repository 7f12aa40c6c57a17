//! R-LEASE-7: a machine in good health is not reset by its own watchdog: one whose daemon is awake and on which nothing
//! runs has nothing that it could be unable to stop.

use super::{Blame, Checker, Seen};
use crate::disk::DiskMode;
use crate::layout::ms;
use crate::perform::WATCHDOG_EVERY;
use crate::site::Site;
use hearth_types::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// A stop that failed is tried again after 5 s, and may take 1 s: so long a daemon may hold what has ended by itself.
const KNOWN_WITHIN: Duration = ms(6500);

/// From when on a machine has had nothing to be reset for.
#[derive(Clone, Debug, Default)]
pub struct Needless {
    calm_from: BTreeMap<usize, Timestamp>,
}

impl Checker for Needless {
    fn name(&self) -> &'static str {
        "needless reset"
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, blame: &mut Blame<'_>) {
        let Seen::WatchdogLooks { node, resets } = seen else { return };
        let Some(timeout) = site.layout.watchdog else { return };
        let machine = &site.machines[*node];
        let agents_lie = machine.agents.trouble > 0 || !machine.agents.flaws.is_empty();
        let from = self.calm_from.entry(*node).or_default();
        // Who has a pill in its slot is reset by order of another one.
        let told_to = machine.slot.poisoned;
        if told_to || agents_lie || machine.disk.mode != DiskMode::Fast || machine.disk.failed {
            *from = site.now + KNOWN_WITHIN;
        } else if !machine.awake() || machine.drowsy || !machine.kernel.running.is_empty() {
            *from = (*from).max(site.now);
        }
        // The look before may have been just before its daemon came to.
        if *resets && site.now.since(*from) > timeout + WATCHDOG_EVERY * 2 {
            let name = site.name(*node);
            blame.that(format!("the watchdog resets {name}, which is well and has run nothing since {from}"));
        }
    }
}
