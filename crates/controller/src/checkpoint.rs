//! A node in the middle of its run as bytes, and back: what a recording begins with that has lost its beginning.

use crate::Controller;
use crate::node::Node;

/// Why a node cannot be written down at this moment. It changes nothing, and another moment may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoCheckpoint {
    /// Something waits to be written or said, or the epoch had more messages than are kept.
    NotAtRest,
    /// A value that cannot be written; a bug of ours.
    Unwritable(String),
}

impl Controller {
    /// Everything that this node is, keys left out: [`Controller::resume`] makes a node of it that
    /// does from there on exactly what this one does. Takes about a millisecond, and nothing is changed.
    ///
    /// # Errors
    /// See [`NoCheckpoint`].
    pub fn checkpoint(&self) -> Result<Vec<u8>, NoCheckpoint> {
        if !self.node.ledger.is_at_rest() {
            return Err(NoCheckpoint::NotAtRest);
        }
        minicbor_serde::to_vec(&self.node).map_err(|error| NoCheckpoint::Unwritable(error.to_string()))
    }

    /// Makes the node that was written down.
    ///
    /// # Errors
    /// For people: what cannot be read, as when another version wrote it.
    pub fn resume(bytes: &[u8]) -> Result<Controller, String> {
        if !hearth_wire::is_shallow(bytes) {
            return Err("it is nested too deep".to_owned());
        }
        let mut node: Box<Node> = minicbor_serde::from_slice(bytes).map_err(|error| error.to_string())?;
        node.ledger.join_up();
        Ok(Controller { node })
    }

    /// Whether a clone can be made, which does from there on exactly what this node does and shares nothing with it: always
    /// between two inputs, but for an epoch that had more messages than are kept. Where it says no, a clone panics.
    pub fn can_be_cloned(&self) -> bool {
        self.node.ledger.can_be_cloned()
    }

    /// Everything that this node is as JSON, for people who compare two moments; keys left out.
    ///
    /// # Errors
    /// As [`Controller::checkpoint`].
    pub fn state(&self) -> Result<serde_json::Value, NoCheckpoint> {
        if !self.node.ledger.is_at_rest() {
            return Err(NoCheckpoint::NotAtRest);
        }
        serde_json::to_value(&self.node).map_err(|error| NoCheckpoint::Unwritable(error.to_string()))
    }
}
