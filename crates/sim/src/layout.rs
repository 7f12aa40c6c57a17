//! What a cluster is made of, and the files of its nodes.

use hearth_config::{
    AlertScript, Alerts, ClusterConfig, Config, FenceDevice, FenceKind, Fencing, Keys, Logging, Medium, Permits,
    PingTarget, SelfFence, Timing, WatchdogDevice,
};
use hearth_types::{
    AddressSpec, AgentClass, AutoFailback, GroupId, GroupSpec, NodeName, OnStopFail, OpTimeouts, ResourceId,
    ResourceKind, ResourceModel, ResourceSpec,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Milliseconds.
pub const fn ms(span: u64) -> Duration {
    Duration::from_millis(span)
}

/// Microseconds.
pub const fn us(span: u64) -> Duration {
    Duration::from_micros(span)
}

/// `a` to `z`, and then `za`, `zb`, ...
fn name(node: usize) -> NodeName {
    let letter = |number: usize| char::from(b'a' + number as u8);
    let name = if node < 26 { letter(node).to_string() } else { format!("z{}", letter(node - 26)) };
    NodeName::new(&name)
}

/// The two supplies of a machine.
pub const SIDES: [&str; 2] = ["left", "right"];

/// One link between all machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A network; the machines' interface on it is `ethN`.
    Network,
    /// A null-modem line between two machines.
    Serial {
        /// Bits per second.
        baud: u32,
    },
}

/// How many power supplies each machine has, and what the files say of their strips. A machine has power while one of its
/// supplies has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supplies {
    /// One, and no strip.
    One,
    /// Two, whose strips must both work (`fencing_topology a: left-a,right-a`).
    BothCount,
    /// Two, each of whose strips counts alone: files that are wrong.
    EachCounts,
}

/// A cluster before anything happened to it.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Its machines, in ha.cf order.
    pub names: Vec<NodeName>,
    /// Its links; the first is the network that clients use.
    pub links: Vec<LinkKind>,
    /// Whether networks are written as ucast (pairs only) and not as bcast.
    pub ucast: bool,
    /// Times.
    pub timing: Timing,
    /// `tiebreaker ping`.
    pub tiebreaker: bool,
    /// `tiebreaker disk`, on the disk that the machines share; then neither of the other two counts.
    pub tiebreaker_disk: bool,
    /// `unfenced_takeover`.
    pub unfenced: bool,
    /// Whether each machine's power switch is a fence device of the others; then nothing weaker is configured.
    pub stonith: bool,
    /// Power strips of the machines, as fence devices that are tried before their switches.
    pub supplies: Supplies,
    /// Whether the machines share a disk with slots, and that is a fence device (`stonith disk`); the timeout of the
    /// watchdogs must fit to that of the orders.
    pub shared_disk: bool,
    /// Whether groups go home by themselves.
    pub auto_failback: bool,
    /// Whether addresses answer only through the gate.
    pub gate: bool,
    /// Groups by variant of the files; variant 0 is what the machines begin with.
    pub variants: Vec<Vec<GroupSpec>>,
    /// Packets are really sealed and opened, so that corruption is of bytes.
    pub sealed: bool,
    /// Clocks drift by up to 2.4 %, each its own way; else none does.
    pub drift: bool,
    /// The machine that votes and runs nothing.
    pub witness: Option<usize>,
    /// A watchdog resets a machine whose daemon has armed it and not petted it for this long; none: no machine has one.
    pub watchdog: Option<Duration>,
    /// A machine's kernel resets it when its daemon says so, which it does that long after it lost the right to what it could
    /// not stop (`self_fence`); none: no machine does.
    pub self_fence: Option<Duration>,
    /// How long an order to a power switch may take.
    pub fence_timeout: Duration,
    /// Whether a script on every machine is told of what a person should know.
    pub alerts: bool,
    /// The machine that is added to the list of nodes or taken out of it between the faults.
    pub moving: Option<usize>,
    /// That machine is the last one, and in the beginning only its own files name it.
    pub is_to_come: bool,
}

impl Layout {
    /// Machines `a`, `b`, ... (at most 32) with two networks, a fast pair's times and no groups.
    pub fn new(nodes: usize) -> Layout {
        let names = (0..nodes).map(name).collect();
        Layout {
            names,
            links: vec![LinkKind::Network, LinkKind::Network],
            ucast: nodes == 2,
            timing: Timing {
                keepalive: ms(50),
                deadtime: ms(500),
                warntime: ms(250),
                initdead: ms(1500),
                deadping: ms(500),
                carrier_grace: ms(50),
                failure_timeout: None,
            },
            tiebreaker: false,
            tiebreaker_disk: false,
            unfenced: true,
            stonith: false,
            supplies: Supplies::One,
            shared_disk: false,
            auto_failback: false,
            gate: true,
            variants: vec![Vec::new()],
            sealed: false,
            drift: false,
            witness: None,
            watchdog: None,
            self_fence: None,
            fence_timeout: ms(1000),
            alerts: false,
            moving: None,
            is_to_come: false,
        }
    }

    /// Whom the files of a machine name in the beginning.
    pub fn named_by(&self, node: usize) -> Vec<NodeName> {
        let is_new = self.is_to_come && node + 1 == self.names.len();
        let count = self.names.len() - usize::from(self.is_to_come && !is_new);
        self.names[..count].to_vec()
    }

    /// What lets one machine of two go on alone, in files that name so many: of more there is none of it (R-LEDGER-4).
    pub fn permits(&self, names: usize) -> Permits {
        let some = names <= 2 && !self.is_exclusive();
        Permits { tiebreaker_ping: some && self.tiebreaker, unfenced: some && self.unfenced }
    }

    /// The disk of the tiebreaker, in files that name so many.
    pub fn disk_of(&self, names: usize) -> Option<String> {
        (self.tiebreaker_disk && names <= 2 && !self.is_fenced()).then(|| "/dev/shared".to_owned())
    }

    /// Number of the machine of that name.
    pub fn node(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known.as_str() == name)
    }

    /// The interface of a network link; none for a line.
    pub fn interface(&self, link: usize) -> Option<String> {
        match self.links.get(link)? {
            LinkKind::Network => Some(format!("eth{link}")),
            LinkKind::Serial { .. } => None,
        }
    }

    /// The address of a machine on a link.
    pub fn address(&self, node: usize, link: usize) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, link as u8, 1 + node as u8))
    }

    fn medium(&self, node: usize, link: usize) -> Medium {
        match self.links[link] {
            LinkKind::Serial { baud } => Medium::Serial { device: format!("/dev/ttyS{link}"), baud },
            LinkKind::Network if self.ucast => {
                let peer = self.address(1 - node, link);
                Medium::Ucast { interface: format!("eth{link}"), peer, port: 694 }
            }
            LinkKind::Network => Medium::Bcast { interface: format!("eth{link}"), port: 694 },
        }
    }

    /// Whether a lost machine is fenced before anything moves.
    pub fn is_fenced(&self) -> bool {
        self.stonith || self.shared_disk || self.supplies != Supplies::One
    }

    /// Whether no two can go on alone, even in a full split.
    pub fn is_exclusive(&self) -> bool {
        self.is_fenced() || self.tiebreaker_disk
    }

    /// Whether a machine that was left behind is off before anything but addresses moves.
    pub fn ends_what_is_lost(&self) -> bool {
        self.is_fenced() || (self.tiebreaker_disk && self.watchdog.is_some())
    }

    /// The power strips and the switch of each machine, as devices that all others can use.
    fn fencing(&self) -> Fencing {
        let device = |kind: &str, name: &NodeName| FenceDevice {
            name: format!("{kind}-{name}"),
            program: "/usr/sbin/fence_switch".into(),
            kind: FenceKind::Agent,
            user: None,
            barred: Default::default(),
            targets: [(name.clone(), String::new())].into(),
            stays_off: false,
            params: Vec::new(),
        };
        let disk = FenceDevice {
            name: "disk".into(),
            program: "/dev/shared".into(),
            kind: FenceKind::Disk,
            targets: self.names.iter().map(|name| (name.clone(), String::new())).collect(),
            ..device("disk", &self.names[0])
        };
        let strips: &[&str] = if self.supplies == Supplies::One { &[] } else { &SIDES };
        let kinds: Vec<&str> = strips.iter().copied().chain(self.stonith.then_some("switch")).collect();
        let devices: Vec<FenceDevice> =
            self.names.iter().flat_map(|name| kinds.iter().map(move |kind| device(kind, name))).collect();
        let levels = |number: usize| {
            let mut alone: Vec<Vec<usize>> = (0..kinds.len()).map(|at| vec![number * kinds.len() + at]).collect();
            if self.supplies == Supplies::BothCount {
                let right = alone.remove(1);
                alone[0].extend(right);
            }
            alone
        };
        let names = self.names.iter().enumerate().filter(|_| self.supplies != Supplies::One);
        let topology = names.map(|(number, name)| (name.clone(), levels(number))).collect();
        let devices = devices.into_iter().chain(self.shared_disk.then_some(disk)).collect();
        Fencing { devices, timeout: self.fence_timeout, topology }
    }

    /// The files of a machine in one variant.
    pub fn config(&self, node: usize, variant: usize) -> Config {
        let router = PingTarget { name: "router".into(), addresses: vec![IpAddr::from([10, 0, 0, 254])] };
        let nodes = self.named_by(node);
        Config {
            cluster: ClusterConfig {
                name: "sim".into(),
                local: self.names[node].clone(),
                permits: self.permits(nodes.len()),
                tiebreaker_disk: self.disk_of(nodes.len()),
                nodes,
                media: (0..self.links.len()).map(|link| self.medium(node, link)).collect(),
                ping_targets: if self.tiebreaker { vec![router] } else { Vec::new() },
                timing: self.timing,
                fencing: self.fencing(),
                gate: self.gate,
                realtime: false,
                rtprio: 1,
                watchdog: self.watchdog.map(|timeout| WatchdogDevice { device: "/dev/watchdog".into(), timeout }),
                self_fence: self.self_fence.map(|within| SelfFence { within: Some(within) }),
                record: None,
                wire_version: hearth_wire::NEWEST_VERSION,
                logging: Logging::default(),
                env: BTreeMap::new(),
                alerts: self.alerts(),
            },
            resources: ResourceModel {
                groups: self.variants[variant].clone(),
                auto_failback: if self.auto_failback { AutoFailback::On } else { AutoFailback::Off },
                witnesses: self.witness.map(|node| self.names[node].clone()).into_iter().collect(),
            },
            keys: Keys { signing: 1, keys: BTreeMap::new() },
        }
    }

    fn alerts(&self) -> Alerts {
        let script = AlertScript { program: "/etc/ha.d/alert".into(), recipients: Vec::new() };
        Alerts { scripts: self.alerts.then_some(script).into_iter().collect(), ..Alerts::default() }
    }

    /// All resources of all variants, each once.
    pub fn resources(&self) -> Vec<ResourceSpec> {
        let mut all: BTreeMap<ResourceId, ResourceSpec> = BTreeMap::new();
        for spec in self.variants.iter().flatten().flat_map(|group| &group.resources) {
            all.entry(spec.id.clone()).or_insert_with(|| spec.clone());
        }
        all.into_values().collect()
    }
}

/// An address on the first network.
///
/// # Panics
/// When `ip` is none.
pub fn address(ip: &str) -> ResourceSpec {
    let parsed: IpAddr = ip.parse().expect("an address");
    ResourceSpec {
        id: ResourceId::from(ip),
        class: AgentClass::Native,
        agent: "IPaddr".into(),
        args: vec![ip.into()],
        kind: ResourceKind::Address(AddressSpec {
            ip: parsed,
            prefix: Some(24),
            interface: Some("eth0".into()),
            label: None,
            broadcast: None,
        }),
        owns: [format!("address:{ip}")].into(),
        timeouts: OpTimeouts { start: ms(1000), stop: ms(1000), monitor: ms(1000) },
        monitor: Some(ms(2000)),
        on_stop_fail: OnStopFail::Block,
        wire_check: true,
    }
}

/// A script of resource.d.
pub fn script(name: &str) -> ResourceSpec {
    ResourceSpec {
        id: ResourceId::from(name),
        class: AgentClass::Heartbeat,
        agent: name.into(),
        args: Vec::new(),
        kind: ResourceKind::Script,
        owns: [format!("script:{name}")].into(),
        ..address("10.0.0.1")
    }
}

/// A mounted file system.
pub fn filesystem(directory: &str) -> ResourceSpec {
    let device = format!("/dev/{}", directory.trim_start_matches('/'));
    let owns = [format!("device:{device}"), format!("mount:{directory}")].into();
    ResourceSpec {
        id: ResourceId::from(directory),
        agent: "Filesystem".into(),
        kind: ResourceKind::Filesystem {
            device,
            directory: directory.into(),
            fstype: "ext4".into(),
            options: String::new(),
        },
        owns,
        ..address("10.0.0.1")
    }
}

/// A group, named by its first resource.
///
/// # Panics
/// When it has no resources.
pub fn group(preferred: &[&str], resources: Vec<ResourceSpec>) -> GroupSpec {
    GroupSpec {
        id: GroupId::from(resources[0].id.as_str()),
        preferred: preferred.iter().map(|name| NodeName::new(name)).collect(),
        resources,
    }
}
