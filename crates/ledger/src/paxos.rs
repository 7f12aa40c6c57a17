//! omnipaxos together with how it came to its state (decision 0025): it cannot be written down itself, but it is deterministic, so the
//! same calls on the same beginning make the same instance again.
//!
//! The calls of an epoch are few (its entries are bounded), except its clock and the heartbeats of its election, which
//! go on for as long as the epoch lives. Those are kept as counts, which loses nothing: a heartbeat request changes no
//! state, a reply counts only for the round that it names, and of a round's replies only the set is looked at, when the
//! round ends.

use crate::storage::{Item, Journal, Log};
use omnipaxos::ballot_leader_election::Ballot;
use omnipaxos::messages::Message;
use omnipaxos::messages::ballot_leader_election::{BLEMessage, HeartbeatMsg, HeartbeatReply};
use omnipaxos::messages::sequence_paxos::{PaxosMessage, PaxosMsg};
use omnipaxos::storage::StopSign;
use omnipaxos::util::LogEntry;
use omnipaxos::{ClusterConfig, OmniPaxos, ServerConfig};
use serde::{Deserialize, Serialize};

/// Ticks of a round of its election. Elections go by what the owner sees (`campaign`); these rounds are the second line.
const ROUND: u64 = 20;
/// Ticks after which it says again what was not answered. The channel loses nothing while it lasts, and a Prepare that is
/// said twice is answered twice: each answer begins a synchronisation anew, and what was said meanwhile counts no more.
/// So this is longer than a serial line that is just fast enough takes to carry a round.
const SAY_AGAIN: u64 = 10;
/// Messages that there is room for from the beginning; its own default is room for tens of thousands.
const SAID_AT_ONCE: usize = 64;
/// Calls and entries of one epoch beyond which they are not kept: about 4 MB. Only peers that come and go without
/// end reach it; then there is no way to write this instance down until the next epoch.
const HISTORY_MAX: usize = 16_384;

/// One instance of omnipaxos, for one epoch.
pub(crate) struct Paxos {
    live: OmniPaxos<Item, Log>,
    journal: Journal,
    beginning: Beginning,
    history: Option<History>,
    /// Something may have been said that was not taken away.
    untaken: bool,
    taken: Vec<Message<Item>>,
}

/// What an instance is made from.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Beginning {
    pub pid: u64,
    pub voters: u64,
    /// Number of the epoch.
    pub number: u64,
    pub log: Log,
}

/// An instance as it can be written down.
#[derive(Serialize, Deserialize)]
struct Written<B, H> {
    beginning: B,
    history: H,
}

/// Everything that was done to an instance, in an order that has the same effect.
#[derive(Clone, Default, Serialize, Deserialize)]
struct History {
    calls: Vec<Call>,
    /// Calls and entries in them.
    size: usize,
    /// Rounds of the election that have ended.
    rounds: u64,
    /// Ticks of the current round.
    ticks: u64,
    /// Replies of the current round that stand in no call yet.
    replies: Vec<Answer>,
    /// Ticks of the current round, each followed by a take, that stand in no call yet.
    quiet: u64,
    /// A tick after which nothing was taken yet; it stands in no call yet.
    pending: bool,
    /// Whether something of the current round stands in a call already.
    mixed: bool,
}

/// A heartbeat reply without the number of its round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Answer {
    ballot: Ballot,
    leader: Ballot,
    happy: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Call {
    /// That many whole rounds with these replies and nothing else.
    Rounds(Vec<Answer>, u64),
    /// Replies of the current round.
    Replies(Vec<Answer>),
    /// That many ticks, each followed by a take.
    Quiet(u64),
    Tick,
    Receive(Box<Message<Item>>),
    Append(Item),
    Lead,
    Reconnected(u64),
    Reconfigure(u32, Vec<u8>),
    Take,
}

impl Paxos {
    /// A new instance that begins with this log.
    pub(crate) fn begin(beginning: Beginning) -> Paxos {
        let journal = beginning.log.journal();
        let cluster = ClusterConfig {
            configuration_id: beginning.number as u32,
            nodes: (1..=beginning.voters).collect(),
            flexible_quorum: None,
        };
        let server = ServerConfig {
            pid: beginning.pid,
            election_tick_timeout: ROUND,
            resend_message_tick_timeout: SAY_AGAIN,
            buffer_size: SAID_AT_ONCE,
            ..ServerConfig::default()
        };
        match cluster.build_for_server(server, beginning.log.clone()) {
            Ok(live) => {
                Paxos { live, journal, beginning, history: Some(History::default()), untaken: true, taken: Vec::new() }
            }
            // Voters, pid and number come from a checked record: a refusal is a bug of ours.
            Err(error) => unreachable!("omnipaxos refused {} voters: {error}", beginning.voters),
        }
    }

    /// The journal that its log writes to.
    pub(crate) fn journal(&self) -> Journal {
        self.journal.clone()
    }

    /// Whether it can be written down: all that led here is known, and nothing waits to be said.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.history.is_some() && !self.untaken
    }

    pub(crate) fn tick(&mut self) {
        self.live.tick();
        self.note(History::tick);
    }

    pub(crate) fn handle_incoming(&mut self, message: Message<Item>) {
        let configuration = self.beginning.number as u32;
        self.note(|history| history.receive(&message, configuration));
        self.live.handle_incoming(message);
    }

    /// Whether it was taken.
    pub(crate) fn append(&mut self, item: Item) -> bool {
        self.note(|history| history.call(1, Call::Append(item.clone())));
        self.live.append(item).is_ok()
    }

    pub(crate) fn try_become_leader(&mut self) {
        self.note(|history| history.call(1, Call::Lead));
        if self.live.get_promise().n == 0 {
            // Every voter's own election begins with ballot 1: at the end of its first round the voter with the highest
            // pid would depose whoever leads with that. The first ballot is passed over, and what it would say dropped.
            self.live.take_outgoing_messages(&mut self.taken);
            let before = self.taken.len();
            self.live.try_become_leader();
            self.live.take_outgoing_messages(&mut self.taken);
            self.taken.truncate(before);
        }
        self.live.try_become_leader();
    }

    pub(crate) fn reconnected(&mut self, pid: u64) {
        self.note(|history| history.call(1, Call::Reconnected(pid)));
        self.live.reconnected(pid);
    }

    /// Proposes the end of the epoch. Refused only while another end of it is under way, which serves as well.
    pub(crate) fn reconfigure(&mut self, number: u32, metadata: Vec<u8>) {
        self.note(|history| history.call(1, Call::Reconfigure(number, metadata.clone())));
        // omnipaxos wants a configuration of at least two; the voters that count stand in the metadata (R-LEDGER-2).
        let configuration = ClusterConfig { configuration_id: number, nodes: vec![1, 2], flexible_quorum: None };
        let _ = self.live.reconfigure(configuration, Some(metadata));
    }

    /// Moves what it has to say to the end of `messages`.
    pub(crate) fn take_outgoing_messages(&mut self, messages: &mut Vec<Message<Item>>) {
        if !self.untaken {
            // Nothing was done to it since: it has nothing to say, and a take of nothing stands in no history.
            return;
        }
        self.live.take_outgoing_messages(&mut self.taken);
        // What its election says is made and taken without effect on anything else.
        let matters = self.taken.iter().any(|message| !matches!(message, Message::BLE(_)));
        self.note(|history| history.take(matters));
        self.untaken = false;
        messages.append(&mut self.taken);
    }

    pub(crate) fn accepted_idx(&self) -> usize {
        self.live.get_accepted_idx()
    }

    /// Everything before this position is decided; an end of the epoch counts as one more.
    pub(crate) fn decided(&self) -> usize {
        self.live.get_decided_idx()
    }

    pub(crate) fn current_leader(&self) -> Option<(u64, bool)> {
        self.live.get_current_leader()
    }

    pub(crate) fn is_reconfigured(&self) -> Option<StopSign> {
        self.live.is_reconfigured()
    }

    pub(crate) fn read_decided_suffix(&self, from: usize) -> Option<Vec<LogEntry<Item>>> {
        self.live.read_decided_suffix(from)
    }

    fn note(&mut self, how: impl FnOnce(&mut History)) {
        self.untaken = true;
        if let Some(history) = &mut self.history {
            how(history);
            if history.size > HISTORY_MAX {
                self.history = None;
            }
        }
    }

    /// Makes the instance that `history` led to.
    fn again(beginning: Beginning, history: History) -> Paxos {
        let mut paxos = Paxos::begin(beginning);
        paxos.history = None;
        // Ticks so far; the round of the election follows from them.
        let mut ticks = 0;
        for call in &history.calls {
            match call {
                Call::Rounds(replies, times) => {
                    for _ in 0..*times {
                        paxos.answer(replies, ticks);
                        paxos.quiet(ROUND, &mut ticks);
                    }
                }
                Call::Replies(replies) => paxos.answer(replies, ticks),
                Call::Quiet(times) => paxos.quiet(*times, &mut ticks),
                Call::Tick => paxos.tick_again(&mut ticks),
                Call::Receive(message) => paxos.live.handle_incoming((**message).clone()),
                Call::Append(item) => drop(paxos.append(item.clone())),
                Call::Lead => paxos.try_become_leader(),
                Call::Reconnected(pid) => paxos.reconnected(*pid),
                Call::Reconfigure(number, metadata) => paxos.reconfigure(*number, metadata.clone()),
                Call::Take => paxos.forget_messages(),
            }
        }
        paxos.answer(&history.replies, ticks);
        paxos.quiet(history.quiet, &mut ticks);
        if history.pending {
            paxos.tick_again(&mut ticks);
        }
        paxos.forget_messages();
        paxos.untaken = false;
        // Whatever it wrote on the way was durable long ago.
        paxos.journal.take();
        paxos.history = Some(history);
        paxos
    }

    fn answer(&mut self, replies: &[Answer], ticks: u64) {
        for &Answer { ballot, leader, happy } in replies {
            let reply = HeartbeatReply { round: (ticks / ROUND + 1) as u32, ballot, leader, happy };
            let message = BLEMessage { from: ballot.pid, to: self.beginning.pid, msg: HeartbeatMsg::Reply(reply) };
            self.live.handle_incoming(Message::BLE(message));
        }
    }

    fn quiet(&mut self, times: u64, ticks: &mut u64) {
        for _ in 0..times {
            self.tick_again(ticks);
            self.forget_messages();
        }
    }

    fn tick_again(&mut self, ticks: &mut u64) {
        self.live.tick();
        *ticks += 1;
    }

    fn forget_messages(&mut self) {
        self.live.take_outgoing_messages(&mut self.taken);
        self.taken.clear();
    }
}

impl Clone for Paxos {
    /// A second instance in the same state, with a journal of its own in which nothing stands. Only for one that is at rest.
    fn clone(&self) -> Paxos {
        let Some(history) = self.history.clone() else { unreachable!("whoever clones asks `is_at_rest` first") };
        let mut beginning = self.beginning.clone();
        beginning.log.write_to(Journal::default());
        Paxos::again(beginning, history)
    }
}

impl History {
    fn tick(&mut self) {
        if self.pending {
            self.spill();
        }
        self.pending = true;
        self.ticks += 1;
    }

    fn take(&mut self, matters: bool) {
        if self.pending {
            self.pending = false;
            self.quiet += 1;
            if self.ticks == ROUND {
                self.end_round();
            }
        } else if matters {
            self.call(1, Call::Take);
        }
    }

    fn receive(&mut self, message: &Message<Item>, configuration: u32) {
        match message {
            Message::BLE(BLEMessage { msg: HeartbeatMsg::Request(_), .. }) => {}
            Message::BLE(BLEMessage { msg: HeartbeatMsg::Reply(reply), .. }) => {
                if self.pending {
                    self.spill();
                }
                let HeartbeatReply { round, ballot, leader, happy } = reply.clone();
                if u64::from(round) == self.rounds + 1 && ballot.config_id == configuration {
                    self.replies.push(Answer { ballot, leader, happy });
                }
            }
            Message::SequencePaxos(inner) => self.call(1 + entries(inner), Call::Receive(Box::new(message.clone()))),
        }
    }

    fn call(&mut self, size: usize, call: Call) {
        self.spill();
        self.mixed = self.ticks > 0;
        self.push(size, call);
    }

    fn push(&mut self, size: usize, call: Call) {
        self.size += size;
        self.calls.push(call);
    }

    /// Writes down what of the current round stands in no call yet.
    fn spill(&mut self) {
        if !self.replies.is_empty() {
            let replies = std::mem::take(&mut self.replies);
            self.push(1 + replies.len(), Call::Replies(replies));
            self.mixed = true;
        }
        if self.quiet > 0 {
            let quiet = std::mem::take(&mut self.quiet);
            self.push(1, Call::Quiet(quiet));
            self.mixed = true;
        }
        if std::mem::take(&mut self.pending) {
            self.push(1, Call::Tick);
            self.mixed = true;
        }
        if self.ticks == ROUND {
            self.next_round();
        }
    }

    fn end_round(&mut self) {
        if self.mixed || self.quiet != ROUND {
            return self.spill();
        }
        self.quiet = 0;
        self.replies.sort();
        let replies = std::mem::take(&mut self.replies);
        match self.calls.last_mut() {
            Some(Call::Rounds(last, times)) if *last == replies => *times += 1,
            _ => self.push(1 + replies.len(), Call::Rounds(replies, 1)),
        }
        self.next_round();
    }

    fn next_round(&mut self) {
        self.rounds += 1;
        self.ticks = 0;
        self.mixed = false;
    }
}

/// Entries that a message carries.
fn entries(message: &PaxosMessage<Item>) -> usize {
    match &message.msg {
        PaxosMsg::Promise(promise) => promise.log_sync.as_ref().map_or(0, |sync| sync.suffix.len()),
        PaxosMsg::AcceptSync(sync) => sync.log_sync.suffix.len(),
        PaxosMsg::AcceptDecide(accept) => accept.entries.len(),
        PaxosMsg::ProposalForward(items) => items.len(),
        _ => 0,
    }
}

impl Serialize for Paxos {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let history =
            self.history.as_ref().ok_or_else(|| serde::ser::Error::custom("this epoch had too many calls"))?;
        Written { beginning: &self.beginning, history }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Paxos {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Paxos, D::Error> {
        let written = Written::<Beginning, History>::deserialize(deserializer)?;
        if written.beginning.pid == 0
            || written.beginning.pid > written.beginning.voters
            || written.beginning.voters < 2
        {
            return Err(serde::de::Error::custom("no such voter"));
        }
        Ok(Paxos::again(written.beginning, written.history))
    }
}
