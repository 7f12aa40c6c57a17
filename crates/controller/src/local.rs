//! This node's executor: what it is told, and what becomes of its orders.

use crate::node::Node;
use crate::{AddressChange, Output, Severity};
use hearth_cib::{Entry, Report};
use hearth_executor::{ExecutorInput, ExecutorOutput, NoteKind, OutgoingReport, Policy, Rights};
use hearth_ledger::Ledger;
use hearth_types::{AssignmentId, EpochName, OpResult, ResourceId, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// Span after which reports that the record does not show are sent again.
const RESEND: Duration = Duration::from_millis(500);

/// A machine that came back has looked what runs there: no probe takes longer.
const LOOKED_WITHIN: Duration = Duration::from_secs(20);

/// Up to which assignment each resource was given back.
type Spent = BTreeMap<ResourceId, AssignmentId>;

/// Name of the note that keeps them.
const SPENT: &str = "spent";

/// What was given back for good by this node, and in which epoch; none where nothing was.
pub(crate) fn spent_before(ledger: &Ledger) -> Option<(EpochName, Spent)> {
    ledger.note(SPENT).and_then(|text| serde_json::from_str(text).ok())
}

impl Node {
    fn tell(&mut self, now: Timestamp, input: ExecutorInput<'_>, out: &mut Vec<Output>) {
        let mut orders = Vec::new();
        self.executor.handle(now, input, &mut orders);
        for order in orders {
            self.carry_out_order(now, order, out);
        }
    }

    pub(crate) fn executor_policy(&self) -> Policy {
        Policy { stop_all_on_loss: true, lifetime: self.start_lifetime() }
    }

    /// What the daemon before us had started, and how to act: told once, before the first record.
    pub(crate) fn brief_executor(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let adoptable = self.keeping.inherited.clone();
        let policy = self.executor_policy();
        self.tell(now, ExecutorInput::Policy(policy), out);
        self.tell(now, ExecutorInput::Started { adoptable }, out);
    }

    /// Tells the executor what changed since it was last told, and runs what is due.
    pub(crate) fn run_executor(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let rights = self.rights(now);
        let news = self.told_rights != Some(rights);
        if news && self.record_changed {
            // Nothing is started by an old record under a new right, nor by a new record under an old one.
            self.tell(now, ExecutorInput::Rights(Rights { start: false, ..rights }), out);
        }
        if std::mem::take(&mut self.record_changed) {
            self.guard_dirty = true;
            let record = match self.ledger.record() {
                Some(record) => Some(record.clone()),
                None => self.shadow.clone(),
            };
            if let Some(record) = record {
                self.tell(now, ExecutorInput::RecordChanged(&record), out);
            }
        }
        if news {
            self.told_rights = Some(rights);
            self.tell(now, ExecutorInput::Rights(rights), out);
        }
        for resource in self.needs_wire.clone() {
            let (clear, answered_by) = match self.guarded.iter().find(|spec| spec.id == resource) {
                Some(spec) if !spec.wire_check => (true, None),
                _ => self.alone.wire_is_clear(now, &resource),
            };
            if self.told_wire.get(&resource) != Some(&(clear, answered_by.clone())) {
                self.told_wire.insert(resource.clone(), (clear, answered_by.clone()));
                self.tell(now, ExecutorInput::WireClear { resource, clear, answered_by }, out);
            }
        }
        if self.executor.next_deadline().is_some_and(|(at, _)| at <= now) {
            self.tell(now, ExecutorInput::Deadline, out);
        }
        self.shadow_probed = self.ledger.has_no_epoch() && self.everything_is_known();
    }

    fn everything_is_known(&self) -> bool {
        let Some(shadow) = &self.shadow else { return false };
        let unknown = |id: &ResourceId| self.executor.local_state(id) == hearth_executor::LocalState::Unknown;
        !shadow.model.resources().any(|(_, spec)| unknown(&spec.id))
    }

    pub(crate) fn rights(&self, now: Timestamp) -> Rights {
        let keeping = &self.keeping;
        let keep = keeping.keep.holds(now);
        let admitted = self.ledger.record().is_some_and(|record| record.is_admitted(&self.local));
        let timing = self.config.cluster.timing;
        let leases = self.ledger.record().is_some_and(hearth_cib::Record::has_leases);
        // R-LEASE-5: after a silence of a lease it first hears again what is decided.
        let current = !leases || keeping.is_current(now, timing.lease());
        let settled = keeping.confirmed && !keeping.is_suspended() && !self.awaits_word(now) && !self.is_listening();
        let start = keep && settled && admitted && current && self.disk_failed.is_none();
        let not_after = match keeping.keep {
            crate::rights::Keep::Until(end) if start => Some(end),
            _ => None,
        };
        Rights { keep: keep || self.is_undecided(now), start, not_after }
    }

    /// Before anything is confirmed, what was found running is neither ended nor extended: the gate decides. Where leases
    /// bind, only for as long as it takes to hear the others.
    pub(crate) fn is_undecided(&self, now: Timestamp) -> bool {
        let leases = self.ledger.record().is_some_and(hearth_cib::Record::has_leases);
        let listens = !leases || now < self.members.started_at() + self.config.cluster.timing.deadtime;
        !self.keeping.confirmed && !self.ledger.has_no_epoch() && !self.keeping.is_isolated() && listens
    }

    /// A machine that comes back to one that goes on alone says first what still runs there: its daemon may be new and its
    /// state lost, and its scripts are not. Until the record knows that run, nothing is started beside it.
    fn awaits_word(&self, now: Timestamp) -> bool {
        let Some(record) = self.ledger.record().filter(|_| self.ledger.is_sole()) else { return false };
        self.members.peers().any(|(name, peer)| {
            let outside = peer.claimed.as_ref().is_some_and(|claimed| {
                claimed.epoch.as_ref() != Some(&record.epoch) && claimed.status != hearth_wire::NodeStatus::Leaving
            });
            let known =
                record.is_admitted(name) && record.nodes.get(name).map(|node| node.incarnation) == peer.incarnation;
            peer.is_alive()
                && outside
                && !known
                && !self.refused_has_spoken(name)
                && now.since(peer.alive_since) < LOOKED_WITHIN
        })
    }

    pub(crate) fn take_op(&mut self, now: Timestamp, result: OpResult, out: &mut Vec<Output>) {
        self.tell(now, ExecutorInput::OpFinished(result), out);
    }

    pub(crate) fn take_address_change(
        &mut self,
        now: Timestamp,
        resource: ResourceId,
        change: AddressChange,
        out: &mut Vec<Output>,
    ) {
        let change = match change {
            AddressChange::Removed => hearth_executor::AddressChange::Removed,
            AddressChange::Expired => hearth_executor::AddressChange::Expired,
            AddressChange::LifetimeChanged => hearth_executor::AddressChange::LifetimeChanged,
            AddressChange::InterfaceGone => hearth_executor::AddressChange::InterfaceGone,
        };
        self.tell(now, ExecutorInput::AddressChanged { resource, change }, out);
    }

    pub(crate) fn take_home(
        &mut self,
        now: Timestamp,
        resource: ResourceId,
        interface: Option<String>,
        out: &mut Vec<Output>,
    ) {
        let present = interface.is_some();
        if self.standing.home_changed(resource.clone(), interface) {
            self.tell(now, ExecutorInput::AddressHome { resource, present }, out);
        }
    }

    /// An address is not ours any more: it is taken again only by the wire check.
    pub(crate) fn address_ended(&mut self, now: Timestamp, resource: &ResourceId, out: &mut Vec<Output>) {
        let (resource, change) = (resource.clone(), hearth_executor::AddressChange::Expired);
        self.tell(now, ExecutorInput::AddressChanged { resource, change }, out);
    }

    pub(crate) fn stop_everything(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.tell(now, ExecutorInput::StopEverything, out);
    }

    /// What is not confirmed stopped here.
    pub(crate) fn held(&self) -> Vec<ResourceId> {
        self.executor.held().into_iter().collect()
    }

    fn carry_out_order(&mut self, now: Timestamp, order: ExecutorOutput, out: &mut Vec<Output>) {
        match order {
            ExecutorOutput::StartOp(request) => {
                if request.action == hearth_types::OpAction::Start && request.resource.address().is_some() {
                    // The gate opens with the address, not up to an eighth of a lease later.
                    self.tick_now();
                    self.keep_on(now, out);
                }
                out.push(Output::StartOp(request));
            }
            ExecutorOutput::CancelOp(id) => out.push(Output::CancelOp(id)),
            ExecutorOutput::Report(report) => {
                if self.note_spent(&report) {
                    self.drain_ledger(now, out);
                }
                let entry = self.as_entry(&report);
                self.hand_in(vec![entry]);
            }
            ExecutorOutput::ProbesDone => {
                self.probes_done = true;
                self.volatile_dirty = true;
                let entry = Entry::Probed { node: self.local.clone(), incarnation: self.incarnation };
                self.hand_in(vec![entry]);
            }
            ExecutorOutput::Shut(resources) => out.push(Output::GateShut { resources }),
            // A round that came due while this node did not run would lead clients back to it (R-MEM-5).
            ExecutorOutput::Announce { resource, burst } => {
                if self.may_announce(now) {
                    out.push(Output::Announce { resources: vec![resource], burst });
                }
            }
            ExecutorOutput::NeedWire(resources) => {
                self.told_wire.retain(|resource, _| resources.contains(resource));
                self.needs_wire = resources;
            }
            ExecutorOutput::Waiting { resource, reason } => {
                match reason {
                    Some(reason) => self.waiting.insert(resource, reason),
                    None => self.waiting.remove(&resource),
                };
            }
            ExecutorOutput::Note(note) => self.note_executor(now, note),
            ExecutorOutput::Started(started) => {
                self.started = started;
                self.volatile_dirty = true;
            }
        }
    }

    /// Among more than two a report is decided without this node's disk: what it gives back is written here first
    /// (R-TAKE-1, decision 0018). True if that has to stand in the outputs before the report is handed in: to another
    /// node, as our own proposal is written together with it.
    fn note_spent(&mut self, report: &OutgoingReport) -> bool {
        if !self.is_many() || !report.spends() {
            return false;
        }
        let Some(record) = self.ledger.record() else { return false };
        let (epoch, mut spent) = spent_before(&self.ledger)
            .filter(|(epoch, _)| record.descends_from(epoch))
            .unwrap_or_else(|| (record.epoch.clone(), Spent::new()));
        spent.retain(|id, _| record.spec(id).is_some());
        let newest = spent.entry(report.resource.clone()).or_insert(report.upto);
        *newest = report.upto.max(*newest);
        // A value of our own types always serialises.
        let text = serde_json::to_string(&(epoch, spent)).unwrap_or_default();
        self.ledger.set_note(SPENT, &text);
        !self.ledger.is_dc()
    }

    fn as_entry(&self, report: &OutgoingReport) -> Entry {
        Entry::Report(Report {
            node: self.local.clone(),
            incarnation: self.incarnation,
            number: report.number,
            resource: report.resource.clone(),
            upto: report.upto,
            what: report.what.clone(),
        })
    }

    fn note_executor(&mut self, now: Timestamp, note: hearth_executor::Note) {
        self.alert_local_failure(now, &note);
        let (severity, name) = match note.kind {
            NoteKind::Starting => (Severity::Info, "resource-starting"),
            NoteKind::Started => (Severity::Info, "resource-started"),
            NoteKind::Stopping => (Severity::Info, "resource-stopping"),
            NoteKind::Stopped => (Severity::Info, "resource-stopped"),
            NoteKind::StopForced => (Severity::Warning, "stop-forced"),
            NoteKind::Adopted => (Severity::Info, "resource-adopted"),
            NoteKind::FoundRunning => (Severity::Warning, "resource-found"),
            NoteKind::ProbeFailed => (Severity::Error, "probe-failed"),
            NoteKind::StartFailed => (Severity::Error, "start-failed"),
            NoteKind::StopFailed => (Severity::Error, "stop-failed"),
            NoteKind::MonitorFailed => (Severity::Error, "monitor-failed"),
            NoteKind::StartCancelled => (Severity::Warning, "start-cancelled"),
            NoteKind::AddressDisturbed => (Severity::Warning, "address-disturbed"),
            NoteKind::AddressRepaired => (Severity::Info, "address-repaired"),
            NoteKind::AddressExpired => (Severity::Warning, "address-expired"),
            NoteKind::RightsEnded => (Severity::Error, "rights-ended"),
        };
        let subject = note.resource.as_ref().map_or_else(|| self.local.to_string(), ToString::to_string);
        let mut text = match &note.resource {
            Some(resource) => format!("{resource}: {}", note.text),
            None => note.text,
        };
        if !text.ends_with('.') {
            text.push('.');
        }
        let before = self.chronicle.because(None);
        let cause = before.or_else(|| self.cause_of(note.resource.as_ref()));
        // What was decided before this run began follows from what this node has learned since (section 8).
        let cause = cause.or_else(|| self.chronicle.latest_of(self.local.as_str()));
        self.chronicle.because(cause);
        self.chronicle.note(now, severity, name, subject, text);
        self.chronicle.because(before);
    }

    /// What a resource does follows from what was decided for its group.
    fn cause_of(&self, resource: Option<&ResourceId>) -> Option<crate::EventId> {
        let record = self.ledger.record()?;
        let (group, _) = record.model.resource(resource?)?;
        self.chronicle.latest_of(group.id.as_str())
    }

    /// Repeats reports that the record does not show.
    pub(crate) fn report(&mut self, now: Timestamp) {
        let dc = if self.ledger.is_member() { self.known_dc() } else { self.ledger.dc() };
        if dc != self.last_dc {
            self.resend_at = now;
            self.last_dc = dc;
        }
        if let Some(entry) = self.leased_entry().filter(|_| self.leased_said.as_ref() != self.ledger.epoch())
            && self.hand_in(vec![entry])
        {
            self.leased_said = self.ledger.epoch().cloned();
        }
        if now < self.resend_at || self.ledger.record().is_none() {
            return;
        }
        self.resend_at = now + self.repeat_to_dc_after(RESEND);
        let mut entries: Vec<Entry> = self.executor.unconfirmed_reports().map(|report| self.as_entry(report)).collect();
        // What the DC itself has under way already needs no second entry.
        let node = self.coming().and_then(|record| record.nodes.get(&self.local));
        let probed = node.is_some_and(|node| node.probed);
        if self.executor.probes_reported() && !probed {
            entries.push(Entry::Probed { node: self.local.clone(), incarnation: self.incarnation });
        }
        entries.extend(self.leased_entry());
        entries.extend(self.watched_entry());
        if !entries.is_empty() {
            self.hand_in(entries);
        }
    }
}
