//! The rules of section 3: until when the voters carry the owner, what the owner does with it, and when time proves that
//! it is over.

use crate::part::Part;
use crate::record::{A, Admission, Entry, Node, Voters};
use crate::state::{Machine, State, Statement, Ticks, Vouch};
use crate::steps::Rules;

/// How many of so many are a majority.
pub(crate) const fn majority(count: usize) -> usize {
    count / 2 + 1
}

impl Rules {
    // --- the lease (R-LEASE-1, 3, 12) --------------------------------------------------------------------------------

    /// Whether a voter refuses to vouch for the owner under the admission that the owner states. The owner as a voter for
    /// itself as well: it does not count its own vote once it has accepted its own loss.
    pub(crate) fn refuses(&self, state: &State, voter: Node) -> bool {
        let machine = &state.machines[voter];
        let revoked = if self.keeps(Part::AtOnce) { machine.revoked } else { lost_by_decision(state, machine) };
        revoked >= state.record(A).admission
    }

    /// A voter hears the owner and vouches for it: the owner has another lease from when it was heard, as far as it counts.
    pub(crate) fn vouch(&self, state: &mut State, voter: Node) {
        let record = state.record(voter);
        // Who is in the next epoch says so by being there.
        let next = state.accepted_end(voter).or(record.switched.then_some(record.voters));
        // An owner that is there too is told nothing by that.
        let next = next.filter(|_| self.keeps(Part::SaysNext) && !state.record(A).switched);
        state.vouches[voter] = Some(Vouch { age: 0, next });
        state.machines[voter].vouched = 0;
    }

    /// For how many ticks a majority of a list carries the owner.
    fn carried_by(&self, state: &State, list: Voters) -> Ticks {
        let left = |voter: Node| match voter {
            A if self.refuses(state, A) => 0,
            A => self.lease,
            _ => state.vouches[voter].map_or(0, |vouch| self.lease - vouch.age),
        };
        let mut left: Vec<Ticks> = list.nodes().map(left).collect();
        left.sort_unstable_by(|one, other| other.cmp(one));
        left[majority(left.len()) - 1]
    }

    /// Ticks that are left of the owner's lease: by a majority of its own epoch's voters, and of every next list that it
    /// has accepted itself or that a voter has named (R-LEASE-12).
    pub(crate) fn lease_left(&self, state: &State) -> Ticks {
        let record = state.record(A);
        if record.lost {
            return 0;
        }
        let lease = self.carried_by(state, record.voters);
        if record.switched {
            return lease;
        }
        let own = state.accepted_end(A).filter(|_| self.keeps(Part::OwnEnd));
        let named = state.vouches.iter().flatten().filter_map(|vouch| vouch.next);
        own.into_iter().chain(named).map(|list| self.carried_by(state, list)).fold(lease, Ticks::min)
    }

    // --- the owner acts (R-LEASE-5, R-LEASE-8) -----------------------------------------------------------------------

    /// Whenever it may, it opens its gate for what is left of its lease. (An owner that opens it later, for less or not at
    /// all harms nobody: those runs need no steps of their own.)
    pub(crate) fn open_gate(&self, state: &mut State) {
        if state.record(A).assigned {
            state.gate = state.gate.max(self.lease_left(state));
        }
    }

    /// It does what it had decided when it might, before a pause of any length.
    pub(crate) fn act_late(&self, state: &mut State) {
        // What was decided then was at most a whole lease.
        let lease = if self.keeps(Part::LeaseAgain) { self.lease_left(state) } else { self.lease };
        if state.record(A).assigned || !self.keeps(Part::AssignmentAgain) {
            state.gate = state.gate.max(lease);
        }
    }

    // --- proof by time (R-LEASE-3, 4, 12) ----------------------------------------------------------------------------

    /// A voter states what it revoked. As soon as it may: a DC that hears of it later, or never, only proves later.
    pub(crate) fn state(&self, state: &mut State, voter: Node) {
        let machine = &state.machines[voter];
        let (admission, over) = (machine.revoked, machine.revoked < state.record(voter).admission);
        if admission == 0 || over {
            return;
        }
        let age = if voter == A && !self.keeps(Part::OwnVote) { self.lease } else { machine.vouched };
        let is_news = |known: Statement| known.admission < admission || known.age < age;
        if state.stated[voter].is_none_or(is_news) {
            state.stated[voter] = Some(Statement { admission, age });
        }
    }

    /// Whether any DC could have the proof: the loss is applied, a majority of voters have stated the revocation, and for
    /// the youngest of them 1.05 L has passed since it last vouched; the epoch is as old.
    pub(crate) fn is_proven(&self, state: &State) -> bool {
        let record = state.truth();
        let wait = if self.keeps(Part::Twentieth) { self.lease } else { self.lease - 1 };
        let stated = record.voters.nodes().filter_map(|voter| state.stated[voter]);
        let ages: Vec<Ticks> = stated.filter(|it| it.admission >= record.admission).map(|it| it.age).collect();
        let old = ages.iter().filter(|age| **age >= wait).count();
        let most = majority(record.voters.nodes().count());
        let enough = match self.left_out {
            Some(Part::Majority) => old >= 1,
            Some(Part::Youngest) => old >= 1 && ages.len() >= most,
            _ => old >= most,
        };
        let epoch = !record.switched || state.epoch.is_some_and(|age| age >= wait) || !self.keeps(Part::EpochAge);
        record.lost && !record.freed && enough && epoch
    }
}

/// The newest admission of the owner that a node knows lost by decided entries.
pub(crate) fn lost_by_decision(state: &State, machine: &Machine) -> Admission {
    let lost = |at: usize| match state.log.at(at) {
        Some(Entry::Lost(admission)) => admission,
        _ => 0,
    };
    (0..usize::from(machine.applied)).map(lost).max().unwrap_or(0)
}
