//! Every moment that can be reached, by breadth: the first one with two owners is reached on a shortest way.

use crate::part::Part;
use crate::record::{A, B};
use crate::state::State;
use crate::steps::{Rules, Step};
use stateright::{Checker, HasDiscoveries, Model, Path, Property};

/// What must hold at every moment.
pub const ONE_OWNER: &str = "one owner";

/// A search, done to its end.
#[derive(Debug)]
pub struct Found {
    /// How many moments there are; where there are two owners, how many were looked at until then.
    pub moments: usize,
    /// The shortest way to two owners: each moment, and the step that followed.
    pub two_owners: Option<Vec<(State, Option<Step>)>>,
    /// What the search has come across, of [`SIGHTS`].
    pub reached: Vec<&'static str>,
}

impl Found {
    /// What of [`SIGHTS`] should be among the moments that these rules allow, and is not.
    pub fn missing(&self, rules: &Rules) -> Vec<&'static str> {
        let due = SIGHTS.iter().filter(|sight| rules.replaces || !sight.second_epoch);
        due.map(|sight| sight.what).filter(|what| !self.reached.contains(what)).collect()
    }
}

/// Something that must be among the moments, or the search would have looked at nothing.
#[derive(Debug)]
pub struct Sight {
    /// What it is.
    pub what: &'static str,
    /// Whether it needs a second epoch.
    pub second_epoch: bool,
    is: fn(&Rules, &State) -> bool,
}

/// All of these.
pub const SIGHTS: [Sight; 6] = [
    Sight {
        what: "another may start what the lost owner held",
        second_epoch: false,
        is: |_, state| state.truth().freed,
    },
    Sight {
        what: "the owner was called lost, and serves under its next admission",
        second_epoch: false,
        is: |_, state| state.record(A).admission == 2 && state.record(A).assigned && state.gate > 0,
    },
    Sight {
        what: "a voter has accepted a loss that was overwritten, and the owner serves",
        second_epoch: false,
        is: |_, state| {
            let machine = &state.machines[B];
            machine.revoked == 1 && machine.accepted.is_none() && !state.truth().lost && state.gate > 0
        },
    },
    Sight {
        what: "the owner's lease is over, and its gate is still open",
        second_epoch: false,
        is: |rules, state| rules.lease_left(state) == 0 && state.gate > 0,
    },
    Sight {
        what: "the owner holds by the majorities of two lists",
        second_epoch: true,
        is: |rules, state| {
            let named = state.vouches.iter().flatten().any(|vouch| vouch.next.is_some());
            named && !state.record(A).switched && rules.lease_left(state) > 0
        },
    },
    Sight {
        what: "a lease is proven over in the second epoch",
        second_epoch: true,
        is: |_, state| state.truth().freed && state.truth().switched,
    },
];

impl Model for Rules {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(self.lease)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.steps(state, steps);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        Some(self.after(state, step)).filter(|after| after != state)
    }

    /// Where the gate is shut and the owner knows that nothing is assigned to it, it never opens it again: nothing is ever
    /// assigned to it anew.
    fn within_boundary(&self, state: &State) -> bool {
        state.gate > 0 || state.record(A).assigned || !self.keeps(Part::AssignmentAgain)
    }

    fn properties(&self) -> Vec<Property<Rules>> {
        let mut properties = vec![Property::always(ONE_OWNER, |_, state: &State| !state.has_two_owners())];
        properties.extend(SIGHTS.iter().map(|sight| Property::sometimes(sight.what, sight.is)));
        properties
    }
}

impl Rules {
    /// Looks at everything, or until there are two owners. One thread finds a shortest way; more are faster.
    pub fn search(self, threads: usize) -> Found {
        let first = HasDiscoveries::AnyOf([ONE_OWNER].into());
        let checker = self.checker().threads(threads).finish_when(first).spawn_bfs().join();
        let way = |path: Path<State, Step>| path.into_vec();
        let reached = SIGHTS.iter().map(|sight| sight.what).filter(|name| checker.discovery(name).is_some());
        Found {
            moments: checker.unique_state_count(),
            two_owners: checker.discovery(ONE_OWNER).map(way),
            reached: reached.collect(),
        }
    }
}
