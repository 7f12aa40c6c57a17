//! Agents: how long an operation takes, how it ends, what it leaves behind.

use crate::kernel::{Active, Kernel};
use crate::layout::{ms, us};
use crate::rng::Rng;
use hearth_types::{OpAction, OpId, OpOutcome, ResourceId, ResourceSpec, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is wrong with one agent on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Its start fails; nothing runs afterwards.
    FailStart,
    /// Its stop fails; it runs on.
    FailStop,
    /// Its start hangs until it is killed.
    HangStart,
    /// Its stop hangs until it is killed; it runs on.
    HangStop,
    /// Its stop does nothing: what it left is killed after 400 ms.
    KillStop,
    /// Every operation takes 400 ms.
    Slow,
    /// It says that it runs, whatever is true.
    SaysRunning,
    /// It says that it does not run, whatever is true.
    SaysStopped,
}

/// How an operation will end if nobody interferes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it should.
    Well,
    /// It says no; what it left is there or not.
    Fails {
        /// Whether it runs afterwards.
        left: bool,
    },
    /// Not before it is killed.
    Hangs,
    /// It is not begun: the right to start has ended.
    Late,
}

/// One operation under way.
#[derive(Clone, Debug)]
pub struct LiveOp {
    /// Run of the daemon that ordered it.
    pub run: u64,
    /// Its number there.
    pub id: OpId,
    /// What.
    pub action: OpAction,
    /// Of which resource.
    pub spec: ResourceSpec,
    /// Since when, in true time.
    pub began: Timestamp,
    /// Kernel lifetime to set.
    pub lifetime: Option<Duration>,
    /// End of the right to start, on the machine's clock.
    pub not_after: Option<Timestamp>,
    /// How it will end.
    pub fate: Fate,
    /// It was told to end.
    pub cancelled: bool,
}

/// The agents of one machine.
#[derive(Clone, Debug, Default)]
pub struct Agents {
    /// Chance in a thousand that an operation fails or hangs.
    pub trouble: u64,
    /// What is wrong with one of them.
    pub flaws: BTreeMap<ResourceId, Flaw>,
}

impl Agents {
    /// What will become of an operation, and how long it takes.
    pub fn fate(&self, rng: &mut Rng, action: OpAction, spec: &ResourceSpec, timeout: Duration) -> (Fate, Duration) {
        let native = spec.address().is_some();
        let flaw = self.flaws.get(&spec.id).copied();
        let fate = match (flaw, action) {
            (Some(Flaw::FailStart), OpAction::Start) => Fate::Fails { left: false },
            (Some(Flaw::FailStop), OpAction::Stop) => Fate::Fails { left: true },
            (Some(Flaw::HangStart), OpAction::Start) | (Some(Flaw::HangStop), OpAction::Stop) => Fate::Hangs,
            _ => match rng.below(1000) {
                roll if roll >= self.trouble => Fate::Well,
                roll if roll % 4 == 0 && !native => Fate::Hangs,
                roll => Fate::Fails { left: roll % 2 == 0 },
            },
        };
        let span = match (fate, action) {
            (Fate::Hangs, _) => timeout,
            _ if flaw == Some(Flaw::Slow) => ms(400),
            (_, OpAction::Stop) if flaw == Some(Flaw::KillStop) => ms(400),
            (_, OpAction::Probe | OpAction::Monitor) => rng.span(us(200), ms(if native { 2 } else { 30 })),
            _ => rng.span(us(500), ms(if native { 3 } else { 150 })),
        };
        (fate, span)
    }

    /// What an agent that lies says of its resource.
    pub fn lie(&self, resource: &ResourceId) -> Option<OpOutcome> {
        match self.flaws.get(resource) {
            Some(Flaw::SaysRunning) => Some(OpOutcome::Ok),
            Some(Flaw::SaysStopped) => Some(OpOutcome::NotRunning),
            _ => None,
        }
    }
}

/// What an operation does when it ends, and what its agent says. `local` is the machine's clock; `expires` the end of
/// the lifetime that an address would get now.
pub fn end(
    kernel: &mut Kernel,
    now: Timestamp,
    local: Timestamp,
    op: &LiveOp,
    expires: Option<Timestamp>,
    rng: &mut Rng,
) -> OpOutcome {
    let id = &op.spec.id;
    let failed = OpOutcome::Failed { code: Some(1), message: "told to fail".into() };
    let address = op.spec.address().is_some();
    match (op.action, op.fate) {
        (_, Fate::Late) => OpOutcome::Failed { code: None, message: "the right to start has ended".into() },
        (OpAction::Probe | OpAction::Monitor, Fate::Well) if op.cancelled => OpOutcome::Cancelled,
        (OpAction::Probe | OpAction::Monitor, Fate::Well) if kernel.runs(id) => OpOutcome::Ok,
        (OpAction::Probe | OpAction::Monitor, Fate::Well) => OpOutcome::NotRunning,
        (OpAction::Start, Fate::Well) if address => {
            if op.cancelled {
                return OpOutcome::Cancelled;
            }
            if op.not_after.is_some_and(|limit| local > limit) {
                return OpOutcome::Failed { code: None, message: "the right to start has ended".into() };
            }
            kernel.running.insert(id.clone(), Active { spec: op.spec.clone(), expires });
            OpOutcome::Ok
        }
        (OpAction::Start, _) if op.cancelled => {
            if rng.chance(500) {
                kernel.remove(now, id);
            }
            OpOutcome::Cancelled
        }
        (OpAction::Start, Fate::Well) => OpOutcome::Ok,
        (OpAction::Stop, Fate::Well) if !op.cancelled => {
            kernel.remove(now, id);
            OpOutcome::Ok
        }
        (_, _) if op.cancelled => OpOutcome::Cancelled,
        (OpAction::Start, Fate::Fails { left }) => {
            if !left && !address {
                kernel.remove(now, id);
            }
            failed
        }
        (_, Fate::Hangs) => OpOutcome::TimedOut { message: String::new() },
        _ => failed,
    }
}
