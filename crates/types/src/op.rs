//! Operations on resources: orders to agents and what came of them.

use crate::{ResourceSpec, Timestamp};
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Number of an operation within one incarnation; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OpId(pub u64);

/// What an agent is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpAction {
    /// Is it running here? Nothing is changed. Asked before anything is decided (R-TAKE-4).
    Probe,
    /// Make it run; success if it ran already.
    Start,
    /// End it; success if it did not run. All stages of R-TAKE-8 up to KILL are the agent runner's.
    Stop,
    /// Is it running well?
    Monitor,
}

impl fmt::Display for OpAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            OpAction::Probe => "probe",
            OpAction::Start => "start",
            OpAction::Stop => "stop",
            OpAction::Monitor => "monitor",
        })
    }
}

/// One order to an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpRequest {
    /// Its number.
    pub id: OpId,
    /// What to do.
    pub action: OpAction,
    /// To which resource.
    pub resource: Arc<ResourceSpec>,
    /// After which span it counts as failed.
    pub timeout: Duration,
    /// For an address: the kernel lifetime to set (R-LEASE-11), none without bound.
    pub lifetime: Option<Duration>,
    /// Until when the right to start holds: an agent that would act later must not (R-LEASE-5). None: no bound.
    pub not_after: Option<Timestamp>,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum OpOutcome {
    /// Start, stop: done. Probe, monitor: it runs.
    Ok,
    /// Probe, monitor: it does not run.
    NotRunning,
    /// The agent said no, with its exit code and the last lines of its output.
    Failed {
        /// Exit code; none where no process was involved.
        code: Option<i32>,
        /// What it said.
        message: String,
    },
    /// It did not end in time and was killed.
    TimedOut {
        /// What it had said by then.
        message: String,
    },
    /// It was cancelled before it ended; its effect is unknown.
    Cancelled,
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpResult {
    /// The order's number.
    pub id: OpId,
    /// How it ended.
    pub outcome: OpOutcome,
    /// How long it took.
    pub took: Duration,
    /// What people should know of one that ended well: a stop that TERM or KILL had to finish, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}
