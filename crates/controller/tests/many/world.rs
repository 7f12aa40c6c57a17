//! Any number of machines in virtual time: controllers, a network that can be cut, disks that take a while, agents, and
//! the kernel's gate. It judges from outside, by what the machines' kernels answer and what their agents run.

use hearth_config::{ClusterConfig, Config, Keys, Logging, Medium, Permits, Timing};
use hearth_control::{Reply, Request};
use hearth_controller::{Carrier, Controller, Event, HeldBack, Input, Next, Output, Start};
use hearth_types::{
    AddressSpec, AgentClass, AutoFailback, GroupId, GroupSpec, Incarnation, LinkId, NodeIdentity, NodeName, OnStopFail,
    OpAction, OpOutcome, OpResult, OpTimeouts, ResourceId, ResourceKind, ResourceModel, ResourceSpec, Timestamp,
};
use hearth_wire::{Heartbeat, Message};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub const A: usize = 0;
pub const B: usize = 1;
pub const C: usize = 2;
pub const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
/// How long a write takes.
const WRITE: Duration = Duration::from_micros(800);
const TRIP: Duration = Duration::from_micros(100);
const ASK_EVERY: Duration = Duration::from_millis(20);

pub const fn ms(span: u64) -> Duration {
    Duration::from_millis(span)
}

enum What {
    Packet { to: usize, link: LinkId, message: Box<Message> },
    OpDone { node: usize, incarnation: u64, result: OpResult, action: OpAction, resource: Box<ResourceSpec> },
    Ask { node: usize, incarnation: u64 },
    Written { node: usize, incarnation: u64 },
    ChangesList { node: usize, incarnation: u64, id: u64, change: hearth_config::ListChange, commit: bool },
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

struct Write {
    ticket: u64,
    state: Option<String>,
    log: Vec<String>,
}

pub struct Machine {
    pub name: NodeName,
    pub controller: Option<Controller>,
    pub config: Config,
    incarnation: u64,
    state: Option<String>,
    log: Vec<String>,
    volatile: Option<String>,
    lease: Option<Timestamp>,
    writes: VecDeque<Write>,
    /// What waits behind them (R-LEDGER-3).
    held: HeldBack,
    /// How long a write takes that begins now.
    pub write: Duration,
    pub running: BTreeMap<ResourceId, ResourceSpec>,
    pub gate: BTreeMap<ResourceId, Timestamp>,
    pub powered: bool,
    pub frozen: bool,
    held_back: Vec<(Timestamp, Input)>,
    asks: BTreeSet<ResourceId>,
    /// Starts, stops that were carried out, for "not touched" assertions.
    pub done: Vec<(Timestamp, OpAction, ResourceId)>,
    pub events: Vec<Event>,
    pub replies: Vec<(u64, Reply)>,
    pub halted: bool,
    /// Its newest heartbeat.
    pub said: Option<Arc<Heartbeat>>,
    pub fail: BTreeSet<(OpAction, ResourceId)>,
}

pub struct World {
    pub now: Timestamp,
    queue: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
    pub machines: Vec<Machine>,
    /// Silently dropped (from, to, link).
    pub dropped: BTreeSet<(usize, usize, u8)>,
    /// Time in which two machines answered for one address, and what ran twice.
    pub overlap: Duration,
    pub faults: Vec<String>,
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

pub fn config(local: &str, count: usize, groups: Vec<GroupSpec>) -> Config {
    let medium = |interface: &str| Medium::Bcast { interface: interface.into(), port: 694 };
    Config {
        cluster: ClusterConfig {
            name: "test".into(),
            local: NodeName::new(local),
            nodes: NAMES[..count].iter().copied().map(NodeName::new).collect(),
            media: vec![medium("eth0"), medium("eth1")],
            ping_targets: Vec::new(),
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
            permits: Permits { tiebreaker_ping: false, unfenced: false },
            tiebreaker_disk: None,
            gate: true,
            realtime: false,
            rtprio: 1,
            wire_version: hearth_wire::NEWEST_VERSION,
            watchdog: None,
            self_fence: None,
            record: None,
            logging: Logging::default(),
            env: BTreeMap::new(),
            alerts: Default::default(),
        },
        resources: ResourceModel { groups, auto_failback: AutoFailback::Off, witnesses: Vec::new() },
        keys: Keys { signing: 1, keys: BTreeMap::new() },
    }
}

impl Machine {
    /// The disk is lost.
    pub fn forget(&mut self) {
        self.state = None;
        self.log.clear();
    }
}

impl World {
    pub fn new(count: usize, groups: Vec<GroupSpec>) -> World {
        let machine = |name: &&str| Machine {
            name: NodeName::new(name),
            controller: None,
            config: config(name, count, groups.clone()),
            incarnation: 0,
            state: None,
            log: Vec::new(),
            volatile: None,
            lease: None,
            writes: VecDeque::new(),
            held: HeldBack::default(),
            write: WRITE,
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
            said: None,
            fail: BTreeSet::new(),
        };
        World {
            now: Timestamp(1_000_000_000),
            queue: BinaryHeap::new(),
            sequence: 0,
            machines: NAMES[..count].iter().map(machine).collect(),
            dropped: BTreeSet::new(),
            overlap: Duration::ZERO,
            faults: Vec::new(),
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
        // What a daemon that ended in order still wanted to write is lost like any other write.
        machine.writes.clear();
        machine.held = HeldBack::default();
        machine.held_back.clear();
        machine.incarnation += 1;
        machine.powered = true;
        machine.halted = false;
        let incarnation = machine.incarnation * 16 + node as u64;
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
    }

    /// kill -9 of the daemon; what it started runs on.
    pub fn kill(&mut self, node: usize) {
        let machine = &mut self.machines[node];
        machine.controller = None;
        machine.frozen = false;
        machine.held_back.clear();
        // What was not written is lost.
        machine.writes.clear();
        machine.held = HeldBack::default();
    }

    /// The daemon reads the files of now; why it does not take them over, if it does not.
    pub fn reload(&mut self, node: usize) -> Vec<String> {
        let config = self.machines[node].config.clone();
        let objections = self.machines[node].controller.as_ref().map(|it| it.objections(self.now, &config));
        let objections = objections.unwrap_or_default();
        if objections.is_empty() {
            self.feed(node, Input::Reconfigured(Box::new(config)));
        }
        objections
    }

    /// What the driver does with its files.
    fn change_list(&mut self, node: usize, id: u64, change: &hearth_config::ListChange, commit: bool) {
        let mut config = self.machines[node].config.clone();
        config.cluster.nodes = change.applied_to(&config.cluster.nodes);
        // As the files are read: of more than two there are no permits.
        config.cluster.permits.unfenced &= config.cluster.nodes.len() == 2;
        let Some(controller) = &self.machines[node].controller else { return };
        let objections = controller.objections(self.now, &config);
        let digest = hearth_config::digest(&config).0;
        let result = if objections.is_empty() { Ok(digest) } else { Err(objections.join("; ")) };
        if commit && result.is_ok() {
            self.machines[node].config = config.clone();
            self.feed(node, Input::Reconfigured(Box::new(config)));
        }
        self.feed(node, Input::ListChanged { id, result });
    }

    pub fn power_off(&mut self, node: usize) {
        self.kill(node);
        let machine = &mut self.machines[node];
        machine.powered = false;
        machine.running.clear();
        machine.gate.clear();
        machine.volatile = None;
        machine.lease = None;
    }

    /// What a power cut at this moment would leave of a node's state and log.
    pub fn durable(&self, node: usize) -> String {
        let machine = &self.machines[node];
        machine.state.iter().chain(&machine.log).map(String::as_str).collect()
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

    /// Nothing passes between two machines any more.
    pub fn cut(&mut self, one: usize, other: usize) {
        for link in [0, 1] {
            self.dropped.extend([(one, other, link), (other, one, link)]);
        }
    }

    /// Nothing passes between these machines and all others.
    pub fn split(&mut self, side: &[usize]) {
        for one in side {
            for other in 0..self.machines.len() {
                if !side.contains(&other) {
                    self.cut(*one, other);
                }
            }
        }
    }

    pub fn heal(&mut self) {
        self.dropped.clear();
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
        for output in out {
            self.offer(node, output);
        }
    }

    /// What stands behind a write waits for it, except what overtakes (R-LEDGER-3).
    fn offer(&mut self, node: usize, output: Output) {
        let (now, machine) = (self.now, &mut self.machines[node]);
        let incarnation = machine.incarnation;
        if let Output::Persist { ticket, state, log } = output {
            machine.held.barrier(ticket);
            machine.writes.push_back(Write { ticket, state, log });
            if machine.writes.len() == 1 {
                let ends = now + machine.write;
                self.push(ends, What::Written { node, incarnation });
            }
        } else if let Some(output) = machine.held.offer(output) {
            self.carry_out(node, output);
        }
    }

    fn written(&mut self, node: usize) {
        let (now, machine) = (self.now, &mut self.machines[node]);
        let incarnation = machine.incarnation;
        let Some(Write { ticket, state, log }) = machine.writes.pop_front() else { return };
        if let Some(state) = state {
            machine.state = Some(state);
            machine.log.clear();
        }
        machine.log.extend(log);
        if !machine.writes.is_empty() {
            let ends = now + machine.write;
            self.push(ends, What::Written { node, incarnation });
        }
        for next in self.machines[node].held.release(ticket, false) {
            match next {
                Next::Do(output) => self.carry_out(node, output),
                Next::Tell(input) => self.feed(node, input),
            }
        }
        self.feed(node, Input::Persisted { ticket });
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        let now = self.now;
        match output {
            Output::Send { link, message, .. } => {
                if let Message::Heartbeat(heartbeat) = &message {
                    self.machines[node].said = Some(heartbeat.clone());
                }
                let others = (0..self.machines.len()).filter(|to| *to != node);
                for to in others.collect::<Vec<_>>() {
                    if !self.dropped.contains(&(node, to, link.0)) && self.machines[to].powered {
                        self.push(now + TRIP, What::Packet { to, link, message: Box::new(message.clone()) });
                    }
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
            Output::Volatile { text } => self.machines[node].volatile = Some(text),
            Output::VolatileLease { until } => self.machines[node].lease = Some(until),
            Output::Reply { token, reply, .. } => self.machines[node].replies.push((token, *reply)),
            Output::Event(event) => self.machines[node].events.push(event),
            Output::Halt { .. } => {
                self.kill(node);
                self.machines[node].halted = true;
            }
            // No file here names a watchdog or a shared disk.
            Output::Slot { .. } | Output::Tiebreaker { .. } => unreachable!("a disk that nobody asked for"),
            Output::PetWatchdog { .. } | Output::CloseWatchdog | Output::ResetSelf { .. } => {
                unreachable!("a watchdog that nobody asked for")
            }
            Output::ChangeList { id, change, commit } => {
                let incarnation = self.machines[node].incarnation;
                self.push(now + ms(3), What::ChangesList { node, incarnation, id, change, commit });
            }
            Output::Announce { .. }
            | Output::Fence { .. }
            | Output::Alert { .. }
            | Output::RenewLifetime { .. }
            | Output::Guard { .. }
            | Output::ProbePeer { .. }
            | Output::Persist { .. } => {}
        }
    }

    /// Whether a machine's kernel answers for an address.
    pub fn answers(&self, node: usize, resource: &ResourceId) -> bool {
        let machine = &self.machines[node];
        let open = machine.gate.get(resource).is_some_and(|until| *until > self.now);
        machine.powered && machine.running.contains_key(resource) && open
    }

    fn judge(&mut self, until: Timestamp) {
        let known: BTreeSet<ResourceId> =
            self.machines.iter().flat_map(|machine| machine.running.keys().cloned()).collect();
        for id in &known {
            let on: Vec<usize> =
                (0..self.machines.len()).filter(|node| self.machines[*node].running.contains_key(id)).collect();
            let address = on.first().is_some_and(|node| self.machines[*node].running[id].address().is_some());
            let twice = match address {
                true => on.iter().filter(|node| self.answers(**node, id)).count() > 1,
                false => on.len() > 1,
            };
            // Between two events nothing changes but gates that run out, and those are events here.
            if twice && until > self.now {
                self.overlap += until.since(self.now);
                if self.faults.len() < 8 {
                    self.faults.push(format!("{} {id} runs on machines {on:?}", self.now));
                }
            }
        }
        let Some(resource) = self.watch.clone() else { return };
        let owners = (0..self.machines.len()).filter(|node| self.answers(*node, &resource)).count();
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
            for node in 0..self.machines.len() {
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
            What::Packet { to, link, message } => {
                let received_at = self.now;
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
                    let others = (0..self.machines.len()).filter(|other| *other != node);
                    let mut heard = others.filter(|other| !self.dropped.contains(&(*other, node, 0)));
                    if heard.any(|other| self.answers(other, &resource)) {
                        let hardware = "02:00:00:00:00:01".to_owned();
                        self.feed(node, Input::WireAnswered { resource, hardware });
                    }
                }
                self.push(self.now + ASK_EVERY, What::Ask { node, incarnation });
            }
            What::ChangesList { node, incarnation, id, change, commit } => {
                if self.machines[node].incarnation == incarnation {
                    self.change_list(node, id, &change, commit);
                }
            }
            What::Written { node, incarnation } => {
                if self.machines[node].incarnation == incarnation && self.machines[node].controller.is_some() {
                    self.written(node);
                }
            }
        }
    }

    /// How many machines run a resource, or answer for it if it is an address.
    pub fn runners(&self, id: &ResourceId) -> usize {
        let runs = |node: &usize| match self.machines[*node].running.get(id) {
            Some(spec) if spec.address().is_some() => self.answers(*node, id),
            Some(_) => true,
            None => false,
        };
        (0..self.machines.len()).filter(runs).count()
    }

    /// Who answers for the watched address.
    pub fn owner(&self) -> Option<usize> {
        let resource = self.watch.as_ref()?;
        (0..self.machines.len()).find(|node| self.answers(*node, resource))
    }

    pub fn answered(&self, token: u64) -> Option<&Reply> {
        self.machines.iter().flat_map(|machine| &machine.replies).find(|(it, _)| *it == token).map(|(_, reply)| reply)
    }

    /// Who leads, as the machines that run agree.
    pub fn dc(&self) -> usize {
        let dc = (0..self.machines.len()).filter(|node| self.machines[*node].controller.is_some());
        let dc = dc.filter_map(|node| self.status(node).dc).next().expect("a DC");
        NAMES.iter().position(|name| *name == dc).expect("a known name")
    }

    /// Everything is moved to that machine.
    pub fn move_to(&mut self, node: usize) {
        let token = self.request(node, Request::Takeover { which: hearth_control::Which::All, wait: true });
        self.run_to(ms(1500), "the move", |world| world.answered(token).is_some() && world.owner() == Some(node));
        self.run(ms(1200));
    }

    /// The state for people, as that machine sees it.
    pub fn status(&self, node: usize) -> hearth_control::Status {
        self.machines[node].controller.as_ref().expect("its daemon runs").status(self.now)
    }

    /// What all machines say happened, in order.
    pub fn story(&self) -> String {
        let mut lines: Vec<(Timestamp, String)> = Vec::new();
        for machine in &self.machines {
            for event in &machine.events {
                lines.push((event.at, format!("{} {} {} [{}]", event.at, machine.name, event.text, event.name)));
            }
        }
        lines.sort();
        let tail = lines.len().saturating_sub(250);
        lines[tail..].iter().map(|(_, line)| format!("{line}\n")).collect()
    }
}
