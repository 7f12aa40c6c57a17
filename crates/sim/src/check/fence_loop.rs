//! Section 8, 7: no fence loop. A machine of a pair that has booted and not heard the other one might be the one that was
//! fenced: it fences nobody (R-PAIR-3).

use super::{Blame, Checker, Seen};
use crate::site::Site;

/// The rule has no memory: who was heard since a machine has power, the machine knows.
#[derive(Clone, Debug, Default)]
pub struct FenceLoop;

impl Checker for FenceLoop {
    fn name(&self) -> &'static str {
        "fence loop"
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, blame: &mut Blame<'_>) {
        let Seen::FenceOrdered { node, target } = seen else { return };
        let heard = site.machines[*node].heard_since_boot & (1 << target) != 0;
        if site.is_pair() && !heard {
            let (name, other) = (site.name(*node), site.name(*target));
            blame.that(format!("{name} fences {other}, which it has not heard since it booted"));
        }
    }
}
