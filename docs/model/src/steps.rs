//! What can happen next. Nothing is urgent: whatever may happen may also happen later or never, so that every delay, lost
//! packet, cut and pause is among the runs.

use crate::part::Part;
use crate::record::Entry;
use crate::record::{A, D, NODES, Node};
use crate::state::{State, Ticks};

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// A tick of true time passes, on all machines.
    Tick,
    /// A voter hears the owner, vouches for it, and the owner hears that.
    Vouch(Node),
    /// The owner does what it had decided a while ago, when it might: it opens its gate.
    ActLate,
    /// The next round of the ledger begins: two voters have promised to heed none before it.
    Elect(Node, Node),
    /// The leader of the newest round proposes an entry.
    Propose(Entry),
    /// A voter accepts what was proposed in that round, and writes it down.
    Accept(Node, u8),
    /// A voter accepts it, and its daemon is killed, and started again, before it is written down.
    AcceptAndForget(Node, u8),
    /// A node learns the next decided entry.
    Learn(Node),
    /// A daemon is killed and started again.
    Crash(Node),
}

/// The rules, what of them is left out, and how much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Left out, to see what happens then.
    pub left_out: Option<Part>,
    /// For how many ticks of true time a lease lasts by the slowest clock that is allowed, and a proof waits by the
    /// fastest. The twentieth that the protocol adds (1.05 L) is there for the second to be no less than the first where
    /// clocks drift; the model takes the worst: it is no more either.
    pub lease: Ticks,
    /// Most rounds of the ledger, at most [`crate::state::ROUNDS`]: one less than that many leaders are deposed.
    pub rounds: usize,
    /// Whether a voter may be replaced. One of the rounds is then left to the second epoch.
    pub replaces: bool,
    /// Most daemons that are killed.
    pub crashes: u8,
    /// Most entries that say nothing of the owner.
    pub others: usize,
}

impl Rules {
    /// All rules, and everything that the model lets happen: a crash, a voter replaced, a re-admission or a renewal, two
    /// leaders deposed.
    pub fn whole() -> Rules {
        Rules { left_out: None, lease: 1, rounds: 3, replaces: true, crashes: 1, others: 1 }
    }

    /// With a lease of so many ticks: moments within a lease are told apart, and there are many times more of them.
    pub fn with_lease(self, lease: Ticks) -> Rules {
        Rules { lease, ..self }
    }

    /// With the same voters for ever.
    pub fn in_one_epoch(self) -> Rules {
        Rules { rounds: 2, replaces: false, ..self }
    }

    /// With no daemon killed.
    pub fn without_crash(self) -> Rules {
        Rules { crashes: 0, ..self }
    }

    /// The same without a part of the rules.
    pub fn without(self, part: Part) -> Rules {
        Rules { left_out: Some(part), ..self }
    }

    pub(crate) fn keeps(&self, part: Part) -> bool {
        self.left_out != Some(part)
    }

    /// Every step that may come next.
    pub fn steps(&self, state: &State, steps: &mut Vec<Step>) {
        steps.extend([Step::Tick, Step::ActLate]);
        for node in NODES {
            if node != A && state.votes(node) && !self.refuses(state, node) {
                steps.push(Step::Vouch(node));
            }
            let is_behind = usize::from(state.machines[node].applied) < state.log.len();
            if is_behind && (node != D || state.epoch.is_some()) {
                steps.push(Step::Learn(node));
            }
            if state.crashes < self.crashes && (node == A || state.votes(node)) {
                steps.push(Step::Crash(node));
            }
        }
        self.ledger_steps(state, steps);
    }

    /// The moment after a step.
    pub fn after(&self, before: &State, step: Step) -> State {
        let mut state = *before;
        match step {
            Step::Tick => state.tick(self.lease),
            Step::Vouch(voter) => self.vouch(&mut state, voter),
            Step::ActLate => self.act_late(&mut state),
            Step::Elect(one, other) => self.elect(&mut state, [one, other]),
            Step::Propose(entry) => {
                state.rounds.iter_mut().flatten().last().into_iter().for_each(|round| round.proposed = Some(entry));
            }
            Step::Accept(voter, round) => self.accept(&mut state, voter, round),
            Step::AcceptAndForget(voter, round) => self.accept_and_forget(&mut state, voter, round),
            Step::Learn(node) => self.learn(&mut state, node),
            Step::Crash(node) => self.crash(&mut state, node),
        }
        self.settle(&mut state);
        state
    }

    /// A daemon is killed and started again. Its disk stays, and so does the owner's gate, which the kernel closes.
    pub(crate) fn crash(&self, state: &mut State, node: Node) {
        state.crashes += 1;
        state.machines[node].vouched = if self.keeps(Part::OwnStart) { 0 } else { self.lease };
        if node == A {
            state.vouches = [None; 4];
        } else if !self.keeps(Part::LogFirst) {
            self.vouch(state, node);
        }
    }

    /// What follows at once from any step.
    fn settle(&self, state: &mut State) {
        self.open_gate(state);
        if state.votes(A) && !self.refuses(state, A) {
            // Its own vote counts: that is a vouch at every moment.
            state.machines[A].vouched = 0;
        }
        NODES.into_iter().for_each(|node| self.state(state, node));
        self.simplify_rounds(state);
        for vouch in &mut state.vouches {
            *vouch = vouch.filter(|vouch| vouch.age < self.lease || vouch.next.is_some());
        }
        if state.truth().freed {
            // Nothing is left to be proven.
            state.stated = [None; 4];
            state.epoch = state.epoch.map(|_| self.lease);
            state.machines.iter_mut().for_each(|machine| machine.vouched = self.lease);
        }
    }
}
