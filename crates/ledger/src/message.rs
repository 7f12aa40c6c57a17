//! What ledgers say to each other, over the ordered channel between two incarnations.

use crate::founding::FoundMessage;
use crate::storage::Item;
use hearth_cib::{Entry, Record};
use hearth_types::{EpochName, Incarnation, Index, NodeIdentity, NodeName, PermitKind, ResourceId};
use omnipaxos::messages::Message;
use serde::{Deserialize, Serialize};

/// One message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LedgerMessage {
    /// Of omnipaxos, with the full name of the epoch that it belongs to (R-LEDGER-7).
    Paxos {
        /// Epoch.
        epoch: EpochName,
        /// The message.
        message: Message<Item>,
    },
    /// About the first epoch (R-JOIN-1).
    Found(FoundMessage),
    /// "Let me in": from a node whose epoch is over, or that never had one.
    Join(Join),
    /// The record as the sole voter has it, to be stored; gives no right (R-LEDGER-2).
    Store {
        /// The record.
        record: Box<Record>,
    },
    /// It is stored durably.
    Stored {
        /// Epoch of the stored record.
        epoch: EpochName,
    },
    /// An epoch that was decided: its first record. Whoever is a voter of it, or of an ancestor, takes it over.
    Offer {
        /// The record at the epoch's begin.
        record: Box<Record>,
    },
    /// "What was decided from that index on?": from a node that does not hear the DC (R-LEDGER-2).
    Ask {
        /// The epoch.
        epoch: EpochName,
        /// First index wanted.
        from: Index,
    },
    /// The answer: entries that are decided, in order.
    Decided {
        /// The epoch.
        epoch: EpochName,
        /// Index of the first.
        from: Index,
        /// Some of them; the next question brings more.
        entries: Vec<Entry>,
    },
    /// Two epochs of which none descends from the other (R-LEDGER-6).
    Rival {
        /// The sender's own offer, frozen when the rival was first seen.
        own: RivalOffer,
        /// The receiver's offer as the sender holds it.
        echo: Option<RivalOffer>,
    },
    /// The sender has no state, has probed everything stopped, and will not vote in that epoch (permit `resigned`).
    Resigned {
        /// The epoch whose voter it replaces.
        epoch: EpochName,
    },
}

impl LedgerMessage {
    /// Whether it is only what voters ask and answer each other at every election tick: of most of them nothing follows.
    pub fn is_ballot(&self) -> bool {
        matches!(self, LedgerMessage::Paxos { message: Message::BLE(_), .. })
    }
}

/// A request to be let in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// Who, by persisted identity (R-JOIN-5).
    pub identity: NodeIdentity,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// What may still be active there by its own old record.
    pub may_run: Vec<ResourceId>,
    /// Highest epoch number that it ever saw.
    pub number_seen: u64,
    /// For how long two owners may have existed, as far as it could tell, in milliseconds (R-LEDGER-6).
    pub overlap_ms: Option<u64>,
    /// Epochs that it gave up: it does not vote in them, whoever it was there.
    #[serde(default)]
    pub given_up: Vec<EpochName>,
}

/// What is compared when two epochs are rivals. Frozen: it does not change while the comparison lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RivalOffer {
    /// The epoch.
    pub epoch: EpochName,
    /// Who holds it.
    pub node: NodeName,
    /// Permit under which it was forced.
    pub permit: Option<PermitKind>,
    /// Carriers and ping targets that it had while split.
    pub reach: u32,
    /// How many resources it owned when the epochs forked.
    pub weight: u32,
    /// What it runs, or may run.
    pub running: Vec<ResourceId>,
    /// Age of the epoch when the offer was frozen, in milliseconds.
    pub age_ms: u64,
}

impl RivalOffer {
    /// Whether this side goes on (R-LEDGER-6): stronger permit, further reach, greater weight, then the lower name.
    pub fn beats(&self, other: &RivalOffer) -> bool {
        let mine = (self.permit, self.reach, self.weight);
        let theirs = (other.permit, other.reach, other.weight);
        mine.cmp(&theirs).then_with(|| other.node.cmp(&self.node)).is_gt()
    }
}
