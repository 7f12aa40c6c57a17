//! For how long nobody answered for an address: what its clients feel.

use crate::site::Site;
use hearth_types::{ResourceId, Timestamp};
use std::time::Duration;

/// Measures one address.
#[derive(Clone, Debug, Default)]
pub struct Gap {
    watched: Option<ResourceId>,
    served_until: Timestamp,
    longest: Duration,
}

impl Gap {
    /// Whether an address is measured.
    pub fn watches(&self) -> bool {
        self.watched.is_some()
    }

    /// Begins anew with this address.
    pub fn watch(&mut self, now: Timestamp, resource: ResourceId) {
        *self = Gap { watched: Some(resource), served_until: now, longest: Duration::ZERO };
    }

    /// Time passes.
    pub fn pass(&mut self, site: &Site, until: Timestamp) {
        let Some(resource) = &self.watched else { return };
        let end = site.machines.iter().map(|machine| machine.answers_until(resource)).max().unwrap_or_default();
        if end > site.now {
            self.longest = self.longest.max(site.now.since(self.served_until));
            self.served_until = end.min(until).max(self.served_until);
        }
    }

    /// The longest gap, one that lasts included.
    pub fn longest(&self, now: Timestamp) -> Duration {
        self.longest.max(now.since(self.served_until))
    }
}
