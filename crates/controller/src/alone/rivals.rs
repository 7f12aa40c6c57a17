//! Two epochs meet: the peer's is ours, goes on without us, is one that we came from, or went on beside it. Who gives way
//! stops by its own record, and says for how long there may have been two owners (R-LEDGER-6).

use super::{Met, REPEAT, Rival, Split};
use crate::Severity;
use crate::alert::AlertKind;
use crate::node::Node;
use crate::talk::PeerMessage;
use hearth_cib::{Entry, Record};
use hearth_ledger::{LedgerMessage, RivalOffer};
use hearth_types::{NodeName, ResourceId, Timestamp};
use hearth_wire::Heartbeat;
use std::time::Duration;

impl Node {
    /// The peer is in our epoch, or one of us has none.
    pub(crate) fn meet_same(&mut self, now: Timestamp, heartbeat: &Heartbeat) {
        if heartbeat.epoch.is_some() {
            self.alone.forgotten.strangers.remove(&heartbeat.from);
            self.has_joined(heartbeat);
        }
        if let Some(rival) = self.alone.rival.take().filter(|rival| heartbeat.epoch.is_none() && !rival.won) {
            // It gave up its epoch before its last word of the comparison arrived: what it ran may still run there.
            let all =
                || self.ledger.record().map(|record| record.model.resources().map(|(_, it)| it.id.clone()).collect());
            let running = rival.theirs.map(|theirs| theirs.running).or_else(all).unwrap_or_default();
            self.split_won(now, heartbeat.from.clone(), running);
        }
        if heartbeat.epoch.is_some() && self.ledger.has_no_epoch() && self.shutdown.is_none() {
            self.ask_to_join(now, &heartbeat.from);
        }
    }

    /// The peer's epoch descends from ours: either it is on its way to us, or it goes on without us.
    pub(crate) fn meet_ahead(&mut self, now: Timestamp, heartbeat: &Heartbeat) {
        if heartbeat.voters.contains(&self.local) {
            // Decided with us as a voter: its offer comes over the channel.
            return;
        }
        if let Some(shutdown) = self.shutdown.as_mut().filter(|shutdown| shutdown.finished) {
            shutdown.leave_at = Some(now);
            return;
        }
        if self.waits_to_be_handed(now) {
            return;
        }
        let text = format!(
            "{} went on without this node (epoch {}): everything that ran here is stopped.",
            heartbeat.from,
            heartbeat.epoch.as_ref().map(ToString::to_string).unwrap_or_default()
        );
        self.chronicle.lead(now, Severity::Error, "superseded", self.local.clone(), text);
        let silent_since = self.alone.epoch_began_at.max(now.before(self.split_bound(now)));
        self.lose(now, &heartbeat.from, silent_since, false);
    }

    /// The longest that the other side can have gone on without us: since it was last known to be with us, and as long as
    /// this run lasts if it never was.
    fn split_bound(&self, now: Timestamp) -> Duration {
        now.since(self.keeping.last_together.unwrap_or(self.members.started_at()))
    }

    /// The peer is in an epoch that ours descends from.
    pub(crate) fn meet_behind(&mut self, now: Timestamp, heartbeat: &Heartbeat) {
        let record = self.ledger.record();
        let votes = record.is_some_and(|record| record.voters.iter().any(|voter| voter.name == heartbeat.from));
        if votes && now.since(self.alone.offered_at) >= REPEAT {
            self.alone.offered_at = now;
            self.ledger.offer(&heartbeat.from);
        }
        self.hand_over(now, heartbeat);
    }

    pub(crate) fn meet_rival(&mut self, now: Timestamp, heartbeat: &Heartbeat) {
        let Some(epoch) = self.ledger.epoch().cloned() else { return };
        if !self.is_between_two(heartbeat) {
            return self.meet_rival_of_many(now, heartbeat, epoch);
        }
        let same = self.alone.rival.as_ref().is_some_and(|rival| rival.own.epoch == epoch);
        if same {
            return;
        }
        let Some(theirs) = heartbeat.epoch.clone() else { return };
        if self.alone.met.as_ref().is_none_or(|met| (&met.own, &met.theirs) != (&epoch, &theirs)) {
            let text = format!("{} went on alone too ({theirs}): one of us has to stop.", heartbeat.from);
            self.chronicle.lead(now, Severity::Error, "split-found", &heartbeat.from, text);
            self.alone.met = Some(Met { own: epoch.clone(), theirs, won: None });
        }
        let weight = self.ledger.note("fork-weight").and_then(|note| note.parse().ok()).unwrap_or(0);
        let lease = self.config.cluster.timing.lease();
        let running = self.ledger.record().map(|record| record.active_on(&self.local).cloned().collect());
        // Who stops anyway has nothing to offer: if it won, the other side would stop as well.
        let stays = self.shutdown.is_none();
        // And who came up and has not gone on yet runs nothing that could be spared (decision 0028).
        let serves = stays && self.keeping.confirmed;
        let reach = self.standing.carriers() + u32::from(self.standing.pings(now, lease).0);
        let own = RivalOffer {
            epoch,
            node: self.local.clone(),
            permit: self.ledger.record().and_then(|record| record.permit).filter(|_| serves),
            reach: if stays { reach } else { 0 },
            weight: if stays { weight } else { 0 },
            running: running.unwrap_or_default(),
            age_ms: now.since(self.alone.epoch_began_at).as_millis() as u64,
        };
        let with = Some(heartbeat.from.clone());
        self.alone.rival = Some(Rival { with, own, theirs: None, echoed: false, said_at: Timestamp::ZERO, won: false });
    }

    pub(crate) fn take_rival(&mut self, from: &NodeName, offer: RivalOffer, echo: Option<RivalOffer>) {
        let Some(rival) = self.alone.rival.as_mut().filter(|_| offer.node == *from) else { return };
        let echoed = echo.as_ref() == Some(&rival.own);
        let is_new = rival.theirs.as_ref() != Some(&offer);
        if is_new || (echoed && !rival.echoed) {
            // What brings news is answered at once. [Were all of them, two that do not come to an end would fill the wire.]
            rival.said_at = Timestamp::ZERO;
        }
        // Who offers anew has not stopped by what was compared before, and goes by this: so does this side. [Its channel was
        // opened anew, and each went on by another comparison.]
        rival.won &= !is_new;
        rival.theirs = Some(offer);
        rival.echoed |= echoed;
    }

    pub(super) fn go_on_with_rival(&mut self, now: Timestamp) {
        let with = self.alone.rival.as_ref().and_then(|rival| rival.with.clone());
        let Some(peer) = with.or_else(|| self.peer()) else { return };
        let Some(rival) = self.alone.rival.as_mut() else { return };
        if now.since(rival.said_at) >= REPEAT || rival.said_at == Timestamp::ZERO {
            rival.said_at = now;
            let (own, echo) = (rival.own.clone(), rival.theirs.clone());
            self.say(&peer, &PeerMessage::Ledger(Box::new(LedgerMessage::Rival { own, echo })));
        }
        let Some(rival) = self.alone.rival.as_mut() else { return };
        // Nobody stops before it holds both offers and knows that the other does too (R-LEDGER-6).
        let (Some(theirs), true, false) = (rival.theirs.clone(), rival.echoed, rival.won) else { return };
        if rival.own.beats(&theirs) {
            rival.won = true;
            // Clients may have learnt the other side's hardware address.
            self.keeping.announce_burst = true;
            self.split_won(now, peer, theirs.running);
        } else {
            // Offers are frozen and may be under way for long: from the earlier of the two begins, as far as this side
            // can know it, and no later than the last moment together.
            let theirs_began = now.before(Duration::from_millis(theirs.age_ms));
            let began = self.alone.epoch_began_at.min(theirs_began);
            let since = self.keeping.last_together.map_or(began, |together| together.min(began));
            let text = format!("{peer} goes on: this node stops what it runs.");
            self.chronicle.lead(now, Severity::Error, "split-lost", self.local.clone(), text);
            self.lose(now, &peer, since, true);
        }
    }

    /// The other side stops: what it ran may be active there until it says otherwise (R-LEDGER-6).
    fn split_won(&mut self, now: Timestamp, peer: NodeName, running: Vec<ResourceId>) {
        let unclean = self.coming().and_then(|record| record.nodes.get(&peer)).is_some_and(|it| it.unclean.is_some());
        let won = self.alone.met.as_mut().map(|met| met.won.replace(running.clone()));
        if won.flatten().is_some_and(|told| unclean && running.iter().all(|id| told.contains(id))) {
            return;
        }
        let text = format!("This node goes on, {peer} stops: what runs here is not touched.");
        self.chronicle.lead(now, Severity::Warning, "split-won", &peer, text);
        let local = &self.local;
        let told = format!("{peer} and {local} had both gone on alone: {peer} stops what it runs, {local} goes on.");
        self.alert_alone(now, AlertKind::Split, &peer, told);
        let reason = "it went on alone too while the machines were split".to_owned();
        let identity = self.members.peer(&peer).and_then(|it| it.claimed.as_ref()).map(|claimed| claimed.identity);
        self.propose(Entry::Unclean { node: peer, reason, running, identity });
    }

    /// Gives up the own epoch: everything is stopped by the old record, then this node asks to be let in.
    pub(crate) fn lose(&mut self, now: Timestamp, peer: &NodeName, since: Timestamp, rival: bool) {
        let held = !self.executor.running_addresses().is_empty() || self.executor.holds_anything();
        let leases = self.ledger.record().is_some_and(Record::has_leases);
        if leases {
            // Its lease ended before anything of it could be taken.
        } else if held && (rival || self.keeping.keep.holds(now) && !self.keeping.is_suspended()) {
            // Of two that went on alone also one without a right any more: what it started may still run.
            self.alone.split = Some(Split { since, lost_at: now, peer: peer.clone(), told: false });
        } else if rival && self.keeping.held_until > since {
            // It stopped before it heard of the other, for it lost its right; until then both served.
            self.tell_overlap(now, peer, self.keeping.held_until.min(now).since(since));
        } else if self.keeping.last_together.is_none() && self.keeping.served_until > since {
            // By the lease of the daemon before, while the other side may have gone on already.
            self.tell_overlap(now, peer, self.keeping.served_until.min(now).since(since));
        }
        self.stop_by_own_record(now);
    }

    /// Gives up the own epoch and stops by its record whatever runs.
    pub(crate) fn stop_by_own_record(&mut self, now: Timestamp) {
        self.watchdog.lose(self.executor.held());
        self.volatile_dirty = true;
        let lost_requests = self.requests_of_this_epoch();
        if !lost_requests.is_empty() {
            let text =
                format!("Requests of this side that were answered and do not count: {}.", lost_requests.join("; "));
            self.chronicle.note(now, Severity::Error, "requests-lost", self.local.clone(), text);
        }
        // A record that was only just founded names nothing yet: then the own files say what may run here.
        let mut shadow = self.ledger.record().filter(|record| !record.node_order.is_empty()).cloned();
        if let Some(record) = shadow.as_mut() {
            record.assignments.clear();
        }
        self.ledger.give_up_epoch();
        self.shadow = shadow.or_else(|| self.empty_shadow());
        self.keeping.confirmed = false;
        self.ahead = None;
        self.alone.rival = None;
        self.alone.ahead_since = None;
        self.alone.joined_at = Timestamp::ZERO;
        self.shadow_probed = false;
        self.record_changed = true;
    }

    pub(super) fn end_split(&mut self, now: Timestamp) {
        let Some(split) = self.alone.split.clone() else { return };
        if self.executor.holds_anything() {
            return;
        }
        self.alone.split = None;
        self.tell_overlap(now, &split.peer, now.since(split.since));
    }

    pub(super) fn tell_overlap(&mut self, now: Timestamp, peer: &NodeName, overlap: Duration) {
        self.alone.overlap = Some(overlap);
        self.alone.overlap_to_tell = Some(overlap);
        let end = match self.alone.split.as_mut() {
            Some(split) => {
                split.told = true;
                "Not everything here has stopped yet"
            }
            None => "This side has stopped",
        };
        let text =
            format!("There may have been two owners, here and on {peer}, for up to {} ms. {end}.", overlap.as_millis());
        self.chronicle.lead(now, Severity::Error, "two-owners-possible", self.local.clone(), text);
    }
}
