//! Reports on their way into the record.

use alloc::collections::VecDeque;
use hearth_cib::{NodeRecord, Record, ReportKind};
use hearth_types::{AssignmentId, Incarnation, NodeName, ResourceId};
use serde::{Deserialize, Serialize};

use crate::OutgoingReport;

/// Most reports that wait; failures beyond are not counted, and states are reported when there is room. A node that is
/// cut off for long and restarts a resource every two seconds must not grow without bound.
pub(crate) const WAITING: usize = 1024;

/// Reports that the record does not show yet. Numbers begin when the record has admitted this run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outbox {
    /// In order. Those behind `sent` have no valid number yet.
    reports: VecDeque<OutgoingReport>,
    sent: usize,
    /// Number of the newest report that was given one.
    last: u64,
}

impl Outbox {
    /// Appends one; false if there is no room.
    pub(crate) fn push(&mut self, resource: &ResourceId, upto: AssignmentId, what: ReportKind) -> bool {
        if self.reports.len() >= WAITING {
            return false;
        }
        self.reports.push_back(OutgoingReport { number: 0, resource: resource.clone(), upto, what });
        true
    }

    /// Forgets everything: the record is another one.
    pub(crate) fn reset(&mut self) {
        *self = Outbox::default();
    }

    /// Lets go of what the record shows.
    pub(crate) fn confirm(&mut self, record: &Record, local: &NodeName, incarnation: Incarnation) {
        let Some(node) = admitted(record, local, incarnation) else { return };
        while self.sent > 0 && self.reports.front().is_some_and(|report| report.number <= node.reported) {
            self.reports.pop_front();
            self.sent -= 1;
        }
        if self.sent == 0 {
            self.last = node.reported;
        }
    }

    /// Numbers what has none yet, if the record has admitted this run, and returns it for sending.
    pub(crate) fn release(&mut self, record: &Record, local: &NodeName, incarnation: Incarnation) -> &[OutgoingReport] {
        if admitted(record, local, incarnation).is_none() {
            return &[];
        }
        let from = self.sent;
        for report in self.reports.iter_mut().skip(from) {
            self.last += 1;
            report.number = self.last;
        }
        self.sent = self.reports.len();
        &self.reports.make_contiguous()[from..]
    }

    /// Sent and not shown by the record.
    pub(crate) fn unconfirmed(&self) -> impl Iterator<Item = &OutgoingReport> {
        self.reports.iter().take(self.sent)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    /// The newest that waits for a resource.
    pub(crate) fn newest(&self, resource: &ResourceId) -> Option<&OutgoingReport> {
        self.reports.iter().rev().find(|report| &report.resource == resource)
    }
}

/// What the record holds of this run of this node, if it has admitted it.
pub(crate) fn admitted<'a>(record: &'a Record, local: &NodeName, incarnation: Incarnation) -> Option<&'a NodeRecord> {
    let node = record.nodes.get(local)?;
    (node.incarnation == incarnation && node.identity.is_some()).then_some(node)
}
