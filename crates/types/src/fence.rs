//! Orders to fence devices.

use core::fmt;
use serde::{Deserialize, Serialize};

/// Number of an order to a fence device within one incarnation; never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FenceId(pub u64);

/// What a fence device is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FenceTask {
    /// Turn the machine off and leave it off.
    Off,
    /// Turn it off and on again.
    Reboot,
    /// Turn on again what it turned off there.
    On,
    /// Say whether it would work; harms nobody.
    Check,
}

impl fmt::Display for FenceTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            FenceTask::Off => "off",
            FenceTask::Reboot => "reboot",
            FenceTask::On => "on",
            FenceTask::Check => "check",
        })
    }
}
