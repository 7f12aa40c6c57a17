//! Section 8, 2: a takeover comes only after a confirmed stop, a fence, a permit or proof by time.

use super::{Blame, Checker, Seen};
use crate::site::Site;
use hearth_types::{OpAction, ResourceId, Timestamp};
use std::collections::BTreeMap;

/// Where something was started, and who was given up when.
#[derive(Clone, Debug, Default)]
pub struct Takeover {
    started: BTreeMap<ResourceId, BTreeMap<usize, Timestamp>>,
    given_up: BTreeMap<usize, Timestamp>,
}

impl Checker for Takeover {
    fn name(&self) -> &'static str {
        "takeover"
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, blame: &mut Blame<'_>) {
        match seen {
            Seen::Event { event, .. } if event.name == "permit" || event.name == "node-lost" => {
                if let Some(lost) = site.layout.node(&event.subject) {
                    self.given_up.insert(lost, site.now);
                }
            }
            Seen::OpStarted { node, action: OpAction::Start, spec } => {
                let starts = self.started.entry(spec.id.clone()).or_default();
                for (other, at) in starts.iter().filter(|(other, _)| *other != node) {
                    let machine = &site.machines[*other];
                    let given_up = self.given_up.get(other).is_some_and(|given_up| given_up >= at);
                    let excused = site.excuse.scripts || site.excuse.addresses || site.excuse.excuses(&spec.id);
                    // Where a fence device is configured, no word counts but its own, and that shows in the hardware.
                    let given_up = given_up && !(site.layout.is_fenced() && spec.address().is_none());
                    let excused = excused || site.excuse.lied(*node, *other, &spec.id);
                    if !given_up && !excused && machine.lives() && machine.kernel.runs(&spec.id) {
                        let (name, other) = (site.name(*node), site.name(*other));
                        blame.that(format!("{name} starts {} while {other} runs it, and nothing permits it", spec.id));
                    }
                }
                starts.insert(*node, site.now);
            }
            _ => {}
        }
    }
}
