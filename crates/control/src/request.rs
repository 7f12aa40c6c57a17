//! What may be asked.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// One question or order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "request")]
pub enum Request {
    /// The whole status, once. Answered by [`crate::Reply::Status`].
    Status,
    /// The status now and again at each change, at most ten times a second, until the connection closes.
    Watch,
    /// Give groups up to the peer (hb_standby).
    Standby {
        /// Which.
        which: Which,
        /// Whether to answer only when it is done.
        wait: bool,
    },
    /// Take groups from the peer (hb_takeover).
    Takeover {
        /// Which.
        which: Which,
        /// Whether to answer only when it is done.
        wait: bool,
    },
    /// Bring groups to the node that they prefer.
    Failback {
        /// Whether to answer only when it is done.
        wait: bool,
    },
    /// Events, oldest first.
    Timeline {
        /// At most so many, the newest; none: all that are kept.
        last: Option<usize>,
        /// Only of this subject (resource, group, node).
        subject: Option<String>,
        /// Goes on with new events until the connection closes.
        follow: bool,
    },
    /// Why a resource or group is where it is.
    Why {
        /// Resource or group, or an unambiguous part of its name.
        resource: String,
    },
    /// Forget failures of a resource so that it may be started again where it failed.
    Clear {
        /// Resource or group; none: all.
        resource: Option<String>,
    },
    /// Give things to a node again that was lost too often, or forget failures of a resource.
    Release {
        /// Node, group or resource.
        name: String,
    },
    /// Re-read the three files (answered by the runtime, which reads them).
    Reload,
    /// Stop this node in order: its groups move away first.
    Stop,
    /// Fence a lost node now; answered when a device has.
    Fence {
        /// Which.
        node: String,
    },
    /// Ask every device that this node would fence that one with whether it would work; harms nobody.
    FenceTest {
        /// Which.
        node: String,
    },
    /// Send one alert that says that it is a trial to every script of this node; answered when all have ended.
    AlertTest,
    /// A machine more: ha.cf of every machine names it from now on.
    NodeAdd {
        /// Its name.
        node: String,
        /// Interface and address, for each interface with `ucast` lines.
        ucast: Vec<(String, String)>,
    },
    /// A machine less: it stops in order, and no ha.cf names it any more.
    NodeRemove {
        /// Its name.
        node: String,
    },
    /// A person says that a lost node is off.
    ConfirmOff {
        /// Which.
        node: String,
    },
}

/// Which groups, seen from the node that gives them up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "which", content = "groups")]
pub enum Which {
    /// All.
    All,
    /// Those that prefer this node.
    Local,
    /// Those that prefer another node.
    Foreign,
    /// By name.
    Groups(Vec<String>),
}
