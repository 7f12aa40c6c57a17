//! What flaps is left out for a growing while, and not for ever (decision 0045): by the starts that really failed, and by
//! the machines that were really gone while another one took what they ran.

use super::{Blame, Checker, Seen};
use crate::act::Act;
use crate::layout::ms;
use crate::site::Site;
use hearth_types::{GroupSpec, OpAction, OpOutcome, ResourceId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// With so many losses a machine is left out.
const LOSSES: usize = 3;
/// For at least so long, which is longer than a run.
const LEFT_OUT: Duration = ms(300_000);
/// A move that comes when a span is over.
const MOVES_WITHIN: Duration = ms(3000);

/// What failed and who was lost, as far as everybody has seen it and nobody has forgiven it.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    /// Where something was last started.
    owner: BTreeMap<ResourceId, usize>,
    /// Starts that failed since anything else befell the cluster.
    failed: BTreeMap<(usize, ResourceId), Vec<Timestamp>>,
    /// The same since the beginning.
    ever: BTreeSet<(usize, ResourceId)>,
    /// Losses of a machine.
    lost: BTreeMap<usize, Vec<Timestamp>>,
    /// Machines with the run in which each was lost.
    counted: BTreeSet<(usize, u64)>,
    /// Run of every machine when the first of all that was counted.
    runs: Vec<u64>,
}

impl Checker for LeftOut {
    fn name(&self) -> &'static str {
        "left out"
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, blame: &mut Blame<'_>) {
        match seen {
            Seen::Act(act) => {
                self.not_tried(site, blame);
                self.failed.clear();
                let harmless = matches!(act, Act::PowerOff(_) | Act::Start(_) | Act::Kill(_));
                if !harmless {
                    self.forgive();
                }
            }
            Seen::OpStarted { node, action: OpAction::Start, spec } => {
                self.too_early(site, *node, &spec.id, blame);
                self.trusted(site, *node, &spec.id, blame);
                self.lose(site, *node, &spec.id);
                self.owner.insert(spec.id.clone(), *node);
            }
            Seen::OpEnded { node, op, outcome } if op.action == OpAction::Start => {
                // What came too late was not tried.
                if matches!(outcome, OpOutcome::Failed { code: Some(_), .. } | OpOutcome::TimedOut { .. }) {
                    let key = (*node, op.spec.id.clone());
                    self.ever.insert(key.clone());
                    self.failed.entry(key).or_default().push(site.now);
                }
            }
            _ => {}
        }
    }
}

impl LeftOut {
    fn forgive(&mut self) {
        self.lost.clear();
        self.counted.clear();
        self.runs.clear();
    }

    /// Whether a machine has run without a break since the first loss that was counted.
    fn has_seen_all(&self, site: &Site, node: usize) -> bool {
        self.runs.get(node) == Some(&site.machines[node].run) && site.machines[node].awake()
    }

    /// Somebody takes what another one ran that is gone.
    fn lose(&mut self, site: &Site, node: usize, resource: &ResourceId) {
        let Some(gone) = self.owner.get(resource).copied().filter(|gone| *gone != node) else { return };
        let machine = &site.machines[gone];
        if machine.awake() || !self.counted.insert((gone, machine.run)) {
            return;
        }
        if self.runs.is_empty() {
            self.runs = site.machines.iter().map(|machine| machine.run).collect();
        }
        self.lost.entry(gone).or_default().push(site.now);
    }

    /// What a machine that is left out gets from one that is well.
    fn trusted(&self, site: &Site, node: usize, resource: &ResourceId, blame: &mut Blame<'_>) {
        let Some(losses) = self.lost.get(&node).filter(|losses| losses.len() >= LOSSES) else { return };
        let Some(from) = self.owner.get(resource).copied().filter(|from| *from != node) else { return };
        let recent = losses.last().is_some_and(|last| site.now.since(*last) < LEFT_OUT);
        // Who decides has counted all of it, or it lets the machine in sooner.
        let decides = |name: &str| site.layout.node(name).is_some_and(|dc| dc != node && self.has_seen_all(site, dc));
        let knows = site.status(from).is_some_and(|status| status.dc.as_deref().is_some_and(decides));
        let well = self.has_seen_all(site, from) && is_well(site, from) && !self.lost.contains_key(&from);
        let fails = self.ever.iter().any(|(on, _)| *on == from);
        if recent && knows && well && !fails && site.cleared_at.is_none() {
            let (name, from) = (site.name(node), site.name(from));
            blame.that(format!("{name} was lost {} times and gets {resource} from {from}", losses.len()));
        }
    }

    /// The span after which a failure is forgotten that has come again so often; none: that is not told by the files.
    fn span(site: &Site, times: usize) -> Option<Duration> {
        let doubled = u32::try_from(times.checked_sub(1)?).ok()?;
        Some(site.layout.timing.failure_timeout? * 2u32.checked_pow(doubled)?)
    }

    /// Whether another machine really has the whole group of it, and has never failed to start any of that.
    fn has_elsewhere<'a>(&self, site: &'a Site, node: usize, resource: &ResourceId) -> Option<&'a GroupSpec> {
        let groups = &site.layout.variants[site.machines[node].variant];
        let group = groups.iter().find(|group| group.resources.iter().any(|spec| spec.id == *resource))?;
        let on = *self.owner.get(&group.resources[0].id).filter(|on| **on != node)?;
        let here = group.resources.iter().all(|spec| self.owner.get(&spec.id) == Some(&on));
        let fails = group.resources.iter().any(|spec| self.ever.contains(&(on, spec.id.clone())));
        (here && !fails && site.nodes().all(|node| is_well(site, node))).then_some(group)
    }

    fn too_early(&self, site: &Site, node: usize, resource: &ResourceId, blame: &mut Blame<'_>) {
        // The last failure counts, and what ran elsewhere meanwhile; the group's first member moves before this one.
        let Some(failed) = self.failed.get(&(node, resource.clone())) else { return };
        let (Some(last), Some(span)) = (failed.last(), Self::span(site, failed.len())) else { return };
        let elsewhere =
            self.owner.get(resource).is_some_and(|on| *on != node && !self.ever.iter().any(|(it, _)| it == on));
        let well = site.nodes().all(|node| is_well(site, node)) && site.cleared_at.is_none();
        let waited = site.now.since(*last);
        if elsewhere && well && waited < span * 19 / 20 {
            let (name, times) = (site.name(node), failed.len());
            blame.that(format!("{resource} failed {times} times on {name} and is tried there again after {waited:?}"));
        }
    }

    /// Where it is wanted there, it is tried again when the span is over.
    fn not_tried(&self, site: &Site, blame: &mut Blame<'_>) {
        for ((node, resource), failed) in &self.failed {
            let (Some(last), Some(span)) = (failed.last(), Self::span(site, failed.len())) else { continue };
            let Some(group) = self.has_elsewhere(site, *node, resource) else { continue };
            let wanted = site.layout.auto_failback && group.preferred.first() == Some(&site.layout.names[*node]);
            let waited = site.now.since(*last);
            if wanted && !self.lost.contains_key(node) && waited > span * 21 / 20 + MOVES_WITHIN {
                let name = site.name(*node);
                blame.that(format!("{resource} failed on {name}, and is not tried there again after {waited:?}"));
            }
        }
    }
}

/// Nothing is wrong with a machine, or between it and the others.
fn is_well(site: &Site, node: usize) -> bool {
    let machine = &site.machines[node];
    let cables = machine.carrier.iter().all(|carrier| *carrier) && machine.pingable;
    let together = || site.nodes().filter(|other| *other != node).all(|other| site.together(node, other));
    let agents =
        machine.agents.trouble == 0 && machine.agents.flaws.values().all(|flaw| *flaw == crate::agent::Flaw::FailStart);
    machine.awake() && cables && agents && !machine.disk.failed && together()
}
