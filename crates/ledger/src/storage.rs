//! The log of one epoch, as omnipaxos writes it: kept in memory, every write noted in a journal that the owner makes
//! durable before anything that depends on it becomes visible (R-LEDGER-3).

use hearth_cib::Entry;
use hearth_types::{Admission, NodeName};
use omnipaxos::ballot_leader_election::Ballot;
use omnipaxos::storage::{NoSnapshot, StopSign, Storage, StorageOp, StorageResult};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};

/// An entry of the record as omnipaxos carries it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Item(pub Entry);

impl omnipaxos::storage::Entry for Item {
    type Snapshot = NoSnapshot;
}

/// One line of the journal: what changed in the log of the current epoch, or a note beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Entries from this position on; what stood there before is gone.
    Entries(usize, Vec<Item>),
    /// A round was promised.
    Promise(Ballot),
    /// A round was accepted.
    AcceptedRound(Ballot),
    /// Everything before this position is decided. Nothing waits for it: what is accepted is durable, and the peer tells.
    Decided(usize),
    /// The end of the epoch was accepted, or given up.
    StopSign(Option<StopSign>),
    /// A note beside the log.
    Note(String, String),
    /// Nothing up to that admission of a node is vouched for any more (R-LEASE-3): outlives the entry that said so.
    Revoked(NodeName, Admission),
    /// Lines that hold only together: a write that is torn must not leave the first of them alone.
    Together(Vec<Line>),
}

impl Line {
    /// The entries in it, in their order.
    pub(crate) fn entries(&self) -> Vec<&Entry> {
        match self {
            Line::Entries(_, items) => items.iter().map(|item| &item.0).collect(),
            Line::Together(lines) => lines.iter().flat_map(Line::entries).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether anything that this node says or does may rest on it, so that it must be durable first. What else there is
    /// is written along with the next line, and told again by others if it is lost.
    pub(crate) fn binds(&self) -> bool {
        match self {
            Line::Decided(_) => false,
            Line::Note(key, _) => key != crate::mark::SEEN,
            Line::Together(lines) => lines.iter().any(Line::binds),
            _ => true,
        }
    }
}

/// What omnipaxos knows of one epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Log {
    promise: Option<Ballot>,
    accepted_round: Option<Ballot>,
    decided: usize,
    entries: Vec<Item>,
    stopsign: Option<StopSign>,
    #[serde(skip)]
    journal: Journal,
}

/// Lines that are not durable yet, shared with the owner of the log.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Vec<Line>>>);

impl PartialEq for Journal {
    fn eq(&self, _: &Journal) -> bool {
        true
    }
}

impl Journal {
    /// Notes a line.
    pub fn note(&self, line: Line) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Takes all lines, oldest first.
    pub fn take(&self) -> Vec<Line> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets the same lines wait here as in another one; what is noted in one of them later does not stand in the other.
    pub(crate) fn copy(&self, other: &Journal) {
        let lines = other.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = lines;
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Whether a line is there that must be durable before anything that follows becomes visible.
    pub fn must_be_durable(&self) -> bool {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().any(Line::binds)
    }
}

impl Log {
    /// The journal that its writes go to.
    pub fn journal(&self) -> Journal {
        self.journal.clone()
    }

    /// Lets its writes go to that journal.
    pub(crate) fn write_to(&mut self, journal: Journal) {
        self.journal = journal;
    }

    /// Repeats one line that was read back.
    pub fn repeat(&mut self, line: Line) {
        match line {
            Line::Entries(from, entries) => {
                self.entries.truncate(from);
                self.entries.extend(entries);
            }
            Line::Promise(ballot) => self.promise = Some(ballot),
            Line::AcceptedRound(ballot) => self.accepted_round = Some(ballot),
            Line::Decided(decided) => self.decided = decided,
            Line::StopSign(stopsign) => self.stopsign = stopsign,
            Line::Together(lines) => lines.into_iter().for_each(|line| self.repeat(line)),
            Line::Note(..) | Line::Revoked(..) => {}
        }
    }

    /// Entries accepted, decided or not.
    pub fn entries(&self) -> &[Item] {
        &self.entries
    }

    /// How many of them are known to be decided.
    pub fn decided(&self) -> usize {
        self.decided.min(self.entries.len())
    }

    /// The accepted end of the epoch.
    pub fn stopsign(&self) -> Option<&StopSign> {
        self.stopsign.as_ref()
    }

    fn write(&mut self, operation: StorageOp<Item>) -> StorageResult<()> {
        match operation {
            StorageOp::AppendEntry(entry) => self.append_entry(entry),
            StorageOp::AppendEntries(entries) => self.append_entries(entries),
            StorageOp::AppendOnPrefix(from, entries) => self.append_on_prefix(from, entries),
            StorageOp::SetPromise(ballot) => self.set_promise(ballot),
            StorageOp::SetDecidedIndex(decided) => self.set_decided_idx(decided),
            StorageOp::SetAcceptedRound(ballot) => self.set_accepted_round(ballot),
            StorageOp::SetStopsign(stopsign) => self.set_stopsign(stopsign),
            // The log of an epoch is never cut: it ends with the epoch, whose successor begins with the record.
            StorageOp::SetCompactedIdx(_) | StorageOp::Trim(_) | StorageOp::SetSnapshot(_) => Ok(()),
        }
    }

    /// A sole voter decides by itself.
    pub fn decide_alone(&mut self, entry: Entry) {
        let at = self.entries.len();
        self.entries.push(Item(entry.clone()));
        self.decided = self.entries.len();
        self.journal.note(Line::Entries(at, vec![Item(entry)]));
        self.journal.note(Line::Decided(self.decided));
    }
}

impl Storage<Item> for Log {
    fn write_atomically(&mut self, operations: Vec<StorageOp<Item>>) -> StorageResult<()> {
        // A round that counts as accepted without its entries, or entries that count as decided and are not there, would
        // lose what the cluster agreed on.
        let journal = std::mem::take(&mut self.journal);
        let written = operations.into_iter().try_for_each(|operation| self.write(operation));
        let mut lines = std::mem::replace(&mut self.journal, journal).take();
        match lines.len() {
            0 => {}
            1 => lines.drain(..).for_each(|line| self.journal.note(line)),
            _ => self.journal.note(Line::Together(lines)),
        }
        written
    }

    fn append_entry(&mut self, entry: Item) -> StorageResult<()> {
        self.append_entries(vec![entry])
    }

    fn append_entries(&mut self, entries: Vec<Item>) -> StorageResult<()> {
        self.append_on_prefix(self.entries.len(), entries)
    }

    fn append_on_prefix(&mut self, from: usize, entries: Vec<Item>) -> StorageResult<()> {
        let line = Line::Entries(from, entries);
        self.repeat(line.clone());
        self.journal.note(line);
        Ok(())
    }

    fn set_promise(&mut self, ballot: Ballot) -> StorageResult<()> {
        if self.promise != Some(ballot) {
            self.promise = Some(ballot);
            self.journal.note(Line::Promise(ballot));
        }
        Ok(())
    }

    fn set_decided_idx(&mut self, decided: usize) -> StorageResult<()> {
        if self.decided != decided {
            self.decided = decided;
            self.journal.note(Line::Decided(decided));
        }
        Ok(())
    }

    fn get_decided_idx(&self) -> StorageResult<usize> {
        Ok(self.decided)
    }

    fn set_accepted_round(&mut self, ballot: Ballot) -> StorageResult<()> {
        if self.accepted_round != Some(ballot) {
            self.accepted_round = Some(ballot);
            self.journal.note(Line::AcceptedRound(ballot));
        }
        Ok(())
    }

    fn get_accepted_round(&self) -> StorageResult<Option<Ballot>> {
        Ok(self.accepted_round)
    }

    fn get_entries(&self, from: usize, to: usize) -> StorageResult<Vec<Item>> {
        Ok(self.entries.get(from..to).unwrap_or_default().to_vec())
    }

    fn get_log_len(&self) -> StorageResult<usize> {
        Ok(self.entries.len())
    }

    fn get_suffix(&self, from: usize) -> StorageResult<Vec<Item>> {
        Ok(self.entries.get(from..).unwrap_or_default().to_vec())
    }

    fn get_promise(&self) -> StorageResult<Option<Ballot>> {
        Ok(self.promise)
    }

    fn set_stopsign(&mut self, stopsign: Option<StopSign>) -> StorageResult<()> {
        if self.stopsign != stopsign {
            self.stopsign = stopsign.clone();
            self.journal.note(Line::StopSign(stopsign));
        }
        Ok(())
    }

    fn get_stopsign(&self) -> StorageResult<Option<StopSign>> {
        Ok(self.stopsign.clone())
    }

    fn trim(&mut self, _: usize) -> StorageResult<()> {
        Ok(())
    }

    fn set_compacted_idx(&mut self, _: usize) -> StorageResult<()> {
        Ok(())
    }

    fn get_compacted_idx(&self) -> StorageResult<usize> {
        Ok(0)
    }

    fn set_snapshot(&mut self, _: Option<NoSnapshot>) -> StorageResult<()> {
        Ok(())
    }

    fn get_snapshot(&self) -> StorageResult<Option<NoSnapshot>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-LEDGER-3: what a leader brings a voter up to date with is one write. Torn, it must not leave a round that counts
    /// as accepted, or entries that count as decided, without the entries: that voter would be believed the next time.
    #[test]
    fn a_torn_write_leaves_no_round_without_its_entries() {
        let ballot = Ballot { n: 3, pid: 2, ..Ballot::default() };
        let mut log = Log::default();
        let entries = vec![Item(Entry::Noop), Item(Entry::Noop)];
        let sync = vec![
            StorageOp::SetAcceptedRound(ballot),
            StorageOp::SetDecidedIndex(2),
            StorageOp::AppendOnPrefix(0, entries.clone()),
            StorageOp::SetStopsign(None),
        ];
        assert!(log.write_atomically(sync).is_ok());
        assert_eq!((log.entries(), log.decided()), (entries.as_slice(), 2));
        let lines = log.journal().take();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0].entries().len(), 2);
        let mut read = Log::default();
        lines.into_iter().for_each(|line| read.repeat(line));
        assert_eq!(read, log);
        // What stands alone stays as it was written by every daemon before.
        assert!(log.write_atomically(vec![StorageOp::SetDecidedIndex(1)]).is_ok());
        assert_eq!(log.journal().take(), [Line::Decided(1)]);
    }
}
