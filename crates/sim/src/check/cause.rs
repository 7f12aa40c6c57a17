//! No event without a cause: every start and stop leads back, step by step, to something that came from outside.

use super::{Blame, Checker, Seen};
use crate::site::Site;
use hearth_controller::EventId;
use std::collections::BTreeSet;

/// Events of each daemon's run.
#[derive(Clone, Debug, Default)]
pub struct Cause {
    known: BTreeSet<(usize, u64, EventId)>,
}

impl Checker for Cause {
    fn name(&self) -> &'static str {
        "cause"
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, blame: &mut Blame<'_>) {
        let Seen::Event { node, event } = seen else { return };
        let run = site.machines[*node].run;
        if site.machines[*node].disk.failed {
            // What stands behind a write that failed is not told (R-LEDGER-3), so causes may be missing.
            return;
        }
        let acts = event.name == "resource-starting" || event.name == "resource-stopping";
        match event.cause {
            Some(cause) if !self.known.contains(&(*node, run, cause)) => {
                let name = site.name(*node);
                blame.that(format!("{} of {} on {name} has a cause that nobody saw", event.name, event.subject));
            }
            None if acts => {
                blame.that(format!("{} of {} on {} has no cause", event.name, event.subject, site.name(*node)));
            }
            _ => {}
        }
        self.known.insert((*node, run, event.id));
    }
}
