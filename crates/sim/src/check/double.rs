//! For how long two machines really answered for one address, excused or not.

use crate::site::Site;
use hearth_types::Timestamp;
use std::time::Duration;

/// Adds up.
#[derive(Clone, Debug, Default)]
pub struct Double {
    total: Duration,
}

impl Double {
    /// Time passes.
    pub fn pass(&mut self, site: &Site, until: Timestamp) {
        self.total += answered_twice(site, until);
    }

    /// Since the beginning.
    pub fn total(&self) -> Duration {
        self.total
    }
}

/// For how long from now on, at most to `until`, two machines answer for the same address.
pub fn answered_twice(site: &Site, until: Timestamp) -> Duration {
    let mut end = site.now;
    for one in site.nodes() {
        for other in one + 1..site.machines.len() {
            let (a, b) = (&site.machines[one], &site.machines[other]);
            let addresses = a.kernel.running.iter().filter(|(_, active)| active.spec.address().is_some());
            for (resource, _) in addresses.filter(|(id, _)| b.kernel.runs(id)) {
                end = end.max(a.answers_until(resource).min(b.answers_until(resource)).min(until));
            }
        }
    }
    end.since(site.now)
}
