//! What follows for a resource when an operation on it has ended.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use hearth_cib::{FORGETS_FROM, ReportKind};
use hearth_types::{OnStopFail, OpAction, OpOutcome, OpResult, ResourceId, Timestamp};

use crate::executor::note;
use crate::local::{
    EARLY_PERIOD, Local, REPAIR_PERIOD, RESTART_PERIOD, Running, SOON, STOP_RETRY, State, URGENT_RETRY, Why, same_thing,
};
use crate::{AddressChange, Executor, ExecutorOutput, NoteKind};

/// Exit code by which an agent says that what it would run is not installed: then it does not run.
const NOT_INSTALLED: i32 = 5;

impl Executor {
    pub(crate) fn finish(&mut self, now: Timestamp, result: OpResult, out: &mut Vec<ExecutorOutput>) {
        let ours = |it: &Local| it.op.as_ref().is_some_and(|op| op.id == result.id);
        let Some(id) = self.resources.iter().find(|(_, it)| ours(it)).map(|(id, _)| id.clone()) else { return };
        let Some(op) = self.resources.get_mut(&id).and_then(|it| it.op.take()) else { return };
        match op.action {
            OpAction::Probe => self.probed(now, &id, &op, result.outcome, out),
            OpAction::Start => self.start_ended(now, &id, &op, &result, out),
            OpAction::Stop => self.stop_ended(now, &id, &op, &result, out),
            OpAction::Monitor => self.monitored(now, &id, &op, result.outcome, out),
        }
    }

    /// R-TAKE-4: what is found where the record wants it, with equal parameters, is adopted.
    fn probed(
        &mut self,
        now: Timestamp,
        id: &ResourceId,
        op: &Running,
        outcome: OpOutcome,
        out: &mut Vec<ExecutorOutput>,
    ) {
        let wanted = self.wanted(id);
        if self.resources.get(id).is_some_and(|it| it.state == State::Stopped) {
            return self.looked(now, id, &outcome, wanted, out);
        }
        let adoptable = self.adoptable.remove(id).map(|left| left.spec);
        let Some(it) = self.resources.get_mut(id) else { return };
        let failed = match outcome {
            OpOutcome::Ok => {
                // Without a note of the daemon before us it counts as what the record names: the id holds its arguments.
                let running = adoptable.map_or_else(|| op.spec.clone(), Into::into);
                let equal = same_thing(&running, &it.spec);
                it.running = Some(if equal { it.spec.clone() } else { running });
                it.state = State::Running;
                it.taken = true;
                it.monitor_at = it.first_monitor(id, now);
                it.announce_at = it.is_address().then_some(now);
                return match (wanted, equal) {
                    (true, true) => {
                        note(out, NoteKind::Adopted, Some(id), "found running as it should be: not touched")
                    }
                    (true, false) => {
                        note(out, NoteKind::FoundRunning, Some(id), "found running with other parameters: restarted")
                    }
                    (false, _) => note(out, NoteKind::FoundRunning, Some(id), "found running and not wanted here"),
                };
            }
            OpOutcome::NotRunning | OpOutcome::Failed { code: Some(NOT_INSTALLED), .. } => {
                it.set_stopped();
                // Wanted and not there: it ended without us. What runs behind it in the group leans on nothing, and an
                // address may have been taken by another since.
                it.restarting = wanted && !it.is_address();
                it.wire_owed = wanted && it.is_address();
                return;
            }
            OpOutcome::Cancelled => {
                it.retry_at = now + SOON;
                return;
            }
            OpOutcome::Failed { code, message } => (code, message),
            OpOutcome::TimedOut { message } => (None, timed_out(&message)),
        };
        it.state = State::Dirty(Why::Failed);
        it.running = adoptable.map(Into::into);
        let (code, message) = failed;
        note(out, NoteKind::ProbeFailed, Some(id), &format!("probe gave no answer, so it may run here: {message}"));
        self.outbox.push(id, op.upto, ReportKind::ProbeFailed { code, message });
    }

    /// Of what should not run here. No answer says nothing: that it was stopped has been confirmed.
    fn looked(
        &mut self,
        now: Timestamp,
        id: &ResourceId,
        outcome: &OpOutcome,
        wanted: bool,
        out: &mut Vec<ExecutorOutput>,
    ) {
        let Some(it) = self.resources.get_mut(id) else { return };
        it.monitor_at = it.look_period().map(|period| now + period);
        if *outcome != OpOutcome::Ok || wanted {
            return;
        }
        // By whom, and with which parameters, nobody knows: it counts as what the record names.
        it.running = Some(it.spec.clone());
        it.state = State::Running;
        it.started_at = None;
        note(out, NoteKind::FoundRunning, Some(id), "found running and not wanted here");
    }

    fn start_ended(
        &mut self,
        now: Timestamp,
        id: &ResourceId,
        op: &Running,
        result: &OpResult,
        out: &mut Vec<ExecutorOutput>,
    ) {
        // A start that was given up may end well all the same: who gives the address up leads no client to it.
        let stays = self.kept && self.wanted(id);
        let Some(it) = self.resources.get_mut(id) else { return };
        let repair = it.state == State::Gone;
        let took = result.took.as_millis();
        let (code, message) = match failure_of(&result.outcome) {
            None => {
                it.state = State::Running;
                it.running = Some(op.spec.clone());
                it.taken = true;
                it.wire_owed = false;
                it.restarting = false;
                it.trouble_reported = false;
                it.monitor_at = it.first_monitor(id, now);
                if it.is_address() {
                    (it.announced, it.announce_at) = (0, Some(now + EARLY_PERIOD));
                    if stays {
                        out.push(ExecutorOutput::Announce { resource: id.clone(), burst: true });
                    }
                }
                let (kind, text) = match repair {
                    true => (NoteKind::AddressRepaired, format!("put back in {took} ms, {} times so far", it.repairs)),
                    false => (NoteKind::Started, format!("started in {took} ms")),
                };
                note(out, kind, Some(id), &text);
                return match it.disturbed.take() {
                    // It ran out before or after it was put there: nobody can tell, so it is taken anew (R-LEASE-11).
                    Some(AddressChange::Expired) => {
                        it.state = State::Dirty(Why::Cancelled);
                        it.wire_owed = true;
                        note(out, NoteKind::AddressExpired, Some(id), "the kernel lifetime ran out while it was taken");
                    }
                    Some(change) => self.disturbed(now, id, change, out),
                    None => {}
                };
            }
            Some(failure) => failure,
        };
        it.disturbed = None;
        if !repair {
            it.running = Some(op.spec.clone());
        }
        // An agent that found its right at an end did nothing. A script looks before it begins, an address also before
        // the last step; a script that fails later has failed.
        let looked_at = if it.is_address() { now } else { now.before(result.took) };
        let too_late = op.not_after.is_some_and(|limit| looked_at > limit);
        if op.cancelled || result.outcome == OpOutcome::Cancelled || too_late {
            // Its effect is unknown: a stop follows.
            it.state = State::Dirty(Why::Cancelled);
            note(out, NoteKind::StartCancelled, Some(id), "the start was given up; it is stopped");
        } else if repair {
            it.retry_at = now + REPAIR_PERIOD;
            if !it.trouble_reported {
                it.trouble_reported = true;
                note(out, NoteKind::AddressDisturbed, Some(id), &format!("could not be put back yet: {message}"));
                self.outbox.push(id, op.upto, ReportKind::MonitorFailed { code, message });
            }
        } else {
            note(out, NoteKind::StartFailed, Some(id), &format!("start failed after {took} ms: {message}"));
            it.state = State::Dirty(Why::StartFailed { code, message });
        }
    }

    fn stop_ended(
        &mut self,
        now: Timestamp,
        id: &ResourceId,
        op: &Running,
        result: &OpResult,
        out: &mut Vec<ExecutorOutput>,
    ) {
        let kept = self.kept;
        let forced_counts = self.record.as_ref().is_some_and(|record| record.wire_version >= FORGETS_FROM);
        let Some(it) = self.resources.get_mut(id) else { return };
        let took = result.took.as_millis();
        if let Some((code, message)) = failure_of(&result.outcome) {
            let cancelled = result.outcome == OpOutcome::Cancelled;
            it.stop_retry_at = match (cancelled, it.is_address() && !kept) {
                (true, _) => now + SOON,
                (_, true) => now + URGENT_RETRY,
                _ => now + STOP_RETRY,
            };
            if !matches!(it.state, State::Dirty(_)) {
                it.state = State::Dirty(Why::Failed);
            }
            if cancelled {
                return;
            }
            // R-TAKE-8: only what owns nothing may be given up on.
            let ignored = op.spec.owns.is_empty() && op.spec.on_stop_fail == OnStopFail::Ignore;
            let way_out = match ignored {
                true => String::new(),
                false => {
                    format!(". It is tried again; if that does not help, end it by hand, then `hearth clear {id}`")
                }
            };
            let text = format!("stop failed after {took} ms: {}{way_out}", message.trim_end_matches('.'));
            note(out, NoteKind::StopFailed, Some(id), &text);
            if !it.trouble_reported || ignored {
                it.trouble_reported = true;
                self.outbox.push(id, op.upto, ReportKind::StopFailed { code, message });
            }
            if !ignored {
                return;
            }
        } else {
            match &result.remark {
                None => note(out, NoteKind::Stopped, Some(id), &format!("stopped in {took} ms")),
                Some(how) => {
                    let text = format!("stopped in {took} ms, but not by its own stop: {how}");
                    note(out, NoteKind::StopForced, Some(id), &text);
                    if forced_counts {
                        self.outbox.push(id, op.upto, ReportKind::StopForced { message: how.clone() });
                    }
                }
            }
        }
        let before = core::mem::replace(&mut it.state, State::Stopped);
        // Whoever else could have taken it while nothing vouched for us may have it (R-MEM-7).
        it.wire_owed |= it.is_address() && (!kept || it.withdrawn);
        it.set_stopped();
        it.retry_at = now;
        match before {
            State::Dirty(Why::StartFailed { code, message }) => {
                it.spent = it.spent.max(op.upto);
                self.outbox.push(id, op.upto, ReportKind::StartFailed { code, message });
            }
            State::Dirty(Why::Failed) => it.retry_at = it.started_at.map_or(now, |at| now.max(at + RESTART_PERIOD)),
            _ => {}
        }
    }

    fn monitored(
        &mut self,
        now: Timestamp,
        id: &ResourceId,
        op: &Running,
        outcome: OpOutcome,
        out: &mut Vec<ExecutorOutput>,
    ) {
        let Some(it) = self.resources.get_mut(id) else { return };
        it.monitor_at = it.spec.monitor.map(|period| now + period);
        let not_running = outcome == OpOutcome::NotRunning;
        let (code, message) = match outcome {
            OpOutcome::Ok | OpOutcome::Cancelled => return,
            OpOutcome::NotRunning => (None, "it does not run".to_string()),
            OpOutcome::Failed { code, message } => (code, message),
            OpOutcome::TimedOut { message } => (None, timed_out(&message)),
        };
        // Meanwhile the kernel may have told us, or it is on its way out.
        if it.state != State::Running || op.cancelled {
            return;
        }
        match (it.is_address(), not_running) {
            (false, _) => it.state = State::Dirty(Why::Failed),
            // Nobody saw who removed it: it may have run out, and then it is not ours (R-LEASE-11).
            (true, true) => {
                it.set_stopped();
                it.wire_owed = true;
            }
            (true, false) => {
                it.state = State::Gone;
                it.retry_at = it.repaired_at.map_or(now, |at| now.max(at + REPAIR_PERIOD));
            }
        }
        note(out, NoteKind::MonitorFailed, Some(id), &format!("monitor failed: {message}"));
        self.outbox.push(id, op.upto, ReportKind::MonitorFailed { code, message });
    }
}

/// What went wrong with a start or stop; none: nothing.
fn failure_of(outcome: &OpOutcome) -> Option<(Option<i32>, String)> {
    match outcome {
        OpOutcome::Ok => None,
        OpOutcome::NotRunning => Some((None, "it does not run".to_string())),
        OpOutcome::Failed { code, message } => Some((*code, message.clone())),
        OpOutcome::TimedOut { message } => Some((None, timed_out(message))),
        OpOutcome::Cancelled => Some((None, "cancelled".to_string())),
    }
}

fn timed_out(message: &str) -> String {
    match message.trim() {
        "" => "timed out".to_string(),
        said => format!("timed out; it had said: {said}"),
    }
}
