//! What is worth an alert: nodes lost and back, takeovers, failures, by what was decided; and a silence that nobody can
//! decide about (decision 0046).

use crate::alert::AlertKind;
use crate::node::Node;
use hearth_cib::{Entry, MemberState, Record, Report, ReportKind, ResourceState};
use hearth_executor::NoteKind;
use hearth_types::{AssignmentId, AutoFailback, GroupId, NodeName, OpAction, ResourceId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A group on its way from a node that failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Taking {
    from: NodeName,
    to: NodeName,
    reason: String,
}

/// What was told, and what the next alert is judged by.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Nodes of which it was told, here or elsewhere, that they are lost.
    lost: BTreeSet<NodeName>,
    /// Of these: told by this node alone, for nothing could be decided.
    alone: BTreeSet<NodeName>,
    /// Peers that fell silent, and when somebody has to have decided about them.
    silent: BTreeMap<NodeName, Timestamp>,
    /// Where groups were last assigned.
    homes: BTreeMap<GroupId, (NodeName, AssignmentId)>,
    taking: BTreeMap<GroupId, Taking>,
    /// What failed and has not been started there since.
    failed: BTreeSet<(ResourceId, NodeName)>,
    /// Failures of this node that it told itself.
    told: BTreeSet<(ResourceId, OpAction)>,
}

impl Facts {
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.silent.values().min().copied()
    }

    /// Takes over where groups are, with an epoch that this node is let in to.
    pub(crate) fn learn(&mut self, record: &Record) {
        for (group, assignment) in &record.assignments {
            self.homes.entry(group.clone()).or_insert((assignment.node.clone(), assignment.id));
        }
    }

    /// The same at the start of a daemon: who is lost by its record was told then.
    pub(crate) fn begin(&mut self, record: &Record) {
        self.learn(record);
        let lost = record.nodes.iter().filter(|(_, node)| node.member == MemberState::Lost);
        self.lost.extend(lost.map(|(name, _)| name.clone()));
    }
}

impl Node {
    /// An entry was applied.
    pub(crate) fn alert_applied(&mut self, now: Timestamp, entry: &Entry) {
        match entry {
            Entry::Forced { node, permit, .. } => {
                let permit = self.permit_meant(*permit);
                self.alert_lost(now, node, format!("{node} is lost, and {} goes on alone ({permit}).", self.local));
            }
            Entry::Lost { node, .. } => {
                self.alert_lost(now, node, format!("{node} is lost: a majority hears nothing of it."))
            }
            // It is heard, and to be turned off (decision 0044).
            Entry::Batch(entries) => {
                if let [Entry::Lost { node, .. }, Entry::Unclean { reason, .. }] = &entries[..] {
                    self.alert_lost(now, node, format!("{node} counts as lost: {reason}."));
                }
            }
            Entry::Admit { node, .. } => {
                self.alerts.facts.failed.retain(|(_, on)| on != node);
                self.alerts.facts.alone.remove(node);
                if self.alerts.facts.lost.remove(node) {
                    self.alert_decided(now, AlertKind::NodeBack, node, format!("{node} takes part again."));
                }
            }
            Entry::Assign { group, node, reason } => self.note_assigned(group, node, reason),
            Entry::Clear { .. } => self.alerts.facts.failed.clear(),
            Entry::Report(report) => self.alert_report(now, report),
            _ => {}
        }
    }

    fn alert_lost(&mut self, now: Timestamp, node: &NodeName, text: String) {
        self.alerts.facts.silent.remove(node);
        self.alerts.facts.alone.remove(node);
        if self.alerts.facts.lost.insert(node.clone()) {
            self.alert_decided(now, AlertKind::NodeLost, node, text);
        }
    }

    /// A group has a new home: it was taken over, unless somebody asked for that or it only goes home.
    fn note_assigned(&mut self, group: &GroupId, to: &NodeName, reason: &str) {
        let Some(record) = self.ledger.record() else { return };
        let id = record.assignments.get(group).map(|assignment| assignment.id).unwrap_or_default();
        let before = self.alerts.facts.homes.get(group).cloned();
        let asked = record.placements.get(group).map(|placement| placement.index.0);
        let was_asked = before.as_ref().is_some_and(|(_, since)| asked.is_some_and(|asked| asked > since.0));
        let preferred = record.model.group(group).and_then(|spec| spec.preferred.first());
        let goes_home = record.model.auto_failback == AutoFailback::On && preferred == Some(to);
        let failed = before.as_ref().is_some_and(|(from, _)| self.has_failed(record, group, from));
        let planned = before.as_ref().is_some_and(|(from, _)| self.gives_up(record, from));
        // What was on its way already still comes from where it failed.
        let from = match self.alerts.facts.taking.remove(group) {
            Some(taking) => Some(taking.from),
            None => before.map(|(from, _)| from).filter(|_| failed || !(was_asked || goes_home || planned)),
        };
        if let Some(from) = from.filter(|from| from != to) {
            let taking = Taking { from, to: to.clone(), reason: reason.to_owned() };
            self.alerts.facts.taking.insert(group.clone(), taking);
        }
        self.alerts.facts.homes.insert(group.clone(), (to.clone(), id));
    }

    fn has_failed(&self, record: &Record, group: &GroupId, node: &NodeName) -> bool {
        let facts = &self.alerts.facts;
        let failed = |id: &ResourceId| facts.failed.contains(&(id.clone(), node.clone()));
        facts.lost.contains(node)
            || record.model.group(group).is_some_and(|spec| spec.resources.iter().any(|member| failed(&member.id)))
    }

    /// Whether a node gives up in order whatever it has.
    fn gives_up(&self, record: &Record, node: &NodeName) -> bool {
        let claimed = self.members.peer(node).and_then(|peer| peer.claimed.as_ref());
        let says_so = claimed.is_some_and(|claimed| claimed.status == hearth_wire::NodeStatus::Leaving);
        let left = record.nodes.get(node).is_none_or(|node| node.member == MemberState::Left);
        left || says_so || self.leaving.contains(node) || record.model.is_witness(node)
    }

    fn alert_report(&mut self, now: Timestamp, report: &Report) {
        let (resource, node) = (&report.resource, &report.node);
        let (action, code, message) = match &report.what {
            ReportKind::Started => {
                self.alerts.facts.failed.remove(&(resource.clone(), node.clone()));
                return self.alert_taken(now, resource);
            }
            ReportKind::Stopped | ReportKind::NotRunning | ReportKind::Running => return,
            ReportKind::StartFailed { code, message } => (OpAction::Start, *code, message),
            ReportKind::StopFailed { code, message } => (OpAction::Stop, *code, message),
            ReportKind::StopForced { message } => (OpAction::Stop, None, message),
            ReportKind::MonitorFailed { code, message } => (OpAction::Monitor, *code, message),
            ReportKind::ProbeFailed { code, message } => (OpAction::Probe, *code, message),
        };
        self.alerts.facts.failed.insert((resource.clone(), node.clone()));
        if *node == self.local && self.alerts.facts.told.remove(&(resource.clone(), action)) {
            return;
        }
        let what = self.failure(resource, action, code);
        let text = format!("{resource} on {node}: {action} failed: {}.", message.trim_end_matches('.'));
        self.alert_decided(now, what, node, text);
    }

    fn failure(&self, resource: &ResourceId, action: OpAction, code: Option<i32>) -> AlertKind {
        let spec = self.ledger.record().and_then(|record| record.spec(resource));
        AlertKind::Failed { resource: resource.clone(), action, code, monitor: spec.and_then(|spec| spec.monitor) }
    }

    /// A group on its way runs, if all of it does.
    fn alert_taken(&mut self, now: Timestamp, resource: &ResourceId) {
        let Some(record) = self.ledger.record() else { return };
        let Some((group, _)) = record.model.resource(resource) else { return };
        let Some(taking) = self.alerts.facts.taking.get(&group.id) else { return };
        let runs =
            |id: &ResourceId| record.states.get(&(id.clone(), taking.to.clone())) == Some(&ResourceState::Started);
        if !group.resources.iter().all(|member| runs(&member.id)) {
            return;
        }
        let group = group.id.clone();
        let Some(Taking { from, to, reason }) = self.alerts.facts.taking.remove(&group) else { return };
        let text = format!("{group} runs on {to}, taken over from {from}: {reason}.");
        self.alert_decided(now, AlertKind::Takeover { group }, &to, text);
    }

    /// An operation of this node failed while nothing can be decided: nobody else would tell.
    pub(crate) fn alert_local_failure(&mut self, now: Timestamp, note: &hearth_executor::Note) {
        let action = match note.kind {
            NoteKind::StartFailed => OpAction::Start,
            NoteKind::StopFailed | NoteKind::StopForced => OpAction::Stop,
            NoteKind::MonitorFailed => OpAction::Monitor,
            NoteKind::ProbeFailed => OpAction::Probe,
            _ => return,
        };
        let Some(resource) = note.resource.clone().filter(|_| self.has_alerts() && !self.has_quorum()) else { return };
        self.alerts.facts.told.insert((resource.clone(), action));
        let text = format!("{resource} on {}: {}.", self.local, note.text.trim_end_matches('.'));
        let what = self.failure(&resource, action, None);
        self.alert_alone(now, what, &self.local.clone(), text);
    }

    /// A peer fell silent: somebody decides about that, or this node says that nobody does.
    pub(crate) fn note_silent(&mut self, now: Timestamp, node: &NodeName) {
        self.alerts.facts.silent.insert(node.clone(), now + self.config.cluster.timing.deadtime);
    }

    pub(crate) fn judge_deaths(&mut self, now: Timestamp) {
        if self.alerts.facts.silent.is_empty() && self.alerts.facts.alone.is_empty() {
            return;
        }
        for (node, due_at) in self.alerts.facts.silent.clone() {
            let member = self.ledger.record().map(|record| record.nodes.get(&node).map(|node| node.member));
            let decided = matches!(member, Some(None | Some(MemberState::Left | MemberState::Out)));
            if decided || self.members.is_alive(&node) || self.alerts.facts.lost.contains(&node) {
                self.alerts.facts.silent.remove(&node);
            } else if now >= due_at && !self.has_quorum() && self.shutdown.is_none() {
                self.alerts.facts.silent.remove(&node);
                self.alert_silent(now, &node);
            }
        }
        for node in self.alerts.facts.alone.clone() {
            if self.members.is_alive(&node) {
                self.alerts.facts.alone.remove(&node);
                self.alerts.facts.lost.remove(&node);
                self.alert_alone(now, AlertKind::NodeBack, &node, format!("{node} is heard again by {}.", self.local));
            }
        }
    }

    /// Nothing can be decided: the first by name of those who hear each other says it.
    fn alert_silent(&mut self, now: Timestamp, node: &NodeName) {
        self.alerts.facts.lost.insert(node.clone());
        if self.members.peers().any(|(name, peer)| peer.is_alive() && *name < self.local) {
            return;
        }
        self.alerts.facts.alone.insert(node.clone());
        let why = match &self.alone.verdict {
            Some(verdict) => verdict.clone(),
            None => "fewer than a majority hear each other, and whoever is left stops what it has".to_owned(),
        };
        let text = format!("{node} is not heard by {}, and nothing that it ran is taken over: {why}.", self.local);
        self.alert_alone(now, AlertKind::NodeLost, node, text);
    }
}
