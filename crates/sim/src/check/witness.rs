//! A witness votes and runs nothing (R-LEDGER-2).

use super::{Blame, Checker, Seen};
use crate::site::Site;
use hearth_types::OpAction;

/// Looks at every start.
#[derive(Clone, Debug, Default)]
pub struct Witness;

impl Checker for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, blame: &mut Blame<'_>) {
        if let Seen::OpStarted { node, action: OpAction::Start, spec } = seen
            && site.layout.witness == Some(*node)
        {
            blame.that(format!("the witness {} starts {}", site.name(*node), spec.id));
        }
    }
}
