//! Once all is quiet, what a node's status says is what is.

use super::{Blame, Checker};
use crate::site::Site;

/// Looks at the end.
#[derive(Clone, Debug, Default)]
pub struct Truth;

impl Checker for Truth {
    fn name(&self) -> &'static str {
        "status"
    }

    fn end(&mut self, site: &Site, blame: &mut Blame<'_>) {
        if super::unwell(site).is_some() {
            // What is not at rest may be told late.
            return;
        }
        for node in site.nodes().filter(|node| site.machines[*node].awake()) {
            let Some(status) = site.status(node) else { continue };
            for group in &status.groups {
                let runs = group.resources.first().map(|id| site.running_on(&id.as_str().into()));
                let on = runs.unwrap_or_default().first().map(|node| site.name(*node).to_owned());
                // What may run on a lost machine is said to be so, and nothing more.
                if group.node != on && group.state != "blocked" {
                    let (name, said) = (site.name(node), &group.node);
                    blame.that(format!("{name} says that {} is on {said:?}, and it is on {on:?}", group.id));
                }
            }
            for view in &status.nodes {
                let truth = site.layout.node(&view.name).is_some_and(|other| site.machines[other].awake());
                if view.online != truth {
                    let (name, other) = (site.name(node), &view.name);
                    blame.that(format!("{name} says that {other} is online: {}, and it runs: {truth}", view.online));
                }
            }
        }
    }
}
