//! What runs is not started again by the daemon that knows it (R-TAKE-4: adopted, not restarted).

use super::{Blame, Checker, Seen};
use crate::act::Act;
use crate::site::Site;
use hearth_types::{OpAction, OpOutcome, ResourceId};
use std::collections::BTreeMap;

/// What each daemon knows to run, or has ordered to start.
#[derive(Clone, Debug, Default)]
pub struct DoubleStart {
    known: BTreeMap<(usize, ResourceId), u64>,
}

impl Checker for DoubleStart {
    fn name(&self) -> &'static str {
        "double start"
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, blame: &mut Blame<'_>) {
        match seen {
            Seen::OpStarted { node, action: OpAction::Start, spec } => {
                let key = (*node, spec.id.clone());
                let run = site.machines[*node].run;
                let again = self.known.get(&key) == Some(&run) && site.machines[*node].kernel.runs(&spec.id);
                if again && spec.address().is_none() && !site.excuse.excuses(&spec.id) {
                    blame.that(format!("{} starts {} again, which runs", site.name(*node), spec.id));
                }
                self.known.insert(key, run);
            }
            Seen::OpStarted { node, action: OpAction::Stop, spec } => {
                self.known.remove(&(*node, spec.id.clone()));
            }
            Seen::OpEnded { node, op, outcome } => {
                let key = (*node, op.spec.id.clone());
                let runs = **outcome == OpOutcome::Ok && !matches!(op.action, OpAction::Stop);
                if op.run != site.machines[*node].run {
                    return;
                }
                if runs {
                    self.known.insert(key, op.run);
                } else {
                    self.known.remove(&key);
                }
            }
            Seen::Act(Act::Dies { node, resource }) => {
                self.known.remove(&(*node, ResourceId::from(resource.as_str())));
            }
            _ => {}
        }
    }
}
