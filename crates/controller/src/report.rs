//! The state for people: what `hearth status` shows and `hearth why` explains.

use crate::Severity;
use crate::node::Node;
use crate::orders::timeline_event;
use hearth_cib::{Failure, MemberState, Record, ResourceState, Voter};
use hearth_config::Medium;
use hearth_control::{
    EpochStatus, FailureView, GroupView, LastChange, LinkView, NodeView, PingView, Reply, ResourceView, Status,
    WaitView, Why, WhyNode,
};
use hearth_executor::LocalState;
use hearth_membership::Liveness;
use hearth_types::{GroupSpec, LinkId, NodeName, OpAction, ResourceId, ResourceSpec, Timestamp};
use std::time::Duration;

/// Layout of [`Status`]; rises only when a field changes its meaning.
const SCHEMA: u32 = 1;

impl Node {
    pub(crate) fn take_gate(&mut self, now: Timestamp, whole: bool, trouble: Option<String>) {
        let trouble = if whole { None } else { Some(trouble.unwrap_or_else(|| "it is not whole".to_owned())) };
        if trouble != self.gate_trouble {
            match &trouble {
                Some(trouble) => {
                    let text =
                        format!("The kernel gate is not whole: {trouble}. Addresses rest on their lifetime alone.");
                    self.chronicle.note(now, Severity::Warning, "gate-broken", self.local.clone(), text);
                }
                None => {
                    let text = "The kernel gate is whole.".to_owned();
                    self.chronicle.note(now, Severity::Info, "gate-whole", self.local.clone(), text);
                }
            }
            self.gate_trouble = trouble;
        }
    }

    /// The state; wall times are zero or on the node's own clock (`at`), the driver fills them in.
    pub(crate) fn status(&self, now: Timestamp) -> Status {
        let record = self.ledger.record();
        let groups = self.group_views(record);
        let mut status = Status {
            schema: SCHEMA,
            protection: self.protection(now),
            local: self.local.to_string(),
            cluster: self.config.cluster.name.clone(),
            version: self.version.clone(),
            dc: self.known_dc().map(|dc| dc.to_string()),
            quorum: self.has_quorum() && self.keeping.confirmed,
            epoch: record.map(|record| EpochStatus {
                name: record.epoch.to_string(),
                voters: record.voters.iter().map(|voter| voter.name.to_string()).collect(),
                permit: record.permit.map(|permit| self.permit_meant(permit).to_string()),
            }),
            applied: self.ledger.decided().0,
            wire: record.map(|record| record.wire_version),
            last_change: record.and_then(|record| record.last_change.as_ref()).map(|change| LastChange {
                wall_ms: self.last_change_at.map_or(0, |at| at.0 / 1_000_000),
                text: change.text.clone(),
            }),
            nodes: self.config.cluster.nodes.iter().map(|name| self.node_view(now, name)).collect(),
            resources: self.resource_views(record),
            pings: self.ping_views(now),
            failures: self.failure_views(now, record),
            notes: self.notes(now),
            waiting: self.wait_views(),
            fencing: self.fencing_view(now),
            groups,
            ..Status::default()
        };
        let (health, summary) = self.summary(now, &status);
        status.health = health;
        status.summary = summary;
        status
    }

    /// What matters most, in one sentence.
    fn summary(&self, now: Timestamp, status: &Status) -> (String, String) {
        let health = |word: &str, text: String| (word.to_owned(), text);
        if let Some(error) = &self.disk_failed {
            return health("failed", format!("This node cannot write its state ({error}) and takes no part."));
        }
        if self.members.is_own_name_cloned() {
            return health("failed", format!("Another machine uses the name {}.", self.local));
        }
        let outcast = self.outcast(now).filter(|_| self.ledger.has_no_epoch() || !self.keeping.confirmed);
        if let Some(way) = outcast {
            return health("failed", format!("This node takes no part: {way}."));
        }
        if self.ledger.has_no_epoch() {
            let why = self.marks.forgot.clone().or_else(|| self.alone.verdict.clone());
            let why = why.unwrap_or_else(|| "waiting for the other machine".to_owned());
            return health("failed", format!("Nothing is started yet: {why}."));
        }
        if !self.keeping.confirmed {
            let why = self.alone.verdict.clone().unwrap_or_else(|| "waiting for the other machine".to_owned());
            return health("failed", format!("This node waits to hear how things stand: {why}."));
        }
        if let Some(gone) = self.forgotten_by().filter(|_| self.other_of_two().is_none()) {
            let text = "Nothing can be decided any more: most voters of this epoch have no state of it";
            let way = "stop hearth on every node, empty its state directory there, and start again";
            return health("failed", format!("{text} ({}): {way}.", gone.join(", ")));
        }
        if let Some(mute) = self.is_held_up_by() {
            let text = format!("{mute} cannot write its state, so nothing can be decided; what runs goes on");
            return health("degraded", format!("{text}. Mend its disk, then restart hearthd there."));
        }
        let offline = |name: &String| status.nodes.iter().any(|node| node.name == *name && !node.online && !node.local);
        let lost = status.groups.iter().find(|group| group.node.as_ref().is_some_and(offline));
        if let Some(group) = lost.filter(|_| !status.quorum) {
            let why = self.alone.verdict.clone().unwrap_or_else(|| "nothing can be decided without it".to_owned());
            let node = group.node.clone().unwrap_or_default();
            let text = format!("{} may run on {node}, which is offline, and is not taken: {why}.", group.id);
            return health("failed", text);
        }
        let down: Vec<&GroupView> = status.groups.iter().filter(|group| group.state != "started").collect();
        let running = status.groups.len() - down.len();
        let dead: Vec<&str> = status.nodes.iter().filter(|node| !node.online).map(|node| node.name.as_str()).collect();
        let unclean: Vec<&str> =
            status.nodes.iter().filter(|node| node.unclean).map(|node| node.name.as_str()).collect();
        if let Some(group) = down.iter().find(|group| matches!(group.state.as_str(), "failed" | "blocked" | "stopped"))
        {
            return health("failed", format!("{} does not run: {}.", group.id, group.reason));
        }
        if let Some(group) = down.first() {
            return health(
                "degraded",
                format!("{} is {}; {running} of {} run.", group.id, group.state, status.groups.len()),
            );
        }
        let all = match running {
            0 => "No group is configured".to_owned(),
            1 => "The group runs".to_owned(),
            _ => format!("All {running} groups run"),
        };
        if !unclean.is_empty() {
            return health("degraded", format!("{all}, but {} is unclean.", unclean.join(", ")));
        }
        if !dead.is_empty() {
            let nobody = if self.could_lose_another(status) { "" } else { ": nobody could take over" };
            return health("degraded", format!("{all}, but {} is offline{nobody}.", dead.join(", ")));
        }
        if !status.quorum {
            return health("degraded", format!("{all}, but nothing can be changed: no DC at the moment."));
        }
        if let Some((node, why)) = self.left_out().first_key_value() {
            let text = format!("{all} and every node is online, but {node} {why}; `hearth release {node}` ends that.");
            return health("degraded", text);
        }
        let dark = status.nodes.iter().flat_map(|node| &node.links).filter(|link| link.state == "dead").count();
        if dark > 0 {
            let others = status.nodes.iter().filter(|node| !node.local);
            let mut left = others.flat_map(|node| &node.links).filter(|link| link.state == "up");
            let dead = if dark == 1 { "1 link is dead".to_owned() } else { format!("{dark} links are dead") };
            let text = match (left.next(), left.next()) {
                (Some(last), None) => format!("{all} and every node is online, but {dead}: {} is the last.", last.name),
                _ => format!("{all} and every node is online, but {dead}."),
            };
            return health("degraded", text);
        }
        if !status.failures.is_empty() {
            let text = format!("{all} and every node is online; {} operations have failed.", status.failures.len());
            return health("degraded", text);
        }
        health("ok", format!("{all} and every node is online."))
    }

    /// Whether one more machine may fail, and what it ran would be taken: a majority of the voters is left, and a machine
    /// that may run something.
    fn could_lose_another(&self, status: &Status) -> bool {
        let Some(record) = self.ledger.record().filter(|_| self.is_many()) else { return false };
        let speaks = |voter: &&Voter| voter.name == self.local || self.voice(voter).is_some();
        let here = |voter: &&Voter| speaks(voter) && !self.says_it_cannot_write(&voter.name);
        let able = |view: &&NodeView| view.online && !record.model.witnesses.iter().any(|it| it.as_str() == view.name);
        let votes = record.voters.iter().filter(here).count();
        votes > record.majority() && status.nodes.iter().filter(able).count() > 1
    }

    /// What a node is for, where that is not to run something.
    fn part(&self, name: &NodeName) -> Option<String> {
        let witness = self.config.resources.is_witness(name);
        witness.then(|| "a witness: it votes and runs nothing".to_owned())
    }

    fn node_view(&self, now: Timestamp, name: &NodeName) -> NodeView {
        let record = self.ledger.record();
        let known = record.and_then(|record| record.nodes.get(name));
        let admitted = known.is_some_and(|node| node.member == MemberState::Admitted);
        let unclean = known.is_some_and(|node| node.unclean.is_some());
        let reason = known.and_then(|node| node.unclean.as_ref()).map(|unclean| unclean.reason.clone());
        let local = *name == self.local;
        let unservable: Vec<String> =
            known.map(|node| node.unservable.iter().map(ToString::to_string).collect()).unwrap_or_default();
        if local {
            let state = match self.status_word() {
                hearth_wire::NodeStatus::Init => "init",
                hearth_wire::NodeStatus::Up => "up",
                hearth_wire::NodeStatus::Active if self.leaving.contains(name) => "leaving",
                hearth_wire::NodeStatus::Active => "active",
                hearth_wire::NodeStatus::Leaving => "leaving",
            };
            let timing = self.config.cluster.timing;
            return NodeView {
                name: name.to_string(),
                state: state.to_owned(),
                online: admitted && self.keeping.confirmed && !self.cannot_write(),
                unclean,
                local,
                heard_ms: None,
                links: self.media_views(),
                pings: Some(self.standing.pings(now, timing.deadping)).filter(|pings| pings.1 > 0),
                unservable,
                watchdog: self.watchdog.in_words(),
                reason: reason
                    .or_else(|| self.alone.verdict.clone().filter(|_| !self.keeping.confirmed))
                    .or_else(|| self.left_out_reason(name))
                    .or_else(|| self.part(name)),
            };
        }
        let Some(peer) = self.members.peer(name) else { return stranger(name) };
        let claimed = peer.claimed.as_ref();
        let state = match peer.liveness {
            Liveness::NeverSeen => "never-seen",
            Liveness::OneWay => "one-way",
            Liveness::Dead => "dead",
            Liveness::Alive if self.leaving.contains(name) => "leaving",
            Liveness::Alive => match claimed.map(|claimed| claimed.status) {
                Some(hearth_wire::NodeStatus::Active) => "active",
                Some(hearth_wire::NodeStatus::Leaving) => "leaving",
                Some(hearth_wire::NodeStatus::Up) => "up",
                _ => "init",
            },
        };
        let heard = peer.last_heard_at > Timestamp::ZERO;
        let why = peer.is_cloned().then(|| "two machines use this name".to_owned());
        let why = why.or_else(|| self.says_it_cannot_write(name).then(|| "it cannot write its state".to_owned()));
        NodeView {
            name: name.to_string(),
            state: state.to_owned(),
            online: peer.is_alive() && admitted && !self.says_it_cannot_write(name),
            unclean,
            local,
            heard_ms: heard.then(|| now.since(peer.last_heard_at).as_millis() as u64),
            links: self.peer_links(name),
            pings: claimed.map(|claimed| claimed.pings).filter(|pings| pings.1 > 0),
            unservable,
            watchdog: claimed
                .filter(|_| peer.is_alive())
                .and_then(|claimed| claimed.watchdog.as_ref())
                .map(crate::watchdog::in_words),
            reason: reason
                .or(why)
                .or_else(|| self.refusal_of(name))
                .or_else(|| self.rolled_back_reason(name))
                .or_else(|| self.left_out_reason(name))
                .or_else(|| self.part(name)),
        }
    }

    fn media_views(&self) -> Vec<LinkView> {
        let view = |(position, medium): (usize, &Medium)| {
            let trouble = self.media_trouble.get(&(position as u8)).cloned();
            LinkView {
                name: medium_name(medium),
                state: if trouble.is_some() { "dead" } else { "up" }.to_owned(),
                loss_permille: 0,
                rtt_us: None,
                jitter_us: None,
                trouble,
            }
        };
        self.config.cluster.media.iter().enumerate().map(view).collect()
    }

    fn peer_links(&self, name: &NodeName) -> Vec<LinkView> {
        let Some(peer) = self.members.peer(name) else { return Vec::new() };
        let mut views = Vec::new();
        for position in 0..self.config.cluster.media.len() {
            let link = LinkId(position as u8);
            if self.canonical(link) != Some(link) {
                continue;
            }
            let state = peer.links.get(&link);
            let measured = |value: u64| (value > 0).then_some(value);
            views.push(LinkView {
                name: self.link_name(link),
                state: if state.is_some_and(|state| state.up) { "up" } else { "dead" }.to_owned(),
                loss_permille: state.map_or(0, |state| state.loss_permille()),
                rtt_us: state.and_then(|state| measured(state.rtt_us)),
                jitter_us: state.and_then(|state| measured(state.jitter_us)),
                trouble: self.media_trouble.get(&link.0).cloned(),
            });
        }
        views
    }

    pub(crate) fn groups_started(&self) -> bool {
        let state = |record: &Record, group: &GroupSpec| self.group_state(record, group) == "started";
        self.ledger.record().is_none_or(|record| record.model.groups.iter().all(|group| state(record, group)))
    }

    fn group_views(&self, record: Option<&Record>) -> Vec<GroupView> {
        let Some(record) = record else { return Vec::new() };
        let plan = hearth_scheduler::plan(record, &self.alive());
        let view = |group: &GroupSpec| {
            let assignment = record.assignments.get(&group.id);
            let placement = plan.placements.iter().find(|placement| placement.group == group.id);
            let blocked = placement.and_then(|placement| placement.blocked.clone());
            let planned = placement.map(|placement| placement.reason.clone());
            let reason = assignment.map(|assignment| assignment.reason.clone()).or(planned).unwrap_or_default();
            let state = self.group_state(record, group);
            let waits = group.resources.iter().find_map(|it| self.waiting.get(&it.id).cloned());
            let reason = match state {
                "started" => reason,
                state => self.with_way_out(record, group, state, blocked.or(waits).unwrap_or(reason)),
            };
            GroupView {
                id: group.id.to_string(),
                state: state.to_owned(),
                node: assignment.map(|assignment| assignment.node.to_string()),
                preferred: group.preferred.iter().map(ToString::to_string).collect(),
                resources: group.resources.iter().map(|it| it.id.to_string()).collect(),
                reason,
            }
        };
        record.model.groups.iter().map(view).collect()
    }

    fn group_state(&self, record: &Record, group: &GroupSpec) -> &'static str {
        let states: Vec<&str> = group.resources.iter().map(|it| self.resource_state(record, it).0).collect();
        let assigned = record.assignments.contains_key(&group.id);
        // What a lost machine ran is not known to run, and nobody else may start it yet (R-TAKE-2, R-TAKE-3).
        let holder = record.assignments.get(&group.id).and_then(|it| record.nodes.get(&it.node));
        let holder_lost = holder.is_some_and(|node| node.member == MemberState::Lost);
        let kept_by_lost = !assigned && group.resources.iter().any(|it| record.waits_for_lost(it).is_some());
        if states.contains(&"blocked") || (holder_lost && states.contains(&"unknown")) || kept_by_lost {
            "blocked"
        } else if assigned && states.iter().all(|state| *state == "started") {
            "started"
        } else if states.contains(&"failed") {
            "failed"
        } else if assigned {
            "starting"
        } else if states.iter().all(|state| *state == "stopped") {
            "stopped"
        } else {
            "stopping"
        }
    }

    /// State of a resource and the node that it concerns.
    fn resource_state(&self, record: &Record, spec: &ResourceSpec) -> (&'static str, Option<NodeName>) {
        let group = record.model.resource(&spec.id).map(|(group, _)| &group.id);
        let wanted = group.and_then(|group| record.assignments.get(group)).map(|assignment| assignment.node.clone());
        let active: Vec<&NodeName> = record.active_nodes(&spec.id).collect();
        let node = wanted.clone().or_else(|| active.first().map(|node| (*node).clone()));
        let Some(node) = node else { return ("stopped", None) };
        let reported = record.states.get(&(spec.id.clone(), node.clone()));
        // Its start failed there and was cleaned up: nobody starts it again before that is cleared (R-TAKE-8).
        let failures = record.failure_count(&spec.id, &node, OpAction::Start);
        let given_up = failures > 0 && record.flag(&spec.id, &node).is_none();
        if node == self.local && !self.ledger.has_no_epoch() {
            let state = match self.executor.local_state(&spec.id) {
                LocalState::Unknown => "unknown",
                LocalState::Stopped if wanted.is_some() && given_up => "failed",
                LocalState::Stopped if wanted.is_some() => "starting",
                LocalState::Stopped => "stopped",
                LocalState::Starting => "starting",
                LocalState::Started => "started",
                LocalState::Stopping => "stopping",
                LocalState::Failed => "failed",
                LocalState::Blocked => "blocked",
            };
            return (state, Some(node));
        }
        let lost = record.nodes.get(&node).is_some_and(|it| it.member == MemberState::Lost);
        let state = match reported {
            Some(_) | None if lost && active.contains(&&node) => "unknown",
            Some(ResourceState::Started) if wanted.is_some() => "started",
            Some(ResourceState::Started) => "stopping",
            Some(ResourceState::Failed) => "failed",
            Some(ResourceState::Blocked) => "blocked",
            Some(ResourceState::Unknown) => "unknown",
            Some(ResourceState::Stopped) | None if wanted.is_some() && given_up => "failed",
            Some(ResourceState::Stopped) | None if wanted.is_some() => "starting",
            Some(ResourceState::Stopped) | None => "stopped",
        };
        (state, Some(node))
    }

    fn resource_views(&self, record: Option<&Record>) -> Vec<ResourceView> {
        let Some(record) = record else { return Vec::new() };
        let held = self.held_addresses();
        let model = record.model.resources().map(|(group, spec)| (group.id.to_string(), spec));
        let orphans = record.orphans.values().map(|spec| ("(removed)".to_owned(), spec));
        let view = |(group, spec): (String, &ResourceSpec)| {
            let (state, node) = self.resource_state(record, spec);
            let gate = spec.address().map(|_| match held.contains(&spec.id) {
                true if !self.config.is_gated() => "off",
                true if self.keeping.is_suspended() => "shut",
                true => "open",
                false => "shut",
            });
            ResourceView {
                id: spec.id.to_string(),
                agent: format!("{}:{}", spec.class, spec.agent),
                state: state.to_owned(),
                node: node.map(|node| node.to_string()),
                may_be_active: record.active_nodes(&spec.id).map(ToString::to_string).collect(),
                group,
                gate: gate.map(str::to_owned),
            }
        };
        model.chain(orphans).map(view).collect()
    }

    fn ping_views(&self, now: Timestamp) -> Vec<PingView> {
        let deadping = self.config.cluster.timing.deadping;
        let view = |(name, reached, age): (String, bool, Option<Duration>)| PingView {
            name,
            reached,
            heard_ms: age.map(|age| age.as_millis() as u64),
        };
        self.standing.targets(now, deadping).into_iter().map(view).collect()
    }

    fn wait_views(&self) -> Vec<WaitView> {
        let waiting = self.waiting.iter();
        waiting.map(|(id, reason)| WaitView { resource: id.to_string(), reason: reason.clone() }).collect()
    }

    fn notes(&self, now: Timestamp) -> Vec<String> {
        let mut notes = self.flap_notes();
        if let Some(overlap) = self.alone.overlap {
            notes.push(format!(
                "A split was healed: there may have been two owners for up to {} ms.",
                overlap.as_millis()
            ));
        }
        if self.keeping.is_isolated() {
            notes.push("No interface of this node has carrier: it holds nothing.".to_owned());
        }
        notes.extend(self.watchdog.note());
        notes.extend(self.self_fence_note(now));
        notes.extend(self.slot.note());
        notes.extend(self.tiebreaker.note());
        notes.extend(self.note_counted_on());
        if let Some(trouble) = &self.gate_trouble {
            notes.push(format!("The kernel gate is not whole: {trouble}."));
        }
        for (name, peer) in self.members.peers().filter(|(_, peer)| peer.is_alive()) {
            let Some(claimed) = &peer.claimed else { continue };
            if claimed.digest.0 != self.digest.0 {
                notes.push(format!("ha.cf of {name} differs from ours in what must be equal: compare the files."));
            }
            if claimed.digest.1 != self.digest.1 {
                notes.push(format!(
                    "haresources of {name} differs from ours: what counts is the record; compare the files."
                ));
            }
        }
        if self.ledger.record().is_some_and(|record| record.digest != self.digest.1) {
            notes.push("haresources here differs from the record: `hearth reload` takes it over.".to_owned());
        }
        notes.extend(self.list_note());
        notes.extend(self.unlisted_notes(now));
        notes.extend(self.unsaid_fences());
        notes.extend(self.speech_note());
        for (reason, count) in &self.refused {
            notes.push(format!("{count} packets were refused: {reason}."));
        }
        notes
    }

    /// Newest first; moments on this node's own clock.
    fn failure_views(&self, now: Timestamp, record: Option<&Record>) -> Vec<FailureView> {
        let Some(record) = record else { return Vec::new() };
        let mut failures: Vec<_> = record.failures.iter().collect();
        failures.sort_by_key(|(_, failure)| std::cmp::Reverse(failure.index));
        let timeout = |resource: &ResourceId, node: &NodeName| self.failure_timeout_of(resource, node);
        let view = |((resource, node, action), failure): (&(ResourceId, NodeName, OpAction), &Failure)| {
            let times = self.failures.times(resource, node, *action, timeout);
            let ends_at = times.and_then(|(_, ends_at)| ends_at);
            FailureView {
                resource: resource.to_string(),
                node: node.to_string(),
                action: action.to_string(),
                code: failure.code,
                message: failure.message.clone(),
                count: failure.count,
                wall_ms: times.map_or(now, |(at, _)| at).0 / 1_000_000,
                forgotten_in_ms: ends_at.map(|at| at.since(now).as_millis() as u64),
            }
        };
        failures.into_iter().map(view).collect()
    }

    /// Explains one placement.
    pub(crate) fn why(&self, _now: Timestamp, name: &str) -> Reply {
        let Some(record) = self.ledger.record() else {
            let why = self.alone.verdict.clone().unwrap_or_else(|| "this node takes no part yet".to_owned());
            return Reply::Refused { reason: format!("nothing is agreed yet: {why}"), help: None, quorum: true };
        };
        let hit =
            |group: &&GroupSpec| group.id.as_str() == name || group.resources.iter().any(|it| it.id.as_str() == name);
        let part = |group: &&GroupSpec| {
            group.id.as_str().contains(name) || group.resources.iter().any(|it| it.id.as_str().contains(name))
        };
        let mut found: Vec<&GroupSpec> = record.model.groups.iter().filter(hit).collect();
        if found.is_empty() {
            found = record.model.groups.iter().filter(part).collect();
        }
        let [group] = found[..] else {
            let known: Vec<String> = record.model.resources().map(|(_, spec)| spec.id.to_string()).collect();
            let what = if found.is_empty() { "no group or resource is" } else { "more than one group is" };
            let help = Some(format!("there are: {}", known.join(", ")));
            return Reply::Refused { reason: format!("{what} named {name}"), help, quorum: false };
        };
        Reply::Why { why: self.explain(record, group, name) }
    }

    /// Why a group does not run, and what is done about it, or what somebody can do.
    fn with_way_out(&self, record: &Record, group: &GroupSpec, state: &str, why: String) -> String {
        self.group_waits_for_fence(record, group).unwrap_or_else(|| with_hands(record, group, state, why))
    }

    fn explain(&self, record: &Record, group: &GroupSpec, name: &str) -> Why {
        let plan = hearth_scheduler::plan(record, &self.alive());
        let placement = plan.placements.iter().find(|placement| placement.group == group.id);
        let assignment = record.assignments.get(&group.id);
        let state = self.group_state(record, group);
        let reason = assignment.map(|assignment| assignment.reason.clone());
        let blocked = placement.and_then(|placement| placement.blocked.clone());
        let waits = group.resources.iter().find_map(|it| self.waiting.get(&it.id).cloned());
        let answer = match (assignment, state) {
            (Some(assignment), "started") => {
                format!("{} runs on {}: {}.", group.id, assignment.node, reason.unwrap_or_default())
            }
            (Some(assignment), state) => {
                let why = waits.or(blocked).or(reason).unwrap_or_default();
                let why = self.with_way_out(record, group, state, why);
                format!("{} is {state} on {}: {why}.", group.id, assignment.node)
            }
            (None, state) => {
                let planned = placement.map(|placement| placement.reason.clone());
                let why = self.with_way_out(record, group, state, blocked.or(planned).unwrap_or_default());
                format!("{} is {state}: {why}.", group.id)
            }
        };
        let answer = answer + &forced_stops(record, group);
        let mut nodes = Vec::new();
        if let Some(assignment) = assignment {
            let (node, reason) = (assignment.node.to_string(), assignment.reason.clone());
            nodes.push(WhyNode { node, chosen: true, reason });
        }
        for (node, reason) in placement.map(|placement| placement.alternatives.clone()).unwrap_or_default() {
            if !nodes.iter().any(|known| known.node == node.as_str()) {
                nodes.push(WhyNode { node: node.to_string(), chosen: false, reason });
            }
        }
        let mut subjects: Vec<&str> = vec![group.id.as_str()];
        subjects.extend(group.resources.iter().map(|it| it.id.as_str()));
        let history = self.chronicle.chain(&subjects).iter().map(timeline_event).collect();
        Why { subject: name.to_owned(), answer, nodes, history }
    }
}

/// Why a group does not run, and what somebody can do about it where an operation has failed.
fn with_hands(record: &Record, group: &GroupSpec, state: &str, why: String) -> String {
    let lost = group.resources.iter().find_map(|it| record.waits_for_lost(it)).filter(|_| state == "blocked");
    if let Some(node) = lost {
        if record.nodes.get(node).is_some_and(|known| known.watchdog_ms.is_some()) {
            return format!("{why}; it is free by itself when the watchdog of {node} has reset it beyond doubt");
        }
        return format!("{why}; start {node}, or if it is off, say `hearth node confirm-off {node}`");
    }
    let of_group = |id: &ResourceId| group.resources.iter().any(|member| &member.id == id);
    let failed = |wanted: OpAction, count: u32| {
        let mut failures = record.failures.iter();
        failures
            .find(|((id, node, action), failure)| {
                // A stop that was forced is over: nothing is left to be done by hand.
                let open = *action != OpAction::Stop || is_blocked(record, id, node);
                *action == wanted && failure.count >= count && of_group(id) && open
            })
            .map(|((id, node, _), _)| (id, node))
    };
    match (state, failed(OpAction::Stop, 1)) {
        ("blocked" | "stopping" | "stopped", Some((id, node))) => {
            return format!("{why}; end {id} on {node} by hand, then `hearth clear {id}`");
        }
        ("failed" | "stopped" | "blocked", _) => {}
        _ => return why,
    }
    match failed(OpAction::Start, 1).or_else(|| failed(OpAction::Monitor, hearth_scheduler::MONITOR_FAILURES)) {
        Some((id, _)) => format!("{why}; mend {id}, then `hearth clear {id}`"),
        None => why,
    }
}

fn is_blocked(record: &Record, id: &ResourceId, node: &NodeName) -> bool {
    record.states.get(&(id.clone(), node.clone())) == Some(&ResourceState::Blocked)
}

/// Stops in a group that TERM or KILL had to finish (R-TAKE-8), as sentences behind others.
fn forced_stops(record: &Record, group: &GroupSpec) -> String {
    let of_group = |id: &ResourceId| group.resources.iter().any(|member| &member.id == id);
    let forced = record
        .failures
        .iter()
        .filter(|((id, node, action), _)| *action == OpAction::Stop && of_group(id) && !is_blocked(record, id, node));
    forced.map(|((id, node, _), failure)| format!(" The stop of {id} on {node} {}.", failure.message)).collect()
}

/// A configured node of which nothing is known.
fn stranger(name: &NodeName) -> NodeView {
    NodeView {
        name: name.to_string(),
        state: "never-seen".to_owned(),
        online: false,
        unclean: false,
        local: false,
        heard_ms: None,
        links: Vec::new(),
        pings: None,
        unservable: Vec::new(),
        watchdog: None,
        reason: None,
    }
}

fn medium_name(medium: &Medium) -> String {
    match medium {
        Medium::Ucast { interface, peer, .. } => format!("{interface} ucast {peer}"),
        Medium::Bcast { interface, .. } => format!("{interface} bcast"),
        Medium::Mcast { interface, group, .. } => format!("{interface} mcast {group}"),
        Medium::Mcast6 { interface, group, .. } => format!("{interface} mcast6 {group}"),
        Medium::Serial { device, .. } => format!("{device} serial"),
    }
}
