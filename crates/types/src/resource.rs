//! What should run: resources, groups and how each operation is limited.

use crate::address::AddressSpec;
use crate::name::{Text, name_type};
use crate::node::NodeName;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

name_type! {
    /// Name of one resource, unique in the record: as haresources wrote it (`10.0.0.50/24/eth0`,
    /// `Filesystem::/dev/sdb1::/srv::ext4`), with `#2` ... behind a repeated one.
    ResourceId
}
name_type! {
    /// Name of a group: the first resource of its haresources line, as Heartbeat keyed it.
    GroupId
}

impl From<&str> for ResourceId {
    fn from(text: &str) -> Self {
        ResourceId(Text::from(text))
    }
}
impl From<&str> for GroupId {
    fn from(text: &str) -> Self {
        GroupId(Text::from(text))
    }
}

/// How an agent is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentClass {
    /// In the daemon, without a fork (IPaddr, IPaddr2, IPv6addr, Filesystem).
    Native,
    /// Script of resource.d, called `SCRIPT args... action`; status is judged by its output.
    Heartbeat,
    /// Script of init.d, called `SCRIPT action`; status is judged by its exit code.
    Lsb,
}

impl fmt::Display for AgentClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            AgentClass::Native => "native",
            AgentClass::Heartbeat => "heartbeat",
            AgentClass::Lsb => "lsb",
        })
    }
}

/// What a resource is, as far as the safety rules care.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceKind {
    /// A native address behind the gate (R-LEASE-8).
    Address(AddressSpec),
    /// A native mount.
    Filesystem {
        /// Block device, `UUID=...`, `LABEL=...`, or an NFS source.
        device: String,
        /// Mount point.
        directory: String,
        /// File system type; empty lets the kernel's helpers find out.
        fstype: String,
        /// Options as mount(8) takes them, comma separated.
        options: String,
    },
    /// Anything that a script does.
    Script,
}

/// What happens after every stage of a stop has failed (R-TAKE-8). It never clears an exclusive resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStopFail {
    /// The resource stays where it may be active until a person or the peer's loss frees it.
    #[default]
    Block,
    /// The failure is reported and the group goes on; only for what is not exclusive.
    Ignore,
}

/// Longest time that each operation may take before it is ended by TERM, then KILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpTimeouts {
    /// Start.
    pub start: Duration,
    /// Stop, each of its stages.
    pub stop: Duration,
    /// Monitor and probe.
    pub monitor: Duration,
}

impl Default for OpTimeouts {
    fn default() -> Self {
        OpTimeouts { start: Duration::from_secs(60), stop: Duration::from_secs(60), monitor: Duration::from_secs(20) }
    }
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceSpec {
    /// Its name.
    pub id: ResourceId,
    /// How its agent is called.
    pub class: AgentClass,
    /// The agent's name: `IPaddr`, `Filesystem`, `apache2` ...
    pub agent: String,
    /// Arguments as haresources wrote them after `::`.
    pub args: Vec<String>,
    /// What it is.
    pub kind: ResourceKind,
    /// What it owns exclusively (R-TAKE-9): `address:10.0.0.50`, `device:/dev/sdb1`, `mount:/srv`, `script:NAME::ARGS`.
    pub owns: BTreeSet<String>,
    /// Limits of its operations.
    pub timeouts: OpTimeouts,
    /// Period of its monitor; none: not monitored.
    pub monitor: Option<Duration>,
    /// What a failed stop means.
    pub on_stop_fail: OnStopFail,
    /// Whether an address is asked for on the wire before it is taken (R-TAKE-6).
    pub wire_check: bool,
}

impl ResourceSpec {
    /// The address, if it is one.
    pub fn address(&self) -> Option<&AddressSpec> {
        match &self.kind {
            ResourceKind::Address(spec) => Some(spec),
            _ => None,
        }
    }
}

/// Resources that run together on one node: started in order, stopped in reverse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSpec {
    /// Its name.
    pub id: GroupId,
    /// Nodes in order of preference as the line wrote them; every other node of ha.cf follows in its order.
    pub preferred: Vec<NodeName>,
    /// Members in start order; never empty.
    pub resources: Vec<ResourceSpec>,
}

/// Whether a group returns to its preferred node by itself. `legacy` is read as `On`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutoFailback {
    /// Groups stay where they are (infinite stickiness).
    #[default]
    Off,
    /// Groups go home when their preferred node is back.
    On,
}

/// Everything that should run, as kept in the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceModel {
    /// Groups in file order.
    pub groups: Vec<GroupSpec>,
    /// Whether they go home.
    pub auto_failback: AutoFailback,
    /// Nodes that vote and run nothing (R-LEDGER-2), in file order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<NodeName>,
}

impl ResourceModel {
    /// All resources with their group.
    pub fn resources(&self) -> impl Iterator<Item = (&GroupSpec, &ResourceSpec)> {
        self.groups.iter().flat_map(|group| group.resources.iter().map(move |resource| (group, resource)))
    }

    /// Whether a node votes and runs nothing.
    pub fn is_witness(&self, node: &NodeName) -> bool {
        self.witnesses.contains(node)
    }

    /// The group of that name.
    pub fn group(&self, id: &GroupId) -> Option<&GroupSpec> {
        self.groups.iter().find(|group| &group.id == id)
    }

    /// The resource of that name and its group.
    pub fn resource(&self, id: &ResourceId) -> Option<(&GroupSpec, &ResourceSpec)> {
        self.resources().find(|(_, resource)| &resource.id == id)
    }
}
