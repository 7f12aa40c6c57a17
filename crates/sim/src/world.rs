//! The run of things: what happens next, and what each daemon is told and orders.

use crate::act::Act;
use crate::check::{self, Checkers, Complaint, Seen};
use crate::excuse;
use crate::layout::{Layout, ms};
use crate::mutant::Mutant;
use crate::queue::{Queue, What};
use crate::record::{Recorder, Recording};
use crate::rng::Rng;
use crate::site::{Order, Site};
use crate::twin::Twin;
use hearth_control::Request;
use hearth_controller::{Carrier, Controller, Input, Next, Output, Start, overtakes};
use hearth_types::{Incarnation, LinkId, NodeIdentity, OpAction, ResourceId, Timestamp};
use hearth_wire::Message;
use std::fmt::Write as _;
use std::time::Duration;

/// A cluster in virtual time.
pub struct World {
    /// What checkers see.
    pub site: Site,
    pub(crate) queue: Queue,
    pub(crate) checkers: Checkers,
    /// What checkers complained of.
    pub complaints: Vec<Complaint>,
    /// Hash of every output and every deadline so far, if wanted; once it is closed also of what each daemon knows.
    pub trace: Option<u64>,
    /// When something other than the beat of keepalives happened, each moment once, if wanted.
    pub moments: Option<Vec<Timestamp>>,
    /// When something other than keepalives and looks at what runs last happened.
    pub(crate) stirred_at: Timestamp,
    pub(crate) incarnations: Rng,
    token: u64,
    key: u64,
    was_hot: bool,
    spare: Vec<Output>,
    /// Machines, as bits, that have a clone.
    pub(crate) ghosts: u64,
    pub(crate) ghost_number: u64,
    /// Newest heartbeats of machines that have a clone, with their wire versions.
    pub(crate) last_beats: Vec<Option<(LinkId, u8, Message)>>,
    /// Whether no daemon ever rests (decision 0054), and each is watched that its record does not change without a word.
    pub restless: bool,
    /// Whether every turn of a daemon to which only time or a look has come is compared with the same turn of a clone that
    /// does not rest.
    pub twins: bool,
    /// What the hash is made of, a line each, if wanted.
    pub lines: Option<Vec<String>>,
    /// Inputs fed, for figures.
    pub inputs: u64,
    recorder: Option<Recorder>,
}

impl World {
    /// All machines off. `seed` decides everything that chance decides.
    pub fn new(layout: Layout, seed: u64, mutant: Option<Mutant>) -> World {
        let last_beats = vec![None; layout.names.len()];
        World {
            site: Site::new(layout, seed, mutant),
            ghosts: 0,
            ghost_number: 0,
            last_beats,
            restless: false,
            twins: false,
            lines: None,
            queue: Queue::default(),
            checkers: Checkers::all(),
            complaints: Vec::new(),
            trace: None,
            moments: None,
            stirred_at: Timestamp::ZERO,
            incarnations: Rng::new(seed, "incarnations"),
            token: 0,
            key: 0,
            was_hot: false,
            spare: Vec::new(),
            inputs: 0,
            recorder: None,
        }
    }

    /// Every machine on and its daemon started, five seconds later.
    ///
    /// # Panics
    /// Not all is well by then.
    pub fn settled(layout: Layout, seed: u64, mutant: Option<Mutant>) -> World {
        let mut world = World::new(layout, seed, mutant);
        world.site.nodes().for_each(|node| world.act(&Act::Start(node)));
        world.run(Duration::from_secs(5));
        assert!(check::unwell(&world.site).is_none(), "seed {seed}");
        world
    }

    /// A person switches on what was left off, and starts every daemon that does not run.
    pub fn switch_on(&mut self) {
        for node in self.site.nodes() {
            let machine = &mut self.site.machines[node];
            machine.strips.iter_mut().for_each(|strip| strip.on = true);
            machine.dark = false;
            self.act(&Act::Start(node));
        }
    }

    /// Records what every daemon is told from its start on, if it starts after this.
    pub fn record(&mut self) {
        self.recorder = Some(Recorder::default());
    }

    /// The recordings so far; none are made any more.
    pub fn recordings(&mut self) -> Vec<Recording> {
        self.recorder.take().map(Recorder::end).unwrap_or_default()
    }

    /// Hashes every output from now on (protocol section 8, 9).
    pub fn hash_outputs(&mut self) {
        self.trace = Some(0xcbf2_9ce4_8422_2325);
    }

    /// Notes in the story what was done.
    pub fn tell(&mut self, text: impl Into<String>) {
        let at = self.site.now;
        self.site.story.push((at, text.into()));
    }

    /// A second world that goes on exactly as this one does, and shares nothing with it; none where one of its daemons
    /// cannot be cloned, or is recorded.
    pub fn fork(&self) -> Option<World> {
        let daemons = self.site.machines.iter().filter_map(|machine| machine.controller.as_ref());
        if self.recorder.is_some() || !daemons.into_iter().all(Controller::can_be_cloned) {
            return None;
        }
        Some(World {
            site: self.site.clone(),
            queue: self.queue.clone(),
            checkers: self.checkers.fork(),
            complaints: self.complaints.clone(),
            trace: self.trace,
            moments: self.moments.clone(),
            stirred_at: self.stirred_at,
            incarnations: self.incarnations.clone(),
            token: self.token,
            key: self.key,
            was_hot: self.was_hot,
            spare: Vec::new(),
            ghosts: self.ghosts,
            ghost_number: self.ghost_number,
            last_beats: self.last_beats.clone(),
            restless: self.restless,
            twins: self.twins,
            lines: self.lines.clone(),
            inputs: self.inputs,
            recorder: None,
        })
    }

    pub(crate) fn push(&mut self, after: Duration, what: What) {
        self.queue.push(self.site.now + after, what);
    }

    pub(crate) fn see(&mut self, seen: &Seen<'_>) {
        self.checkers.see(&self.site, seen, &mut self.complaints);
    }

    /// Power on if it is off, then the daemon starts.
    pub fn start(&mut self, node: usize) {
        let now = self.site.now;
        let machine = &self.site.machines[node];
        if machine.controller.is_some() || machine.paused.is_some() {
            return;
        }
        let stale = self.site.mutant == Some(Mutant::StaleLease);
        let twice = self.site.mutant == Some(Mutant::AppliesTwice) && node == 0;
        let old_list = self.site.mutant == Some(Mutant::CountsByOldList) && node == 0 && self.site.layout.is_to_come;
        let incarnation = self.incarnations.next_u64();
        self.power_on(node);
        let machine = &mut self.site.machines[node];
        machine.run += 1;
        machine.take_list(now);
        machine.config.cluster.wire_version = machine.package;
        machine.halted = false;
        machine.frozen = false;
        machine.absent_since = None;
        machine.disk.failed = false;
        if twice {
            crate::disk::repeat_last_entry(&mut machine.disk);
        }
        if let Some(added) = self.site.layout.names.last().filter(|_| old_list) {
            crate::disk::forget_voter(&mut machine.disk, added.as_str());
        }
        let start = Start {
            config: machine.config.clone(),
            fresh_identity: NodeIdentity(incarnation ^ 0xff),
            incarnation: Incarnation(incarnation),
            seed: incarnation,
            state: machine.disk.state.clone(),
            log: machine.disk.log.clone(),
            volatile: machine.volatile.clone(),
            volatile_lease: if stale { Some(Timestamp(u64::MAX / 2)) } else { machine.lease },
            now: machine.clock.local(now),
            version: "sim".into(),
        };
        if let Some(recorder) = self.recorder.as_mut() {
            recorder.begin(node, &start);
        }
        match Controller::new(start) {
            Ok(controller) => machine.controller = Some(controller),
            Err(error) => {
                let text = format!("{} does not start: {error:?}", self.site.name(node));
                self.complaints.push(Complaint { at: now, checker: "start", text });
                return;
            }
        }
        let run = machine.run;
        self.make_ring(node);
        for link in 0..self.site.layout.links.len() {
            self.tell_carrier(node, link);
        }
        self.tell_homes(node);
        if self.site.layout.self_fence.is_some() {
            self.feed(node, Input::SelfFenceSeen(Ok(())));
        }
        if self.site.layout.tiebreaker {
            self.push(ms(1), What::Ping { node, run });
        }
    }

    pub(crate) fn tell_carrier(&mut self, node: usize, link: usize) {
        let Some(interface) = self.site.layout.interface(link) else { return };
        let carrier = if self.site.machines[node].carrier[link] { Carrier::Up } else { Carrier::Down };
        self.feed(node, Input::CarrierChanged { interface, carrier });
    }

    pub(crate) fn tell_homes(&mut self, node: usize) {
        let model = &self.site.machines[node].config.resources;
        let addresses: Vec<ResourceId> =
            model.resources().filter(|(_, it)| it.address().is_some()).map(|(_, it)| it.id.clone()).collect();
        for resource in addresses {
            self.feed(node, Input::AddressHome { resource, interface: Some("eth0".into()) });
        }
    }

    /// Orders something on a node; returns the token of the order.
    pub fn request(&mut self, node: usize, request: Request) -> u64 {
        self.token += 1;
        let token = self.token;
        let run = self.site.machines[node].run;
        if self.site.machines[node].controller.is_none() {
            return token;
        }
        self.site.orders.insert(token, Order { node, run, done: false });
        self.feed(node, Input::Request { token, request, by: "root".into() });
        token
    }

    pub(crate) fn next_key(&mut self) -> u64 {
        self.key += 1;
        self.key
    }

    /// Tells a daemon something; it waits while the daemon is frozen.
    pub(crate) fn feed(&mut self, node: usize, input: Input) {
        let machine = &mut self.site.machines[node];
        let stands = machine.stands();
        let Some(controller) = machine.controller.as_mut() else { return };
        // A daemon that was thawed comes to what waited in its order; only its timer may be first.
        if !stands || (machine.drowsy && !matches!(input, Input::Deadline)) {
            machine.backlog.push_back(input);
            return;
        }
        let now = machine.clock.local(self.site.now);
        let mut out = std::mem::take(&mut self.spare);
        let beats = is_beat(&input);
        let looked = beats || matches!(input, Input::OpFinished(_));
        if let Some(recorder) = self.recorder.as_mut() {
            recorder.told(node, now, &input);
        }
        let known = |controller: &Controller| controller.record().map(|record| (record.epoch.clone(), record.applied));
        let before = self.restless.then(|| known(controller));
        if self.restless {
            controller.rouse();
        }
        let twin = (self.twins && looked).then(|| Twin::of(controller, now, &input)).flatten();
        controller.handle(now, input, &mut out);
        // The checker of agreement looks only where something was said.
        let silent = out.is_empty() && before.is_some_and(|before| before != known(controller));
        assert!(!silent, "the record of machine {node} changed, and it said nothing");
        let differs = twin.and_then(|twin| twin.differs(controller, &out));
        self.complaints.extend(differs.map(|text| Complaint { at: self.site.now, checker: "rest", text }));
        if let Some(recorder) = self.recorder.as_mut() {
            recorder.ordered(node, &out);
        }
        self.inputs += 1;
        let eventful = !(beats && out.iter().all(overtakes));
        if eventful && !(looked && out.iter().all(|output| overtakes(output) || looks(output))) {
            self.stirred_at = self.site.now;
        }
        if let Some(moments) = self.moments.as_mut().filter(|known| eventful && known.last() != Some(&self.site.now)) {
            moments.push(self.site.now);
        }
        let count = out.len();
        // What a step says and what it orders is one moment: the checkers hear the reason first.
        let written = out.iter().rposition(|output| matches!(output, Output::Persist { .. })).map_or(0, |at| at + 1);
        out[written..].sort_by_key(|output| !matches!(output, Output::Event(_)));
        for output in out.drain(..) {
            if let Some(trace) = self.trace.as_mut() {
                hash(trace, &mut self.lines, format_args!("{node} {} {output:?}", self.site.now));
            }
            // What it says behind its own end nobody hears, and nothing of it is written.
            if self.site.machines[node].controller.is_some() {
                self.offer(node, output);
            }
        }
        self.spare = out;
        let machine = &mut self.site.machines[node];
        machine.ask_deadline();
        if let (Some(trace), Some(controller)) = (self.trace.as_mut(), &machine.controller) {
            hash(trace, &mut self.lines, format_args!("{node} {:?}", controller.next_deadline()));
        }
        if self.site.mutant == Some(Mutant::DeadlineSpins) && node == 0 && self.complaints.is_empty() {
            self.site.machines[node].due = Some(self.site.now);
        }
        self.see(&Seen::Outputs { node, count });
    }

    fn offer(&mut self, node: usize, output: Output) {
        let early = self.site.mutant == Some(Mutant::VisibleBeforeDurable);
        let machine = &mut self.site.machines[node];
        if let Output::Persist { ticket, state, log } = output {
            if !early {
                machine.held.barrier(ticket);
            }
            machine.disk.writes.push_back(crate::disk::Write { ticket, state, log });
            self.write_next(node);
        } else if machine.held.is_empty() {
            self.execute(node, output);
        } else if let Some(output) = machine.held.offer(output) {
            self.execute(node, output);
        }
    }

    fn write_next(&mut self, node: usize) {
        let machine = &mut self.site.machines[node];
        if machine.disk.writing || machine.disk.writes.is_empty() {
            return;
        }
        (machine.disk.writing, machine.disk.began_at) = (true, self.site.now);
        let (span, run) = (machine.disk.span(&mut machine.rng), machine.run);
        self.push(span, What::Written { node, run });
    }

    /// The write under way has ended.
    pub(crate) fn written(&mut self, node: usize) {
        let disk = &mut self.site.machines[node].disk;
        disk.writing = false;
        if self.site.now.since(disk.began_at) >= self.site.layout.timing.deadtime / 2 {
            disk.hung_until = self.site.now;
        }
        let Some(write) = disk.writes.pop_front() else { return };
        disk.failed |= disk.mode == crate::disk::DiskMode::Full;
        let (ticket, lost) = (write.ticket, disk.failed);
        if lost {
            self.feed(node, Input::PersistFailed { ticket, error: "no space left on device".into() });
        } else {
            disk.put(write.state, write.log);
            self.see(&Seen::Written { node });
            self.feed(node, Input::Persisted { ticket });
        }
        for next in self.site.machines[node].held.release(ticket, lost) {
            match next {
                Next::Do(output) => self.execute(node, output),
                Next::Tell(input) => self.feed(node, input),
            }
        }
        self.write_next(node);
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.site.now + span;
        self.run_until(end, |_| false);
    }

    /// Lets time pass until something holds, at most to `end`. True if it holds.
    pub fn run_until(&mut self, end: Timestamp, holds: impl Fn(&Site) -> bool) -> bool {
        loop {
            if holds(&self.site) {
                return true;
            }
            if self.complaints.len() >= check::COMPLAINTS_MAX {
                // Nothing new is learnt, and what is broken may never come to rest.
                self.site.now = self.site.now.max(end);
                return false;
            }
            if !self.go_on(end) {
                self.pass(end.max(self.site.now));
                return holds(&self.site);
            }
        }
    }

    /// Lets everything happen that comes before a moment, and time stand at the last of it: a fork that runs on to that
    /// moment is as if this world had never stopped.
    pub fn run_before(&mut self, end: Timestamp) {
        while self.complaints.len() < check::COMPLAINTS_MAX && self.go_on(end) {}
    }

    /// The next thing happens, if it comes before `end`.
    fn go_on(&mut self, end: Timestamp) -> bool {
        let mut next = end;
        let mut due = None;
        for (node, machine) in self.site.machines.iter().enumerate() {
            if let Some(at) = machine.due.map(|at| at.max(self.site.now)).filter(|at| *at < next) {
                next = at;
                due = Some(node);
            }
        }
        if let Some(at) = self.queue.next_at().filter(|at| *at <= next && *at < end) {
            self.pass(at.max(self.site.now));
            if let Some(what) = self.queue.pop() {
                self.happen(what);
            }
            return true;
        }
        let Some(node) = due else { return false };
        self.pass(next.max(self.site.now));
        self.feed(node, Input::Deadline);
        self.see(&Seen::Deadline { node });
        true
    }

    /// Time passes, and nothing happens in it but gates that run out.
    fn pass(&mut self, until: Timestamp) {
        let hot = self.site.is_hot() || self.checkers.watches();
        if hot || self.was_hot {
            excuse::update(&mut self.site);
            self.checkers.pass(&self.site, until, &mut self.complaints);
            self.was_hot = hot;
        }
        self.site.now = until;
    }

    /// Ends the judgement: what is only known at the end is judged now.
    pub fn close(&mut self) {
        self.checkers.end(&self.site, &mut self.complaints);
        if let Some(trace) = self.trace.as_mut() {
            for controller in self.site.machines.iter().filter_map(|machine| machine.controller.as_ref()) {
                hash(trace, &mut self.lines, format_args!("{:?}", controller.checkpoint()));
            }
        }
    }

    /// From now on the gaps of an address are measured.
    pub fn watch(&mut self, resource: &str) {
        let now = self.site.now;
        self.checkers.watch(now, ResourceId::from(resource));
    }

    /// The longest time since [`World::watch`] in which nobody answered for the address.
    pub fn longest_gap(&self) -> Duration {
        self.checkers.longest_gap(self.site.now)
    }

    /// For how long two machines really answered for one address so far.
    pub fn two_answered(&self) -> Duration {
        self.checkers.two_answered()
    }
}

fn hash(trace: &mut u64, lines: &mut Option<Vec<String>>, said: std::fmt::Arguments<'_>) {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = text.write_fmt(said);
    *trace = text.bytes().fold(*trace, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    if let Some(lines) = lines {
        lines.push(text);
    }
}

/// What comes again and again while nothing happens.
fn is_beat(input: &Input) -> bool {
    matches!(
        input,
        Input::Packet { message: Message::Heartbeat(_), .. }
            | Input::Deadline
            | Input::PingAnswered { .. }
            | Input::WireAsked { .. }
    )
}

/// An order to look at what runs.
fn looks(output: &Output) -> bool {
    matches!(output, Output::StartOp(request) if matches!(request.action, OpAction::Probe | OpAction::Monitor))
}
