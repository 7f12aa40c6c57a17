//! The agreed record, as far as it speaks of the owner: a few entries, and what follows from them.

/// Machines by number. `A` owns the resource when the story begins; `A`, `B` and `C` vote then.
pub type Node = usize;
/// The owner.
pub const A: Node = 0;
/// A voter.
pub const B: Node = 1;
/// A voter.
pub const C: Node = 2;
/// Takes part without a vote at first; it is the one that may get a vote.
pub const D: Node = 3;
/// All of them.
pub const NODES: [Node; 4] = [A, B, C, D];

/// A list of voters: one bit for each node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Voters(u8);

impl Voters {
    /// The voters when the story begins.
    pub const FIRST: Voters = Voters(0b0111);

    /// The first voters with `D` in the place of one of them.
    pub fn replaced(gone: Node) -> Voters {
        Voters((Voters::FIRST.0 & !(1 << gone)) | 1 << D)
    }

    /// Whether a node is in the list.
    pub fn has(self, node: Node) -> bool {
        self.0 & (1 << node) != 0
    }

    /// The nodes of the list.
    pub fn nodes(self) -> impl Iterator<Item = Node> {
        NODES.into_iter().filter(move |node| self.has(*node))
    }
}

/// Admission of the owner: it begins with 1 and is raised at most once.
pub type Admission = u8;

/// What can be agreed. The real record has more kinds of entries; these are all that touch the rules of section 3.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Entry {
    /// The owner is lost under that admission. Clears nothing yet (R-LEASE-2).
    Lost(Admission),
    /// The owner goes on under the next admission, with all that is assigned to it (R-LEASE-3).
    Renew,
    /// The owner, which was lost, is let in again under the next admission, with nothing assigned to it (R-JOIN-3).
    Admit,
    /// The lease of the lost owner has ended beyond doubt: another may start what it held (R-LEASE-4).
    Proven,
    /// The epoch ends; these vote in the next one (R-LEDGER-4).
    Switch(Voters),
    /// Anything else. It takes a place in the log and can overwrite what stood there.
    Other,
}

/// Most entries of a story.
pub const LOG_MAX: usize = 6;

/// The decided entries, oldest first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Log {
    entries: [Option<Entry>; LOG_MAX],
}

impl Log {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.iter().flatten().count()
    }

    /// Whether nothing has been decided.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is room for another one.
    pub fn has_room(&self) -> bool {
        self.len() < LOG_MAX
    }

    /// Adds one.
    pub fn push(&mut self, entry: Entry) {
        let at = self.len();
        self.entries[at] = Some(entry);
    }

    /// The entry at a place.
    pub fn at(&self, slot: usize) -> Option<Entry> {
        self.entries.get(slot).copied().flatten()
    }

    /// How often an entry that fits was decided.
    pub fn count(&self, fits: impl Fn(&Entry) -> bool) -> usize {
        self.entries.iter().flatten().filter(|entry| fits(entry)).count()
    }

    /// The place behind the entry that switched to another epoch, if there was one.
    pub fn switched_at(&self) -> Option<usize> {
        self.entries.iter().position(|entry| matches!(entry, Some(Entry::Switch(_)))).map(|at| at + 1)
    }

    /// The record of a node that has applied the first `applied` entries. Every node's record is the same function of the
    /// same entries (R-LEDGER-1).
    pub fn record(&self, applied: usize) -> Record {
        let mut record =
            Record { voters: Voters::FIRST, switched: false, admission: 1, lost: false, assigned: true, freed: false };
        for entry in self.entries.iter().take(applied).flatten() {
            record.apply(*entry);
        }
        record
    }
}

/// What the entries say together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// Who votes.
    pub voters: Voters,
    /// Whether this is the second epoch.
    pub switched: bool,
    /// Admission of the owner.
    pub admission: Admission,
    /// Whether the owner is lost.
    pub lost: bool,
    /// Whether the resource is assigned to the first owner.
    pub assigned: bool,
    /// Whether another node may start it: nothing may be active on the first owner any more.
    pub freed: bool,
}

impl Record {
    /// Applies an entry; what does not fit the record changes nothing (R-LEDGER-1).
    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Lost(admission) if !self.lost && admission == self.admission => {
                self.lost = true;
                self.assigned = false;
            }
            Entry::Renew if !self.lost => self.admission += 1,
            Entry::Admit if self.lost => {
                self.lost = false;
                self.admission += 1;
            }
            Entry::Proven if self.lost => self.freed = true,
            Entry::Switch(voters) if !self.switched => {
                self.voters = voters;
                self.switched = true;
            }
            _ => {}
        }
    }
}
