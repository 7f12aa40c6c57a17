//! Machines and epochs: who takes part, who is lost, what that clears.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use hearth_types::{
    Admission, AssignmentId, EpochName, Incarnation, Index, NodeIdentity, NodeName, PermitKind, ResourceId,
    ResourceKind,
};

use crate::record::{LINEAGE, MemberState, Unclean, Voter};
use crate::{FENCED_FROM, NodeRecord, Record, Rejection, RequestId, WATCHED_FROM};

/// Most voters of an epoch (R-LEDGER-2).
pub const VOTERS_MAX: usize = 7;

impl MemberState {
    /// The state in words.
    pub fn as_str(self) -> &'static str {
        match self {
            MemberState::Out => "not admitted yet",
            MemberState::Admitted => "admitted",
            MemberState::Lost => "lost",
            MemberState::Left => "stopped in order",
        }
    }
}

impl Record {
    pub(crate) fn admit(
        &mut self,
        name: &NodeName,
        identity: NodeIdentity,
        incarnation: Incarnation,
    ) -> Result<(), Rejection> {
        let may_be_new = self.may_be_bound_anew(name);
        let node = self.node_mut(name)?;
        if let Some(known) = node.identity.filter(|known| *known != identity && !may_be_new) {
            return Err(Rejection::Identity { node: name.clone(), known, offered: identity });
        }
        if node.incarnation != incarnation {
            node.reported = 0;
        }
        if node.identity != Some(identity) {
            // Another machine, or one without its state: what the one before it said of leases does not bind it.
            node.leased = false;
        }
        // Another run states it anew.
        node.watchdog_ms = None;
        node.identity = Some(identity);
        node.admission = node.admission.next();
        if node.member != MemberState::Admitted {
            // A daemon that was only restarted has not asked its ping nodes yet: that is no news of the network.
            node.pings = (0, 0);
        }
        node.member = MemberState::Admitted;
        node.incarnation = incarnation;
        node.probed = false;
        node.unservable = BTreeSet::new();
        // What failed there failed in an earlier life of that machine: it may be tried again.
        self.failures.retain(|(_, on, _), _| on != name);
        self.note(format!("{name} takes part"));
        Ok(())
    }

    /// A machine that lost its disk comes back as a new member (R-LEDGER-3), never as what still counts.
    fn may_be_bound_anew(&self, name: &NodeName) -> bool {
        let counts = self.nodes.get(name).is_none_or(|node| node.member == MemberState::Admitted);
        let votes = self.voters.iter().any(|voter| &voter.name == name);
        !counts && !votes && self.active_on(name).next().is_none()
    }

    pub(crate) fn probed(&mut self, name: &NodeName, incarnation: Incarnation) -> Result<(), Rejection> {
        let node = self.node_mut(name)?;
        if node.member != MemberState::Admitted {
            return Err(Rejection::NotAdmitted { node: name.clone(), state: node.member.as_str() });
        }
        if node.incarnation != incarnation {
            return Err(Rejection::Incarnation { node: name.clone(), known: node.incarnation, named: incarnation });
        }
        node.probed = true;
        Ok(())
    }

    /// Protocol section 5, the column "clears". Only for two machines: R-LEDGER-4.
    pub(crate) fn forced(&mut self, name: &NodeName, permit: PermitKind, node_silent: bool) -> Result<(), Rejection> {
        self.knows_permit(permit)?;
        self.node_mut(name)?;
        if self.node_order.len() != 2 {
            return Err(Rejection::NotAPair { count: self.node_order.len() });
        }
        if self.voters.iter().any(|voter| &voter.name == name) {
            return Err(Rejection::StillVoter { node: name.clone() });
        }
        self.set_lost(name);
        let own_word = permit == PermitKind::Resigned;
        // Whoever is off mounts nothing.
        let stopped = own_word || permit == PermitKind::Fenced;
        for resource in self.active_on(name).cloned().collect::<Vec<_>>() {
            let cleared = match self.spec(&resource).map(|spec| &spec.kind) {
                Some(ResourceKind::Address(_)) => true,
                Some(ResourceKind::Script) => permit != PermitKind::Watchdog || node_silent,
                // Two nodes that mount one file system destroy it: silence of the node's own address is the least.
                Some(ResourceKind::Filesystem { .. }) | None => stopped || node_silent,
            };
            if cleared {
                self.clear_flag(&resource, name);
                self.states.remove(&(resource, name.clone()));
            }
        }
        if !own_word {
            self.ask_the_wire();
        }
        self.note(format!("{name} is lost; went on alone under permit {permit}"));
        Ok(())
    }

    /// R-TAKE-6: every address that no machine of the record is known to hold.
    fn ask_the_wire(&mut self) {
        let free: Vec<ResourceId> = self
            .model
            .resources()
            .filter(|(_, spec)| spec.address().is_some() && self.active_nodes(&spec.id).next().is_none())
            .map(|(_, spec)| spec.id.clone())
            .collect();
        self.check_wire.extend(free);
    }

    pub(crate) fn lost(&mut self, name: &NodeName, admission: Admission) -> Result<(), Rejection> {
        let node = self.node_mut(name)?;
        if node.member != MemberState::Admitted {
            return Err(Rejection::NotAdmitted { node: name.clone(), state: node.member.as_str() });
        }
        if node.admission != admission {
            return Err(Rejection::Admission { node: name.clone(), known: node.admission, named: admission });
        }
        self.set_lost(name);
        self.note(format!("{name} is lost"));
        Ok(())
    }

    /// R-LEASE-3: what names the old admission from now on is refused, everything else stays.
    pub(crate) fn renew(&mut self, name: &NodeName, admission: Admission) -> Result<(), Rejection> {
        let node = self.node_mut(name)?;
        if node.member != MemberState::Admitted {
            return Err(Rejection::NotAdmitted { node: name.clone(), state: node.member.as_str() });
        }
        if node.admission != admission {
            return Err(Rejection::Admission { node: name.clone(), known: node.admission, named: admission });
        }
        node.admission = admission.next();
        self.note(format!("{name} goes on under its next admission"));
        Ok(())
    }

    pub(crate) fn leased(
        &mut self,
        name: &NodeName,
        incarnation: Incarnation,
        epoch: &EpochName,
    ) -> Result<(), Rejection> {
        if !self.has_leases() {
            return Err(Rejection::NoLeases { count: self.voters.len() });
        }
        if *epoch != self.epoch {
            return Err(Rejection::AnotherEpoch { named: epoch.clone(), current: self.epoch.clone() });
        }
        let node = self.node_mut(name)?;
        if node.incarnation != incarnation {
            return Err(Rejection::Incarnation { node: name.clone(), known: node.incarnation, named: incarnation });
        }
        node.leased = true;
        Ok(())
    }

    /// R-TAKE-2: flags up to the entry that declared the node lost, and of native addresses alone.
    pub(crate) fn proven(
        &mut self,
        name: &NodeName,
        admission: Admission,
        addresses: &BTreeSet<ResourceId>,
    ) -> Result<(), Rejection> {
        let node = self.lost_under_lease(name, admission)?;
        let lost = AssignmentId(node.lost.0);
        let clears = |id: &&ResourceId| {
            self.spec(id).is_some_and(|spec| spec.address().is_some())
                && self.flag(id, name).is_some_and(|flag| flag <= lost)
        };
        for resource in addresses.iter().filter(clears).cloned().collect::<Vec<_>>() {
            self.clear_flag(&resource, name);
            self.states.remove(&(resource.clone(), name.clone()));
            if self.model.resource(&resource).is_some() {
                self.check_wire.insert(resource);
            }
        }
        self.note(format!("the lease of {name} has ended beyond doubt"));
        Ok(())
    }

    /// A node that time can prove something of (R-LEASE-4).
    fn lost_under_lease(&mut self, name: &NodeName, admission: Admission) -> Result<&NodeRecord, Rejection> {
        if !self.has_leases() {
            return Err(Rejection::NoLeases { count: self.voters.len() });
        }
        let node = self.node_mut(name)?;
        if node.member != MemberState::Lost {
            return Err(Rejection::NotLost { node: name.clone(), state: node.member.as_str() });
        }
        if node.admission != admission {
            return Err(Rejection::Admission { node: name.clone(), known: node.admission, named: admission });
        }
        if !node.leased {
            return Err(Rejection::NotLeased { node: name.clone() });
        }
        Ok(node)
    }

    /// R-LEASE-7: who has lost its watchdog says so whether it takes part or not.
    pub(crate) fn watched(
        &mut self,
        name: &NodeName,
        incarnation: Incarnation,
        timeout_ms: Option<u32>,
    ) -> Result<(), Rejection> {
        self.spoken_from(WATCHED_FROM)?;
        let node = self.node_mut(name)?;
        if timeout_ms.is_some() && node.member != MemberState::Admitted {
            return Err(Rejection::NotAdmitted { node: name.clone(), state: node.member.as_str() });
        }
        if node.incarnation != incarnation {
            return Err(Rejection::Incarnation { node: name.clone(), known: node.incarnation, named: incarnation });
        }
        node.watchdog_ms = timeout_ms;
        Ok(())
    }

    /// R-TAKE-2: flags up to the entry that declared the node lost. Addresses are asked for on the wire all the same.
    pub(crate) fn reset(&mut self, name: &NodeName, admission: Admission) -> Result<(), Rejection> {
        self.spoken_from(WATCHED_FROM)?;
        let node = self.lost_under_lease(name, admission)?;
        if node.watchdog_ms.is_none() {
            return Err(Rejection::NotWatched { node: name.clone() });
        }
        let lost = AssignmentId(node.lost.0);
        self.clear_flags(name, lost);
        self.note(format!("the watchdog of {name} has reset it beyond doubt"));
        Ok(())
    }

    /// What may be active on a machine that is off, or was, up to an entry. Who answers for an address all the same is
    /// found out on the wire (R-TAKE-6).
    fn clear_flags(&mut self, name: &NodeName, last: AssignmentId) {
        let old = |id: &&ResourceId| self.flag(id, name).is_some_and(|flag| flag <= last);
        for resource in self.active_on(name).filter(old).cloned().collect::<Vec<_>>() {
            self.clear_flag(&resource, name);
            self.states.remove(&(resource.clone(), name.clone()));
            if self.model.resource(&resource).is_some_and(|(_, spec)| spec.address().is_some()) {
                self.check_wire.insert(resource);
            }
        }
    }

    pub(crate) fn resigned(&mut self, name: &NodeName, admission: Admission) -> Result<(), Rejection> {
        let node = self.node_mut(name)?;
        if !matches!(node.member, MemberState::Lost | MemberState::Left) {
            return Err(Rejection::NotLost { node: name.clone(), state: node.member.as_str() });
        }
        if node.admission != admission {
            return Err(Rejection::Admission { node: name.clone(), known: node.admission, named: admission });
        }
        node.identity = None;
        node.leased = false;
        for resource in self.active_on(name).cloned().collect::<Vec<_>>() {
            self.clear_flag(&resource, name);
            self.states.remove(&(resource, name.clone()));
        }
        self.note(format!("{name} came up without its state and runs nothing"));
        Ok(())
    }

    /// R-TAKE-1: flags up to the entry that declared the node lost, or to what was known when the order was given.
    pub(crate) fn fenced(
        &mut self,
        name: &NodeName,
        admission: Admission,
        how: &str,
        upto: Index,
    ) -> Result<(), Rejection> {
        self.spoken_from(FENCED_FROM)?;
        let node = self.node_mut(name)?;
        if node.member != MemberState::Lost {
            return Err(Rejection::NotGone { node: name.clone(), state: node.member.as_str() });
        }
        if node.admission != admission {
            return Err(Rejection::Admission { node: name.clone(), known: node.admission, named: admission });
        }
        let last = AssignmentId(node.lost.max(upto).0);
        self.clear_flags(name, last);
        self.note(format!("{name} is off, or was: {how}"));
        Ok(())
    }

    fn set_lost(&mut self, name: &NodeName) {
        let index = self.applied;
        if let Some(node) = self.nodes.get_mut(name) {
            node.member = MemberState::Lost;
            node.lost = index;
            node.probed = false;
        }
        self.release(name);
    }

    /// Nothing is assigned to a node that is gone, and what somebody asked for because of it is over.
    fn release(&mut self, name: &NodeName) {
        let assignments = &self.assignments;
        self.placements.retain(|group, placement| {
            placement.to.as_ref() != Some(name)
                && placement.away_from.as_ref() != Some(name)
                && assignments.get(group).is_none_or(|assignment| &assignment.node != name)
        });
        self.assignments.retain(|_, assignment| &assignment.node != name);
    }

    pub(crate) fn left(&mut self, name: &NodeName) -> Result<(), Rejection> {
        self.node_mut(name)?;
        if let Some(resource) = self.active_on(name).next().cloned() {
            return Err(Rejection::StillActive { resource, node: name.clone() });
        }
        let node = self.node_mut(name)?;
        node.member = MemberState::Left;
        node.probed = false;
        node.unclean = None;
        self.release(name);
        self.states.retain(|(_, on), _| on != name);
        self.note(format!("{name} stopped in order"));
        Ok(())
    }

    pub(crate) fn unclean(
        &mut self,
        name: &NodeName,
        reason: &str,
        running: &[ResourceId],
        identity: Option<NodeIdentity>,
    ) -> Result<(), Rejection> {
        let index = self.applied;
        let may_be_new = self.may_be_bound_anew(name);
        let node = self.node_mut(name)?;
        if may_be_new {
            // What it says that it runs is the new machine's own: the flags below must not keep it out (R-LEDGER-3).
            node.identity = identity.or(node.identity);
        }
        node.unclean = Some(Unclean { reason: reason.to_string(), index });
        self.release(name);
        // What this record does not know nobody could report on by name; the loser stops it by its own record.
        let known: Vec<&ResourceId> = running.iter().filter(|resource| self.spec(resource).is_some()).collect();
        for resource in known {
            let flag = self.may_be_active.entry((resource.clone(), name.clone())).or_default();
            *flag = (*flag).max(AssignmentId(index.0));
        }
        self.note(format!("{name} is unclean: {reason}"));
        Ok(())
    }

    pub(crate) fn confirmed(&mut self, name: &NodeName) -> Result<(), Rejection> {
        if self.node_mut(name)?.unclean.is_none() {
            return Err(Rejection::NotUnclean { node: name.clone() });
        }
        if let Some(resource) = self.active_on(name).next().cloned() {
            return Err(Rejection::StillActive { resource, node: name.clone() });
        }
        self.node_mut(name)?.unclean = None;
        self.note(format!("{name} is clean again"));
        Ok(())
    }

    pub(crate) fn standing(
        &mut self,
        name: &NodeName,
        unservable: &BTreeSet<ResourceId>,
        pings: (u16, u16),
    ) -> Result<(), Rejection> {
        let known: BTreeSet<ResourceId> =
            unservable.iter().filter(|id| self.model.resource(id).is_some()).cloned().collect();
        let node = self.node_mut(name)?;
        if node.member != MemberState::Admitted {
            return Err(Rejection::NotAdmitted { node: name.clone(), state: node.member.as_str() });
        }
        node.unservable = known;
        node.pings = pings;
        Ok(())
    }

    pub(crate) fn begin_epoch(
        &mut self,
        name: &EpochName,
        voters: &[Voter],
        permit: Option<PermitKind>,
    ) -> Result<(), Rejection> {
        permit.map_or(Ok(()), |permit| self.knows_permit(permit))?;
        if name.number <= self.epoch.number {
            return Err(Rejection::EpochNumber { name: name.clone(), current: self.epoch.clone() });
        }
        let names: BTreeSet<&NodeName> = voters.iter().map(|voter| &voter.name).collect();
        if names.len() != voters.len() || voters.is_empty() || voters.len() > VOTERS_MAX {
            return Err(Rejection::Voters { count: voters.len() });
        }
        for voter in voters {
            let known = self.nodes.get(&voter.name).and_then(|node| node.identity);
            if let Some(known) = known.filter(|known| *known != voter.identity) {
                return Err(Rejection::Identity { node: voter.name.clone(), known, offered: voter.identity });
            }
        }
        let before = core::mem::replace(&mut self.epoch, name.clone());
        self.lineage.insert(0, before);
        self.lineage.truncate(LINEAGE);
        self.voters = voters.to_vec();
        self.permit = permit;
        if !self.has_leases() {
            // In a smaller epoch nobody's right ends with a lease: nobody is bound by one (R-LEASE-4).
            self.nodes.values_mut().for_each(|node| node.leased = false);
        }
        let list: Vec<&str> = voters.iter().map(|voter| voter.name.as_str()).collect();
        let permit = permit.map_or(String::new(), |permit| format!(", under permit {permit}"));
        self.note(format!("epoch {name} of {}{permit}", list.join(" and ")));
        Ok(())
    }

    /// R-LEDGER-9: each request once, and only of the run that the record admitted, so that one number per node is
    /// enough to know.
    pub(crate) fn request(&mut self, request: &RequestId) -> Result<(), Rejection> {
        let node = self.node_mut(&request.origin)?;
        let (run, number) = (node.incarnation, request.number);
        let seen = self.requests.get(&request.origin).filter(|(of, _)| *of == run).map_or(0, |(_, seen)| *seen);
        if request.incarnation != run || number <= seen {
            return Err(Rejection::RequestSpent { request: request.clone() });
        }
        self.requests.insert(request.origin.clone(), (run, number));
        Ok(())
    }

    /// Clears one flag whatever its id, and lets go of an orphan that has none left (R-TAKE-9).
    pub(crate) fn clear_flag(&mut self, resource: &ResourceId, node: &NodeName) {
        self.may_be_active.remove(&(resource.clone(), node.clone()));
        if self.active_nodes(resource).next().is_none() {
            self.orphans.remove(resource);
            if self.model.resource(resource).is_none() {
                self.states.retain(|(id, _), _| id != resource);
                self.failures.retain(|(id, _, _), _| id != resource);
            }
        }
    }
}
