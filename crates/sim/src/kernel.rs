//! What a machine's kernel has: addresses with their lifetimes, the gate, and what agents left running.

use hearth_types::{ResourceId, ResourceSpec, Timestamp};
use std::collections::BTreeMap;

/// Something that runs, or an address that is set.
#[derive(Clone, Debug)]
pub struct Active {
    /// What.
    pub spec: ResourceSpec,
    /// End of its kernel lifetime, in true time.
    pub expires: Option<Timestamp>,
}

/// The truth about one machine's resources.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// By resource.
    pub running: BTreeMap<ResourceId, Active>,
    /// Until when the gate lets an address answer, in true time.
    pub gate: BTreeMap<ResourceId, Timestamp>,
    /// When something ended, in true time.
    pub vanished: BTreeMap<ResourceId, Timestamp>,
}

impl Kernel {
    /// Whether it runs, or is set.
    pub fn runs(&self, resource: &ResourceId) -> bool {
        self.running.contains_key(resource)
    }

    /// Ends something; nothing if it does not run.
    pub fn remove(&mut self, now: Timestamp, resource: &ResourceId) {
        if self.running.remove(resource).is_some() {
            self.vanished.insert(resource.clone(), now);
        }
    }

    /// Until when the gate lets an address answer that is set; never: zero. Without a gate: for ever.
    pub fn open_until(&self, resource: &ResourceId, gated: bool) -> Timestamp {
        if !self.runs(resource) {
            Timestamp::ZERO
        } else if gated {
            self.gate.get(resource).copied().unwrap_or(Timestamp::ZERO)
        } else {
            Timestamp(u64::MAX)
        }
    }

    /// Power is lost.
    pub fn forget(&mut self, now: Timestamp) {
        for resource in std::mem::take(&mut self.running).into_keys() {
            self.vanished.insert(resource, now);
        }
        self.gate.clear();
    }
}
