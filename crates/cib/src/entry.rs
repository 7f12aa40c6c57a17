//! What may be decided.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use hearth_types::{
    Admission, AssignmentId, EpochName, GroupId, Incarnation, Index, NodeIdentity, NodeName, OpAction, PermitKind,
    ResourceId, ResourceModel,
};
use serde::{Deserialize, Serialize};

use crate::Voter;

/// Number of a request: who took it from a person, in which run, the how-manieth. Applied once (R-LEDGER-9).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId {
    /// Node that took the request.
    pub origin: NodeName,
    /// Its run.
    pub incarnation: Incarnation,
    /// Rises by one or more within the run; from 1.
    pub number: u64,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.origin, self.number)
    }
}

/// What a `Clear` forgets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClearSubject {
    /// Every failure and every requested placement.
    All,
    /// Those of one group.
    Group(GroupId),
    /// Those of one resource, and the requested placement of its group.
    Resource(ResourceId),
}

/// What a node says of one resource on itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// A start ended well.
    Started,
    /// A stop is confirmed. Clears the flag (R-TAKE-1).
    Stopped,
    /// A probe: not running. Clears the flag.
    NotRunning,
    /// A probe: running. Sets the flag if it was not set.
    Running,
    /// A probe that gave no answer: it may be active. Sets the flag if it was not set (R-TAKE-1).
    ProbeFailed {
        /// Exit code, if a process was involved.
        code: Option<i32>,
        /// What the agent said.
        message: String,
    },
    /// A start failed and the stop that cleans up is confirmed. Counts, and clears the flag (R-TAKE-8).
    StartFailed {
        /// Exit code of the start, if a process was involved.
        code: Option<i32>,
        /// What the agent said.
        message: String,
    },
    /// Every stage of a stop failed. The flag stays, except as `on_stop_fail` says for what is not exclusive.
    StopFailed {
        /// Exit code, if a process was involved.
        code: Option<i32>,
        /// What the agent said.
        message: String,
    },
    /// A stop is confirmed, but TERM or KILL had to end what it left (R-TAKE-8). Counts as a failed stop and clears nothing:
    /// that is `Stopped`, or nothing where it is started again in place. From [`crate::FORGETS_FROM`] on.
    StopForced {
        /// What was done, for people.
        message: String,
    },
    /// It ran, and is found not to run, or not well. Counts; the flag stays.
    MonitorFailed {
        /// Exit code, if a process was involved.
        code: Option<i32>,
        /// What the agent said.
        message: String,
    },
}

/// One report (R-TAKE-1). Applied in the order of `number`, each once; the sender repeats it until the record shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who reports, of itself.
    pub node: NodeName,
    /// In which run; only the run that the record admitted counts.
    pub incarnation: Incarnation,
    /// One more than [`crate::NodeRecord::reported`] when it is applied; from 1 in each run.
    pub number: u64,
    /// Of what.
    pub resource: ResourceId,
    /// Highest assignment id applied when it was measured or ordered: only flags at or below it are cleared.
    pub upto: AssignmentId,
    /// What.
    pub what: ReportKind,
}

/// What a node stated of the wire versions that it speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speaks {
    /// Which node.
    pub node: NodeName,
    /// In which run it said so; another run may be another program.
    pub incarnation: Incarnation,
    /// Newest wire version that it speaks.
    pub newest: u8,
}

/// One entry of the history of the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// Nothing; keeps the ledger going.
    Noop,
    /// What should run and which machines there are. Touches only what differs.
    Configure {
        /// Groups.
        model: ResourceModel,
        /// Digest of the resource part of the files (R-JOIN-4).
        digest: u64,
        /// All machines in ha.cf order.
        nodes: Vec<NodeName>,
    },
    /// A node takes part under its next admission (R-JOIN-3). Nothing is assigned to it before its probes are reported.
    Admit {
        /// Which.
        node: NodeName,
        /// Its persisted identity, bound to the name at its first admission (R-JOIN-5).
        identity: NodeIdentity,
        /// Its run.
        incarnation: Incarnation,
    },
    /// The node has reported a probe of every resource under its present admission (R-TAKE-4).
    Probed {
        /// Which.
        node: NodeName,
        /// Its run.
        incarnation: Incarnation,
    },
    /// One of two machines goes on alone: the other is lost, and flags are cleared as the permit allows (section 5).
    Forced {
        /// The lost node.
        node: NodeName,
        /// Under which permit.
        permit: PermitKind,
        /// No address of it answers ARP, or it said that it stopped: clears its file systems too. Under `watchdog`: it has
        /// been reset beyond doubt, which clears all; before that only addresses are cleared.
        node_silent: bool,
    },
    /// A node is lost (R-LEASE-2). Clears no flag.
    Lost {
        /// Which.
        node: NodeName,
        /// Its admission.
        admission: Admission,
    },
    /// A voter vouches no more for a node that is alive and not lost: a `lost` was accepted and overwritten. It goes on
    /// under its next admission, with all that is assigned to it (R-LEASE-3).
    Renew {
        /// Which.
        node: NodeName,
        /// Its admission until now.
        admission: Admission,
    },
    /// A node has applied an epoch of three or more voters and keeps things only by its lease (R-LEASE-4). Counts in the
    /// epoch that it names.
    Leased {
        /// Which.
        node: NodeName,
        /// Its run.
        incarnation: Incarnation,
        /// The epoch that it has applied.
        epoch: EpochName,
    },
    /// The lease of a lost node has ended beyond doubt (R-LEASE-4): its addresses are free, subject to the wire check
    /// (R-TAKE-2). Nothing else is cleared by that.
    Proven {
        /// The lost node.
        node: NodeName,
        /// The admission under which it was lost.
        admission: Admission,
        /// Addresses that do not answer there any more.
        addresses: BTreeSet<ResourceId>,
    },
    /// A node's watchdog is armed, with this timeout as its driver says it, or is no more (R-LEASE-7). From
    /// [`crate::WATCHED_FROM`] on.
    Watched {
        /// Which.
        node: NodeName,
        /// Its run.
        incarnation: Incarnation,
        /// In milliseconds; none: nothing resets that machine any more.
        timeout_ms: Option<u32>,
    },
    /// The watchdog of a lost node has reset its machine beyond doubt, or everything had stopped there (R-TAKE-2): clears
    /// all that it ran when it was lost. From [`crate::WATCHED_FROM`] on.
    Reset {
        /// The lost node.
        node: NodeName,
        /// The admission under which it was lost.
        admission: Admission,
    },
    /// The machine of a lost node came up without its state: its own word that nothing runs there and that it does not
    /// vote as what it was (section 5, `resigned`). Frees the name for another identity.
    Resigned {
        /// Which.
        node: NodeName,
        /// The admission under which it was lost.
        admission: Admission,
    },
    /// A lost node is off, or was: by the word of a fence device about an order that was given after the loss, or of a
    /// person (R-TAKE-1). Clears everything that it ran until then. From [`crate::FENCED_FROM`] on.
    Fenced {
        /// Which.
        node: NodeName,
        /// The admission under which it was lost.
        admission: Admission,
        /// Whose word it is, for people.
        how: String,
        /// What was decided up to there was known when the word was given, and nothing was heard of the node since: what
        /// it said of itself after its loss is over, too.
        #[serde(default)]
        upto: Index,
        /// The order of a person, if it is one.
        #[serde(default)]
        request: Option<RequestId>,
    },
    /// A node stopped in order (R-LEAVE-1); refused while anything may be active there.
    Left {
        /// Which.
        node: NodeName,
    },
    /// A split has healed and this node lost it (R-LEDGER-6): all that it ran may be active there.
    Unclean {
        /// Which.
        node: NodeName,
        /// For people.
        reason: String,
        /// What it ran by its own record.
        running: Vec<ResourceId>,
        /// Identity of the machine that said so; none: the one that the name is bound to (R-JOIN-5).
        #[serde(default)]
        identity: Option<NodeIdentity>,
    },
    /// An unclean node has confirmed by its reports that nothing of that runs there any more.
    Confirmed {
        /// Which.
        node: NodeName,
    },
    /// A group is to run on a node; its members may be active there from now on. The entry's index is the assignment's
    /// id. Again for the same node: a new id, and members that came in since are covered too.
    Assign {
        /// Which.
        group: GroupId,
        /// Where.
        node: NodeName,
        /// For people.
        reason: String,
    },
    /// A group is to run nowhere; it is stopped where it may be active.
    Unassign {
        /// Which.
        group: GroupId,
        /// For people.
        reason: String,
    },
    /// What a node says of one of its resources.
    Report(Report),
    /// How well a node can serve (R-MEM-7, R-MEM-9).
    Standing {
        /// Which.
        node: NodeName,
        /// Addresses that it cannot serve for want of carrier.
        unservable: BTreeSet<ResourceId>,
        /// Ping targets reached, and configured.
        pings: (u16, u16),
    },
    /// Somebody asked that groups run elsewhere (standby, takeover). Holds until it is ended by the loss of the node, a
    /// failed start there, a failback or a clear.
    Move {
        /// Its number.
        request: RequestId,
        /// Which.
        groups: Vec<GroupId>,
        /// To this node.
        to: Option<NodeName>,
        /// To any node but this.
        away_from: Option<NodeName>,
        /// Who asked, and how: `standby by root`.
        by: String,
    },
    /// Somebody asked that groups go where they prefer to run; ends their requested placements.
    Failback {
        /// Its number.
        request: RequestId,
        /// Which.
        groups: Vec<GroupId>,
        /// Who asked.
        by: String,
    },
    /// Forgets failures and requested placements.
    Clear {
        /// Its number.
        request: RequestId,
        /// Of what.
        subject: ClearSubject,
    },
    /// A failed start or monitor is too long ago to count (`failure_timeout`). Refused if a newer failure stands
    /// (R-TAKE-8). From [`crate::FORGETS_FROM`] on.
    Aged {
        /// Of what.
        resource: ResourceId,
        /// Where.
        node: NodeName,
        /// What had failed; a stop is never forgotten so.
        action: OpAction,
        /// The entry of the newest failure.
        index: Index,
    },
    /// From here on the next wire version is in use (R-WIRE-6). Names what every node of the record stated, so that
    /// the record itself holds nothing that an older daemon would not keep (decision 0015).
    RaiseWire {
        /// The version; one above that of the record.
        version: u8,
        /// The word of every node.
        stated: Vec<Speaks>,
    },
    /// Begins an epoch.
    Epoch {
        /// Its name; its number is above that of the epoch before.
        name: EpochName,
        /// Its voters.
        voters: Vec<Voter>,
        /// The permit under which it was forced, if it was.
        permit: Option<PermitKind>,
    },
    /// All of these in order, or none.
    Batch(Vec<Entry>),
}
