//! Machines on which something did not stop: they are turned off where a fence device can do that, so that it may run
//! elsewhere (R-TAKE-8).

use crate::Severity;
use crate::node::Node;
use hearth_cib::{Entry, FENCED_FROM, MemberState, Record, ResourceState};
use hearth_types::{Admission, GroupSpec, NodeName, OpAction, ResourceId, Timestamp};

impl Node {
    /// What did not stop on a machine that takes part, or was lost for that, and which no span of time clears: every stage
    /// of its stop failed in the run that the record admitted, and nobody has cleared that since.
    pub(crate) fn unstopped<'a>(&self, record: &'a Record, node: &NodeName) -> Option<&'a ResourceId> {
        let known = record.nodes.get(node)?;
        let run = match *node == self.local {
            true => Some(self.incarnation),
            false => self.members.peer(node).filter(|peer| peer.is_alive()).and_then(|peer| peer.incarnation),
        };
        // Whoever is silent is lost anyway, and a daemon that was started anew says itself what runs there.
        if run != Some(known.incarnation) || !matches!(known.member, MemberState::Admitted | MemberState::Lost) {
            return None;
        }
        let open = |id: &ResourceId| {
            let blocked = record.states.get(&(id.clone(), node.clone())) == Some(&ResourceState::Blocked);
            let by_time = self.is_many() && record.spec(id).is_some_and(|spec| spec.address().is_some());
            blocked && !by_time && record.failure_count(id, node, OpAction::Stop) > 0
        };
        let wanted = record.model.resources().map(|(_, spec)| &spec.id);
        wanted.filter(|id| record.flag(id, node).is_some()).find(|id| open(id))
    }

    /// The same where a device turns the machine off, whoever can use that, and it is worth it: another node can run things.
    pub(crate) fn to_be_fenced<'a>(&self, record: &'a Record, node: &NodeName) -> Option<&'a ResourceId> {
        let covered = |device: &hearth_config::FenceDevice| device.targets.contains_key(node);
        let resource = self.unstopped(record, node)?;
        // A daemon of before would lead on, and let the machine in again (decision 0044).
        let known_to_all = !self.is_many() || record.wire_version >= FENCED_FROM;
        let known = record.nodes.get(node)?;
        let lost = known.member == MemberState::Lost;
        let able = |other: &&NodeName| {
            let here = **other == self.local || self.members.is_alive(other);
            let whole = record.check_node(other).is_ok() && !record.model.is_witness(other);
            *other != node && here && whole && !self.leaving.contains(*other) && self.unstopped(record, other).is_none()
        };
        let worth_it = lost || (!self.leaving.contains(node) && record.nodes.keys().any(|other| able(&other)));
        (self.config.cluster.fencing.devices.iter().any(covered) && worth_it && known_to_all).then_some(resource)
    }

    /// One sentence on a machine that is turned off for what did not stop, and what goes with it.
    pub(crate) fn fence_for_stop(&self, record: &Record, node: &NodeName) -> Option<String> {
        let resource = self.to_be_fenced(record, node)?;
        let group = |id: &ResourceId| record.model.resource(id).map(|(group, _)| &group.id);
        let others = record.active_on(node).filter(|id| group(id) != group(resource));
        let others: Vec<&str> = others.map(ResourceId::as_str).collect();
        let besides = match others.is_empty() {
            true => String::new(),
            false => format!(", and with it {}", others.join(", ")),
        };
        Some(format!("{resource} did not stop on {node}, which is to be turned off for it{besides}"))
    }

    /// The same of a group that waits for it, with how that stands as far as this node knows, and what saves the machine.
    pub(crate) fn group_waits_for_fence(&self, record: &Record, group: &GroupSpec) -> Option<String> {
        let mut held = record.nodes.keys().filter_map(|node| Some((node, self.to_be_fenced(record, node)?)));
        let (node, id) = held.find(|(_, id)| group.resources.iter().any(|member| member.id == **id))?;
        let stands = self.fence_text(self.last_wake_at, node);
        let stands = if stands.is_empty() { stands } else { format!(" ({stands})") };
        let why = self.fence_for_stop(record, node)?;
        Some(format!("{why}{stands}, unless you end {id} there by hand, then `hearth clear {id}`"))
    }

    /// Of three and more: the DC calls such a machine lost, so that it gives up everything else in order before it is turned
    /// off, and a fence counts that is ordered from then on.
    pub(crate) fn lose_unstopped(&mut self, now: Timestamp) {
        let Some(record) = self.record_for_fences() else { return };
        let condemned = |name: &&NodeName| {
            let admitted = record.is_admitted(name) && self.coming().is_some_and(|coming| coming.is_admitted(name));
            admitted && **name != self.local && !self.fence_levels(name).is_empty()
        };
        let found = record.nodes.keys().filter(condemned).find_map(|name| {
            let resource = self.to_be_fenced(record, name)?;
            let text = self.fence_for_stop(record, name)?;
            Some((name.clone(), record.nodes.get(name)?.admission, resource.clone(), text))
        });
        let Some((node, admission, resource, text)) = found else { return };
        self.chronicle.lead(now, Severity::Error, "fence-for-stop", &node, format!("{text}."));
        let reason = format!("{resource} did not stop there, and it is to be turned off");
        let lost = Entry::Lost { node: node.clone(), admission };
        let unclean = Entry::Unclean { node, reason, running: Vec::new(), identity: None };
        self.propose(Entry::Batch(vec![lost, unclean]));
    }

    /// Whether the DC is such a machine: another one, which can turn it off, has to lead for that.
    pub(crate) fn is_led_by_unstopped(&self) -> bool {
        let Some((record, dc)) = self.record_for_fences().filter(|_| self.is_many()).zip(self.ledger.dc()) else {
            return false;
        };
        let able = dc != self.local && record.is_admitted(&self.local) && !self.fence_levels(&dc).is_empty();
        able && self.unstopped(record, &self.local).is_none() && self.to_be_fenced(record, &dc).is_some()
    }

    /// Whether a machine that the record calls lost is kept out, though it is heard: it is turned off first.
    pub(crate) fn waits_for_fence(&self, record: &Record, node: &NodeName) -> bool {
        let lost = record.nodes.get(node).is_some_and(|known| known.member == MemberState::Lost);
        lost && self.is_many() && self.to_be_fenced(record, node).is_some()
    }

    /// Of two: the other machine turns it off, and goes on as after any loss.
    pub(crate) fn fence_unstopped_peer(&mut self, now: Timestamp, peer: &NodeName) {
        let Some(record) = self.record_for_fences().filter(|_| self.keeping.confirmed && !self.ledger.is_sole()) else {
            return;
        };
        if self.fence_levels(peer).is_empty() || !record.is_admitted(peer) {
            return;
        }
        let Some(text) = self.fence_for_stop(record, peer) else { return };
        if self.want_unstopped(now, peer, None) {
            self.chronicle.lead(now, Severity::Error, "fence-for-stop", peer, format!("{text}."));
        }
    }

    /// The rest of it has a deadtime to stop in order. True if that begins now.
    pub(crate) fn want_unstopped(&mut self, now: Timestamp, node: &NodeName, admission: Option<Admission>) -> bool {
        self.want(now, node, self.config.cluster.timing.deadtime, admission)
    }

    /// The record by which machines are turned off, where that may be done from here.
    fn record_for_fences(&self) -> Option<&Record> {
        let may = self.config.cluster.fencing.is_configured() && !self.keeping.is_isolated() && self.shutdown.is_none();
        self.ledger.record().filter(|_| may)
    }
}
