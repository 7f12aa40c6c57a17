//! What a controller is made from.

use hearth_config::Config;
use hearth_types::{Incarnation, NodeIdentity, Timestamp};
use serde::{Deserialize, Serialize};

use crate::node::Node;

/// Everything that the first moment depends on; with the inputs it determines every output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// The checked files.
    pub config: Config,
    /// Identity to use where no state exists yet.
    pub fresh_identity: NodeIdentity,
    /// Random number of this run.
    pub incarnation: Incarnation,
    /// Seed of all generators.
    pub seed: u64,
    /// Content of the state file, if there is one.
    pub state: Option<String>,
    /// Lines of the log behind it, oldest first; a torn last line is left out by the reader.
    pub log: Vec<String>,
    /// Content of the note in /run, only if its boot id is the current one.
    pub volatile: Option<String>,
    /// Until when the daemon before us held its right to tick, only with the current boot id.
    pub volatile_lease: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
    /// Version of the daemon, for status.
    pub version: String,
}

/// Why a node cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The state file cannot be read; it is not overwritten.
    State(String),
}

/// Why a deadline was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimerKind {
    /// A heartbeat is due.
    Keepalive,
    /// A peer, link or ping node would be late or dead.
    Silence,
    /// An operation or group waits for it.
    Operation,
    /// The ledger's clock.
    Ledger,
}

/// One node. It can be cloned where [`Controller::can_be_cloned`] says so.
#[derive(Clone)]
pub struct Controller {
    pub(crate) node: Box<Node>,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller").field("local", &self.node.local).field("ledger", &self.node.ledger).finish()
    }
}
