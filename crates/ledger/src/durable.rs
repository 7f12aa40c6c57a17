//! What survives the daemon: one state file and the journal lines behind it.

use crate::founding::Consent;
use crate::revoke::losses;
use crate::storage::{Line, Log};
use hearth_cib::{LINEAGE, Record, Voter};
use hearth_types::{Admission, EpochName, NodeIdentity, NodeName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything durable of one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Durable {
    /// Version of this layout.
    pub format: u32,
    /// Name that the identity belongs to (R-JOIN-5).
    pub name: NodeName,
    /// Identity.
    pub identity: NodeIdentity,
    /// Writes that something depends on, this one included (see `mark.rs`).
    #[serde(default)]
    pub mark: u64,
    /// Highest epoch number ever seen.
    pub number_seen: u64,
    /// Epochs that this node gave up, oldest first, at most [`GIVEN_UP`]: what it accepted in them is forgotten, so it
    /// votes in none of them again.
    #[serde(default)]
    pub given_up: Vec<EpochName>,
    /// Consent to a first epoch.
    pub consent: Consent,
    /// The epoch that this node is in.
    pub epoch: Option<EpochState>,
    /// A record stored for a node that invited us; gives no right.
    pub stored: Option<Record>,
    /// The newest admission of each node of which this voter accepted a `lost`, decided or not: it vouches for none up to
    /// it, for ever (R-LEASE-3).
    #[serde(default)]
    pub revoked: BTreeMap<NodeName, Admission>,
    /// Notes beside the log: spent assignments, whether the other machine was heard since the epoch was founded.
    pub notes: BTreeMap<String, String>,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EpochState {
    /// The record at its begin; names the epoch and its voters.
    pub base: Record,
    /// Its log.
    pub log: Log,
}

/// What the end of an epoch says of the next, as metadata of its stop-sign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NextEpoch {
    pub epoch: EpochName,
    pub voters: Vec<Voter>,
}

/// How many epochs that were given up are remembered, with their ancestors.
const GIVEN_UP: usize = 4 * LINEAGE;

/// Layout of the state file.
pub(crate) const FORMAT: u32 = 1;

impl Durable {
    pub(crate) fn fresh(name: NodeName, identity: NodeIdentity) -> Durable {
        Durable {
            format: FORMAT,
            name,
            identity,
            mark: 0,
            number_seen: 0,
            given_up: Vec::new(),
            consent: Consent::default(),
            epoch: None,
            stored: None,
            revoked: BTreeMap::new(),
            notes: BTreeMap::new(),
        }
    }

    /// Notes that this node gave an epoch up, and with it its ancestors, newest first.
    pub(crate) fn give_up(&mut self, epoch: EpochName, lineage: &[EpochName]) {
        for name in lineage.iter().rev().cloned().chain([epoch]) {
            self.given_up.retain(|known| *known != name);
            self.given_up.push(name);
        }
        let excess = self.given_up.len().saturating_sub(GIVEN_UP);
        self.given_up.drain(..excess);
    }

    /// Notes that nothing up to that admission of a node is vouched for any more; true if it is news.
    pub(crate) fn revoke(&mut self, node: &NodeName, admission: Admission) -> bool {
        let news = self.revoked.get(node).is_none_or(|known| *known < admission);
        if news {
            self.revoked.insert(node.clone(), admission);
        }
        news
    }

    /// Reads a state file and repeats the lines behind it.
    ///
    /// # Errors
    /// Says what cannot be read; nothing is changed on disk.
    pub(crate) fn read(state: &str, lines: &[String]) -> Result<Durable, String> {
        let mut durable: Durable = serde_json::from_str(state).map_err(|error| format!("the state file: {error}"))?;
        if durable.format != FORMAT {
            return Err(format!("the state file has format {}, this daemon reads {FORMAT}", durable.format));
        }
        for (number, text) in lines.iter().enumerate() {
            let line: Line =
                serde_json::from_str(text).map_err(|error| format!("line {} of the log: {error}", number + 1))?;
            // Where the write was torn behind an entry, what follows from it stands in no line of its own.
            let mut lost = Vec::new();
            line.entries().into_iter().for_each(|entry| losses(entry, &mut lost));
            for (node, admission) in lost {
                durable.revoke(&node, admission);
            }
            durable.mark += u64::from(line.binds());
            match (line, &mut durable.epoch) {
                (Line::Note(key, value), _) => {
                    durable.notes.insert(key, value);
                }
                (Line::Revoked(node, admission), _) => {
                    durable.revoke(&node, admission);
                }
                (line, Some(epoch)) => epoch.log.repeat(line),
                (_, None) => return Err(format!("line {} of the log belongs to no epoch", number + 1)),
            }
        }
        Ok(durable)
    }
}
