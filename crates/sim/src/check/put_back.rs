//! R-LEDGER-3: a disk counts as put back only if somebody did that, and not because a daemon was killed or a write was lost.
//! Of a machine and its copy that both wrote, neither disk has all of it.

use super::{Blame, Checker, Seen};
use crate::act::Act;
use crate::site::Site;

/// Machines, as bits, that may hold an older copy.
#[derive(Clone, Debug, Default)]
pub struct PutBack {
    machines: u64,
}

impl Checker for PutBack {
    fn name(&self) -> &'static str {
        "put back"
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, blame: &mut Blame<'_>) {
        match seen {
            Seen::Act(Act::Restore(node) | Act::Clone(node, true)) => self.machines |= 1 << node,
            Seen::Event { node, event } if event.name == "state-rolled-back" && self.machines & (1 << node) == 0 => {
                blame.that(format!("{} takes its disk for an older copy, and nobody touched it", site.name(*node)));
            }
            _ => {}
        }
    }
}
