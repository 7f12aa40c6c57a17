//! Decided entries for a node that does not vote, or does not hear the DC (R-LEDGER-2): any voter tells them. What is
//! learned so counts for the record alone; the log of the epoch follows when a voter hears the DC again.

use crate::ledger::Ledger;
use crate::message::LedgerMessage;
use hearth_cib::Entry;
use hearth_types::{EpochName, Index, NodeName};

/// Entries in one answer: at about 300 bytes each some 10 kB.
const ANSWER_MAX: usize = 32;

impl Ledger {
    /// Asks that node for what was decided and is not applied here.
    pub fn ask(&mut self, node: &NodeName) {
        let Some(record) = &self.record else { return };
        let message = LedgerMessage::Ask { epoch: record.epoch.clone(), from: record.applied.next() };
        self.say(node, message);
    }

    pub(crate) fn answer(&mut self, to: &NodeName, epoch: &EpochName, from: Index) {
        let (Some(record), Some(state), Some(paxos)) = (&self.record, &self.durable.epoch, &self.paxos) else { return };
        if record.epoch != *epoch {
            return;
        }
        // Only what this voter's own log holds: behind its decided end there may be entries that never were.
        let decided = paxos.decided().min(state.log.entries().len());
        let Some(first) = from.0.checked_sub(state.base.applied.0 + 1).map(|first| first as usize) else { return };
        let known = state.log.entries().get(first..decided).unwrap_or_default();
        let entries: Vec<Entry> = known.iter().take(ANSWER_MAX).map(|item| item.0.clone()).collect();
        if !entries.is_empty() {
            self.say(to, LedgerMessage::Decided { epoch: epoch.clone(), from, entries });
        }
    }

    pub(crate) fn learn(&mut self, epoch: &EpochName, from: Index, entries: Vec<Entry>) {
        if self.epoch() != Some(epoch) || (self.paxos.is_none() && !self.is_member()) {
            return;
        }
        self.flush();
        for (index, entry) in (from.0..).zip(entries) {
            if self.record.as_ref().is_some_and(|record| index == record.applied.0 + 1) {
                self.applied += 1;
                self.apply(entry);
            }
        }
    }
}
