//! How one epoch follows another: ordinary changes of voters, forced epochs, offers to nodes that are behind.

use crate::durable::NextEpoch;
use crate::ledger::{Ledger, Relation};
use crate::message::{Join, LedgerMessage};
use hearth_cib::{Entry, Record, Voter};
use hearth_types::{EpochName, NodeName, PermitKind};

impl Ledger {
    /// How the epoch that a peer states, with its lineage, stands to ours.
    pub fn relation(&self, epoch: Option<&EpochName>, lineage: &[EpochName]) -> Relation {
        let (Some(theirs), Some(record)) = (epoch, &self.record) else { return Relation::Same };
        if *theirs == record.epoch {
            Relation::Same
        } else if lineage.contains(&record.epoch) {
            Relation::Ahead
        } else if record.lineage.contains(theirs) {
            Relation::Behind
        } else {
            Relation::Rival
        }
    }

    fn next_name(&mut self) -> EpochName {
        let nonce = self.nonce();
        EpochName { number: self.durable.number_seen + 1, founder: self.params.local.clone(), nonce }
    }

    /// Ends the epoch in favour of one with these voters, in the ordinary way (R-LEDGER-4). Only the DC may.
    pub(crate) fn change_voters(&mut self, voters: Vec<Voter>) {
        let next = NextEpoch { epoch: self.next_name(), voters };
        if self.is_sole() {
            self.succeed(next);
            return;
        }
        let Some(paxos) = self.paxos.as_mut() else { return };
        let metadata = serde_json::to_vec(&next).unwrap_or_default();
        paxos.reconfigure(next.epoch.number as u32, metadata);
        self.take_decided();
    }

    /// Removes voters that leave in order or are lost (R-LEAVE-1, R-LEDGER-4); only the DC may. False if none of them
    /// votes.
    pub fn remove_voters(&mut self, nodes: &[NodeName]) -> bool {
        let voters: Vec<Voter> = self.voters().iter().filter(|voter| !nodes.contains(&voter.name)).cloned().collect();
        if voters.len() == self.voters().len() || voters.is_empty() || !self.is_dc() {
            return false;
        }
        self.change_voters(voters);
        true
    }

    /// Voters of the next epoch, while this node has accepted an end of its own and does not know it decided
    /// (R-LEASE-12).
    pub fn accepted_end(&self) -> Vec<NodeName> {
        let state = self.durable.epoch.as_ref().filter(|_| self.paxos.is_some());
        let next: Option<NextEpoch> = state
            .and_then(|state| state.log.stopsign())
            .and_then(|stopsign| serde_json::from_slice(stopsign.metadata.as_deref()?).ok());
        next.map(|next| next.voters.into_iter().map(|voter| voter.name).collect()).unwrap_or_default()
    }

    /// The end of the epoch is decided: the next one begins with a snapshot of the record. False: what was decided is no
    /// list of voters, and this epoch has ended without another.
    pub(crate) fn succeed(&mut self, mut next: NextEpoch) -> bool {
        let Some(mut record) = self.record.clone() else { return false };
        for voter in &mut next.voters {
            // Let in anew by an entry that was decided between the order and the end: it votes as what it is now, once
            // it is offered the epoch.
            let known = record.nodes.get(&voter.name).and_then(|node| node.identity);
            voter.identity = known.unwrap_or(voter.identity);
        }
        let entry = Entry::Epoch { name: next.epoch.clone(), voters: next.voters.clone(), permit: None };
        if record.apply(record.applied.next(), &entry).is_err() {
            return false;
        }
        let was_dc = self.is_dc();
        self.enter(record);
        if was_dc && self.is_voter() {
            for voter in next.voters {
                if voter.name != self.params.local {
                    self.offer(&voter.name);
                }
            }
            self.campaign();
        }
        true
    }

    /// Goes on alone (R-LEDGER-5): from two voters to one, or from nothing where this node never had an epoch. Every
    /// entry and end that was accepted counts; `entries` open the new epoch. The caller holds the permit.
    pub fn force(&mut self, permit: PermitKind, entries: Vec<Entry>) {
        self.take_decided();
        self.apply_accepted();
        let accepted_end: Option<NextEpoch> = self
            .durable
            .epoch
            .as_ref()
            .and_then(|state| state.log.stopsign())
            .and_then(|stopsign| serde_json::from_slice(stopsign.metadata.as_deref()?).ok());
        let own = Voter { name: self.params.local.clone(), identity: self.durable.identity };
        if let Some(next) = accepted_end.filter(|next| next.voters.contains(&own)) {
            self.succeed(next);
        }
        let name = self.next_name();
        let record = match self.record.clone() {
            None => Record { permit: Some(permit), ..Record::found(name, vec![own]) },
            Some(mut record) => {
                let entry = Entry::Epoch { name, voters: vec![own], permit: Some(permit) };
                if record.apply(record.applied.next(), &entry).is_err() {
                    return;
                }
                record
            }
        };
        self.enter(record);
        self.inviting = None;
        for entry in entries {
            self.propose(entry);
        }
    }

    /// Whether this node has no epoch.
    pub fn has_no_epoch(&self) -> bool {
        self.record.is_none()
    }

    /// Gives up an epoch that another one overtook or beat, or that this daemon cannot speak: this node has none until it
    /// is let in again, by another epoch. In this one it would vote without what it accepted before (R-LEDGER-3).
    pub fn give_up_epoch(&mut self) {
        if let Some(record) = &self.record {
            self.durable.give_up(record.epoch.clone(), &record.lineage);
            self.founding.given_up.clone_from(&self.durable.given_up);
        }
        self.durable.epoch = None;
        self.durable.stored = None;
        // What was once founded is over: founded again it would be another epoch under the same name (R-JOIN-1).
        self.founding.forget();
        // Nobody can vote wrongly in what is over; who votes in the next one states its mark there.
        self.marks.forget_all(&mut self.durable);
        self.durable.consent = self.founding.consent.clone();
        self.rewrite = true;
        self.load_epoch();
        self.flush();
    }

    /// Asks that node to be let in.
    pub fn ask_to_join(&mut self, node: &NodeName, join: Join) {
        self.say(node, LedgerMessage::Join(join));
    }

    /// Begins to let a node vote: it stores the record first (R-LEDGER-2). The vote of `gone`, if there is one, goes over to
    /// it (R-LEDGER-4). Only the DC may.
    pub fn invite(&mut self, node: &NodeName, gone: Option<&NodeName>) {
        let Some(record) = self.record.clone().filter(|_| self.is_dc()) else { return };
        self.inviting = Some((node.clone(), gone.cloned()));
        self.flush();
        self.say(node, LedgerMessage::Store { record: Box::new(record) });
    }

    pub(crate) fn store(&mut self, from: &NodeName, record: Record) {
        let epoch = record.epoch.clone();
        self.saw_number(epoch.number);
        if self.record.is_some() {
            // Who takes part without a vote has written the epoch down when it took it over.
            if self.is_member() && self.epoch() == Some(&epoch) {
                self.say(from, LedgerMessage::Stored { epoch });
            }
            return;
        }
        self.durable.stored = Some(record);
        self.rewrite = true;
        self.flush();
        self.say(from, LedgerMessage::Stored { epoch });
    }

    /// The invited node has the record: the epoch with both begins here, then it is offered. `identity` is the one
    /// under which the node asked.
    pub(crate) fn stored(&mut self, from: &NodeName, epoch: &EpochName) {
        let inviting = self.inviting.clone().filter(|(node, _)| node == from);
        let invited = inviting.is_some() && self.epoch() == Some(epoch) && self.is_dc();
        let identity = self.record.as_ref().and_then(|record| record.nodes.get(from)).and_then(|node| node.identity);
        let Some(identity) = identity.filter(|_| invited) else { return };
        self.inviting = None;
        let gone = inviting.and_then(|(_, gone)| gone);
        let mut voters = self.voters().to_vec();
        // A machine that came up without its state takes the place of what it was.
        voters.retain(|voter| voter.name != *from && Some(&voter.name) != gone.as_ref());
        voters.push(Voter { name: from.clone(), identity });
        voters.sort();
        self.change_voters(voters);
    }

    /// Offers the current epoch to a node that is behind. Who takes part without a vote began somewhere within the epoch:
    /// a voter that began there too would count its entries from another place than the others.
    pub fn offer(&mut self, node: &NodeName) {
        let Some(state) = self.durable.epoch.as_ref().filter(|_| !self.is_member()) else { return };
        let record = Box::new(state.base.clone());
        self.flush();
        self.say(node, LedgerMessage::Offer { record });
    }

    /// Takes over an offered epoch, if this machine votes in it, or takes part without a vote, and gives up nothing by it.
    pub(crate) fn take_offer(&mut self, record: Record) {
        self.saw_number(record.epoch.number);
        let own = Voter { name: self.params.local.clone(), identity: self.durable.identity };
        let follows = match &self.record {
            None => true,
            Some(ours) => record.epoch != ours.epoch && record.lineage.contains(&ours.epoch),
        };
        // Where it gave up what it had accepted it votes no more; without a vote nothing rests on that.
        let votes = record.voters.contains(&own) && !self.durable.given_up.contains(&record.epoch);
        if follows && (votes || self.would_be_member(&record)) {
            if self.record.is_none() {
                // Who let us in may have forgotten what was before; in this epoch nobody has.
                self.marks.forget_all(&mut self.durable);
            }
            self.enter(record);
        }
    }
}
