//! Stopping in order (R-LEAVE-1): what runs here moves away, the voters shrink, then the daemon exits.

use crate::node::Node;
use crate::talk::PeerMessage;
use crate::{Output, Severity};
use hearth_cib::{MemberState, Record};
use hearth_control::Reply;
use hearth_membership::PeerView;
use hearth_types::{NodeName, Timestamp};
use std::time::Duration;

/// Span between repeats of the wish to leave.
const REPEAT: Duration = Duration::from_millis(250);
/// How long one of more than two that takes no part waits to be let in, so that what it ran is known to have stopped, in
/// deadtimes.
const LET_IN_WITHIN: u32 = 4;

impl Node {
    /// Whether somebody can take over what runs here.
    fn has_successor(&self) -> bool {
        if self.is_many() {
            let other = |(name, peer): (&NodeName, &PeerView)| peer.is_alive() && !self.leaving.contains(name);
            return self.has_quorum()
                && self.ledger.takes_part()
                && self.disk_failed.is_none()
                && self.members.peers().any(other);
        }
        self.peer().is_some_and(|peer| self.members.is_alive(&peer) && !self.leaving.contains(&peer))
            && self.ledger.record().is_some_and(|record| record.voters.len() > 1)
            && self.ledger.is_voting()
            && self.disk_failed.is_none()
    }

    /// Whether this node leaves without a word of the record: it takes no part, and has not been let in for so long. [The DC may
    /// go by a list that does not name it, and would never say that it has left.]
    fn stays_outside(&self, now: Timestamp, since: Timestamp) -> bool {
        let takes_part = self.ledger.record().is_some_and(|record| record.is_admitted(&self.local));
        self.is_many() && !takes_part && now.since(since) >= self.config.cluster.timing.deadtime * LET_IN_WITHIN
    }

    pub(crate) fn go_on_with_shutdown(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let Some(mut shutdown) = self.shutdown.clone() else { return };
        if shutdown.halted {
            return;
        }
        let successor = self.has_successor() && !self.stays_outside(now, shutdown.since);
        if successor && now.since(shutdown.said_at) >= REPEAT {
            shutdown.said_at = now;
            if let Some(peer) = self.peer().filter(|_| self.ledger.is_dc()) {
                // It decides alone as soon as this node does not vote any more, and must know by then.
                self.say(&peer, &PeerMessage::WantsToLeave);
            } else {
                self.say_to_dc(PeerMessage::WantsToLeave);
            }
        }
        // Of more than two the leaver stays an absent voter: the record says that it has left.
        let left = |record: &Record| record.nodes.get(&self.local).is_some_and(|it| it.member == MemberState::Left);
        let votes = match self.is_many() {
            true => !self.ledger.record().is_some_and(left),
            false => self.ledger.is_voting() && self.ledger.record().is_some_and(|record| record.voters.len() > 1),
        };
        if !successor {
            // Nobody is there to take it, or it has been taken: what is left here is stopped.
            self.stop_everything(now, out);
        }
        let empty = !self.executor.holds_anything();
        if empty && !shutdown.finished && (!votes || !successor) {
            shutdown.finished = true;
            self.beat_now = true;
            // The peer hears it twice before this daemon is gone.
            shutdown.leave_at = Some(now + self.config.cluster.timing.keepalive * 2);
        }
        let done = shutdown.finished && shutdown.leave_at.is_some_and(|at| now >= at);
        if done {
            shutdown.halted = true;
            let text = format!("{} has stopped in order ({}).", self.local, shutdown.by);
            self.chronicle.lead(now, Severity::Info, "stopped", self.local.clone(), text.clone());
            let took_ms = now.since(shutdown.since).as_millis() as u64;
            for token in &shutdown.tokens {
                let reply = Reply::Done { text: text.clone(), took_ms, notes: Vec::new() };
                out.push(Output::Reply { token: *token, reply: Box::new(reply), more: false });
            }
            self.close_watchdog(out);
            out.push(Output::Halt { reason: text });
        }
        self.shutdown = Some(shutdown);
    }

    pub(crate) fn shutdown_deadline(&self) -> Option<Timestamp> {
        let shutdown = self.shutdown.as_ref().filter(|shutdown| !shutdown.halted)?;
        Some(shutdown.leave_at.unwrap_or(shutdown.said_at + REPEAT)).filter(|at| *at > self.last_wake_at)
    }
}
