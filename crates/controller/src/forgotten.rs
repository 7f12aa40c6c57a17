//! Of three and more machines: epochs that some of their voters have forgotten, having lost their state or being given a
//! program that cannot read it. Nothing is founded beside who remembers; where it was founded all the same, for nobody
//! could know, the epoch that can never again have a majority gives way (R-LEDGER-3, R-LEDGER-6, decision 0029).

use crate::Severity;
use crate::alert::AlertKind;
use crate::node::Node;
use hearth_cib::{Entry, Voter};
use hearth_ledger::Relation;
use hearth_types::{EpochName, NodeName, Timestamp};
use hearth_wire::Heartbeat;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of such epochs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Forgotten {
    /// Who said that it is in an epoch while this node has none.
    pub heard_of: BTreeMap<NodeName, EpochName>,
    /// The own epoch beside which another one was found.
    foreign: Option<EpochName>,
    /// Who was heard in such another one, until it is in ours.
    pub strangers: BTreeSet<NodeName>,
}

impl Node {
    /// Who said in this run that it is in an epoch. What this machine and others have forgotten is not
    /// founded anew beside it, also not while who remembers is away: it may come back with everything that it runs.
    pub(crate) fn note_epochs_heard_of(&mut self) {
        if !self.is_many() {
            return;
        }
        let alive = self.members.peers().filter(|(_, peer)| peer.is_alive());
        let claims = alive.filter_map(|(name, peer)| Some((name.clone(), peer.claimed.as_ref()?.epoch.clone())));
        for (name, epoch) in claims {
            match epoch {
                Some(epoch) => _ = self.alone.forgotten.heard_of.insert(name, epoch),
                None => _ = self.alone.forgotten.heard_of.remove(&name),
            }
        }
    }

    /// Whether this node may have a part in the founding of an epoch: it has none and has heard of none.
    pub(crate) fn may_consent(&mut self) -> bool {
        self.note_epochs_heard_of();
        self.alone.forgotten.heard_of.is_empty()
    }

    /// Whom a node without an epoch waits for, if those that have one cannot let it in by themselves.
    pub(crate) fn waits_to_be_let_in(&self) -> Option<String> {
        let away = || self.alone.forgotten.heard_of.iter().find(|(name, _)| !self.members.is_alive(name));
        let alive = self.members.peers().filter(|(_, peer)| peer.is_alive());
        let claimed = alive.filter_map(|(_, peer)| peer.claimed.as_ref()).filter(|claimed| claimed.epoch.is_some());
        let claimed: Vec<&Heartbeat> = claimed.map(|claimed| &**claimed).collect();
        let Some(newest) = claimed.iter().max_by_key(|claimed| claimed.epoch.as_ref().map(|epoch| epoch.number)) else {
            return away().map(|(name, epoch)| {
                format!(
                    "{name} was in epoch {epoch} when it was last heard, and nothing is founded beside it; if {name} is \
                     off for good, restart hearth on every other node"
                )
            });
        };
        let votes = |name: &&NodeName| claimed.iter().any(|it| it.from == **name && it.epoch == newest.epoch);
        let missing: Vec<&str> = newest.voters.iter().filter(|name| !votes(name)).map(NodeName::as_str).collect();
        let majority = (newest.voters.len() - missing.len()) * 2 > newest.voters.len();
        let text =
            || format!("{} cannot let it in before a majority votes, and {} do not", newest.from, missing.join(", "));
        (!majority).then(text)
    }

    /// Voters that are there without a memory of this epoch, once they are so many that the others
    /// are no majority. Nobody may decide for it then (R-LEDGER-3), and a person is told.
    pub(crate) fn forgotten_by(&self) -> Option<Vec<String>> {
        let record = self.ledger.record().filter(|record| self.is_many() || record.node_order.len() > 2)?;
        let forgot = |voter: &&Voter| {
            let claimed = self.members.peer(&voter.name).filter(|peer| peer.is_alive())?.claimed.as_ref()?;
            let gave_up = self.alone.joins.get(&voter.name).is_some_and(|join| join.given_up.contains(&record.epoch));
            let relation = self.ledger.relation(claimed.epoch.as_ref(), &claimed.lineage);
            let elsewhere = matches!(relation, Relation::Rival);
            Some(elsewhere || claimed.epoch.is_none() && (gave_up || claimed.identity != voter.identity))
        };
        let gone = record.voters.iter().filter(|voter| forgot(voter).unwrap_or(false));
        let gone: Vec<String> = gone.map(|voter| voter.name.to_string()).collect();
        ((record.voters.len() - gone.len()) * 2 <= record.voters.len()).then_some(gone)
    }

    /// Whether a rival epoch is a matter of two machines, which compare offers: nobody else votes there or here. By who
    /// votes and not by the files, or two that go on alone while the list of nodes changes would never compare.
    pub(crate) fn is_between_two(&self, heartbeat: &Heartbeat) -> bool {
        let Some(record) = self.ledger.record() else { return false };
        let sole = record.voters.len() == 1 || heartbeat.voters.len() == 1;
        let mut voters = record.voters.iter().map(|voter| &voter.name).chain(&heartbeat.voters);
        (sole || !self.is_many()) && voters.all(|name| [&self.local, &heartbeat.from].contains(&name))
    }

    /// Two epochs can be rivals only where voters have forgotten one: the one that can never again have
    /// a majority gives way. Nobody has to compare offers, for the other one needs nothing of its voters. And who goes on
    /// alone gives way to more than one: they have the list of nodes with which there is a majority.
    pub(crate) fn meet_rival_of_many(&mut self, now: Timestamp, heartbeat: &Heartbeat, epoch: EpochName) {
        let theirs = heartbeat.epoch.as_ref().map(ToString::to_string).unwrap_or_default();
        let peer = &heartbeat.from;
        if self.alone.forgotten.foreign.as_ref() != Some(&epoch) {
            self.alone.forgotten.foreign = Some(epoch.clone());
            let text = format!("{peer} is in another epoch ({theirs}), which does not come from ours ({epoch}).");
            self.chronicle.lead(now, Severity::Error, "split-found", peer, text);
        }
        self.alone.forgotten.strangers.insert(peer.clone());
        let why = match self.forgotten_by() {
            Some(gone) => format!("Most voters of epoch {epoch} have no state of it any more ({})", gone.join(", ")),
            None if self.ledger.is_sole() && heartbeat.voters.len() > 1 => {
                format!("Nobody but this node votes in epoch {epoch}")
            }
            None => return,
        };
        let text = format!("{why}: this node stops what it runs and goes over to {theirs}.");
        self.chronicle.lead(now, Severity::Error, "split-lost", self.local.clone(), text);
        let since = self.keeping.last_together.unwrap_or(self.alone.epoch_began_at);
        self.lose(now, peer, since, true);
    }

    /// The DC: who comes over from another epoch runs what we cannot know, until it says otherwise.
    pub(crate) fn propose_strangers(&mut self, now: Timestamp) {
        if let Some(record) = self.ledger.record() {
            // An epoch that began while who remembers another one was just being heard.
            let foreign = |epoch: &EpochName| {
                epoch.number <= record.epoch.number && *epoch != record.epoch && !record.lineage.contains(epoch)
            };
            let heard_of = std::mem::take(&mut self.alone.forgotten.heard_of);
            let strangers = heard_of.into_iter().filter(|(_, epoch)| foreign(epoch)).map(|(name, _)| name);
            self.alone.forgotten.strangers.extend(strangers);
        }
        for node in self.alone.forgotten.strangers.clone() {
            let Some(record) = self.coming() else { return };
            let Some(known) = record.nodes.get(&node) else { continue };
            if known.unclean.is_none() {
                let running = record.model.resources().map(|(_, it)| it.id.clone()).collect();
                let reason = "it comes from another epoch".to_owned();
                let claimed = self.members.peer(&node).and_then(|peer| peer.claimed.as_ref());
                let identity = claimed.map(|claimed| claimed.identity);
                let text = format!("{node} comes from another epoch: it stops what it ran there, and is let in.");
                self.alert_alone(now, AlertKind::Split, &node, text);
                self.propose(Entry::Unclean { node: node.clone(), reason, running, identity });
            }
            self.alone.forgotten.strangers.remove(&node);
        }
    }
}
