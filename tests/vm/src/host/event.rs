//! What the harness sees, with its own time.

use std::fmt;
use std::time::Instant;

/// A guest by its place in the stage.
pub type Who = usize;
/// Names of the guests, as Hearth knows them. The third is a witness, where there is one.
pub const NAMES: [&str; 3] = ["a", "b", "w"];

/// One thing that was seen.
#[derive(Clone, Debug)]
pub struct Event {
    /// When it was read, or done.
    pub at: Instant,
    /// Of whom.
    pub who: Who,
    /// Which start of its QEMU.
    pub run: u32,
    /// What.
    pub what: What,
}

/// Kinds of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Process 1 of the guest runs.
    Up,
    /// The shared file system is mounted there.
    Mounted,
    /// It is not any more.
    Unmounted,
    /// A writer begins behind the line of that number.
    Opened(u64),
    /// That line is written and synced.
    Wrote(u64),
    /// The writer cannot go on.
    Trouble(String),
    /// The watchdog's time is up.
    Watchdog,
    /// The machine was reset; nothing of before runs.
    Reset,
    /// The machine has no power: its QEMU is gone.
    Gone,
    /// It asked the switch for this; what the switch did is done by now, and this is its answer.
    Asked(String, String),
}

impl fmt::Display for What {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Up => out.write_str("boots"),
            What::Mounted => out.write_str("has the file system mounted"),
            What::Unmounted => out.write_str("has it unmounted"),
            What::Opened(number) => write!(out, "writes, behind line {number}"),
            What::Wrote(number) => write!(out, "wrote line {number}"),
            What::Trouble(said) => write!(out, "cannot write: {said}"),
            What::Watchdog => out.write_str("its watchdog fires"),
            What::Reset => out.write_str("is reset"),
            What::Gone => out.write_str("has no power"),
            What::Asked(action, answer) => write!(out, "asks the switch: {action}; it says {answer}"),
        }
    }
}
