//! The agreed state.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use hearth_types::{
    Admission, AssignmentId, EpochName, GroupId, Incarnation, Index, NodeIdentity, NodeName, OpAction, PermitKind,
    ResourceId, ResourceModel, ResourceSpec,
};
use serde::{Deserialize, Serialize};

use crate::{RequestId, list};

/// From so many voters on leases bind (protocol section 3).
pub const LEASE_VOTERS: usize = 3;

/// Ancestors that are kept of an epoch: what a heartbeat carries.
pub const LINEAGE: usize = 8;

/// Who votes in an epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Voter {
    /// Name.
    pub name: NodeName,
    /// Persisted identity.
    pub identity: NodeIdentity,
}

/// Whether a node takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// Listed in ha.cf, has never taken part.
    #[default]
    Out,
    /// Takes part.
    Admitted,
    /// Declared lost; what it ran may be active there as the flags say.
    Lost,
    /// Stopped in order; nothing may be active there.
    Left,
}

/// Why a node is unclean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unclean {
    /// For people.
    pub reason: String,
    /// The entry that said so.
    pub index: Index,
}

/// What the record holds of one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Identity bound to the name at the first admission (R-JOIN-5).
    pub identity: Option<NodeIdentity>,
    /// Number under which it takes part; rises with every admission, zero before the first.
    pub admission: Admission,
    /// Whether it takes part.
    pub member: MemberState,
    /// Its run at the last admission.
    pub incarnation: Incarnation,
    /// Whether it has reported a probe of everything under this admission.
    pub probed: bool,
    /// Number of its newest applied report in that run.
    pub reported: u64,
    /// Addresses that it cannot serve for want of carrier.
    pub unservable: BTreeSet<ResourceId>,
    /// Ping targets reached, and configured.
    pub pings: (u16, u16),
    /// Set while a healed split is not confirmed cleaned up there.
    pub unclean: Option<Unclean>,
    /// By its own word it keeps things only by a lease (R-LEASE-4); void in an epoch of fewer than three voters.
    #[serde(default)]
    pub leased: bool,
    /// By its own word, under this admission: the timeout in milliseconds of an armed watchdog of its hardware, which is
    /// not petted from the end of its lease until all that is leased has stopped (R-LEASE-6, R-TAKE-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog_ms: Option<u32>,
    /// The entry that last declared it lost; zero: never.
    #[serde(default)]
    pub lost: Index,
}

/// Where a group is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Where.
    pub node: NodeName,
    /// Index of the entry.
    pub id: AssignmentId,
    /// For people.
    pub reason: String,
}

/// What a node last reported of a resource on itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceState {
    /// It runs.
    Started,
    /// It does not run.
    Stopped,
    /// It ran, and then not, or not well; it is being started again or moved.
    Failed,
    /// A stop failed: it stays where it may be active (R-TAKE-8).
    Blocked,
    /// A probe gave no answer.
    Unknown,
}

/// Failures of one action of one resource on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How often, until cleared.
    pub count: u32,
    /// Exit code of the newest, if a process was involved.
    pub code: Option<i32>,
    /// What the agent said, at most 512 bytes.
    pub message: String,
    /// Entry of the newest.
    pub index: Index,
}

/// A placement that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedPlacement {
    /// To this node.
    pub to: Option<NodeName>,
    /// To any node but this.
    pub away_from: Option<NodeName>,
    /// Who asked, and how.
    pub by: String,
    /// The request.
    pub request: RequestId,
    /// Its entry.
    pub index: Index,
}

impl RequestedPlacement {
    /// Whether the group is where it was asked to be if it is on that node.
    pub fn allows(&self, node: &NodeName) -> bool {
        match &self.to {
            Some(to) => to == node,
            None => self.away_from.as_ref() != Some(node),
        }
    }
}

/// The newest entry that a person would call a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its index.
    pub index: Index,
    /// One sentence.
    pub text: String,
}

/// The agreed state: the same function of the same entries on every node (R-LEDGER-1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Name of the epoch.
    pub epoch: EpochName,
    /// Its ancestors, newest first, at most [`LINEAGE`].
    pub lineage: Vec<EpochName>,
    /// The permit under which the epoch was forced, if it was.
    pub permit: Option<PermitKind>,
    /// Who votes.
    pub voters: Vec<Voter>,
    /// Last applied entry, over all epochs.
    pub applied: Index,
    /// All machines.
    pub nodes: BTreeMap<NodeName, NodeRecord>,
    /// Their names in ha.cf order.
    pub node_order: Vec<NodeName>,
    /// What should run.
    pub model: ResourceModel,
    /// Digest of the resource part of the files it came from.
    pub digest: u64,
    /// Resources that left the model while they may be active somewhere (R-TAKE-9), as they were.
    pub orphans: BTreeMap<ResourceId, ResourceSpec>,
    /// Where groups are to run.
    pub assignments: BTreeMap<GroupId, Assignment>,
    /// Where resources may be active, and since which assignment (R-TAKE-1).
    #[serde(with = "list")]
    pub may_be_active: BTreeMap<(ResourceId, NodeName), AssignmentId>,
    /// What nodes last reported.
    #[serde(with = "list")]
    pub states: BTreeMap<(ResourceId, NodeName), ResourceState>,
    /// Failures.
    #[serde(with = "list")]
    pub failures: BTreeMap<(ResourceId, NodeName, OpAction), Failure>,
    /// Placements that somebody asked for.
    pub placements: BTreeMap<GroupId, RequestedPlacement>,
    /// Addresses whose flag was cleared without their old owner's word: the wire is asked before they are taken
    /// (R-TAKE-6). One leaves the set when a node reports it started.
    pub check_wire: BTreeSet<ResourceId>,
    /// Highest request applied of each origin, in its admitted run (R-LEDGER-9).
    pub requests: BTreeMap<NodeName, (Incarnation, u64)>,
    /// The newest change.
    pub last_change: Option<Change>,
    /// Wire version in use (R-WIRE-6). Records that do not say it are of the oldest, which is therefore not written.
    #[serde(default = "crate::wire::oldest", skip_serializing_if = "crate::wire::is_oldest")]
    pub wire_version: u8,
}

impl Record {
    /// The record of a first epoch, before any entry: no machines, no resources.
    pub fn found(epoch: EpochName, voters: Vec<Voter>) -> Record {
        Record {
            epoch,
            lineage: Vec::new(),
            permit: None,
            voters,
            applied: Index(0),
            nodes: BTreeMap::new(),
            node_order: Vec::new(),
            model: ResourceModel::default(),
            digest: 0,
            orphans: BTreeMap::new(),
            assignments: BTreeMap::new(),
            may_be_active: BTreeMap::new(),
            states: BTreeMap::new(),
            failures: BTreeMap::new(),
            placements: BTreeMap::new(),
            check_wire: BTreeSet::new(),
            requests: BTreeMap::new(),
            last_change: None,
            wire_version: crate::wire::oldest(),
        }
    }

    /// The group's members that are to run on the node, that is: the group is assigned there and the flag is set.
    /// None for a resource that is not wanted there; else the id under which it may be started.
    pub fn wants(&self, resource: &ResourceId, node: &NodeName) -> Option<AssignmentId> {
        let (group, _) = self.model.resource(resource)?;
        self.assignments.get(&group.id).filter(|assignment| &assignment.node == node)?;
        self.flag(resource, node)
    }

    /// The flag of a resource on a node: since which assignment it may be active there (R-TAKE-1).
    pub fn flag(&self, resource: &ResourceId, node: &NodeName) -> Option<AssignmentId> {
        self.may_be_active.get(&(resource.clone(), node.clone())).copied()
    }

    /// Nodes on which a resource may be active.
    pub fn active_nodes<'a>(&'a self, resource: &'a ResourceId) -> impl Iterator<Item = &'a NodeName> {
        self.may_be_active.keys().filter(move |(id, _)| id == resource).map(|(_, node)| node)
    }

    /// Resources that may be active on a node.
    pub fn active_on<'a>(&'a self, node: &'a NodeName) -> impl Iterator<Item = &'a ResourceId> {
        self.may_be_active.keys().filter(move |(_, holder)| holder == node).map(|(id, _)| id)
    }

    /// The lost node that a resource waits for: it may be active there, and no span of time proves that it is not
    /// (R-TAKE-2: of three and more, time clears addresses alone).
    pub fn waits_for_lost<'a>(&'a self, resource: &'a ResourceSpec) -> Option<&'a NodeName> {
        let lost = |node: &&NodeName| self.nodes.get(*node).is_some_and(|node| node.member == MemberState::Lost);
        self.active_nodes(&resource.id).filter(|_| self.has_leases() && resource.address().is_none()).find(lost)
    }

    /// The resource, also if it is an orphan.
    pub fn spec(&self, resource: &ResourceId) -> Option<&ResourceSpec> {
        self.model.resource(resource).map(|(_, spec)| spec).or_else(|| self.orphans.get(resource))
    }

    /// How often an action of a resource failed on a node since it was last cleared.
    pub fn failure_count(&self, resource: &ResourceId, node: &NodeName, action: OpAction) -> u32 {
        self.failures.get(&(resource.clone(), node.clone(), action)).map_or(0, |failure| failure.count)
    }

    /// Whether the node takes part.
    pub fn is_admitted(&self, node: &NodeName) -> bool {
        self.nodes.get(node).is_some_and(|node| node.member == MemberState::Admitted)
    }

    /// Whether leases bind in this epoch (protocol section 3).
    pub fn has_leases(&self) -> bool {
        self.voters.len() >= LEASE_VOTERS
    }

    /// How many of the voters are a majority.
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// Whether the epoch is `ancestor` or descends from it, as far back as the lineage goes.
    pub fn descends_from(&self, ancestor: &EpochName) -> bool {
        &self.epoch == ancestor || self.lineage.contains(ancestor)
    }
}
