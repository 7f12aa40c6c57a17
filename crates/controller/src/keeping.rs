//! Keeping what is held: the right to it, gate ticks, kernel lifetimes, announcements, and what an own pause means.

use crate::node::Node;
use crate::rights::{self, Claim, Keep};
use crate::{Output, Severity};
use hearth_cib::{MemberState, Record};
use hearth_executor::StartedResource;
use hearth_ledger::Relation;
use hearth_types::{MessageNumber, NodeIdentity, ResourceId, ResourceSpec, Timestamp};
use hearth_wire::Heartbeat;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Shortest kernel lifetime: the kernel counts whole seconds (R-LEASE-11).
const LIFETIME_MIN: Duration = Duration::from_secs(1);
/// Longest span between two renewals of it.
const RENEW_MAX: Duration = Duration::from_millis(250);

/// What the next daemon of this boot may read (R-TAKE-4).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Volatile {
    /// Resources that run, with the parameters they were started with and their places.
    pub started: Vec<StartedResource>,
    /// Whether this node may fence its peer (R-PAIR-3).
    #[serde(default)]
    pub may_fence: bool,
    /// Whom it was fencing.
    #[serde(default)]
    pub fencing: Option<hearth_types::NodeName>,
    /// The watchdog that is armed (R-LEASE-7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<hearth_config::WatchdogDevice>,
    /// What its driver said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed: Option<hearth_wire::Watchdog>,
    /// What others may have by now and has not stopped here (R-LEASE-6).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lost: BTreeSet<ResourceId>,
    /// Since when this machine counts until it resets itself (R-LEASE-6).
    #[serde(default, skip_serializing_if = "is_default")]
    pub self_fence: crate::self_fence::Left,
    /// Whose the disk was, and how far it had come: what is put back while the daemon is off is seen by it (R-LEDGER-3).
    #[serde(default)]
    pub disk: Option<(NodeIdentity, u64)>,
}

fn is_default(left: &crate::self_fence::Left) -> bool {
    *left == crate::self_fence::Left::default()
}

impl Volatile {
    /// Whether it was left by a daemon that knew no more than a disk of this identity with this mark does.
    pub(crate) fn is_of(&self, identity: NodeIdentity, mark: u64) -> bool {
        self.disk.is_some_and(|(known, reached)| known == identity && reached <= mark)
    }

    /// How far the disk of this identity had come in this boot, if it has forgotten part of that.
    pub(crate) fn beyond(&self, identity: NodeIdentity, mark: u64) -> Option<u64> {
        self.disk.filter(|(known, reached)| *known == identity && *reached > mark).map(|(_, reached)| reached)
    }
}

/// An own pause that is not over yet (R-MEM-5).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Suspension {
    since: Timestamp,
    /// A packet counts if its sender heard a message above this one, made after the pause.
    number: MessageNumber,
}

/// State of the right to keep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Keeping {
    /// Whether this run knows what is decided (R-LEASE-5).
    pub confirmed: bool,
    suspended: Option<Suspension>,
    /// What the daemon before us left, and until when it may be ticked for.
    pub inherited: Vec<StartedResource>,
    inherited_until: Option<Timestamp>,
    pub keep: Keep,
    isolated: bool,
    dark: BTreeSet<ResourceId>,
    next_tick_at: Timestamp,
    next_renew_at: Timestamp,
    pub beat_at: Timestamp,
    pub announce_burst: bool,
    /// When the peer was last heard two-way in our epoch.
    pub last_together: Option<Timestamp>,
    /// Until when addresses have been let answer, at most.
    pub served_until: Timestamp,
    /// The last moment at which anything was not confirmed stopped here.
    pub held_until: Timestamp,
    /// Whether anything was at the last look.
    pub holding: bool,
    /// When a voter last stated that no more is decided than is applied here.
    current_at: Timestamp,
}

impl Keeping {
    pub(crate) fn new(inherited: Vec<StartedResource>, inherited_until: Option<Timestamp>, confirmed: bool) -> Keeping {
        Keeping {
            confirmed,
            suspended: None,
            inherited,
            inherited_until,
            keep: Keep::No,
            isolated: false,
            dark: BTreeSet::new(),
            next_tick_at: Timestamp::ZERO,
            next_renew_at: Timestamp::ZERO,
            beat_at: Timestamp::ZERO,
            announce_burst: false,
            last_together: None,
            served_until: Timestamp::ZERO,
            held_until: Timestamp::ZERO,
            holding: false,
            current_at: Timestamp::ZERO,
        }
    }

    /// Whether heartbeats ask to be answered at once: the lease is past half, or nothing is known yet (R-MEM-1).
    pub(crate) fn wants_answer(&self, now: Timestamp, lease: Duration) -> bool {
        let past_half = matches!(self.keep, Keep::Until(end) if end.since(now) < lease / 2);
        !self.confirmed || self.suspended.is_some() || past_half
    }

    /// Whether a voter said within `span` that what this node knows is current (R-LEASE-5).
    pub(crate) fn is_current(&self, now: Timestamp, span: Duration) -> bool {
        now.since(self.current_at) <= span
    }

    fn inherited_specs(&self) -> impl Iterator<Item = &ResourceSpec> {
        self.inherited.iter().map(|left| &left.spec)
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended.is_some()
    }

    pub(crate) fn is_isolated(&self) -> bool {
        self.isolated
    }

    /// Of what is held, what may answer: its interface has had carrier within a lease.
    fn serving(&self, held: &BTreeSet<ResourceId>) -> Vec<ResourceId> {
        held.difference(&self.dark).cloned().collect()
    }

    pub(crate) fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let next = self.right_ends_at().map_or(self.next_tick_at, |end| end.min(self.next_tick_at));
        Some(next).filter(|at| *at > now)
    }

    /// When the right to keep ends, if nothing renews it.
    pub(crate) fn right_ends_at(&self) -> Option<Timestamp> {
        match self.keep {
            Keep::Until(end) => Some(end),
            _ => None,
        }
    }

    /// Whether this node knows where it stands and serves everything that it holds.
    pub(crate) fn rests(&self) -> bool {
        self.confirmed && !self.is_suspended() && !self.isolated && self.dark.is_empty() && !self.announce_burst
    }
}

impl Node {
    pub(crate) fn lifetime(&self) -> Duration {
        let quarter_more = self.config.cluster.timing.lease() * 5 / 4;
        Duration::from_secs(quarter_more.as_millis().div_ceil(1000) as u64).max(LIFETIME_MIN)
    }

    /// The kernel lifetime that an address is started with.
    pub(crate) fn start_lifetime(&self) -> Option<Duration> {
        Some(self.lifetime())
    }

    fn tick_period(&self) -> Duration {
        self.config.cluster.timing.keepalive.min(self.config.cluster.timing.lease() / 8)
    }

    /// Addresses that run here: our own, and until everything is probed those that the daemon before us left.
    pub(crate) fn held_addresses(&self) -> Arc<BTreeSet<ResourceId>> {
        let running = self.executor.running_addresses();
        if self.probes_done || self.keeping.confirmed || self.keeping.inherited.is_empty() {
            return running.clone();
        }
        let left = self.keeping.inherited_specs().filter(|spec| spec.address().is_some());
        Arc::new(running.iter().chain(left.map(|spec| &spec.id)).cloned().collect())
    }

    /// What was here when its carrier came back, and has gone elsewhere, is not expected back at once.
    pub(crate) fn let_addresses_go(&mut self, now: Timestamp) {
        if self.standing.has_stayed() {
            let here = self.wanted_or_held();
            self.standing.let_go(now, |resource| here.contains(resource));
        }
    }

    /// Addresses that run here, or that the record wants here.
    pub(crate) fn wanted_or_held(&self) -> BTreeSet<ResourceId> {
        let mut here = BTreeSet::clone(&self.held_addresses());
        if let Some(record) = self.ledger.record() {
            let wanted = record.model.resources().map(|(_, spec)| &spec.id);
            here.extend(wanted.filter(|id| record.wants(id, &self.local).is_some()).cloned());
        }
        here
    }

    /// This node did not run for longer than a lease (R-MEM-5).
    pub(crate) fn paused(&mut self, now: Timestamp, gap: Duration) {
        let text = format!(
            "This node did not run for {} ms: it starts and announces nothing until it has heard how things stand.",
            gap.as_millis()
        );
        self.chronicle.lead(now, Severity::Warning, "paused", self.local.clone(), text);
        self.suspend(now);
        self.next_keepalive_at = now;
    }

    /// From now on nothing is started, repaired or announced before the current epoch was heard, or deadtime has passed.
    fn suspend(&mut self, now: Timestamp) {
        let number = self.members.next_message(now);
        self.keeping.suspended = Some(Suspension { since: now, number });
        self.beat_now = true;
    }

    fn resume(&mut self, now: Timestamp, why: &str) {
        if self.keeping.suspended.take().is_some() {
            self.chronicle.note(now, Severity::Info, "resumed", self.local.clone(), format!("Goes on: {why}."));
            self.keeping.next_tick_at = now;
            self.keeping.announce_burst = true;
        }
    }

    /// A heartbeat may show that what this node knows is current (R-LEASE-5, R-MEM-5).
    pub(crate) fn confirm(&mut self, now: Timestamp, heartbeat: &Heartbeat, relation: Relation) {
        let Some(record) = self.ledger.record() else { return };
        // Who has forgotten what was decided confirms nothing (R-LEDGER-3).
        let alive = self.members.is_alive(&heartbeat.from) && self.beyond(&heartbeat.from).is_none();
        if alive && heartbeat.epoch.as_ref() == Some(&record.epoch) {
            self.keeping.last_together = Some(now);
        }
        let current = match relation {
            Relation::Same if heartbeat.epoch.as_ref() == Some(&record.epoch) => heartbeat.decided <= record.applied,
            // Its word that it knows no newer epoch than ours.
            Relation::Same | Relation::Behind => self.ledger.is_sole(),
            Relation::Ahead | Relation::Rival => false,
        };
        // Only a voter knows what is decided; beside a sole one, all others that could have gone on.
        let votes = !self.is_many()
            || record.voters.iter().any(|voter| voter.name == heartbeat.from)
            || (self.ledger.is_sole() && self.hears_all_behind(record));
        if !alive || !current || !votes || !self.ledger.takes_part() {
            return;
        }
        self.keeping.current_at = now;
        if !self.keeping.confirmed {
            self.keeping.confirmed = true;
            let text = format!("{} confirms what this node has on record.", heartbeat.from);
            self.chronicle.note(now, Severity::Info, "confirmed", self.local.clone(), text);
            self.record_changed = true;
        }
        let heard = heartbeat.peers.iter().find(|report| report.node == self.local).map(|report| report.heard);
        if self.keeping.suspended.is_some_and(|suspension| heard.is_some_and(|heard| heard > suspension.number)) {
            self.resume(now, &format!("{} was heard in the current epoch", heartbeat.from));
        }
    }

    /// Whether a peer is heard whose epoch does not lead to ours: who goes on is settled first, or two would serve.
    fn hears_another_line(&self) -> bool {
        let mut heard =
            self.members.peers().filter(|(_, peer)| peer.is_alive()).filter_map(|(_, peer)| peer.claimed.as_ref());
        heard.any(|claimed| {
            matches!(self.ledger.relation(claimed.epoch.as_ref(), &claimed.lineage), Relation::Ahead | Relation::Rival)
        })
    }

    /// The right to keep, and everything that hangs on it.
    pub(crate) fn keep_on(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let timing = self.config.cluster.timing;
        let lease = timing.lease();
        let listened = self.keeping.suspended.is_some_and(|suspension| now.since(suspension.since) >= timing.deadtime);
        if listened && !self.hears_another_line() {
            self.resume(now, "nobody was heard for deadtime");
        }
        let holding = self.executor.holds_anything();
        if holding || self.keeping.holding {
            self.keeping.held_until = now;
        }
        self.keeping.holding = holding;
        let held = self.held_addresses();
        let heard = self.members.peers().any(|(_, peer)| peer.is_alive());
        let isolated = !heard && self.standing.is_isolated(now, &held, lease);
        if isolated != self.keeping.isolated {
            self.keeping.isolated = isolated;
            if isolated {
                let text = "No interface of this node has had carrier for a lease: it stops what it holds.".to_owned();
                self.chronicle.lead(now, Severity::Error, "isolated", self.local.clone(), text);
            } else {
                let text = "This node has carrier again.".to_owned();
                self.chronicle.lead(now, Severity::Info, "isolated-ended", self.local.clone(), text);
                // It has stopped what it held: by now another may have it (R-LEASE-5, silence).
                self.suspend(now);
            }
        }
        let record = self.ledger.record().filter(|_| self.keeping.confirmed);
        let keep = rights::keep(&self.claim(now, isolated, record));
        self.keeping.keep = keep;
        self.withdraw_dark(now, lease, &held, out);
        if self.keeping.is_suspended() || !keep.holds(now) {
            return;
        }
        let held = self.withdraw_contested(now, held, out);
        // Done along with a beat, and with what wakes us within a quarter of its period: half the wake-ups, no later tick.
        let beats = now >= self.next_keepalive_at;
        if beats || now + self.tick_period() / 4 >= self.keeping.next_tick_at {
            self.keeping.next_tick_at = now + self.tick_period();
            self.tick_gate(now, keep, self.keeping.serving(&held), lease, out);
        }
        if now + timing.keepalive / 4 >= self.keeping.next_renew_at {
            self.keeping.next_renew_at = now + (timing.keepalive * 2).min(RENEW_MAX);
            let resources = self.keeping.serving(&held);
            if !resources.is_empty() && self.keeping.confirmed {
                let lifetime = self.lifetime();
                let hold = keep.hold(now, lease);
                out.push(Output::RenewLifetime { resources, lifetime, not_after: now + hold });
            }
        }
    }

    fn tick_gate(
        &mut self,
        now: Timestamp,
        keep: Keep,
        serving: Vec<ResourceId>,
        lease: Duration,
        out: &mut Vec<Output>,
    ) {
        let hold = keep.hold(now, lease);
        if serving.is_empty() || hold.is_zero() {
            return;
        }
        self.keeping.served_until = now + hold;
        out.push(Output::GateTick { resources: serving, decided_at: now, hold });
        if self.keeping.confirmed {
            // The peer counts deadtime from a packet that left no earlier than this: a lease from here is before it.
            let until = match keep {
                Keep::Until(end) => end.min(now + lease),
                _ => now + lease,
            };
            out.push(Output::VolatileLease { until });
        }
    }

    /// Lets an address that was just started answer at once, without waiting for the next tick.
    pub(crate) fn tick_now(&mut self) {
        self.keeping.next_tick_at = Timestamp::ZERO;
    }

    /// Addresses whose interface has had no carrier for a lease are withdrawn (R-MEM-7).
    fn withdraw_dark(&mut self, now: Timestamp, lease: Duration, held: &BTreeSet<ResourceId>, out: &mut Vec<Output>) {
        let dark = self.standing.dark_addresses(now, lease);
        if dark.is_empty() && self.keeping.dark.is_empty() {
            return;
        }
        let newly: Vec<ResourceId> =
            dark.difference(&self.keeping.dark).filter(|id| held.contains(*id)).cloned().collect();
        self.keeping.dark = dark;
        if newly.is_empty() {
            return;
        }
        for resource in &newly {
            let text = format!("{resource} is withdrawn: its interface has had no carrier for a lease.");
            self.chronicle.lead(now, Severity::Error, "address-withdrawn", resource, text);
        }
        out.push(Output::GateShut { resources: newly.clone() });
        for resource in newly {
            self.address_ended(now, &resource, out);
        }
    }

    /// Addresses that have been silent here for a while, and that another machine may have taken meanwhile: they do not
    /// answer again before that one is known to have stopped (R-LEASE-11, R-TAKE-3).
    fn withdraw_contested(
        &mut self,
        now: Timestamp,
        mut held: Arc<BTreeSet<ResourceId>>,
        out: &mut Vec<Output>,
    ) -> Arc<BTreeSet<ResourceId>> {
        let Some(record) = self.ledger.record().filter(|_| now > self.keeping.served_until) else { return held };
        let elsewhere = |id: &&ResourceId| record.active_nodes(id).any(|node| *node != self.local);
        let contested: Vec<ResourceId> = held.iter().filter(elsewhere).cloned().collect();
        if contested.is_empty() {
            return held;
        }
        for resource in &contested {
            let text = format!("{resource} is withdrawn: it was silent here, and may be active elsewhere by now.");
            self.chronicle.lead(now, Severity::Warning, "address-withdrawn", resource, text);
            Arc::make_mut(&mut held).remove(resource);
        }
        out.push(Output::GateShut { resources: contested.clone() });
        for resource in &contested {
            self.address_ended(now, resource, out);
        }
        held
    }

    /// What the record on disk gives a daemon that has replaced another one and does not know yet whether that record is
    /// current, where nobody could have been given it by time or by a tiebreaker since (decision 0034).
    pub(crate) fn keep_undecided(&self, now: Timestamp) -> Keep {
        let counted_on = self.has_tiebreaker() || self.counted_on().is_some();
        let record = self.ledger.record().filter(|record| !record.has_leases());
        match record.filter(|_| self.is_undecided(now) && !counted_on) {
            Some(record) => rights::keep(&self.claim(now, false, Some(record))),
            None => Keep::No,
        }
    }

    /// What the table is asked with, by that record.
    fn claim(&self, now: Timestamp, isolated: bool, record: Option<&Record>) -> Claim {
        let timing = self.config.cluster.timing;
        let leases = record.is_some_and(Record::has_leases);
        let peer = self.only_other();
        Claim {
            now,
            voters: record.map(|record| record.voters.len()),
            takes_part: self.ledger.takes_part(),
            isolated,
            tiebreaker: self.has_tiebreaker() || self.counted_on().is_some(),
            superseded: self.is_claimed_by_other(),
            vouched_at: peer.as_ref().and_then(|peer| self.members.vouched_at(peer)),
            favoured_until: self.favoured_until(),
            inherited_until: self.keeping.inherited_until.filter(|_| !self.keeping.confirmed || leases),
            leased_until: if leases { self.leased_until(now) } else { None },
            lost: record
                .and_then(|record| record.nodes.get(&self.local))
                .is_some_and(|node| node.member == MemberState::Lost),
            slot_until: self.slot_until(now),
            lease: timing.lease(),
        }
    }

    /// Whether this node may tell the network that an address is here.
    pub(crate) fn may_announce(&self, now: Timestamp) -> bool {
        self.keeping.confirmed && !self.keeping.is_suspended() && self.keeping.keep.holds(now)
    }

    /// Announces what is held anew after a heal or a link coming up (R-TAKE-7); the executor does the rest.
    pub(crate) fn announce(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        if !std::mem::take(&mut self.keeping.announce_burst) {
            return;
        }
        if !self.may_announce(now) {
            return;
        }
        let resources: Vec<ResourceId> = self.executor.running_addresses().iter().cloned().collect();
        if !resources.is_empty() {
            out.push(Output::Announce { resources, burst: true });
        }
    }

    /// A sole voter that, as it persisted, has not heard the other machine since it went on alone (R-MEM-8).
    pub(crate) fn may_resume_alone(&self) -> bool {
        self.ledger.is_sole() && self.ledger.note("heard-other") != Some("yes")
    }

    /// Addresses that the daemon before us left behind after the end of its lease, where nobody but us confirms what we
    /// know: they have been silent, another may have them by now, so they are taken again by the wire check (R-TAKE-6).
    fn lapsed(&self) -> Vec<ResourceId> {
        let first = self.guarded.is_empty();
        let leased = self.keeping.inherited_until.is_some_and(|end| self.last_wake_at < end);
        if !first || leased || !self.may_resume_alone() {
            return Vec::new();
        }
        let left = self.keeping.inherited_specs().filter(|spec| spec.address().is_some());
        left.map(|spec| spec.id.clone()).collect()
    }

    /// Names the addresses that the gate must hold and whose kernel events matter (R-LEASE-8).
    pub(crate) fn guard(&mut self, out: &mut Vec<Output>) {
        if !std::mem::take(&mut self.guard_dirty) {
            return;
        }
        let Some(record) = self.ledger.record().or(self.shadow.as_ref()) else { return };
        let orphans = record.orphans.values();
        let addresses: Vec<ResourceSpec> = record
            .model
            .resources()
            .map(|(_, spec)| spec)
            .chain(orphans)
            .chain(self.keeping.inherited_specs())
            .filter(|spec| spec.address().is_some())
            .cloned()
            .collect();
        let mut unique: Vec<ResourceSpec> = Vec::new();
        for spec in addresses {
            if !unique.iter().any(|known| known.id == spec.id) {
                unique.push(spec);
            }
        }
        if unique != self.guarded {
            let given_up = self.lapsed();
            self.guarded.clone_from(&unique);
            out.insert(0, Output::Guard { resources: unique });
            if !given_up.is_empty() {
                out.insert(1, Output::GateShut { resources: given_up });
            }
        }
    }

    /// Keeps the note for the next daemon true.
    pub(crate) fn write_volatile(&mut self, out: &mut Vec<Output>) {
        if !std::mem::take(&mut self.volatile_dirty) {
            return;
        }
        let mut started = self.started.clone();
        if !self.probes_done {
            let known = |left: &&StartedResource| started.iter().any(|known| known.spec.id == left.spec.id);
            let unknown: Vec<StartedResource> =
                self.keeping.inherited.iter().filter(|left| !known(left)).cloned().collect();
            started.extend(unknown);
        }
        let note = Volatile {
            started,
            may_fence: self.fences.token,
            fencing: self.fences.spent_on.clone(),
            watchdog: self.watchdog.left(),
            armed: self.watchdog.armed().cloned(),
            lost: self.watchdog.lost().clone(),
            self_fence: self.self_fence.left(),
            disk: Some((self.ledger.identity(), self.marks.reached())),
        };
        let text = serde_json::to_string(&note).unwrap_or_default();
        if text != self.volatile_text {
            self.volatile_text.clone_from(&text);
            out.push(Output::Volatile { text });
        }
    }
}
