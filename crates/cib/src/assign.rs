//! What is to run where, and what somebody asked for.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use hearth_types::{AssignmentId, GroupId, GroupSpec, NodeName, ResourceId, ResourceSpec};

use crate::record::{Assignment, MemberState, RequestedPlacement};
use crate::{ClearSubject, Record, Rejection, RequestId};

impl Record {
    /// Why nothing may be assigned to that node, if so (R-TAKE-1, R-TAKE-4, R-LEDGER-6).
    pub fn check_node(&self, name: &NodeName) -> Result<(), Rejection> {
        let node = self.nodes.get(name).ok_or_else(|| Rejection::UnknownNode { node: name.clone() })?;
        if node.member != MemberState::Admitted {
            return Err(Rejection::NotAdmitted { node: name.clone(), state: node.member.as_str() });
        }
        if let Some(unclean) = &node.unclean {
            return Err(Rejection::NodeUnclean { node: name.clone(), reason: unclean.reason.clone() });
        }
        if !node.probed {
            return Err(Rejection::NotProbed { node: name.clone() });
        }
        Ok(())
    }

    /// Why the group must not be started on that node now, if so: something of it may be active elsewhere (R-TAKE-3), or
    /// something else holds what it owns (R-TAKE-9). Whether the node may be used at all is [`Record::check_node`]'s.
    pub fn check_exclusive(&self, group: &GroupSpec, node: &NodeName) -> Result<(), Rejection> {
        let mut own_keys: BTreeSet<&str> = BTreeSet::new();
        for member in &group.resources {
            if member.owns.is_empty() {
                continue;
            }
            if let Some(holder) = self.active_nodes(&member.id).find(|holder| *holder != node) {
                return Err(Rejection::MayBeActive { resource: member.id.clone(), node: holder.clone() });
            }
            self.check_keys(member, node)?;
            if let Some(key) = member.owns.iter().find(|key| !own_keys.insert(key)) {
                let other = group.resources.iter().find(|other| other.id != member.id && other.owns.contains(key));
                let other = other.unwrap_or(member).id.clone();
                let (resource, key) = (member.id.clone(), key.clone());
                return Err(Rejection::KeyInUse { resource, key, other, node: node.clone() });
            }
        }
        Ok(())
    }

    fn check_keys(&self, member: &ResourceSpec, node: &NodeName) -> Result<(), Rejection> {
        let known = self.model.resources().map(|(_, spec)| spec).chain(self.orphans.values());
        for other in known.filter(|other| other.owns.intersection(&member.owns).next().is_some()) {
            // The same id held under another of its keys on this node is restarted in place.
            let holder = self.active_nodes(&other.id).find(|holder| other.id != member.id || *holder != node);
            if let Some(holder) = holder {
                let key = other.owns.intersection(&member.owns).next().cloned().unwrap_or_default();
                let (resource, other) = (member.id.clone(), other.id.clone());
                return Err(Rejection::KeyInUse { resource, key, other, node: holder.clone() });
            }
        }
        Ok(())
    }

    pub(crate) fn assign(&mut self, id: &GroupId, node: &NodeName, reason: &str) -> Result<(), Rejection> {
        let group = self.model.group(id).cloned().ok_or_else(|| Rejection::UnknownGroup { group: id.clone() })?;
        self.check_node(node)?;
        if let Some(assignment) = self.assignments.get(id).filter(|assignment| &assignment.node != node) {
            return Err(Rejection::AssignedElsewhere { group: id.clone(), node: assignment.node.clone() });
        }
        self.check_exclusive(&group, node)?;
        // A fault undid what was asked for: nobody types an order so that the group comes back each time a cable does.
        let moved = !self.assignments.contains_key(id);
        if moved && self.placements.get(id).is_some_and(|placement| !placement.allows(node)) {
            self.placements.remove(id);
        }
        let assignment = AssignmentId(self.applied.0);
        for member in &group.resources {
            self.may_be_active.insert((member.id.clone(), node.clone()), assignment);
        }
        self.assignments
            .insert(id.clone(), Assignment { node: node.clone(), id: assignment, reason: reason.to_string() });
        self.note(format!("{id} goes to {node}: {reason}"));
        Ok(())
    }

    pub(crate) fn unassign(&mut self, id: &GroupId, reason: &str) -> Result<(), Rejection> {
        let Some(assignment) = self.assignments.remove(id) else {
            return Err(Rejection::NotAssigned { group: id.clone() });
        };
        self.note(format!("{id} is stopped on {}: {reason}", assignment.node));
        Ok(())
    }

    pub(crate) fn request_placement(
        &mut self,
        request: &RequestId,
        groups: &[GroupId],
        to: Option<&NodeName>,
        away_from: Option<&NodeName>,
        by: &str,
    ) -> Result<(), Rejection> {
        if groups.is_empty() || (to.is_none() && away_from.is_none()) {
            return Err(Rejection::EmptyMove);
        }
        self.known_groups(groups)?;
        if let Some(to) = to {
            self.check_node(to)?;
        }
        if let Some(node) = away_from {
            self.node_mut(node)?;
        }
        for group in groups {
            self.place(group, to.cloned(), away_from.cloned(), request, by);
        }
        self.note(format!("{by}: {}", names(groups)));
        Ok(())
    }

    fn place(
        &mut self,
        group: &GroupId,
        to: Option<NodeName>,
        away_from: Option<NodeName>,
        request: &RequestId,
        by: &str,
    ) {
        let placement =
            RequestedPlacement { to, away_from, by: by.to_string(), request: request.clone(), index: self.applied };
        self.placements.insert(group.clone(), placement);
    }

    /// To the best preferred node that can be used; where that has it already, or none can, merely without a request.
    pub(crate) fn request_failback(
        &mut self,
        request: &RequestId,
        groups: &[GroupId],
        by: &str,
    ) -> Result<(), Rejection> {
        self.known_groups(groups)?;
        for id in groups {
            let home = self
                .model
                .group(id)
                .and_then(|group| group.preferred.iter().find(|node| self.check_node(node).is_ok()).cloned());
            let at_home = |home: &NodeName| self.assignments.get(id).is_some_and(|it| &it.node == home);
            match home.filter(|home| !at_home(home)) {
                Some(home) => self.place(id, Some(home), None, request, by),
                None => drop(self.placements.remove(id)),
            }
        }
        self.note(format!("{by}: {}", names(groups)));
        Ok(())
    }

    fn known_groups(&self, groups: &[GroupId]) -> Result<(), Rejection> {
        match groups.iter().find(|group| self.model.group(group).is_none()) {
            Some(group) => Err(Rejection::UnknownGroup { group: group.clone() }),
            None => Ok(()),
        }
    }

    pub(crate) fn clear(&mut self, subject: &ClearSubject) -> Result<(), Rejection> {
        let (resources, group): (BTreeSet<ResourceId>, GroupId) = match subject {
            ClearSubject::All => {
                self.failures.clear();
                self.placements.clear();
                self.note("all failures and requested placements are forgotten".to_string());
                return Ok(());
            }
            ClearSubject::Group(id) => {
                let group = self.model.group(id).ok_or_else(|| Rejection::UnknownGroup { group: id.clone() })?;
                (group.resources.iter().map(|member| member.id.clone()).collect(), id.clone())
            }
            ClearSubject::Resource(id) => {
                let (group, _) =
                    self.model.resource(id).ok_or_else(|| Rejection::UnknownResource { resource: id.clone() })?;
                (BTreeSet::from([id.clone()]), group.id.clone())
            }
        };
        self.failures.retain(|(id, _, _), _| !resources.contains(id));
        self.placements.remove(&group);
        self.note(format!("failures of {group} are forgotten"));
        Ok(())
    }
}

fn names(groups: &[GroupId]) -> String {
    groups.iter().map(GroupId::as_str).collect::<Vec<_>>().join(", ")
}
