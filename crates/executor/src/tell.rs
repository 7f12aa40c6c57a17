//! What is told to others: reports to the record, addresses that need the wire, announcements, waits.

use alloc::vec::Vec;
use hearth_cib::{MemberState, ReportKind, ResourceState};
use hearth_types::{GroupId, OnStopFail, OpAction, ResourceId, ResourceSpec, Timestamp};

use crate::local::{ANNOUNCE_PERIOD, EARLY_PERIOD, EARLY_ROUNDS, Local, State};
use crate::outbox::admitted;
use crate::settle::{Intent, Survey};
use crate::{Executor, ExecutorOutput, StartedResource};

impl Executor {
    pub(crate) fn tell(&mut self, now: Timestamp, survey: &Survey, out: &mut Vec<ExecutorOutput>) {
        self.tell_wire(survey, out);
        self.tell_waiting(now, survey, out);
        self.announce(now, survey, out);
        self.report_states(survey);
        let Some(record) = &self.record else { return };
        let released = self.outbox.release(record, &self.local, self.incarnation);
        out.extend(released.iter().cloned().map(ExecutorOutput::Report));
        self.tell_probed(out);
    }

    /// For the next daemon, before anything of it is ordered (R-TAKE-4): inserted at `at`.
    pub(crate) fn tell_started(&mut self, at: usize, out: &mut Vec<ExecutorOutput>) {
        // What the daemon before us said holds until we have looked.
        let unseen = self.adoptable.values().map(told);
        let started = self.resources.values().filter_map(as_started).chain(unseen);
        if started.clone().eq(self.started.iter().map(told)) {
            return;
        }
        let copy = |(spec, group, position): (&ResourceSpec, Option<&GroupId>, usize)| StartedResource {
            spec: spec.clone(),
            group: group.cloned(),
            position,
        };
        let started: Vec<StartedResource> = started.map(copy).collect();
        self.started = started.clone();
        out.insert(at, ExecutorOutput::Started(started));
    }

    fn tell_wire(&mut self, survey: &Survey, out: &mut Vec<ExecutorOutput>) {
        let asks = |id: &ResourceId, it: &Local| {
            it.state == State::Stopped
                && it.op.is_none()
                && survey.intent(id) == Intent::Run
                && self.owes_wire_check(id, it)
        };
        let need = self.resources.iter().filter(|(id, it)| asks(id, it)).map(|(id, _)| id.clone()).collect();
        if need != self.need_wire {
            self.need_wire = need;
            out.push(ExecutorOutput::NeedWire(self.need_wire.clone()));
        }
        let need = &self.need_wire;
        self.wire.retain(|id, _| need.contains(id));
    }

    fn tell_waiting(&mut self, now: Timestamp, survey: &Survey, out: &mut Vec<ExecutorOutput>) {
        let mut changes = Vec::new();
        for (id, it) in &self.resources {
            let waits = matches!(it.state, State::Stopped | State::Gone) && it.op.is_none();
            let reason = match waits && survey.intent(id) == Intent::Run {
                true => self.hindrance(now, id, it, survey),
                false => None,
            };
            if reason != it.waiting {
                changes.push((id.clone(), reason));
            }
        }
        for (resource, reason) in changes {
            if let Some(it) = self.resources.get_mut(&resource) {
                it.waiting.clone_from(&reason);
            }
            out.push(ExecutorOutput::Waiting { resource, reason });
        }
    }

    fn announce(&mut self, now: Timestamp, survey: &Survey, out: &mut Vec<ExecutorOutput>) {
        let due = |(id, it): &(&ResourceId, &mut Local)| {
            survey.intent(id) == Intent::Run
                && it.state == State::Running
                && !it.doing(OpAction::Stop)
                && it.announce_at.is_some_and(|at| at <= now)
        };
        for (_, it) in self.resources.iter_mut().filter(due) {
            it.announced = it.announced.saturating_add(1);
            let period = if it.announced <= EARLY_ROUNDS { EARLY_PERIOD } else { ANNOUNCE_PERIOD };
            it.announce_at = Some(now + period);
            out.push(ExecutorOutput::Announce { resource: it.spec.id.clone(), burst: false });
        }
    }

    /// What the record does not show of what is here, nor a report on its way.
    fn report_states(&mut self, survey: &Survey) {
        let Some(record) = &self.record else { return };
        let applied = self.applied();
        for (id, it) in &mut self.resources {
            let newest = self.outbox.newest(id);
            let flag = record.flag(id, &self.local);
            let what = match it.state {
                State::Stopped
                    if it.op.is_none()
                        && survey.intent(id) == Intent::Stop
                        && given_up(record, it, id, self.stop_everything, &self.local) =>
                {
                    let pending = newest.is_some_and(|report| {
                        clears(&report.what, &it.spec) && flag.is_none_or(|flag| flag <= report.upto)
                    });
                    if flag.is_none() || pending {
                        continue;
                    }
                    it.spent = it.spent.max(applied);
                    match it.started_at {
                        Some(_) => ReportKind::Stopped,
                        None => ReportKind::NotRunning,
                    }
                }
                State::Running if record.spec(id).is_some() => {
                    let shown = record.states.get(&(id.clone(), self.local.clone())) == Some(&ResourceState::Started);
                    let said = match newest {
                        Some(report) => matches!(report.what, ReportKind::Started | ReportKind::Running),
                        None => shown && flag.is_some(),
                    };
                    if said {
                        continue;
                    }
                    match it.started_at {
                        Some(_) => ReportKind::Started,
                        None => ReportKind::Running,
                    }
                }
                // It was said to another record, which does not count any more: this one must know it before it trusts us.
                _ if flag.is_none() && (it.holds() || it.doing(OpAction::Start)) && record.spec(id).is_some() => {
                    if newest.is_some() {
                        continue;
                    }
                    ReportKind::ProbeFailed { code: None, message: "it may run here since before".into() }
                }
                _ => continue,
            };
            self.outbox.push(id, applied, what);
        }
    }

    fn tell_probed(&mut self, out: &mut Vec<ExecutorOutput>) {
        let Some(record) = &self.record else { return };
        let Some(node) = admitted(record, &self.local, self.incarnation) else { return };
        let (admission, open) = (node.admission, !node.probed && node.member == MemberState::Admitted);
        if open && self.probes_done != Some(admission) && self.probes_reported() {
            self.probes_done = Some(admission);
            out.push(ExecutorOutput::ProbesDone);
        }
    }
}

/// What runs or is being started, with its group and its place.
fn as_started(it: &Local) -> Option<(&ResourceSpec, Option<&GroupId>, usize)> {
    let starting = it.op.as_ref().filter(|op| op.action == OpAction::Start).map(|op| &op.spec);
    let spec = starting.or(it.running.as_ref())?;
    Some((spec, Some(&it.group), it.position))
}

fn told(it: &StartedResource) -> (&ResourceSpec, Option<&GroupId>, usize) {
    (&it.spec, it.group.as_ref(), it.position)
}

/// Whether a stop is for good. What was stopped only because the right to keep it ended is started again under the same
/// id: a restart in place reports no stop (R-TAKE-1).
fn given_up(
    record: &hearth_cib::Record,
    it: &Local,
    id: &ResourceId,
    stop_everything: bool,
    local: &hearth_types::NodeName,
) -> bool {
    stop_everything || record.wants(id, local).is_none_or(|assignment| assignment <= it.spent)
}

/// Whether a report clears a flag at or below its id.
fn clears(what: &ReportKind, spec: &ResourceSpec) -> bool {
    match what {
        ReportKind::Stopped | ReportKind::NotRunning | ReportKind::StartFailed { .. } => true,
        ReportKind::StopFailed { .. } => spec.owns.is_empty() && spec.on_stop_fail == OnStopFail::Ignore,
        _ => false,
    }
}
