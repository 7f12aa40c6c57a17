//! Alerts.

use serde::{Deserialize, Serialize};

/// Number of one run of an alert's script within one incarnation; never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertId(pub u64);
