//! How long ago operations failed: a failed start or monitor is forgotten after `failure_timeout` without another one.

use crate::node::Node;
use hearth_cib::{Entry, FORGETS_FROM, Record};
use hearth_types::{Index, NodeName, OpAction, ResourceId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One failure of the record, and since when this node knows of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    resource: ResourceId,
    node: NodeName,
    action: OpAction,
    index: Index,
    at: Timestamp,
}

impl Known {
    /// A stop that failed may still be active, whatever the time; a probe is repeated by whoever made it.
    fn ends_with_time(&self) -> bool {
        matches!(self.action, OpAction::Start | OpAction::Monitor)
    }

    fn is(&self, resource: &ResourceId, node: &NodeName, action: OpAction) -> bool {
        (&self.resource, &self.node, self.action) == (resource, node, action)
    }
}

/// The failures of the record. The record itself knows no time: each node counts from when it applied a failure, a
/// daemon that was started since from its start, so that none is forgotten too early.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Failures {
    known: Vec<Known>,
}

impl Failures {
    /// Takes over what the record shows.
    fn follow(&mut self, now: Timestamp, record: Option<&Record>) {
        let Some(record) = record.filter(|record| !record.failures.is_empty()) else {
            self.known.clear();
            return;
        };
        let since = |known: &Known, index: Index| (known.index == index).then_some(known.at);
        self.known = record
            .failures
            .iter()
            .map(|((resource, node, action), failure)| {
                let before = self.known.iter().find(|known| known.is(resource, node, *action));
                Known {
                    resource: resource.clone(),
                    node: node.clone(),
                    action: *action,
                    index: failure.index,
                    at: before.and_then(|known| since(known, failure.index)).unwrap_or(now),
                }
            })
            .collect();
    }

    /// Since when a failure is known here, and when it is forgotten after `timeout`, if it ever is.
    pub(crate) fn times(
        &self,
        resource: &ResourceId,
        node: &NodeName,
        action: OpAction,
        timeout: impl Fn(&ResourceId, &NodeName) -> Option<Duration>,
    ) -> Option<(Timestamp, Option<Timestamp>)> {
        let known = self.known.iter().find(|known| known.is(resource, node, action))?;
        let timeout = timeout(resource, node).filter(|_| known.ends_with_time());
        Some((known.at, timeout.map(|timeout| known.at + timeout)))
    }
}

impl Node {
    pub(crate) fn follow_failures(&mut self, now: Timestamp) {
        self.failures.follow(now, self.ledger.record());
    }

    /// `failure_timeout`, once every node of the record can read what it leads to (R-WIRE-6).
    pub(crate) fn failure_timeout(&self) -> Option<Duration> {
        let speaks = self.ledger.record().is_some_and(|record| record.wire_version >= FORGETS_FROM);
        self.config.cluster.timing.failure_timeout.filter(|_| speaks)
    }

    /// The same of one resource on one node: longer each time that it has failed again, while another one has it.
    pub(crate) fn failure_timeout_of(&self, resource: &ResourceId, node: &NodeName) -> Option<Duration> {
        let timeout = self.failure_timeout()?;
        let longer = self.runs_elsewhere(resource, node);
        Some(if longer { self.flaps.timeout(resource, node, timeout) } else { timeout })
    }

    /// The DC: what failed too long ago does not count any more. One that failed again meanwhile is refused by the record.
    pub(crate) fn propose_aged(&mut self, now: Timestamp) {
        let timeout = |known: &Known| self.failure_timeout_of(&known.resource, &known.node);
        let due = |known: &&Known| {
            known.ends_with_time() && timeout(known).is_some_and(|timeout| now.since(known.at) >= timeout)
        };
        let entries: Vec<Entry> = self.failures.known.iter().filter(due).map(as_entry).collect();
        for entry in entries {
            if self.would_apply(&entry).is_some() {
                self.propose(entry);
            }
        }
    }

    /// When the next failure is too long ago; none: none will be, or it is not for this node to say. What is due and
    /// could not be proposed is looked at again with every heartbeat.
    pub(crate) fn failure_deadline(&self) -> Option<Timestamp> {
        let known = self.failures.known.iter().filter(|known| known.ends_with_time() && self.ledger.is_dc());
        let ends = known.filter_map(|known| Some(known.at + self.failure_timeout_of(&known.resource, &known.node)?));
        ends.filter(|at| *at > self.last_wake_at).min()
    }
}

fn as_entry(known: &Known) -> Entry {
    Entry::Aged { resource: known.resource.clone(), node: known.node.clone(), action: known.action, index: known.index }
}
