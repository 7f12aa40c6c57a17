//! The typed value of the three files.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use hearth_types::{NodeName, ResourceModel};
use serde::{Deserialize, Serialize};

/// Everything that the three files say, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// ha.cf.
    pub cluster: ClusterConfig,
    /// haresources.
    pub resources: ResourceModel,
    /// authkeys. Never serialised: whatever is written down of a node is read by others than those who may sign.
    #[serde(skip)]
    pub keys: Keys,
}

impl Config {
    /// Whether addresses on this machine answer only through the kernel gate (R-LEASE-8). A witness holds none: any kernel
    /// is good enough for it.
    pub fn is_gated(&self) -> bool {
        self.cluster.gate && !self.resources.is_witness(&self.cluster.local)
    }
}

/// What ha.cf says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterConfig {
    /// Name of the cluster (`cluster`), part of every tag (R-WIRE-2, R-WIRE-5). Default `linux-ha`.
    pub name: String,
    /// This machine.
    pub local: NodeName,
    /// All machines in file order, this one included; one to 32.
    pub nodes: Vec<NodeName>,
    /// Media in file order; the position is the [`hearth_types::LinkId`].
    pub media: Vec<Medium>,
    /// Ping nodes and groups in file order.
    pub ping_targets: Vec<PingTarget>,
    /// Times.
    pub timing: Timing,
    /// What lets one of two go on alone.
    pub permits: Permits,
    /// `tiebreaker disk`: path of the disk on which one of two claims to go on alone. No weaker permit is used beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiebreaker_disk: Option<String>,
    /// Whether native addresses answer only through the kernel gate (R-LEASE-8). Default true.
    pub gate: bool,
    /// SCHED_RR and mlock for the heartbeat thread. Default true.
    pub realtime: bool,
    /// Its priority.
    pub rtprio: u8,
    /// What resets this machine when it cannot stop what it lost the right to (R-LEASE-6). None: nothing does.
    #[serde(default)]
    pub watchdog: Option<WatchdogDevice>,
    /// The same without a watchdog: the kernel resets this machine when a stop fails (`self_fence`). No other machine goes by
    /// it. None: nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_fence: Option<SelfFence>,
    /// Bytes kept of what this node is told (`record`); none: nothing is recorded. Default 8 MiB.
    pub record: Option<u64>,
    /// Where log lines go.
    pub logging: Logging,
    /// Newest wire version that this node speaks (R-WIRE-6): the newest of this hearthd, or `wire_version`, with which
    /// a node can be held back so that an older package can still be put in its place. Read of each node alone.
    /// A configuration that does not say it is a recorded one, of a daemon that spoke the oldest only (decision 0026).
    #[serde(default = "oldest_wire_version")]
    pub wire_version: u8,
    /// Fence devices (`stonith`, `stonith_host`).
    #[serde(default)]
    pub fencing: Fencing,
    /// `env NAME=VALUE`: handed to scripts as HA_NAME.
    pub env: BTreeMap<String, String>,
    /// Who is told of what a person should know (`alert`). Read of each node alone.
    #[serde(default)]
    pub alerts: Alerts,
}

/// The `alert` lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alerts {
    /// In the order of their lines.
    pub scripts: Vec<AlertScript>,
    /// `timeout alert`: the longest that one of them may run for one alert. Default 30 s.
    pub timeout: Duration,
}

impl Default for Alerts {
    fn default() -> Self {
        Alerts { scripts: Vec::new(), timeout: Duration::from_secs(30) }
    }
}

impl Alerts {
    /// Each script with each of its recipients; one without any stands once, with none.
    pub fn receivers(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.scripts.iter().flat_map(|script| {
            let alone = script.recipients.is_empty().then_some(None);
            let each = script.recipients.iter().map(|recipient| Some(recipient.as_str()));
            alone.into_iter().chain(each).map(|recipient| (script.program.as_str(), recipient))
        })
    }
}

/// One `alert` line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertScript {
    /// The program, by its full path.
    pub program: String,
    /// It is run once for each of them; none: once, and told none.
    pub recipients: Vec<String>,
}

/// The `watchdog` line. Read of each node alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchdogDevice {
    /// Path of the device.
    pub device: String,
    /// What it is asked for, in whole seconds; what counts is what it says then. Default 10 s.
    pub timeout: Duration,
}

/// The `self_fence` line. Read of each node alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfFence {
    /// How long stopping may take; none: as the timeouts of the agents say ([`crate::self_fence_budget`]).
    pub within: Option<Duration>,
}

/// Times of membership. All are spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// K.
    pub keepalive: Duration,
    /// D.
    pub deadtime: Duration,
    /// A heartbeat later than this is reported.
    pub warntime: Duration,
    /// Replaces deadtime from daemon start until a peer's first packet (R-MEM-8).
    pub initdead: Duration,
    /// Silence after which a ping node is dead.
    pub deadping: Duration,
    /// How long a carrier must be gone before the group moves (R-MEM-7). Default 50 ms.
    pub carrier_grace: Duration,
    /// How long a failed start or monitor counts without another one (`failure_timeout`); none: until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_timeout: Option<Duration>,
}

impl Timing {
    /// L = 4/5 D, the span of a lease.
    #[inline]
    pub fn lease(&self) -> Duration {
        self.deadtime * 4 / 5
    }
}

/// One heartbeat medium.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// One peer by address. A line that names this machine stays in the list and carries nothing.
    Ucast {
        /// Interface.
        interface: String,
        /// The peer.
        peer: IpAddr,
        /// UDP port.
        port: u16,
    },
    /// IPv4 broadcast on one interface.
    Bcast {
        /// Interface.
        interface: String,
        /// UDP port.
        port: u16,
    },
    /// IPv4 multicast.
    Mcast {
        /// Interface.
        interface: String,
        /// Group.
        group: Ipv4Addr,
        /// UDP port.
        port: u16,
        /// Time to live.
        ttl: u8,
        /// Whether own packets come back.
        loopback: bool,
    },
    /// IPv6 multicast.
    Mcast6 {
        /// Interface.
        interface: String,
        /// Group.
        group: Ipv6Addr,
        /// UDP port.
        port: u16,
        /// Hop limit.
        hops: u8,
        /// Whether own packets come back.
        loopback: bool,
    },
    /// Null-modem line.
    Serial {
        /// Device.
        device: String,
        /// Bits per second.
        baud: u32,
    },
}

/// Something that is asked by ICMP echo whether the network is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingTarget {
    /// Its name: the host as written, or the group's name.
    pub name: String,
    /// It is reached when one of these answers.
    pub addresses: Vec<IpAddr>,
}

/// Devices that can turn machines off (STONITH), and how long one may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fencing {
    /// In the order of their lines, which is the order in which they are tried.
    pub devices: Vec<FenceDevice>,
    /// `timeout fence`: the longest that one order to one device may take. Default 20 s.
    pub timeout: Duration,
    /// `fencing_topology`: the levels for a machine, first choice first, each with the positions of devices that must all
    /// work. A machine that is not named there has all devices in their order, each alone.
    #[serde(default)]
    pub topology: BTreeMap<NodeName, Vec<Vec<usize>>>,
}

impl Default for Fencing {
    fn default() -> Self {
        Fencing { devices: Vec::new(), timeout: Duration::from_secs(20), topology: BTreeMap::new() }
    }
}

impl Fencing {
    /// Whether any device is configured: then no weaker permit is used (R-PAIR-1).
    pub fn is_configured(&self) -> bool {
        !self.devices.is_empty()
    }

    /// The shared disk on which machines are told to end themselves, if there is one (`stonith disk`).
    pub fn disk(&self) -> Option<&FenceDevice> {
        self.devices.iter().find(|device| device.kind == FenceKind::Disk)
    }

    /// The levels for a machine, whoever uses them, first choice first: positions of devices that must all work.
    pub fn written(&self, target: &NodeName) -> Vec<Vec<usize>> {
        let all = || (0..self.devices.len()).map(|position| Vec::from([position])).collect();
        let mut levels: Vec<Vec<usize>> = self.topology.get(target).cloned().unwrap_or_else(all);
        let covers = |position: &usize| self.devices.get(*position).is_some_and(|it| it.targets.contains_key(target));
        levels.retain(|level| !level.is_empty() && level.iter().all(covers));
        levels
    }

    /// The same of which `user` can use every device.
    pub fn levels(&self, user: &NodeName, target: &NodeName) -> Vec<Vec<usize>> {
        let usable = |position: &usize| self.devices.get(*position).is_some_and(|it| it.is_usable_by(user));
        let mut levels = self.written(target);
        levels.retain(|level| user != target && level.iter().all(usable));
        levels
    }

    /// How many orders to turn `target` off `user` gives one after the other, at worst, before every level was tried.
    pub fn orders(&self, user: &NodeName, target: &NodeName) -> u32 {
        u32::try_from(self.levels(user, target).iter().map(Vec::len).sum::<usize>()).unwrap_or(u32::MAX)
    }
}

/// One device that can turn machines off.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceDevice {
    /// Its type, with a number behind it where the type stands more than once: `fence_ipmilan`, `fence_ipmilan#2`.
    pub name: String,
    /// The program, by its full path; of a shared disk the device.
    pub program: String,
    /// How it is spoken to.
    pub kind: FenceKind,
    /// The only machine that can use it; none: every machine.
    pub user: Option<NodeName>,
    /// Machines that cannot use it.
    #[serde(default)]
    pub barred: BTreeSet<NodeName>,
    /// Machines that it can turn off, with the name of each there.
    pub targets: BTreeMap<NodeName, String>,
    /// Whether a fenced machine is left off.
    pub stays_off: bool,
    /// What the program is told besides. Never serialised: among it are passwords.
    #[serde(skip)]
    pub params: Vec<(String, String)>,
}

impl FenceDevice {
    /// Whether that machine can use it.
    pub fn is_usable_by(&self, user: &NodeName) -> bool {
        self.user.as_ref().is_none_or(|only| only == user) && !self.barred.contains(user)
    }
}

impl core::fmt::Debug for FenceDevice {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FenceDevice").field("name", &self.name).field("targets", &self.targets).finish_non_exhaustive()
    }
}

/// How the program of a fence device is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FenceKind {
    /// `fence_*` of fence-agents: options on standard input, a line each.
    Agent,
    /// `external/*` of cluster-glue: options in the environment, action and host as arguments.
    Plugin,
    /// A poison pill on a shared disk, whose path stands for the program: the machine itself must read it, or be reset by
    /// its watchdog.
    Disk,
}

/// What lets one machine of two go on alone (protocol section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permits {
    /// `tiebreaker ping`.
    pub tiebreaker_ping: bool,
    /// `unfenced_takeover`, default true; used only where no tiebreaker is configured (R-PAIR-1).
    pub unfenced: bool,
}

/// Where log lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// `debug` level: 0 none.
    pub debug: u8,
    /// `logfile`.
    pub logfile: Option<String>,
    /// `debugfile`.
    pub debugfile: Option<String>,
    /// `logfacility`, checked.
    pub facility: Option<String>,
}

/// What authkeys says. `Debug` never shows key text, and nothing serialises it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Index of the key that signs (`auth N`).
    pub signing: u8,
    /// All keys by index, for checking.
    pub keys: BTreeMap<u8, Key>,
}

/// One key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Method.
    pub method: KeyMethod,
    /// Key text as written; empty for crc.
    pub text: Vec<u8>,
}

/// Method of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyMethod {
    /// CRC-32 without key: authenticates nothing.
    Crc,
    /// HMAC-MD5.
    Md5,
    /// HMAC-SHA-1.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Keys").field("signing", &self.signing).field("keys", &self.keys).finish()
    }
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Key").field("method", &self.method).finish_non_exhaustive()
    }
}

fn oldest_wire_version() -> u8 {
    hearth_types::OLDEST_WIRE_VERSION
}
