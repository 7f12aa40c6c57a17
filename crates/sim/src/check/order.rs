//! Section 8, 6: members of a group start in order and stop in reverse, except that at lease end all addresses go first.

use super::{Blame, Checker, Seen};
use crate::layout::ms;
use crate::site::Site;
use hearth_types::{OpAction, ResourceId, ResourceSpec};

/// The rule has no memory: kernels know when something ended.
#[derive(Clone, Debug, Default)]
pub struct Order;

impl Checker for Order {
    fn name(&self) -> &'static str {
        "order"
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, blame: &mut Blame<'_>) {
        match seen {
            Seen::OpStarted { node, action: OpAction::Start, spec } => start(site, *node, spec, blame),
            Seen::OpStarted { node, action: OpAction::Stop, spec } => stop(site, *node, spec, blame),
            _ => {}
        }
    }
}

/// Members before and behind one, by the machine's own files.  [What those do not name any more, a node that also lost its
/// record knows only by name.]
fn around(site: &Site, node: usize, id: &ResourceId) -> (Vec<ResourceSpec>, Vec<ResourceSpec>) {
    for group in &site.layout.variants[site.machines[node].variant] {
        if let Some(at) = group.resources.iter().position(|spec| spec.id == *id) {
            return (group.resources[..at].to_vec(), group.resources[at + 1..].to_vec());
        }
    }
    (Vec::new(), Vec::new())
}

/// What vanished while the daemon slept, or began nothing for want of its disk, or between two monitors, is told to it in its
/// turn: by the next monitor.
fn may_not_know(site: &Site, node: usize, id: &ResourceId) -> bool {
    let machine = &site.machines[node];
    let vanished = machine.kernel.vanished.get(id);
    let looks_again = machine.thawed_at.max(machine.disk.hung_until);
    vanished.is_some_and(|at| site.now.since(looks_again.max(*at)) < ms(2500)) || site.excuse.excuses(id)
}

fn start(site: &Site, node: usize, spec: &ResourceSpec, blame: &mut Blame<'_>) {
    for before in around(site, node, &spec.id).0 {
        if !site.machines[node].kernel.runs(&before.id) && !may_not_know(site, node, &before.id) {
            blame.that(format!("{} starts {} before {}", site.name(node), spec.id, before.id));
        }
    }
}

fn stop(site: &Site, node: usize, spec: &ResourceSpec, blame: &mut Blame<'_>) {
    let machine = &site.machines[node];
    if spec.address().is_some() || machine.agents.trouble > 0 || !machine.agents.flaws.is_empty() {
        return;
    }
    for behind in around(site, node, &spec.id).1 {
        let stops = machine.ops.values().any(|op| op.action == OpAction::Stop && op.spec.id == behind.id);
        let script = behind.address().is_none();
        if script && machine.kernel.runs(&behind.id) && !stops && !site.excuse.excuses(&behind.id) {
            blame.that(format!("{} stops {} before {}", site.name(node), spec.id, behind.id));
        }
    }
}
