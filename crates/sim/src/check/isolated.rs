//! Section 8, 3: an owner whose cables are all out has stopped what it holds, or has been reset, before the earliest moment
//! another may start.

use super::{Blame, Checker, Seen};
use crate::act::Act;
use crate::layout::ms;
use crate::perform::WATCHDOG_EVERY;
use crate::site::Site;
use hearth_types::{ResourceId, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a daemon may need on top of its lease to take addresses away.
const ALLOWED: Duration = ms(100);

/// Since when machines have had no carrier while their daemon ran.
#[derive(Clone, Debug, Default)]
pub struct Isolated {
    dark_since: BTreeMap<usize, Timestamp>,
}

impl Checker for Isolated {
    fn name(&self) -> &'static str {
        "isolated owner"
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, _: &mut Blame<'_>) {
        let (Seen::Act(Act::Start(node) | Act::Thaw(node) | Act::Resume(node) | Act::Plug { node, .. })
        | Seen::Event { node, .. }) = seen
        else {
            return;
        };
        if matches!(seen, Seen::Act(_)) || !is_dark(site, *node) {
            self.dark_since.remove(node);
        }
    }

    fn pass(&mut self, site: &Site, until: Timestamp, blame: &mut Blame<'_>) {
        for node in site.nodes() {
            if !is_dark(site, node) {
                self.dark_since.remove(&node);
                continue;
            }
            let since = *self.dark_since.entry(node).or_insert(site.now);
            // The slowest clock that is permitted counts a lease 5 % late.
            let limit = since + site.layout.timing.lease() * 106 / 100 + ALLOWED;
            // What a slow disk still held back is set late, behind a gate that stays shut.
            let kernel = &site.machines[node].kernel;
            let open = |id: &ResourceId| kernel.open_until(id, site.layout.gate) > site.now;
            let mut addresses = kernel.running.values().filter(|active| active.spec.address().is_some());
            let held = addresses.find(|active| open(&active.spec.id));
            self.judge_watchdog(site, node, since, until, blame);
            if let Some(active) = held.filter(|_| until > limit) {
                let (name, id) = (site.name(node), &active.spec.id);
                blame.that(format!("{name} has had no carrier since {since} and still answers for {id}"));
                self.dark_since.insert(node, until);
            }
        }
    }
}

impl Isolated {
    /// R-LEASE-6: what has a watchdog has stopped all that it held, or was reset, by its timeout after the lease.
    fn judge_watchdog(&mut self, site: &Site, node: usize, since: Timestamp, until: Timestamp, blame: &mut Blame<'_>) {
        let Some(timeout) = site.layout.watchdog else { return };
        let machine = &site.machines[node];
        // Over a serial line it is heard: it is not isolated.
        let lines = (0..site.layout.links.len()).any(|link| site.layout.interface(link).is_none());
        let limit = since + site.layout.timing.lease() * 106 / 100 + timeout + WATCHDOG_EVERY + ALLOWED;
        if lines || machine.reset_at.is_none() || until <= limit {
            return;
        }
        // What somebody started by hand, or what an agent lies about, the daemon does not know.
        let known = |id: &&ResourceId| !site.excuse.resources.contains(*id);
        if let Some(id) = machine.kernel.running.keys().find(known) {
            let name = site.name(node);
            blame
                .that(format!("{name} has had no carrier since {since}, runs {id}, and its watchdog has not reset it"));
            self.dark_since.insert(node, until);
        }
    }
}

fn is_dark(site: &Site, node: usize) -> bool {
    let machine = &site.machines[node];
    let networks = (0..site.layout.links.len()).filter(|link| site.layout.interface(*link).is_some());
    machine.awake() && networks.into_iter().all(|link| !machine.carrier[link])
}
