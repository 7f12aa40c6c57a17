//! What machines say of themselves (R-TAKE-1, R-TAKE-8).

use alloc::format;
use alloc::string::{String, ToString};
use hearth_types::{AssignmentId, NodeName, OnStopFail, OpAction, ResourceId};

use crate::record::{Failure, MemberState, ResourceState};
use crate::{Record, Rejection, Report, ReportKind};

/// Longest text that is kept of an agent's output: the record stays small.
const MESSAGE_BYTES: usize = 512;

impl Record {
    /// Never refused for its content: a report that could not be applied would hold up all that follow it.
    pub(crate) fn report(&mut self, report: &Report) -> Result<(), Rejection> {
        let name = &report.node;
        let node = self.node_mut(name)?;
        if node.member == MemberState::Out {
            return Err(Rejection::NotAdmitted { node: name.clone(), state: node.member.as_str() });
        }
        if node.incarnation != report.incarnation {
            let (known, named) = (node.incarnation, report.incarnation);
            return Err(Rejection::Incarnation { node: name.clone(), known, named });
        }
        if report.number != node.reported + 1 {
            let (number, reported) = (report.number, node.reported);
            return Err(Rejection::ReportOrder { node: name.clone(), number, reported });
        }
        node.reported = report.number;
        self.believe(report);
        Ok(())
    }

    fn believe(&mut self, report: &Report) {
        let (resource, node, upto) = (&report.resource, &report.node, report.upto);
        match &report.what {
            ReportKind::Started => {
                self.may_run(resource, node, upto);
                self.set_state(resource, node, ResourceState::Started);
                self.check_wire.remove(resource);
            }
            ReportKind::Running => {
                self.may_run(resource, node, upto);
                self.set_state(resource, node, ResourceState::Started);
            }
            ReportKind::ProbeFailed { code, message } => {
                self.may_run(resource, node, upto);
                self.set_state(resource, node, ResourceState::Unknown);
                self.count(resource, node, OpAction::Probe, *code, message);
            }
            ReportKind::Stopped | ReportKind::NotRunning => self.stopped(resource, node, upto),
            ReportKind::StartFailed { code, message } => {
                self.count(resource, node, OpAction::Start, *code, message);
                self.stopped(resource, node, upto);
                self.end_placement(resource, node);
            }
            ReportKind::StopFailed { code, message } => {
                self.count(resource, node, OpAction::Stop, *code, message);
                let spec = self.spec(resource);
                if spec.is_some_and(|spec| spec.owns.is_empty() && spec.on_stop_fail == OnStopFail::Ignore) {
                    self.stopped(resource, node, upto);
                } else {
                    self.may_run(resource, node, upto);
                    self.set_state(resource, node, ResourceState::Blocked);
                }
            }
            ReportKind::StopForced { message } => {
                let message = format!("had to be forced: {message}");
                self.count(resource, node, OpAction::Stop, None, &message);
            }
            ReportKind::MonitorFailed { code, message } => {
                self.count(resource, node, OpAction::Monitor, *code, message);
                self.set_state(resource, node, ResourceState::Failed);
            }
        }
    }

    /// The node's own word that it may run: true whatever was cleared before. Not for what nobody knows: it could never
    /// be cleared by name.
    fn may_run(&mut self, resource: &ResourceId, node: &NodeName, upto: AssignmentId) {
        if self.spec(resource).is_some() {
            self.may_be_active.entry((resource.clone(), node.clone())).or_insert(upto);
        }
    }

    /// Only flags at or below what the node had applied when it ordered the stop: an assignment that it did not know of
    /// then may have started it since.
    fn stopped(&mut self, resource: &ResourceId, node: &NodeName, upto: AssignmentId) {
        match self.flag(resource, node) {
            Some(flag) if flag > upto => {}
            _ => {
                self.set_state(resource, node, ResourceState::Stopped);
                self.clear_flag(resource, node);
            }
        }
    }

    fn set_state(&mut self, resource: &ResourceId, node: &NodeName, state: ResourceState) {
        if self.spec(resource).is_some() {
            self.states.insert((resource.clone(), node.clone()), state);
        }
    }

    fn count(&mut self, resource: &ResourceId, node: &NodeName, action: OpAction, code: Option<i32>, message: &str) {
        if self.spec(resource).is_none() {
            return;
        }
        let key = (resource.clone(), node.clone(), action);
        let count = self.failures.get(&key).map_or(0, |failure| failure.count).saturating_add(1);
        self.failures.insert(key, Failure { count, code, message: shortened(message), index: self.applied });
    }

    /// What somebody asked for ends where it cannot be had.
    fn end_placement(&mut self, resource: &ResourceId, node: &NodeName) {
        let Some((group, _)) = self.model.resource(resource) else { return };
        let id = group.id.clone();
        let ends = |to: Option<&NodeName>| to.is_none_or(|to| to == node);
        if self.placements.get(&id).is_some_and(|placement| ends(placement.to.as_ref())) {
            self.placements.remove(&id);
        }
    }
}

/// The last part, where agents say what went wrong.
fn shortened(message: &str) -> String {
    let mut from = message.len().saturating_sub(MESSAGE_BYTES);
    while !message.is_char_boundary(from) {
        from += 1;
    }
    message[from..].to_string()
}
