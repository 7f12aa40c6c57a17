//! Rest: everything takes part, nothing is under way, and nothing has come since everything was judged last. A beat then
//! leaves out what could only judge the same again (decision 0054).
//!
//! What rests is found anew at the end of every whole judgement and is not kept over a restart: who does not know judges.

use crate::Output;
use crate::node::Node;
use hearth_cib::{MemberState, Record, VOTERS_MAX};
use hearth_types::{NodeName, Timestamp};
use hearth_wire::Heartbeat;

/// Whether this node rests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rest {
    /// By the last whole judgement.
    pub found: bool,
    /// Before that, time alone brings nothing but beats and ticks of the gate.
    pub until: Timestamp,
}

impl Rest {
    /// The next turn judges everything.
    pub(crate) fn end(&mut self) {
        self.found = false;
    }
}

impl Node {
    /// Whether a turn of which nothing but time has come would judge everything as the last one did.
    pub(crate) fn rests(&self, now: Timestamp) -> bool {
        self.rest.found && now < self.rest.until
    }

    /// A beat of which nothing follows but itself. True if the ledger's clock brought something: then all of it is judged.
    pub(crate) fn rest_on(&mut self, now: Timestamp, out: &mut Vec<Output>) -> bool {
        self.keep_on(now, out);
        let leads = (self.ledger.leader(), self.ledger.dc());
        if now >= self.next_ledger_at {
            self.next_ledger_at = now + self.ledger_period();
            self.ledger.tick();
            self.keep_marks();
            if leads != (self.ledger.leader(), self.ledger.dc()) {
                // An election is counted from this tick on.
                self.elect(now);
            }
        }
        let moved = self.drain_ledger(now, out);
        if !moved && !self.record_changed && self.keeps_its_rights(now) {
            self.run_executor(now, out);
        }
        let stirred = moved
            || self.ledger.has_output()
            || self.ledger.has_undecided()
            || leads != (self.ledger.leader(), self.ledger.dc())
            || !self.keeps_its_rights(now)
            || self.record_changed
            || self.beat_now
            || self.guard_dirty
            || !self.needs_wire.is_empty()
            || self.executor.unconfirmed_reports().next().is_some()
            || self.chronicle.has_fresh();
        if !stirred {
            self.report(now);
        }
        stirred
    }

    /// Whether it may keep and start what it could; only the end of a lease moves on.
    fn keeps_its_rights(&self, now: Timestamp) -> bool {
        let rights = self.rights(now);
        self.told_rights.is_some_and(|told| (told.keep, told.start) == (rights.keep, rights.start))
    }

    /// What a peer says of itself and is looked at by turns only: where it says something else than before, the next turn
    /// judges everything.
    pub(crate) fn rouse_by(&mut self, before: Option<&Heartbeat>, heartbeat: &Heartbeat) {
        let same = before.is_some_and(|before| {
            before.strangers == heartbeat.strangers
                && before.watchdog == heartbeat.watchdog
                && before.identity == heartbeat.identity
                && before.mark.map(|mark| mark.began) == heartbeat.mark.map(|mark| mark.began)
        });
        if !same {
            self.rest.end();
        }
    }

    /// Everything takes part as agreed, and nobody waits for anything.
    pub(crate) fn is_at_rest(&self) -> bool {
        let Some(record) = self.ledger.record() else { return false };
        self.is_well(record) && self.ledger_rests() && self.owes_nothing() && self.is_whole(record)
    }

    /// This node is as it should be.
    fn is_well(&self, record: &Record) -> bool {
        self.keeping.rests()
            && !self.standing.has_stayed()
            && !self.is_listening()
            && !self.cannot_write()
            && self.shutdown.is_none()
            && self.own_refusal().is_none()
            && self.probes_done
            && self.told_rights.is_some_and(|rights| rights.keep && rights.start)
            && record.node_order == self.config.cluster.nodes
            && record.digest == self.digest.1
    }

    fn ledger_rests(&self) -> bool {
        self.ledger.takes_part()
            && self.known_dc().is_some()
            && !self.ledger.has_output()
            && !self.ledger.has_undecided()
            && !self.ledger.is_stuck()
            && self.ledger.accepted_end().is_empty()
            && self.without_dc_since.is_none()
            && !self.is_led_by_witness()
            && !self.is_led_by_unstopped()
    }

    /// No order, fence, alert or question is under way.
    fn owes_nothing(&self) -> bool {
        !self.beat_now
            && !self.record_changed
            && self.orders.rests(self.chronicle.newest())
            && self.fences.rests()
            && self.alerts.rests()
            && self.alone.rests()
            && self.listing.rests()
            && self.unlisted.rests(self.last_wake_at, self.config.cluster.timing.deadtime)
            && self.leaving.is_empty()
            && self.left_out().is_empty()
            && self.needs_wire.is_empty()
            && self.asked.is_empty()
            && self.probed_peers.is_empty()
            && self.executor.unconfirmed_reports().next().is_none()
            && self.leased_entry().is_none()
            && self.watched_entry().is_none()
    }

    /// Every machine of the record is here in the run that was admitted, votes if it may, and judges nobody gone.
    fn is_whole(&self, record: &Record) -> bool {
        let votes = record.voters.len() == record.node_order.len().min(VOTERS_MAX);
        votes && record.check_wire.is_empty() && record.node_order.iter().all(|name| self.takes_part_well(record, name))
    }

    fn takes_part_well(&self, record: &Record, name: &NodeName) -> bool {
        let Some(known) = record.nodes.get(name) else { return false };
        let whole = known.probed && known.unclean.is_none() && self.unstopped(record, name).is_none();
        let agreed = known.member == MemberState::Admitted && whole;
        if *name == self.local {
            return agreed && known.incarnation == self.incarnation && known.identity == Some(self.ledger.identity());
        }
        let Some(peer) = self.members.peer(name).filter(|peer| peer.is_alive() && !peer.is_cloned()) else {
            return false;
        };
        let Some(said) = peer.claimed.as_deref().filter(|_| agreed) else { return false };
        let accuses = |said: &Heartbeat| {
            said.statement
                .as_ref()
                .is_some_and(|it| !(it.unheard.is_empty() && it.next.is_empty() && it.revoked.is_empty()))
        };
        known.incarnation == said.incarnation
            && known.identity == Some(said.identity)
            && said.epoch.as_ref() == Some(&record.epoch)
            && said.digest == self.digest
            && said.strangers.is_none()
            && said.status == hearth_wire::NodeStatus::Active
            && !accuses(said)
            && !self.is_refused(name)
            && self.beyond_of(said).is_none()
    }
}
