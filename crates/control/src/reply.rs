//! What is answered.

use crate::Status;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub enum Reply {
    /// The status.
    Status {
        /// All of it.
        status: Box<Status>,
    },
    /// It is done, or (without `wait`) under way.
    Done {
        /// What was done, one sentence.
        text: String,
        /// Milliseconds from request to result.
        took_ms: u64,
        /// Complaints that did not stop it.
        notes: Vec<String>,
    },
    /// It was not done, and nothing changed.
    Refused {
        /// Why.
        reason: String,
        /// The way out.
        help: Option<String>,
        /// No permit or no voter majority: exit code 5.
        quorum: bool,
    },
    /// It was begun and did not come to its end.
    Failed {
        /// What is the state now, and why.
        reason: String,
        /// What to look at.
        help: Option<String>,
    },
    /// Events.
    Timeline {
        /// Oldest first.
        events: Vec<TimelineEvent>,
        /// How many older ones were not kept.
        dropped: u64,
    },
    /// Why something is where it is.
    Why {
        /// The explanation.
        why: Why,
    },
}

/// An event for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEvent {
    /// Its number within the incarnation.
    pub id: u64,
    /// Wall time, milliseconds since 1970, for display only.
    pub wall_ms: u64,
    /// Nanoseconds on the node's own clock.
    pub at_ns: u64,
    /// The event that led to it.
    pub cause: Option<u64>,
    /// `debug`, `info`, `warning`, `error`.
    pub severity: String,
    /// Stable name.
    pub name: String,
    /// What it is about.
    pub subject: String,
    /// One sentence.
    pub text: String,
}

/// Explanation of one placement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The resource or group.
    pub subject: String,
    /// One sentence first.
    pub answer: String,
    /// Every node with what speaks for or against it, best first.
    pub nodes: Vec<WhyNode>,
    /// The chain of events that led here, oldest first.
    pub history: Vec<TimelineEvent>,
}

/// One candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhyNode {
    /// Node.
    pub node: String,
    /// Whether it has it.
    pub chosen: bool,
    /// Why, or why not.
    pub reason: String,
}
