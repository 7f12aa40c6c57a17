//! Two machines in virtual time: controllers, a network that can be cut, disks, agents, and the kernel's gate.
//!
//! Small on purpose: it judges the pair's rules from outside, by what the machines' kernels would answer.

use hearth_config::{ClusterConfig, Config, Keys, Logging, Medium, Permits, PingTarget, Timing};
use hearth_control::{Reply, Request};
use hearth_controller::{Carrier, Controller, Event, Input, Output, Start};
use hearth_types::{
    AddressSpec, AgentClass, AutoFailback, GroupId, GroupSpec, Incarnation, LinkId, NodeIdentity, NodeName, OnStopFail,
    OpAction, OpOutcome, OpResult, OpTimeouts, ResourceId, ResourceKind, ResourceModel, ResourceSpec, Timestamp,
};
use hearth_wire::Message;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

pub const A: usize = 0;
pub const B: usize = 1;
const TRIP: Duration = Duration::from_micros(100);
const ASK_EVERY: Duration = Duration::from_millis(20);

pub fn ms(span: u64) -> Duration {
    Duration::from_millis(span)
}

enum What {
    /// On which wire: `eth1` is number one.
    Packet {
        to: usize,
        wire: u8,
        version: u8,
        message: Box<Message>,
    },
    OpDone {
        node: usize,
        incarnation: u64,
        result: OpResult,
        action: OpAction,
        resource: Box<ResourceSpec>,
    },
    Ask {
        node: usize,
        incarnation: u64,
    },
    Ping {
        node: usize,
    },
}

struct Scheduled(Timestamp, u64, What);

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

pub struct Machine {
    pub name: NodeName,
    pub controller: Option<Controller>,
    config: Config,
    incarnation: u64,
    state: Option<String>,
    log: Vec<String>,
    volatile: Option<String>,
    lease: Option<Timestamp>,
    pub running: BTreeMap<ResourceId, ResourceSpec>,
    pub gate: BTreeMap<ResourceId, Timestamp>,
    pub powered: bool,
    frozen: bool,
    held_back: Vec<(Timestamp, Input)>,
    asks: BTreeSet<ResourceId>,
    /// Starts, stops that were carried out, for "not touched" assertions.
    pub done: Vec<(Timestamp, OpAction, ResourceId)>,
    pub events: Vec<Event>,
    pub replies: Vec<(u64, Reply)>,
    pub halted: bool,
    /// How many gate ticks came without a heartbeat beside them.
    pub lone_ticks: usize,
    /// How many times it announced something.
    pub announced: usize,
    pub fail: BTreeSet<(OpAction, ResourceId)>,
}

pub struct World {
    pub now: Timestamp,
    queue: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
    pub machines: Vec<Machine>,
    /// Silently dropped (from, to, wire).
    pub dropped: BTreeSet<(usize, usize, u8)>,
    /// Wire versions of the packets that arrived.
    pub versions: BTreeSet<u8>,
    pub pingable: [bool; 2],
    pub overlap: Duration,
    last_owner_at: BTreeMap<ResourceId, Timestamp>,
    pub longest_gap: Duration,
    pub watch: Option<ResourceId>,
    token: u64,
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
        timeouts: OpTimeouts::default(),
        monitor: Some(Duration::from_secs(10)),
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

pub fn group(preferred: &str, resources: Vec<ResourceSpec>) -> GroupSpec {
    GroupSpec {
        id: GroupId::from(resources[0].id.as_str()),
        preferred: preferred.split(',').map(NodeName::new).collect(),
        resources,
    }
}

/// The medium of a wire.
fn medium(wire: u8) -> Medium {
    Medium::Ucast { interface: format!("eth{wire}"), peer: std::net::IpAddr::from([10, 0, wire, 9]), port: 694 }
}

/// The wire of a medium.
fn wire(medium: &Medium) -> u8 {
    match medium {
        Medium::Ucast { peer: std::net::IpAddr::V4(peer), .. } => peer.octets()[2],
        other => panic!("this world has no {other}"),
    }
}

pub fn config(local: &str, groups: Vec<GroupSpec>, tiebreaker: bool) -> Config {
    Config {
        cluster: ClusterConfig {
            name: "test".into(),
            local: NodeName::new(local),
            nodes: vec![NodeName::new("a"), NodeName::new("b")],
            media: vec![medium(0), medium(1)],
            ping_targets: if tiebreaker {
                vec![PingTarget { name: "router".into(), addresses: vec![std::net::IpAddr::from([10, 0, 0, 254])] }]
            } else {
                Vec::new()
            },
            timing: Timing {
                keepalive: ms(50),
                deadtime: ms(500),
                warntime: ms(250),
                initdead: ms(2000),
                deadping: ms(500),
                carrier_grace: ms(50),
                failure_timeout: None,
            },
            fencing: Default::default(),
            permits: Permits { tiebreaker_ping: tiebreaker, unfenced: true },
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
        resources: ResourceModel { groups, auto_failback: AutoFailback::Off, witnesses: Vec::new() },
        keys: Keys { signing: 1, keys: BTreeMap::new() },
    }
}

impl Machine {
    /// The next daemon of this machine is one that speaks no wire version above this one.
    pub fn hold_at(&mut self, version: u8) {
        self.config.cluster.wire_version = version;
    }

    /// Its next daemon goes on alone only by somebody's word.
    pub fn needs_a_word(&mut self) {
        self.config.cluster.permits.unfenced = false;
    }

    /// Wire version in use, as its status says it.
    pub fn wire(&self, now: Timestamp) -> Option<u8> {
        self.controller.as_ref()?.status(now).wire
    }

    /// The disk is lost.
    pub fn forget(&mut self) {
        self.state = None;
        self.log.clear();
    }
}

impl World {
    pub fn new(groups: Vec<GroupSpec>, tiebreaker: bool) -> World {
        let machine = |name: &str| Machine {
            name: NodeName::new(name),
            controller: None,
            config: config(name, groups.clone(), tiebreaker),
            incarnation: 0,
            state: None,
            log: Vec::new(),
            volatile: None,
            lease: None,
            running: BTreeMap::new(),
            gate: BTreeMap::new(),
            powered: true,
            frozen: false,
            held_back: Vec::new(),
            asks: BTreeSet::new(),
            done: Vec::new(),
            events: Vec::new(),
            replies: Vec::new(),
            halted: false,
            lone_ticks: 0,
            announced: 0,
            fail: BTreeSet::new(),
        };
        World {
            now: Timestamp(1_000_000_000),
            queue: BinaryHeap::new(),
            sequence: 0,
            machines: vec![machine("a"), machine("b")],
            dropped: BTreeSet::new(),
            versions: BTreeSet::new(),
            pingable: [true, true],
            overlap: Duration::ZERO,
            last_owner_at: BTreeMap::new(),
            longest_gap: Duration::ZERO,
            watch: None,
            token: 0,
        }
    }

    fn push(&mut self, at: Timestamp, what: What) {
        self.sequence += 1;
        self.queue.push(Reverse(Scheduled(at, self.sequence, what)));
    }

    /// Starts the daemon of a machine.
    pub fn start(&mut self, node: usize) {
        let now = self.now;
        let machine = &mut self.machines[node];
        machine.incarnation += 1;
        machine.powered = true;
        machine.halted = false;
        let incarnation = machine.incarnation * 2 + node as u64;
        let start = Start {
            config: machine.config.clone(),
            fresh_identity: NodeIdentity(1000 + incarnation),
            incarnation: Incarnation(incarnation),
            seed: incarnation,
            state: machine.state.clone(),
            log: machine.log.clone(),
            volatile: machine.volatile.clone(),
            volatile_lease: machine.lease,
            now,
            version: "test".into(),
        };
        machine.controller = Some(Controller::new(start).expect("a good state"));
        machine.asks.clear();
        for interface in ["eth0", "eth1"] {
            self.feed(node, Input::CarrierChanged { interface: interface.into(), carrier: Carrier::Up });
        }
        let addresses: Vec<ResourceId> = self.machines[node]
            .config
            .resources
            .resources()
            .filter(|(_, it)| it.address().is_some())
            .map(|(_, it)| it.id.clone())
            .collect();
        for resource in addresses {
            self.feed(node, Input::AddressHome { resource, interface: Some("eth0".into()) });
        }
        let run = self.machines[node].incarnation;
        self.push(now + ASK_EVERY, What::Ask { node, incarnation: run });
        self.push(now, What::Ping { node });
    }

    /// kill -9 of the daemon; what it started runs on.
    pub fn kill(&mut self, node: usize) {
        self.machines[node].controller = None;
    }

    pub fn power_off(&mut self, node: usize) {
        let machine = &mut self.machines[node];
        machine.controller = None;
        machine.powered = false;
        machine.running.clear();
        machine.gate.clear();
        machine.volatile = None;
        machine.lease = None;
    }

    pub fn freeze(&mut self, node: usize) {
        self.machines[node].frozen = true;
    }

    pub fn thaw(&mut self, node: usize) {
        self.machines[node].frozen = false;
        let held = std::mem::take(&mut self.machines[node].held_back);
        for (_, input) in held {
            self.feed(node, input);
        }
    }

    pub fn cut(&mut self, link: u8) {
        self.dropped.extend([(A, B, link), (B, A, link)]);
    }

    pub fn heal(&mut self) {
        self.dropped.clear();
    }

    pub fn carrier(&mut self, node: usize, interface: &str, carrier: Carrier) {
        self.feed(node, Input::CarrierChanged { interface: interface.into(), carrier });
    }

    /// Takes other media over, each named by its wire, as a reload does; why not, if it would harm.
    pub fn reload(&mut self, node: usize, wires: &[u8]) -> Vec<String> {
        let mut config = self.machines[node].config.clone();
        config.cluster.media = wires.iter().map(|wire| medium(*wire)).collect();
        let now = self.now;
        let running = self.machines[node].controller.as_ref();
        let objections = running.map(|controller| controller.objections(now, &config)).unwrap_or_default();
        if objections.is_empty() {
            self.machines[node].config = config.clone();
            self.feed(node, Input::Reconfigured(Box::new(config)));
        }
        objections
    }

    pub fn request(&mut self, node: usize, request: Request) -> u64 {
        self.token += 1;
        let token = self.token;
        self.feed(node, Input::Request { token, request, by: "root".into() });
        token
    }

    pub fn feed(&mut self, node: usize, input: Input) {
        if self.machines[node].frozen {
            self.machines[node].held_back.push((self.now, input));
            return;
        }
        let mut out = Vec::new();
        let now = self.now;
        if let Some(controller) = self.machines[node].controller.as_mut() {
            controller.handle(now, input, &mut out);
        }
        let ticks = out.iter().any(|output| matches!(output, Output::GateTick { .. }));
        let beats = out.iter().any(|output| matches!(output, Output::Send { message: Message::Heartbeat(_), .. }));
        self.machines[node].lone_ticks += usize::from(ticks && !beats);
        for output in out {
            self.carry_out(node, output);
        }
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        let now = self.now;
        match output {
            Output::Send { link, version, message } => {
                let to = 1 - node;
                let Some(wire) = self.machines[node].config.cluster.media.get(usize::from(link.0)).map(wire) else {
                    return;
                };
                if !self.dropped.contains(&(node, to, wire)) && self.machines[to].powered {
                    self.push(now + TRIP, What::Packet { to, wire, version, message: Box::new(message) });
                }
            }
            Output::StartOp(request) => {
                let took = if request.action == OpAction::Monitor { ms(1) } else { ms(2) };
                let machine = &self.machines[node];
                let failed = machine.fail.contains(&(request.action, request.resource.id.clone()));
                let runs = machine.running.contains_key(&request.resource.id);
                let outcome = match request.action {
                    _ if failed => OpOutcome::Failed { code: Some(1), message: "told to fail".into() },
                    OpAction::Probe | OpAction::Monitor if !runs => OpOutcome::NotRunning,
                    _ => OpOutcome::Ok,
                };
                let result = OpResult { id: request.id, outcome, took, remark: None };
                let (action, resource) = (request.action, Box::new((*request.resource).clone()));
                let incarnation = machine.incarnation;
                if action == OpAction::Stop && !failed && resource.address().is_some() {
                    // An address is gone at once.
                    self.machines[node].running.remove(&resource.id);
                }
                self.push(now + took, What::OpDone { node, incarnation, result, action, resource });
            }
            Output::CancelOp(_) => {}
            Output::GateTick { resources, hold, decided_at } => {
                for resource in resources {
                    self.machines[node].gate.insert(resource, decided_at + hold);
                }
            }
            Output::GateShut { resources } => {
                for resource in resources {
                    self.machines[node].gate.remove(&resource);
                    self.machines[node].running.remove(&resource);
                }
            }
            Output::AskWire { resources } => self.machines[node].asks = resources.into_iter().collect(),
            Output::Persist { ticket, state, log } => {
                let machine = &mut self.machines[node];
                if let Some(state) = state {
                    machine.state = Some(state);
                    machine.log.clear();
                }
                machine.log.extend(log);
                self.feed(node, Input::Persisted { ticket });
            }
            Output::Volatile { text } => self.machines[node].volatile = Some(text),
            Output::VolatileLease { until } => self.machines[node].lease = Some(until),
            Output::Reply { token, reply, .. } => self.machines[node].replies.push((token, *reply)),
            Output::Event(event) => self.machines[node].events.push(event),
            Output::Halt { .. } => {
                self.machines[node].halted = true;
                self.machines[node].controller = None;
            }
            Output::Announce { .. } => self.machines[node].announced += 1,
            // No file here names a watchdog or a shared disk.
            Output::Slot { .. } | Output::Tiebreaker { .. } => unreachable!("a disk that nobody asked for"),
            Output::PetWatchdog { .. } | Output::CloseWatchdog | Output::ResetSelf { .. } => {
                unreachable!("a watchdog that nobody asked for")
            }
            Output::Fence { .. }
            | Output::ChangeList { .. }
            | Output::Alert { .. }
            | Output::RenewLifetime { .. }
            | Output::Guard { .. }
            | Output::ProbePeer { .. } => {}
        }
    }

    /// Whether a machine's kernel answers for an address.
    pub fn answers(&self, node: usize, resource: &ResourceId) -> bool {
        let machine = &self.machines[node];
        let open = machine.gate.get(resource).is_some_and(|until| *until > self.now);
        machine.powered && machine.running.contains_key(resource) && open
    }

    fn judge(&mut self, until: Timestamp) {
        let Some(resource) = self.watch.clone() else { return };
        let owners = (0..2).filter(|node| self.answers(*node, &resource)).count();
        // Between two events nothing changes but gates that run out; steps are at most a keepalive long.
        if owners == 2 {
            self.overlap += until.since(self.now);
        }
        let last = *self.last_owner_at.entry(resource.clone()).or_insert(self.now);
        if owners > 0 {
            self.last_owner_at.insert(resource, until);
        } else {
            self.longest_gap = self.longest_gap.max(until.since(last));
        }
    }

    /// Begins to judge an address from now on.
    pub fn watch(&mut self, ip: &str) {
        self.watch = Some(ResourceId::from(ip));
        self.overlap = Duration::ZERO;
        self.longest_gap = Duration::ZERO;
        self.last_owner_at.clear();
    }

    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.run_until(end, |_| false);
    }

    /// Runs until the condition holds; panics at the deadline with the story so far.
    pub fn run_to(&mut self, span: Duration, what: &str, condition: impl Fn(&World) -> bool) {
        let end = self.now + span;
        if !self.run_until(end, condition) {
            panic!("not within {span:?}: {what}\n{}", self.story());
        }
    }

    fn run_until(&mut self, end: Timestamp, condition: impl Fn(&World) -> bool) -> bool {
        loop {
            if condition(self) {
                return true;
            }
            let mut next = end;
            let mut due = None;
            for node in [A, B] {
                let machine = &self.machines[node];
                let deadline = machine.controller.as_ref().filter(|_| !machine.frozen);
                let deadline = deadline.and_then(|it| it.next_deadline()).map(|(at, _)| at.max(self.now));
                if let Some(at) = deadline.filter(|at| *at < next) {
                    next = at;
                    due = Some(node);
                }
            }
            let queued = self.queue.peek().map(|Reverse(item)| item.0);
            let gates = self.machines.iter().flat_map(|machine| machine.gate.values()).copied();
            let gate_end = gates.filter(|at| *at > self.now).min();
            if let Some(at) = gate_end.filter(|at| *at < next && queued.is_none_or(|queued| *at < queued)) {
                self.judge(at);
                self.now = at;
                continue;
            }
            if let Some(at) = queued.filter(|at| *at <= next && *at < end) {
                self.judge(at);
                self.now = self.now.max(at);
                if let Some(Reverse(item)) = self.queue.pop() {
                    self.happen(item.2);
                }
                continue;
            }
            self.judge(next);
            self.now = next;
            match due {
                Some(node) => self.feed(node, Input::Deadline),
                None => return condition(self),
            }
        }
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Packet { to, wire: on, version, message } => {
                let received_at = self.now;
                let mut media = self.machines[to].config.cluster.media.iter();
                let Some(link) = media.position(|medium| wire(medium) == on) else { return };
                let link = LinkId(link as u8);
                self.versions.insert(version);
                // As the edge does: what a daemon does not speak never reaches it (R-WIRE-6).
                if version > self.machines[to].config.cluster.wire_version {
                    let reason = format!("wire version {version} is not understood here");
                    let source = "10.0.0.9".into();
                    return self.feed(to, Input::Refused { link, reason, source, count: 1 });
                }
                self.feed(to, Input::Packet { link, message: *message, size: 200, received_at });
            }
            What::OpDone { node, incarnation, result, action, resource } => {
                let ok = result.outcome == OpOutcome::Ok;
                let machine = &mut self.machines[node];
                if !machine.powered {
                    return;
                }
                match action {
                    OpAction::Start if ok => {
                        machine.running.insert(resource.id.clone(), (*resource).clone());
                    }
                    OpAction::Stop if ok => {
                        machine.running.remove(&resource.id);
                    }
                    _ => {}
                }
                if matches!(action, OpAction::Start | OpAction::Stop) {
                    machine.done.push((self.now, action, resource.id.clone()));
                }
                if machine.incarnation == incarnation {
                    self.feed(node, Input::OpFinished(result));
                }
            }
            What::Ask { node, incarnation } => {
                if self.machines[node].incarnation != incarnation || self.machines[node].controller.is_none() {
                    return;
                }
                for resource in self.machines[node].asks.clone() {
                    self.feed(node, Input::WireAsked { resource: resource.clone() });
                    let reachable = !self.dropped.contains(&(1 - node, node, 0));
                    if reachable && self.answers(1 - node, &resource) {
                        let hardware = "02:00:00:00:00:01".to_owned();
                        self.feed(node, Input::WireAnswered { resource, hardware });
                    }
                }
                self.push(self.now + ASK_EVERY, What::Ask { node, incarnation });
            }
            What::Ping { node } => {
                if self.pingable[node] {
                    let sent_at = self.now;
                    self.feed(node, Input::PingAnswered { target: "router".into(), sent_at });
                }
                self.push(self.now + ms(50), What::Ping { node });
            }
        }
    }

    /// Who answers for the watched address.
    pub fn owner(&self) -> Option<usize> {
        let resource = self.watch.as_ref()?;
        (0..2).find(|node| self.answers(*node, resource))
    }

    pub fn answered(&self, token: u64) -> Option<&Reply> {
        self.machines.iter().flat_map(|machine| &machine.replies).find(|(it, _)| *it == token).map(|(_, reply)| reply)
    }

    pub fn has_event(&self, node: usize, name: &str) -> bool {
        self.machines[node].events.iter().any(|event| event.name == name)
    }

    /// What both machines say happened, in order.
    pub fn story(&self) -> String {
        let mut lines: Vec<(Timestamp, String)> = Vec::new();
        for machine in &self.machines {
            for event in &machine.events {
                lines.push((event.at, format!("{} {} {} [{}]", event.at, machine.name, event.text, event.name)));
            }
        }
        lines.sort();
        let tail = lines.len().saturating_sub(120);
        lines[tail..].iter().map(|(_, line)| format!("{line}\n")).collect()
    }
}
