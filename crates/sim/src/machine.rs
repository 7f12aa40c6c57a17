//! One machine: kernel, disk, agents, clock, cables, and the driver of its daemon.

use crate::act::SwitchMode;
use crate::agent::{Agents, LiveOp};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::fencing::Strip;
use crate::kernel::Kernel;
use crate::rng::Rng;
use crate::shared::Slot;
use hearth_config::Config;
use hearth_control::{Reply, Status};
use hearth_controller::{Controller, Event, HeldBack, Input};
use hearth_types::{EpochName, NodeName, ResourceId, Timestamp};
use hearth_wire::KeyRing;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What the newest heartbeat of a machine stated.
#[derive(Clone, Debug, PartialEq)]
pub struct Stated {
    /// Epoch.
    pub epoch: Option<EpochName>,
    /// Its voters.
    pub voters: usize,
    /// Whether it is admitted.
    pub admitted: bool,
}

/// An event, when it came out in true time, and in which run.
#[derive(Clone, Debug)]
pub struct Told {
    /// True time.
    pub at: Timestamp,
    /// Run of the daemon.
    pub run: u64,
    /// What.
    pub event: Event,
}

/// One machine.
#[derive(Clone)]
pub struct Machine {
    /// Its files.
    pub config: Config,
    /// Which variant of them.
    pub variant: usize,
    /// Whom the files that its daemon has read name.
    pub listed: Vec<NodeName>,
    /// Since when.
    pub listed_at: Timestamp,
    /// The first epoch that came from nothing and that it was in, whatever it has forgotten since.
    pub first_epoch: Option<EpochName>,
    /// The daemon, while it runs.
    pub controller: Option<Controller>,
    /// Its clock.
    pub clock: Clock,
    /// How often a daemon was started here.
    pub run: u64,
    /// Power.
    pub powered: bool,
    /// All processes stand still.
    pub frozen: bool,
    /// The hypervisor stopped it, since then.
    pub paused: Option<Timestamp>,
    /// The daemon ended in order.
    pub halted: bool,
    /// Since when the daemon has not run (killed, frozen), in true time.
    pub absent_since: Option<Timestamp>,
    /// It was thawed and has not come to what waited.
    pub drowsy: bool,
    /// What waits for a daemon that is frozen.
    pub backlog: VecDeque<Input>,
    /// When it was last thawed.
    pub thawed_at: Timestamp,
    /// When its deadline is due, in true time.
    pub due: Option<Timestamp>,

    /// Its disk.
    pub disk: Disk,
    /// Outputs that wait for a ticket.
    pub held: HeldBack,
    /// Note in /run.
    pub volatile: Option<String>,
    /// Lease in /run.
    pub lease: Option<Timestamp>,
    /// When its watchdog resets it unless it is petted, in true time; none: it is not armed.
    pub reset_at: Option<Timestamp>,
    /// The run that was told that it is armed.
    pub told_armed: u64,

    /// Its slot on the shared disk.
    pub slot: Slot,
    /// How often it got power.
    pub boots: u64,

    /// Addresses, gates, processes.
    pub kernel: Kernel,
    /// Its agents.
    pub agents: Agents,
    /// Operations under way.
    pub ops: BTreeMap<u64, LiveOp>,
    /// Carrier by link.
    pub carrier: Vec<bool>,
    /// Carriers that came back.
    pub flaps: u32,
    /// Whether it reaches the ping target.
    pub pingable: bool,
    /// Addresses that it asks the wire for.
    pub asks: BTreeSet<ResourceId>,
    /// Peers whose own addresses it asks.
    pub probes: Vec<usize>,
    /// Whether the next question is planned.
    pub asking: bool,
    /// Peers, as bits, whose packets have come in this run.
    pub heard_from: u64,
    /// The same since it has power.
    pub heard_since_boot: u64,
    /// Its power switch.
    pub switch: SwitchMode,
    /// The strips of its two power supplies.
    pub strips: [Strip; 2],
    /// It has no power because both are off.
    pub dark: bool,
    /// Its key, where packets are sealed.
    pub ring: Option<KeyRing>,
    /// Newest wire version that the installed program speaks; the daemon is that program from its next start (R-WIRE-6).
    pub package: u8,
    /// The key is wrong from the next start.
    pub wrong_key: bool,
    /// Whether its daemon was started with that wrong key.
    pub key_in_use: bool,

    /// Of its newest heartbeat.
    pub stated: Option<Stated>,
    /// Resets by a switch or a watchdog that have not ended with a boot yet.
    pub switching: u32,
    /// Everything that it told.
    pub events: Vec<Told>,
    /// Answers by token.
    pub replies: BTreeMap<u64, Reply>,
    /// Starts by resource.
    pub starts: BTreeMap<ResourceId, u32>,
    /// Stops of anything.
    pub stops: u32,
    /// What it said of the cluster when something first befell that (for a mutant).
    pub old_status: Option<Status>,
    /// Chance of this machine: disk, agents.
    pub rng: Rng,
}

impl Machine {
    /// Its daemon goes by the list in its files from now on.
    pub fn take_list(&mut self, now: Timestamp) {
        if self.listed != self.config.cluster.nodes {
            self.listed.clone_from(&self.config.cluster.nodes);
            self.listed_at = now;
        }
    }

    /// Off, with an empty disk.
    pub fn new(config: Config, clock: Clock, links: usize, rng: Rng) -> Machine {
        Machine {
            config,
            variant: 0,
            listed: Vec::new(),
            listed_at: Timestamp::ZERO,
            first_epoch: None,
            controller: None,
            clock,
            run: 0,
            powered: false,
            frozen: false,
            paused: None,
            halted: false,
            absent_since: None,
            drowsy: false,
            backlog: VecDeque::new(),
            thawed_at: Timestamp::ZERO,
            due: None,
            disk: Disk::default(),
            held: HeldBack::default(),
            volatile: None,
            lease: None,
            reset_at: None,
            told_armed: 0,
            slot: Slot::default(),
            boots: 0,
            kernel: Kernel::default(),
            agents: Agents::default(),
            ops: BTreeMap::new(),
            carrier: vec![true; links],
            flaps: 0,
            pingable: true,
            asks: BTreeSet::new(),
            probes: Vec::new(),
            asking: false,
            heard_from: 0,
            heard_since_boot: 0,
            switch: SwitchMode::Works,
            strips: [Strip { on: true, mode: SwitchMode::Works }; 2],
            dark: false,
            ring: None,
            package: hearth_wire::NEWEST_VERSION,
            wrong_key: false,
            key_in_use: false,
            stated: None,
            switching: 0,
            events: Vec::new(),
            replies: BTreeMap::new(),
            starts: BTreeMap::new(),
            stops: 0,
            old_status: None,
            rng,
        }
    }

    /// The daemon runs and is not frozen.
    pub fn awake(&self) -> bool {
        self.controller.is_some() && self.stands()
    }

    /// Nothing stops its processes.
    pub fn stands(&self) -> bool {
        !self.frozen && self.paused.is_none()
    }

    /// Its kernel works: powered, and not stopped by the hypervisor.
    pub fn lives(&self) -> bool {
        self.powered && self.paused.is_none()
    }

    /// Until when it answers clients for an address, at most; not at all: zero.
    pub fn answers_until(&self, resource: &ResourceId) -> Timestamp {
        if !self.lives() || !self.carrier[0] {
            return Timestamp::ZERO;
        }
        self.kernel.open_until(resource, self.config.cluster.gate)
    }

    /// Its own clock.
    pub fn local(&self, now: Timestamp) -> Timestamp {
        self.clock.local(now)
    }

    /// When the deadline that the daemon asked for comes, in true time.
    pub fn ask_deadline(&mut self) {
        let deadline = self.controller.as_ref().filter(|_| !self.frozen && self.paused.is_none());
        self.due = deadline.and_then(Controller::next_deadline).map(|(at, _)| self.clock.real(at));
    }

    /// The daemon is gone at this moment: what was not durable is lost, a write under way may be torn.
    pub fn lose_daemon(&mut self) {
        self.controller = None;
        self.frozen = false;
        self.drowsy = false;
        self.due = None;
        self.backlog.clear();
        self.held = HeldBack::default();
        self.slot.lose_daemon();
        self.asks.clear();
        self.probes.clear();
        self.stated = None;
        self.heard_from = 0;
        self.disk.crash(&mut self.rng);
        // An address is set and removed by the daemon itself; a script's process goes on without it.
        self.ops.retain(|_, op| op.spec.address().is_none());
    }
}
