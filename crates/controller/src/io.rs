//! Everything that a node is told and everything that it orders, as plain values.

use hearth_config::FenceDevice;
use hearth_control::{Reply, Request};
use hearth_types::{AlertId, FenceId, FenceTask, LinkId, NodeName, OpId, OpRequest, OpResult, ResourceId, Timestamp};
use hearth_wire::Message;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::alert::Alert;
use crate::event::Event;

/// Something that happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "packets are the common case: a box for each costs more than the room")]
pub enum Input {
    /// A packet that was authenticated and decoded at the edge (`hearth-wire`), so that keys never reach a recording.
    Packet {
        /// On which of this node's links it came in; the sender's number for it may be another.
        link: LinkId,
        /// What it says.
        message: Message,
        /// Bytes on the wire, for statistics.
        size: u32,
        /// When the kernel received it, on our clock; equal to `now` where unknown.
        received_at: Timestamp,
    },
    /// Packets refused at the edge since the last such input (R-WIRE-1).
    Refused {
        /// On which link.
        link: LinkId,
        /// Why, in words of the wire crate.
        reason: String,
        /// From where.
        source: String,
        /// How many.
        count: u64,
    },
    /// A medium was opened, failed, disappeared or came back.
    LinkChanged {
        /// Which.
        link: LinkId,
        /// None: open. Else why not.
        trouble: Option<String>,
    },
    /// Carrier of an interface (its lowest physical port, R-MEM-7). Sent for every interface at start and on change.
    CarrierChanged {
        /// Interface.
        interface: String,
        /// What is known.
        carrier: Carrier,
    },
    /// On which interface this machine would serve an address; sent at start and on change.
    AddressHome {
        /// The address resource.
        resource: ResourceId,
        /// Interface, none if the machine has none for it.
        interface: Option<String>,
    },
    /// An ICMP echo answer with our payload.
    PingAnswered {
        /// Name of the target or group.
        target: String,
        /// When the answered request was sent.
        sent_at: Timestamp,
    },
    /// An operation ended.
    OpFinished(OpResult),
    /// An order to a fence device ended ([`Output::Fence`]).
    FenceFinished {
        /// Which.
        id: FenceId,
        /// What it said: it is done, or it is not known to be.
        result: Result<String, String>,
        /// How long it took.
        took: Duration,
    },
    /// The script of an alert ended ([`Output::Alert`]).
    AlertFinished {
        /// Which run.
        id: AlertId,
        /// What it said last, if it ended with 0; else why it is not known to have told anybody.
        result: Result<String, String>,
        /// How long it took, from the order on.
        took: Duration,
    },
    /// The wire was asked for an address ([`Output::AskWire`]).
    WireAsked {
        /// The address resource.
        resource: ResourceId,
    },
    /// Another machine answered for an address.
    WireAnswered {
        /// The address resource.
        resource: ResourceId,
        /// Its hardware address.
        hardware: String,
    },
    /// The wire could not be asked.
    WireTrouble {
        /// The address resource.
        resource: ResourceId,
        /// Why not.
        trouble: String,
    },
    /// An address of the peer answered ARP, ND or ICMP while we probed it ([`Output::ProbePeer`]).
    PeerAnswered {
        /// The peer.
        node: NodeName,
    },
    /// The kernel's list of addresses changed, and we did not do it.
    AddressChanged {
        /// The address resource.
        resource: ResourceId,
        /// What happened.
        change: AddressChange,
    },
    /// The gate as it was seen.
    GateSeen {
        /// Whether table, chains and sets are whole.
        whole: bool,
        /// What is wrong.
        trouble: Option<String>,
    },
    /// The watchdog was armed, and what its driver says; or it could not be, or has failed: why (R-LEASE-7).
    WatchdogSeen(Result<hearth_wire::Watchdog, String>),
    /// Whether this machine could be reset by [`Output::ResetSelf`], told at the start and after a reload where ha.cf asks for
    /// it; or why it was not reset.
    SelfFenceSeen(Result<(), String>),
    /// A look at this machine's slot on the shared disk: good, or why not ([`Output::Slot`]).
    SlotSeen(Result<crate::slot::SlotSeen, String>),
    /// What the disk of the tiebreaker says, or why it says nothing ([`Output::Tiebreaker`]).
    TiebreakerSeen(Result<crate::tiebreaker::TiebreakerSeen, String>),
    /// Everything up to that ticket is durable.
    Persisted {
        /// Ticket of [`Output::Persist`].
        ticket: u64,
    },
    /// Writing failed; the voter stops, the heartbeats do not (R-LEDGER-3).
    PersistFailed {
        /// Ticket of [`Output::Persist`].
        ticket: u64,
        /// Why.
        error: String,
    },
    /// Somebody asked over the control socket.
    Request {
        /// To be repeated in [`Output::Reply`].
        token: u64,
        /// What.
        request: Request,
        /// Who: user name or uid.
        by: String,
    },
    /// A packet of that peer came from this address: where it can be asked whether it is still there.
    PeerAddress {
        /// The peer.
        node: NodeName,
        /// One of its own addresses.
        address: std::net::IpAddr,
    },
    /// Whoever waited for answers to a request is gone.
    RequestEnded {
        /// Token of the request.
        token: u64,
    },
    /// The files were read again and are good.
    Reconfigured(Box<hearth_config::Config>),
    /// The files were changed, or could be ([`Output::ChangeList`]).
    ListChanged {
        /// Its number.
        id: u64,
        /// The first digest of the files with the change; else why not, for people. A daemon that changed them has been told
        /// of the new ones before.
        result: Result<u64, String>,
    },
    /// A deadline of [`crate::Controller::next_deadline`] came due.
    Deadline,
    /// The supervisor or system asks for an orderly stop.
    Shutdown {
        /// Who asked: `SIGTERM`, `hearth stop` ...
        by: String,
    },
}

/// Carrier of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carrier {
    /// Present.
    Up,
    /// Absent, or the interface is gone or set down.
    Down,
    /// There is no physical port below: no evidence (R-MEM-7).
    Unknown,
}

/// What somebody else, or the kernel, did to an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddressChange {
    /// Somebody removed it.
    Removed,
    /// Its kernel lifetime ran out (R-LEASE-11); never repaired.
    Expired,
    /// Somebody changed its lifetime.
    LifetimeChanged,
    /// Its interface is gone.
    InterfaceGone,
}

/// Something to be done. The order of a list is meaning: whatever stands behind a [`Output::Persist`] waits until it is
/// durable, except heartbeats and gate ticks (R-LEDGER-3).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Output {
    /// Sign and send.
    Send {
        /// On which link.
        link: LinkId,
        /// In which wire version (R-WIRE-6).
        version: u8,
        /// What.
        message: Message,
    },
    /// Run an operation.
    StartOp(OpRequest),
    /// End an operation; its `OpFinished` still comes.
    CancelOp(OpId),
    /// Tell a fence device to do something to a machine; `FenceFinished` always comes.
    Fence {
        /// Its number.
        id: FenceId,
        /// Which device. What is secret of it, the driver has from its own files.
        device: Box<FenceDevice>,
        /// Which machine.
        node: NodeName,
        /// What.
        task: FenceTask,
        /// How long it may take.
        timeout: Duration,
        /// When that machine was last heard; none: never in this run.
        heard_at: Option<Timestamp>,
    },
    /// Run the script of an alert for one recipient; `AlertFinished` always comes, and nothing waits for it.
    Alert {
        /// Number of the run.
        id: AlertId,
        /// What it is told.
        alert: Box<Alert>,
        /// The script.
        program: String,
        /// Its recipient.
        recipient: Option<String>,
        /// How long it may take.
        timeout: Duration,
    },
    /// Let these addresses answer for `hold` from `decided_at` (R-LEASE-8). The driver picks the longest mark that ends
    /// no later, also where the machine sleeps on the way. Overtakes Persist.
    GateTick {
        /// Addresses.
        resources: Vec<ResourceId>,
        /// When it was decided.
        decided_at: Timestamp,
        /// For how long at most.
        hold: Duration,
    },
    /// Shut the gate for these addresses at once, and take the addresses away before anything else. Overtakes Persist.
    GateShut {
        /// Addresses.
        resources: Vec<ResourceId>,
    },
    /// Renew the kernel lifetime of these addresses (R-LEASE-11). Overtakes Persist.
    RenewLifetime {
        /// Addresses.
        resources: Vec<ResourceId>,
        /// Lifetime in whole seconds.
        lifetime: Duration,
        /// Not sent after this moment.
        not_after: Timestamp,
    },
    /// Pet the watchdog once, unless it is later than `not_after` when that reaches the device; the first pet opens it,
    /// which arms it (R-LEASE-7). Overtakes Persist.
    PetWatchdog {
        /// Which, and what it is asked for.
        device: hearth_config::WatchdogDevice,
        /// End of the right to.
        not_after: Timestamp,
    },
    /// Look at this machine's slot on a shared disk, again and again, and state this there before each look; none: there
    /// is none any more.
    Slot {
        /// What and where.
        order: Option<crate::slot::SlotOrder>,
    },
    /// Ask the disk of the tiebreaker for that, at once and then again and again; none: there is none any more.
    Tiebreaker {
        /// What and where.
        order: Option<crate::tiebreaker::TiebreakerOrder>,
    },
    /// Close the watchdog, so that it resets nothing any more.
    CloseWatchdog,
    /// Reset this machine at once, without a word to anything that runs on it: what it holds may run elsewhere (R-LEASE-6).
    /// Overtakes Persist; if it fails, `SelfFenceSeen` comes.
    ResetSelf {
        /// What did not stop.
        what: String,
    },
    /// The complete set of addresses that the gate must hold from now on (made when the record names them), and all
    /// resources whose kernel events are watched.
    Guard {
        /// Address resources.
        resources: Vec<hearth_types::ResourceSpec>,
    },
    /// Ask the wire for these addresses, every 20 ms, until told otherwise; the complete set (R-TAKE-6).
    AskWire {
        /// Addresses.
        resources: Vec<ResourceId>,
    },
    /// Ask the peer's own addresses by ARP, ND and ICMP, every 20 ms, until told otherwise; the complete set.
    ProbePeer {
        /// Peers with the addresses that ha.cf names for them.
        nodes: BTreeMap<NodeName, Vec<std::net::IpAddr>>,
    },
    /// Announce addresses: gratuitous ARP, unsolicited NA (R-TAKE-7).
    Announce {
        /// Addresses.
        resources: Vec<ResourceId>,
        /// A burst (taken, healed, link up) or one round.
        burst: bool,
    },
    /// Make durable. `state` replaces the state file; `log` lines are appended to the ledger's log after it.
    Persist {
        /// Rises by one.
        ticket: u64,
        /// New content of the state file; truncates the log.
        state: Option<String>,
        /// Lines to append to the log.
        log: Vec<String>,
    },
    /// Note in /run, readable by the next daemon with the same boot id (R-TAKE-4): volatile, never waited for.
    Volatile {
        /// JSON text.
        text: String,
    },
    /// Until when the next daemon may tick for these addresses (R-TAKE-4); written at each tick, cheap. Overtakes Persist.
    VolatileLease {
        /// End of the right.
        until: Timestamp,
    },
    /// Change the list of nodes in ha.cf and read the files again, or, without `commit`, say whether that would go;
    /// `ListChanged` always comes.
    ChangeList {
        /// Its number.
        id: u64,
        /// What.
        change: hearth_config::ListChange,
        /// To do it.
        commit: bool,
    },
    /// Answer a request. `more`: further replies with this token follow.
    Reply {
        /// Token of the request.
        token: u64,
        /// The answer.
        reply: Box<Reply>,
        /// Whether more follow.
        more: bool,
    },
    /// Something happened that a person may want to know; goes to log and timeline.
    Event(Event),
    /// The daemon is done and may exit.
    Halt {
        /// Why.
        reason: String,
    },
}
