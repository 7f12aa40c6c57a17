//! Two nodes in virtual time that are recorded: the smallest world in which something happens.

use hearth_config::{Config, Environment, InterfaceFacts, Sources};
use hearth_controller::{Carrier, Controller, Input, Output, Start};
use hearth_recording::{Begin, Check, Head, Writer};
use hearth_types::{
    AgentClass, Incarnation, NodeIdentity, NodeName, OpAction, OpOutcome, OpResult, ResourceId, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

const TRIP: Duration = Duration::from_micros(100);
pub const KEY: &str = "5ecret-0f-this-test";

struct Machine(&'static str);

impl Environment for Machine {
    fn host_name(&self) -> String {
        self.0.into()
    }
    fn interface(&self, name: &str) -> Option<InterfaceFacts> {
        let addresses = vec![("10.0.0.1".parse().ok()?, 24)];
        (name == "eth0").then_some(InterfaceFacts { addresses, has_broadcast: true, is_up: true })
    }
    fn interfaces(&self) -> Vec<String> {
        vec!["eth0".into()]
    }
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        host.parse().map(|address| vec![address]).map_err(|_| "no such host".to_owned())
    }
    fn script(&self, name: &str) -> Option<(AgentClass, String)> {
        (name == "web").then(|| (AgentClass::Heartbeat, "/etc/ha.d/resource.d/web".to_owned()))
    }
    fn scripts(&self) -> Vec<String> {
        vec!["web".into()]
    }
    fn is_character_device(&self, _: &str) -> bool {
        false
    }
    fn not_a_program(&self, _: &str) -> Option<String> {
        Some("does not exist".into())
    }

    fn fence_program(&self, _: &str) -> Option<String> {
        None
    }
    fn text(&self, _: &str) -> Result<String, String> {
        Err("no such file".into())
    }
    fn is_local_address(&self, _: IpAddr) -> bool {
        false
    }
}

pub fn config(local: &'static str, keepalive: &str) -> Config {
    let sources = Sources {
        ha_cf: Some(format!("keepalive {keepalive}\ndeadtime 2\ninitdead 4\nbcast eth0\nnode a b\n")),
        haresources: Some("a 10.0.0.9/24/eth0 web\n".into()),
        authkeys: Some(format!("auth 1\n1 sha256 {KEY}\n")),
        authkeys_mode: Some(0o600),
        ..Sources::default()
    };
    let parsed = hearth_config::parse(&sources, &Machine(local));
    parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.complaints))
}

enum What {
    Feed(usize, Input),
    Done(usize, OpAction, ResourceId, OpResult),
}

pub struct Node {
    pub controller: Controller,
    pub writer: Writer<Vec<u8>>,
    pub inputs: Vec<(Timestamp, Input, Vec<Output>)>,
    running: BTreeSet<ResourceId>,
    pub powered: bool,
}

pub struct Pair {
    pub now: Timestamp,
    due: BTreeMap<(Timestamp, u64), What>,
    count: u64,
    pub nodes: Vec<Node>,
}

impl Pair {
    pub fn new(keepalive: &str) -> Pair {
        let now = Timestamp(5_000_000_000);
        let nodes = ["a", "b"].into_iter().zip(1..).map(|(name, number)| {
            let start = Start {
                config: config(name, keepalive),
                fresh_identity: NodeIdentity(number),
                incarnation: Incarnation(70 + number),
                seed: number,
                state: None,
                log: Vec::new(),
                volatile: None,
                volatile_lease: None,
                now,
                version: "test".into(),
            };
            let head = Head {
                version: "test".into(),
                node: NodeName::new(name),
                incarnation: start.incarnation,
                inputs_before: 0,
                at: now,
                wall_ms: 1_700_000_000_000,
                check: Check::default().number(),
                begin: Begin::Start(Box::new(start.clone())),
            };
            Node {
                controller: Controller::new(start).expect("no state"),
                writer: Writer::begin(Vec::new(), &head).expect("memory"),
                inputs: Vec::new(),
                running: BTreeSet::new(),
                powered: true,
            }
        });
        let mut pair = Pair { now, due: BTreeMap::new(), count: 0, nodes: nodes.collect() };
        for node in [0, 1] {
            pair.feed(node, Input::CarrierChanged { interface: "eth0".into(), carrier: Carrier::Up });
            let resource = ResourceId::from("10.0.0.9/24/eth0");
            pair.feed(node, Input::AddressHome { resource, interface: Some("eth0".into()) });
        }
        pair
    }

    pub fn feed(&mut self, node: usize, input: Input) {
        let (now, one) = (self.now, &mut self.nodes[node]);
        if !one.powered {
            return;
        }
        let mut out = Vec::new();
        one.controller.handle(now, input.clone(), &mut out);
        one.writer.input(now, &input, &out).expect("memory");
        one.inputs.push((now, input, out.clone()));
        for output in out {
            self.carry_out(node, output);
        }
    }

    fn later(&mut self, span: Duration, what: What) {
        self.count += 1;
        self.due.insert((self.now + span, self.count), what);
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        match output {
            Output::Send { link, message, .. } => {
                let received_at = self.now + TRIP;
                self.later(TRIP, What::Feed(1 - node, Input::Packet { link, message, size: 300, received_at }));
            }
            Output::Persist { ticket, .. } => self.later(TRIP * 3, What::Feed(node, Input::Persisted { ticket })),
            Output::StartOp(request) => {
                let runs = self.nodes[node].running.contains(&request.resource.id);
                let asks = matches!(request.action, OpAction::Probe | OpAction::Monitor);
                let outcome = if asks && !runs { OpOutcome::NotRunning } else { OpOutcome::Ok };
                let result = OpResult { id: request.id, outcome, took: TRIP, remark: None };
                self.later(TRIP * 20, What::Done(node, request.action, request.resource.id.clone(), result));
            }
            Output::AskWire { resources } => {
                for resource in resources {
                    self.later(TRIP, What::Feed(node, Input::WireAsked { resource }));
                }
            }
            _ => {}
        }
    }

    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let queued = self.due.keys().next().map(|(at, _)| *at);
            let timers = [0, 1].map(|node| {
                let node = &self.nodes[node];
                node.controller.next_deadline().map(|(at, _)| at.max(self.now)).filter(|_| node.powered)
            });
            let next = timers.into_iter().flatten().chain(queued).min();
            let Some(next) = next.filter(|next| *next < end) else { break };
            self.now = next;
            if queued == Some(next) {
                match self.due.pop_first() {
                    Some((_, What::Feed(node, input))) => self.feed(node, input),
                    Some((_, What::Done(node, action, resource, result))) => {
                        match action {
                            OpAction::Start => _ = self.nodes[node].running.insert(resource),
                            OpAction::Stop => _ = self.nodes[node].running.remove(&resource),
                            OpAction::Probe | OpAction::Monitor => {}
                        }
                        self.feed(node, Input::OpFinished(result));
                    }
                    None => {}
                }
            } else {
                let node = usize::from(timers[0] != Some(next));
                self.feed(node, Input::Deadline);
            }
        }
        self.now = end;
    }

    /// Both start, the owner's power fails, the other takes over.
    pub fn takeover() -> Pair {
        let mut pair = Pair::new("200ms");
        pair.run(Duration::from_secs(8));
        pair.nodes[0].powered = false;
        pair.run(Duration::from_secs(6));
        pair
    }

    /// Names of everything that was told of a node's life.
    pub fn story(inputs: &[(Timestamp, Input, Vec<Output>)]) -> Vec<String> {
        let outputs = inputs.iter().flat_map(|(_, _, outputs)| outputs);
        let events = outputs.filter_map(|output| match output {
            Output::Event(event) => Some(format!("{} {} {}", event.at, event.name, event.subject)),
            _ => None,
        });
        events.collect()
    }

    pub fn recording(&mut self, node: usize) -> Vec<u8> {
        let writer = &mut self.nodes[node].writer;
        writer.flush().expect("memory");
        writer.written_to().clone()
    }
}
