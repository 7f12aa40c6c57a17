//! What becomes of a daemon's orders: the kernel, agents and the wire obey.

use crate::agent::{self, Fate, Flaw, LiveOp};
use crate::check::Seen;
use crate::kernel::Active;
use crate::layout::{ms, us};
use crate::mutant::Mutant;
use crate::queue::What;
use crate::world::World;
use hearth_controller::{AddressChange, Input, Output};
use hearth_types::{NodeName, OpAction, OpId, OpOutcome, OpRequest, OpResult, ResourceId, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// How often the wire or a peer is asked.
const ASK_EVERY: Duration = ms(20);
/// The kernel removes an address at most so late.
const EXPIRY_LATE_MAX: Duration = ms(1000);

impl World {
    pub(crate) fn execute(&mut self, node: usize, output: Output) {
        let now = self.site.now;
        let machine = &mut self.site.machines[node];
        match output {
            Output::Send { link, version, message } => {
                if self.site.mutant == Some(Mutant::PetsWhileUnclean) && machine.reset_at.is_some() {
                    self.pet(node);
                }
                self.send(node, link, version, message);
            }
            Output::PetWatchdog { not_after, .. } => self.pet_until(node, not_after),
            Output::CloseWatchdog => machine.reset_at = None,
            Output::ResetSelf { what } => self.reset_self(node, &what),
            Output::StartOp(request) => {
                self.start_op(node, &request);
                if self.site.mutant == Some(Mutant::StartsOutOfOrder) && request.action == OpAction::Start {
                    self.start_next(node, &request);
                }
                if self.site.mutant == Some(Mutant::StartsTwice) && request.action == OpAction::Start {
                    self.start_op(node, &request);
                }
            }
            Output::CancelOp(id) => {
                let run = machine.run;
                let found = machine.ops.iter_mut().find(|(_, op)| op.run == run && op.id == id);
                let key = found.map(|(key, op)| {
                    op.cancelled = true;
                    *key
                });
                if let Some(key) = key {
                    let span = machine.rng.span(us(100), ms(5));
                    self.push(span, What::OpDone { node, key });
                }
            }
            Output::GateTick { resources, hold, decided_at } => {
                let fails = self.site.mutant == Some(Mutant::GateFailsOpen);
                let until = if fails { Timestamp(u64::MAX) } else { machine.clock.real(decided_at + hold) };
                for resource in resources {
                    machine.kernel.gate.insert(resource, until);
                }
            }
            Output::GateShut { resources } => {
                if self.site.mutant == Some(Mutant::IgnoresIsolation) {
                    return;
                }
                for resource in resources {
                    machine.kernel.gate.remove(&resource);
                    if machine.kernel.running.get(&resource).is_some_and(|it| it.spec.address().is_some()) {
                        machine.kernel.remove(now, &resource);
                    }
                }
            }
            Output::RenewLifetime { resources, lifetime, not_after } => {
                if machine.clock.local(now) <= not_after {
                    for resource in resources {
                        let expires = self.expiry(node, lifetime);
                        if let Some(active) = self.site.machines[node].kernel.running.get_mut(&resource) {
                            active.expires = Some(expires);
                        }
                    }
                }
            }
            Output::Slot { order } => self.slot_order(node, order),
            Output::Tiebreaker { order } => self.tiebreaker_order(node, order),
            Output::Fence { id, device, node: target, task, timeout, heard_at } => {
                self.use_device(node, &device, (id, &target, task), (timeout, heard_at));
            }
            Output::Alert { id, alert, .. } => {
                let run = machine.run;
                self.tell(format!("{} tells people: {}: {}", self.site.name(node), alert.name(), alert.text));
                self.push(ms(20), What::AlertDone { node, run, id });
            }
            Output::ChangeList { id, change, commit } => self.change_soon(node, id, change, commit),
            Output::AskWire { resources } => {
                machine.asks = resources.into_iter().collect();
                self.ask_on(node);
            }
            Output::ProbePeer { nodes } => {
                let names: Vec<&NodeName> = nodes.keys().collect();
                machine.probes = names.iter().filter_map(|name| self.site.layout.node(name.as_str())).collect();
                self.ask_on(node);
            }
            Output::Volatile { text } => machine.volatile = Some(text),
            Output::VolatileLease { until } => machine.lease = Some(until),
            Output::Reply { token, reply, more } => self.answered(node, token, *reply, more),
            Output::Event(event) => self.take_event(node, event),
            Output::Halt { .. } => {
                machine.halted = true;
                machine.absent_since = Some(now);
                machine.lose_daemon();
            }
            Output::Guard { .. } | Output::Announce { .. } | Output::Persist { .. } => {}
        }
    }

    fn change_soon(&mut self, node: usize, id: u64, change: hearth_config::ListChange, commit: bool) {
        let run = self.site.machines[node].run;
        self.push(ms(3), What::ChangesList { node, run, id, change, commit });
    }

    fn answered(&mut self, node: usize, token: u64, reply: hearth_control::Reply, more: bool) {
        if self.site.mutant == Some(Mutant::NeverAnswers) {
            return;
        }
        self.site.machines[node].replies.insert(token, reply);
        if let Some(order) = self.site.orders.get_mut(&token) {
            order.done |= !more;
        }
    }

    fn take_event(&mut self, node: usize, mut event: hearth_controller::Event) {
        if self.site.mutant == Some(Mutant::ForgetsCauses) {
            event.cause = None;
        }
        if self.site.mutant == Some(Mutant::TrustsEachTime) && event.name == "node-left-out" {
            self.release(node, &event.subject, ms(1));
        }
        let machine = &self.site.machines[node];
        let told = crate::machine::Told { at: self.site.now, run: machine.run, event };
        self.see(&Seen::Event { node, event: &told.event });
        self.site.machines[node].events.push(told);
    }

    /// A broken node (mutant) lets in again what flaps.
    fn release(&mut self, node: usize, what: &str, after: Duration) {
        let request = hearth_control::Request::Release { name: what.to_owned() };
        self.push(after, What::Again { node, request, left: 0 });
    }

    /// When the kernel would remove an address whose lifetime begins now.
    fn expiry(&mut self, node: usize, lifetime: Duration) -> Timestamp {
        let now = self.site.now;
        let machine = &mut self.site.machines[node];
        let late = machine.rng.span(Duration::ZERO, EXPIRY_LATE_MAX);
        machine.clock.real(machine.clock.local(now) + lifetime + late)
    }

    fn ask_on(&mut self, node: usize) {
        let machine = &mut self.site.machines[node];
        if !machine.asking && (!machine.probes.is_empty() || !machine.asks.is_empty()) {
            machine.asking = true;
            self.push(ms(1), What::Ask { node });
        }
    }

    /// A broken node (mutant) starts what stands behind a member as well.
    fn start_next(&mut self, node: usize, request: &OpRequest) {
        let groups = &self.site.layout.variants[self.site.machines[node].variant];
        let group = groups.iter().find(|group| group.resources[0].id == request.resource.id);
        if let Some(last) = group.and_then(|group| group.resources.get(2)).cloned() {
            self.start_op(node, &OpRequest { id: OpId(u64::MAX), resource: Arc::new(last), ..request.clone() });
        }
    }

    fn start_op(&mut self, node: usize, request: &OpRequest) {
        let spec = (*request.resource).clone();
        let now = self.site.now;
        let local = self.site.machines[node].local(now);
        // What was held back until its right had ended the runner does not even begin (R-LEASE-5).
        let late = request.action == OpAction::Start && request.not_after.is_some_and(|limit| local > limit);
        if !late {
            self.see(&Seen::OpStarted { node, action: request.action, spec: &spec });
        }
        let machine = &mut self.site.machines[node];
        let run = machine.run;
        if matches!(request.action, OpAction::Start | OpAction::Stop) {
            // The runner ends what an earlier daemon left half done before it acts on the same resource.
            machine.ops.retain(|_, op| op.run == run || op.spec.id != spec.id);
        }
        let (fate, mut span) = machine.agents.fate(&mut machine.rng, request.action, &spec, request.timeout);
        if self.site.mutant == Some(Mutant::MovesForever) {
            // Slow agents would be what ends its moves.
            span = span.min(ms(1));
        }
        let fate = if late { Fate::Late } else { fate };
        match request.action {
            OpAction::Start if late => span = us(100),
            OpAction::Start => {
                *machine.starts.entry(spec.id.clone()).or_default() += 1;
                if spec.address().is_none() {
                    // Whatever becomes of it, from now on something of it may run.
                    let active = Active { spec: spec.clone(), expires: None };
                    machine.kernel.running.entry(spec.id.clone()).or_insert(active);
                }
            }
            OpAction::Stop => {
                machine.stops += 1;
                if spec.address().is_some() && fate == Fate::Well {
                    machine.kernel.remove(now, &spec.id);
                }
            }
            OpAction::Probe | OpAction::Monitor => {}
        }
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
        let key = self.next_key();
        self.site.machines[node].ops.insert(key, op);
        self.push(span, What::OpDone { node, key });
    }

    pub(crate) fn op_done(&mut self, node: usize, key: u64) {
        let (now, mutant) = (self.site.now, self.site.mutant);
        if !self.site.machines[node].lives() {
            return;
        }
        let Some(op) = self.site.machines[node].ops.remove(&key) else { return };
        let expires = op.lifetime.map(|lifetime| self.expiry(node, lifetime));
        let machine = &mut self.site.machines[node];
        let script = op.spec.address().is_none();
        let lie = machine.agents.lie(&op.spec.id).filter(|_| matches!(op.action, OpAction::Probe | OpAction::Monitor));
        let outcome = match (mutant, op.action) {
            (Some(Mutant::StopLies), OpAction::Stop) if script => OpOutcome::Ok,
            (Some(Mutant::ProbeDenies), OpAction::Probe) => OpOutcome::NotRunning,
            (Some(Mutant::ProbeAffirms), OpAction::Probe) => OpOutcome::Ok,
            _ if lie.is_some() && !op.cancelled => lie.unwrap_or(OpOutcome::Ok),
            _ => {
                let local = machine.clock.local(now);
                agent::end(&mut machine.kernel, now, local, &op, expires, &mut machine.rng)
            }
        };
        if op.action == OpAction::Start
            && machine.kernel.running.get(&op.spec.id).is_some_and(|it| it.expires.is_some())
        {
            self.push(ms(500), What::Expire { node, resource: op.spec.id.clone() });
        }
        self.see(&Seen::OpEnded { node, op: &op, outcome: &outcome });
        if self.site.mutant == Some(Mutant::TrustsEachTime) && op.action == OpAction::Start && outcome != OpOutcome::Ok
        {
            let after = self.site.layout.timing.failure_timeout.unwrap_or_default();
            self.release(node, op.spec.id.as_str(), after);
        }
        if op.run == self.site.machines[node].run {
            let took = now.since(op.began);
            let killed = self.site.machines[node].agents.flaws.get(&op.spec.id) == Some(&Flaw::KillStop);
            let forced = killed && op.action == OpAction::Stop && outcome == OpOutcome::Ok;
            let remark = forced.then(|| "its stop did nothing; KILL sent to it".to_owned());
            self.feed(node, Input::OpFinished(OpResult { id: op.id, outcome, took, remark }));
        }
    }

    pub(crate) fn expire(&mut self, node: usize, resource: ResourceId) {
        let open = self.site.mutant == Some(Mutant::GateFailsOpen);
        let now = self.site.now;
        let machine = &mut self.site.machines[node];
        let Some(at) = machine.kernel.running.get(&resource).and_then(|active| active.expires) else { return };
        if now < at || open || !machine.lives() {
            let wait = at.since(now).max(ms(500));
            return self.push(wait, What::Expire { node, resource });
        }
        machine.kernel.remove(now, &resource);
        self.feed(node, Input::AddressChanged { resource, change: AddressChange::Expired });
    }

    pub(crate) fn ask(&mut self, node: usize) {
        let machine = &self.site.machines[node];
        if machine.controller.is_none() || (machine.probes.is_empty() && machine.asks.is_empty()) {
            self.site.machines[node].asking = false;
            return;
        }
        self.push(ASK_EVERY, What::Ask { node });
        let machine = &self.site.machines[node];
        if !machine.stands() {
            return;
        }
        let (probes, asks) = (machine.probes.clone(), machine.asks.clone());
        for resource in asks {
            if !self.site.machines[node].carrier[0] {
                self.feed(node, Input::WireTrouble { resource, trouble: "the network is down".into() });
                continue;
            }
            self.feed(node, Input::WireAsked { resource: resource.clone() });
            for other in self.site.nodes().filter(|other| *other != node) {
                let wire = self.site.passes(node, other, 0) && self.site.passes(other, node, 0);
                let answers = self.site.machines[other].answers_until(&resource) > self.site.now;
                if wire && answers && !self.is_lost(0) {
                    let hardware = format!("02:00:00:00:00:0{other}");
                    self.feed(node, Input::WireAnswered { resource: resource.clone(), hardware });
                }
            }
        }
        for peer in probes {
            let both = |link| self.site.passes(node, peer, link) && self.site.passes(peer, node, link);
            if (0..self.site.layout.links.len()).any(both) && !self.is_lost(0) {
                let name = self.site.layout.names[peer].clone();
                self.feed(node, Input::PeerAnswered { node: name });
            }
        }
    }

    fn is_lost(&mut self, link: usize) -> bool {
        let permille = self.site.network.quality[link].loss;
        self.site.network.chance(permille)
    }

    pub(crate) fn ping(&mut self, node: usize, run: u64) {
        let machine = &self.site.machines[node];
        if machine.run != run || machine.controller.is_none() {
            return;
        }
        self.push(ms(50), What::Ping { node, run });
        let machine = &self.site.machines[node];
        if machine.pingable && machine.carrier[0] && machine.stands() {
            let sent_at = machine.local(self.site.now);
            self.feed(node, Input::PingAnswered { target: "router".into(), sent_at });
        }
    }
}
