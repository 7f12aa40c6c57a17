//! The list of nodes: what ha.cf names here against what is agreed (R-JOIN-4, R-LEDGER-4, decision 0047). Each daemon goes
//! over to another list by itself, when it starts or by a reload (decision 0058); the record follows when the files of all
//! machines say the same.

use crate::Severity;
use crate::node::Node;
use hearth_cib::{Entry, MemberState, Record};
use hearth_ledger::Relation;
use hearth_membership::Liveness;
use hearth_types::{NodeName, ResourceId, Timestamp};
use hearth_wire::Heartbeat;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Strangers that are remembered at once: whoever holds the key could make up any number of names.
const STRANGERS_MAX: usize = 8;

/// Who is heard and not named here, and who hears us and does not name us. Nothing follows from either but that people are
/// told: it may be a recording.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Unlisted {
    strangers: BTreeMap<NodeName, Timestamp>,
    not_named_by: BTreeMap<NodeName, Timestamp>,
    /// When this run last went over to another list; zero: it has not.
    #[serde(default)]
    changed_at: Timestamp,
}

impl Unlisted {
    /// Strangers heard within deadtime, for a heartbeat.
    pub(crate) fn strangers(&self, now: Timestamp, deadtime: Duration) -> Option<Vec<NodeName>> {
        let heard: Vec<NodeName> = within(&self.strangers, now, deadtime).cloned().collect();
        (!heard.is_empty()).then_some(heard)
    }

    /// Whether everybody who is heard names everybody else.
    pub(crate) fn rests(&self, now: Timestamp, deadtime: Duration) -> bool {
        [&self.strangers, &self.not_named_by].iter().all(|heard| within(heard, now, deadtime).next().is_none())
    }
}

fn within(
    heard: &BTreeMap<NodeName, Timestamp>,
    now: Timestamp,
    deadtime: Duration,
) -> impl Iterator<Item = &NodeName> {
    heard.iter().filter(move |(_, at)| now.since(**at) < deadtime).map(|(name, _)| name)
}

impl Node {
    /// What the files say, for the record: the resources of this node's, and the machines that are agreed, for what one
    /// machine's file alone names nobody else may know.
    pub(crate) fn own_configuration(&self) -> Entry {
        let agreed = self.ledger.record().map(|record| &record.node_order).filter(|order| !order.is_empty());
        self.configuration(agreed.unwrap_or(&self.config.cluster.nodes).clone())
    }

    /// The same with the machines of this node's ha.cf: where the files of all say the same, or nothing is agreed.
    pub(crate) fn whole_configuration(&self) -> Entry {
        self.configuration(self.config.cluster.nodes.clone())
    }

    fn configuration(&self, nodes: Vec<NodeName>) -> Entry {
        Entry::Configure { model: self.config.resources.clone(), digest: self.digest.1, nodes }
    }

    /// Machines that ha.cf names here and nothing agreed does, and the other way round.
    fn list_differs<'a>(&'a self, record: Option<&'a Record>) -> Option<(Vec<&'a str>, Vec<&'a str>)> {
        let agreed = &record.filter(|record| !record.node_order.is_empty())?.node_order;
        let named = &self.config.cluster.nodes;
        if agreed == named {
            return None;
        }
        let new: Vec<&str> = named.iter().filter(|name| !agreed.contains(name)).map(NodeName::as_str).collect();
        let gone: Vec<&str> = agreed.iter().filter(|name| !named.contains(name)).map(NodeName::as_str).collect();
        (!new.is_empty() || !gone.is_empty()).then_some((new, gone))
    }

    /// Whether ha.cf names here what a record does not, or not what it does. The DC asks that of the record that is coming, or
    /// it would propose the same again until it is decided.
    pub(crate) fn names_others(&self, record: &Record) -> bool {
        self.list_differs(Some(record)).is_some()
    }

    /// R-LEDGER-4: two machines by this file, and more by what is agreed: maintenance must not turn three into a pair that
    /// goes on alone.
    pub(crate) fn is_no_pair(&self) -> bool {
        self.ledger.record().is_some_and(|record| record.node_order.len() > 2)
    }

    /// Of a sole voter: whether every other machine that could have gone on, by what is agreed, is heard, and knows of no epoch
    /// but ours and those before it.
    pub(crate) fn hears_all_behind(&self, record: &Record) -> bool {
        let is_behind = |name: &NodeName| {
            let claimed = self.members.peer(name).filter(|peer| peer.is_alive()).and_then(|peer| peer.claimed.as_ref());
            claimed.is_some_and(|claimed| {
                let relation = self.ledger.relation(claimed.epoch.as_ref(), &claimed.lineage);
                matches!(relation, Relation::Same | Relation::Behind) && self.beyond(name).is_none()
            })
        };
        record.node_order.iter().filter(|node| **node != self.local).all(is_behind)
    }

    /// Why this node may not go over to another list now, one line each with the way out; empty: it may. Who is taken out has
    /// given up everything, or is proven to run nothing; and all others take part together, or two sides of a split could
    /// go by two lists.
    pub(crate) fn objections_to_list(&self, nodes: &[NodeName]) -> Vec<String> {
        let old = &self.config.cluster.nodes;
        if old == nodes {
            return Vec::new();
        }
        let Some(record) = self.ledger.record().filter(|_| self.keeping.confirmed && self.has_quorum()) else {
            let why = "the list of nodes changes while nothing can be agreed on here";
            return vec![format!("{why}: wait until `hearth status` shows every node online, or restart hearthd")];
        };
        let gone = old.iter().filter(|name| !nodes.contains(name));
        let mut objections: Vec<String> = gone.filter_map(|name| self.objection_to_loss(record, name)).collect();
        // Who is agreed on already and not named here cannot be heard before it is.
        let stays = |name: &&NodeName| nodes.contains(name) && old.contains(name) && **name != self.local;
        objections.extend(record.node_order.iter().filter(stays).filter(|name| !self.is_with_us(record, name)).map(|name| {
            format!(
                "{name} does not take part: the list of nodes changes while all of its machines do; start {name}, or take it \
                 out first"
            )
        }));
        objections
    }

    /// Since when at the latest this run has heard nothing of a machine and vouched for it no more, because ha.cf does not name
    /// it here: a voter that says nothing of it would leave the others without a majority that counts it as lost (R-LEASE-2).
    pub(crate) fn unlisted_since(&self, name: &NodeName) -> Option<Timestamp> {
        let listed = *name == self.local || self.config.cluster.nodes.contains(name);
        (!listed).then(|| self.unlisted.changed_at.max(self.members.started_at()))
    }

    /// Whether a machine takes part in our epoch, in the run that it is heard in.
    pub(crate) fn is_with_us(&self, record: &Record, name: &NodeName) -> bool {
        let peer = self.members.peer(name).filter(|peer| peer.is_alive() && !peer.is_cloned());
        let claimed = peer.and_then(|peer| peer.claimed.as_ref());
        let ours = claimed.is_some_and(|claimed| claimed.epoch.as_ref() == self.ledger.epoch());
        ours && record.is_admitted(name)
    }

    /// Why a machine cannot be taken out of the list now. [Its lease would end while it serves, or what it runs would be
    /// started beside it: nobody here would hear it any more.]
    pub(crate) fn objection_to_loss(&self, record: &Record, name: &NodeName) -> Option<String> {
        let liveness = self.members.peer(name).map(|peer| peer.liveness);
        if matches!(liveness, Some(Liveness::Alive | Liveness::OneWay)) {
            return Some(format!(
                "{name} is taken out, and it is heard: `hearth stop` there first, which moves what it runs"
            ));
        }
        let known = record.nodes.get(name)?;
        if known.member == MemberState::Admitted {
            return Some(format!(
                "{name} is taken out, and by what is agreed it takes part still: `hearth stop` there first; if it is dead, wait \
                 until it counts as lost"
            ));
        }
        if known.unclean.is_some() {
            return Some(format!(
                "{name} is taken out, and it is unclean: start it, and `hearth stop` there when it is clean"
            ));
        }
        let held: Vec<&str> = record.active_on(name).map(ResourceId::as_str).collect();
        (!held.is_empty()).then(|| {
            format!(
                "{name} is taken out, and {} may still run there: start it, `hearth fence {name}`, or turn it off and \
                 `hearth node confirm-off {name}`",
                held.join(", ")
            )
        })
    }

    /// Addresses of machines that this list does not name any more: where their packets came from, and those of nobody else. [An
    /// old packet of theirs may have been sent again from anywhere.]
    pub(crate) fn gone_addresses(&self, nodes: &[NodeName]) -> Vec<IpAddr> {
        let (stay, gone): (Vec<&NodeName>, Vec<&NodeName>) =
            self.config.cluster.nodes.iter().partition(|name| nodes.contains(name));
        let others: Vec<IpAddr> = stay.into_iter().flat_map(|name| self.alone.addresses_of(name)).collect();
        let theirs = gone.into_iter().flat_map(|name| self.alone.addresses_of(name));
        theirs.filter(|address| !others.contains(address)).collect()
    }

    /// The list of nodes is another one from now on: what was between this node and one that is gone is over.
    pub(crate) fn change_list(&mut self, now: Timestamp, before: &[NodeName]) {
        let after = self.config.cluster.nodes.clone();
        self.unlisted.changed_at = now;
        for name in before.iter().filter(|name| !after.contains(name)) {
            self.close_channel(name);
            self.leaving.remove(name);
            self.standings.remove(name);
            self.alone.forget_peer(name);
            self.speech.forget_peer(name);
            self.flaps.forget_node(name);
        }
        let new = after.iter().filter(|name| !before.contains(name)).map(|name| format!("{name} is new"));
        let gone = before.iter().filter(|name| !after.contains(name)).map(|name| format!("{name} is gone"));
        let changed: Vec<String> = new.chain(gone).collect();
        let text = format!("The list of nodes changed here: {}.", changed.join(", "));
        self.chronicle.note(now, Severity::Info, "list-changed", self.local.clone(), text);
        self.planned = None;
        self.record_changed = true;
        self.beat_now = true;
    }

    /// A heartbeat of a machine that no line here names, or of one that says so of us: a machine that was taken out and came
    /// back with its old files, or one that was never added.
    pub(crate) fn note_unlisted(&mut self, now: Timestamp, heartbeat: &Heartbeat, is_listed: bool) {
        let (from, deadtime) = (&heartbeat.from, self.config.cluster.timing.deadtime);
        let known = |heard: &BTreeMap<NodeName, Timestamp>| within(heard, now, deadtime).any(|name| name == from);
        if *from == self.local {
            return;
        }
        if !is_listed {
            let room = self.unlisted.strangers.contains_key(from) || self.unlisted.strangers.len() < STRANGERS_MAX;
            if !known(&self.unlisted.strangers) && room {
                let text = format!("{from} is heard and takes no part: {}.", self.stranger_way(from));
                self.chronicle.lead(now, Severity::Warning, "node-not-listed", from, text);
                self.beat_now = true;
            }
            self.unlisted.strangers.retain(|_, at| now.since(*at) < deadtime);
            if self.unlisted.strangers.len() < STRANGERS_MAX || self.unlisted.strangers.contains_key(from) {
                self.unlisted.strangers.insert(from.clone(), now);
            }
            return;
        }
        if heartbeat.strangers.as_ref().is_some_and(|strangers| strangers.contains(&self.local)) {
            if !known(&self.unlisted.not_named_by) {
                let text = format!("This node takes no part with {from}: {}.", self.outcast_way(from));
                self.chronicle.lead(now, Severity::Error, "not-listed", self.local.clone(), text);
            }
            self.unlisted.not_named_by.insert(from.clone(), now);
        }
    }

    fn stranger_way(&self, name: &NodeName) -> String {
        format!("ha.cf here does not name it; stop hearthd there, or `hearth node add {name}` here")
    }

    fn outcast_way(&self, by: &NodeName) -> String {
        let local = &self.local;
        format!(
            "ha.cf of {by} does not name {local}, which was taken out; stop hearthd here, or `hearth node add {local}` there"
        )
    }

    /// Whoever is heard and does not name us, with the way out; for a node that takes no part.
    pub(crate) fn outcast(&self, now: Timestamp) -> Option<String> {
        let mut by = within(&self.unlisted.not_named_by, now, self.config.cluster.timing.deadtime);
        by.find(|name| !self.members.is_alive(name)).map(|name| self.outcast_way(name))
    }

    /// Who is heard and not named, and who does not name us, for status.
    pub(crate) fn unlisted_notes(&self, now: Timestamp) -> Vec<String> {
        let deadtime = self.config.cluster.timing.deadtime;
        let here = within(&self.unlisted.strangers, now, deadtime)
            .map(|name| format!("{name} is heard and takes no part: {}.", self.stranger_way(name)));
        let there = within(&self.unlisted.not_named_by, now, deadtime)
            .filter(|name| !self.members.is_alive(name))
            .map(|name| format!("{name} takes no notice of this node: {}.", self.outcast_way(name)));
        here.chain(there).collect()
    }

    /// The difference for people, with the way out.
    pub(crate) fn list_note(&self) -> Option<String> {
        let (new, gone) = self.list_differs(self.ledger.record())?;
        if gone.is_empty() {
            return Some(format!(
                "ha.cf here names {}, not agreed yet: that comes when ha.cf is the same on every machine, each has read it \
                 (`hearth reload`), and all of them run.",
                new.join(", ")
            ));
        }
        Some(format!(
            "ha.cf here does not name {}, and what is agreed counts on it still: nothing is taken over from a lost machine for want of \
             its vote. Write it back, or see docs/operations.md on a machine less.",
            gone.join(", ")
        ))
    }
}
