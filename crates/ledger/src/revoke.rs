//! What this voter vouches for no more (R-LEASE-3): read from everything that it accepts, decided or not, and kept beside
//! the log, so that it outlives the entry that said so.

use crate::ledger::Ledger;
use crate::storage::Line;
use hearth_cib::{Entry, MemberState, Record};
use hearth_types::{Admission, NodeName};

impl Ledger {
    /// The newest admission of a node of which this voter accepted a `lost`; durable once the output drained so far is.
    pub fn revoked(&self) -> impl Iterator<Item = (&NodeName, Admission)> {
        self.durable.revoked.iter().map(|(node, admission)| (node, *admission))
    }

    /// Whether that admission of a node is vouched for no more.
    pub fn is_revoked(&self, node: &NodeName, admission: Admission) -> bool {
        self.durable.revoked.get(node).is_some_and(|revoked| admission <= *revoked)
    }

    /// Reads lines on their way to the disk, and adds what follows from them.
    pub(crate) fn revoke_by_lines(&mut self, lines: &mut Vec<Line>) {
        let mut lost = Vec::new();
        for entry in lines.iter().flat_map(Line::entries) {
            losses(entry, &mut lost);
        }
        for (node, admission) in lost {
            if self.durable.revoke(&node, admission) {
                lines.push(Line::Revoked(node, admission));
            }
        }
    }

    /// Reads an entry that is applied.
    pub(crate) fn revoke_by(&mut self, entry: &Entry) {
        let mut lost = Vec::new();
        losses(entry, &mut lost);
        for (node, admission) in lost {
            if self.durable.revoke(&node, admission) {
                self.journal.note(Line::Revoked(node, admission));
            }
        }
    }

    /// Reads a record that is taken over; the state file is written with it.
    pub(crate) fn revoke_by_record(&mut self, record: &Record) {
        for (node, known) in record.nodes.iter().filter(|(_, known)| known.member == MemberState::Lost) {
            self.durable.revoke(node, known.admission);
        }
    }
}

/// Every node that an entry calls lost, with the admission.
pub(crate) fn losses(entry: &Entry, out: &mut Vec<(NodeName, Admission)>) {
    match entry {
        Entry::Lost { node, admission } => out.push((node.clone(), *admission)),
        Entry::Batch(entries) => entries.iter().for_each(|entry| losses(entry, out)),
        _ => {}
    }
}
