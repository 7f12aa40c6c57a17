//! What will happen, by time.

use hearth_control::Request;
use hearth_controller::{SlotSeen, TiebreakerSeen};
use hearth_types::{AlertId, FenceId, LinkId, ResourceId, Timestamp};
use hearth_wire::Message;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// What travels.
#[derive(Clone, Debug)]
pub enum Parcel {
    /// A message whose seal is not played, in a wire version (R-WIRE-6).
    Open(u8, Message),
    /// Sealed bytes.
    Sealed(Vec<u8>),
    /// Bytes that something on the way has damaged.
    Damaged,
}

/// One thing that will happen.
#[derive(Clone, Debug)]
pub enum What {
    /// A packet arrives.
    Packet { from: usize, to: usize, link: LinkId, parcel: Parcel, replayed: Option<Timestamp> },
    /// A write ends.
    Written { node: usize, run: u64 },
    /// An operation ends.
    OpDone { node: usize, key: u64 },
    /// The wire, or a peer, is asked again.
    Ask { node: usize },
    /// A ping target is asked again.
    Ping { node: usize, run: u64 },
    /// A kernel lifetime may end.
    Expire { node: usize, resource: ResourceId },
    /// A machine's clone says something.
    Ghost { node: usize },
    /// The watchdog of a machine is looked at.
    Watchdog { node: usize },
    /// A daemon is told that its watchdog is armed.
    Armed { node: usize, run: u64 },
    /// A power switch does what it was told.
    Switched { node: usize },
    /// The same, as a fence device: a machine without power stays off.
    Fenced { node: usize },
    /// A power strip switches one supply of a machine.
    Strip { node: usize, side: usize, on: bool },
    /// A fence device answers.
    FenceSaid { node: usize, run: u64, id: FenceId, result: Result<String, String>, took: Duration },
    /// A daemon looks at its slot on the shared disk.
    SlotLook { node: usize, run: u64 },
    /// What it has found there reaches it.
    SlotSaid { node: usize, run: u64, seen: Result<SlotSeen, String> },
    /// A daemon begins to ask the disk of its tiebreaker; only the newest plan counts.
    ClaimBegins { node: usize, run: u64, wake: u64 },
    /// The next access of that.
    ClaimGoesOn { node: usize, run: u64 },
    /// What came of it.
    ClaimSaid { node: usize, run: u64, seen: Result<TiebreakerSeen, String> },
    /// The time of an order to the shared disk is over.
    PillLate { node: usize, run: u64, id: FenceId },
    /// The script of an alert has ended.
    AlertDone { node: usize, run: u64, id: AlertId },
    /// A daemon looks at its files for a change of the list of nodes, or changes them.
    ChangesList { node: usize, run: u64, id: u64, change: hearth_config::ListChange, commit: bool },
    /// A machine that was reset has booted.
    Boot { node: usize },
    /// A daemon that was thawed comes to what waited.
    Awake { node: usize, run: u64 },
    /// A broken node (mutant) obeys an order again.
    Again { node: usize, request: Request, left: u32 },
}

/// When the thing in a slot happens. No two have the same number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Scheduled {
    at: Timestamp,
    number: u64,
    slot: usize,
}

/// Everything that will happen; of two things at one moment the one that was planned first.
#[derive(Clone, Default)]
pub struct Queue {
    heap: BinaryHeap<Reverse<Scheduled>>,
    number: u64,
    /// What happens, where it stays while its moment is moved about.
    slots: Vec<Option<What>>,
    free: Vec<usize>,
}

impl Queue {
    /// Plans something.
    pub fn push(&mut self, at: Timestamp, what: What) {
        self.number += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(what);
                slot
            }
            None => {
                self.slots.push(Some(what));
                self.slots.len() - 1
            }
        };
        self.heap.push(Reverse(Scheduled { at, number: self.number, slot }));
    }

    /// When the next thing happens.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse(item)| item.at)
    }

    /// Takes the next thing.
    pub fn pop(&mut self) -> Option<What> {
        let Reverse(Scheduled { slot, .. }) = self.heap.pop()?;
        self.free.push(slot);
        self.slots[slot].take()
    }
}
