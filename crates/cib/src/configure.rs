//! A new model: only what differs is touched (R-JOIN-4, R-TAKE-9).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;
use hearth_types::{GroupId, NodeName, ResourceId, ResourceModel, ResourceSpec};

use crate::record::Assignment;
use crate::{Record, Rejection};

impl Record {
    pub(crate) fn configure(
        &mut self,
        model: &ResourceModel,
        digest: u64,
        nodes: &[NodeName],
    ) -> Result<(), Rejection> {
        check_model(model)?;
        self.set_nodes(nodes)?;
        let before = core::mem::replace(&mut self.model, model.clone());
        self.keep_orphans(&before);
        self.carry_assignments(&before);
        self.carry_wire_checks(&before);
        self.forget_unknown(&before);
        self.digest = digest;
        self.note(format!("new configuration: {} groups on {} nodes", self.model.groups.len(), self.node_order.len()));
        Ok(())
    }

    /// A name that leaves the list takes its identity with it: that is how a re-installed machine comes back.
    fn set_nodes(&mut self, nodes: &[NodeName]) -> Result<(), Rejection> {
        let mut order: Vec<NodeName> = Vec::new();
        for node in nodes {
            if !order.contains(node) {
                order.push(node.clone());
            }
        }
        let gone = |node: &&NodeName| !order.contains(node);
        let in_use = |node: &&NodeName| {
            self.voters.iter().any(|voter| &voter.name == *node)
                || self.active_on(node).next().is_some()
                || self.assignments.values().any(|assignment| &assignment.node == *node)
        };
        let voters = self.voters.iter().map(|voter| &voter.name);
        if let Some(node) = self.nodes.keys().chain(voters).filter(gone).find(in_use) {
            return Err(Rejection::NodeInUse { node: node.clone() });
        }
        self.nodes.retain(|node, _| order.contains(node));
        self.states.retain(|(_, node), _| order.contains(node));
        self.failures.retain(|(_, node, _), _| order.contains(node));
        self.requests.retain(|node, _| order.contains(node));
        self.placements.retain(|_, placement| {
            [&placement.to, &placement.away_from].into_iter().flatten().all(|node| order.contains(node))
        });
        for node in &order {
            self.nodes.entry(node.clone()).or_default();
        }
        self.node_order = order;
        Ok(())
    }

    /// R-TAKE-9: what may still be active is kept as it was, also when only its keys have changed under the same id.
    fn keep_orphans(&mut self, before: &ResourceModel) {
        for (_, old) in before.resources() {
            let same_keys = self.model.resource(&old.id).is_some_and(|(_, new)| new.owns == old.owns);
            if !same_keys && self.active_nodes(&old.id).next().is_some() {
                self.orphans.entry(old.id.clone()).or_insert_with(|| old.clone());
            }
        }
        // Back in the model as it was: an orphan no more.
        let model = &self.model;
        self.orphans.retain(|id, old| model.resource(id).is_none_or(|(_, new)| new.owns != old.owns));
    }

    /// A group is named by its first resource: with another first resource it is the same group to everybody but us.
    /// Members keep running where they run; those that came in are covered by the next assignment.
    fn carry_assignments(&mut self, before: &ResourceModel) {
        let mut home: BTreeMap<&ResourceId, &Assignment> = BTreeMap::new();
        for group in &before.groups {
            if let Some(assignment) = self.assignments.get(&group.id) {
                home.extend(group.resources.iter().map(|member| (&member.id, assignment)));
            }
        }
        let mut next: BTreeMap<GroupId, Assignment> = BTreeMap::new();
        for group in &self.model.groups {
            let own = self.assignments.get(&group.id);
            let inherited = || group.resources.iter().find_map(|member| home.get(&member.id).copied());
            // With other keys under an old id every check of an assignment is due again.
            let same_keys =
                |member: &ResourceSpec| before.resource(&member.id).is_none_or(|(_, old)| old.owns == member.owns);
            if let Some(assignment) = own.or_else(inherited).filter(|_| group.resources.iter().all(same_keys)) {
                next.insert(group.id.clone(), assignment.clone());
            }
        }
        self.assignments = next;
    }

    /// A wire check that is still owed (R-TAKE-6) goes with the address, not with the name of the resource.
    fn carry_wire_checks(&mut self, before: &ResourceModel) {
        let keys: BTreeSet<&str> = before
            .resources()
            .filter(|(_, old)| self.check_wire.contains(&old.id))
            .flat_map(|(_, old)| old.owns.iter().map(|key| key.as_str()))
            .collect();
        let owed = |spec: &ResourceSpec| {
            self.check_wire.contains(&spec.id) || spec.owns.iter().any(|key| keys.contains(key.as_str()))
        };
        self.check_wire = self
            .model
            .resources()
            .filter(|(_, spec)| spec.address().is_some() && owed(spec))
            .map(|(_, spec)| spec.id.clone())
            .collect();
    }

    fn forget_unknown(&mut self, before: &ResourceModel) {
        let model = &self.model;
        let known = |id: &ResourceId| model.resource(id).is_some();
        let flagged: BTreeSet<ResourceId> = self.may_be_active.keys().map(|(id, _)| id.clone()).collect();
        self.states.retain(|(id, _), _| known(id) || flagged.contains(id));
        // Whoever changes a resource wants it tried again.
        let unchanged = |id: &ResourceId| {
            let (old, new) = (before.resource(id), model.resource(id));
            old.map(|(_, spec)| spec) == new.map(|(_, spec)| spec)
        };
        self.failures.retain(|(id, _, _), _| (known(id) || flagged.contains(id)) && unchanged(id));
        self.placements.retain(|group, _| model.group(group).is_some());
        for node in self.nodes.values_mut() {
            node.unservable.retain(known);
        }
    }
}

/// What the rules below rely on: names are unique, no group is empty.
fn check_model(model: &ResourceModel) -> Result<(), Rejection> {
    let mut groups = BTreeSet::new();
    let mut resources = BTreeSet::new();
    for group in &model.groups {
        if !groups.insert(&group.id) || group.resources.is_empty() {
            return Err(Rejection::BadGroup { group: group.id.clone() });
        }
    }
    match model.resources().find(|(_, spec)| !resources.insert(&spec.id)) {
        Some((_, spec)) => Err(Rejection::DuplicateResource { resource: spec.id.clone() }),
        None => Ok(()),
    }
}
