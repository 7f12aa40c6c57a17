//! Machines and resources that flap are left out for a growing while, say so, and can be released.
//!
//! The record knows no time: each node counts from when it applied an entry, and one that was started since has counted
//! nothing.  A machine that is left out takes part, votes and reports, and gets nothing while another one can run it.

use crate::alert::AlertKind;
use crate::node::Node;
use crate::orders::{Goal, refused, reply};
use crate::{Output, Severity};
use hearth_cib::{ClearSubject, Entry};
use hearth_types::{NodeName, OpAction, PermitKind, ResourceId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Losses are counted for so long.
const WINDOW: Duration = Duration::from_secs(3600);
/// With so many of them within that a machine is left out.
const LOSSES: usize = 3;
/// For so long from the last of them, doubled with each further one.
const LEFT_OUT: Duration = Duration::from_secs(300);
/// Never longer.
const LONGEST: Duration = WINDOW;
/// Losses that are remembered of a machine: more double nothing.
const LOSSES_MAX: usize = 8;
/// What ends the order that lets a machine in: it is told as a request that asks for nothing, which every daemon can read.
const RELEASE: &str = "release of ";

/// A resource on a machine whose failures were forgotten with time, and came again.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Again {
    resource: ResourceId,
    node: NodeName,
    times: u32,
    at: Timestamp,
}

/// What flaps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Flaps {
    /// When this node learnt of the losses of a machine, oldest first.
    losses: BTreeMap<NodeName, Vec<Timestamp>>,
    forgotten: Vec<Again>,
}

impl Flaps {
    fn lost(&mut self, now: Timestamp, node: &NodeName) {
        let losses = self.losses.entry(node.clone()).or_default();
        losses.retain(|at| now.since(*at) < WINDOW);
        if losses.len() == LOSSES_MAX {
            losses.remove(0);
        }
        losses.push(now);
    }

    /// How often a machine was lost of late, and until when it is left out for that; none: it is not.
    fn left_out(&self, now: Timestamp, node: &NodeName) -> Option<(usize, Timestamp)> {
        let losses = self.losses.get(node)?;
        let (times, last) = (losses.iter().filter(|at| now.since(**at) < WINDOW).count(), losses.last()?);
        let doubled = times.checked_sub(LOSSES)?;
        let until = *last + LONGEST.min(LEFT_OUT * (1 << doubled));
        (now < until).then_some((times, until))
    }

    /// ha.cf names that machine no more.
    pub(crate) fn forget_node(&mut self, node: &NodeName) {
        self.losses.remove(node);
        self.forgotten.retain(|again| again.node != *node);
    }

    fn forgot(&mut self, now: Timestamp, resource: &ResourceId, node: &NodeName) {
        self.forgotten.retain(|again| now.since(again.at) < WINDOW * 2);
        match self.forgotten.iter_mut().find(|again| again.resource == *resource && again.node == *node) {
            Some(again) => (again.times, again.at) = (again.times.saturating_add(1), now),
            None => self.forgotten.push(Again { resource: resource.clone(), node: node.clone(), times: 1, at: now }),
        }
    }

    /// After which span a failure is forgotten where that is `timeout` for the first one: twice as long each time that it has
    /// come again.
    pub(crate) fn timeout(&self, resource: &ResourceId, node: &NodeName, timeout: Duration) -> Duration {
        let again = self.forgotten.iter().find(|again| again.resource == *resource && again.node == *node);
        let doubled = again.map_or(0, |again| again.times.min(16));
        timeout.max(LONGEST.min(timeout.saturating_mul(1 << doubled)))
    }
}

impl Node {
    /// Counts what an applied entry says of what flaps, or ends that.
    pub(crate) fn count_flaps(&mut self, now: Timestamp, entry: &Entry) {
        match entry {
            Entry::Batch(entries) => entries.iter().for_each(|entry| self.count_flaps(now, entry)),
            Entry::Forced { permit: PermitKind::Resigned, .. } => {}
            Entry::Lost { node, .. } | Entry::Forced { node, .. } => self.count_loss(now, &node.clone()),
            Entry::Aged { resource, node, .. } => self.flaps.forgot(now, resource, node),
            Entry::Clear { subject: ClearSubject::All, .. } => self.flaps = Flaps::default(),
            Entry::Clear { subject, .. } => {
                let cleared = self.cleared_by(subject);
                self.flaps.forgotten.retain(|again| !cleared.contains(&again.resource));
            }
            Entry::Failback { groups, by, .. } if groups.is_empty() => {
                if let Some((node, _)) = by.strip_prefix(RELEASE).and_then(|rest| rest.split_once(' ')) {
                    self.flaps.losses.remove(&NodeName::new(node));
                }
            }
            _ => {}
        }
    }

    fn count_loss(&mut self, now: Timestamp, node: &NodeName) {
        self.flaps.lost(now, node);
        if let Some((times, until)) = self.flaps.left_out(now, node) {
            let text = format!(
                "{node} was lost {times} times within an hour: nothing is given to it for {} min while another node can run \
                 it. `hearth release {node}` ends that.",
                until.since(now).as_secs() / 60
            );
            self.chronicle.note(now, Severity::Warning, "node-left-out", node, text.clone());
            self.alert_decided(now, AlertKind::NodeLeftOut, node, text);
        }
    }

    fn cleared_by(&self, subject: &ClearSubject) -> BTreeSet<ResourceId> {
        let model = self.ledger.record().map(|record| &record.model);
        match subject {
            ClearSubject::Resource(id) => BTreeSet::from([id.clone()]),
            ClearSubject::Group(id) => {
                let group = model.and_then(|model| model.group(id));
                group.iter().flat_map(|group| group.resources.iter().map(|it| it.id.clone())).collect()
            }
            ClearSubject::All => BTreeSet::new(),
        }
    }

    /// Machines that get nothing while another one can run it, with the reason in words that continue the name.
    pub(crate) fn left_out(&self) -> BTreeMap<NodeName, String> {
        let text = |node: &NodeName| {
            let (times, _) = self.flaps.left_out(self.last_wake_at, node)?;
            Some((node.clone(), format!("was lost {times} times within an hour and is left out")))
        };
        self.flaps.losses.keys().filter_map(text).collect()
    }

    /// The same of one machine, with its end, for status.
    pub(crate) fn left_out_reason(&self, node: &NodeName) -> Option<String> {
        let (times, until) = self.flaps.left_out(self.last_wake_at, node)?;
        let left = until.since(self.last_wake_at).as_secs() / 60 + 1;
        Some(format!(
            "it was lost {times} times within an hour and is left out for another {left} min; `hearth release {node}` ends that"
        ))
    }

    /// Whether another node has it and could start it: then it costs its clients a gap to try it there again.
    pub(crate) fn runs_elsewhere(&self, resource: &ResourceId, node: &NodeName) -> bool {
        let Some(record) = self.ledger.record() else { return false };
        let Some((group, _)) = record.model.resource(resource) else { return false };
        let Some(at) = record.assignments.get(&group.id).filter(|at| at.node != *node) else { return false };
        group.resources.iter().all(|member| record.failure_count(&member.id, &at.node, OpAction::Start) == 0)
    }

    /// Sentences on failures that came again after they were forgotten, for status.
    pub(crate) fn flap_notes(&self) -> Vec<String> {
        let Some(record) = self.ledger.record() else { return Vec::new() };
        let stands = |again: &&Again| {
            let mut failures = record.failures.keys();
            let failed = failures.any(|(resource, node, _)| *resource == again.resource && *node == again.node);
            failed && self.runs_elsewhere(&again.resource, &again.node)
        };
        let text = |Again { resource, node, times, .. }: &Again| {
            let times = if *times == 1 { "once".to_owned() } else { format!("{times} times") };
            format!(
                "{resource} has failed again on {node} after that was forgotten {times}: it is tried there later each time. \
                 `hearth release {resource}` ends that."
            )
        };
        self.flaps.forgotten.iter().filter(stands).map(text).collect()
    }

    /// `hearth release NODE|RESOURCE`.
    pub(crate) fn order_release(&mut self, now: Timestamp, token: u64, name: String, by: &str, out: &mut Vec<Output>) {
        let node = NodeName::new(&name);
        if !self.config.cluster.nodes.contains(&node) {
            return self.order_clear(now, token, Some(name), out);
        }
        if let Err(answer) = self.changeable() {
            return reply(out, token, answer, false);
        }
        if self.flaps.left_out(now, &node).is_none() {
            let reason = format!("{node} is not left out");
            return reply(out, token, refused(reason, Some("see `hearth status`"), false), false);
        }
        let request = self.next_request();
        let text = format!("{RELEASE}{node} by {by}");
        let entry = Entry::Failback { request: request.clone(), groups: Vec::new(), by: text.clone() };
        self.chronicle.lead(now, Severity::Info, "ordered", &node, format!("Ordered: {text}."));
        self.order(now, token, request, entry, Vec::new(), Goal::Released(node), true, "released", out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1_000_000_000)
    }

    #[test]
    fn machine_that_is_lost_again_and_again_is_trusted_each_time() {
        let (mut flaps, node) = (Flaps::default(), NodeName::new("c"));
        let mut spans = Vec::new();
        for loss in 0..9 {
            flaps.lost(at(loss), &node);
            let until = flaps.left_out(at(loss), &node).map_or(at(loss), |(_, until)| until);
            spans.push(until.since(at(loss)).as_secs());
            assert_eq!(flaps.left_out(until, &node), None, "it ends");
        }
        assert_eq!(spans, [0, 0, 300, 600, 1200, 2400, 3600, 3600, 3600]);
        assert_eq!(flaps.left_out(at(9 + 3600), &node), None, "and an hour later nothing is left of it");
    }

    #[test]
    fn resource_that_fails_again_after_each_failure_timeout_moves_for_ever() {
        let (mut flaps, node, web) = (Flaps::default(), NodeName::new("c"), ResourceId::from("web"));
        let base = Duration::from_secs(60);
        let mut spans = Vec::new();
        for again in 0..8 {
            spans.push(flaps.timeout(&web, &node, base).as_secs());
            flaps.forgot(at(again), &web, &node);
        }
        assert_eq!(spans, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(flaps.timeout(&web, &NodeName::new("b"), base), base, "elsewhere it has not failed");
        let day = Duration::from_secs(86_400);
        assert_eq!(flaps.timeout(&web, &node, day), day, "what somebody wrote is never shortened");
    }
}
