//! The disk below the node's state (R-LEDGER-3): which writes are under way, one that takes too long, one that failed.

use crate::Severity;
use crate::node::Node;
use crate::orders::refused;
use hearth_cib::MemberState;
use hearth_control::Reply;
use hearth_types::{NodeName, Timestamp};
use hearth_wire::{Heartbeat, NodeStatus};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Writes that are not durable yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Writes {
    /// Their tickets, and since when; oldest first.
    under_way: VecDeque<(u64, Timestamp)>,
    /// The oldest takes so long that this node decides nothing until it is done.
    slow: bool,
}

impl Node {
    /// A write was ordered.
    pub(crate) fn writes(&mut self, now: Timestamp, ticket: u64) {
        self.writes.under_way.push_back((ticket, now));
    }

    /// How long a write may take before a leader stops acting as one.
    fn patience_with_disk(&self) -> Duration {
        self.config.cluster.timing.deadtime / 2
    }

    /// When a write under way begins to take too long.
    pub(crate) fn disk_deadline(&self) -> Option<Timestamp> {
        let oldest = self.writes.under_way.front().filter(|_| !self.writes.slow && self.disk_failed.is_none())?;
        Some(oldest.1 + self.patience_with_disk())
    }

    /// Says when the disk begins to hold this node up, and when that is over.
    pub(crate) fn judge_disk(&mut self, now: Timestamp) {
        while self.writes.under_way.front().is_some_and(|(ticket, _)| *ticket <= self.durable_ticket) {
            self.writes.under_way.pop_front();
        }
        let patience = self.patience_with_disk();
        let late = self.writes.under_way.front().is_some_and(|(_, since)| now.since(*since) >= patience);
        if late == self.writes.slow || self.disk_failed.is_some() {
            return;
        }
        self.writes.slow = late;
        // Who has to decide instead, and who is to get nothing, should know it at once.
        self.beat_now = true;
        let (name, severity, text) = if late {
            let text = format!(
                "The state is not on the disk after {} ms: until it is, this node decides and begins nothing.",
                patience.as_millis()
            );
            ("disk-slow", Severity::Warning, text)
        } else {
            ("disk-well", Severity::Info, "The disk has caught up.".to_owned())
        };
        // It comes from outside, and nothing that this input brings follows from it.
        let before = self.chronicle.because(None);
        self.chronicle.note(now, severity, name, self.local.clone(), text);
        self.chronicle.because(before);
    }

    pub(crate) fn take_disk_failure(&mut self, now: Timestamp, error: String) {
        let text = format!("The state cannot be written: {error}. This node takes no part in decisions until it can.");
        self.ledger.stop();
        self.marks.failed();
        // What waited for the write was never said, and must not be: a channel would say it again by itself.
        self.channels.values_mut().for_each(|channel| channel.reset());
        self.ahead = None;
        if self.disk_failed.replace(error).is_none() {
            self.beat_now = true;
            self.chronicle.because(None);
            self.chronicle.lead(now, Severity::Error, "disk-failed", self.local.clone(), text);
        }
    }

    /// Whether this node can promise nothing now, because it cannot write it down.
    pub(crate) fn cannot_write(&self) -> bool {
        self.disk_failed.is_some() || self.writes.slow
    }

    /// What an order is told while this node writes nothing: nothing that it would promise could leave it (R-LEDGER-3), and
    /// what waits for a disk that hangs would be done when nobody expects it any more.
    pub(crate) fn refused_by_disk(&self) -> Option<Reply> {
        let slow = || {
            let reason =
                format!("the disk of {} does not answer, and until it does this node decides nothing", self.local);
            refused(reason, Some("see `hearth status`; meanwhile say it on another machine"), false)
        };
        self.refused_by_failed_disk().or_else(|| self.writes.slow.then(slow))
    }

    /// The same of a disk that will not do it later either.
    pub(crate) fn refused_by_failed_disk(&self) -> Option<Reply> {
        let error = self.disk_failed.as_ref()?;
        let reason = format!("{} cannot write its state ({error}) and takes no part", self.local);
        let help = "mend its disk, then restart hearthd there; meanwhile say it on another machine";
        Some(refused(reason, Some(help), false))
    }

    /// A machine that says that it cannot write, where nothing can be decided without it.
    pub(crate) fn is_held_up_by(&self) -> Option<&NodeName> {
        let decides = self.has_quorum() && self.keeping.confirmed;
        self.config.cluster.nodes.iter().filter(|_| !decides).find(|name| self.says_it_cannot_write(name))
    }

    /// Whether a node that is a member by the record says that it takes no part: it cannot write what it would promise. It
    /// speaks of the admission that it has here, so it is not behind.
    pub(crate) fn says_it_cannot_write(&self, name: &NodeName) -> bool {
        let claimed = self.members.peer(name).filter(|peer| peer.is_alive()).and_then(|peer| peer.claimed.as_ref());
        let takes_no_part = |claimed: &&Arc<Heartbeat>| matches!(claimed.status, NodeStatus::Up | NodeStatus::Init);
        let Some(claimed) = claimed.filter(takes_no_part) else { return false };
        let known = self.ledger.record().and_then(|record| record.nodes.get(name));
        known.is_some_and(|known| known.member == MemberState::Admitted && claimed.admission == Some(known.admission))
    }
}
