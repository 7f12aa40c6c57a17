//! A pill under way: when its target must have been reset.

use crate::Id;
use crate::record::{Guard, Heart, Stated};
use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;
use hearth_types::{FenceId, NodeName, Timestamp};

/// Margin besides the drift of two clocks: until a watchdog acts, and a reset is over.
const MARGIN: Duration = Duration::from_secs(1);

/// How long after a pill was written a machine that stated this runs nothing any more of what it held then: from the begin
/// of a look that did not see it yet the owner pets for `patience` more, then its watchdog takes its time, and clocks
/// differ by a twentieth (R-LEASE-9).
pub fn proven_after(stated: &Stated) -> Duration {
    let span = stated.patience.saturating_add(stated.timeout);
    span.saturating_add(span / 20).saturating_add(MARGIN)
}

/// One pill.
#[derive(Clone, Debug)]
pub(crate) struct Shot {
    pub id: FenceId,
    pub target: NodeName,
    /// The boot that is to end.
    boot: Id,
    /// When the pill was on the disk.
    written_at: Timestamp,
    /// What the target lives by, as it stands there since; none: not read yet.
    stated: Option<Stated>,
}

impl Shot {
    pub(crate) fn new(id: FenceId, target: NodeName, boot: Id, written_at: Timestamp) -> Shot {
        Shot { id, target, boot, written_at, stated: None }
    }

    /// The heart of the target as it was read after the pill was written: whether it is over, and how.
    pub(crate) fn look(&mut self, now: Timestamp, heart: &Heart) -> Option<String> {
        let target = &self.target;
        if heart.boot != self.boot {
            return Some(format!("{target} has booted since"));
        }
        // A later one may state more. What counts is the longest that was there since the pill.
        let stated = match self.stated {
            Some(before) if proven_after(&before) >= proven_after(&heart.stated) => before,
            _ => heart.stated,
        };
        self.stated = Some(stated);
        let wait = proven_after(&stated);
        let proves = stated.guard == Guard::Hardware && heart.stated.guard == Guard::Hardware;
        (proves && now >= self.written_at + wait).then(|| {
            format!(
                "the pill is {} ms old, and {target} has read it or was reset by its watchdog",
                now.since(self.written_at).as_millis()
            )
        })
    }

    /// Why it is not over yet, for people.
    pub(crate) fn waits_for(&self) -> String {
        match self.stated {
            None => "it could not be read again after the pill was written".to_string(),
            Some(stated) if stated.guard == Guard::Hardware => {
                format!("the pill is written, and proves nothing before {:?}", proven_after(&stated))
            }
            Some(_) => format!("the pill is written, but {} has no hardware watchdog, and has not booted", self.target),
        }
    }
}
