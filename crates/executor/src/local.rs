//! One resource on this node, as far as this node knows.

use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;
use hearth_types::{AssignmentId, GroupId, OpAction, OpId, ResourceId, ResourceKind, ResourceSpec, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{AddressChange, LocalState};

/// What is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// Not probed yet.
    Unknown,
    /// Confirmed not running.
    Stopped,
    /// Running.
    Running,
    /// An address of ours that is not there, or not as it should be: to be put back, no stop before.
    Gone,
    /// Something of it may run and it is not to be relied on: a stop comes first.
    Dirty(Why),
}

/// Why a stop comes first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Why {
    /// A start failed; reported when the stop is confirmed.
    StartFailed { code: Option<i32>, message: String },
    /// A start was cancelled.
    Cancelled,
    /// It failed while it ran, or could not be probed.
    Failed,
}

/// The operation under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    pub id: OpId,
    pub action: OpAction,
    /// Applied index when it was ordered: what its outcome speaks for (R-TAKE-1).
    pub upto: AssignmentId,
    /// With which parameters.
    pub spec: Arc<ResourceSpec>,
    pub not_after: Option<Timestamp>,
    pub cancelled: bool,
}

/// One resource on this node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Local {
    /// As the record has it, or had it last.
    pub spec: Arc<ResourceSpec>,
    /// As it was started, while it may run: what a stop must be told.
    pub running: Option<Arc<ResourceSpec>>,
    /// Group and place in it, as the record has it, or had it last.
    pub group: GroupId,
    pub position: usize,
    /// Whether the model (not only the orphans) has it.
    pub in_model: bool,
    pub state: State,
    pub op: Option<Running>,
    /// Ids up to this one were given back by a report: nothing is started under them again (R-TAKE-1).
    pub spent: AssignmentId,
    /// It is being restarted in place: what stands behind it in the group must not run meanwhile.
    pub restarting: bool,
    /// An address that is ours since we took it or adopted it; it needs no wire check to be put back.
    pub taken: bool,
    /// An address that we lost without being asked: the wire comes first (R-TAKE-6).
    pub wire_owed: bool,
    /// An address that was taken away because nothing vouched for this node, and that has not been stopped.
    #[serde(default)]
    pub withdrawn: bool,
    /// What was done to the address while it was being put there; acted on when that has ended.
    pub disturbed: Option<AddressChange>,
    /// Whether there is an interface for it.
    pub home: bool,
    /// The present trouble was reported as a failed stop, or a failed repair.
    pub trouble_reported: bool,
    /// A start or repair is not tried before.
    pub retry_at: Timestamp,
    /// A stop that failed is not tried again before.
    pub stop_retry_at: Timestamp,
    /// Last start ordered by this run of the daemon.
    pub started_at: Option<Timestamp>,
    /// Last repair ordered, and how many since it was taken.
    pub repaired_at: Option<Timestamp>,
    pub repairs: u32,
    pub monitor_at: Option<Timestamp>,
    pub announce_at: Option<Timestamp>,
    /// Rounds of announcement since it was taken.
    pub announced: u32,
    /// Last reason told why it waits.
    pub waiting: Option<String>,
}

impl Local {
    pub(crate) fn new(spec: Arc<ResourceSpec>, group: GroupId) -> Local {
        Local {
            spec,
            running: None,
            group,
            position: 0,
            in_model: false,
            state: State::Unknown,
            op: None,
            spent: AssignmentId(0),
            restarting: false,
            taken: false,
            wire_owed: false,
            withdrawn: false,
            disturbed: None,
            home: true,
            trouble_reported: false,
            retry_at: Timestamp::ZERO,
            stop_retry_at: Timestamp::ZERO,
            started_at: None,
            repaired_at: None,
            repairs: 0,
            monitor_at: None,
            announce_at: None,
            announced: 0,
            waiting: None,
        }
    }

    pub(crate) fn is_address(&self) -> bool {
        self.spec.address().is_some()
    }

    /// Something of it may run here and is known to: a stop would have something to do.
    pub(crate) fn holds(&self) -> bool {
        matches!(self.state, State::Running | State::Gone | State::Dirty(_))
    }

    /// Parameters for a stop: those it was started with.
    pub(crate) fn to_stop(&self) -> Arc<ResourceSpec> {
        self.running.clone().unwrap_or_else(|| self.spec.clone())
    }

    /// It runs with other parameters than the record wants.
    pub(crate) fn changed(&self) -> bool {
        self.running.as_ref().is_some_and(|running| !same_thing(running, &self.spec))
    }

    /// It is confirmed not to run here.
    pub(crate) fn set_stopped(&mut self) {
        self.state = State::Stopped;
        self.running = None;
        self.taken = false;
        self.withdrawn = false;
        self.trouble_reported = false;
        self.stop_retry_at = Timestamp::ZERO;
        self.repairs = 0;
        self.monitor_at = None;
        self.announce_at = None;
    }

    pub(crate) fn doing(&self, action: OpAction) -> bool {
        self.op.as_ref().is_some_and(|op| op.action == action)
    }

    /// For the status.
    pub(crate) fn shown(&self) -> LocalState {
        match (&self.op.as_ref().map(|op| op.action), &self.state) {
            (Some(OpAction::Start), State::Stopped) => LocalState::Starting,
            (Some(OpAction::Stop), _) if !self.trouble_reported => LocalState::Stopping,
            (_, State::Unknown) => LocalState::Unknown,
            (_, State::Stopped) => LocalState::Stopped,
            (_, State::Running | State::Gone) => LocalState::Started,
            (_, State::Dirty(_)) if self.trouble_reported => LocalState::Blocked,
            (_, State::Dirty(_)) => LocalState::Failed,
        }
    }

    /// A look at what should not run is under way: nothing of it does, as far as anybody knows.
    pub(crate) fn looks(&self) -> bool {
        self.state == State::Stopped && self.doing(OpAction::Probe)
    }

    /// Something of it may run, or is being done to it.
    pub(crate) fn is_held(&self) -> bool {
        self.state != State::Stopped || (self.op.is_some() && !self.looks())
    }

    /// Between two looks; none: its monitor is off. What is asked of the kernel costs next to nothing, a script a process.
    pub(crate) fn look_period(&self) -> Option<Duration> {
        let native = !matches!(self.spec.kind, ResourceKind::Script);
        self.spec.monitor.map(|period| period * if native { 1 } else { LOOKS_RARER })
    }

    /// First monitor after a start: a part of the period that depends on nothing but the name, so that resources do not
    /// all ask at once and every run of a trace is the same.
    pub(crate) fn first_monitor(&self, id: &ResourceId, now: Timestamp) -> Option<Timestamp> {
        Some(Self::within(self.spec.monitor?, id, now))
    }

    /// First look after a stop, in the same way.
    pub(crate) fn first_look(&self, id: &ResourceId, now: Timestamp) -> Option<Timestamp> {
        Some(Self::within(self.look_period()?, id, now))
    }

    fn within(period: Duration, id: &ResourceId, now: Timestamp) -> Timestamp {
        let hash = id.as_str().bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        now + period / 2 + period / 128 * (hash % 64)
    }
}

/// Whether two specifications are the same thing running: limits and periods may differ.
pub(crate) fn same_thing(one: &ResourceSpec, other: &ResourceSpec) -> bool {
    one.class == other.class && one.agent == other.agent && one.args == other.args && one.kind == other.kind
}

/// How much rarer a script that should not run is looked at than one that should.
const LOOKS_RARER: u32 = 6;
/// Between two tries of a stop that failed.
pub(crate) const STOP_RETRY: Duration = Duration::from_secs(5);
/// The same for an address that we have no right to keep.
pub(crate) const URGENT_RETRY: Duration = Duration::from_secs(1);
/// After a stop that was cancelled, and between two probes that gave no answer because they were.
pub(crate) const SOON: Duration = Duration::from_millis(200);
/// Between two repairs of an address, after the first (R-TAKE-7).
pub(crate) const REPAIR_PERIOD: Duration = Duration::from_secs(1);
/// Between two restarts in place of anything else, after the first.
pub(crate) const RESTART_PERIOD: Duration = Duration::from_secs(2);
/// Rounds of announcement a second apart after an address was taken.
pub(crate) const EARLY_ROUNDS: u32 = 3;
/// Between those.
pub(crate) const EARLY_PERIOD: Duration = Duration::from_secs(1);
/// Between later ones (R-TAKE-7).
pub(crate) const ANNOUNCE_PERIOD: Duration = Duration::from_secs(60);
