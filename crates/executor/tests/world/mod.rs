//! A machine with agents that do what the test says, under one executor and one record.
#![allow(dead_code, reason = "each test file uses its own part")]

use hearth_cib::{Entry, Record, Report, RequestId, Voter};
use hearth_executor::{
    AddressChange, Executor, ExecutorInput, ExecutorOutput, LocalState, NoteKind, Policy, Rights, StartedResource,
};
use hearth_types::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub const ME: &str = "a";
pub const PEER: &str = "b";
pub const ALL: Rights = Rights { keep: true, start: true, not_after: None };
pub const NOTHING: Rights = Rights { keep: false, start: false, not_after: None };

/// `10.0.0.1` is an address, `/srv` a file system, anything else a script; `mail` owns nothing.
pub fn resource(id: &str) -> ResourceSpec {
    let (class, kind, key) = match id.chars().next() {
        Some('0'..='9') => {
            let ip = id.parse().expect("an address");
            let spec = AddressSpec { ip, prefix: None, interface: None, label: None, broadcast: None };
            (AgentClass::Native, ResourceKind::Address(spec), format!("address:{id}"))
        }
        Some('/') => {
            let (device, fstype, options) = (format!("/dev{id}"), "ext4".to_string(), String::new());
            let kind = ResourceKind::Filesystem { device, directory: id.to_string(), fstype, options };
            (AgentClass::Native, kind, format!("mount:{id}"))
        }
        _ => (AgentClass::Lsb, ResourceKind::Script, format!("script:{id}")),
    };
    let owns = if id.starts_with("mail") { BTreeSet::new() } else { BTreeSet::from([key]) };
    ResourceSpec {
        id: id.into(),
        class,
        agent: id.to_string(),
        args: Vec::new(),
        kind,
        owns,
        timeouts: OpTimeouts::default(),
        monitor: Some(Duration::from_secs(10)),
        on_stop_fail: OnStopFail::Block,
        wire_check: true,
    }
}

/// `10.0.0.1 /srv web` is one group, named by its first member.
pub fn group(members: &str) -> GroupSpec {
    let resources: Vec<ResourceSpec> = members.split_whitespace().map(resource).collect();
    GroupSpec { id: resources[0].id.as_str().into(), preferred: vec![ME.into()], resources }
}

pub fn model(groups: &[&str]) -> ResourceModel {
    ResourceModel {
        groups: groups.iter().map(|it| group(it)).collect(),
        auto_failback: AutoFailback::Off,
        witnesses: Vec::new(),
    }
}

pub struct World {
    pub executor: Executor,
    pub incarnation: Incarnation,
    pub record: Record,
    /// As the executor has seen it last.
    pub shown: Record,
    pub now: Timestamp,
    pub rights: Rights,
    /// Operations under way, oldest first.
    pub ops: Vec<OpRequest>,
    pub cancelled: BTreeSet<OpId>,
    /// What really runs, with the parameters it was started with.
    pub runs: BTreeMap<ResourceId, Arc<ResourceSpec>>,
    /// Outputs since they were last taken.
    pub out: Vec<ExecutorOutput>,
    /// Reports that were sent and are not in the record.
    pub sent: Vec<hearth_executor::OutgoingReport>,
    /// What reports gave back, as the disk keeps it for the next daemon (R-TAKE-1).
    pub spent: BTreeMap<ResourceId, AssignmentId>,
    pub started: Vec<StartedResource>,
    pub need_wire: BTreeSet<ResourceId>,
    /// Orders in words, `start web`, since the beginning.
    pub history: Vec<String>,
    /// What the next operation that ends says besides.
    pub remark: Option<String>,
}

impl World {
    /// A world whose record has this node admitted and these groups, nothing assigned, nothing probed.
    pub fn new(groups: &[&str]) -> World {
        let epoch = EpochName { number: 1, founder: ME.into(), nonce: 1 };
        let record = Record::found(epoch, vec![Voter { name: ME.into(), identity: NodeIdentity(1) }]);
        let incarnation = Incarnation(11);
        let mut world = World {
            shown: record.clone(),
            executor: Executor::new(ME.into(), incarnation),
            incarnation,
            record,
            now: Timestamp(1_000_000_000_000),
            rights: NOTHING,
            ops: Vec::new(),
            cancelled: BTreeSet::new(),
            runs: BTreeMap::new(),
            out: Vec::new(),
            sent: Vec::new(),
            spent: BTreeMap::new(),
            started: Vec::new(),
            need_wire: BTreeSet::new(),
            history: Vec::new(),
            remark: None,
        };
        world.decide(Entry::Configure { model: model(groups), digest: 1, nodes: vec![ME.into(), PEER.into()] });
        world.decide(Entry::Admit { node: PEER.into(), identity: NodeIdentity(2), incarnation: Incarnation(22) });
        world.decide(Entry::Probed { node: PEER.into(), incarnation: Incarnation(22) });
        world.decide(Entry::Admit { node: ME.into(), identity: NodeIdentity(1), incarnation });
        world
    }

    /// The same, probed, with all rights.
    pub fn ready(groups: &[&str]) -> World {
        let mut world = World::new(groups);
        world.rights(ALL);
        world.show();
        world.run();
        world
    }

    /// The same, with the first group assigned here and running.
    pub fn running(groups: &[&str]) -> World {
        let mut world = World::ready(groups);
        for members in groups {
            world.assign(group(members).id.as_str());
        }
        world.run();
        world.history.clear();
        world.out.clear();
        world
    }

    pub fn handle(&mut self, input: ExecutorInput<'_>) {
        let mut out = Vec::new();
        self.executor.handle(self.now, input, &mut out);
        for output in &out {
            self.obey(output);
        }
        self.out.extend(out);
    }

    fn obey(&mut self, output: &ExecutorOutput) {
        match output {
            ExecutorOutput::StartOp(op) => {
                let busy = self.ops.iter().any(|other| other.resource.id == op.resource.id);
                assert!(!busy, "two operations on {} at once", op.resource.id);
                self.history.push(format!("{} {}", op.action, op.resource.id));
                self.check_start(op);
                self.ops.push(op.clone());
            }
            ExecutorOutput::CancelOp(id) => {
                assert!(self.cancelled.insert(*id), "cancelled twice");
            }
            ExecutorOutput::Report(report) => {
                if report.spends() {
                    self.spent.insert(report.resource.clone(), report.upto);
                }
                self.sent.push(report.clone());
            }
            ExecutorOutput::Started(started) => self.started = started.clone(),
            ExecutorOutput::NeedWire(need) => self.need_wire = need.clone(),
            ExecutorOutput::ProbesDone => {
                let entry = Entry::Probed { node: ME.into(), incarnation: self.incarnation };
                self.decide(entry);
            }
            _ => {}
        }
    }

    /// What no start may ever break.
    fn check_start(&self, op: &OpRequest) {
        if op.action != OpAction::Start {
            return;
        }
        let id = &op.resource.id;
        assert!(self.rights.keep && self.rights.start, "{id} started without the right to");
        assert!(self.shown.wants(id, &ME.into()).is_some(), "{id} started without an assignment");
        assert!(!self.need_wire.contains(id) || self.wire_was_clear(id), "{id} taken without asking the wire");
        // An address that is put back is no start: what stands before it is not its matter.
        if self.executor.local_state(id) == LocalState::Starting {
            let (group, _) = self.shown.model.resource(id).expect("started out of nothing");
            for before in group.resources.iter().take_while(|member| &member.id != id) {
                let state = self.executor.local_state(&before.id);
                assert_eq!(state, LocalState::Started, "{id} starts before {}", before.id);
            }
        }
    }

    fn wire_was_clear(&self, id: &ResourceId) -> bool {
        self.history.iter().rev().any(|line| line == &format!("clear {id}"))
    }

    pub fn decide(&mut self, entry: Entry) {
        let index = self.record.applied.next();
        self.record.apply(index, &entry).unwrap_or_else(|why| panic!("{entry:?} refused: {why}"));
    }

    pub fn try_decide(&mut self, entry: Entry) -> bool {
        let index = self.record.applied.next();
        self.record.apply(index, &entry).is_ok()
    }

    pub fn show(&mut self) {
        let record = self.record.clone();
        self.shown = record.clone();
        self.handle(ExecutorInput::RecordChanged(&record));
    }

    pub fn rights(&mut self, rights: Rights) {
        self.rights = rights;
        self.handle(ExecutorInput::Rights(rights));
    }

    pub fn stop_all_on_loss(&mut self) {
        self.handle(ExecutorInput::Policy(Policy { stop_all_on_loss: true, lifetime: Some(Duration::from_secs(2)) }));
    }

    pub fn assign(&mut self, group: &str) {
        self.decide(Entry::Assign { group: group.into(), node: ME.into(), reason: "test".into() });
        self.show();
    }

    pub fn unassign(&mut self, group: &str) {
        self.decide(Entry::Unassign { group: group.into(), reason: "test".into() });
        self.show();
    }

    pub fn configure(&mut self, groups: &[&str]) {
        self.configure_as(model(groups));
    }

    pub fn configure_as(&mut self, model: ResourceModel) {
        self.decide(Entry::Configure { model, digest: 2, nodes: vec![ME.into(), PEER.into()] });
        self.show();
    }

    pub fn disturb(&mut self, id: &str, change: AddressChange) {
        if change != AddressChange::LifetimeChanged {
            self.runs.remove(&ResourceId::from(id));
        }
        self.handle(ExecutorInput::AddressChanged { resource: id.into(), change });
    }

    pub fn wire(&mut self, id: &str, answered_by: Option<&str>) {
        let clear = answered_by.is_none();
        if clear {
            self.history.push(format!("clear {id}"));
        }
        let answered_by = answered_by.map(String::from);
        self.handle(ExecutorInput::WireClear { resource: id.into(), clear, answered_by });
    }

    /// Ends one operation with its real effect.
    pub fn finish_at(&mut self, position: usize, outcome: Option<OpOutcome>) {
        let op = self.ops.remove(position);
        let id = op.resource.id.clone();
        let cancelled = self.cancelled.remove(&op.id);
        let done = match op.action {
            OpAction::Start if cancelled => OpOutcome::Cancelled,
            OpAction::Probe | OpAction::Monitor if self.runs.contains_key(&id) => OpOutcome::Ok,
            OpAction::Probe | OpAction::Monitor => OpOutcome::NotRunning,
            OpAction::Start | OpAction::Stop => OpOutcome::Ok,
        };
        let outcome = outcome.unwrap_or(done);
        match (&outcome, op.action) {
            (OpOutcome::Ok, OpAction::Start) => drop(self.runs.insert(id, op.resource.clone())),
            // A start that was given up may have had its effect.
            (OpOutcome::Cancelled | OpOutcome::TimedOut { .. }, OpAction::Start) => {
                drop(self.runs.insert(id, op.resource.clone()))
            }
            (OpOutcome::Ok, OpAction::Stop) => drop(self.runs.remove(&id)),
            _ => {}
        }
        let remark = self.remark.take();
        self.handle(ExecutorInput::OpFinished(OpResult { id: op.id, outcome, took: Duration::from_millis(3), remark }));
    }

    /// Ends the operation `start web` ... with its real effect, or as told.
    pub fn finish(&mut self, what: &str, outcome: Option<OpOutcome>) {
        let is = |op: &OpRequest| format!("{} {}", op.action, op.resource.id) == what;
        let position = self.ops.iter().position(is).unwrap_or_else(|| panic!("no {what} among {:?}", self.under_way()));
        self.finish_at(position, outcome);
    }

    pub fn fail(&mut self, what: &str) {
        self.finish(what, Some(OpOutcome::Failed { code: Some(1), message: "no".into() }));
    }

    pub fn under_way(&self) -> Vec<String> {
        self.ops.iter().map(|op| format!("{} {}", op.action, op.resource.id)).collect()
    }

    /// Brings the oldest reports into the record, as the DC would.
    pub fn deliver(&mut self) {
        let waiting: Vec<_> = self.executor.unconfirmed_reports().cloned().collect();
        if waiting.is_empty() {
            return;
        }
        for report in waiting {
            let node = self.record.nodes[&NodeName::from(ME)].clone();
            if report.number <= node.reported || node.incarnation != self.incarnation {
                continue;
            }
            self.decide(Entry::Report(Report {
                node: ME.into(),
                incarnation: self.incarnation,
                number: report.number,
                resource: report.resource,
                upto: report.upto,
                what: report.what,
            }));
        }
        self.show();
    }

    /// Lets everything that is under way end well until nothing is.
    pub fn run(&mut self) {
        for _ in 0..200 {
            if !self.ops.is_empty() {
                self.finish_at(0, None);
            } else if self.executor.unconfirmed_reports().next().is_some() {
                self.deliver();
            } else if self.record.applied != self.shown.applied {
                self.show();
            } else {
                return;
            }
        }
        panic!("does not come to rest; under way: {:?}", self.under_way());
    }

    /// Moves time to the next deadline.
    pub fn next(&mut self) -> bool {
        let Some((at, _)) = self.executor.next_deadline() else { return false };
        assert!(at > self.now, "a deadline that is due already: the driver would spin");
        self.now = at;
        self.handle(ExecutorInput::Deadline);
        true
    }

    pub fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while self.executor.next_deadline().is_some_and(|(at, _)| at <= until) {
            self.next();
        }
        self.now = until;
    }

    /// The daemon dies and another one comes up, with what lies in /run and the record on disk.
    pub fn restart(&mut self) {
        self.ops.clear();
        self.cancelled.clear();
        self.sent.clear();
        self.need_wire.clear();
        self.incarnation = Incarnation(self.incarnation.0 + 100);
        self.executor = Executor::new(ME.into(), self.incarnation);
        self.executor.remember_spent(self.record.epoch.clone(), self.spent.clone());
        self.rights = Rights { keep: true, start: false, not_after: None };
        let adoptable = self.started.clone();
        self.handle(ExecutorInput::Started { adoptable });
        self.show();
    }

    pub fn admit(&mut self) {
        self.decide(Entry::Admit { node: ME.into(), identity: NodeIdentity(1), incarnation: self.incarnation });
        self.show();
    }

    pub fn running_ids(&self) -> Vec<String> {
        self.runs.keys().map(ToString::to_string).collect()
    }

    pub fn reports(&self) -> Vec<String> {
        self.sent.iter().map(|it| format!("{} {:?}", it.resource, it.what)).collect()
    }

    pub fn noted(&self, kind: NoteKind) -> usize {
        self.out.iter().filter(|it| matches!(it, ExecutorOutput::Note(note) if note.kind == kind)).count()
    }

    pub fn waits(&self, id: &str) -> Option<String> {
        self.out.iter().rev().find_map(|it| match it {
            ExecutorOutput::Waiting { resource, reason } if resource.as_str() == id => Some(reason.clone()),
            _ => None,
        })?
    }
}

pub fn request(number: u64) -> RequestId {
    RequestId { origin: ME.into(), incarnation: Incarnation(11), number }
}
