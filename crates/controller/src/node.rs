//! The node itself: what it is made of, and the order in which one input runs through it.

use crate::aging::Failures;
use crate::alerts::Alerts;
use crate::alone::Alone;
use crate::chronicle::Chronicle;
use crate::fences::Fences;
use crate::flaps::Flaps;
use crate::keeping::Keeping;
use crate::leases::Revoked;
use crate::list::Unlisted;
use crate::listing::Listing;
use crate::mark::Marks;
use crate::orders::Orders;
use crate::rest::Rest;
use crate::self_fence::SelfFence;
use crate::slot::Slot;
use crate::speech::Speech;
use crate::standing::Standing;
use crate::talk::PeerMessage;
use crate::tiebreaker::Tiebreaker;
use crate::watchdog::Guardian;
use crate::{Controller, EventId, Input, Output, Start, StartError, TimerKind};
use hearth_cib::Record;
use hearth_config::Config;
use hearth_control::Status;
use hearth_executor::{Executor, Rights, StartedResource};
use hearth_ledger::Ledger;
use hearth_membership::Members;
use hearth_scheduler::Alive;
use hearth_types::{Admission, EpochName, Incarnation, Index, NodeName, ResourceId, ResourceSpec, Timestamp};
use hearth_wire::{Channel, Message};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Rounds of "decide, apply, plan" that one input may cause before the rest waits for the next one. A takeover of any
/// size needs four; the bound only keeps a planner that never rests from stopping the heartbeats.
const ROUNDS_MAX: usize = 32;

/// Everything of one node.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Node {
    pub config: Config,
    pub digest: (u64, u64),
    pub local: NodeName,
    pub incarnation: Incarnation,
    pub version: String,
    pub members: Members,
    pub ledger: Ledger,
    pub executor: Executor,
    pub standing: Standing,
    pub keeping: Keeping,
    #[serde(default)]
    pub watchdog: Guardian,
    #[serde(default)]
    pub self_fence: SelfFence,
    #[serde(default)]
    pub slot: Slot,
    #[serde(default)]
    pub tiebreaker: Tiebreaker,
    pub alone: Alone,
    pub speech: Speech,
    #[serde(default)]
    pub unlisted: Unlisted,
    /// Changes of the list of nodes under way.
    #[serde(default)]
    pub(crate) listing: Listing,
    pub marks: Marks,
    pub orders: Orders,
    pub chronicle: Chronicle,
    pub channels: BTreeMap<NodeName, Channel>,
    /// Newest session of the channels that this run has closed or opened.
    pub sessions: u64,
    pub resend_at: Timestamp,
    /// The DC that reports were last sent to.
    pub last_dc: Option<NodeName>,
    /// Whether this run has told the record that everything was probed.
    pub probes_done: bool,
    /// The record with everything that this DC has proposed and that is not decided yet.
    pub ahead: Option<Record>,
    /// What the executor works by while this node has no epoch: nothing is wanted.
    pub shadow: Option<Record>,
    pub standings: BTreeMap<NodeName, (u16, Timestamp)>,
    /// Ping targets reached, as our newest heartbeat says.
    pub said_pings: u16,
    pub media_trouble: BTreeMap<u8, String>,
    pub refused: BTreeMap<String, u64>,
    pub gate_trouble: Option<String>,
    /// Nodes that asked to leave, and whether we do.
    pub leaving: BTreeSet<NodeName>,
    pub shutdown: Option<Shutdown>,
    pub guarded: Vec<ResourceSpec>,
    pub guard_dirty: bool,
    pub volatile_dirty: bool,
    pub asked: BTreeSet<ResourceId>,
    pub probed_peers: BTreeSet<NodeName>,
    pub ticket: u64,
    pub next_keepalive_at: Timestamp,
    pub next_ledger_at: Timestamp,
    /// Since when the voters are together and have no DC.
    pub without_dc_since: Option<Timestamp>,
    pub last_wake_at: Timestamp,
    /// When time alone brings something next, as of the last input.
    pub due: (Timestamp, TimerKind),
    /// Whether a beat may leave out what could only judge the same again.
    #[serde(skip)]
    pub rest: Rest,
    pub beat_now: bool,
    pub record_changed: bool,
    pub volatile_text: String,
    /// What runs by the executor's word, for the next daemon.
    pub started: Vec<StartedResource>,
    pub told_rights: Option<Rights>,
    pub told_wire: BTreeMap<ResourceId, (bool, Option<String>)>,
    pub needs_wire: BTreeSet<ResourceId>,
    /// Everything that the shadow record names was probed.
    pub shadow_probed: bool,
    /// What the plan was last made for.
    pub planned: Option<(Index, Alive, EpochName)>,
    pub disk_failed: Option<String>,
    pub writes: crate::disk::Writes,
    /// Everything written up to this ticket is durable.
    pub durable_ticket: u64,
    /// What this voter vouches for no more (R-LEASE-3).
    pub revoked: BTreeMap<NodeName, Revoked>,
    /// Admissions of nodes, and the index from which on a statement can be about them.
    pub admissions: BTreeMap<NodeName, (Admission, Index)>,
    /// When decided entries were last asked for.
    pub asked_at: Timestamp,
    /// For which epoch this run has said that it keeps things only by its lease.
    pub leased_said: Option<EpochName>,
    pub last_change_at: Option<Timestamp>,
    pub(crate) failures: Failures,
    /// Machines and resources that flap.
    #[serde(default)]
    pub(crate) flaps: Flaps,
    pub waiting: BTreeMap<ResourceId, String>,
    pub problems: BTreeMap<String, EventId>,
    /// Machines to be turned off, and the devices that do it.
    #[serde(default)]
    pub fences: Fences,
    /// What people are told of.
    #[serde(default)]
    pub alerts: Alerts,
}

/// An orderly stop under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shutdown {
    pub by: String,
    pub since: Timestamp,
    /// Tokens that wait for its end.
    pub tokens: Vec<u64>,
    /// Everything is stopped and said.
    pub finished: bool,
    /// The peer has been told; it may be left alone once it says so, or after this moment.
    pub leave_at: Option<Timestamp>,
    /// When the DC was last asked.
    pub said_at: Timestamp,
    pub halted: bool,
}

impl Controller {
    /// Makes a node. First outputs come from the first [`Controller::handle`].
    ///
    /// # Errors
    /// The state file cannot be read, or belongs to another node; nothing was changed.
    pub fn new(start: Start) -> Result<Controller, StartError> {
        Ok(Controller { node: Box::new(Node::new(start)?) })
    }

    /// Takes one input and appends what is to be done, in order.
    pub fn handle(&mut self, now: Timestamp, input: Input, out: &mut Vec<Output>) {
        self.node.handle(now, input, out);
    }

    /// Why these files, good in themselves, would harm what runs if [`Input::Reconfigured`] came with them now: one line
    /// each for people, with the way out. Empty: they may come. Changes nothing.
    pub fn objections(&self, now: Timestamp, config: &Config) -> Vec<String> {
        self.node.objections(now, config)
    }

    /// Whether bytes that came over the channel of a peer are something that a peer says. Changes nothing.
    pub fn understands(bytes: &[u8]) -> bool {
        PeerMessage::read(bytes).is_some()
    }

    /// Ends a rest, if there is one: the next input is followed by a judgement of everything. What is decided, and when, must
    /// be the same without it (decision 0054); for a test that compares.
    pub fn rouse(&mut self) {
        self.node.rest.end();
    }

    /// When [`Input::Deadline`] is wanted next, and why.
    pub fn next_deadline(&self) -> Option<(Timestamp, TimerKind)> {
        Some(self.node.due)
    }

    /// The record as far as this node has applied it; none before its first epoch.
    pub fn record(&self) -> Option<&Record> {
        self.node.ledger.record()
    }

    /// Whether status says of every group that it is started.
    pub fn groups_started(&self) -> bool {
        self.node.groups_started()
    }

    /// The state for people; wall times are left zero for the driver to fill in.
    pub fn status(&self, now: Timestamp) -> Status {
        self.node.status(now)
    }
}

impl Node {
    pub(crate) fn handle(&mut self, now: Timestamp, input: Input, out: &mut Vec<Output>) {
        self.wake(now);
        // The copy of a heartbeat that came over another link changes nothing but that link's own figures.
        let heartbeat = matches!(input, Input::Packet { message: Message::Heartbeat(_), .. });
        let question = matches!(input, Input::WireAsked { .. });
        // What a look has found, if it is what was expected, brings no more than time does.
        let slight = matches!(input, Input::Deadline | Input::OpFinished(_));
        let copy = match input {
            Input::Packet { link, message, received_at, .. } => !self.take_packet(now, link, message, received_at, out),
            // Asked fifty times a second for as long as nobody may take it: only silence that becomes long enough is news.
            Input::WireAsked { resource } => {
                // Nobody wants to know at rest; what comes late is forgotten at the next turn.
                self.rest.end();
                let before = self.alone.wire_is_clear(now, &resource);
                self.alone.asked(now, &resource);
                self.alone.wire_is_clear(now, &resource) == before && !self.beat_now
            }
            input => {
                self.take(now, input, out);
                false
            }
        };
        if !copy || now >= self.due.0 {
            self.advance(now, (copy || slight) && self.rests(now), out);
            self.chronicle.because(None);
        } else if question || (heartbeat && self.due.1 != TimerKind::Silence) {
            // It was heard, which only puts silence off; and no deadline depends on how often something was asked.
            return;
        }
        (self.due, self.rest.until) = self.next_deadlines();
    }

    fn take(&mut self, now: Timestamp, input: Input, out: &mut Vec<Output>) {
        match input {
            // Taken before: they tell whether anything follows from them.
            Input::Packet { .. } | Input::WireAsked { .. } => {}
            Input::Refused { link, reason, source, count } => self.take_refused(now, link, reason, source, count),
            Input::LinkChanged { link, trouble } => self.take_link(now, link, trouble),
            Input::CarrierChanged { interface, carrier } => self.take_carrier(now, &interface, carrier),
            Input::AddressHome { resource, interface } => self.take_home(now, resource, interface, out),
            Input::PingAnswered { target, sent_at } => {
                let lease = self.config.cluster.timing.lease();
                self.standing.ping_answered(now, &target, sent_at, lease);
            }
            Input::OpFinished(result) => self.take_op(now, result, out),
            Input::FenceFinished { id, result, took } => self.take_fence(now, id, result, took),
            Input::AlertFinished { id, result, took } => self.take_alert(now, id, result, took),
            Input::WireAnswered { resource, hardware } => self.take_wire_answer(now, resource, hardware),
            Input::WireTrouble { resource, trouble } => self.alone.trouble(&resource, trouble),
            Input::PeerAnswered { node } => self.alone.peer_answered(now, &node),
            Input::AddressChanged { resource, change } => self.take_address_change(now, resource, change, out),
            Input::GateSeen { whole, trouble } => self.take_gate(now, whole, trouble),
            Input::WatchdogSeen(seen) => self.take_watchdog(now, seen),
            Input::SelfFenceSeen(able) => self.take_self_fence(now, able),
            Input::SlotSeen(seen) => self.take_slot(now, seen),
            Input::TiebreakerSeen(seen) => self.take_tiebreaker(now, seen),
            Input::Persisted { ticket } => self.take_persisted(ticket),
            Input::PersistFailed { error, .. } => self.take_disk_failure(now, error),
            Input::Request { token, request, by } => self.take_request(now, token, request, by, out),
            Input::PeerAddress { node, address } => self.alone.peer_address(node, address),
            Input::RequestEnded { token } => self.forget_request(token),
            Input::Reconfigured(config) => self.reconfigure(now, *config),
            Input::ListChanged { id, result } => self.take_list_changed(id, result),
            Input::Deadline => {}
            Input::Shutdown { by } => self.begin_shutdown(now, by, None),
        }
    }

    /// Everything that follows from what is known by `now`; of a node that rests only what time alone brings.
    fn advance(&mut self, now: Timestamp, rests: bool, out: &mut Vec<Output>) {
        if !rests {
            self.judge(now, out);
        }
        let rests = rests && !self.rest_on(now, out);
        if !rests {
            self.decide(now, out);
        }
        self.say_all(now, rests, out);
        self.rest.found = if rests { self.rest.found } else { self.is_at_rest() };
    }

    /// What is known by `now`, and what this node may keep by that.
    fn judge(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.judge_disk(now);
        self.judge_members(now);
        self.judge_speech(now);
        self.judge_marks(now);
        self.let_addresses_go(now);
        self.keep_on(now, out);
        self.fences.forget_wanted();
        self.earn_token();
        let confirmed = self.keeping.confirmed;
        self.go_alone(now, out);
        if self.keeping.confirmed && !confirmed {
            // What was found running is judged by the right that this node has now, not by the one that it had.
            self.keep_on(now, out);
        }
        if now >= self.next_ledger_at {
            self.next_ledger_at = now + self.ledger_period();
            self.ledger.tick();
            self.keep_marks();
            self.elect(now);
        } else if self.is_many() {
            // Who owns something waits for the election: it does not wait for a tick.
            self.elect(now);
        }
    }

    /// What is agreed and what is planned, and what this node does of it.
    fn decide(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        for _ in 0..ROUNDS_MAX {
            let moved = self.drain_ledger(now, out);
            self.follow_failures(now);
            self.run_executor(now, out);
            self.report(now);
            self.serve_as_dc(now);
            self.answer_orders(now, out);
            self.answer_by_hand(now, out);
            if !moved && !self.ledger.has_output() && !self.record_changed {
                break;
            }
        }
        self.go_on_with_list(now, out);
        self.go_on_with_shutdown(now, out);
    }

    /// Everything that others are told, and what is asked of the machine.
    fn say_all(&mut self, now: Timestamp, rests: bool, out: &mut Vec<Output>) {
        self.settle_ledger(now, out);
        if !rests {
            self.note_revocations(now);
        }
        self.pet_watchdog(now, out);
        let reset = self.fence_itself(now);
        self.order_slot(now, out);
        self.order_tiebreaker(now, out);
        self.beat(now, out);
        // What a disk or a watchdog brings ends the rest.
        if self.chronicle.has_fresh() || self.beat_now {
            self.rest.end();
        }
        if !rests || !self.rest.found {
            self.guard(out);
            self.ask_wire(now, out);
            self.announce(now, out);
        }
        self.poll_channels(now, out);
        self.write_volatile(out);
        if !rests || !self.rest.found {
            self.order_fences(now, out);
            self.send_alerts(now, out);
        }
        for event in self.chronicle.take_fresh() {
            out.push(Output::Event(event));
        }
        out.extend(reset);
    }

    /// The record as agreed; none while this node has no epoch.
    pub(crate) fn record(&self) -> Option<&Record> {
        self.ledger.record()
    }

    /// The other machine of a pair; none where ha.cf lists more.
    pub(crate) fn peer(&self) -> Option<NodeName> {
        if self.is_many() {
            return None;
        }
        self.config.cluster.nodes.iter().find(|name| **name != self.local).cloned()
    }

    /// Says something to a peer over its channel; dropped where there is none, what matters is repeated by its owner.
    pub(crate) fn say(&mut self, to: &NodeName, message: &PeerMessage) {
        if (self.is_refused(to) && !message.is_of_every_version()) || self.is_unheard(to, message) {
            return;
        }
        let Some(channel) = self.channels.get_mut(to) else { return };
        // A value of our own types always serialises. A full channel is broken anew by the next incarnation or by the
        // peer's silence.
        if let Ok(bytes) = minicbor_serde::to_vec(message)
            && !(message.is_repeated() && channel.holds(&bytes))
            && channel.send(bytes).is_err()
        {
            channel.reset();
        }
    }

    /// When time alone brings something next and why; and when that ends a rest.
    fn next_deadlines(&self) -> ((Timestamp, TimerKind), Timestamp) {
        let rest_ends = self.keeping.right_ends_at().unwrap_or(Timestamp(u64::MAX));
        let mut soonest = Soonest { next: (self.next_keepalive_at, TimerKind::Keepalive), rest_ends };
        let timing = &self.config.cluster.timing;
        soonest.acts(self.out_of_turn_at(), TimerKind::Keepalive);
        soonest.judges(self.members.next_deadline(), TimerKind::Silence);
        let (grace, lease, deadping) = (timing.carrier_grace, timing.lease(), timing.deadping);
        soonest.judges(self.standing.next_deadline(self.last_wake_at, grace, lease, deadping), TimerKind::Silence);
        soonest.judges(self.settled_at(), TimerKind::Silence);
        soonest.judges(self.alone.next_deadline(self.last_wake_at), TimerKind::Silence);
        soonest.acts(self.keeping.next_deadline(self.last_wake_at), TimerKind::Keepalive);
        soonest.acts(self.executor.next_deadline().map(|(at, _)| at), TimerKind::Operation);
        soonest.judges(self.orders.next_deadline(), TimerKind::Operation);
        soonest.judges(self.fences.next_deadline(self.last_wake_at), TimerKind::Operation);
        soonest.judges(self.alerts.next_deadline(self.last_wake_at), TimerKind::Operation);
        soonest.judges(self.list_deadline(), TimerKind::Operation);
        soonest.judges(self.shutdown_deadline(), TimerKind::Operation);
        soonest.judges(self.self_fence_deadline(), TimerKind::Operation);
        soonest.judges(self.disk_deadline(), TimerKind::Ledger);
        soonest.judges(self.failure_deadline(), TimerKind::Operation);
        // While nothing is under way the ledger's clock runs along with the heartbeats.
        let without_dc = !self.ledger.has_dc() && !self.ledger.is_member();
        let electing = self.is_many() && self.without_dc_since.is_some();
        let under_way = self.ledger.has_undecided() || without_dc || electing;
        soonest.judges(Some(self.next_ledger_at).filter(|_| under_way), TimerKind::Ledger);
        for channel in self.channels.values() {
            soonest.judges(channel.next_deadline(), TimerKind::Ledger);
        }
        (soonest.next, soonest.rest_ends)
    }
}

/// The earliest of several moments.
struct Soonest {
    next: (Timestamp, TimerKind),
    rest_ends: Timestamp,
}

impl Soonest {
    /// Something is to be done then that a node at rest does, too.
    fn acts(&mut self, at: Option<Timestamp>, kind: TimerKind) {
        if let Some(at) = at.filter(|at| *at < self.next.0) {
            self.next = (at, kind);
        }
    }

    /// Something is to be judged then.
    fn judges(&mut self, at: Option<Timestamp>, kind: TimerKind) {
        self.rest_ends = at.map_or(self.rest_ends, |at| at.min(self.rest_ends));
        self.acts(at, kind);
    }
}
