//! What an executor is told and what it orders.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use hearth_cib::{Record, ReportKind};
use hearth_types::{AssignmentId, GroupId, OpId, OpRequest, OpResult, ResourceId, ResourceSpec, Timestamp};
use serde::{Deserialize, Serialize};

/// What this node may do now (protocol section 3). Before the first one: keep, start nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// It may keep what it holds. When this ends, addresses are shut and stopped at once, all else by [`Policy`].
    pub keep: bool,
    /// It may start, restart and put back what the record assigns to it.
    pub start: bool,
    /// Until when `start` holds; none: until told otherwise. Handed on to agents.
    pub not_after: Option<Timestamp>,
}

impl Rights {
    /// Whether `next` says the same as this one at `now`, except until when.
    pub(crate) fn goes_on_as(&self, next: &Rights, now: Timestamp) -> bool {
        let holds = |rights: &Rights| rights.not_after.is_none_or(|end| now < end);
        (self.keep, self.start) == (next.keep, next.start) && holds(self) && holds(next)
    }
}

/// How this node is to act, from configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// When the right to keep ends, everything is stopped, not only addresses.
    pub stop_all_on_loss: bool,
    /// Kernel lifetime of an address when it is started (R-LEASE-11); none: unlimited.
    pub lifetime: Option<Duration>,
}

/// What somebody else, or the kernel, did to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddressChange {
    /// Somebody removed it: put back at once (R-TAKE-7).
    Removed,
    /// Its kernel lifetime ran out: not ours any more until the wire is clear (R-LEASE-11).
    Expired,
    /// Somebody changed its lifetime: put right at once.
    LifetimeChanged,
    /// Its interface is gone: put back as soon as there is one ([`ExecutorInput::AddressHome`]), tried once a second.
    InterfaceGone,
}

/// A resource with the parameters that it was started with, for the daemon after us (R-TAKE-4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedResource {
    /// As it was started.
    pub spec: ResourceSpec,
    /// Its group, and its place in it from 0: what has left the record is still stopped in order. Of a resource whose
    /// group nobody knows: its own name.
    #[serde(default)]
    pub group: Option<GroupId>,
    /// The place.
    #[serde(default)]
    pub position: usize,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum ExecutorInput<'a> {
    /// The record as it is now. Also when it is another one than before (a rival epoch won).
    RecordChanged(&'a Record),
    /// What this node may do.
    Rights(Rights),
    /// How it is to act.
    Policy(Policy),
    /// An operation ended.
    OpFinished(OpResult),
    /// The kernel's list of addresses changed, and we did not do it.
    AddressChanged {
        /// The address resource.
        resource: ResourceId,
        /// What happened.
        change: AddressChange,
    },
    /// Whether this machine has an interface for an address; assumed until told otherwise.
    AddressHome {
        /// The address resource.
        resource: ResourceId,
        /// Whether there is one.
        present: bool,
    },
    /// What the wire says of an address of [`ExecutorOutput::NeedWire`] (R-TAKE-6).
    WireClear {
        /// The address resource.
        resource: ResourceId,
        /// Nobody answers, long enough.
        clear: bool,
        /// Hardware address of the machine that answers.
        answered_by: Option<String>,
    },
    /// What the daemon before us had started, from /run. At most once, before the first record.
    Started {
        /// Its last [`ExecutorOutput::Started`].
        adoptable: Vec<StartedResource>,
    },
    /// A deadline of [`crate::Executor::next_deadline`] came due.
    Deadline,
    /// Everything is to be stopped in order, for good (R-LEAVE-1).
    StopEverything,
}

/// A report to the DC, repeated by the controller until [`crate::Executor::unconfirmed_reports`] lacks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingReport {
    /// Its number, for [`hearth_cib::Report::number`].
    pub number: u64,
    /// Of what.
    pub resource: ResourceId,
    /// Highest assignment id applied when it was measured or ordered.
    pub upto: AssignmentId,
    /// What.
    pub what: ReportKind,
}

impl OutgoingReport {
    /// Whether it gives its assignment back, so that another node may start the resource (R-TAKE-1).
    pub fn spends(&self) -> bool {
        matches!(self.what, ReportKind::Stopped | ReportKind::NotRunning | ReportKind::StartFailed { .. })
    }
}

/// Which kind of thing happened, for the name of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// A start is ordered.
    Starting,
    /// A start ended well.
    Started,
    /// A stop is ordered.
    Stopping,
    /// A stop is confirmed.
    Stopped,
    /// A stop is confirmed, but TERM or KILL had to finish it (R-TAKE-8).
    StopForced,
    /// Found running where the record wants it: not touched (R-TAKE-4).
    Adopted,
    /// Found running where the record does not want it.
    FoundRunning,
    /// A probe gave no answer.
    ProbeFailed,
    /// A start failed.
    StartFailed,
    /// A stop failed; it is tried again.
    StopFailed,
    /// It ran, and then not, or not well.
    MonitorFailed,
    /// A start was given up because it is not wanted any more, or not allowed.
    StartCancelled,
    /// Somebody removed or changed an address.
    AddressDisturbed,
    /// The address is back as it should be.
    AddressRepaired,
    /// A kernel lifetime ran out.
    AddressExpired,
    /// The right to keep what it holds has ended.
    RightsEnded,
}

/// Something that a person may want to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What kind.
    pub kind: NoteKind,
    /// The resource; none: all.
    pub resource: Option<ResourceId>,
    /// One sentence.
    pub text: String,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecutorOutput {
    /// Run an operation.
    StartOp(OpRequest),
    /// End an operation; its `OpFinished` still comes.
    CancelOp(OpId),
    /// Tell the DC; to be persisted before it is sent (R-TAKE-1).
    Report(OutgoingReport),
    /// Everything of the record has been probed under this admission, and the record shows all reports of it.
    ProbesDone,
    /// Shut the gate for these addresses at once, and take them away before anything else (R-LEASE-5).
    Shut(Vec<ResourceId>),
    /// Announce an address (R-TAKE-7).
    Announce {
        /// Which.
        resource: ResourceId,
        /// A burst, or one round.
        burst: bool,
    },
    /// The complete set of addresses that must not be started before the wire is clear (R-TAKE-6).
    NeedWire(BTreeSet<ResourceId>),
    /// Why something that is wanted here does not run yet; none: it waits no more.
    Waiting {
        /// The resource.
        resource: ResourceId,
        /// Why.
        reason: Option<String>,
    },
    /// For the timeline.
    Note(Note),
    /// What to write into /run for the daemon after us; replaces what was there.
    Started(Vec<StartedResource>),
}

/// Why a deadline was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ExecutorTimer {
    /// A stop, start or repair is tried again.
    Retry,
    /// A monitor is due.
    Monitor,
    /// An address is announced again.
    Announce,
}

/// A resource on this node, for the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocalState {
    /// Not probed yet.
    Unknown,
    /// Confirmed not running.
    Stopped,
    /// Being started.
    Starting,
    /// Running.
    Started,
    /// Being stopped.
    Stopping,
    /// Found failed; it is being restarted or stopped.
    Failed,
    /// A stop failed; it may be running and is tried again.
    Blocked,
}
