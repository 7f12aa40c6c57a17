//! How entries are agreed on: rounds of Paxos, one place of the log at a time (R-LEDGER-1, 2).
//!
//! What makes a loss dangerous is here: a voter can have accepted one that is then overwritten, a majority can have
//! decided one that nobody knows of yet, and what was proposed long ago can still be accepted by a voter that is behind.

use crate::leases::{lost_by_decision, majority};
use crate::part::Part;
use crate::record::{A, C, D, Entry, LOG_MAX, NODES, Node, Voters};
use crate::state::{Round, State};
use crate::steps::{Rules, Step};

impl Rules {
    /// Steps of the ledger that may come next.
    pub(crate) fn ledger_steps(&self, state: &State, steps: &mut Vec<Step>) {
        let truth = state.truth();
        let begun = state.rounds.iter().flatten().count();
        // One round is left to the second epoch.
        let most = self.rounds - usize::from(self.replaces && !truth.switched);
        if begun < most && state.log.len() < LOG_MAX {
            let in_epoch = |node: &Node| state.record(*node).switched == truth.switched;
            let voters: Vec<Node> = truth.voters.nodes().filter(in_epoch).collect();
            for (at, one) in voters.iter().enumerate() {
                steps.extend(voters[at + 1..].iter().map(|other| Step::Elect(*one, *other)));
            }
        }
        for (at, round) in state.rounds.iter().enumerate() {
            let Some(round) = round else { continue };
            let number = at as u8 + 1;
            if round.proposed.is_none() && round.leads && usize::from(round.slot) < LOG_MAX {
                steps.extend(self.proposals(state).into_iter().map(Step::Propose));
            }
            let takes = |node: &Node| takes(state, *node, round, number);
            for node in NODES.into_iter().filter(takes) {
                steps.push(Step::Accept(node, number));
                if state.crashes < self.crashes {
                    steps.push(Step::AcceptAndForget(node, number));
                }
            }
        }
    }

    /// What the DC may propose. It may call a node lost whenever it likes: that it asks the voters before (R-LEASE-2) spares
    /// healthy owners, and exclusiveness does not rest on it.
    fn proposals(&self, state: &State) -> Vec<Entry> {
        let (record, slot) = (state.truth(), state.log.len() as u8);
        let mut entries = Vec::new();
        if record.freed {
            entries.extend((record.lost && record.admission == 1).then_some(Entry::Admit));
            return entries;
        }
        if !record.lost {
            entries.push(Entry::Lost(record.admission));
        }
        let revoked = state.machines.iter().any(|machine| machine.revoked >= record.admission);
        if !record.lost && revoked && record.admission == 1 {
            entries.push(Entry::Renew);
        }
        if record.lost && record.admission == 1 {
            entries.push(Entry::Admit);
        }
        if self.is_proven(state) {
            entries.push(Entry::Proven);
        }
        if self.replaces && !record.switched && !(record.lost && self.keeps(Part::ProofFirst)) {
            // In the place of `B` it would be the same as in the place of `C`.
            entries.extend([A, C].map(|gone| Entry::Switch(Voters::replaced(gone))));
        }
        // Where there is nothing to overwrite it would change nothing.
        let accepted = state.machines.iter().any(|machine| machine.applied == slot && machine.accepted.is_some());
        let offered = |round: &Round| !round.leads && round.slot == slot && round.proposed.is_some();
        let overwrites = accepted || state.rounds.iter().flatten().any(offered);
        if overwrites && state.log.count(|entry| *entry == Entry::Other) < self.others {
            entries.push(Entry::Other);
        }
        entries
    }

    /// A new leader has the promises of two voters, and must propose the newest that they accepted.
    pub(crate) fn elect(&self, state: &mut State, promises: [Node; 2]) {
        let begun = state.rounds.iter().flatten().count();
        let slot = state.log.len() as u8;
        let mut newest: Option<(u8, Entry)> = None;
        for node in promises {
            let machine = &mut state.machines[node];
            machine.promised = begun as u8 + 1;
            let accepted = machine.accepted.filter(|_| machine.applied == slot);
            newest = newest.into_iter().chain(accepted).max_by_key(|(round, _)| *round);
        }
        // Whatever the leaders before would still propose they could have proposed a moment ago.
        state.rounds.iter_mut().flatten().for_each(|round| round.leads = false);
        let proposed = newest.map(|(_, entry)| entry);
        state.rounds[begun] = Some(Round { slot, proposed, leads: true });
    }

    /// A voter accepts what was proposed in a round, and it is on its disk. (Until it is there the voter only does less
    /// than it might: that needs no step of its own, except where it is lost; see [`Rules::accept_and_forget`].)
    pub(crate) fn accept(&self, state: &mut State, voter: Node, number: u8) {
        let Some(entry) = state.rounds[usize::from(number) - 1].and_then(|round| round.proposed) else { return };
        self.overwrite(state, voter, Some(entry));
        let machine = &mut state.machines[voter];
        machine.promised = number;
        machine.accepted = Some((number, entry));
        if let Entry::Lost(admission) = entry {
            machine.revoked = machine.revoked.max(admission);
        }
        self.decide(state, voter);
    }

    /// The same, and its daemon is killed and started again before it is on the disk.
    pub(crate) fn accept_and_forget(&self, state: &mut State, voter: Node, number: u8) {
        if !self.keeps(Part::DurableFirst) {
            let mut accepted = *state;
            self.accept(&mut accepted, voter, number);
            self.state(&mut accepted, voter);
            state.stated = accepted.stated;
        }
        self.crash(state, voter);
    }

    /// What a majority has accepted is decided, whether anybody knows it or not.
    fn decide(&self, state: &mut State, voter: Node) {
        let (slot, accepted) = (state.machines[voter].applied, state.machines[voter].accepted);
        let (Some((number, entry)), voters) = (accepted, state.truth().voters) else { return };
        let has = |node: &Node| state.machines[*node].applied == slot && state.machines[*node].accepted == accepted;
        let count = voters.nodes().filter(has).count();
        if usize::from(slot) != state.log.len() || count < majority(voters.nodes().count()) {
            return;
        }
        state.log.push(entry);
        for (at, round) in state.rounds.iter_mut().enumerate() {
            let Some(round) = round else { continue };
            if at + 1 == usize::from(number) {
                // The leader goes on with the next place, unless the epoch has ended.
                let leads = round.leads && !matches!(entry, Entry::Switch(_));
                *round = Round { slot: slot + 1, proposed: None, leads };
            } else {
                round.leads = false;
            }
        }
    }

    /// What a voter had accepted is overwritten.
    fn overwrite(&self, state: &mut State, voter: Node, by: Option<Entry>) {
        let machine = state.machines[voter];
        if !self.keeps(Part::ForEver) && machine.accepted.is_some_and(|(_, entry)| Some(entry) != by) {
            state.machines[voter].revoked = lost_by_decision(state, &machine);
        }
    }

    /// A node learns the next decided entry; one that gets a vote takes over the record whole.
    pub(crate) fn learn(&self, state: &mut State, node: Node) {
        let applied = usize::from(state.machines[node].applied);
        let enters = node == D && !state.record(D).switched;
        let upto = if enters { state.log.switched_at().unwrap_or(0) } else { applied + 1 };
        self.overwrite(state, node, state.log.at(applied));
        let (before, record) = (state.log.record(applied), state.log.record(upto));
        let machine = &mut state.machines[node];
        machine.applied = upto as u8;
        machine.accepted = None;
        if record.lost {
            machine.revoked = machine.revoked.max(record.admission);
        }
        if record.switched && !before.switched {
            state.epoch.get_or_insert(0);
        }
        if node == A && record.switched {
            state.vouches.iter_mut().flatten().for_each(|vouch| vouch.next = None);
        }
        if node == A && record.admission > before.admission && !self.keeps(Part::AnyAdmission) {
            // As if nobody had vouched for it before.
            state.machines.iter_mut().for_each(|machine| machine.vouched = self.lease);
        }
    }

    /// Forgets rounds of which nothing can come any more, so that moments that differ in nothing else are one.
    pub(crate) fn simplify_rounds(&self, state: &mut State) {
        for node in NODES.into_iter().filter(|node| *node != A) {
            // That an entry is decided which it has accepted is no news to a voter, unless it ends its epoch.
            let machine = &mut state.machines[node];
            let decided = state.log.at(machine.applied.into()).filter(|entry| !matches!(entry, Entry::Switch(_)));
            if machine.accepted.is_some_and(|(_, entry)| Some(entry) == decided) {
                machine.applied += 1;
                machine.accepted = None;
            }
        }
        let length = state.log.len();
        for (at, round) in state.rounds.iter_mut().enumerate() {
            let Some(round) = round.as_mut().filter(|round| !round.leads) else { continue };
            // A voter that is behind may still accept it; only a loss and a switch do anything by that.
            let matters =
                usize::from(round.slot) == length || matches!(round.proposed, Some(Entry::Lost(_) | Entry::Switch(_)));
            let may = state.machines.iter().any(|it| it.applied <= round.slot && usize::from(it.promised) <= at + 1);
            if round.proposed.is_none() || !matters || !may {
                *round = Round::default();
            }
        }
        let over = |number: u8| state.rounds[usize::from(number) - 1] == Some(Round::default());
        let begun = state.rounds.iter().flatten().count();
        for machine in &mut state.machines {
            while over(machine.promised) && usize::from(machine.promised) < begun {
                machine.promised += 1;
            }
        }
    }
}

/// Whether a node can accept now what was proposed in a round.
fn takes(state: &State, node: Node, round: &Round, number: u8) -> bool {
    let machine = &state.machines[node];
    round.proposed.is_some()
        && machine.applied == round.slot
        && machine.promised <= number
        && machine.accepted.is_none_or(|(known, _)| known < number)
        && state.votes(node)
}
