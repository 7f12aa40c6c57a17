//! Virtual time: what happens next, the network between two machines, and the driver of each daemon.

use crate::cluster::{INTERFACES, Kind, NAMES, Rng, config, ms, us};
use crate::judge::Judge;
use crate::machine::{Active, Clock, LiveOp, Machine, Write, overtakes};
use crate::mutants::Mutant;
use hearth_control::Request;
use hearth_controller::{AddressChange, Carrier, Controller, Input, NoCheckpoint, Output, Start};
use hearth_types::{
    Incarnation, LinkId, NodeIdentity, NodeName, OpAction, OpOutcome, OpRequest, OpResult, ResourceId, Timestamp,
};
use hearth_wire::Message;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

const ASK_EVERY: Duration = ms(20);
/// Old packets that may be replayed, per direction.
const REPLAYS: usize = 64;
/// Outputs of one input beyond which something runs away.
const OUTPUTS_MAX: usize = 3000;

pub enum What {
    Packet { to: usize, link: LinkId, message: Box<Message> },
    Written { node: usize, run: u64 },
    OpDone { node: usize, key: u64 },
    Ask { node: usize },
    Ping { node: usize, run: u64 },
    Expire { node: usize, resource: ResourceId },
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

pub struct World {
    pub now: Timestamp,
    pub rng: Rng,
    pub kind: Kind,
    pub mutant: Option<Mutant>,
    queue: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
    pub machines: [Machine; 2],
    /// Silently dropped (from, to, link).
    pub dropped: BTreeSet<(usize, usize, u8)>,
    /// Lost, in a thousand.
    pub loss: u64,
    replays: [VecDeque<(LinkId, Box<Message>)>; 2],
    pub judge: Judge,
    pub token: u64,
    pub tokens: BTreeMap<u64, (usize, u64, bool)>,
    pub variant: [u8; 2],
    incarnations: u64,
    /// What was done to the machines, in true time.
    pub story: Vec<(Timestamp, String)>,
    /// Of every output, if wanted.
    pub trace: Option<u64>,
    /// Every how many inputs a node is written down, read back and replaced by what was read; zero: never.
    pub read_back: u64,
    pub times_read_back: u64,
    pub fed: u64,
}

impl World {
    pub fn new(seed: u64, kind: Kind, mutant: Option<Mutant>) -> World {
        let mut rng = Rng::new(seed);
        let mut machine = |node: usize| {
            // R-LEASE-9: any two clocks differ by at most 5 %.
            let mut rate = 976 + rng.below(49);
            if mutant == Some(Mutant::ClockDrifts) {
                rate = if node == 0 { 800 } else { 1200 };
            }
            let clock = Clock { real: Timestamp::ZERO, local: Timestamp(1_000_000_000), rate };
            Machine::new(config(node, kind, 0), clock)
        };
        let machines = [machine(0), machine(1)];
        let loss = [0, 0, 10, 50][rng.below(4) as usize];
        World {
            now: Timestamp(1_000_000),
            rng,
            kind,
            mutant,
            queue: BinaryHeap::new(),
            sequence: 0,
            machines,
            dropped: BTreeSet::new(),
            loss,
            replays: [VecDeque::new(), VecDeque::new()],
            judge: Judge::default(),
            token: 0,
            tokens: BTreeMap::new(),
            variant: [0, 0],
            incarnations: seed,
            story: Vec::new(),
            trace: None,
            read_back: 0,
            times_read_back: 0,
            fed: 0,
        }
    }

    pub fn tell(&mut self, text: String) {
        self.story.push((self.now, text));
    }

    pub fn push(&mut self, after: Duration, what: What) {
        self.sequence += 1;
        self.queue.push(Reverse(Scheduled(self.now + after, self.sequence, what)));
    }

    pub fn local(&self, node: usize) -> Timestamp {
        self.machines[node].clock.local(self.now)
    }

    /// Power on if it is off, then the daemon starts.
    pub fn start(&mut self, node: usize) {
        let now = self.now;
        let stale = self.mutant == Some(Mutant::StaleLease);
        self.incarnations += 1;
        let machine = &mut self.machines[node];
        if !machine.powered {
            machine.powered = true;
            machine.clock = Clock { real: now, local: Timestamp(1_000_000_000), ..machine.clock };
        }
        machine.run += 1;
        machine.halted = false;
        machine.frozen = false;
        machine.absent_since = None;
        machine.disk_failed = false;
        // Incarnations are random numbers: not ordered in time.
        let incarnation = Rng::new(self.incarnations * 2 + node as u64).next();
        let start = Start {
            config: machine.config.clone(),
            fresh_identity: NodeIdentity(incarnation ^ 0xff),
            incarnation: Incarnation(incarnation),
            seed: incarnation,
            state: machine.state.clone(),
            log: machine.log.clone(),
            volatile: machine.volatile.clone(),
            volatile_lease: if stale { Some(Timestamp(u64::MAX / 2)) } else { machine.lease },
            now: machine.clock.local(now),
            version: "test".into(),
        };
        machine.controller = Some(Controller::new(start).expect("a good state"));
        let (run, carriers) = (machine.run, machine.carrier);
        for (interface, up) in INTERFACES.into_iter().zip(carriers) {
            let carrier = if up { Carrier::Up } else { Carrier::Down };
            self.feed(node, Input::CarrierChanged { interface: interface.into(), carrier });
        }
        self.tell_homes(node);
        if self.kind.tiebreaker {
            self.push(ms(1), What::Ping { node, run });
        }
    }

    pub fn tell_homes(&mut self, node: usize) {
        let model = &self.machines[node].config.resources;
        let addresses: Vec<ResourceId> =
            model.resources().filter(|(_, it)| it.address().is_some()).map(|(_, it)| it.id.clone()).collect();
        for resource in addresses {
            self.feed(node, Input::AddressHome { resource, interface: Some("eth0".into()) });
        }
    }

    /// kill -9 of the daemon; what it started runs on.
    pub fn kill(&mut self, node: usize) {
        let now = self.now;
        let machine = &mut self.machines[node];
        machine.absent_since = machine.absent_since.or(Some(now));
        machine.lose_daemon(&mut self.rng);
    }

    pub fn power_off(&mut self, node: usize) {
        self.kill(node);
        let machine = &mut self.machines[node];
        machine.powered = false;
        machine.running.clear();
        machine.gate.clear();
        machine.ops.clear();
        machine.volatile = None;
        machine.lease = None;
    }

    pub fn freeze(&mut self, node: usize) {
        let now = self.now;
        let machine = &mut self.machines[node];
        machine.frozen = true;
        machine.absent_since = machine.absent_since.or(Some(now));
    }

    pub fn thaw(&mut self, node: usize) {
        let machine = &mut self.machines[node];
        if !machine.frozen {
            return;
        }
        machine.frozen = false;
        machine.thawed_at = self.now;
        let frozen_at = machine.absent_since.take();
        let long = frozen_at.is_some_and(|at| self.now.since(at) > ms(400));
        if self.mutant == Some(Mutant::ClockStops) {
            let at = frozen_at.unwrap_or(self.now);
            let local = machine.clock.local(at);
            machine.clock = Clock { real: self.now, local, ..machine.clock };
            machine.lease = machine.lease.map(|_| local);
        }
        let mut backlog = std::mem::take(&mut machine.backlog);
        if self.rng.chance(500) && long {
            // Buffers of sockets are not endless.
            backlog.retain(|input| !matches!(input, Input::Packet { .. }));
        }
        if self.rng.chance(500) {
            self.feed(node, Input::Deadline);
        }
        for input in backlog {
            self.feed(node, input);
        }
        if std::mem::take(&mut self.machines[node].write_ended) {
            self.written(node);
        }
    }

    pub fn carrier(&mut self, node: usize, link: usize, up: bool) {
        self.machines[node].carrier[link] = up;
        let carrier = if up { Carrier::Up } else { Carrier::Down };
        self.feed(node, Input::CarrierChanged { interface: INTERFACES[link].into(), carrier });
    }

    pub fn request(&mut self, node: usize, request: Request) -> u64 {
        self.token += 1;
        let token = self.token;
        self.tokens.insert(token, (node, self.machines[node].run, false));
        self.feed(node, Input::Request { token, request, by: "root".into() });
        token
    }

    pub fn reload(&mut self, node: usize, variant: u8) {
        self.variant[node] = variant;
        let config = config(node, self.kind, variant);
        self.machines[node].config = config.clone();
        self.feed(node, Input::Reconfigured(Box::new(config)));
        self.tell_homes(node);
    }

    /// Whether packets pass on a link in one direction.
    pub fn passes(&self, from: usize, to: usize, link: usize) -> bool {
        self.machines[from].powered
            && self.machines[to].powered
            && self.machines[from].carrier[link]
            && self.machines[to].carrier[link]
            && !self.dropped.contains(&(from, to, link as u8))
    }

    pub fn feed(&mut self, node: usize, input: Input) {
        let machine = &mut self.machines[node];
        if machine.controller.is_none() {
            return;
        }
        if machine.frozen {
            machine.backlog.push_back(input);
            return;
        }
        let now = machine.clock.local(self.now);
        let mut out = Vec::new();
        self.fed += 1;
        if self.read_back > 0 && self.fed.is_multiple_of(self.read_back) {
            let written = machine.controller.as_ref().map(Controller::checkpoint);
            match written.expect("a node") {
                Ok(written) => {
                    machine.controller = Some(Controller::resume(&written).expect("its own bytes"));
                    self.times_read_back += 1;
                }
                Err(NoCheckpoint::NotAtRest) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        if let Some(controller) = machine.controller.as_mut() {
            controller.handle(now, input, &mut out);
        }
        if out.len() > OUTPUTS_MAX {
            self.judge.blame(self.now, format!("{} outputs of one input on {}", out.len(), NAMES[node]));
        }
        for output in out {
            if let Some(trace) = self.trace.as_mut() {
                let mut text = String::new();
                let _ = write!(text, "{node} {} {output:?}", self.now);
                *trace = text.bytes().fold(*trace, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
            }
            self.offer(node, output);
        }
    }

    fn offer(&mut self, node: usize, output: Output) {
        let early = self.mutant == Some(Mutant::VisibleBeforeDurable);
        let machine = &mut self.machines[node];
        if let Output::Persist { ticket, state, log } = output {
            if !early {
                machine.held.push_back((ticket, Vec::new()));
            }
            machine.writes.push_back(Write { ticket, state, log });
            self.write_next(node);
        } else if !overtakes(&output) && !machine.held.is_empty() {
            if let Some((_, batch)) = machine.held.back_mut() {
                batch.push(output);
            }
        } else {
            self.execute(node, output);
        }
    }

    fn write_next(&mut self, node: usize) {
        let machine = &mut self.machines[node];
        if machine.writing || machine.writes.is_empty() {
            return;
        }
        machine.writing = true;
        let (span, run) = (machine.write_span(&mut self.rng), machine.run);
        self.push(span, What::Written { node, run });
    }

    fn written(&mut self, node: usize) {
        let machine = &mut self.machines[node];
        machine.writing = false;
        let Some(write) = machine.writes.pop_front() else { return };
        machine.disk_failed |= machine.disk == crate::machine::Disk::Broken;
        let (ticket, lost) = (write.ticket, machine.disk_failed);
        if lost {
            self.feed(node, Input::PersistFailed { ticket, error: "no space left on device".into() });
        } else {
            machine.put(write.state, write.log);
            if machine.log.len() > 2000 || machine.state.as_ref().is_some_and(|state| state.len() > 4 << 20) {
                self.judge.blame(self.now, format!("the state of {} grows without bound", NAMES[node]));
            }
            self.feed(node, Input::Persisted { ticket });
        }
        while self.machines[node].held.front().is_some_and(|(front, _)| *front <= ticket) {
            let Some((_, batch)) = self.machines[node].held.pop_front() else { break };
            for output in batch {
                if !lost || matches!(output, Output::Reply { .. }) {
                    self.execute(node, output);
                }
            }
        }
        self.write_next(node);
    }

    fn execute(&mut self, node: usize, output: Output) {
        let now = self.now;
        let machine = &mut self.machines[node];
        match output {
            Output::Send { link, message } => self.send(node, link, message),
            Output::StartOp(request) => self.start_op(node, &request),
            Output::CancelOp(id) => {
                let run = machine.run;
                let found = machine.ops.iter_mut().find(|(_, op)| op.run == run && op.id == id);
                let key = found.map(|(key, op)| {
                    op.cancelled = true;
                    *key
                });
                if let Some(key) = key {
                    let span = self.rng.span(us(100), ms(5));
                    self.push(span, What::OpDone { node, key });
                }
            }
            Output::GateTick { resources, hold, decided_at } => {
                let fails = self.mutant == Some(Mutant::GateFailsOpen);
                let until = if fails { Timestamp(u64::MAX) } else { machine.clock.real(decided_at + hold) };
                for resource in resources {
                    machine.gate.insert(resource, until);
                }
            }
            Output::GateShut { resources } => {
                for resource in resources {
                    machine.gate.remove(&resource);
                    if machine.running.get(&resource).is_some_and(|it| it.spec.address().is_some()) {
                        machine.remove(now, &resource);
                    }
                }
            }
            Output::RenewLifetime { resources, lifetime, not_after } => {
                if machine.clock.local(now) <= not_after {
                    for resource in resources {
                        let expires = machine.expiry(now, lifetime, &mut self.rng);
                        if let Some(active) = machine.running.get_mut(&resource) {
                            active.expires = Some(expires);
                        }
                    }
                }
            }
            Output::AskWire { resources } => {
                machine.asks = resources.into_iter().collect();
                self.ask_on(node);
            }
            Output::ProbePeer { nodes } => {
                machine.probes = !nodes.is_empty();
                self.ask_on(node);
            }
            Output::Volatile { text } => machine.volatile = Some(text),
            Output::VolatileLease { until } => machine.lease = Some(until),
            Output::Reply { token, reply, more } => {
                machine.replies.insert(token, *reply);
                if let Some(entry) = self.tokens.get_mut(&token) {
                    entry.2 |= !more;
                }
            }
            Output::Event(event) => {
                self.judge.event(now, node, machine, &event);
                machine.events.push((now, machine.run, event));
            }
            Output::Halt { .. } => {
                machine.halted = true;
                machine.absent_since = Some(now);
                machine.lose_daemon(&mut self.rng);
            }
            Output::Guard { .. } | Output::Announce { .. } | Output::Persist { .. } => {}
        }
    }

    fn ask_on(&mut self, node: usize) {
        let machine = &mut self.machines[node];
        if !machine.asking && (machine.probes || !machine.asks.is_empty()) {
            machine.asking = true;
            self.push(ms(1), What::Ask { node });
        }
    }

    fn send(&mut self, node: usize, link: LinkId, message: Message) {
        let to = 1 - node;
        if let Message::Heartbeat(heartbeat) = &message {
            let stated = (heartbeat.epoch.clone(), heartbeat.voters.len(), heartbeat.admission.is_some());
            self.machines[node].stated = Some(stated);
        }
        let message = Box::new(message);
        if self.rng.chance(20) {
            let old = &mut self.replays[node];
            if old.len() == REPLAYS {
                let at = self.rng.below(REPLAYS as u64) as usize;
                old.remove(at);
            }
            old.push_back((link, message.clone()));
        }
        if self.rng.chance(5) && !self.replays[node].is_empty() {
            // Somebody who cannot sign can still repeat.
            let at = self.rng.below(self.replays[node].len() as u64) as usize;
            let (link, message) = self.replays[node][at].clone();
            let delay = self.rng.span(us(50), ms(400));
            if self.machines[to].powered && self.machines[to].carrier[usize::from(link.0)] {
                self.push(delay, What::Packet { to, link, message });
            }
        }
        if !self.passes(node, to, usize::from(link.0)) || self.rng.chance(self.loss) {
            return;
        }
        if self.rng.chance(10) {
            let delay = self.delay();
            self.push(delay, What::Packet { to, link, message: message.clone() });
        }
        let delay = self.delay();
        self.push(delay, What::Packet { to, link, message });
    }

    fn delay(&mut self) -> Duration {
        match self.rng.below(100) {
            0 => self.rng.span(ms(1), ms(20)),
            1..10 => self.rng.span(us(100), ms(2)),
            _ => self.rng.span(us(50), us(250)),
        }
    }

    fn start_op(&mut self, node: usize, request: &OpRequest) {
        let spec = (*request.resource).clone();
        if matches!(request.action, OpAction::Start) {
            self.judge.start(self.now, node, &self.machines, &spec.id);
        }
        let (now, run) = (self.now, self.machines[node].run);
        let machine = &mut self.machines[node];
        if matches!(request.action, OpAction::Start | OpAction::Stop) {
            // The runner ends what an earlier daemon left half done before it acts on the same resource.
            machine.ops.retain(|_, op| op.run == run || op.spec.id != spec.id);
        }
        let (fate, span) = machine.fate(&mut self.rng, request.action, &spec, request.timeout);
        match request.action {
            OpAction::Start => {
                *machine.starts.entry(spec.id.clone()).or_default() += 1;
                if spec.address().is_none() {
                    // Whatever becomes of it, from now on something of it may run.
                    machine.running.entry(spec.id.clone()).or_insert(Active { spec: spec.clone(), expires: None });
                }
            }
            OpAction::Stop => {
                machine.stops += 1;
                if spec.address().is_some() && fate == crate::machine::Fate::Well {
                    machine.remove(now, &spec.id);
                }
            }
            _ => {}
        }
        self.sequence += 1;
        let key = self.sequence;
        let op = LiveOp {
            run,
            id: request.id,
            action: request.action,
            spec,
            began: now,
            lifetime: request.lifetime,
            not_after: request.not_after,
            fate,
            cancelled: false,
        };
        machine.ops.insert(key, op);
        self.push(span, What::OpDone { node, key });
    }

    fn op_done(&mut self, node: usize, key: u64) {
        let (now, mutant) = (self.now, self.mutant);
        let machine = &mut self.machines[node];
        let Some(op) = machine.ops.remove(&key) else { return };
        let script = op.spec.address().is_none();
        let outcome = match (mutant, op.action) {
            (Some(Mutant::StopLies), OpAction::Stop) if script => OpOutcome::Ok,
            (Some(Mutant::ProbeDenies), OpAction::Probe) => OpOutcome::NotRunning,
            (Some(Mutant::ProbeAffirms), OpAction::Probe) => OpOutcome::Ok,
            _ => machine.end_op(now, &op, &mut self.rng),
        };
        let run = machine.run;
        let expires = machine.running.get(&op.spec.id).and_then(|active| active.expires);
        if op.action == OpAction::Start && expires.is_some() {
            self.push(ms(500), What::Expire { node, resource: op.spec.id.clone() });
        }
        if op.run == run {
            let took = now.since(op.began);
            self.feed(node, Input::OpFinished(OpResult { id: op.id, outcome, took }));
        }
    }

    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let mut next = end;
            let mut due = None;
            for node in [0, 1] {
                let machine = &self.machines[node];
                let deadline = machine.controller.as_ref().filter(|_| !machine.frozen);
                let deadline = deadline.and_then(Controller::next_deadline).map(|(at, _)| machine.clock.real(at));
                if let Some(at) = deadline.map(|at| at.max(self.now)).filter(|at| *at < next) {
                    next = at;
                    due = Some(node);
                }
            }
            let queued = self.queue.peek().map(|Reverse(item)| item.0).filter(|at| *at <= next && *at < end);
            let at = queued.unwrap_or(next).max(self.now);
            self.judge.pass(self.now, at, self.kind, &self.machines, &self.dropped);
            self.now = at;
            if queued.is_some() {
                if let Some(Reverse(item)) = self.queue.pop() {
                    self.happen(item.2);
                }
                continue;
            }
            match due {
                Some(node) => {
                    // A timer is never early and a little late.
                    self.feed(node, Input::Deadline);
                    self.judge.deadline(self.now, node);
                }
                None => return,
            }
        }
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Packet { to, link, message } => {
                if self.machines[to].powered && self.machines[to].controller.is_some() {
                    let received_at = self.local(to);
                    self.feed(to, Input::Packet { link, message: *message, size: 200, received_at });
                }
            }
            What::Written { node, run } => {
                let machine = &mut self.machines[node];
                if machine.run == run && machine.writing {
                    if machine.frozen {
                        machine.write_ended = true;
                    } else {
                        self.written(node);
                    }
                }
            }
            What::OpDone { node, key } => self.op_done(node, key),
            What::Ask { node } => self.ask(node),
            What::Ping { node, run } => self.ping(node, run),
            What::Expire { node, resource } => {
                let open = self.mutant == Some(Mutant::GateFailsOpen);
                let machine = &mut self.machines[node];
                let Some(at) = machine.running.get(&resource).and_then(|active| active.expires) else { return };
                if self.now < at || open {
                    let wait = at.since(self.now).max(ms(500));
                    return self.push(wait, What::Expire { node, resource });
                }
                machine.remove(self.now, &resource);
                self.feed(node, Input::AddressChanged { resource, change: AddressChange::Expired });
            }
        }
    }

    fn ask(&mut self, node: usize) {
        let machine = &self.machines[node];
        if machine.controller.is_none() || (!machine.probes && machine.asks.is_empty()) {
            self.machines[node].asking = false;
            return;
        }
        let (peer, probes, frozen, asks) = (1 - node, machine.probes, machine.frozen, machine.asks.clone());
        self.push(ASK_EVERY, What::Ask { node });
        if frozen {
            return;
        }
        let both = |link| self.passes(node, peer, link) && self.passes(peer, node, link);
        let (wire, any) = (both(0), both(0) || both(1));
        for resource in asks {
            if !self.machines[node].carrier[0] {
                self.feed(node, Input::WireTrouble { resource, trouble: "the network is down".into() });
                continue;
            }
            self.feed(node, Input::WireAsked { resource: resource.clone() });
            let answers = self.machines[peer].answers_until(&resource) > self.now;
            if wire && answers && !self.rng.chance(self.loss) {
                let hardware = format!("02:00:00:00:00:0{peer}");
                self.feed(node, Input::WireAnswered { resource, hardware });
            }
        }
        if probes && any && !self.rng.chance(self.loss) {
            self.feed(node, Input::PeerAnswered { node: NodeName::new(NAMES[peer]) });
        }
    }

    fn ping(&mut self, node: usize, run: u64) {
        let machine = &self.machines[node];
        if machine.run != run || machine.controller.is_none() {
            return;
        }
        self.push(ms(50), What::Ping { node, run });
        let machine = &self.machines[node];
        if machine.pingable && machine.carrier[0] && !machine.frozen {
            let sent_at = self.local(node);
            self.feed(node, Input::PingAnswered { target: "router".into(), sent_at });
        }
    }

    /// What was done and what both machines say happened, in true time.
    pub fn told(&self) -> String {
        let mut lines: Vec<(Timestamp, String)> =
            self.story.iter().map(|(at, text)| (*at, format!("{at} ==== {text}"))).collect();
        for (node, machine) in self.machines.iter().enumerate() {
            for (at, _, event) in &machine.events {
                lines.push((*at, format!("{at} {} {} [{}]", NAMES[node], event.text, event.name)));
            }
        }
        lines.sort_by_key(|(at, _)| *at);
        let tail = lines.len().saturating_sub(400);
        let mut told: String = lines[tail..].iter().map(|(_, line)| format!("{line}\n")).collect();
        for (node, machine) in self.machines.iter().enumerate() {
            let Some(controller) = &machine.controller else { continue };
            let status = controller.status(self.local(node));
            let _ = writeln!(told, "{}: {} DC {:?} {:?}", NAMES[node], status.summary, status.dc, status.notes);
            for view in &status.nodes {
                let _ = writeln!(told, "  {view:?}");
            }
            for view in &status.groups {
                let _ = writeln!(told, "  {view:?}");
            }
            let _ = writeln!(told, "  runs: {:?} operations: {:?}", machine.running.keys(), machine.ops.values());
        }
        told
    }
}
