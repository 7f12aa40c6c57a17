//! Fencing: whom this node has to turn off, the orders to devices and what came of them, and whether they would work
//! (protocol section 5, R-PAIR-1 .. 4, R-TAKE-1).

use crate::alert::{AlertKind, DeviceState};
use crate::fence_ends::{Past, Told};
use crate::node::Node;
use crate::orders::reply;
use crate::{Output, Severity};
use hearth_cib::{Entry, FENCED_FROM, MemberState, NodeRecord, Record, RequestId};
use hearth_config::{FenceDevice, FenceKind};
use hearth_control::{DeviceView, FencingView};
use hearth_fencer::Fence;
use hearth_types::{Admission, FenceId, FenceTask, Incarnation, Index, NodeName, PermitKind, ResourceId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Span between two checks of a device that works, as Heartbeat had it.
const CHECK_EVERY: Duration = Duration::from_secs(3600);
/// The same of one that does not.
const CHECK_AGAIN: Duration = Duration::from_secs(300);
/// The same of a shared disk, which is looked at all the time anyway.
const CHECK_DISK: Duration = Duration::from_secs(60);
/// A good answer is required within it (R-PAIR-4).
const CHECK_STALE: Duration = Duration::from_secs(86_400);
/// Loop limit (R-PAIR-3): one machine is fenced so often within [`LOOP_WINDOW`], then a person has to order it.
const LOOP_MAX: usize = 3;
const LOOP_WINDOW: Duration = Duration::from_secs(600);

/// A machine that must be turned off.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub fence: Fence,
    /// The admission under which the record calls it lost; none in a pair, whose record cannot say so before.
    admission: Option<Admission>,
    /// What was applied here when the newest order was given: what is said of the machine later, its word does not cover
    /// (R-TAKE-1), whoever may have heard that.
    #[serde(default)]
    known: Index,
    /// The run that was heard when the newest order was given: a machine that is turned off because something there did not
    /// stop (R-TAKE-8).
    #[serde(default)]
    pub run: Option<Incarnation>,
    /// The newest order.
    #[serde(default)]
    pub told: Option<Told>,
}

/// Whether a device would work.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Check {
    running: Option<FenceId>,
    due_at: Timestamp,
    last: Option<(Timestamp, Result<String, String>)>,
    good_at: Option<Timestamp>,
    /// Since when it has not answered well.
    #[serde(default)]
    bad_since: Option<Timestamp>,
    /// What people were told of it last; none: nothing, or that it works.
    #[serde(default)]
    told: Option<DeviceState>,
}

impl Check {
    /// What people are told of this answer: that it is a bad one, that none was good for a day, that it is good again.
    fn news(&mut self, now: Timestamp, result: &Result<String, String>) -> Option<DeviceState> {
        match result {
            Ok(_) => {
                self.bad_since = None;
                self.told.take().map(|_| DeviceState::Works)
            }
            Err(_) => {
                let since = *self.bad_since.get_or_insert(self.good_at.unwrap_or(now));
                let state = if now.since(since) < CHECK_STALE { DeviceState::Fails } else { DeviceState::Stale };
                (self.told.replace(state) != Some(state)).then_some(state)
            }
        }
    }
}

/// Somebody who waits for checks of devices.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rehearsal {
    pub token: u64,
    pub node: NodeName,
    pub since: Timestamp,
    pub waits: BTreeSet<usize>,
}

/// State of all that.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Fences {
    number: u64,
    pub fences: BTreeMap<NodeName, Wanted>,
    /// Who must be fenced by what is known at this moment.
    wanted: BTreeSet<NodeName>,
    /// Whether this node has heard its peer two-way, as part of what it is in, in this boot, and fenced nobody since
    /// (R-PAIR-3).
    pub token: bool,
    /// Whom the token was spent on: until it is confirmed, the order may be repeated.
    pub spent_on: Option<NodeName>,
    /// Machines that a person says are off, in whose words.
    pub words: BTreeMap<NodeName, String>,
    /// Machines that a person ordered to be fenced, and who waits for it.
    pub ordered: BTreeMap<NodeName, Vec<(u64, Timestamp)>>,
    checks: BTreeMap<usize, Check>,
    pub rehearsals: Vec<Rehearsal>,
    pub past: VecDeque<Past>,
    /// Who waits for what follows from his word that a machine is off.
    pub told: Vec<(NodeName, u64, Timestamp)>,
    /// What ended and was not answered yet.
    pub ended: Vec<(NodeName, Result<String, String>)>,
}

impl Fences {
    /// What the daemon before us left in this boot.
    pub(crate) fn inherited(token: bool, spent_on: Option<NodeName>) -> Fences {
        Fences { token, spent_on, ..Fences::default() }
    }

    /// What every input begins with.
    pub(crate) fn forget_wanted(&mut self) {
        self.wanted.clear();
    }

    /// The files have changed: positions of devices mean something else.
    pub(crate) fn devices_changed(&mut self) {
        self.fences.retain(|_, wanted| wanted.fence.confirmed().is_some());
        self.fences.values_mut().for_each(|wanted| wanted.fence.forget_devices());
        self.checks.clear();
        self.rehearsals.clear();
    }

    pub(crate) fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let fences = self.fences.values().filter_map(|wanted| wanted.fence.next_deadline(now));
        let checks = self.checks.values().filter(|check| check.running.is_none()).map(|check| check.due_at);
        fences.chain(checks).filter(|at| *at > now).min()
    }

    /// Whether nobody is to be turned off, and nobody waits for that.
    pub(crate) fn rests(&self) -> bool {
        self.fences.is_empty()
            && self.wanted.is_empty()
            && self.ordered.is_empty()
            && self.words.is_empty()
            && self.rehearsals.is_empty()
            && self.told.is_empty()
            && self.ended.is_empty()
    }

    /// Device positions whose check is wanted at once.
    pub(crate) fn hurry_checks(&mut self, now: Timestamp, devices: &BTreeSet<usize>) {
        for device in devices {
            self.checks.entry(*device).or_default().due_at = now;
        }
    }

    /// What a device last said when it was asked whether it works.
    pub(crate) fn last_check(&self, device: usize) -> Option<&Result<String, String>> {
        self.checks.get(&device)?.last.as_ref().map(|(_, result)| result)
    }

    pub(crate) fn next_id(&mut self) -> FenceId {
        self.number += 1;
        FenceId(self.number)
    }

    /// Until when the loop limit forbids to fence a machine again.
    fn limited_until(&self, now: Timestamp, node: &NodeName) -> Option<Timestamp> {
        let fenced = self.past.iter().filter(|past| past.node == *node).filter_map(Past::fenced_at);
        let recent: Vec<Timestamp> = fenced.filter(|at| now.since(*at) < LOOP_WINDOW).collect();
        let nth = recent.len().checked_sub(LOOP_MAX)?;
        recent.get(nth).map(|at| *at + LOOP_WINDOW)
    }
}

impl Node {
    pub(crate) fn devices(&self) -> &[FenceDevice] {
        &self.config.cluster.fencing.devices
    }

    /// Positions of the devices with which this node can turn `target` off, a level each of those that must all work.
    pub(crate) fn fence_levels(&self, target: &NodeName) -> Vec<Vec<usize>> {
        self.config.cluster.fencing.levels(&self.local, target)
    }

    /// R-PAIR-3: the peer was heard two-way by a node that takes part in what the peer is in, or goes on alone: only then
    /// this node could not be the one that was fenced, or was left behind. Who has no part any more has agreed that the
    /// other one goes on without it (decision 0032).
    pub(crate) fn earn_token(&mut self) {
        if !self.config.cluster.fencing.is_configured() || self.majority_decides() {
            return;
        }
        if !self.has_a_part() {
            if self.fences.token || self.fences.spent_on.is_some() {
                (self.fences.token, self.fences.spent_on) = (false, None);
                self.volatile_dirty = true;
            }
            return;
        }
        let Some(peer) = self.only_other() else { return };
        let Some(view) = self.members.peer(&peer).filter(|view| view.is_alive()) else { return };
        let theirs = view.claimed.as_ref().and_then(|claimed| claimed.epoch.as_ref());
        let together = theirs.is_some() && theirs == self.ledger.epoch();
        let leads = self.ledger.is_sole() && self.keeping.confirmed;
        if (together || leads) && !(self.fences.token && self.fences.spent_on.is_none()) {
            (self.fences.token, self.fences.spent_on) = (true, None);
            self.volatile_dirty = true;
        }
    }

    /// Whether this node takes part in its epoch, and has accepted no end of it without itself: such an end may be decided,
    /// and known to the other one alone.
    fn has_a_part(&self) -> bool {
        let end = self.ledger.accepted_end();
        self.ledger.takes_part() && (end.is_empty() || end.contains(&self.local))
    }

    /// Whose word there is that the peer is off, or was, since it was lost: that of all devices of a level about orders given
    /// after its last packet, or a person's.
    pub(crate) fn word_on(&self, peer: &NodeName) -> Option<String> {
        if let Some(word) = self.fences.words.get(peer) {
            return Some(word.clone());
        }
        let wanted = self.fences.fences.get(peer).filter(|wanted| self.is_said(peer, wanted))?;
        let names: Option<Vec<&str>> =
            wanted.fence.level().iter().map(|at| Some(&*self.devices().get(*at)?.name)).collect();
        let names = names.filter(|names| !names.is_empty())?;
        let say = if names.len() > 1 { "say" } else { "says" };
        Some(format!("{} {say} that it is off, or was", names.join(" and ")))
    }

    /// Whether the word is that of a shared disk. A machine that read its pill from no disk was not reset while the others
    /// vouched for it: only silence for all of the time that the proof takes says that it was.
    fn is_word_of_disk(&self, wanted: &Wanted) -> bool {
        let is_disk = |at: &usize| self.devices().get(*at).is_some_and(|device| device.kind == FenceKind::Disk);
        wanted.fence.confirmed().is_some() && wanted.fence.level().iter().any(is_disk)
    }

    /// Whether a device's word counts: nothing was heard of the machine since the order; or, of one that was heard when that
    /// was given, nothing of that run since the word, for so long that it is late: what is heard was not turned off.
    fn is_said(&self, peer: &NodeName, wanted: &Wanted) -> bool {
        let view = self.members.peer(peer);
        let heard_at = view.map_or(Timestamp::ZERO, |view| view.last_heard_at);
        let of_disk = self.is_word_of_disk(wanted);
        let needed = if of_disk { self.config.cluster.fencing.timeout } else { self.config.cluster.timing.warntime };
        let late = self.last_wake_at.since(heard_at) >= needed;
        // Of a disk's word a new run proves nothing: the machine may be the old one.
        let booted = !of_disk && !self.is_heard_as(peer, wanted);
        let observed = wanted.run.is_none() || late || booted;
        observed && self.is_not_denied(peer, wanted)
    }

    /// Whether the newest run that was heard of a machine is the one that was to be turned off.
    fn is_heard_as(&self, peer: &NodeName, wanted: &Wanted) -> bool {
        self.members.peer(peer).and_then(|view| view.incarnation) == wanted.run
    }

    /// Whether there is a device's word, and nothing that was heard of the machine speaks against it.
    fn is_not_denied(&self, peer: &NodeName, wanted: &Wanted) -> bool {
        let view = self.members.peer(peer);
        let heard_at = view.map_or(Timestamp::ZERO, |view| view.last_heard_at);
        // Another run of one of two may have been given things since; of three and more it is given nothing before it is
        // admitted again, and what is lost then is another loss.
        let present = self.is_heard_as(peer, wanted);
        let over = |said_at: Timestamp| {
            wanted.run.is_some() && if present { heard_at <= said_at } else { wanted.admission.is_some() }
        };
        wanted.fence.confirmed().is_some_and(|word| heard_at <= word.ordered_at || over(word.said_at))
    }

    /// The peer of a pair must be fenced before this node may go on: says what that waits for.
    pub(crate) fn pursue(&mut self, now: Timestamp, peer: &NodeName) -> String {
        let delay = self.turn(now, peer);
        self.want(now, peer, delay, None);
        let way = format!("if it is off, say `hearth node confirm-off {peer}`");
        if self.fence_levels(peer).is_empty() {
            return format!("{peer} is lost, and no fence device turns it off from here; {way}");
        }
        if let Some(why) = self.no_right_to_fence(peer) {
            return format!("{peer} is lost and must be fenced first, and {why}: start {peer}; {way}");
        }
        format!("{}; {way}", self.fence_text(now, peer))
    }

    pub(crate) fn fence_text(&self, now: Timestamp, node: &NodeName) -> String {
        let name = |device: usize| self.devices().get(device).map_or("a device", |device| device.name.as_str());
        self.fences.fences.get(node).map(|wanted| wanted.fence.text(now, name)).unwrap_or_default()
    }

    /// Why this node may not turn that machine off, also if a person orders it (R-PAIR-3); none: it may.
    pub(crate) fn no_right_to_fence(&self, node: &NodeName) -> Option<&'static str> {
        // Of two only who cannot be the one that was fenced.
        let entitled = self.fences.token || self.fences.spent_on.as_ref() == Some(node);
        if self.majority_decides() || entitled {
            return None;
        }
        Some(match self.has_a_part() {
            true => "this node has not heard it since it booted, so it might be the one that was fenced",
            false => "this node has no part in what it may be serving by now",
        })
    }

    /// Whether three and more vote, whatever ha.cf lists (decision 0062): what is lost among them a majority has called so.
    fn majority_decides(&self) -> bool {
        self.ledger.record().is_some_and(|record| record.voters.len() > 2)
    }

    /// A machine is to be turned off, with nothing ordered before that delay is over. True if that is new.
    pub(crate) fn want(
        &mut self,
        now: Timestamp,
        node: &NodeName,
        delay: Duration,
        admission: Option<Admission>,
    ) -> bool {
        self.fences.wanted.insert(node.clone());
        let known = self.fences.fences.get(node);
        // What was confirmed of another loss says nothing of this one.
        let new = known.is_none_or(|known| known.admission != admission && !known.fence.is_running());
        if new {
            let left_off = known.map(|known| known.fence.left_off().clone());
            let mut fence = Fence::new(now, node.clone(), self.fence_levels(node), delay);
            fence.inherit(left_off.unwrap_or_default());
            let wanted = Wanted { fence, admission, known: Index(0), run: None, told: None };
            self.fences.fences.insert(node.clone(), wanted);
        }
        new
    }

    /// Whether a device has turned that run of a machine off: what is still heard of it was said before.
    pub(crate) fn was_turned_off(&self, node: &NodeName, run: Incarnation) -> bool {
        self.fences.fences.get(node).is_some_and(|wanted| wanted.run == Some(run) && self.is_not_denied(node, wanted))
    }

    /// A person's order: no turn is waited for, and no pause.
    pub(crate) fn fence_at_once(&mut self, now: Timestamp, node: &NodeName, admission: Option<Admission>) {
        self.want(now, node, Duration::ZERO, admission);
        let levels = self.fence_levels(node);
        if let Some(wanted) = self.fences.fences.get_mut(node) {
            wanted.fence.hurry(now, levels);
        }
    }

    /// Whoever waited for an answer is gone; what was ordered goes on.
    pub(crate) fn forget_fence_request(&mut self, token: u64) {
        for waiting in self.fences.ordered.values_mut() {
            waiting.retain(|(known, _)| *known != token);
        }
        self.fences.told.retain(|(_, known, _)| *known != token);
        self.fences.rehearsals.retain(|rehearsal| rehearsal.token != token);
    }

    /// R-PAIR-2: how long this node waits for the other one's orders to have had their effect. First is who reaches more,
    /// then who runs more, then the name: two never have the same turn.
    fn turn(&self, now: Timestamp, peer: &NodeName) -> Duration {
        let fencing = &self.config.cluster.fencing;
        // At worst every device of it takes its time, and it notices the loss a deadtime later.
        let orders = fencing.orders(peer, &self.local);
        let Some(worst) = fencing.timeout.checked_mul(orders).filter(|worst| !worst.is_zero()) else {
            return Duration::ZERO;
        };
        let worst = worst + self.config.cluster.timing.deadtime;
        let (reached, total) = self.standing.pings(now, self.config.cluster.timing.lease());
        let whole = self.standing.all_links_have_carrier() && (total == 0 || reached * 2 > total);
        let weight = |node: &NodeName| self.ledger.record().map_or(0, |record| record.active_on(node).count());
        let (own, theirs) = (weight(&self.local), weight(peer));
        let first = own > theirs || (own == theirs && self.local < *peer);
        worst * (2 * u32::from(!whole) + u32::from(!first))
    }

    /// Of three and more: the DC fences what is lost and may still run something that no span of time clears, and tells
    /// the record once it is off (R-TAKE-1).
    pub(crate) fn fence_losses(&mut self, now: Timestamp) {
        if !self.config.cluster.fencing.is_configured() || self.keeping.is_isolated() {
            return;
        }
        let Some(record) = self.ledger.record() else { return };
        let coming = self.coming().unwrap_or(record);
        let owes = |(name, node): &(&NodeName, &NodeRecord)| {
            node.member == MemberState::Lost && needs_fence(record, name) && needs_fence(coming, name)
        };
        let lost: Vec<(NodeName, Admission)> =
            record.nodes.iter().filter(owes).map(|(name, node)| (name.clone(), node.admission)).collect();
        for (node, admission) in lost {
            if self.ledger.record().is_some_and(|record| self.waits_for_fence(record, &node)) {
                self.want_unstopped(now, &node, Some(admission));
            } else if self.members.is_alive(&node) || self.is_alive_for_majority(&node) {
                // Whoever is heard says itself what runs there.
                continue;
            }
            self.want(now, &node, Duration::ZERO, Some(admission));
            let same = self.fences.fences.get(&node).is_some_and(|wanted| wanted.admission == Some(admission));
            let entry = self.word_on(&node).filter(|_| same).and_then(|how| self.off(&node, how, None));
            let Some((entry, coming)) = entry.zip(self.coming()) else { continue };
            let left = |record: &Record| record.active_on(&node).count();
            if self.would_apply(&entry).is_some_and(|next| left(&next) < left(coming)) {
                self.propose(entry);
            } else if self.stated_since_order(coming, &node) {
                // That word does not cover it, however often it is said: the word on a new order does, when none to
                // switch on again is under way.
                self.fences.fences.remove(&node);
            }
        }
    }

    /// Whether a device has confirmed its order, and the machine stated after it was given that something runs there.
    fn stated_since_order(&self, record: &Record, node: &NodeName) -> bool {
        let Some(wanted) = self.fences.fences.get(node) else { return false };
        let since = |id: &ResourceId| record.flag(id, node).is_some_and(|flag| flag.0 > wanted.known.0);
        wanted.fence.confirmed().is_some() && !wanted.fence.is_running() && record.active_on(node).any(since)
    }

    /// What was applied here when a device was last ordered to turn a machine off.
    pub(crate) fn known_at_order(&self, node: &NodeName) -> Index {
        self.fences.fences.get(node).map_or(Index(0), |wanted| wanted.known)
    }

    /// Whether every daemon of the record can read that a machine is off (R-WIRE-6).
    pub(crate) fn may_say_fenced(&self) -> bool {
        self.record().is_some_and(|record| record.wire_version >= FENCED_FROM)
    }

    /// The name of a permit in the record: one that every daemon of the pair can read. What the older one clears there,
    /// beside a silent machine, is the same, and no stronger one of then is anything but the peer's own word.
    pub(crate) fn permit_to_say(&self, permit: PermitKind) -> PermitKind {
        if permit == PermitKind::Fenced && !self.may_say_fenced() { PermitKind::Tiebreaker } else { permit }
    }

    /// The permit that is meant by its name in the record: where ha.cf has no tiebreaker, that name stands for a fence.
    pub(crate) fn permit_meant(&self, permit: PermitKind) -> PermitKind {
        let stands_in = permit == PermitKind::Tiebreaker && !self.has_tiebreaker();
        if stands_in && !self.may_say_fenced() { PermitKind::Fenced } else { permit }
    }

    /// Of three and more: the entry that a lost node is off, in words that every daemon of the record can read; none while
    /// there are none. Before `Fenced` there were: what time proves of addresses, so that the wire is asked for them
    /// (R-TAKE-6), and what a machine without its state says of itself. In one entry these clear the same, and no more:
    /// whoever was off has nothing left of what it was. (The failback of nothing carries the order of a person.)
    pub(crate) fn off(&self, node: &NodeName, how: String, request: Option<RequestId>) -> Option<Entry> {
        let record = self.ledger.record()?;
        let known = record.nodes.get(node)?;
        let (node, admission) = (node.clone(), known.admission);
        if self.may_say_fenced() {
            // A person says it now, a device of when it was ordered.
            let upto = if request.is_some() { record.applied } else { self.known_at_order(&node) };
            return Some(Entry::Fenced { node, admission, how, upto, request });
        }
        let is_address = |id: &&ResourceId| record.spec(id).is_some_and(|spec| spec.address().is_some());
        let addresses: BTreeSet<ResourceId> = record.active_on(&node).filter(is_address).cloned().collect();
        let since_then = |id: &ResourceId| record.flag(id, &node).is_some_and(|flag| flag.0 > known.lost.0);
        if !record.has_leases() || record.active_on(&node).any(since_then) {
            return None;
        }
        let (incarnation, epoch) = (known.incarnation, record.epoch.clone());
        let ordered = request.map(|request| Entry::Failback { request, groups: Vec::new(), by: how });
        let proof = [
            Entry::Leased { node: node.clone(), incarnation, epoch },
            Entry::Proven { node: node.clone(), admission, addresses },
            Entry::Resigned { node, admission },
        ];
        Some(Entry::Batch(ordered.into_iter().chain(proof).collect()))
    }

    /// Of three and more: machines that were fenced, which the record cannot say yet. For status.
    pub(crate) fn unsaid_fences(&self) -> Vec<String> {
        let Some(record) = self.record().filter(|_| self.is_many() && !self.may_say_fenced()) else {
            return Vec::new();
        };
        let wire = record.wire_version;
        let unsaid = |how: String, node: &NodeName| self.off(node, how, None).is_none();
        let waits =
            |node: &&NodeName| self.word_on(node).is_some_and(|how| unsaid(how, node)) && needs_fence(record, node);
        let text = |node: &NodeName| {
            let why =
                format!("wire version {wire} is in use, and only from {FENCED_FROM} on can every node know of a fence");
            format!("{node} is off, or was, but what it ran waits for it: {why}. Start {node}.")
        };
        self.fences.fences.keys().filter(waits).map(text).collect()
    }

    /// Gives the orders that are due. Stands behind everything else that an input brings, and so behind its writes
    /// (R-LEDGER-3).
    pub(crate) fn order_fences(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let nobody = self.fences.ordered.is_empty() && self.fences.wanted.is_empty() && self.fences.fences.is_empty();
        if nobody && self.fences.words.is_empty() {
            return self.order_checks(now, out);
        }
        for node in self.fences.ordered.keys().cloned().collect::<Vec<_>>() {
            let running = self.fences.fences.get(&node).is_some_and(|wanted| wanted.fence.is_running());
            if self.members.is_alive(&node) && !running {
                self.fences.ended.push((node, Err("it was heard meanwhile".to_owned())));
            } else {
                self.fences.wanted.insert(node);
            }
        }
        let wanted = std::mem::take(&mut self.fences.wanted);
        self.fences.words.retain(|node, _| !self.members.is_alive(node));
        let (all, fences) = (std::mem::take(&mut self.fences.fences), &mut BTreeMap::new());
        for (node, it) in all {
            let waits = wanted.contains(&node) && it.fence.confirmed().is_none();
            let switches_on = !wanted.contains(&node) && it.fence.due_on().is_some();
            if it.fence.is_running() || waits || switches_on || self.is_not_denied(&node, &it) {
                fences.insert(node, it);
                continue;
            }
            if it.run.is_some() && it.fence.confirmed().is_some() && self.is_heard_as(&node, &it) {
                let text = format!("{node} goes on talking: it was not turned off, whatever its fence device says.");
                self.chronicle.note(now, Severity::Error, "fence-denied", &node, text);
            }
            self.tell_left_off(now, &node, &it.fence);
        }
        self.fences.fences = std::mem::take(fences);
        for node in &wanted {
            self.order_fence(now, node, out);
        }
        self.fences.wanted = wanted;
        self.switch_on_again(now, out);
        self.order_checks(now, out);
    }

    fn order_fence(&mut self, now: Timestamp, node: &NodeName, out: &mut Vec<Output>) {
        let by_person = self.fences.ordered.contains_key(node);
        if self.no_right_to_fence(node).is_some() {
            return;
        }
        let limited = self.fences.limited_until(now, node).filter(|_| !by_person);
        if let (Some(until), Some(wanted)) = (limited, self.fences.fences.get_mut(node)) {
            wanted.fence.put_off(until);
        }
        let Some(wanted) = self.fences.fences.get(node) else { return };
        let Some(due) = wanted.fence.due(now) else { return };
        if let Some(answer) = self.refused_by_failed_disk() {
            for (token, _) in self.fences.ordered.remove(node).unwrap_or_default() {
                reply(out, token, answer.clone(), false);
            }
            return;
        }
        let level: Vec<String> = wanted.fence.level().iter().map(|at| self.device_name(*at)).collect();
        let Some(device) = self.config.cluster.fencing.devices.get(due.device).cloned() else { return };
        let id = self.fences.next_id();
        let known = self.ledger.record().map_or(Index(0), |record| record.applied);
        let run = self.members.peer(node).filter(|view| view.is_alive()).and_then(|view| view.incarnation);
        let heard_at = self.heard_at(node);
        // Of several, `reboot` would switch one on again before the next one is off.
        let task = if device.stays_off || !due.alone { FenceTask::Off } else { FenceTask::Reboot };
        let takes = if due.alone { String::new() } else { format!("; it takes {}", level.join(" and ")) };
        let text = format!("{node} is being fenced: {} is told to turn it off ({task}{takes}).", device.name);
        if let Some(wanted) = self.fences.fences.get_mut(node) {
            // A machine that was heard when the first of several was ordered is silent when the last one is.
            let goes_on = wanted.fence.is_in_part();
            wanted.fence.ordered(now, id);
            (wanted.known, wanted.run) = (known, run.or(wanted.run.filter(|_| goes_on)));
            wanted.told = Some(Told { task, device: device.name.clone(), level });
        }
        if !self.majority_decides() {
            // Noted for the next daemon of this boot before it is done.
            (self.fences.token, self.fences.spent_on) = (false, Some(node.clone()));
            self.volatile_dirty = true;
            self.write_volatile(out);
        }
        self.chronicle.lead(now, Severity::Warning, "fence-ordered", node, text);
        let timeout = self.config.cluster.fencing.timeout;
        out.push(Output::Fence { id, device: Box::new(device), node: node.clone(), task, timeout, heard_at });
    }

    /// When that machine was last heard, if it ever was in this run.
    pub(crate) fn heard_at(&self, node: &NodeName) -> Option<Timestamp> {
        self.members.peer(node).map(|view| view.last_heard_at).filter(|at| *at > Timestamp::ZERO)
    }

    /// Every device that this node can use is asked on a schedule whether it would work (R-PAIR-4).
    fn order_checks(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        for position in 0..self.devices().len() {
            let Some(device) = self.devices().get(position).cloned() else { return };
            let usable = device.is_usable_by(&self.local);
            let Some(target) = device.targets.keys().find(|target| **target != self.local && usable).cloned() else {
                continue;
            };
            let check = self.fences.checks.entry(position).or_insert_with(|| Check { due_at: now, ..Check::default() });
            if check.running.is_some() || now < check.due_at {
                continue;
            }
            let id = self.fences.next_id();
            if let Some(check) = self.fences.checks.get_mut(&position) {
                check.running = Some(id);
            }
            let timeout = self.config.cluster.fencing.timeout;
            let heard_at = self.heard_at(&target);
            out.push(Output::Fence {
                id,
                device: Box::new(device),
                node: target,
                task: FenceTask::Check,
                timeout,
                heard_at,
            });
        }
    }

    /// An order to say whether it works ended: true if it was one.
    pub(crate) fn take_checked(&mut self, now: Timestamp, id: FenceId, result: &Result<String, String>) -> bool {
        let checked = self.fences.checks.iter().find(|(_, check)| check.running == Some(id));
        let Some(position) = checked.map(|(position, _)| *position) else { return false };
        self.take_check(now, position, result.clone());
        true
    }

    fn take_check(&mut self, now: Timestamp, position: usize, result: Result<String, String>) {
        let Some(device) = self.devices().get(position) else { return };
        let (name, is_disk) = (device.name.clone(), device.kind == FenceKind::Disk);
        let Some(check) = self.fences.checks.get_mut(&position) else { return };
        let worked = check.last.as_ref().map(|(_, last)| last.is_ok());
        check.running = None;
        check.due_at = now
            + match (is_disk, &result) {
                (true, _) => CHECK_DISK,
                (false, Ok(_)) => CHECK_EVERY,
                (false, Err(_)) => CHECK_AGAIN,
            };
        if result.is_ok() {
            check.good_at = Some(now);
        }
        check.last = Some((now, result.clone()));
        let news = check.news(now, &result);
        if let Some(state) = news {
            self.alert_device(now, &name, state, &result);
        }
        match (worked, result) {
            (Some(true), Ok(_)) | (Some(false), Err(_)) => {}
            (_, Ok(_)) => {
                let text = format!("The fence device {name} says that it would work.");
                self.chronicle.note(now, Severity::Info, "fence-device-works", name, text);
            }
            (_, Err(why)) => {
                let text = format!("The fence device {name} would not work: {why}.");
                self.chronicle.note(now, Severity::Error, "fence-device-fails", name, text);
            }
        }
        for rehearsal in &mut self.fences.rehearsals {
            rehearsal.waits.remove(&position);
        }
    }

    fn alert_device(&mut self, now: Timestamp, device: &str, state: DeviceState, result: &Result<String, String>) {
        let said = result.as_ref().err().map(String::as_str).unwrap_or_default();
        let text = match state {
            DeviceState::Fails => format!("The fence device {device} would not work: {said}."),
            DeviceState::Stale => format!("The fence device {device} has not answered well for a day: {said}."),
            DeviceState::Works => format!("The fence device {device} would work again."),
        };
        let what = AlertKind::FenceDevice { device: device.to_owned(), state };
        self.alert_alone(now, what, &self.local.clone(), text);
    }

    /// What is wrong with the devices, a sentence behind the one on what is not protected (R-PAIR-4).
    pub(crate) fn fence_trouble(&self, now: Timestamp) -> Option<String> {
        let mut troubles = Vec::new();
        for (position, check) in &self.fences.checks {
            let Some(device) = self.devices().get(*position) else { continue };
            let hours = |at: Timestamp| now.since(at).as_secs() / 3600;
            let good = check.good_at.filter(|at| now.since(*at) < CHECK_STALE);
            let since = match check.good_at {
                Some(at) => format!("its last good answer is {} h old", hours(at)),
                None => "it has not answered well since this daemon began".to_owned(),
            };
            match &check.last {
                Some((_, Err(why))) => troubles.push(format!("{} would not work ({why}; {since})", device.name)),
                Some(_) if good.is_none() => troubles.push(format!("{}: {since}", device.name)),
                _ => {}
            }
        }
        (!troubles.is_empty()).then(|| format!("But of the fence devices {}.", troubles.join("; ")))
    }

    /// All of it for status.
    pub(crate) fn fencing_view(&self, now: Timestamp) -> Option<FencingView> {
        if !self.config.cluster.fencing.is_configured() {
            return None;
        }
        let age = |at: Timestamp| now.since(at).as_millis() as u64;
        let device = |(position, device): (usize, &FenceDevice)| {
            let check = self.fences.checks.get(&position);
            let last = check.and_then(|check| check.last.as_ref());
            DeviceView {
                name: device.name.clone(),
                nodes: device.targets.keys().map(ToString::to_string).collect(),
                usable: device.is_usable_by(&self.local),
                works: last.map(|(_, result)| result.is_ok()),
                said: last.map(|(_, result)| result.clone().unwrap_or_else(|why| why)),
                checked_ms: last.map(|(at, _)| age(*at)),
                good_ms: check.and_then(|check| check.good_at).map(age),
            }
        };
        let under_way = self.fences.fences.keys().map(|node| self.fence_text(now, node)).collect();
        Some(FencingView {
            devices: self.devices().iter().enumerate().map(device).collect(),
            may_fence: self.majority_decides() || self.fences.token,
            under_way,
            history: self.fences.past.iter().rev().map(|past| past.view(now)).collect(),
        })
    }
}

/// The node that a batch calls off in the words of before `Fenced`, and who says so.
pub(crate) fn called_off(entries: &[Entry]) -> Option<(&NodeName, &str)> {
    let (how, proof) = match entries {
        [Entry::Failback { by, .. }, proof @ ..] => (by.as_str(), proof),
        proof => ("a fence device says that it is off, or was", proof),
    };
    match proof {
        [Entry::Leased { .. }, Entry::Proven { .. }, Entry::Resigned { node, .. }] => Some((node, how)),
        _ => None,
    }
}

/// Whether something may run on a lost node that no span of time clears (R-TAKE-2).
fn needs_fence(record: &Record, name: &NodeName) -> bool {
    let leased = record.nodes.get(name).is_some_and(|node| node.leased);
    record.active_on(name).any(|id| !leased || record.spec(id).is_none_or(|spec| spec.address().is_none()))
}
