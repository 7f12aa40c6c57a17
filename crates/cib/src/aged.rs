//! Failures that are too long ago to count (`failure_timeout`).

use alloc::format;
use hearth_types::{Index, NodeName, OpAction, ResourceId};

use crate::{Record, Rejection};

/// The wire version from which on the record forgets failures with time, and knows stops that had to be forced: a daemon
/// of before could not read these entries (R-WIRE-6).
pub const FORGETS_FROM: u8 = 3;

impl Record {
    /// Refused for a failed stop (R-TAKE-8), which says that something may still be active, and for a failure after which
    /// another one was applied: whoever proposed it had not seen that.
    pub(crate) fn aged(
        &mut self,
        resource: &ResourceId,
        node: &NodeName,
        action: OpAction,
        index: Index,
    ) -> Result<(), Rejection> {
        self.spoken_from(FORGETS_FROM)?;
        let key = (resource.clone(), node.clone(), action);
        let newest = self.failures.get(&key).is_some_and(|failure| failure.index == index);
        if !newest || !matches!(action, OpAction::Start | OpAction::Monitor) {
            return Err(Rejection::NotAged { resource: resource.clone(), node: node.clone(), action, index: index.0 });
        }
        self.failures.remove(&key);
        self.note(format!("the failed {action} of {resource} on {node} is too long ago to count"));
        Ok(())
    }
}
