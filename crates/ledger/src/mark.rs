//! How far a disk has come, and who has seen that (R-LEDGER-3): so that a voter whose disk was put back to an older copy is
//! recognised before it votes without what it accepted.
//!
//! Every write that something depends on raises the *mark* of this node's disk by one, and nothing lowers it.  A node
//! states its mark once it is durable; its peers keep the highest that each identity stated, with the run that stated it.
//! A later run of that identity that began below it has forgotten something.  Within one run a mark only rises, so that a
//! run is judged by where it began, however far it has come since.
//!
//! What is seen of others is written along with other lines and waited for by nothing: what a crash loses of it is told
//! again by whoever stated it.

use crate::durable::Durable;
use crate::ledger::Ledger;
use crate::storage::Line;
use hearth_types::{Incarnation, NodeIdentity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Durable note: the highest mark of each identity.
pub(crate) const SEEN: &str = "marks";
/// Identities beyond which those that do not vote are forgotten.
const SEEN_MAX: usize = 64;

/// The marks of a node and of its peers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Marks {
    /// Of the disk when this run began.
    pub began: u64,
    seen: BTreeMap<NodeIdentity, (u64, Incarnation)>,
    unwritten: bool,
}

impl Marks {
    /// Of what was read back. A note that cannot be read is one that nobody wrote: then nothing was seen.
    pub(crate) fn read(durable: &Durable) -> Marks {
        let seen = durable.notes.get(SEEN).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Marks { began: durable.mark, seen, unwritten: false }
    }

    pub(crate) fn forget_all(&mut self, durable: &mut Durable) {
        self.seen.clear();
        self.unwritten = false;
        durable.notes.remove(SEEN);
    }
}

impl Ledger {
    /// The mark of this node's disk once the output drained so far is durable.
    pub fn mark(&self) -> u64 {
        self.durable.mark
    }

    /// The mark that this run found on the disk.
    pub fn mark_at_start(&self) -> u64 {
        self.marks.began
    }

    /// The mark that this identity stated in another run, if this run of it began below: its disk has forgotten what it
    /// said, and nothing that it says in the ledger may be taken.
    pub fn mark_beyond(&self, identity: NodeIdentity, run: Incarnation, began: u64) -> Option<u64> {
        let (mark, by) = self.marks.seen.get(&identity)?;
        (*by != run && began < *mark).then_some(*mark)
    }

    /// Notes that an identity stated this mark, durable on its disk, in a run that began where nothing was forgotten.
    pub fn saw_mark(&mut self, identity: NodeIdentity, run: Incarnation, mark: u64) {
        let known = self.marks.seen.get(&identity);
        if known.is_some_and(|(known, by)| *by == run && *known >= mark) {
            return;
        }
        if known.is_none() && self.marks.seen.len() >= SEEN_MAX {
            let voters: Vec<NodeIdentity> = self.voters().iter().map(|voter| voter.identity).collect();
            self.marks.seen.retain(|identity, _| voters.contains(identity));
        }
        self.marks.seen.insert(identity, (mark, run));
        self.marks.unwritten = true;
    }

    /// Forgets the mark of an identity whose program does not count: what it writes, no mark shows.
    pub fn forget_mark(&mut self, identity: NodeIdentity) {
        self.marks.unwritten |= self.marks.seen.remove(&identity).is_some();
    }

    /// This node's disk has forgotten what it said under its identity: it takes the one that was drawn for this run, and is
    /// whoever asks to be let in for the first time. The caller has given up the epoch.
    pub fn take_new_identity(&mut self) {
        let drawn = self.params.fresh_identity.0;
        if self.durable.identity.0 == drawn {
            // A copied disk has that one, too: the next of the same draw.
            self.params.fresh_identity = NodeIdentity(drawn.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1));
        }
        self.durable.identity = self.params.fresh_identity;
        self.founding.take_identity(self.params.fresh_identity);
        self.rewrite = true;
        self.flush();
    }

    /// Lets what was seen of others be written with the next lines.
    pub fn note_marks(&mut self) {
        if self.stopped || !std::mem::take(&mut self.marks.unwritten) {
            return;
        }
        // A value of our own types always serialises.
        let text = serde_json::to_string(&self.marks.seen).unwrap_or_default();
        self.durable.notes.insert(SEEN.to_owned(), text.clone());
        self.journal.note(Line::Note(SEEN.to_owned(), text));
    }
}
