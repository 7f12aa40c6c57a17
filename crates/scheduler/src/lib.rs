//! A pure function: record to plan with reasons.
//!
//! For: which entries the DC should propose next, and for every group why it is where it is and why not elsewhere.
//! `hearth why` and the daemon use the same call.
//!
//! Deliberately does not know: time, messages, how a node came to be alive, operations.
//!
//! Inputs: the record and who is alive or leaving ([`Alive`]). Output: a [`Plan`]. Every planned entry is accepted by
//! the record if applied in order, and once they are applied the plan is empty until a fact changes: a fault leads to a
//! bounded number of moves.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod choose;
mod verdict;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use hearth_cib::{Entry, Record};
use hearth_types::{GroupId, NodeName};
use serde::{Deserialize, Serialize};

pub use verdict::MONITOR_FAILURES;

/// What the record does not hold: who is there at this moment, as the DC sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// Nodes that are heard, this one included. Whether they take part is the record's matter.
    pub alive: BTreeSet<NodeName>,
    /// Nodes that want to stop: everything moves away from them.
    pub leaving: BTreeSet<NodeName>,
    /// Nodes that are there and cannot write their state: they can begin nothing, and confirm nothing (R-LEDGER-3).
    #[serde(default)]
    pub without_disk: BTreeSet<NodeName>,
    /// Nodes that were lost too often of late: they get nothing that another one can run. In words that continue the name.
    #[serde(default)]
    pub left_out: BTreeMap<NodeName, String>,
}

/// Which kind of fact led to an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It ran nowhere.
    Placed,
    /// Somebody asked for it.
    Requested,
    /// Its preferred node is back and `auto_failback` is on.
    Failback,
    /// Its node stops.
    Leaving,
    /// A start failed there.
    StartFailed,
    /// It failed there too often while it ran.
    MonitorFailed,
    /// Its node cannot serve one of its addresses (R-MEM-7).
    Carrier,
    /// Its node reaches fewer ping targets than another (R-MEM-9).
    Pings,
    /// A member is to be started that this assignment does not cover yet.
    Member,
    /// Its node has become a witness.
    Witness,
    /// A healed split is cleaned up.
    Confirmed,
}

/// One entry to propose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The entry.
    pub entry: Entry,
    /// Why, for people.
    pub reason: String,
    /// Why, for programs.
    pub cause: Cause,
}

/// Where one group is, or will be when the actions are applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Which.
    pub group: GroupId,
    /// Where; none: nowhere.
    pub node: Option<NodeName>,
    /// Why there, or why nowhere.
    pub reason: String,
    /// Every other node, best first, with what speaks against it.
    pub alternatives: Vec<(NodeName, String)>,
    /// What it waits for, if something that should happen cannot happen now.
    pub blocked: Option<String>,
}

/// What is to be done, and why everything is where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// To be applied in this order; as one batch or one by one.
    pub actions: Vec<Planned>,
    /// All groups in file order.
    pub placements: Vec<Placement>,
}

/// The plan for this record and these nodes.
pub fn plan(record: &Record, view: &Alive) -> Plan {
    choose::Planner::new(record, view).run()
}
