//! The state of the cluster as one node sees it; `hearth status --json` prints it as it is.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Everything that a status command shows. The first thing to look at is `summary`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of this layout; rises only when a field changes its meaning.
    pub schema: u32,
    /// One sentence: what matters most now.
    pub summary: String,
    /// `ok`, `degraded` (runs, but one fault away from an outage) or `failed` (something that should run does not).
    pub health: String,
    /// What the configured permits do not protect from (R-PAIR-4).
    pub protection: String,
    /// Who answers.
    pub local: String,
    /// Cluster name.
    pub cluster: String,
    /// Version of the daemon.
    pub version: String,
    /// The DC, if one is known.
    pub dc: Option<String>,
    /// Whether the record can change now.
    pub quorum: bool,
    /// Epoch name, and how it came about.
    pub epoch: Option<EpochStatus>,
    /// Index of the record's last applied entry.
    pub applied: u64,
    /// Wire version in use (R-WIRE-6); none before the first epoch.
    #[serde(default)]
    pub wire: Option<u8>,
    /// Wall time of this answer, milliseconds since 1970.
    pub wall_ms: u64,
    /// Wall time of the last change of the record, its cause and author.
    pub last_change: Option<LastChange>,
    /// All nodes in ha.cf order.
    pub nodes: Vec<NodeView>,
    /// All groups in haresources order.
    pub groups: Vec<GroupView>,
    /// All resources, flat: id, agent, state, node.
    pub resources: Vec<ResourceView>,
    /// Ping nodes and groups.
    pub pings: Vec<PingView>,
    /// Failed operations, newest first.
    pub failures: Vec<FailureView>,
    /// What somebody should know: split found, clone of a node, refused packets, differing files ...
    pub notes: Vec<String>,
    /// Addresses that wait because another machine answers for them.
    pub waiting: Vec<WaitView>,
    /// Fence devices and what they did; none: no device is configured.
    #[serde(default)]
    pub fencing: Option<FencingView>,
}

/// Fence devices, as this node sees them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FencingView {
    /// All devices in the order in which they are tried.
    pub devices: Vec<DeviceView>,
    /// Whether this node may fence now (R-PAIR-3).
    pub may_fence: bool,
    /// Machines that are being fenced, a sentence each.
    pub under_way: Vec<String>,
    /// Orders of this run of the daemon that ended, newest first.
    pub history: Vec<FenceView>,
}

/// One fence device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceView {
    /// Its type, numbered.
    pub name: String,
    /// Machines that it turns off.
    pub nodes: Vec<String>,
    /// Whether this node can use it.
    pub usable: bool,
    /// Whether it would work, by its last answer; none: it was not asked yet.
    pub works: Option<bool>,
    /// That answer.
    pub said: Option<String>,
    /// Milliseconds since then.
    pub checked_ms: Option<u64>,
    /// Milliseconds since the last good one.
    pub good_ms: Option<u64>,
}

/// One order to a fence device that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FenceView {
    /// Which machine.
    pub node: String,
    /// By which device.
    pub device: String,
    /// What the device was told: `off`, `reboot`, or `on` again.
    #[serde(default)]
    pub task: String,
    /// All devices that must work for it, itself among them; one: it is alone.
    #[serde(default)]
    pub level: Vec<String>,
    /// Whether with this the machine was known to be off.
    #[serde(default)]
    pub fenced: bool,
    /// Whether the device confirmed it.
    pub done: bool,
    /// What it said.
    pub said: String,
    /// Milliseconds since then.
    pub ago_ms: u64,
    /// Milliseconds that it took.
    pub took_ms: u64,
}

/// The epoch for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochStatus {
    /// Its name.
    pub name: String,
    /// Voters.
    pub voters: Vec<String>,
    /// Permit under which it was forced, if it was.
    pub permit: Option<String>,
}

/// The last change of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastChange {
    /// Wall time, milliseconds since 1970.
    pub wall_ms: u64,
    /// What.
    pub text: String,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// Name.
    pub name: String,
    /// `init`, `up`, `active`, `leaving`, `dead`, `one-way`, `never-seen`.
    pub state: String,
    /// Whether it takes part.
    pub online: bool,
    /// What it ran may still be active there, or it reported a heal that is not confirmed.
    pub unclean: bool,
    /// Whether it is this node.
    pub local: bool,
    /// Milliseconds since it was last heard; none for this node or never.
    pub heard_ms: Option<u64>,
    /// Links to it (for this node: its media).
    pub links: Vec<LinkView>,
    /// Ping targets that it reaches, of how many.
    pub pings: Option<(u16, u16)>,
    /// Addresses that it cannot serve for want of carrier.
    pub unservable: Vec<String>,
    /// The watchdog that it has armed: driver and timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<String>,
    /// Why it is as it is.
    pub reason: Option<String>,
}

/// One link to a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkView {
    /// `eth0 ucast 10.0.0.2`, `ttyS0 serial` ...
    pub name: String,
    /// `up` or `dead`.
    pub state: String,
    /// Lost packets of the last thousand, in thousandths.
    pub loss_permille: u32,
    /// Round trip in microseconds, none until known.
    pub rtt_us: Option<u64>,
    /// Jitter in microseconds.
    pub jitter_us: Option<u64>,
    /// Why it is dead or not open.
    pub trouble: Option<String>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupView {
    /// Name.
    pub id: String,
    /// `started`, `starting`, `stopping`, `stopped`, `failed`, `blocked`.
    pub state: String,
    /// Where.
    pub node: Option<String>,
    /// Nodes in order of preference.
    pub preferred: Vec<String>,
    /// Member ids in start order.
    pub resources: Vec<String>,
    /// Why it is there, or nowhere.
    pub reason: String,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceView {
    /// Id.
    pub id: String,
    /// `native:IPaddr`, `heartbeat:MailTo`, `lsb:apache2`.
    pub agent: String,
    /// `started`, `starting`, `stopping`, `stopped`, `failed`, `blocked`, `unknown`.
    pub state: String,
    /// Where it runs, or may be active.
    pub node: Option<String>,
    /// All nodes on which the record says that it may be active.
    pub may_be_active: Vec<String>,
    /// Group.
    pub group: String,
    /// For an address: whether this node's gate lets it answer.
    pub gate: Option<String>,
}

/// One ping node or group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PingView {
    /// Name.
    pub name: String,
    /// Whether it answers this node.
    pub reached: bool,
    /// Milliseconds since its last answer.
    pub heard_ms: Option<u64>,
}

/// One failed operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureView {
    /// Resource.
    pub resource: String,
    /// Node.
    pub node: String,
    /// Operation.
    pub action: String,
    /// Exit code, if there was one.
    pub code: Option<i32>,
    /// Last lines of its output.
    pub message: String,
    /// How often.
    pub count: u32,
    /// Wall time of the newest, milliseconds since 1970.
    pub wall_ms: u64,
    /// Milliseconds until it is forgotten if nothing fails again (`failure_timeout`); none: it counts until it is cleared.
    #[serde(default)]
    pub forgotten_in_ms: Option<u64>,
}

/// An address that is not taken yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitView {
    /// Resource.
    pub resource: String,
    /// Why.
    pub reason: String,
}
