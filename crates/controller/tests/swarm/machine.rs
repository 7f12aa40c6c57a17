//! One machine: its kernel (addresses, lifetimes, gate), its disk, its agents, its clock, and the driver of its daemon.

use crate::cluster::{Rng, ms, us};
use hearth_config::Config;
use hearth_control::Reply;
use hearth_controller::{Controller, Event, Input, Output};
use hearth_types::{EpochName, OpAction, OpId, OpOutcome, ResourceId, ResourceSpec, Timestamp};
use hearth_wire::Message;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// CLOCK_BOOTTIME of a machine against true time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub real: Timestamp,
    pub local: Timestamp,
    /// Local nanoseconds in 1000 true ones.
    pub rate: u64,
}

impl Clock {
    pub fn local(&self, real: Timestamp) -> Timestamp {
        self.local + Duration::from_nanos((u128::from(real.0 - self.real.0) * u128::from(self.rate) / 1000) as u64)
    }

    /// The first true moment at which the clock shows `local`.
    pub fn real(&self, local: Timestamp) -> Timestamp {
        let span = u128::from(local.0.saturating_sub(self.local.0));
        self.real + Duration::from_nanos((span * 1000).div_ceil(u128::from(self.rate)) as u64)
    }
}

/// Something that runs, or an address that is set.
#[derive(Clone, Debug)]
pub struct Active {
    pub spec: ResourceSpec,
    /// Kernel lifetime, in true time.
    pub expires: Option<Timestamp>,
}

/// How an operation will end if nobody interferes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Well,
    /// It says no; what it left is there or not.
    Fails {
        left: bool,
    },
    Hangs,
}

#[derive(Clone, Debug)]
pub struct LiveOp {
    pub run: u64,
    pub id: OpId,
    pub action: OpAction,
    pub spec: ResourceSpec,
    pub began: Timestamp,
    pub lifetime: Option<Duration>,
    pub not_after: Option<Timestamp>,
    pub fate: Fate,
    pub cancelled: bool,
}

pub struct Write {
    pub ticket: u64,
    pub state: Option<String>,
    pub log: Vec<String>,
}

/// How the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    Fast,
    Slow,
    /// Every write fails until the daemon is started anew.
    Broken,
}

pub struct Machine {
    pub config: Config,
    pub controller: Option<Controller>,
    pub clock: Clock,
    pub run: u64,
    pub powered: bool,
    pub frozen: bool,
    pub halted: bool,
    /// Since when the daemon has not run (killed, frozen), in true time.
    pub absent_since: Option<Timestamp>,
    pub backlog: VecDeque<Input>,
    pub thawed_at: Timestamp,

    pub disk: Disk,
    pub disk_failed: bool,
    pub state: Option<String>,
    pub log: Vec<String>,
    pub writes: VecDeque<Write>,
    pub writing: bool,
    /// A write that ended while the daemon was frozen.
    pub write_ended: bool,
    pub held: VecDeque<(u64, Vec<Output>)>,
    pub volatile: Option<String>,
    pub lease: Option<Timestamp>,

    pub running: BTreeMap<ResourceId, Active>,
    pub gate: BTreeMap<ResourceId, Timestamp>,
    pub ops: BTreeMap<u64, LiveOp>,
    /// Chance in a thousand that an operation fails, hangs.
    pub trouble: u64,
    pub carrier: [bool; 2],
    pub flaps: u32,
    pub pingable: bool,
    pub asks: BTreeSet<ResourceId>,
    pub probes: bool,
    pub asking: bool,

    /// Of its newest heartbeat: epoch, voters, admitted.
    pub stated: Option<(Option<EpochName>, usize, bool)>,
    pub events: Vec<(Timestamp, u64, Event)>,
    pub replies: BTreeMap<u64, Reply>,
    pub starts: BTreeMap<ResourceId, u32>,
    pub stops: u32,
    /// When something of a group ended, in true time: for the order of starts.
    pub vanished: BTreeMap<ResourceId, Timestamp>,
}

impl Machine {
    pub fn new(config: Config, clock: Clock) -> Machine {
        Machine {
            config,
            controller: None,
            clock,
            run: 0,
            powered: false,
            frozen: false,
            halted: false,
            absent_since: None,
            backlog: VecDeque::new(),
            thawed_at: Timestamp::ZERO,
            disk: Disk::Fast,
            disk_failed: false,
            state: None,
            log: Vec::new(),
            writes: VecDeque::new(),
            writing: false,
            write_ended: false,
            held: VecDeque::new(),
            volatile: None,
            lease: None,
            running: BTreeMap::new(),
            gate: BTreeMap::new(),
            ops: BTreeMap::new(),
            trouble: 0,
            carrier: [true, true],
            flaps: 0,
            pingable: true,
            asks: BTreeSet::new(),
            probes: false,
            asking: false,
            stated: None,
            events: Vec::new(),
            replies: BTreeMap::new(),
            starts: BTreeMap::new(),
            stops: 0,
            vanished: BTreeMap::new(),
        }
    }

    /// The daemon runs and is not frozen.
    pub fn awake(&self) -> bool {
        self.controller.is_some() && !self.frozen
    }

    /// Until when the kernel answers for an address, at most; not at all: zero.
    pub fn answers_until(&self, resource: &ResourceId) -> Timestamp {
        if !self.powered || !self.carrier[0] || !self.running.contains_key(resource) {
            return Timestamp::ZERO;
        }
        self.gate.get(resource).copied().unwrap_or(Timestamp::ZERO)
    }

    pub fn remove(&mut self, now: Timestamp, resource: &ResourceId) {
        if self.running.remove(resource).is_some() {
            self.vanished.insert(resource.clone(), now);
        }
    }

    /// The daemon is gone at this moment: what was not durable is lost, a write under way may be torn.
    pub fn lose_daemon(&mut self, rng: &mut Rng) {
        self.controller = None;
        self.frozen = false;
        self.backlog.clear();
        self.held.clear();
        self.asks.clear();
        self.probes = false;
        self.stated = None;
        let under_way = self.writes.pop_front().filter(|_| self.writing && !self.disk_failed);
        if let Some(write) = under_way.filter(|write| write.state.is_none() || rng.chance(500)) {
            // A state file is replaced as a whole; of the lines behind it the last whole one counts.
            let whole = rng.below(write.log.len() as u64 + 1) as usize;
            self.put(write.state, write.log.into_iter().take(whole).collect());
        }
        self.writes.clear();
        self.writing = false;
        self.write_ended = false;
        // An address is set and removed by the daemon itself; a script's process goes on without it.
        self.ops.retain(|_, op| op.spec.address().is_none());
    }

    pub fn put(&mut self, state: Option<String>, log: Vec<String>) {
        if let Some(state) = state {
            self.state = Some(state);
            self.log.clear();
        }
        self.log.extend(log);
    }

    pub fn write_span(&self, rng: &mut Rng) -> Duration {
        match self.disk {
            Disk::Slow => rng.span(ms(20), ms(900)),
            _ if rng.chance(20) => rng.span(ms(2), ms(40)),
            _ => rng.span(us(50), ms(2)),
        }
    }

    /// What will become of an operation, and how long it takes.
    pub fn fate(&self, rng: &mut Rng, action: OpAction, spec: &ResourceSpec, timeout: Duration) -> (Fate, Duration) {
        let address = spec.address().is_some();
        let fate = match rng.below(1000) {
            roll if roll >= self.trouble => Fate::Well,
            roll if roll % 4 == 0 && !address => Fate::Hangs,
            roll => Fate::Fails { left: roll % 2 == 0 },
        };
        let span = match (fate, action) {
            (Fate::Hangs, _) => timeout,
            (_, OpAction::Probe | OpAction::Monitor) => rng.span(us(200), ms(if address { 2 } else { 30 })),
            _ => rng.span(us(500), ms(if address { 3 } else { 150 })),
        };
        (fate, span)
    }

    /// What an operation does when it ends, and what its agent says.
    pub fn end_op(&mut self, now: Timestamp, op: &LiveOp, rng: &mut Rng) -> OpOutcome {
        let id = &op.spec.id;
        let failed = OpOutcome::Failed { code: Some(1), message: "told to fail".into() };
        let runs = self.running.contains_key(id);
        let address = op.spec.address().is_some();
        match (op.action, op.fate) {
            (OpAction::Probe | OpAction::Monitor, Fate::Well) if op.cancelled => OpOutcome::Cancelled,
            (OpAction::Probe | OpAction::Monitor, Fate::Well) if runs => OpOutcome::Ok,
            (OpAction::Probe | OpAction::Monitor, Fate::Well) => OpOutcome::NotRunning,
            (OpAction::Start, Fate::Well) if address => {
                if op.cancelled {
                    return OpOutcome::Cancelled;
                }
                if op.not_after.is_some_and(|limit| self.clock.local(now) > limit) {
                    return OpOutcome::Failed { code: None, message: "the right to start has ended".into() };
                }
                self.set(now, op, rng);
                OpOutcome::Ok
            }
            (OpAction::Start, _) if op.cancelled => {
                if rng.chance(500) {
                    self.remove(now, id);
                }
                OpOutcome::Cancelled
            }
            (OpAction::Start, Fate::Well) => OpOutcome::Ok,
            (OpAction::Stop, Fate::Well) if !op.cancelled => {
                self.remove(now, id);
                OpOutcome::Ok
            }
            (_, _) if op.cancelled => OpOutcome::Cancelled,
            (OpAction::Start, Fate::Fails { left }) => {
                if !left && !address {
                    self.remove(now, id);
                }
                failed
            }
            (_, Fate::Hangs) => OpOutcome::TimedOut { message: String::new() },
            _ => failed,
        }
    }

    fn set(&mut self, now: Timestamp, op: &LiveOp, rng: &mut Rng) {
        let expires = op.lifetime.map(|lifetime| self.expiry(now, lifetime, rng));
        self.running.insert(op.spec.id.clone(), Active { spec: op.spec.clone(), expires });
    }

    /// The kernel removes an address at most a second after its lifetime.
    pub fn expiry(&self, now: Timestamp, lifetime: Duration, rng: &mut Rng) -> Timestamp {
        let late = rng.span(Duration::ZERO, ms(1000));
        self.clock.real(self.clock.local(now) + lifetime + late)
    }
}

/// What overtakes a write (R-LEDGER-3).
pub fn overtakes(output: &Output) -> bool {
    matches!(
        output,
        Output::Send { message: Message::Heartbeat(_), .. }
            | Output::GateTick { .. }
            | Output::GateShut { .. }
            | Output::RenewLifetime { .. }
            | Output::VolatileLease { .. }
    )
}
