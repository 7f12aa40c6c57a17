//! `self_fence`: a machine without a watchdog resets itself when a stop fails (R-LEASE-6).
//!
//! It counts from the moment at which this node begins to stop what it has no right to any more. It is proof for nobody: a
//! kernel that has crashed or a daemon that hangs resets nothing, so no other machine hears of it.

use crate::node::Node;
use crate::{Output, Severity};
use hearth_executor::LocalState;
use hearth_types::{ResourceId, Timestamp};
use hearth_wire::NodeStatus;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// What the next daemon of this boot goes on with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Left {
    /// This machine was active since it booted, and had a right to what it held. One that never was is not reset, or one whose scripts are wrong would be,
    /// again and again.
    pub armed: bool,
    /// Since when what is held here is to stop.
    pub since: Option<Timestamp>,
}

/// State of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SelfFence {
    left: Left,
    /// Whether the driver could reset this machine, by its word; none: it has not said so yet.
    able: Option<Result<(), String>>,
    /// When this daemon began.
    begun_at: Timestamp,
    /// The reset was ordered.
    ordered: bool,
}

/// What there is to know at one moment.
#[derive(Clone, Copy, Debug)]
struct Facts {
    /// Something is here that this node has no right to, as for a watchdog that is not petted.
    overdue: bool,
    /// This node stops it. A daemon that has just started looks first whose it is.
    stopping: bool,
    /// Everything that may be here was looked at by this daemon.
    known: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Rest,
    Begin,
    End { since: Timestamp },
    Reset,
}

impl SelfFence {
    /// The daemon before left this.
    pub(crate) fn new(left: Left, now: Timestamp) -> SelfFence {
        SelfFence { left, begun_at: now, ..SelfFence::default() }
    }

    /// For the next daemon of this boot.
    pub(crate) fn left(&self) -> Left {
        self.left
    }

    fn is_able(&self) -> bool {
        self.able == Some(Ok(()))
    }

    /// Whether this daemon has looked, or had the time that there is for stopping to do so: what the daemon before left
    /// may have stopped meanwhile, and a look that hangs must not put the reset off for ever.
    fn has_looked(&self, now: Timestamp, known: bool, budget: Duration) -> bool {
        known || now >= self.begun_at + budget
    }

    fn step(&mut self, now: Timestamp, facts: Facts, budget: Duration) -> Step {
        let Some(since) = self.left.since else {
            if !(self.is_able() && self.left.armed && facts.overdue && facts.stopping) {
                return Step::Rest;
            }
            self.left.since = Some(now);
            return Step::Begin;
        };
        if !facts.overdue {
            self.left.since = None;
            self.ordered = false;
            return Step::End { since };
        }
        let due = now >= since + budget && self.has_looked(now, facts.known, budget);
        if self.ordered || !self.is_able() || !due {
            return Step::Rest;
        }
        self.ordered = true;
        Step::Reset
    }

    /// When time alone brings the reset.
    fn deadline(&self, now: Timestamp, budget: Duration) -> Option<Timestamp> {
        let since = self.left.since.filter(|_| self.is_able() && !self.ordered)?;
        [since + budget, self.begun_at + budget].into_iter().find(|at| *at > now)
    }
}

impl Node {
    /// Counts, and says whether this machine is to be reset now: the order for it stands behind the events that tell why.
    pub(crate) fn fence_itself(&mut self, now: Timestamp) -> Option<Output> {
        let Some(budget) = hearth_config::self_fence_budget(&self.config) else {
            self.volatile_dirty |= self.self_fence.left != Left::default();
            self.self_fence = SelfFence::new(Left::default(), self.self_fence.begun_at);
            return None;
        };
        if self.shutdown.as_ref().is_some_and(|shutdown| shutdown.halted) {
            return None;
        }
        let before = self.self_fence.left;
        let active = self.keeping.confirmed && self.status_word() == NodeStatus::Active;
        let overdue = self.may_pet(now).is_none();
        // Who has just been let in has no lease yet, and may not have looked at everything.
        self.self_fence.left.armed |= active && !overdue && self.self_fence.is_able();
        let facts = Facts {
            overdue,
            stopping: !self.watchdog.lost().is_empty() || self.told_rights.is_some_and(|rights| !rights.keep),
            known: self.self_fence.left.since.is_some() && self.everything_held_is_known(),
        };
        let step = self.self_fence.step(now, facts, budget);
        self.volatile_dirty |= before != self.self_fence.left;
        let what = || self.overdue(now).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match step {
            Step::Rest => None,
            Step::Begin => {
                let text = format!(
                    "The right to keep {} has ended and it is not confirmed stopped: this machine resets itself in \
                     {budget:?} unless it is.",
                    what()
                );
                self.chronicle.lead(now, Severity::Warning, "self-fence-begun", self.local.clone(), text);
                None
            }
            Step::End { since } => {
                let millis = now.since(since).as_millis();
                let text =
                    format!("This machine does not reset itself: what it had to stop is settled after {millis} ms.");
                self.chronicle.lead(now, Severity::Info, "self-fence-over", self.local.clone(), text);
                None
            }
            Step::Reset => {
                let what = what();
                let text = format!(
                    "{what} is not confirmed stopped within {budget:?} from the end of the right to it: this machine resets \
                     itself."
                );
                self.chronicle.lead(now, Severity::Error, "self-fenced", self.local.clone(), text);
                Some(Output::ResetSelf { what })
            }
        }
    }

    /// What is here and not this node's to keep.
    fn overdue(&self, now: Timestamp) -> BTreeSet<ResourceId> {
        let lost = self.watchdog.lost();
        if self.keeping.keep.holds(now) { lost.clone() } else { &self.executor.held() | lost }
    }

    fn everything_held_is_known(&self) -> bool {
        self.executor.held().iter().all(|id| self.executor.local_state(id) != LocalState::Unknown)
    }

    pub(crate) fn self_fence_deadline(&self) -> Option<Timestamp> {
        let budget = hearth_config::self_fence_budget(&self.config)?;
        self.self_fence.deadline(self.last_wake_at, budget)
    }

    /// For people; none: there is nothing to say.
    pub(crate) fn self_fence_note(&self, now: Timestamp) -> Option<String> {
        let budget = hearth_config::self_fence_budget(&self.config)?;
        if let Some(Err(why)) = &self.self_fence.able {
            return Some(format!("`self_fence` resets nothing: {why}."));
        }
        let since = self.self_fence.left.since?;
        let what: Vec<String> = self.overdue(now).iter().map(ToString::to_string).collect();
        let left = (since + budget).since(now).as_secs_f64().ceil();
        let unless = match &what[..] {
            [one] => format!("{one} stops"),
            all => format!("these stop: {}", all.join(", ")),
        };
        Some(format!("This machine resets itself in {left} s unless {unless}."))
    }

    /// Whether this machine could be reset; or that it was not.
    pub(crate) fn take_self_fence(&mut self, now: Timestamp, able: Result<(), String>) {
        let told = self.self_fence.able.as_ref() == Some(&able);
        if let Some(budget) = hearth_config::self_fence_budget(&self.config).filter(|_| !told) {
            let (severity, name, text) = match &able {
                Ok(()) => {
                    let text =
                        format!("This machine resets itself when a stop fails, {budget:?} after its right has ended.");
                    (Severity::Info, "self-fence-armed", text)
                }
                Err(why) => {
                    let text = format!("`self_fence` resets nothing: {why}.");
                    (Severity::Error, "self-fence-failed", text)
                }
            };
            self.chronicle.note(now, severity, name, self.local.clone(), text);
        }
        self.self_fence.able = Some(able);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{compare, decisions, flag, input};

    const BUDGET: Duration = Duration::from_secs(3);

    fn at(ms: u64) -> Timestamp {
        Timestamp(ms * 1_000_000)
    }

    #[test]
    fn every_state_of_a_machine_that_may_have_to_reset_itself() {
        // R-LEASE-6
        let inputs = [
            input("the kernel can", &["no", "not said yet", "yes"]),
            flag("active since it booted"),
            flag("holds what is not its own"),
            flag("stops it"),
            input(
                "counts",
                &["not", "for less than the budget", "for the budget", "for the budget, and has ordered it"],
            ),
            flag("has looked at everything"),
            input("this daemon runs", &["for less than the budget", "for the budget"]),
        ];
        let text = decisions(&inputs, "what it does", |chosen| {
            let &[able, armed, overdue, stopping, counts, known, runs] = chosen else { unreachable!("seven inputs") };
            let able = [Some(Err("told to".to_owned())), None, Some(Ok(()))][able].clone();
            let since = [None, Some(at(7001)), Some(at(7000)), Some(at(7000))][counts];
            let left = Left { armed: armed == 1, since };
            let begun_at = [at(7001), at(7000)][runs];
            let mut state = SelfFence { left, able: able.clone(), begun_at, ordered: counts == 3 };
            let facts = Facts { overdue: overdue == 1, stopping: stopping == 1, known: known == 1 };
            let step = state.step(at(10_000), facts, BUDGET);
            let may_reset = able == Some(Ok(())) && facts.overdue && counts == 2;
            assert!(step != Step::Reset || may_reset, "{chosen:?}");
            assert_eq!(state.left.since.is_some(), step == Step::Begin || (since.is_some() && facts.overdue));
            match step {
                Step::Rest => "nothing".into(),
                Step::Begin => "begins to count".into(),
                Step::End { .. } => "counts no more".into(),
                Step::Reset => "resets this machine".into(),
            }
        });
        let head = "When a machine without a watchdog resets itself (R-LEASE-6, decision 0068): all that `SelfFence::step` reads.\n\
                    holds what is not its own: nothing would pet a watchdog now. stops it: a daemon that has just started looks first\n\
                    whose it is. counts: since it began to stop, or the daemon before it did.";
        compare("self-fence.txt", head, &text);
    }

    #[test]
    fn the_reset_needs_no_input_but_time() {
        let able = Some(Ok(()));
        let counting = |since, begun_at| {
            let left = Left { armed: true, since: Some(at(since)) };
            SelfFence { left, able: able.clone(), begun_at: at(begun_at), ordered: false }
        };
        assert_eq!(counting(7000, 100).deadline(at(7500), BUDGET), Some(at(10_000)));
        // The daemon before began, this one looks.
        assert_eq!(counting(7000, 9000).deadline(at(9500), BUDGET), Some(at(10_000)));
        assert_eq!(counting(7000, 9000).deadline(at(10_000), BUDGET), Some(at(12_000)));
        assert_eq!(counting(7000, 100).deadline(at(10_000), BUDGET), None);
        assert_eq!(SelfFence::default().deadline(at(0), BUDGET), None);
    }
}
