//! What is to be done next: what the record wants here against what is here.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hearth_cib::MemberState;
use hearth_types::{AssignmentId, OpAction, OpId, OpRequest, ResourceId, ResourceSpec, Timestamp};

use crate::executor::note;
use crate::local::{Local, Running, State};
use crate::outbox::admitted;
use crate::{Executor, ExecutorOutput, ExecutorTimer, NoteKind};

/// What should become of a resource here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// It is to run.
    Run,
    /// It stays as it is: we may keep it and start nothing.
    Leave,
    /// It is to stop.
    Stop,
}

/// What one pass has found out about every resource.
pub(crate) struct Survey {
    pub intent: BTreeMap<ResourceId, Intent>,
    /// What holds something and must be stopped, be it to be started again.
    pub to_stop: BTreeMap<ResourceId, bool>,
    /// Not everything was probed under this admission: nothing else is done before.
    pub probing: bool,
}

impl Survey {
    pub(crate) fn intent(&self, id: &ResourceId) -> Intent {
        self.intent.get(id).copied().unwrap_or(Intent::Stop)
    }

    fn must_stop(&self, id: &ResourceId) -> bool {
        self.to_stop.get(id).copied().unwrap_or(false)
    }
}

impl Executor {
    pub(crate) fn settle(&mut self, now: Timestamp, out: &mut Vec<ExecutorOutput>) {
        self.judge_rights(out);
        if self.record.is_none() {
            return;
        }
        let survey = self.survey();
        let ids: Vec<ResourceId> = self.resources.keys().cloned().collect();
        for id in &ids {
            self.cancel(id, &survey, out);
        }
        // Addresses first: when the right to keep them has ended nothing may stand before them (R-LEASE-5).
        let (first, rest): (Vec<_>, Vec<_>) = ids.iter().partition(|id| self.is_urgent(id));
        for id in first.into_iter().chain(rest) {
            self.stop(now, id, &survey, out);
        }
        let before_starts = out.len();
        for id in &ids {
            self.probe(now, id, out);
            self.start(now, id, &survey, out);
            self.monitor(now, id, &survey, out);
            self.look(now, id, &survey, out);
        }
        self.tell_started(before_starts, out);
        self.tell(now, &survey, out);
    }

    fn is_urgent(&self, id: &ResourceId) -> bool {
        !self.kept && self.resources.get(id).is_some_and(Local::is_address)
    }

    /// Whether the record wants it to run here, under an id that no report of ours has given back.
    pub(crate) fn wanted(&self, id: &ResourceId) -> bool {
        let (Some(record), Some(it)) = (&self.record, self.resources.get(id)) else { return false };
        !self.stop_everything && record.wants(id, &self.local).is_some_and(|assignment| assignment > it.spent)
    }

    fn intent_of(&self, id: &ResourceId, it: &Local) -> Intent {
        match (self.wanted(id), self.kept) {
            (false, _) => Intent::Stop,
            (true, true) => Intent::Run,
            (true, false) if it.is_address() || self.policy.stop_all_on_loss => Intent::Stop,
            (true, false) => Intent::Leave,
        }
    }

    fn survey(&mut self) -> Survey {
        let intent: BTreeMap<ResourceId, Intent> =
            self.resources.iter().map(|(id, it)| (id.clone(), self.intent_of(id, it))).collect();
        // Nothing is stopped to be started again while it could not be.
        let may_start = self.rights.start;
        for (id, it) in &mut self.resources {
            let ill = matches!(it.state, State::Dirty(_)) || (may_start && it.changed());
            // It may have become well again by itself: the old parameters are back in the record.
            let on_its_way = it.restarting && it.state != State::Running;
            it.restarting = (ill || on_its_way) && !it.is_address() && intent.get(id) == Some(&Intent::Run);
        }
        let mut to_stop = BTreeMap::new();
        for (id, it) in &self.resources {
            let own = match intent.get(id) {
                Some(Intent::Run) => matches!(it.state, State::Dirty(_)) || (may_start && it.changed()),
                Some(Intent::Leave) => matches!(it.state, State::Dirty(_)),
                _ => true,
            };
            // What leans on something that is being restarted is restarted with it. Nothing leans on an address so
            // much that it must not be put back under it.
            let leans = || {
                it.in_model
                    && self.resources.values().any(|other| {
                        other.in_model && other.group == it.group && other.position < it.position && other.restarting
                    })
            };
            to_stop.insert(id.clone(), it.holds() && (own || leans()));
        }
        let probed = self.record.as_ref().and_then(|record| admitted(record, &self.local, self.incarnation));
        let probed = probed.is_some_and(|node| node.probed);
        let probing = !probed && self.resources.values().any(|it| it.state == State::Unknown);
        Survey { intent, to_stop, probing }
    }

    fn cancel(&mut self, id: &ResourceId, survey: &Survey, out: &mut Vec<ExecutorOutput>) {
        let Some(it) = self.resources.get_mut(id) else { return };
        let looks = it.looks();
        let Some(op) = it.op.as_mut() else { return };
        let unwanted = match op.action {
            OpAction::Start => survey.intent(id) != Intent::Run,
            OpAction::Monitor => survey.must_stop(id),
            // Whatever a look would find: it is to run here now.
            OpAction::Probe => looks && survey.intent(id) == Intent::Run,
            OpAction::Stop => false,
        };
        if unwanted && !op.cancelled {
            op.cancelled = true;
            out.push(ExecutorOutput::CancelOp(op.id));
        }
    }

    /// Reverse order: whatever stands behind it in its group and is to stop has stopped.
    fn stop(&mut self, now: Timestamp, id: &ResourceId, survey: &Survey, out: &mut Vec<ExecutorOutput>) {
        let Some(it) = self.resources.get(id) else { return };
        if it.op.is_some() || !survey.must_stop(id) || it.stop_retry_at > now {
            return;
        }
        let urgent = self.is_urgent(id);
        let behind = self.resources.iter().any(|(other_id, other)| {
            other.group == it.group && other.position > it.position && {
                let unknown = other.state == State::Unknown && survey.intent(other_id) == Intent::Stop;
                survey.must_stop(other_id) || other.doing(OpAction::Start) || unknown
            }
        });
        if !urgent && (survey.probing || behind) {
            return;
        }
        let spec = it.to_stop();
        let why = match survey.intent(id) {
            Intent::Stop if !self.kept => "this node has no right to keep it",
            Intent::Stop => "it is not wanted here",
            _ => "it is restarted",
        };
        note(out, NoteKind::Stopping, Some(id), why);
        self.order(id, OpAction::Stop, spec, out);
    }

    fn probe(&mut self, now: Timestamp, id: &ResourceId, out: &mut Vec<ExecutorOutput>) {
        let Some(it) = self.resources.get(id) else { return };
        if it.state == State::Unknown && it.op.is_none() && it.retry_at <= now {
            let spec = it.spec.clone();
            self.order(id, OpAction::Probe, spec, out);
        }
    }

    fn start(&mut self, now: Timestamp, id: &ResourceId, survey: &Survey, out: &mut Vec<ExecutorOutput>) {
        let Some(it) = self.resources.get(id) else { return };
        let startable = matches!(it.state, State::Stopped | State::Gone);
        if !startable || it.op.is_some() || survey.intent(id) != Intent::Run {
            return;
        }
        if self.hindrance(now, id, it, survey).is_some() {
            return;
        }
        let (spec, repair) = (it.spec.clone(), it.state == State::Gone);
        if let Some(it) = self.resources.get_mut(id) {
            if repair {
                it.repaired_at = Some(now);
                it.repairs += 1;
            } else {
                it.started_at = Some(now);
            }
        }
        if !repair {
            note(out, NoteKind::Starting, Some(id), "the record wants it here");
        }
        self.order(id, OpAction::Start, spec, out);
    }

    /// Why something that is wanted here is not started now. Asked again immediately before the order (R-LEASE-5).
    pub(crate) fn hindrance(&self, now: Timestamp, id: &ResourceId, it: &Local, survey: &Survey) -> Option<String> {
        if !self.rights.start || self.rights.not_after.is_some_and(|limit| now >= limit) {
            return Some("this node may not start anything now".into());
        }
        if !it.home {
            return Some("there is no interface for it".into());
        }
        if it.retry_at > now {
            return Some("it failed a moment ago and is tried again soon".into());
        }
        if it.state == State::Gone {
            return None;
        }
        let node = self.record.as_ref().and_then(|record| admitted(record, &self.local, self.incarnation));
        if node.is_none_or(|node| node.member != MemberState::Admitted) {
            return Some("this run of the daemon has not been admitted yet".into());
        }
        // R-TAKE-3: after a healed split the record knows what the loser still runs, though it is assigned here.
        let holder = self.record.as_ref().and_then(|record| record.active_nodes(id).find(|node| **node != self.local));
        if let Some(holder) = holder.filter(|_| !it.spec.owns.is_empty()) {
            return Some(format!("it may be active on {holder}"));
        }
        if survey.probing {
            return Some("everything is probed first".into());
        }
        let mut group = self.resources.iter().filter(|(_, other)| other.in_model && other.group == it.group);
        let in_the_way = group.find(|(other_id, other)| match other.position.cmp(&it.position) {
            core::cmp::Ordering::Less => {
                other.state != State::Running && other.state != State::Gone
                    || survey.must_stop(other_id)
                    || other.doing(OpAction::Stop)
            }
            core::cmp::Ordering::Equal => false,
            core::cmp::Ordering::Greater => survey.must_stop(other_id) || other.doing(OpAction::Stop),
        });
        if let Some((other, _)) = in_the_way {
            return Some(format!("it waits for {other}"));
        }
        if self.owes_wire_check(id, it) {
            match self.wire.get(id) {
                Some(Ok(())) => {}
                Some(Err(Some(hardware))) => return Some(format!("another machine answers for it: {hardware}")),
                Some(Err(None)) | None => return Some("the wire is asked whether another machine has it".into()),
            }
        }
        None
    }

    /// R-TAKE-6.
    pub(crate) fn owes_wire_check(&self, id: &ResourceId, it: &Local) -> bool {
        let record_says = self.record.as_ref().is_some_and(|record| record.check_wire.contains(id));
        it.is_address() && it.spec.wire_check && !it.taken && (it.wire_owed || record_says)
    }

    fn monitor(&mut self, now: Timestamp, id: &ResourceId, survey: &Survey, out: &mut Vec<ExecutorOutput>) {
        let Some(it) = self.resources.get_mut(id) else { return };
        if it.state != State::Running || it.op.is_some() || survey.must_stop(id) {
            return;
        }
        let Some(due) = it.monitor_at.or_else(|| it.first_monitor(id, now)) else { return };
        it.monitor_at = Some(due);
        if due <= now && !survey.probing {
            let spec = it.to_stop();
            self.order(id, OpAction::Monitor, spec, out);
        }
    }

    /// What should not run here is looked for too, so that what somebody started by hand, or what came up with the machine,
    /// is found while this daemon runs and not by the next one (decision 0043).
    fn look(&mut self, now: Timestamp, id: &ResourceId, survey: &Survey, out: &mut Vec<ExecutorOutput>) {
        let takes_part = self.kept && !self.stop_everything && !survey.probing;
        let Some(it) = self.resources.get_mut(id) else { return };
        let idle = it.state == State::Stopped && it.op.is_none() && it.retry_at <= now;
        if !takes_part || !idle || survey.intent(id) != Intent::Stop {
            return;
        }
        let Some(due) = it.monitor_at.or_else(|| it.first_look(id, now)) else { return };
        it.monitor_at = Some(due);
        if due <= now {
            let spec = it.spec.clone();
            self.order(id, OpAction::Probe, spec, out);
        }
    }

    fn order(&mut self, id: &ResourceId, action: OpAction, spec: Arc<ResourceSpec>, out: &mut Vec<ExecutorOutput>) {
        let upto: AssignmentId = self.applied();
        self.last_op += 1;
        let op = OpId(self.last_op);
        let starts = action == OpAction::Start;
        let not_after = self.rights.not_after.filter(|_| starts);
        let timeout = match action {
            OpAction::Start => spec.timeouts.start,
            OpAction::Stop => spec.timeouts.stop,
            OpAction::Probe | OpAction::Monitor => spec.timeouts.monitor,
        };
        let lifetime = self.policy.lifetime.filter(|_| starts && spec.address().is_some());
        if let Some(it) = self.resources.get_mut(id) {
            it.op = Some(Running { id: op, action, upto, spec: spec.clone(), not_after, cancelled: false });
            out.push(ExecutorOutput::StartOp(OpRequest {
                id: op,
                action,
                resource: spec,
                timeout,
                lifetime,
                not_after,
            }));
        }
    }

    /// The next moment at which something of it could be due. What is due already waits for something else.
    pub(crate) fn deadline(&self, it: &Local) -> Option<(Timestamp, ExecutorTimer)> {
        let idle = it.op.is_none();
        let announced = it.state == State::Running;
        let times = [
            (Some(it.retry_at).filter(|_| idle && it.state != State::Running), ExecutorTimer::Retry),
            (Some(it.stop_retry_at).filter(|_| idle && it.holds()), ExecutorTimer::Retry),
            (
                it.monitor_at.filter(|_| idle && matches!(it.state, State::Running | State::Stopped)),
                ExecutorTimer::Monitor,
            ),
            (it.announce_at.filter(|_| announced), ExecutorTimer::Announce),
        ];
        let due = times.into_iter().filter_map(|(at, kind)| at.filter(|at| *at > self.now).map(|at| (at, kind)));
        due.min()
    }
}
