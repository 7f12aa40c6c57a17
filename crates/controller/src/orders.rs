//! What people order, and what they are told when it is done.

use crate::listing::addition;
use crate::node::{Node, Shutdown};
use crate::{Event, Output, Severity};
use hearth_cib::{ClearSubject, Entry, Record, RequestId, ResourceState};
use hearth_config::ListChange;
use hearth_control::{Reply, Request, TimelineEvent, Which};
use hearth_types::{GroupId, NodeName, ResourceId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Orders that may wait at once; more are refused. Each is a person at a terminal.
const WAITING_MAX: usize = 64;
/// Shortest time between two status lines of one watcher.
const WATCH_PERIOD: Duration = Duration::from_millis(100);
/// Span between repeats of a request that the record does not show.
const REPEAT: Duration = Duration::from_millis(250);

/// An order under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pending {
    token: u64,
    since: Timestamp,
    request: RequestId,
    entry: Entry,
    repeat_at: Timestamp,
    groups: Vec<GroupId>,
    goal: Goal,
    wait: bool,
    verb: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Goal {
    To(NodeName),
    AwayFrom(NodeName),
    Home,
    Applied,
    /// That node counts as off.
    Off(NodeName),
    /// That node is not left out any more.
    Released(NodeName),
}

/// Orders under way and people who watch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Orders {
    number: u64,
    pending: Vec<Pending>,
    watchers: Vec<u64>,
    watched_at: Timestamp,
    watch_due: bool,
    followers: Vec<Follower>,
    /// The newest event that those who watch were told of.
    seen: u64,
}

/// Somebody who is told every new event, or every new one about a subject.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Follower {
    token: u64,
    subject: Option<String>,
    /// The newest event that was there when it was told last.
    told: u64,
}

impl Orders {
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        let watch = (self.watch_due && !self.watchers.is_empty()).then(|| self.watched_at + WATCH_PERIOD);
        let repeat = self.pending.iter().map(|pending| pending.repeat_at).min();
        watch.into_iter().chain(repeat).min()
    }

    /// Whether nobody waits for an answer, and the newest event is no news to who would watch.
    pub(crate) fn rests(&self, newest: u64) -> bool {
        let nobody = self.pending.is_empty() && self.watchers.is_empty() && self.followers.is_empty();
        nobody && !self.watch_due && self.seen == newest
    }
}

pub(crate) fn refused(reason: String, help: Option<&str>, quorum: bool) -> Reply {
    Reply::Refused { reason, help: help.map(str::to_owned), quorum }
}

pub(crate) fn reply(out: &mut Vec<Output>, token: u64, reply: Reply, more: bool) {
    out.push(Output::Reply { token, reply: Box::new(reply), more });
}

impl Node {
    pub(crate) fn take_request(
        &mut self,
        now: Timestamp,
        token: u64,
        request: Request,
        by: String,
        out: &mut Vec<Output>,
    ) {
        match request {
            Request::Status => {
                let status = Box::new(self.status(now));
                reply(out, token, Reply::Status { status }, false);
            }
            Request::Watch => {
                let status = Box::new(self.status(now));
                reply(out, token, Reply::Status { status }, true);
                self.orders.watchers.push(token);
            }
            Request::Standby { which, wait } => self.order_handover(now, token, (which, false, wait), &by, out),
            Request::Takeover { which, wait } => self.order_handover(now, token, (which, true, wait), &by, out),
            Request::Failback { wait } => self.order_failback(now, token, wait, by, out),
            Request::Timeline { last, subject, follow } => {
                let events = self.chronicle.select(subject.as_deref(), last);
                let events = events.iter().map(timeline_event).collect();
                let dropped = self.chronicle.dropped();
                reply(out, token, Reply::Timeline { events, dropped }, follow);
                if follow {
                    let told = self.chronicle.newest();
                    self.orders.followers.push(Follower { token, subject, told });
                }
            }
            Request::Why { resource } => {
                let answer = self.why(now, &resource);
                reply(out, token, answer, false);
            }
            Request::Clear { resource } => self.order_clear(now, token, resource, out),
            Request::Release { name } => self.order_release(now, token, name, &by, out),
            Request::Reload => {
                // The driver reads files; it answers this one itself and never hands it on.
                reply(out, token, refused("this daemon has no files to read".to_owned(), None, false), false);
            }
            Request::Fence { node } => self.order_off(now, (token, false), &node, &by, out),
            Request::FenceTest { node } => self.order_rehearsal(now, token, &node, out),
            Request::NodeAdd { node, ucast } => self.order_list(now, token, addition(&node, &ucast), &by, out),
            Request::NodeRemove { node } => {
                let change = ListChange::Remove { node: NodeName::new(&node), addresses: Vec::new() };
                self.order_list(now, token, Ok(change), &by, out);
            }
            Request::ConfirmOff { node } => self.order_off(now, (token, true), &node, &by, out),
            Request::AlertTest => self.order_trial(now, token, &by, out),
            Request::Stop => self.begin_shutdown(now, format!("hearth stop by {by}"), Some(token)),
        }
    }

    /// Whoever waited is gone; what was ordered goes on.
    pub(crate) fn forget_request(&mut self, token: u64) {
        self.orders.watchers.retain(|known| *known != token);
        self.orders.followers.retain(|follower| follower.token != token);
        self.orders.pending.retain(|pending| pending.token != token);
        self.forget_fence_request(token);
        self.alerts.forget_request(token);
    }

    pub(crate) fn next_request(&mut self) -> RequestId {
        self.orders.number += 1;
        RequestId { origin: self.local.clone(), incarnation: self.incarnation, number: self.orders.number }
    }

    /// The record, if it can be changed now; else why not and the way out.
    pub(crate) fn changeable(&self) -> Result<&Record, Reply> {
        if let Some(answer) = self.refused_by_disk() {
            return Err(answer);
        }
        let Some(record) = self.ledger.record() else {
            let why = self.alone.verdict.clone().unwrap_or_else(|| "this node takes no part yet".to_owned());
            let help = "wait until `hearth status` shows this node online";
            return Err(refused(format!("nothing is agreed yet: {why}"), Some(help), true));
        };
        if self.shutdown.is_some() {
            return Err(refused("this node is stopping".to_owned(), None, false));
        }
        if let Some(mute) = self.is_held_up_by() {
            let help =
                format!("mend its disk, then restart hearthd on {mute}; what runs goes on and is repaired in place");
            let reason = format!("the record cannot change now: {mute} cannot write its state");
            return Err(refused(reason, Some(&help), true));
        }
        if !self.has_quorum() || !self.keeping.confirmed {
            let why = self.alone.verdict.clone().unwrap_or_else(|| "no DC is elected at the moment".to_owned());
            let help = "what runs goes on and is repaired in place; try again, or see `hearth status`";
            return Err(refused(format!("the record cannot change now: {why}"), Some(help), true));
        }
        Ok(record)
    }

    fn chosen(&self, record: &Record, which: &Which, here: bool) -> Result<Vec<GroupId>, Reply> {
        let mut groups = Vec::new();
        for group in &record.model.groups {
            // Local and foreign are seen from the node that gives up, as Heartbeat saw them.
            let giver = record.assignments.get(&group.id).map(|assignment| &assignment.node);
            let local = giver.is_some() && group.preferred.first() == giver;
            let wanted = match which {
                Which::All => true,
                Which::Local => local,
                Which::Foreign => !local,
                Which::Groups(names) => names.iter().any(|name| self.names_group(record, name, &group.id)),
            };
            if wanted && (giver == Some(&self.local)) == here {
                groups.push(group.id.clone());
            }
        }
        if let Which::Groups(names) = which {
            for name in names {
                if !record.model.groups.iter().any(|group| self.names_group(record, name, &group.id)) {
                    let known: Vec<&str> = record.model.groups.iter().map(|group| group.id.as_str()).collect();
                    let reason = format!("there is no group {name}; there are: {}", known.join(", "));
                    return Err(refused(reason, None, false));
                }
            }
        }
        Ok(groups)
    }

    /// A group is named by itself or by one of its resources.
    fn names_group(&self, record: &Record, name: &str, group: &GroupId) -> bool {
        group.as_str() == name
            || record.model.group(group).is_some_and(|spec| spec.resources.iter().any(|it| it.id.as_str() == name))
    }

    /// Groups of this node to the peer (standby), or of the peer to this node (takeover).
    fn order_handover(
        &mut self,
        now: Timestamp,
        token: u64,
        (which, takeover, wait): (Which, bool, bool),
        by: &str,
        out: &mut Vec<Output>,
    ) {
        let groups = match self.changeable().and_then(|record| self.chosen(record, &which, !takeover)) {
            Ok(groups) => groups,
            Err(answer) => return reply(out, token, answer, false),
        };
        if let Some(answer) = self.refused_as_witness().filter(|_| takeover && !groups.is_empty()) {
            return reply(out, token, answer, false);
        }
        let local = Some(self.local.clone());
        match takeover {
            true => {
                self.order_move(now, token, groups, local, None, format!("takeover by {by}"), wait, "taken over", out)
            }
            false => {
                self.order_move(now, token, groups, None, local, format!("standby by {by}"), wait, "given up", out)
            }
        }
    }

    /// What a witness says that is to take something.
    fn refused_as_witness(&self) -> Option<Reply> {
        let model = &self.ledger.record().filter(|record| record.model.is_witness(&self.local))?.model;
        let able = self.config.cluster.nodes.iter().filter(|node| !model.is_witness(node));
        let able = able.map(NodeName::as_str).collect::<Vec<_>>().join(", ");
        let help = format!("run `hearth takeover` on one of: {able}");
        Some(refused(format!("{} is a witness and runs nothing", self.local), Some(&help), false))
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one order")]
    fn order_move(
        &mut self,
        now: Timestamp,
        token: u64,
        groups: Vec<GroupId>,
        to: Option<NodeName>,
        away_from: Option<NodeName>,
        by: String,
        wait: bool,
        verb: &'static str,
        out: &mut Vec<Output>,
    ) {
        if groups.is_empty() {
            let text = "Nothing to do: no such group runs there.".to_owned();
            return reply(out, token, Reply::Done { text, took_ms: 0, notes: Vec::new() }, false);
        }
        let request = self.next_request();
        let goal = match (&to, &away_from) {
            (Some(to), _) => Goal::To(to.clone()),
            (None, Some(from)) => Goal::AwayFrom(from.clone()),
            (None, None) => Goal::Applied,
        };
        let entry = Entry::Move { request: request.clone(), groups: groups.clone(), to, away_from, by: by.clone() };
        if let Some(reason) = self.would_stay(&entry, &groups, &goal) {
            let help = "see `hearth why GROUP`; a failure is forgotten by `hearth clear`";
            return reply(out, token, refused(reason, Some(help), false), false);
        }
        self.chronicle.lead(now, Severity::Info, "ordered", "record", format!("Ordered: {by}."));
        self.order(now, token, request, entry, groups, goal, wait, verb, out);
    }

    /// Why a move would not move anything, if so: better said before than after.
    fn would_stay(&self, entry: &Entry, groups: &[GroupId], goal: &Goal) -> Option<String> {
        let mut next = self.ledger.record()?.clone();
        if let Err(rejection) = next.apply(next.applied.next(), entry) {
            return Some(rejection.to_string());
        }
        let plan = hearth_scheduler::plan(&next, &self.alive());
        for group in groups {
            let placement = plan.placements.iter().find(|placement| placement.group == *group)?;
            let moves = plan.actions.iter().any(|action| {
                matches!(&action.entry, Entry::Unassign { group: it, .. } | Entry::Assign { group: it, .. } if it == group)
            });
            let already = placement.node.as_ref().is_some_and(|node| goal.is_met_by(node, next.model.group(group)));
            if !moves && !already {
                let against: Vec<String> =
                    placement.alternatives.iter().map(|(node, reason)| format!("{node}: {reason}")).collect();
                let against = if against.is_empty() { placement.reason.clone() } else { against.join("; ") };
                return Some(format!("{group} would stay where it is ({against})"));
            }
        }
        None
    }

    fn order_failback(&mut self, now: Timestamp, token: u64, wait: bool, by: String, out: &mut Vec<Output>) {
        let record = match self.changeable() {
            Ok(record) => record,
            Err(answer) => return reply(out, token, answer, false),
        };
        let away = |group: &&hearth_types::GroupSpec| {
            let node = record.assignments.get(&group.id).map(|assignment| &assignment.node);
            node.is_some() && node != group.preferred.first()
        };
        let groups: Vec<GroupId> = record.model.groups.iter().filter(away).map(|group| group.id.clone()).collect();
        if groups.is_empty() {
            let text = "Nothing to do: every group is where it prefers to run.".to_owned();
            return reply(out, token, Reply::Done { text, took_ms: 0, notes: Vec::new() }, false);
        }
        let request = self.next_request();
        let by = format!("failback by {by}");
        let entry = Entry::Failback { request: request.clone(), groups: groups.clone(), by: by.clone() };
        if let Some(reason) = self.would_stay(&entry, &groups, &Goal::Home) {
            let help = "see `hearth why GROUP`; a failure is forgotten by `hearth clear`";
            return reply(out, token, refused(reason, Some(help), false), false);
        }
        self.chronicle.lead(now, Severity::Info, "ordered", "record", format!("Ordered: {by}."));
        self.order(now, token, request, entry, groups, Goal::Home, wait, "brought home", out);
    }

    pub(crate) fn order_clear(&mut self, now: Timestamp, token: u64, subject: Option<String>, out: &mut Vec<Output>) {
        let record = match self.changeable() {
            Ok(record) => record,
            Err(answer) => return reply(out, token, answer, false),
        };
        let subject = match subject {
            None => ClearSubject::All,
            Some(name) => {
                let group = record.model.groups.iter().find(|group| group.id.as_str() == name);
                let resource = record.model.resources().find(|(_, it)| it.id.as_str() == name);
                match (group, resource) {
                    (Some(group), _) => ClearSubject::Group(group.id.clone()),
                    (None, Some((_, resource))) => ClearSubject::Resource(resource.id.clone()),
                    (None, None) => {
                        let reason = format!("there is no group or resource {name}");
                        return reply(out, token, refused(reason, None, false), false);
                    }
                }
            }
        };
        let request = self.next_request();
        let entry = Entry::Clear { request: request.clone(), subject };
        self.order(now, token, request, entry, Vec::new(), Goal::Applied, true, "forgotten", out);
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one order")]
    pub(crate) fn order(
        &mut self,
        now: Timestamp,
        token: u64,
        request: RequestId,
        entry: Entry,
        groups: Vec<GroupId>,
        goal: Goal,
        wait: bool,
        verb: &'static str,
        out: &mut Vec<Output>,
    ) {
        if self.orders.pending.len() >= WAITING_MAX {
            return reply(out, token, refused("too many orders are waiting already".to_owned(), None, false), false);
        }
        self.hand_in(vec![entry.clone()]);
        let repeat_at = now + self.repeat_to_dc_after(REPEAT);
        self.orders.pending.push(Pending {
            token,
            since: now,
            request,
            entry,
            repeat_at,
            groups,
            goal,
            wait,
            verb: verb.to_owned(),
        });
    }

    /// Answers what has come to its end, and everybody who watches.
    pub(crate) fn answer_orders(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let pending = std::mem::take(&mut self.orders.pending);
        for mut order in pending {
            match self.outcome(now, &order) {
                Some(answer) => reply(out, order.token, answer, false),
                None => {
                    if now >= order.repeat_at {
                        order.repeat_at = now + self.repeat_to_dc_after(REPEAT);
                        if !self.is_applied(&order.request) {
                            self.hand_in(vec![order.entry.clone()]);
                        }
                    }
                    self.orders.pending.push(order);
                }
            }
        }
        self.answer_watchers(now, out);
    }

    fn answer_watchers(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let newest = self.chronicle.newest();
        if newest != self.orders.seen {
            self.orders.watch_due = true;
            self.orders.seen = newest;
        }
        for follower in self.orders.followers.iter_mut().filter(|follower| follower.told != newest) {
            let told = std::mem::replace(&mut follower.told, newest);
            let events = self.chronicle.select(follower.subject.as_deref(), None);
            let events: Vec<TimelineEvent> =
                events.iter().filter(|event| event.id.0 > told).map(timeline_event).collect();
            if !events.is_empty() {
                let dropped = self.chronicle.dropped();
                reply(out, follower.token, Reply::Timeline { events, dropped }, true);
            }
        }
        if self.orders.watch_due && now.since(self.orders.watched_at) >= WATCH_PERIOD {
            self.orders.watch_due = false;
            self.orders.watched_at = now;
            for token in self.orders.watchers.clone() {
                let status = Box::new(self.status(now));
                reply(out, token, Reply::Status { status }, true);
            }
        }
    }

    fn is_applied(&self, request: &RequestId) -> bool {
        let applied = self.ledger.record().and_then(|record| record.requests.get(&request.origin));
        applied.is_some_and(|(incarnation, number)| *incarnation == request.incarnation && *number >= request.number)
    }

    /// How an order ended, if it has.
    fn outcome(&self, now: Timestamp, order: &Pending) -> Option<Reply> {
        let took_ms = now.since(order.since).as_millis() as u64;
        if let Some(error) = &self.disk_failed {
            let reason =
                format!("{} cannot write its state ({error}), so it does not know whether that was done", self.local);
            let help = "see `hearth timeline` on another machine; mend the disk, then restart hearthd";
            return Some(Reply::Failed { reason, help: Some(help.to_owned()) });
        }
        let Some(record) = self.ledger.record() else {
            let reason = "this node lost its part in the cluster before it was done".to_owned();
            return Some(Reply::Failed { reason, help: Some("see `hearth timeline`".to_owned()) });
        };
        if !self.is_applied(&order.request) {
            return None;
        }
        let names: Vec<&str> = order.groups.iter().map(GroupId::as_str).collect();
        if matches!(order.goal, Goal::Applied) {
            return Some(Reply::Done { text: "Failures are forgotten.".to_owned(), took_ms, notes: Vec::new() });
        }
        if let Goal::Released(node) = &order.goal {
            let text = format!("{node} is not left out any more.");
            return Some(Reply::Done { text, took_ms, notes: Vec::new() });
        }
        if let Goal::Off(node) = &order.goal {
            let text = format!("{node} counts as off; what it ran may be started elsewhere.");
            return Some(Reply::Done { text, took_ms, notes: Vec::new() });
        }
        if !order.wait {
            let text = format!("Under way: {}.", names.join(", "));
            return Some(Reply::Done { text, took_ms, notes: Vec::new() });
        }
        let mut done = Vec::new();
        for group in &order.groups {
            match group_state(record, group, &order.request, &order.goal) {
                GroupOutcome::Met(node) => done.push(format!("{group} runs on {node}")),
                GroupOutcome::Moving => return None,
                GroupOutcome::Given(reason) => {
                    let text = format!("{group} was not {}: {reason}", order.verb);
                    return Some(Reply::Failed { reason: text, help: Some(format!("see `hearth why {group}`")) });
                }
            }
        }
        let text = format!("{} {}: {}.", done.len(), order.verb, done.join(", "));
        Some(Reply::Done { text, took_ms, notes: Vec::new() })
    }

    /// Requests that this epoch answered: what is lost with it must be named (R-LEDGER-6).
    pub(crate) fn requests_of_this_epoch(&self) -> Vec<String> {
        let forced = self.ledger.record().is_some_and(|record| record.permit.is_some());
        if !forced {
            return Vec::new();
        }
        let name = |entry: &Entry| match entry {
            Entry::Move { by, groups, .. } => {
                let names: Vec<&str> = groups.iter().map(GroupId::as_str).collect();
                Some(format!("{by} of {}", names.join(", ")))
            }
            Entry::Failback { by, .. } => Some(by.clone()),
            Entry::Clear { request, .. } => Some(format!("clear {request}")),
            _ => None,
        };
        self.ledger.entries().filter_map(name).collect()
    }

    pub(crate) fn begin_shutdown(&mut self, now: Timestamp, by: String, token: Option<u64>) {
        if let Some(shutdown) = self.shutdown.as_mut() {
            shutdown.tokens.extend(token);
            return;
        }
        let text = format!("{} stops in order ({by}).", self.local);
        self.chronicle.lead(now, Severity::Info, "stopping", self.local.clone(), text);
        self.leaving.insert(self.local.clone());
        self.shutdown = Some(Shutdown {
            by,
            since: now,
            tokens: token.into_iter().collect(),
            finished: false,
            leave_at: None,
            said_at: Timestamp::ZERO,
            halted: false,
        });
    }
}

enum GroupOutcome {
    Met(NodeName),
    Moving,
    Given(String),
}

impl Goal {
    fn is_met_by(&self, node: &NodeName, group: Option<&hearth_types::GroupSpec>) -> bool {
        match self {
            Goal::To(to) => node == to,
            Goal::AwayFrom(from) => node != from,
            Goal::Home => group.is_some_and(|group| group.preferred.first() == Some(node)),
            Goal::Applied | Goal::Off(_) | Goal::Released(_) => true,
        }
    }
}

fn group_state(record: &Record, group: &GroupId, request: &RequestId, goal: &Goal) -> GroupOutcome {
    let Some(spec) = record.model.group(group) else {
        return GroupOutcome::Given("it was taken out of the configuration".to_owned());
    };
    let started = |node: &NodeName, id: &ResourceId| {
        record.states.get(&(id.clone(), node.clone())) == Some(&ResourceState::Started)
    };
    let blocked = spec.resources.iter().find(|it| {
        record
            .active_nodes(&it.id)
            .any(|node| record.states.get(&(it.id.clone(), node.clone())) == Some(&ResourceState::Blocked))
    });
    if let Some(resource) = blocked {
        return GroupOutcome::Given(format!("{} does not stop", resource.id));
    }
    let waits = |it: &hearth_types::ResourceSpec| record.waits_for_lost(it).map(|node| (it.id.clone(), node.clone()));
    if let Some((resource, node)) = spec.resources.iter().find_map(waits) {
        return GroupOutcome::Given(format!(
            "{resource} may be active on {node}, which is lost: it moves when {node} is back and says that it has stopped, is fenced, has been \
             reset by its watchdog, or is off by `hearth node confirm-off {node}`"
        ));
    }
    match record.assignments.get(group) {
        None => GroupOutcome::Moving,
        Some(assignment) => {
            let all = spec.resources.iter().all(|it| started(&assignment.node, &it.id));
            let met = goal.is_met_by(&assignment.node, Some(spec));
            let held = record.placements.get(group).is_some_and(|placement| placement.request == *request);
            match (met, all) {
                (true, true) => GroupOutcome::Met(assignment.node.clone()),
                // Elsewhere, and the request is not held any more: it could not be had, or another one took its place.
                (false, _) if !held => {
                    GroupOutcome::Given(format!("it is on {}: {}", assignment.node, assignment.reason))
                }
                _ => GroupOutcome::Moving,
            }
        }
    }
}

pub(crate) fn timeline_event(event: &Event) -> TimelineEvent {
    let severity = match event.severity {
        Severity::Debug => "debug",
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    TimelineEvent {
        id: event.id.0,
        wall_ms: 0,
        at_ns: event.at.0,
        cause: event.cause.map(|cause| cause.0),
        severity: severity.to_owned(),
        name: event.name.clone(),
        subject: event.subject.clone(),
        text: event.text.clone(),
    }
}
