//! One node's ledger: the current epoch and what is said and written about it.

use crate::durable::{Durable, EpochState, NextEpoch};
use crate::founding::{FoundMessage, Founding, Step};
use crate::mark::Marks;
use crate::message::LedgerMessage;
use crate::paxos::{Beginning, Paxos};
use crate::storage::{Item, Journal, Line, Log};
use hearth_cib::{Entry, Record, Rejection, Voter};
use hearth_types::{EpochName, Index, NodeIdentity, NodeName, Timestamp};
use omnipaxos::messages::Message;
use omnipaxos::messages::sequence_paxos::{PaxosMessage, PaxosMsg};
use omnipaxos::util::LogEntry;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Entries after which the DC ends an epoch in favour of an equal one that begins with a snapshot: bounds memory, the
/// log on disk and the time of a restart (about 300 bytes an entry).
const ENTRIES_MAX: usize = 1000;
/// Entries under way, or ticks without a decision, beyond which a new round is the only hope.
const UNDECIDED_MAX: usize = 64;
/// Lines behind the state file after which the file is written anew.
const LINES_MAX: usize = 256;

/// What a ledger depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Params {
    /// This node.
    pub local: NodeName,
    /// Identity for a node without state.
    pub fresh_identity: NodeIdentity,
    /// Machines of ha.cf.
    pub nodes: Vec<NodeName>,
    /// Digest of that list.
    pub digest: u64,
    /// Span after which the first epoch is proposed again.
    pub retry: Duration,
    /// Seed of nonces.
    pub seed: u64,
}

/// What is to be done, in order.
#[derive(Clone, Debug)]
pub enum LedgerOut {
    /// Make durable before what follows becomes visible.
    Persist {
        /// New state file, which ends the log behind it.
        state: Option<String>,
        /// Lines to append.
        lines: Vec<String>,
        /// This node's mark once that is durable (see `mark.rs`).
        mark: u64,
    },
    /// Say it to that node.
    Say {
        /// Node.
        to: NodeName,
        /// Message.
        message: Box<LedgerMessage>,
    },
    /// An entry was decided and applied (or rejected by the rules of the record).
    Applied {
        /// Its index.
        index: Index,
        /// The entry.
        entry: Box<Entry>,
        /// Why it changed nothing, if so.
        rejection: Option<Rejection>,
    },
    /// Another epoch began on this node.
    EpochBegan {
        /// Its name.
        epoch: EpochName,
        /// Its voters.
        voters: Vec<NodeName>,
    },
}

/// How a peer's epoch stands to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Equal, or at least one of us has none.
    Same,
    /// The peer's descends from ours.
    Ahead,
    /// Ours descends from the peer's.
    Behind,
    /// Neither descends from the other.
    Rival,
}

/// The ledger of one node. It is serialised only at rest ([`Ledger::is_at_rest`]), and [`Ledger::join_up`] follows.
#[derive(Serialize, Deserialize)]
pub struct Ledger {
    pub(crate) params: Params,
    pub(crate) durable: Durable,
    pub(crate) paxos: Option<Paxos>,
    #[serde(skip)]
    pub(crate) journal: Journal,
    pub(crate) record: Option<Record>,
    pub(crate) applied: usize,
    pub(crate) rewrite: bool,
    lines_behind: usize,
    #[serde(skip)]
    pub(crate) out: Vec<LedgerOut>,
    pub(crate) founding: Founding,
    nonces: u64,
    /// Who is being let in to vote, and whose vote it gets.
    pub(crate) inviting: Option<(NodeName, Option<NodeName>)>,
    /// Ticks for which something has waited and nothing was decided.
    #[serde(default)]
    waited: usize,
    pub(crate) marks: Marks,
    /// A write failed: nothing that this run promises can be kept (R-LEDGER-3).
    pub(crate) stopped: bool,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("epoch", &self.epoch()).field("decided", &self.decided()).finish()
    }
}

impl Clone for Ledger {
    /// A ledger that goes on exactly as this one does, and shares nothing with it.
    ///
    /// # Panics
    /// Where [`Ledger::can_be_cloned`] says no.
    fn clone(&self) -> Ledger {
        let mut copy = Ledger {
            params: self.params.clone(),
            durable: self.durable.clone(),
            paxos: self.paxos.clone(),
            journal: Journal::default(),
            record: self.record.clone(),
            applied: self.applied,
            rewrite: self.rewrite,
            lines_behind: self.lines_behind,
            out: self.out.clone(),
            founding: self.founding.clone(),
            nonces: self.nonces,
            inviting: self.inviting.clone(),
            waited: self.waited,
            marks: self.marks.clone(),
            stopped: self.stopped,
        };
        if let Some(state) = copy.durable.epoch.as_mut() {
            state.log.write_to(Journal::default());
        }
        copy.join_up();
        copy.journal.copy(&self.journal);
        copy
    }
}

impl Ledger {
    /// Restores a node from its state file and the lines behind it, or begins without any.
    ///
    /// # Errors
    /// The state cannot be read; nothing was changed.
    pub fn restore(params: Params, state: Option<&str>, lines: &[String]) -> Result<Ledger, String> {
        let durable = match state {
            Some(text) => Durable::read(text, lines)?,
            None => Durable::fresh(params.local.clone(), params.fresh_identity),
        };
        if durable.name != params.local {
            return Err(format!(
                "it belongs to node {}, and this node is {}: a copied disk, or a renamed machine",
                durable.name, params.local
            ));
        }
        let founding = Founding::new(
            params.local.clone(),
            durable.identity,
            params.nodes.clone(),
            params.digest,
            durable.consent.clone(),
            durable.given_up.clone(),
            params.retry,
        );
        let marks = Marks::read(&durable);
        let mut ledger = Ledger {
            nonces: params.seed,
            params,
            durable,
            paxos: None,
            journal: Journal::default(),
            record: None,
            applied: 0,
            rewrite: state.is_none(),
            lines_behind: lines.len(),
            out: Vec::new(),
            founding,
            inviting: None,
            waited: 0,
            marks,
            stopped: false,
        };
        ledger.load_epoch();
        ledger.out.clear();
        ledger.durable.mark = ledger.marks.began;
        Ok(ledger)
    }

    /// The files were read again. The list counts for a first epoch from now on (R-JOIN-1); what was consented to under
    /// another one is carried on as it is.
    pub fn reconfigure(&mut self, nodes: Vec<NodeName>, digest: u64) {
        self.params.nodes.clone_from(&nodes);
        self.params.digest = digest;
        self.founding.reconfigure(nodes, digest);
    }

    /// A write failed, and what is on disk is not known: this run votes, proposes, promises and says nothing more.  What
    /// was agreed stays readable; the next run begins from what the disk holds.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.out.clear();
    }

    /// Whether nothing waits to be written or said, and all that led here is known, so that it can be serialised.
    pub fn is_at_rest(&self) -> bool {
        self.out.is_empty() && self.journal.is_empty() && self.paxos.as_ref().is_none_or(Paxos::is_at_rest)
    }

    /// Whether all that led here is known and nothing waits to be said, so that a second ledger can be made of it. Lines
    /// may wait to be written.
    pub fn can_be_cloned(&self) -> bool {
        self.paxos.as_ref().is_none_or(Paxos::is_at_rest)
    }

    /// Joins the parts of a deserialised ledger: they share one journal.
    pub fn join_up(&mut self) {
        if let Some(state) = self.durable.epoch.as_mut() {
            self.journal = self.paxos.as_ref().map_or_else(|| state.log.journal(), Paxos::journal);
            state.log.write_to(self.journal.clone());
        }
    }

    /// The persisted identity of this machine.
    pub fn identity(&self) -> NodeIdentity {
        self.durable.identity
    }

    /// The record as applied here; none before the first epoch, or after this node's epoch was given up.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    pub(crate) fn voters(&self) -> &[Voter] {
        self.record.as_ref().map_or(&[], |record| &record.voters)
    }

    /// The epoch that this node is in.
    pub fn epoch(&self) -> Option<&EpochName> {
        self.record.as_ref().map(|record| &record.epoch)
    }

    /// Epochs that this node gave up: it does not vote in them again.
    pub fn given_up(&self) -> &[EpochName] {
        &self.durable.given_up
    }

    /// Highest epoch number ever seen.
    pub fn number_seen(&self) -> u64 {
        self.durable.number_seen
    }

    /// Notes an epoch number that somebody stated.
    pub fn saw_number(&mut self, number: u64) {
        self.durable.number_seen = self.durable.number_seen.max(number);
    }

    /// Whether this node is the only voter.
    pub fn is_sole(&self) -> bool {
        self.record.is_some() && self.paxos.is_none() && self.is_voter()
    }

    pub(crate) fn is_voter(&self) -> bool {
        self.voters().iter().any(|voter| voter.name == self.params.local && voter.identity == self.durable.identity)
    }

    /// The node that may change the record: the leader in its accept phase, as far as this node knows.
    pub fn dc(&self) -> Option<NodeName> {
        self.leading().cloned()
    }

    /// Whether there is one.
    pub fn has_dc(&self) -> bool {
        self.leading().is_some()
    }

    fn leading(&self) -> Option<&NodeName> {
        if self.stopped {
            return None;
        }
        if self.is_sole() {
            return Some(&self.params.local);
        }
        if self.is_told() {
            return None;
        }
        let (pid, accepting) = self.paxos.as_ref()?.current_leader()?;
        accepting.then(|| self.voters().get(pid as usize - 1).map(|voter| &voter.name)).flatten()
    }

    /// Whether other voters have told this one of more than its own log knows decided (R-LEDGER-2): whoever leads by that log,
    /// be it this node, has been deposed by one that is not heard here, or is not heard itself (R-LEDGER-8).
    pub fn is_told(&self) -> bool {
        self.paxos.as_ref().is_some_and(|paxos| self.applied > paxos.decided())
    }

    /// The node whose round this voter has promised, whether it leads yet or not; none: nobody's.
    pub fn leader(&self) -> Option<NodeName> {
        if self.is_sole() {
            return Some(self.params.local.clone());
        }
        let (pid, _) = self.paxos.as_ref()?.current_leader()?;
        self.voters().get((pid as usize).checked_sub(1)?).map(|voter| voter.name.clone())
    }

    /// Whether this node may propose.
    pub fn is_dc(&self) -> bool {
        self.leading() == Some(&self.params.local)
    }

    /// Index of the last entry that is known to be decided.
    pub fn decided(&self) -> Index {
        self.record.as_ref().map_or(Index(0), |record| record.applied)
    }

    /// Whether something was accepted that is not decided yet.
    pub fn has_undecided(&self) -> bool {
        self.durable_entries() > self.applied
    }

    fn durable_entries(&self) -> usize {
        self.paxos.as_ref().map_or(0, Paxos::accepted_idx)
    }

    /// A note that survives the daemon.
    pub fn note(&self, key: &str) -> Option<&str> {
        self.durable.notes.get(key).map(String::as_str)
    }

    /// Writes a note; durable before what follows becomes visible.
    pub fn set_note(&mut self, key: &str, value: &str) {
        if self.note(key) != Some(value) {
            self.durable.notes.insert(key.to_owned(), value.to_owned());
            self.journal.note(Line::Note(key.to_owned(), value.to_owned()));
        }
    }

    /// Proposes an entry; only the DC's proposals are taken. False: not the DC, or the epoch is ending.
    pub fn propose(&mut self, entry: Entry) -> bool {
        if self.stopped {
            return false;
        }
        if self.is_sole() {
            if let Some(epoch) = self.durable.epoch.as_mut() {
                epoch.log.decide_alone(entry);
            }
            self.take_decided();
            self.renew_if_long();
            return true;
        }
        if !self.is_dc() {
            return false;
        }
        let Some(paxos) = self.paxos.as_mut() else { return false };
        let accepted = paxos.append(Item(entry));
        self.renew_if_long();
        self.take_decided();
        accepted
    }

    fn renew_if_long(&mut self) {
        if self.applied >= ENTRIES_MAX && self.is_dc() {
            let voters = self.voters().to_vec();
            self.change_voters(voters);
        }
    }

    /// The ledger's clock: elections, and repeats of what omnipaxos repeats by itself.
    pub fn tick(&mut self) {
        if self.stopped {
            return;
        }
        if let Some(paxos) = self.paxos.as_mut() {
            paxos.tick();
            self.waited = if self.has_undecided() { self.waited + 1 } else { 0 };
            if self.is_dc() && self.waited > 1 && self.waited.is_power_of_two() && !self.is_stuck() {
                // R-LEDGER-8: one lost Accepted would freeze a pair, omnipaxos does not repeat it. More and more rarely:
                // over a slow line the answer is late because of what is on it.
                if let Some(paxos) = self.paxos.as_mut() {
                    let _ = paxos.append(Item(Entry::Noop));
                }
            }
        }
        self.take_decided();
    }

    /// Whether so much is undecided, or for so long, that a voter is away, or only a new round helps, which the owner
    /// begins ([`Ledger::campaign`]) when all voters are together. Bounds the log while one is away for long.
    pub fn is_stuck(&self) -> bool {
        self.waited > UNDECIDED_MAX || self.durable_entries() > self.applied + UNDECIDED_MAX
    }

    /// Tries to become the DC of an epoch of several voters.
    pub fn campaign(&mut self) {
        if let Some(paxos) = self.paxos.as_mut() {
            paxos.try_become_leader();
        }
    }

    /// The channel to that node broke and began anew.
    pub fn reconnected(&mut self, node: &NodeName) {
        let pid = self.pid_of(node);
        if let (Some(paxos), Some(pid)) = (self.paxos.as_mut(), pid) {
            paxos.reconnected(pid);
        }
    }

    fn pid_of(&self, node: &NodeName) -> Option<u64> {
        self.voters().iter().position(|voter| voter.name == *node).map(|position| position as u64 + 1)
    }

    /// Takes a message of that node; the sender is authenticated.
    pub fn handle(&mut self, from: &NodeName, message: LedgerMessage) {
        if self.stopped {
            return;
        }
        match message {
            LedgerMessage::Paxos { epoch, message } => self.handle_paxos(from, &epoch, message),
            LedgerMessage::Found(message) => self.handle_found(from, message),
            LedgerMessage::Store { record } => self.store(from, *record),
            LedgerMessage::Stored { epoch } => self.stored(from, &epoch),
            LedgerMessage::Offer { record } => self.take_offer(*record),
            LedgerMessage::Ask { epoch, from: index } => self.answer(from, &epoch, index),
            LedgerMessage::Decided { epoch, from: index, entries } => self.learn(&epoch, index, entries),
            // Those need knowledge that only the owner has; it calls the matching functions.
            LedgerMessage::Join(_) | LedgerMessage::Rival { .. } | LedgerMessage::Resigned { .. } => {}
        }
        self.take_decided();
    }

    fn handle_paxos(&mut self, from: &NodeName, epoch: &EpochName, message: Message<Item>) {
        self.saw_number(epoch.number);
        if self.epoch() != Some(epoch) {
            if self.record.as_ref().is_some_and(|record| record.lineage.contains(epoch)) {
                self.offer(from);
            }
            return;
        }
        let ours = self.pid_of(&self.params.local);
        let theirs = self.pid_of(from);
        // R-LEDGER-7: omnipaxos indexes vectors by these numbers and believes them.
        if theirs.is_none() || Some(message.get_sender()) != theirs || Some(message.get_receiver()) != ours {
            return;
        }
        if let Some(paxos) = self.paxos.as_mut() {
            paxos.handle_incoming(message);
        }
    }

    /// Goes on with the first epoch: see [`Founding::poll`].
    pub fn poll_founding(&mut self, now: Timestamp, reachable: &[NodeName], waited_for: bool) {
        if self.stopped || self.durable.epoch.is_some() {
            return;
        }
        let (nonce, mut steps) = (self.next_nonce().0, Vec::new());
        self.founding.poll(now, reachable, waited_for, nonce, &mut steps);
        self.found(nonce, steps);
    }

    fn handle_found(&mut self, from: &NodeName, message: FoundMessage) {
        if self.durable.epoch.is_some() {
            return self.offer(from);
        }
        let (nonce, mut steps) = (self.next_nonce().0, Vec::new());
        self.founding.handle(from, message, nonce, &mut steps);
        self.found(nonce, steps);
    }

    /// A nonce that named nothing is still the next one: names do not depend on how often it was asked.
    fn found(&mut self, nonce: u64, steps: Vec<Step>) {
        let names = |step: &Step| match step {
            Step::Say(_, FoundMessage::Accept { proposal, .. }) | Step::Founded(proposal) => {
                proposal.epoch.nonce == nonce
            }
            _ => false,
        };
        if steps.iter().any(names) {
            self.nonce();
        }
        self.carry_out(steps);
    }

    fn carry_out(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Persist => {
                    self.durable.consent = self.founding.consent.clone();
                    self.rewrite = true;
                    self.flush();
                }
                Step::Say(to, message) => self.say(&to, LedgerMessage::Found(message)),
                Step::Founded(proposal) => {
                    self.enter(Record::found(proposal.epoch, proposal.voters));
                    for node in self.others() {
                        self.offer(&node);
                    }
                    self.campaign();
                }
            }
        }
    }

    pub(crate) fn others(&self) -> Vec<NodeName> {
        self.params.nodes.iter().filter(|name| **name != self.params.local).cloned().collect()
    }

    pub(crate) fn nonce(&mut self) -> u64 {
        let (nonce, stream) = self.next_nonce();
        self.nonces = stream;
        nonce
    }

    /// The next nonce, and where the stream stands behind it.
    fn next_nonce(&self) -> (u64, u64) {
        // splitmix64: one stream per purpose, so a new draw elsewhere shifts nothing here.
        let stream = self.nonces.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = stream;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31), stream)
    }

    pub(crate) fn say(&mut self, to: &NodeName, message: LedgerMessage) {
        self.out.push(LedgerOut::Say { to: to.clone(), message: Box::new(message) });
    }

    /// Makes the epoch of the state the running one: its log is read up to what is decided.
    pub(crate) fn load_epoch(&mut self) {
        self.paxos = None;
        self.applied = 0;
        self.record = None;
        let Some(state) = &self.durable.epoch else { return };
        self.record = Some(state.base.clone());
        self.journal = state.log.journal();
        let (voters, number) = (state.base.voters.len(), state.base.epoch.number);
        let log = state.log.clone();
        if voters > 1 && self.is_voter() {
            let pid = self.pid_of(&self.params.local).unwrap_or(1);
            let voters = voters as u64;
            self.paxos = Some(Paxos::begin(Beginning { pid, voters, number, log }));
        }
        self.take_decided();
    }

    /// Applies what is decided and not applied yet, and ends the epoch where its end is decided.
    pub(crate) fn take_decided(&mut self) {
        loop {
            let entries: Vec<Entry> = match (&self.paxos, &self.durable.epoch) {
                (Some(paxos), _) => paxos
                    .read_decided_suffix(self.applied)
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|entry| match entry {
                        LogEntry::Decided(item) => Some(item.0),
                        _ => None,
                    })
                    .collect(),
                // Who does not vote has applied what it was told, and has no log of it.
                (None, Some(state)) => {
                    let decided = state.log.entries().get(self.applied..state.log.decided()).unwrap_or_default();
                    decided.iter().map(|item| item.0.clone()).collect()
                }
                (None, None) => return,
            };
            self.flush();
            for entry in entries {
                self.applied += 1;
                self.apply(entry);
            }
            let Some(stopsign) = self.paxos.as_ref().and_then(Paxos::is_reconfigured) else { return };
            let next: Option<NextEpoch> =
                stopsign.metadata.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok());
            if !next.is_some_and(|next| self.succeed(next)) {
                return;
            }
        }
    }

    pub(crate) fn apply(&mut self, entry: Entry) {
        // Also what was learned from another voter binds this one (R-LEASE-3).
        self.revoke_by(&entry);
        let Some(record) = self.record.as_mut() else { return };
        self.waited = 0;
        let index = record.applied.next();
        let rejection = record.apply(index, &entry).err();
        self.out.push(LedgerOut::Applied { index, entry: Box::new(entry), rejection });
    }

    /// Applies every entry that was accepted here, decided or not (R-LEDGER-5): the peer may have decided it.
    pub(crate) fn apply_accepted(&mut self) {
        self.flush();
        let Some(state) = &self.durable.epoch else { return };
        let entries: Vec<Entry> = state.log.entries().iter().skip(self.applied).map(|item| item.0.clone()).collect();
        for entry in entries {
            self.applied += 1;
            self.apply(entry);
        }
    }

    /// Moves journal lines and messages to the output, the lines first.
    pub(crate) fn flush(&mut self) {
        self.flush_lines(self.rewrite || self.journal.must_be_durable());
        self.flush_messages();
    }

    fn flush_lines(&mut self, now: bool) {
        if now {
            self.note_marks();
            let mut lines = self.journal.take();
            self.revoke_by_lines(&mut lines);
            self.note_in_state(&lines);
            let binding = lines.iter().filter(|line| line.binds()).count() as u64;
            self.durable.mark += binding + u64::from(self.rewrite);
            let mark = self.durable.mark;
            self.lines_behind += lines.len();
            if self.rewrite || self.lines_behind > LINES_MAX {
                self.rewrite = false;
                self.lines_behind = 0;
                // A value of our own types always serialises.
                let state = serde_json::to_string(&self.durable).unwrap_or_default();
                self.out.push(LedgerOut::Persist { state: Some(state), lines: Vec::new(), mark });
            } else {
                let lines = lines.iter().map(|line| serde_json::to_string(line).unwrap_or_default()).collect();
                self.out.push(LedgerOut::Persist { state: None, lines, mark });
            }
        }
    }

    fn flush_messages(&mut self) {
        let Some(paxos) = self.paxos.as_mut() else { return };
        let mut messages = Vec::new();
        paxos.take_outgoing_messages(&mut messages);
        if messages.is_empty() {
            return;
        }
        let Some(epoch) = self.epoch().cloned() else { return };
        let length = self.durable.epoch.as_ref().map_or(0, |state| state.log.entries().len());
        for mut message in messages {
            leave_out_end(&mut message, length);
            let to = self.voters().get(message.get_receiver() as usize - 1).map(|voter| voter.name.clone());
            if let Some(to) = to {
                self.say(&to, LedgerMessage::Paxos { epoch: epoch.clone(), message });
            }
        }
    }

    /// Keeps the copy in the state file's value equal to what omnipaxos holds.
    fn note_in_state(&mut self, lines: &[Line]) {
        if self.paxos.is_none() {
            return;
        }
        if let Some(state) = self.durable.epoch.as_mut() {
            for line in lines {
                state.log.repeat(line.clone());
            }
        }
    }

    /// Whether [`Ledger::drain`] would return something.
    pub fn has_output(&self) -> bool {
        !self.stopped && (!self.out.is_empty() || self.rewrite || self.journal.must_be_durable())
    }

    /// Whether this node is a voter of its epoch.
    pub fn is_voting(&self) -> bool {
        self.record.is_some() && self.is_voter()
    }

    /// Writes what nothing waits for, so that a restarted daemon knows what this one did.
    pub fn settle(&mut self) -> Vec<LedgerOut> {
        self.flush();
        self.flush_lines(!self.journal.is_empty());
        self.take_out()
    }

    /// Entries of the current epoch that were decided, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let log = self.durable.epoch.as_ref().map_or(&[][..], |state| state.log.entries());
        log.iter().take(self.applied).map(|item| &item.0)
    }

    /// Takes everything that is to be done, in order.
    pub fn drain(&mut self) -> Vec<LedgerOut> {
        self.flush();
        self.take_out()
    }

    fn take_out(&mut self) -> Vec<LedgerOut> {
        if self.stopped {
            self.out.clear();
        }
        std::mem::take(&mut self.out)
    }

    pub(crate) fn enter(&mut self, record: Record) {
        self.saw_number(record.epoch.number);
        self.revoke_by_record(&record);
        self.durable.epoch = Some(EpochState { base: record, log: Log::default() });
        self.durable.stored = None;
        self.rewrite = true;
        self.load_epoch();
        self.flush();
        if let Some(record) = &self.record {
            let voters = record.voters.iter().map(|voter| voter.name.clone()).collect();
            self.out.push(LedgerOut::EpochBegan { epoch: record.epoch.clone(), voters });
        }
    }
}

/// omnipaxos 0.2.4 counts an accepted stop-sign as an entry when it says where a follower's log is to be continued: one
/// position behind the end of the log.  The follower then answers with an index that the leader never reaches, and the
/// stop-sign is never decided.  Such a position means the end of the log.
fn leave_out_end(message: &mut Message<Item>, length: usize) {
    let Message::SequencePaxos(PaxosMessage { msg: PaxosMsg::AcceptSync(sync), .. }) = message else { return };
    let log_sync = &mut sync.log_sync;
    if log_sync.stopsign.is_some() && log_sync.suffix.is_empty() {
        log_sync.sync_idx = log_sync.sync_idx.min(length);
    }
}
