//! R-TAKE-8: what does not stop is ended by the power switch of its machine, where that works and another machine could go
//! on (decision 0044). Judged by what really runs, while nothing else is wrong.

use super::{Blame, Checker, Seen};
use crate::act::{Act, SwitchMode};
use crate::disk::DiskMode;
use crate::layout::ms;
use crate::site::Site;
use hearth_types::{OpAction, OpOutcome, ResourceId, Timestamp};
use hearth_wire::NEWEST_VERSION;
use std::collections::BTreeMap;
use std::time::Duration;

/// From the failed stop, a deadtime; before it the others may have to elect another DC.
const ORDERED_WITHIN: Duration = ms(4000);
/// Fences of one machine within the loop limit.
const FENCES_MAX: u32 = 3;

/// Stops that failed, in which run, and since when nothing else has been wrong.
#[derive(Clone, Debug, Default)]
pub struct Unstopped {
    stuck: BTreeMap<(usize, ResourceId), (u64, Timestamp)>,
    fences: BTreeMap<usize, u32>,
    /// Runs that leave in order.
    leaving: BTreeMap<usize, u64>,
}

impl Checker for Unstopped {
    fn name(&self) -> &'static str {
        "unstopped"
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, blame: &mut Blame<'_>) {
        if let Seen::Act(Act::Stop(node)) = seen {
            self.leaving.insert(*node, site.machines[*node].run);
        }
        match seen {
            // Whoever clears a failure has looked, and a machine that leaves in order is not turned off.
            Seen::Act(Act::Clear(_) | Act::Release(..) | Act::Stop(_) | Act::Reload(..)) => self.stuck.clear(),
            Seen::Act(_) => self.stuck.values_mut().for_each(|(_, since)| *since = site.now),
            Seen::FenceOrdered { target, .. } => {
                *self.fences.entry(*target).or_default() += 1;
                self.stuck.retain(|(node, _), _| node != target);
            }
            Seen::OpEnded { node, op, outcome } if op.action == OpAction::Stop && op.spec.address().is_none() => {
                let failed = matches!(outcome, OpOutcome::Failed { .. } | OpOutcome::TimedOut { .. });
                let key = (*node, op.spec.id.clone());
                if !failed {
                    self.stuck.remove(&key);
                } else if site.layout.stonith && op.run == site.machines[*node].run && !self.leaves(*node, op.run) {
                    self.stuck.entry(key).or_insert((op.run, site.now));
                }
            }
            Seen::Outputs { .. } if !self.stuck.is_empty() => self.judge(site, blame),
            _ => {}
        }
    }

    fn sees_inputs(&self) -> bool {
        true
    }
}

impl Unstopped {
    fn leaves(&self, node: usize, run: u64) -> bool {
        self.leaving.get(&node) == Some(&run)
    }

    fn judge(&mut self, site: &Site, blame: &mut Blame<'_>) {
        self.stuck.retain(|(node, resource), (run, _)| {
            let machine = &site.machines[*node];
            machine.run == *run && machine.kernel.runs(resource)
        });
        let mut nodes: Vec<usize> = self.stuck.keys().map(|(node, _)| *node).collect();
        nodes.dedup();
        // Where two machines hold something, nobody is turned off.
        let alone = nodes.len() == 1;
        let calm = alone && site.cleared_at.is_none() && nodes.iter().all(|node| is_calm(site, *node));
        for ((node, resource), (_, since)) in &mut self.stuck {
            let limit = self.fences.get(node).is_none_or(|fences| *fences < FENCES_MAX);
            if !calm || !limit || !is_wanted(site, resource) {
                *since = site.now;
            } else if site.now.since(*since) > ORDERED_WITHIN {
                let name = site.name(*node);
                blame.that(format!("{resource} does not stop on {name}, and nobody turns that off"));
                *since = site.now;
            }
        }
    }
}

fn is_wanted(site: &Site, resource: &ResourceId) -> bool {
    let names = |node: usize| {
        let mut groups = site.layout.variants[site.machines[node].variant].iter();
        groups.any(|group| group.resources.iter().any(|spec| spec.id == *resource))
    };
    site.nodes().all(names) && !site.excuse.excuses(resource)
}

/// All machines are there and hear each other, in one epoch, and that machine can be turned off by another one that is no
/// witness.
fn is_calm(site: &Site, stuck: usize) -> bool {
    let others = || site.nodes().filter(|node| *node != stuck);
    let able = others().any(|node| site.layout.witness != Some(node));
    let epoch = |node: usize| site.machines[node].stated.as_ref().and_then(|stated| stated.epoch.as_ref());
    let admitted = |node: usize| site.machines[node].stated.as_ref().is_some_and(|stated| stated.admitted);
    let well = |node: usize| {
        let machine = &site.machines[node];
        let hardware = machine.carrier.iter().all(|carrier| *carrier) && machine.disk.mode == DiskMode::Fast;
        let works = machine.switch == SwitchMode::Works && machine.switching == 0 && machine.package == NEWEST_VERSION;
        machine.awake() && !machine.disk.failed && hardware && works && epoch(node).is_some()
    };
    let one = site.nodes().all(|node| well(node) && epoch(node) == epoch(stuck));
    let heard = || others().all(|node| site.together(node, stuck) && admitted(node));
    able && one && heard() && !site.excuse.is_any() && site.list.is_none() && site.layout.moving.is_none()
}
