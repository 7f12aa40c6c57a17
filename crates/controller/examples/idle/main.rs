//! What an idle cluster costs the core: nodes in virtual time, without any fault.
//!
//!     cargo run -p hearth-controller --example idle [NODES] [BEATS]
//!
//! prints, per node count, nanoseconds and allocations of one reception and of one beat. Under `valgrind
//! --tool=callgrind --toggle-collect='*Cluster::receive*'` (or `*Cluster::wake*`) the same program tells where they go, without the noise of the machine.

mod sys;

use hearth_config::{ClusterConfig, Config, Keys, Logging, Medium, Permits, Timing};
use hearth_controller::{Carrier, Controller, Input, Output, Start};
use hearth_types::{
    AddressSpec, AgentClass, AutoFailback, GroupId, GroupSpec, Incarnation, LinkId, NodeIdentity, NodeName, OnStopFail,
    OpAction, OpOutcome, OpResult, OpTimeouts, ResourceId, ResourceKind, ResourceModel, ResourceSpec, Timestamp,
};
use hearth_wire::Message;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

#[global_allocator]
static COUNTING: sys::Counting = sys::Counting;

/// From a medium's sender to its receivers.
const TRIP: Duration = Duration::from_micros(100);
/// Virtual time that a cluster gets to found its epoch and to start everything.
const SETTLED_AFTER: Duration = Duration::from_secs(30);

/// What a kind of work has cost.
#[derive(Default)]
struct Cost {
    count: u64,
    spent: Duration,
    allocations: u64,
}

impl Cost {
    fn measure<T>(&mut self, count: u64, work: impl FnOnce() -> T) -> T {
        let (allocations, began) = (sys::allocations(), Instant::now());
        let result = work();
        self.spent += began.elapsed();
        self.allocations += sys::allocations() - allocations;
        self.count += count;
        result
    }

    fn print(&self, what: &str) {
        let count = self.count.max(1);
        let (ns, allocations) = (self.spent.as_nanos() as u64 / count, self.allocations as f64 / count as f64);
        println!("{what:>12}: {:>9} x {ns:>6} ns, {allocations:>6.2} allocations", self.count);
    }
}

struct Packet {
    from: usize,
    link: LinkId,
    message: Message,
}

struct Cluster {
    now: Timestamp,
    nodes: Vec<Controller>,
    out: Vec<Output>,
    packets: Vec<Packet>,
    /// Of which node, and what it is told next.
    told: VecDeque<(usize, Input)>,
    running: Vec<BTreeMap<ResourceId, ()>>,
    receptions: Cost,
    beats: Cost,
    deadlines: Cost,
}

impl Cluster {
    fn new(count: usize) -> Cluster {
        let mut cluster = Cluster {
            now: Timestamp(1_000_000_000),
            nodes: Vec::new(),
            out: Vec::new(),
            packets: Vec::new(),
            told: VecDeque::new(),
            running: vec![BTreeMap::new(); count],
            receptions: Cost::default(),
            beats: Cost::default(),
            deadlines: Cost::default(),
        };
        for node in 0..count {
            // Not in step: beats and receptions of different nodes never fall together.
            cluster.now = cluster.now + Duration::from_micros(61_300);
            let number = node as u64 + 1;
            let start = Start {
                config: config(node, count),
                fresh_identity: NodeIdentity(1000 + number),
                incarnation: Incarnation(number),
                seed: number,
                state: None,
                log: Vec::new(),
                volatile: None,
                volatile_lease: None,
                now: cluster.now,
                version: "bench".into(),
            };
            cluster.nodes.push(Controller::new(start).expect("no state is a good state"));
            for interface in ["eth0", "eth1"] {
                cluster.tell(node, Input::CarrierChanged { interface: interface.into(), carrier: Carrier::Up });
            }
            for (resource, _) in addresses() {
                cluster.tell(node, Input::AddressHome { resource, interface: Some("eth0".into()) });
            }
        }
        cluster
    }

    fn tell(&mut self, node: usize, input: Input) {
        self.told.push_back((node, input));
        while let Some((node, input)) = self.told.pop_front() {
            self.nodes[node].handle(self.now, input, &mut self.out);
            self.carry_out(node);
        }
    }

    fn carry_out(&mut self, node: usize) {
        for output in std::mem::take(&mut self.out) {
            match output {
                Output::Send { link, message, .. } => self.packets.push(Packet { from: node, link, message }),
                Output::StartOp(request) => {
                    let id = request.resource.id.clone();
                    let runs = self.running[node].contains_key(&id);
                    let outcome = match request.action {
                        OpAction::Probe | OpAction::Monitor if !runs => OpOutcome::NotRunning,
                        _ => OpOutcome::Ok,
                    };
                    match request.action {
                        OpAction::Start => drop(self.running[node].insert(id, ())),
                        OpAction::Stop => drop(self.running[node].remove(&id)),
                        _ => {}
                    }
                    let result = OpResult { id: request.id, outcome, took: Duration::from_millis(1), remark: None };
                    self.told.push_back((node, Input::OpFinished(result)));
                }
                Output::Persist { ticket, .. } => self.told.push_back((node, Input::Persisted { ticket })),
                _ => {}
            }
        }
    }

    /// Feeds one deadline of one node.
    #[inline(never)]
    fn wake(&mut self, node: usize) {
        let (nodes, out) = (&mut self.nodes, &mut self.out);
        let mut cost = Cost::default();
        cost.measure(1, || nodes[node].handle(self.now, Input::Deadline, out));
        let beat = out.iter().any(|output| matches!(output, Output::Send { message: Message::Heartbeat(_), .. }));
        let sum = if beat { &mut self.beats } else { &mut self.deadlines };
        sum.count += 1;
        sum.spent += cost.spent;
        sum.allocations += cost.allocations;
        self.carry_out(node);
        while let Some((node, input)) = self.told.pop_front() {
            self.tell(node, input);
        }
    }

    /// Delivers what is on the wires to everybody else.
    #[inline(never)]
    fn receive(&mut self) {
        self.now = self.now + TRIP;
        let packets = std::mem::take(&mut self.packets);
        for to in 0..self.nodes.len() {
            let inputs: Vec<Input> = packets
                .iter()
                .filter(|packet| packet.from != to)
                .map(|packet| Input::Packet {
                    link: packet.link,
                    message: packet.message.clone(),
                    size: 200,
                    received_at: self.now,
                })
                .collect();
            let (node, out, now) = (&mut self.nodes[to], &mut self.out, self.now);
            self.receptions.measure(inputs.len() as u64, || {
                for input in inputs {
                    node.handle(now, input, out);
                }
            });
            self.carry_out(to);
        }
        while let Some((node, input)) = self.told.pop_front() {
            self.tell(node, input);
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            if !self.packets.is_empty() {
                self.receive();
                continue;
            }
            let due = |node: usize| self.nodes[node].next_deadline().map(|(due, _)| (due, node));
            let Some((due, node)) = (0..self.nodes.len()).filter_map(due).min() else { return };
            self.now = self.now.max(due);
            self.wake(node);
        }
    }
}

fn addresses() -> impl Iterator<Item = (ResourceId, [u8; 4])> {
    (0..3u8).map(|group| ([10, 0, 0, 50 + group], group)).map(|(ip, _)| {
        let text = std::net::IpAddr::from(ip).to_string();
        (ResourceId::from(text.as_str()), ip)
    })
}

/// Three groups of an address and two scripts.
fn groups(count: usize) -> Vec<GroupSpec> {
    let script = |name: String| ResourceSpec {
        id: ResourceId::from(name.as_str()),
        class: AgentClass::Heartbeat,
        agent: name.clone(),
        args: Vec::new(),
        kind: ResourceKind::Script,
        owns: [format!("script:{name}")].into(),
        timeouts: OpTimeouts::default(),
        monitor: Some(Duration::from_secs(10)),
        on_stop_fail: OnStopFail::Block,
        wire_check: true,
    };
    let group = |(position, (id, ip)): (usize, (ResourceId, [u8; 4]))| {
        let address = ResourceSpec {
            id: id.clone(),
            class: AgentClass::Native,
            agent: "IPaddr".into(),
            args: vec![id.to_string()],
            kind: ResourceKind::Address(AddressSpec {
                ip: ip.into(),
                prefix: Some(24),
                interface: Some("eth0".into()),
                label: None,
                broadcast: None,
            }),
            owns: [format!("address:{id}")].into(),
            ..script(id.to_string())
        };
        GroupSpec {
            id: GroupId::from(id.as_str()),
            preferred: vec![name(position % count)],
            resources: vec![address, script(format!("db{position}")), script(format!("web{position}"))],
        }
    };
    addresses().enumerate().map(group).collect()
}

fn name(node: usize) -> NodeName {
    NodeName::new(&format!("node{}", node + 1))
}

fn config(local: usize, count: usize) -> Config {
    let medium = |interface: &str| Medium::Bcast { interface: interface.into(), port: 694 };
    let ms = Duration::from_millis;
    Config {
        cluster: ClusterConfig {
            name: "bench".into(),
            local: name(local),
            nodes: (0..count).map(name).collect(),
            media: vec![medium("eth0"), medium("eth1")],
            ping_targets: Vec::new(),
            timing: Timing {
                keepalive: ms(200),
                deadtime: ms(2000),
                warntime: ms(1000),
                initdead: ms(4000),
                deadping: ms(2000),
                carrier_grace: ms(50),
                failure_timeout: None,
            },
            fencing: Default::default(),
            permits: Permits { tiebreaker_ping: false, unfenced: true },
            tiebreaker_disk: None,
            gate: true,
            realtime: false,
            rtprio: 1,
            watchdog: None,
            self_fence: None,
            record: None,
            wire_version: hearth_wire::NEWEST_VERSION,
            logging: Logging::default(),
            env: BTreeMap::new(),
            alerts: Default::default(),
        },
        resources: ResourceModel { groups: groups(count), auto_failback: AutoFailback::Off, witnesses: Vec::new() },
        keys: Keys { signing: 1, keys: BTreeMap::new() },
    }
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let count = numbers.next().and_then(Result::ok).unwrap_or(2) as usize;
    let beats = numbers.next().and_then(Result::ok).unwrap_or(100_000);
    let mut cluster = Cluster::new(count);
    cluster.run(SETTLED_AFTER);
    let running: usize = cluster.running.iter().map(BTreeMap::len).sum();
    println!("{count} nodes, {} of 9 resources run", running);
    (cluster.receptions, cluster.beats, cluster.deadlines) = Default::default();
    cluster.run(Duration::from_millis(200 * beats / count as u64));
    cluster.receptions.print("reception");
    cluster.beats.print("beat");
    cluster.deadlines.print("other");
}
