//! Outputs that wait until what stands before them is durable (R-LEDGER-3): what a driver owes the order of its outputs,
//! the same in the daemon and in the simulator.

use crate::{Input, Output};
use hearth_control::Reply;
use hearth_types::{OpAction, OpOutcome, OpResult};
use hearth_wire::Message;
use std::collections::VecDeque;
use std::time::Duration;

const LOST: &str = "the state of this node cannot be written to its disk, so nothing was decided";
const UNKNOWN: &str = "the state of this node cannot be written to its disk, so it does not know whether that was done";

/// What follows when a persist has ended.
#[derive(Debug)]
pub enum Next {
    /// Do it.
    Do(Output),
    /// It is not done: the controller is told.
    Tell(Input),
}

/// The queue behind the persists under way.
#[derive(Clone, Debug, Default)]
pub struct HeldBack {
    /// Each persist with the outputs behind it, up to the next one.
    batches: VecDeque<(u64, Vec<Output>)>,
}

impl HeldBack {
    /// How many persists are under way.
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// A persist is under way.
    pub fn barrier(&mut self, ticket: u64) {
        self.batches.push_back((ticket, Vec::new()));
    }

    /// Gives the output back if it may be done now, else keeps it.
    pub fn offer(&mut self, output: Output) -> Option<Output> {
        match self.batches.back_mut() {
            Some((_, batch)) if !overtakes(&output) => {
                batch.push(output);
                None
            }
            _ => Some(output),
        }
    }

    /// What may be done once `ticket` is durable. If it was `lost`, what depends on it is never done, and whoever waits
    /// for that is told.
    pub fn release(&mut self, ticket: u64, lost: bool) -> Vec<Next> {
        let mut released = Vec::new();
        while self.batches.front().is_some_and(|(front, _)| *front <= ticket) {
            let Some((_, batch)) = self.batches.pop_front() else { break };
            if lost {
                released.extend(batch.into_iter().filter_map(without_disk));
            } else {
                released.extend(batch.into_iter().map(Next::Do));
            }
        }
        released
    }
}

/// Heartbeats and the gate do not depend on the disk, and neither does an answer that only tells what is, or that nothing
/// will be done: the daemon answers at all times. An answer that something is done waits. That the disk fails or is slow is
/// told by no other way.
pub fn overtakes(output: &Output) -> bool {
    let tells = |reply: &Reply| {
        matches!(reply, Reply::Status { .. } | Reply::Timeline { .. } | Reply::Why { .. } | Reply::Refused { .. })
    };
    if let Output::Reply { reply, .. } = output {
        return tells(reply);
    }
    if let Output::Event(event) = output {
        return event.name.starts_with("disk-");
    }
    matches!(
        output,
        Output::Send { message: Message::Heartbeat(_), .. }
            | Output::GateTick { .. }
            | Output::GateShut { .. }
            | Output::RenewLifetime { .. }
            | Output::VolatileLease { .. }
            | Output::PetWatchdog { .. }
            | Output::ResetSelf { .. }
            | Output::Slot { .. }
            | Output::Tiebreaker { .. }
    )
}

/// What becomes of an output whose persist was lost. Promises, starts and announcements are never made; what ends,
/// looks or tells is as right as before, and without it nobody would hear of the disk and the daemon could not stop.
fn without_disk(output: Output) -> Option<Next> {
    match output {
        // What failed, or cannot be known any more, promises nothing.
        Output::Reply { token, reply, .. } if !matches!(*reply, Reply::Failed { .. }) => {
            let help = Some("see `hearth timeline` on another machine; mend the disk, then restart hearthd".into());
            let reply = Box::new(Reply::Failed { reason: UNKNOWN.into(), help });
            Some(Next::Do(Output::Reply { token, reply, more: false }))
        }
        Output::StartOp(request) if request.action == OpAction::Start => {
            let outcome = OpOutcome::Failed { code: None, message: LOST.into() };
            Some(Next::Tell(Input::OpFinished(OpResult {
                id: request.id,
                outcome,
                took: Duration::ZERO,
                remark: None,
            })))
        }
        Output::Fence { id, .. } => {
            Some(Next::Tell(Input::FenceFinished { id, result: Err(LOST.into()), took: Duration::ZERO }))
        }
        Output::Alert { id, .. } => {
            Some(Next::Tell(Input::AlertFinished { id, result: Err(LOST.into()), took: Duration::ZERO }))
        }
        Output::ChangeList { id, .. } => Some(Next::Tell(Input::ListChanged { id, result: Err(LOST.into()) })),
        Output::Send { .. } | Output::Announce { .. } => None,
        other => Some(Next::Do(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_types::{FenceId, FenceTask, LinkId, OpId, OpRequest, Timestamp};
    use std::sync::Arc;

    fn note(text: &str) -> Output {
        Output::Volatile { text: text.into() }
    }

    fn texts(outputs: Vec<Next>) -> Vec<String> {
        let text = |output| match output {
            Next::Do(Output::Volatile { text }) => text,
            other => format!("{other:?}"),
        };
        outputs.into_iter().map(text).collect()
    }

    #[test]
    fn r_ledger_3_what_stands_behind_a_persist_waits_and_the_gate_overtakes() {
        let mut held = HeldBack::default();
        assert!(held.offer(note("before")).is_some());
        held.barrier(1);
        assert!(held.offer(note("a")).is_none());
        held.barrier(2);
        assert!(held.offer(note("b")).is_none());
        assert!(held.offer(Output::VolatileLease { until: Timestamp(1) }).is_some());
        assert_eq!(texts(held.release(1, false)), ["a"]);
        assert_eq!(texts(held.release(2, false)), ["b"]);
        assert!(held.offer(note("after")).is_some());
    }

    #[test]
    fn r_ledger_3_an_answer_that_only_tells_waits_for_no_disk_and_a_result_does() {
        let mut held = HeldBack::default();
        held.barrier(1);
        let reply = |reply: Reply| Output::Reply { token: 7, reply: Box::new(reply), more: false };
        assert!(held.offer(reply(Reply::Timeline { events: Vec::new(), dropped: 0 })).is_some());
        assert!(held.offer(reply(Reply::Refused { reason: String::new(), help: None, quorum: false })).is_some());
        assert!(held.offer(reply(Reply::Done { text: String::new(), took_ms: 0, notes: Vec::new() })).is_none());
    }

    /// Harm: the log of a node whose disk hangs says nothing for as long as it hangs.
    #[test]
    fn r_ledger_3_that_the_disk_is_slow_waits_for_no_disk() {
        let event = |name: &str| {
            Output::Event(crate::Event {
                id: crate::EventId(1),
                at: Timestamp(1),
                cause: None,
                severity: crate::Severity::Warning,
                name: name.into(),
                subject: String::new(),
                text: String::new(),
            })
        };
        let mut held = HeldBack::default();
        held.barrier(1);
        assert!(held.offer(event("disk-slow")).is_some());
        assert!(held.offer(event("disk-failed")).is_some());
        assert!(held.offer(event("group-assigned")).is_none());
    }

    #[test]
    fn r_ledger_3_what_stands_behind_a_failed_write_is_never_done() {
        let mut held = HeldBack::default();
        held.barrier(1);
        let resource = hearth_types::ResourceSpec {
            id: "web".into(),
            class: hearth_types::AgentClass::Heartbeat,
            agent: "web".into(),
            args: Vec::new(),
            kind: hearth_types::ResourceKind::Script,
            owns: Default::default(),
            timeouts: Default::default(),
            monitor: None,
            on_stop_fail: hearth_types::OnStopFail::Block,
            wire_check: true,
        };
        let op = |id, action| {
            let (resource, timeout) = (Arc::new(resource.clone()), Duration::from_secs(1));
            Output::StartOp(OpRequest { id: OpId(id), action, resource, timeout, lifetime: None, not_after: None })
        };
        let done = Box::new(Reply::Done { text: String::new(), took_ms: 0, notes: Vec::new() });
        let promise = hearth_wire::Segment {
            from: "a".into(),
            incarnation: hearth_types::Incarnation(1),
            to: "b".into(),
            to_incarnation: hearth_types::Incarnation(2),
            number: 1,
            acknowledged: 0,
            last: true,
            bytes: Vec::new(),
            session: 1,
            to_session: None,
            ask: false,
            mark: None,
        };
        let promise = Message::Segment(Arc::new(promise));
        let device = hearth_config::FenceDevice {
            name: "fence_x".into(),
            program: "/usr/sbin/fence_x".into(),
            kind: hearth_config::FenceKind::Agent,
            user: None,
            barred: Default::default(),
            targets: Default::default(),
            stays_off: false,
            params: Vec::new(),
        };
        let (task, timeout) = (FenceTask::Reboot, Duration::from_secs(1));
        let device = Box::new(device);
        let fence = Output::Fence { id: FenceId(3), device, node: "b".into(), task, timeout, heard_at: None };
        for output in [
            Output::Send { link: LinkId(0), version: 1, message: promise },
            Output::Announce { resources: Vec::new(), burst: true },
            fence,
            op(1, OpAction::Start),
            op(2, OpAction::Stop),
            op(3, OpAction::Probe),
            Output::Reply { token: 7, reply: done, more: true },
            Output::Halt { reason: String::new() },
        ] {
            assert!(held.offer(output).is_none());
        }
        let released = held.release(1, true);
        let [
            Next::Tell(Input::FenceFinished { id: FenceId(3), result: Err(_), .. }),
            Next::Tell(Input::OpFinished(OpResult { id: OpId(1), outcome: OpOutcome::Failed { .. }, .. })),
            Next::Do(Output::StartOp(stop)),
            Next::Do(Output::StartOp(probe)),
            Next::Do(Output::Reply { token: 7, reply, more: false }),
            Next::Do(Output::Halt { .. }),
        ] = &released[..]
        else {
            panic!("{released:?}");
        };
        assert_eq!((stop.id, probe.id), (OpId(2), OpId(3)));
        assert!(matches!(&**reply, Reply::Failed { .. }));
    }
}
