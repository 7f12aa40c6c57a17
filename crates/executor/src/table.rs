//! The machine of one resource as a table: every state that can be reached, every event in it, what comes of it.
//!
//! Nothing of it is written by hand: from a daemon that has just started, every event is tried in every state that was
//! found, until there are no new ones. The DC answers at once, which keeps the states few.

#[path = "../../../tests/tables/table.rs"]
mod grid;

use crate::local::{Local, State, Why};
use crate::*;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use grid::{Cells, compare};
use hearth_cib::{Entry, MemberState, Record, Report, ReportKind, Voter};
use hearth_types::*;

const ME: &str = "a";
const RUN: Incarnation = Incarnation(11);
const ALL: Rights = Rights { keep: true, start: true, not_after: None };
/// More would be a machine that counts something: it is to be left out of [`Machine::fingerprint`].
const STATES_MAX: usize = 20_000;

/// Everything that can happen.
#[derive(Clone, Debug)]
enum Event {
    Ends(OpOutcome),
    Address(AddressChange),
    Home(bool),
    Wire(bool),
    Wanted,
    Unwanted,
    Changed,
    Lost,
    BackIn,
    RivalWon,
    Rights(Rights),
    Time,
    MonitorDue,
    StopEverything,
}

fn failed(code: i32) -> OpOutcome {
    OpOutcome::Failed { code: Some(code), message: "no".into() }
}

fn events() -> Vec<Event> {
    let ends = [
        OpOutcome::Ok,
        OpOutcome::NotRunning,
        failed(1),
        failed(5),
        OpOutcome::TimedOut { message: String::new() },
        OpOutcome::Cancelled,
    ];
    let changes =
        [AddressChange::Removed, AddressChange::Expired, AddressChange::LifetimeChanged, AddressChange::InterfaceGone];
    let rights = [ALL, Rights { start: false, ..ALL }, Rights { keep: false, start: false, not_after: None }];
    let mut events: Vec<Event> = ends.into_iter().map(Event::Ends).collect();
    events.extend(changes.into_iter().map(Event::Address));
    events.extend([false, true].into_iter().flat_map(|it| [Event::Home(it), Event::Wire(it)]));
    events.extend(rights.into_iter().map(Event::Rights));
    events.extend([Event::Wanted, Event::Unwanted, Event::Changed, Event::Lost, Event::BackIn, Event::RivalWon]);
    events.extend([Event::Time, Event::MonitorDue, Event::StopEverything]);
    events
}

/// In words. Complete by the compiler, and every one of these must come to pass in a table.
fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Ends(OpOutcome::Ok) => "it ends well",
        Event::Ends(OpOutcome::NotRunning) => "it ends: not running",
        Event::Ends(OpOutcome::Failed { code: Some(5), .. }) => "it ends: not installed",
        Event::Ends(OpOutcome::Failed { .. }) => "it fails",
        Event::Ends(OpOutcome::TimedOut { .. }) => "it takes too long",
        Event::Ends(OpOutcome::Cancelled) => "it ends cancelled",
        Event::Address(AddressChange::Removed) => "kernel: removed by somebody",
        Event::Address(AddressChange::Expired) => "kernel: lifetime ran out",
        Event::Address(AddressChange::LifetimeChanged) => "kernel: lifetime changed",
        Event::Address(AddressChange::InterfaceGone) => "kernel: interface gone",
        Event::Home(false) => "no interface for it",
        Event::Home(true) => "an interface for it",
        Event::Wire(false) => "wire: somebody answers",
        Event::Wire(true) => "wire: silent",
        Event::Wanted => "record: assigned here",
        Event::Unwanted => "record: not assigned any more",
        Event::Changed => "record: other parameters",
        Event::Lost => "record: this node is lost",
        Event::BackIn => "record: admitted again",
        Event::RivalWon => "record: that of a rival",
        Event::Rights(Rights { keep: true, start: true, .. }) => "rights: all",
        Event::Rights(Rights { keep: true, start: false, .. }) => "rights: keep, start nothing",
        Event::Rights(Rights { keep: false, .. }) => "rights: none",
        Event::Time => "a deadline",
        Event::MonitorDue => "a monitor is due",
        Event::StopEverything => "stop everything",
    }
}

/// In words. Complete by the compiler: a state that is added stands in the table or fails the test.
fn state_name(state: &State) -> &'static str {
    match state {
        State::Unknown => "unknown",
        State::Stopped => "stopped",
        State::Running => "running",
        State::Gone => "gone",
        State::Dirty(Why::StartFailed { .. }) => "dirty (start failed)",
        State::Dirty(Why::Cancelled) => "dirty (start given up)",
        State::Dirty(Why::Failed) => "dirty (failed)",
    }
}

/// What of all this an input is made of. Complete by the compiler: an input that is added needs its events.
fn has_event(input: &ExecutorInput<'_>) -> bool {
    match input {
        ExecutorInput::RecordChanged(_)
        | ExecutorInput::Rights(_)
        | ExecutorInput::OpFinished(_)
        | ExecutorInput::AddressChanged { .. }
        | ExecutorInput::AddressHome { .. }
        | ExecutorInput::WireClear { .. }
        | ExecutorInput::Deadline
        | ExecutorInput::StopEverything => true,
        // From configuration; and what the machine begins with.
        ExecutorInput::Policy(_) | ExecutorInput::Started { .. } => false,
    }
}

fn spec(address: bool, args: &[&str]) -> ResourceSpec {
    let ip = "10.0.0.1";
    let kind = match address {
        true => ResourceKind::Address(AddressSpec {
            ip: ip.parse().expect("an address"),
            prefix: None,
            interface: None,
            label: None,
            broadcast: None,
        }),
        false => ResourceKind::Script,
    };
    ResourceSpec {
        id: if address { ip } else { "web" }.into(),
        class: AgentClass::Native,
        agent: "agent".into(),
        args: args.iter().map(ToString::to_string).collect(),
        kind,
        owns: BTreeSet::from(["key".to_string()]),
        timeouts: OpTimeouts::default(),
        monitor: Some(Duration::from_secs(10)),
        on_stop_fail: OnStopFail::Block,
        wire_check: true,
    }
}

fn model(spec: ResourceSpec) -> ResourceModel {
    let group = GroupSpec { id: "g".into(), preferred: vec![ME.into()], resources: vec![spec] };
    ResourceModel { groups: vec![group], auto_failback: AutoFailback::Off, witnesses: Vec::new() }
}

/// One node with one resource, and a DC that applies what it says at once.
#[derive(Clone)]
struct Machine {
    executor: Executor,
    record: Record,
    address: bool,
    now: Timestamp,
}

impl Machine {
    fn new(address: bool, left: bool) -> Machine {
        let executor = Executor::new(ME.into(), RUN);
        let now = Timestamp::ZERO + Duration::from_secs(1000);
        let mut it = Machine { executor, record: Machine::record(address, 1), address, now };
        if left {
            let spec = spec(address, &[]);
            it.handle(ExecutorInput::Started { adoptable: vec![StartedResource { spec, group: None, position: 0 }] });
        }
        let record = it.record.clone();
        it.handle(ExecutorInput::RecordChanged(&record));
        it
    }

    fn record(address: bool, epoch: u64) -> Record {
        let name = EpochName { number: epoch, founder: ME.into(), nonce: epoch };
        let mut record = Record::found(name, vec![Voter { name: ME.into(), identity: NodeIdentity(1) }]);
        let entries = [
            Entry::Configure { model: model(spec(address, &[])), digest: 1, nodes: vec![ME.into(), "b".into()] },
            Entry::Admit { node: ME.into(), identity: NodeIdentity(1), incarnation: RUN },
        ];
        for entry in entries {
            record.apply(record.applied.next(), &entry).expect("a new record");
        }
        record
    }

    fn id(&self) -> ResourceId {
        spec(self.address, &[]).id
    }

    fn it(&self) -> &Local {
        &self.executor.resources[&self.id()]
    }

    /// Told in words, the DC's answers included.
    fn handle(&mut self, input: ExecutorInput<'_>) -> Vec<String> {
        assert!(has_event(&input) || self.executor.record.is_none(), "only in the beginning");
        let (mut out, mut words) = (Vec::new(), Vec::new());
        self.executor.handle(self.now, input, &mut out);
        let mut decided = false;
        for output in out {
            if let ExecutorOutput::StartOp(op) = &output
                && op.action == OpAction::Start
            {
                let (rights, kept) = (self.executor.rights, self.executor.kept);
                let may = rights.start && kept && self.executor.wanted(&self.id()) && self.it().home;
                assert!(may, "started without the right to");
            }
            let stays = self.executor.kept && self.executor.wanted(&self.id());
            assert!(stays || !matches!(output, ExecutorOutput::Announce { .. }), "clients led to what is given up");
            words.extend(self.words(&output));
            decided |= self.decide(output);
        }
        if decided {
            let record = self.record.clone();
            words.extend(self.handle(ExecutorInput::RecordChanged(&record)));
        }
        let answers = !self.executor.running_addresses().is_empty();
        assert!(!answers || self.executor.kept, "an address answers without the right to");
        words
    }

    fn decide(&mut self, output: ExecutorOutput) -> bool {
        let entry = match output {
            ExecutorOutput::Report(OutgoingReport { number, resource, upto, what }) => {
                Entry::Report(Report { node: ME.into(), incarnation: RUN, number, resource, upto, what })
            }
            ExecutorOutput::ProbesDone => Entry::Probed { node: ME.into(), incarnation: RUN },
            _ => return false,
        };
        self.record.apply(self.record.applied.next(), &entry).expect("what a node says is taken");
        true
    }

    /// Complete by the compiler: an order that is added is told.
    fn words(&self, output: &ExecutorOutput) -> Option<String> {
        let words = match output {
            ExecutorOutput::StartOp(op) => op.action.to_string(),
            ExecutorOutput::CancelOp(_) => "cancel".into(),
            ExecutorOutput::Report(report) => match &report.what {
                ReportKind::Started => "says started".into(),
                ReportKind::Stopped => "says stopped".into(),
                ReportKind::NotRunning => "says not running".into(),
                ReportKind::Running => "says running".into(),
                ReportKind::ProbeFailed { .. } => "says may run".into(),
                ReportKind::StartFailed { .. } => "says start failed".into(),
                ReportKind::StopFailed { .. } => "says stop failed".into(),
                ReportKind::MonitorFailed { .. } => "says monitor failed".into(),
                ReportKind::StopForced { .. } => "says stop forced".into(),
            },
            ExecutorOutput::ProbesDone => "says all is probed".into(),
            ExecutorOutput::Shut(_) => "shut".into(),
            ExecutorOutput::Announce { burst: true, .. } => "announce, a burst".into(),
            ExecutorOutput::Announce { burst: false, .. } => "announce".into(),
            ExecutorOutput::NeedWire(need) if !need.is_empty() => "ask the wire".into(),
            // For people, and for the next daemon.
            ExecutorOutput::NeedWire(_)
            | ExecutorOutput::Waiting { .. }
            | ExecutorOutput::Note(_)
            | ExecutorOutput::Started(_) => return None,
        };
        Some(words)
    }

    /// None: it cannot happen now.
    fn happen(&mut self, event: &Event) -> Option<Vec<String>> {
        let resource = self.id();
        let input = match event {
            Event::Ends(outcome) => {
                let op = self.it().op.as_ref()?;
                let runs = matches!(op.action, OpAction::Start | OpAction::Stop);
                if runs && *outcome == OpOutcome::NotRunning {
                    return None;
                }
                let took = Duration::from_millis(10);
                ExecutorInput::OpFinished(OpResult { id: op.id, outcome: outcome.clone(), took, remark: None })
            }
            Event::Address(change) if self.address => ExecutorInput::AddressChanged { resource, change: *change },
            Event::Home(present) if self.address => ExecutorInput::AddressHome { resource, present: *present },
            Event::Wire(clear) if self.executor.need_wire.contains(&resource) => {
                ExecutorInput::WireClear { resource, clear: *clear, answered_by: (!clear).then(|| "02:..".into()) }
            }
            Event::Address(_) | Event::Home(_) | Event::Wire(_) => return None,
            Event::Rights(rights) => ExecutorInput::Rights(*rights),
            Event::Time => {
                self.now = self.executor.next_deadline()?.0;
                ExecutorInput::Deadline
            }
            Event::MonitorDue => {
                let due =
                    self.it().monitor_at.filter(|_| self.it().op.is_none() && self.it().state == State::Running)?;
                self.now = self.now.max(due);
                ExecutorInput::Deadline
            }
            Event::StopEverything => ExecutorInput::StopEverything,
            Event::Wanted | Event::Unwanted | Event::Changed | Event::Lost | Event::BackIn => {
                let entry = self.entry(event)?;
                self.record.apply(self.record.applied.next(), &entry).ok()?;
                let record = self.record.clone();
                return Some(self.handle(ExecutorInput::RecordChanged(&record)));
            }
            Event::RivalWon => {
                self.record = Machine::record(self.address, self.record.epoch.number + 1);
                let record = self.record.clone();
                return Some(self.handle(ExecutorInput::RecordChanged(&record)));
            }
        };
        Some(self.handle(input))
    }

    fn entry(&self, event: &Event) -> Option<Entry> {
        let node = self.record.nodes.get(&NodeName::from(ME))?;
        Some(match event {
            Event::Wanted => Entry::Assign { group: "g".into(), node: ME.into(), reason: "test".into() },
            Event::Unwanted => Entry::Unassign { group: "g".into(), reason: "test".into() },
            Event::Lost => Entry::Lost { node: ME.into(), admission: node.admission },
            Event::BackIn if node.member == MemberState::Lost => {
                Entry::Admit { node: ME.into(), identity: NodeIdentity(1), incarnation: RUN }
            }
            Event::Changed => {
                let changed = self.record.spec(&self.id())?.args.is_empty();
                let spec = spec(self.address, if changed { &["other"] } else { &[] });
                Entry::Configure { model: model(spec), digest: 1, nodes: vec![ME.into(), "b".into()] }
            }
            _ => return None,
        })
    }

    /// The state as the table calls it.
    fn name(&self) -> String {
        let it = self.it();
        let doing = match it.op.as_ref().map(|op| (op.action, op.cancelled)) {
            None => String::new(),
            Some((action, false)) => format!(", {action} under way"),
            Some((action, true)) => format!(", {action} being cancelled"),
        };
        let intent = match (self.executor.wanted(&self.id()), self.executor.kept) {
            (true, true) if self.executor.rights.start => "to run",
            (true, true) => "to run, nothing may be started",
            (true, false) if !self.address => "to be left as it is",
            _ => "to be stopped",
        };
        format!("{}{doing}; {intent}", state_name(&it.state))
    }

    /// What decides, without what counts, grows older, or only says when.
    fn fingerprint(&self) -> String {
        let (id, it, now) = (self.id(), self.it(), self.now);
        let node = &self.record.nodes[&NodeName::from(ME)];
        let flag = self.record.flag(&id, &ME.into());
        format!(
            "{} {:?} {:?} {:?} {:?} {:?}",
            self.name(),
            (it.changed(), it.restarting, it.taken, (it.wire_owed, it.withdrawn), it.disturbed.is_some(), it.home),
            (it.retry_at > now, it.stop_retry_at > now, it.started_at.is_some(), self.executor.wire.contains_key(&id)),
            (self.executor.rights.start, self.executor.kept, self.executor.stop_everything),
            (node.member, node.probed, self.record.check_wire.contains(&id), self.executor.adoptable.len()),
            (flag.is_some(), flag.is_some_and(|flag| flag <= it.spent)),
        )
    }
}

/// What is another in the state than before.
fn changed(before: &str, after: &str) -> Vec<String> {
    let halves = before.split("; ").zip(after.split("; "));
    let new: Vec<&str> = halves.filter(|(before, after)| before != after).map(|(_, after)| after).collect();
    if new.is_empty() { Vec::new() } else { vec![format!("-> {}", new.join("; "))] }
}

fn explore(address: bool) -> Cells {
    let (events, mut cells, mut known) = (events(), Cells::default(), BTreeSet::new());
    let mut open: VecDeque<Machine> = [false, true].map(|left| Machine::new(address, left)).into();
    while let Some(machine) = open.pop_front() {
        for event in &events {
            let mut next = machine.clone();
            let Some(orders) = next.happen(event) else { continue };
            let mut parts = changed(&machine.name(), &next.name());
            if !orders.is_empty() {
                parts.push(format!("[{}]", orders.join(", ")));
            }
            let outcome = if parts.is_empty() { "-".into() } else { parts.join("  ") };
            cells.note(&machine.name(), event_name(event), outcome);
            if known.insert(next.fingerprint()) {
                open.push_back(next);
            }
        }
        assert!(known.len() < STATES_MAX, "{} states and no end: something counts", known.len());
    }
    cells
}

#[test]
fn every_state_of_a_resource_and_every_event() {
    let tables = [(true, "executor-address.txt"), (false, "executor-service.txt")];
    let found = tables.map(|(address, file)| (explore(address), file));
    for event in events() {
        let name = event_name(&event);
        assert!(found.iter().any(|(cells, _)| cells.has_event(name)), "{name}: stands in no table");
    }
    let failure = || Why::StartFailed { code: None, message: String::new() };
    let states = [State::Unknown, State::Stopped, State::Running, State::Gone, State::Dirty(failure())];
    for state in states.into_iter().chain([Why::Cancelled, Why::Failed].map(State::Dirty)) {
        let name = state_name(&state);
        let stands = |cells: &Cells| cells.states().iter().any(|it| it.starts_with(name));
        assert!(found.iter().any(|(cells, _)| stands(cells)), "{name}: stands in no table");
    }
    for action in [OpAction::Probe, OpAction::Start, OpAction::Stop, OpAction::Monitor] {
        let doing = format!(", {action} under way");
        assert!(found.iter().all(|(cells, _)| cells.states().iter().any(|it| it.contains(&doing))), "{doing}: nowhere");
    }
    for (cells, file) in found {
        let head = "One resource on one node (crates/executor): what comes of every event in every state that can be reached.\n\
                    -> what is another in the state after it, [orders and reports, in order]. Where there are several, something else decides:\n\
                    whether it was ours before, whether the wire was asked, whether a retry is due, what the record shows.\n\
                    The DC takes every report at once. `to be stopped` is also what is not assigned and runs.";
        compare(file, head, &cells.print("-"));
    }
}
