//! What is random, and the cluster that is run: its files in two variants.

use hearth_config::{ClusterConfig, Config, Keys, Logging, Medium, Permits, PingTarget, Timing};
use hearth_types::{
    AddressSpec, AgentClass, AutoFailback, GroupId, GroupSpec, NodeName, OnStopFail, OpTimeouts, ResourceId,
    ResourceKind, ResourceModel, ResourceSpec,
};
use std::collections::BTreeMap;
use std::time::Duration;

pub const NAMES: [&str; 2] = ["a", "b"];
pub const INTERFACES: [&str; 2] = ["eth0", "eth1"];
pub const DEADTIME: Duration = ms(500);

pub const fn ms(span: u64) -> Duration {
    Duration::from_millis(span)
}

pub const fn us(span: u64) -> Duration {
    Duration::from_micros(span)
}

/// splitmix64.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(0x1234_5678))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    pub fn span(&mut self, from: Duration, to: Duration) -> Duration {
        from + Duration::from_nanos(self.below((to - from).as_nanos() as u64 + 1))
    }

    pub fn node(&mut self) -> usize {
        self.below(2) as usize
    }
}

/// What differs between runs apart from faults.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub tiebreaker: bool,
    pub unfenced: bool,
    pub auto_failback: bool,
}

pub fn address(ip: &str) -> ResourceSpec {
    let parsed: std::net::IpAddr = ip.parse().expect("a test's address");
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

fn group(preferred: &str, resources: Vec<ResourceSpec>) -> GroupSpec {
    GroupSpec { id: GroupId::from(resources[0].id.as_str()), preferred: vec![NodeName::new(preferred)], resources }
}

/// The groups of a variant of the files.
pub fn groups(variant: u8) -> Vec<GroupSpec> {
    let mut groups = vec![
        group("a", vec![address("10.0.0.50"), script("web"), script("log")]),
        group("b", vec![address("10.0.0.51")]),
        group("a", vec![script("db")]),
    ];
    match variant {
        1 => groups.push(group("b", vec![script("mail"), address("10.0.0.52")])),
        2 => {
            groups.remove(2);
        }
        _ => {}
    }
    groups
}

/// The files of a node.
pub fn config(node: usize, kind: Kind, variant: u8) -> Config {
    let medium = |interface: &str, last: u8| Medium::Ucast {
        interface: interface.into(),
        peer: std::net::IpAddr::from([10, 0, last, 9]),
        port: 694,
    };
    let router = PingTarget { name: "router".into(), addresses: vec![std::net::IpAddr::from([10, 0, 0, 254])] };
    Config {
        cluster: ClusterConfig {
            name: "test".into(),
            local: NodeName::new(NAMES[node]),
            nodes: NAMES.into_iter().map(NodeName::new).collect(),
            media: vec![medium(INTERFACES[0], 0), medium(INTERFACES[1], 1)],
            ping_targets: if kind.tiebreaker { vec![router] } else { Vec::new() },
            timing: Timing {
                keepalive: ms(50),
                deadtime: DEADTIME,
                warntime: ms(250),
                initdead: ms(1500),
                deadping: ms(500),
                carrier_grace: ms(50),
            },
            permits: Permits { tiebreaker_ping: kind.tiebreaker, unfenced: kind.unfenced },
            gate: true,
            realtime: false,
            rtprio: 1,
            record: None,
            logging: Logging::default(),
            env: BTreeMap::new(),
        },
        resources: ResourceModel {
            groups: groups(variant),
            auto_failback: if kind.auto_failback { AutoFailback::On } else { AutoFailback::Off },
        },
        keys: Keys { signing: 1, keys: BTreeMap::new() },
    }
}
