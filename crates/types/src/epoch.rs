//! Numbers of the protocol: incarnations, epochs, admissions, indices.

use crate::NodeName;
use core::fmt;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
        )]
        #[cbor(transparent)]
        #[serde(transparent)]
        pub struct $name(#[n(0)] pub u64);

        impl $name {
            /// The number after this one.
            pub fn next(self) -> Self {
                $name(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// Random number drawn at each start of a daemon (one run of a daemon). Not ordered in time.
    Incarnation
}
number! {
    /// The number under which the record lets a node take part.
    Admission
}
number! {
    /// Position of an entry in the record's history, counted over all epochs; never falls.
    Index
}
number! {
    /// Index of the entry that assigned a resource to a node (R-TAKE-1).
    AssignmentId
}
number! {
    /// Number of a heartbeat message within one incarnation; equal on every medium it went out on.
    MessageNumber
}

/// Name of one configuration of the ledger: number, founder and a random nonce.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode)]
pub struct EpochName {
    /// Rises along every line of descent.
    #[n(0)]
    pub number: u64,
    /// Who founded it.
    #[n(1)]
    pub founder: NodeName,
    /// Tells apart two epochs that the same founder made with the same number.
    #[n(2)]
    pub nonce: u64,
}

impl fmt::Display for EpochName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{:08x}", self.number, self.founder, self.nonce as u32)
    }
}

/// What allowed one machine of two to go on alone (protocol section 5). Ordered weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "lowercase")]
pub enum PermitKind {
    /// Nothing else is configured: after D of silence go on, as Heartbeat did.
    #[n(0)]
    Unfenced,
    /// More than half of the ping targets answer us, and no address of the peer answers; or the claim on the disk is ours.
    #[n(1)]
    Tiebreaker,
    /// The claim on the disk is ours, and the peer had stated that a hardware watchdog resets it.
    #[n(4)]
    Watchdog,
    /// The peer's own word that it has no state and runs nothing.
    #[n(2)]
    Resigned,
    /// A fence device, or a person, confirmed that it is off, or was.
    #[n(3)]
    Fenced,
}

impl fmt::Display for PermitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            PermitKind::Unfenced => "unfenced",
            PermitKind::Tiebreaker => "tiebreaker",
            PermitKind::Watchdog => "watchdog",
            PermitKind::Resigned => "resigned",
            PermitKind::Fenced => "fenced",
        })
    }
}
