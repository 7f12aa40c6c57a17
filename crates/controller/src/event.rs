//! What happened, in the past tense, with its cause: the one source of log, timeline and `hearth why`.

use hearth_types::Timestamp;
use serde::{Deserialize, Serialize};

/// Number of an event within one incarnation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId(pub u64);

/// How much it matters to somebody who is woken at night.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Detail.
    Debug,
    /// Normal course.
    Info,
    /// Somebody should look at it by day.
    Warning,
    /// The service is or may be in danger.
    Error,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number.
    pub id: EventId,
    /// When, on the node's own clock.
    pub at: Timestamp,
    /// The event that led to it; none for what came from outside.
    pub cause: Option<EventId>,
    /// How much it matters.
    pub severity: Severity,
    /// Stable name in kebab case, `node-died`, `address-taken` ...: what scripts and tests match.
    pub name: String,
    /// The resource, group or node that it is about.
    pub subject: String,
    /// One sentence for a person.
    pub text: String,
}
