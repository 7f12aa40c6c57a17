//! The machine itself.

use alloc::vec::Vec;
use hearth_types::{Incarnation, NodeName, ResourceId, Timestamp};

use crate::{ExecutorInput, ExecutorOutput, ExecutorTimer, LocalState, OutgoingReport};

/// This node's share of the plan.
#[derive(Clone, Debug)]
pub struct Executor {
    local: NodeName,
    incarnation: Incarnation,
    outbox: Vec<OutgoingReport>,
}

impl Executor {
    /// An executor that knows nothing yet: it waits for a record.
    pub fn new(local: NodeName, incarnation: Incarnation) -> Executor {
        Executor { local, incarnation, outbox: Vec::new() }
    }

    /// Takes one input and appends what is to be done, in order.
    pub fn handle(&mut self, _now: Timestamp, _input: ExecutorInput<'_>, _out: &mut Vec<ExecutorOutput>) {
        let _ = (&self.local, self.incarnation);
    }

    /// When [`ExecutorInput::Deadline`] is due next, and why.
    pub fn next_deadline(&self) -> Option<(Timestamp, ExecutorTimer)> {
        None
    }

    /// Reports that the record does not show yet, in order of their numbers. To be sent again when the DC changes and
    /// every so often.
    pub fn unconfirmed_reports(&self) -> impl Iterator<Item = &OutgoingReport> {
        self.outbox.iter()
    }

    /// A resource on this node.
    pub fn local_state(&self, _resource: &ResourceId) -> LocalState {
        LocalState::Unknown
    }

    /// Whether anything is not confirmed stopped here.
    pub fn holds_anything(&self) -> bool {
        false
    }

    /// Addresses that run here or are being started: those that the gate should let answer.
    pub fn running_addresses(&self) -> Vec<ResourceId> {
        Vec::new()
    }
}
