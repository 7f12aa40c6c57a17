//! Section 8, 5: no repeated packet changes what a node believes of the cluster.

use super::{Blame, Checker, Seen};
use crate::site::Site;
use hearth_control::Status;

/// Compares a node's word before and after.
#[derive(Clone, Debug, Default)]
pub struct Authentic;

impl Checker for Authentic {
    fn name(&self) -> &'static str {
        "authentic"
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, blame: &mut Blame<'_>) {
        let Seen::Replayed { node, before, after } = seen else { return };
        if believed(before) != believed(after) {
            let name = site.name(*node);
            blame.that(format!("a repeated packet changed {name}: {:?} to {:?}", believed(before), believed(after)));
        }
    }
}

/// What of a status must not change by a packet that is not new.
fn believed(status: &Status) -> (Option<&str>, Option<String>, u64, Vec<String>, Vec<String>) {
    let nodes = status.nodes.iter().map(|node| format!("{} {} heard {:?}", node.name, node.state, node.heard_ms));
    let groups = status.groups.iter().map(|group| format!("{} {} {:?}", group.id, group.state, group.node));
    let epoch = status.epoch.as_ref().map(|epoch| format!("{} {:?}", epoch.name, epoch.voters));
    (status.dc.as_deref(), epoch, status.applied, nodes.collect(), groups.collect())
}
