//! The machine itself: what it knows, and how an input changes that. What follows from it is in `settle`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hearth_cib::{MemberState, Record};
use hearth_types::{
    Admission, AssignmentId, EpochName, GroupId, Incarnation, NodeName, OpAction, ResourceId, ResourceSpec, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::local::{Local, REPAIR_PERIOD, State, same_thing};
use crate::outbox::{Outbox, admitted};
use crate::{
    AddressChange, ExecutorInput, ExecutorOutput, ExecutorTimer, LocalState, Note, NoteKind, OutgoingReport, Policy,
    Rights, StartedResource,
};

/// This node's share of the plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Executor {
    pub(crate) local: NodeName,
    pub(crate) incarnation: Incarnation,
    pub(crate) record: Option<Record>,
    pub(crate) rights: Rights,
    pub(crate) policy: Policy,
    pub(crate) stop_everything: bool,
    pub(crate) now: Timestamp,
    /// Whether what leases protect may stand (rights and record), as of the last input.
    pub(crate) kept: bool,
    pub(crate) resources: BTreeMap<ResourceId, Local>,
    pub(crate) outbox: Outbox,
    /// The admission for which `ProbesDone` was said.
    pub(crate) probes_done: Option<Admission>,
    /// Whether the wire is clear, of those that were asked for.
    pub(crate) wire: BTreeMap<ResourceId, Result<(), Option<String>>>,
    pub(crate) need_wire: BTreeSet<ResourceId>,
    pub(crate) adoptable: BTreeMap<ResourceId, StartedResource>,
    pub(crate) started: Vec<StartedResource>,
    pub(crate) last_op: u64,
    /// What the daemons before us gave back for good, and in which line of epochs (R-TAKE-1).
    pub(crate) remembered: Option<(EpochName, BTreeMap<ResourceId, AssignmentId>)>,
    /// Both follow from the rest at the end of every input, and are asked for at every heartbeat.
    due: Option<(Timestamp, ExecutorTimer)>,
    running: Arc<BTreeSet<ResourceId>>,
}

impl Executor {
    /// An executor that knows nothing yet: it waits for a record.
    pub fn new(local: NodeName, incarnation: Incarnation) -> Executor {
        Executor {
            local,
            incarnation,
            record: None,
            rights: Rights { keep: true, start: false, not_after: None },
            policy: Policy::default(),
            stop_everything: false,
            now: Timestamp::ZERO,
            kept: true,
            resources: BTreeMap::new(),
            outbox: Outbox::default(),
            probes_done: None,
            wire: BTreeMap::new(),
            need_wire: BTreeSet::new(),
            adoptable: BTreeMap::new(),
            started: Vec::new(),
            last_op: 0,
            remembered: None,
            due: None,
            running: Arc::default(),
        }
    }

    /// What earlier runs of this node gave back by a report, up to which assignment, and in which epoch: nothing is
    /// started under those ids again, in any incarnation (R-TAKE-1). To be called before the first record is taken;
    /// forgotten when a record comes that does not descend from that epoch, where the ids mean nothing.
    pub fn remember_spent(&mut self, epoch: EpochName, spent: BTreeMap<ResourceId, AssignmentId>) {
        self.remembered = Some((epoch, spent));
    }

    /// Takes one input and appends what is to be done, in order.
    pub fn handle(&mut self, now: Timestamp, input: ExecutorInput<'_>, out: &mut Vec<ExecutorOutput>) {
        self.now = now;
        match input {
            ExecutorInput::RecordChanged(record) => self.take_record(record),
            ExecutorInput::Rights(rights) => {
                // A lease that goes on moves its end at every heartbeat: nothing follows from that.
                let goes_on = self.rights.goes_on_as(&rights, now);
                self.rights = rights;
                if goes_on && self.due.is_none_or(|(due, _)| due > now) {
                    return;
                }
            }
            ExecutorInput::Policy(policy) => self.policy = policy,
            ExecutorInput::OpFinished(result) => self.finish(now, result, out),
            ExecutorInput::AddressChanged { resource, change } => self.disturbed(now, &resource, change, out),
            ExecutorInput::AddressHome { resource, present } => self.address_home(now, &resource, present),
            ExecutorInput::WireClear { resource, clear, answered_by } => {
                if self.need_wire.contains(&resource) {
                    self.wire.insert(resource, if clear { Ok(()) } else { Err(answered_by) });
                }
            }
            ExecutorInput::Started { adoptable } => {
                self.adoptable = adoptable.into_iter().map(|it| (it.spec.id.clone(), it)).collect();
            }
            ExecutorInput::Deadline => {}
            ExecutorInput::StopEverything => self.stop_everything = true,
        }
        self.settle(now, out);
        self.due = self.resources.values().filter_map(|it| self.deadline(it)).min();
        if !self.addresses().eq(self.running.iter()) {
            self.running = Arc::new(self.addresses().cloned().collect());
        }
    }

    /// When [`ExecutorInput::Deadline`] is due next, and why.
    pub fn next_deadline(&self) -> Option<(Timestamp, ExecutorTimer)> {
        self.due
    }

    /// Reports that the record does not show yet, in order of their numbers. To be sent again when the DC changes and
    /// every so often.
    pub fn unconfirmed_reports(&self) -> impl Iterator<Item = &OutgoingReport> {
        self.outbox.unconfirmed()
    }

    /// A resource on this node.
    pub fn local_state(&self, resource: &ResourceId) -> LocalState {
        self.resources.get(resource).map_or(LocalState::Unknown, Local::shown)
    }

    /// Whether anything is not confirmed stopped here.
    pub fn holds_anything(&self) -> bool {
        !self.adoptable.is_empty() || self.resources.values().any(Local::is_held)
    }

    /// Everything that is not confirmed stopped here.
    pub fn held(&self) -> BTreeSet<ResourceId> {
        let held = self.resources.iter().filter(|(_, it)| it.is_held());
        held.map(|(id, _)| id.clone()).chain(self.adoptable.keys().cloned()).collect()
    }

    /// Addresses that run here or are being started: those that the gate should let answer.
    pub fn running_addresses(&self) -> &Arc<BTreeSet<ResourceId>> {
        &self.running
    }

    fn addresses(&self) -> impl Iterator<Item = &ResourceId> {
        let answers = |(_, it): &(&ResourceId, &Local)| {
            let stays = matches!(it.state, State::Running | State::Gone) && !it.doing(OpAction::Stop);
            it.is_address() && (stays || it.doing(OpAction::Start))
        };
        let ours = self.resources.iter().filter(answers).map(|(id, _)| id);
        // What the daemon before us held stays open while we look (R-LEASE-8).
        let unseen = self.adoptable.values().map(|it| &it.spec).filter(|spec| spec.address().is_some());
        ours.chain(unseen.map(|spec| &spec.id)).filter(|_| self.kept)
    }

    /// Whether the record shows a probe of everything from this run; if it does not say so yet, the DC may be told.
    pub fn probes_reported(&self) -> bool {
        let Some(node) = self.record.as_ref().and_then(|record| admitted(record, &self.local, self.incarnation)) else {
            return false;
        };
        let unknown = self.resources.values().any(|it| it.state == State::Unknown);
        node.member == MemberState::Admitted && !unknown && self.outbox.is_empty()
    }

    /// The index that what is measured or ordered now speaks for (R-TAKE-1): every assignment up to it is known here.
    pub(crate) fn applied(&self) -> AssignmentId {
        AssignmentId(self.record.as_ref().map_or(0, |record| record.applied.0))
    }

    fn take_record(&mut self, record: &Record) {
        let same_line = self.record.as_ref().is_none_or(|old| {
            record.descends_from(&old.epoch) && (record.epoch != old.epoch || record.applied >= old.applied)
        });
        if self.remembered.as_ref().is_some_and(|(epoch, _)| !record.descends_from(epoch)) {
            self.remembered = None;
        }
        if !same_line {
            // A rival epoch won (R-LEDGER-6): what was said to the other record was never said to this one, and ids
            // that were given back there mean nothing here.
            self.outbox.reset();
            self.probes_done = None;
            self.resources.values_mut().for_each(|it| it.spent = AssignmentId(0));
        }
        self.outbox.confirm(record, &self.local, self.incarnation);
        self.record = Some(record.clone());
        self.take_specs(record);
    }

    /// A specification that is equal is not replaced: nothing that runs by it is touched.
    fn take_specs(&mut self, record: &Record) {
        self.resources.values_mut().for_each(|it| it.in_model = false);
        for group in &record.model.groups {
            for (position, spec) in group.resources.iter().enumerate() {
                let it = self.known(spec, &group.id);
                it.in_model = true;
                it.group = group.id.clone();
                it.position = position;
            }
        }
        for spec in record.orphans.values() {
            // An orphan that is back in the model under other keys is stopped by what it was started with.
            if record.model.resource(&spec.id).is_none() {
                self.known(spec, &GroupId::from(spec.id.as_str()));
            }
        }
        // What the daemon before us started and the record has forgotten (a rival's record): looked for and stopped.
        for StartedResource { spec, .. } in self.adoptable.clone().into_values() {
            if record.spec(&spec.id).is_none() {
                self.known(&spec, &GroupId::from(spec.id.as_str()));
            }
        }
        let flagged: BTreeSet<&ResourceId> = record.active_on(&self.local).collect();
        self.resources.retain(|id, it| {
            let recorded = it.in_model || record.orphans.contains_key(id) || flagged.contains(id);
            recorded || it.op.is_some() || it.holds() || self.adoptable.contains_key(id)
        });
    }

    fn known(&mut self, spec: &ResourceSpec, group: &GroupId) -> &mut Local {
        let spent = self.remembered.as_ref().and_then(|(_, spent)| spent.get(&spec.id)).copied();
        let left = self.adoptable.get(&spec.id);
        let new = || {
            let group = left.and_then(|left| left.group.as_ref()).unwrap_or(group);
            let mut it = Local::new(Arc::new(spec.clone()), group.clone());
            it.position = left.map_or(0, |left| left.position);
            it.spent = spent.unwrap_or(it.spent);
            it
        };
        let it = self.resources.entry(spec.id.clone()).or_insert_with(new);
        if *it.spec != *spec {
            it.spec = Arc::new(spec.clone());
            if it.running.as_ref().is_some_and(|running| same_thing(running, spec)) {
                it.running = Some(it.spec.clone());
            }
            if spec.monitor.is_none() {
                it.monitor_at = None;
            }
        }
        it
    }

    pub(crate) fn disturbed(
        &mut self,
        now: Timestamp,
        id: &ResourceId,
        change: AddressChange,
        out: &mut Vec<ExecutorOutput>,
    ) {
        let Some(it) = self.resources.get_mut(id) else { return };
        if it.doing(OpAction::Start) {
            it.disturbed = Some(change);
            return;
        }
        if !matches!(it.state, State::Running | State::Gone) || it.doing(OpAction::Stop) {
            return;
        }
        let (kind, text) = match change {
            AddressChange::Removed => (NoteKind::AddressDisturbed, "somebody removed the address; it is put back"),
            AddressChange::LifetimeChanged => {
                (NoteKind::AddressDisturbed, "somebody changed the lifetime of the address; it is put right")
            }
            AddressChange::InterfaceGone => {
                (NoteKind::AddressDisturbed, "the interface of the address is gone; it is put back when there is one")
            }
            AddressChange::Expired => (
                NoteKind::AddressExpired,
                "the kernel lifetime of the address ran out; it is taken again by wire check",
            ),
        };
        if change == AddressChange::Expired {
            // Nobody renewed it, so another may have it by now: it is no repair (R-LEASE-11).
            it.set_stopped();
            it.wire_owed = true;
        } else {
            it.state = State::Gone;
            // Without an interface the first try is for later, unless we are told that there is one.
            let first = if change == AddressChange::InterfaceGone { now + REPAIR_PERIOD } else { now };
            it.retry_at = it.repaired_at.map_or(first, |at| first.max(at + REPAIR_PERIOD));
        }
        note(out, kind, Some(id), text);
    }

    fn address_home(&mut self, now: Timestamp, id: &ResourceId, present: bool) {
        if let Some(it) = self.resources.get_mut(id) {
            if present && it.state == State::Gone {
                it.retry_at = now;
            }
            it.home = present;
        }
    }

    /// Ends leased things at once when the right or the record no longer covers them (R-LEASE-5, R-MEM-6).
    pub(crate) fn judge_rights(&mut self, out: &mut Vec<ExecutorOutput>) {
        let own = self.record.as_ref().and_then(|record| record.nodes.get(&self.local));
        let lost = own.is_some_and(|node| node.member == MemberState::Lost);
        let kept = self.rights.keep && !lost;
        let before = core::mem::replace(&mut self.kept, kept);
        if kept && !before {
            self.take_withdrawn_again(out);
        }
        if !before || kept {
            return;
        }
        self.resources.values_mut().for_each(|it| it.stop_retry_at = Timestamp::ZERO);
        let may_stand = |it: &&Local| it.is_address() && (it.state != State::Stopped || it.doing(OpAction::Start));
        let shut: Vec<ResourceId> = self.resources.values().filter(may_stand).map(|it| it.spec.id.clone()).collect();
        if !shut.is_empty() {
            let why = if lost { "the record says that this node is lost" } else { "nothing vouches for this node" };
            let text = format!("{why}: addresses are taken away at once");
            out.push(ExecutorOutput::Shut(shut));
            note(out, NoteKind::RightsEnded, None, &text);
        }
        let stands = |it: &&mut Local| it.is_address() && matches!(it.state, State::Running | State::Gone);
        self.resources.values_mut().filter(stands).for_each(|it| it.withdrawn = !it.doing(OpAction::Start));
    }

    /// What was taken away, has not been stopped since and is wanted here is to be taken again, now that the right to it is
    /// back: another may have it by now. What is not wanted its stop ends.
    fn take_withdrawn_again(&mut self, out: &mut Vec<ExecutorOutput>) {
        let withdrawn = self.resources.iter().filter(|(_, it)| it.withdrawn && !it.doing(OpAction::Stop));
        let ids: Vec<ResourceId> = withdrawn.map(|(id, _)| id.clone()).filter(|id| self.wanted(id)).collect();
        for id in &ids {
            let Some(it) = self.resources.get_mut(id) else { continue };
            it.set_stopped();
            it.wire_owed = true;
            let text = "the right to the address was lost for a moment; it is taken again by wire check";
            note(out, NoteKind::AddressExpired, Some(id), text);
        }
    }
}

/// Appends a note.
pub(crate) fn note(out: &mut Vec<ExecutorOutput>, kind: NoteKind, id: Option<&ResourceId>, text: &str) {
    out.push(ExecutorOutput::Note(Note { kind, resource: id.cloned(), text: String::from(text) }));
}
