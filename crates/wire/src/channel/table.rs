//! One end of the channel as a table: every state that can be reached, every event in it, what comes of it (R-LEDGER-8).
//!
//! The peer is played by the events, and says whatever a peer, an eavesdropper or a program gone wrong could say. From an
//! end that has just been made, every event is tried in every state that was found, until there are no new ones.

#[path = "../../../../tests/tables/table.rs"]
mod grid;

use super::*;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use grid::{Cells, compare};

/// More would be a machine that counts something: it is to be left out of [`End::sending`].
const STATES_MAX: usize = 2000;
/// A run of another daemon of the peer.
const BEFORE: Incarnation = Incarnation(7);
const THEIRS: Incarnation = Incarnation(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Time,
    SendShort,
    SendLong,
    SendLongest,
    SendTooLong,
    Reset,
    Line(bool),
    OtherRun,
    OlderSession,
    NextSession,
    Question,
    NamesAnother,
    Nothing,
    AcknowledgesOne,
    AcknowledgesAll,
    AcknowledgesMore,
    Whole,
    Part,
    LastAgain,
    LastRepeated,
    Skips,
    FarAhead,
}

const EVENTS: [Event; 23] = [
    Event::Time,
    Event::SendShort,
    Event::SendLong,
    Event::SendLongest,
    Event::SendTooLong,
    Event::Reset,
    Event::Line(true),
    Event::Line(false),
    Event::OtherRun,
    Event::OlderSession,
    Event::NextSession,
    Event::Question,
    Event::NamesAnother,
    Event::Nothing,
    Event::AcknowledgesOne,
    Event::AcknowledgesAll,
    Event::AcknowledgesMore,
    Event::Whole,
    Event::Part,
    Event::LastAgain,
    Event::LastRepeated,
    Event::Skips,
    Event::FarAhead,
];

/// In words, complete by the compiler.
fn event_name(event: Event) -> &'static str {
    match event {
        Event::Time => "its deadline",
        Event::SendShort => "to send: a short message",
        Event::SendLong => "to send: more than the window",
        Event::SendLongest => "to send: the longest message",
        Event::SendTooLong => "to send: a longer one",
        Event::Reset => "its owner resets it",
        Event::Line(true) => "a serial line alone leads to the peer",
        Event::Line(false) => "a network leads to the peer",
        Event::OtherRun => "a segment of another run of the peer",
        Event::OlderSession => "a segment of a session before",
        Event::NextSession => "the peer's next session",
        Event::Question => "a question for our session",
        Event::NamesAnother => "bytes for a session of ours that is over",
        Event::Nothing => "nothing new",
        Event::AcknowledgesOne => "acknowledges one more",
        Event::AcknowledgesAll => "acknowledges all",
        Event::AcknowledgesMore => "acknowledges what was never sent",
        Event::Whole => "the next bytes, the end of a message",
        Event::Part => "the next bytes, a part of a message",
        Event::LastAgain => "the last bytes by another link",
        Event::LastRepeated => "the last bytes again, in a later packet",
        Event::Skips => "bytes behind a gap",
        Event::FarAhead => "bytes beyond the window",
    }
}

fn us() -> NodeName {
    NodeName::new("a")
}

/// One end, and its clock.
#[derive(Clone)]
struct End {
    channel: Channel,
    now: Timestamp,
}

impl End {
    fn new() -> End {
        let channel = Channel::new(us(), Incarnation(1), NodeName::new("b"), THEIRS, 5);
        End { channel, now: Timestamp(1_000_000_000) }
    }

    /// Whether there is a session, and what of ours is to be carried; without what counts or only says when.
    fn sending(&self) -> String {
        let it = &self.channel;
        let mut parts = vec![self.session()];
        match (it.under_way.len() as u64, it.waiting.len()) {
            (0, 0) => {}
            (0, _) => parts.push("messages wait"),
            (SEND_WINDOW, 0) => parts.push("a window is under way"),
            (_, 0) => parts.push("bytes are under way"),
            (SEND_WINDOW, _) => parts.push("a window is under way, more waits"),
            (_, _) => parts.push("bytes are under way, more waits"),
        }
        if it.queued + MAX_MESSAGE * 5 / 4 > MAX_QUEUED {
            parts.push("almost full");
        }
        if it.pace.is_some() {
            parts.push("over a line");
        }
        parts.join(", ")
    }

    /// Whether there is a session, and what of the peer's is here.
    fn receiving(&self) -> String {
        let it = &self.channel;
        let mut parts = vec![self.session()];
        if it.partial.len() + FRAGMENT > MAX_MESSAGE {
            parts.push("all that a message may be is here, and no end");
        } else if !it.partial.is_empty() {
            parts.push("part of a message is here");
        }
        if !it.early.is_empty() {
            parts.push("a gap");
        }
        if let Some(due) = it.ack_due {
            parts.push(if due > self.now { "to acknowledge soon" } else { "to acknowledge" });
        }
        parts.join(", ")
    }

    fn session(&self) -> &'static str {
        match (self.channel.open, self.channel.heard_session) {
            (true, _) => "open",
            (false, None) => "asks for the peer's session",
            (false, Some(_)) => "has named the peer's session",
        }
    }

    /// What a peer would say that knows all of this end, and has nothing of its own to say.
    fn segment(&self) -> Segment {
        Segment {
            from: NodeName::new("b"),
            incarnation: THEIRS,
            to: us(),
            to_incarnation: Incarnation(1),
            number: 0,
            acknowledged: self.channel.oldest - 1,
            last: false,
            bytes: Vec::new(),
            session: self.channel.heard_session.unwrap_or(1),
            to_session: Some(self.channel.session),
            ask: false,
            mark: None,
        }
    }

    fn bytes(&self, ahead: u64, last: bool) -> Segment {
        Segment { number: self.channel.arrived + ahead, bytes: vec![1; FRAGMENT], last, ..self.segment() }
    }

    /// What comes of it in words. None: it cannot happen now.
    fn happen(&mut self, event: Event) -> Option<Vec<String>> {
        let under_way = self.channel.under_way.len() as u64;
        let plain = self.segment();
        let segment = match event {
            Event::Time => {
                self.now = self.now.max(self.channel.next_deadline()?);
                return Some(self.polled());
            }
            Event::SendShort => return Some(self.sends(100)),
            Event::SendLong => return Some(self.sends(FRAGMENT * (SEND_WINDOW as usize + 2))),
            Event::SendLongest => return Some(self.sends(MAX_MESSAGE)),
            Event::SendTooLong => return Some(self.sends(MAX_MESSAGE + 1)),
            Event::Reset => {
                self.channel.reset();
                return Some(self.polled());
            }
            Event::Line(line) => {
                self.channel.keep_pace(self.now, line.then_some(Duration::from_millis(100)));
                return Some(self.polled());
            }
            Event::OtherRun => Segment { incarnation: BEFORE, ..self.bytes(1, true) },
            Event::OlderSession => {
                Segment { session: self.channel.heard_session?.checked_sub(1)?, ..self.bytes(1, true) }
            }
            Event::NextSession => Segment {
                session: self.channel.heard_session.unwrap_or(0) + 1,
                to_session: None,
                acknowledged: 0,
                ask: true,
                ..plain
            },
            Event::Question => Segment { ask: true, to_session: None, ..plain },
            Event::NamesAnother => Segment { to_session: Some(self.channel.session - 1), ..self.bytes(1, true) },
            Event::Nothing => plain,
            Event::AcknowledgesOne if under_way > 1 => Segment { acknowledged: plain.acknowledged + 1, ..plain },
            Event::AcknowledgesAll if under_way > 0 => {
                Segment { acknowledged: plain.acknowledged + under_way, ..plain }
            }
            Event::AcknowledgesOne | Event::AcknowledgesAll => return None,
            Event::AcknowledgesMore => Segment { acknowledged: plain.acknowledged + under_way + 1, ..plain },
            Event::Whole => self.bytes(1, true),
            Event::Part => self.bytes(1, false),
            Event::LastAgain | Event::LastRepeated if self.channel.arrived == 0 => return None,
            Event::LastAgain => self.bytes(0, true),
            Event::LastRepeated => {
                self.now = self.now + SHORTEST_TIMEOUT;
                self.bytes(0, true)
            }
            Event::Skips => self.bytes(3, true),
            Event::FarAhead => self.bytes(SEND_WINDOW + 1, true),
        };
        Some(self.receives(&segment))
    }

    fn sends(&mut self, length: usize) -> Vec<String> {
        let refused = match self.channel.send(vec![0; length]) {
            Ok(()) => None,
            Err(NotSent::Full) => Some("refused: full".to_string()),
            Err(NotSent::TooLong) => Some("refused: too long".to_string()),
        };
        refused.into_iter().chain(self.polled()).collect()
    }

    fn receives(&mut self, segment: &Segment) -> Vec<String> {
        let was_open = self.channel.open;
        let received = self.channel.receive(self.now, segment);
        assert!(received.broken.is_none() || received.messages.is_empty(), "no message comes with a break");
        assert!(received.messages.is_empty() || self.channel.open, "bytes of a session that is not agreed");
        assert!(!received.opened || !was_open, "opened twice");
        let mut words = Vec::new();
        words.extend(received.opened.then(|| "opened".to_string()));
        words.extend(received.broken.map(|how| match how {
            Break::PeerReset => "broken: the peer reset".to_string(),
            Break::Nonsense => "broken: nonsense".to_string(),
        }));
        words.extend((!received.messages.is_empty()).then(|| "delivers".to_string()));
        words.extend(self.polled());
        words
    }

    /// What it says now, as its owner lets it after every input.
    fn polled(&mut self) -> Vec<String> {
        let known = self.channel.oldest + self.channel.under_way.len() as u64;
        let mut out = Vec::new();
        self.channel.poll(self.now, &mut out);
        let mut words: Vec<String> = Vec::new();
        for segment in &out {
            let word = match (segment.number, segment.ask) {
                (0, true) => "asks",
                (0, false) => "acknowledges",
                (number, _) if number < known => "repeats",
                (_, _) => "sends",
            };
            if words.last().is_none_or(|last| last != word) {
                words.push(word.into());
            }
        }
        self.check();
        words
    }

    /// What holds in every state.
    fn check(&self) {
        let it = &self.channel;
        let held: usize = it.under_way.iter().map(|fragment| cost(&fragment.bytes)).sum();
        let waits: usize = it.waiting.iter().map(|(bytes, _)| cost(bytes)).sum();
        assert_eq!(it.queued, held + waits, "what waits is counted");
        assert!(it.queued <= MAX_QUEUED && it.under_way.len() as u64 <= SEND_WINDOW, "bounded: {}", self.sending());
        assert!(it.early.len() as u64 <= SEND_WINDOW && it.partial.len() <= MAX_MESSAGE, "bounded: {}", self.sending());
        let idle = it.open && it.queued == 0 && it.ack_due.is_none();
        assert_eq!(it.next_deadline().is_none(), idle, "it would wait for ever: {}", self.sending());
        assert!(it.open || it.under_way.is_empty(), "bytes are sent only in a session");
    }
}

/// Ends that no short way leads to.
fn rare() -> Vec<End> {
    let open = || {
        let mut end = End::new();
        let _ = end.happen(Event::NextSession);
        let _ = end.happen(Event::Nothing);
        end
    };
    let mut almost_whole = open();
    while almost_whole.channel.partial.len() + FRAGMENT <= MAX_MESSAGE {
        let _ = almost_whole.happen(Event::Part);
    }
    let mut full = open();
    while full.channel.queued + MAX_MESSAGE * 5 / 4 <= MAX_QUEUED {
        let _ = full.happen(Event::SendLongest);
    }
    vec![almost_whole, full]
}

/// Which of its two sides an event is of; complete by the compiler. What ends a session is of both.
fn sides(event: Event) -> (bool, bool) {
    match event {
        Event::SendShort | Event::SendLong | Event::SendLongest | Event::SendTooLong | Event::Line(_) => (true, false),
        Event::AcknowledgesOne | Event::AcknowledgesAll => (true, false),
        Event::OtherRun | Event::OlderSession | Event::NamesAnother => (false, true),
        Event::Whole | Event::Part | Event::LastAgain | Event::LastRepeated => (false, true),
        Event::Skips | Event::FarAhead => (false, true),
        Event::Time | Event::Reset | Event::NextSession | Event::Question | Event::Nothing => (true, true),
        Event::AcknowledgesMore => (true, true),
    }
}

fn note(cells: &mut Cells, event: Event, before: &str, after: &str, words: &[String], not: &[&str]) {
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !not.contains(word)).collect();
    let mut parts: Vec<String> = Vec::new();
    if after != before {
        parts.push(format!("-> {after}"));
    }
    if !words.is_empty() {
        parts.push(format!("[{}]", words.join(", ")));
    }
    cells.note(before, event_name(event), if parts.is_empty() { "-".into() } else { parts.join("  ") });
}

#[test]
fn every_state_of_the_channel_and_every_event() {
    let (mut sending, mut receiving) = (Cells::default(), Cells::default());
    let mut known: BTreeSet<(String, String)> = BTreeSet::new();
    let mut open: VecDeque<End> = [End::new()].into_iter().chain(rare()).collect();
    known.extend(open.iter().map(|end| (end.sending(), end.receiving())));
    while let Some(end) = open.pop_front() {
        let before = (end.sending(), end.receiving());
        for event in EVENTS {
            let mut next = end.clone();
            let Some(words) = next.happen(event) else { continue };
            let after = (next.sending(), next.receiving());
            let (sends, takes) = sides(event);
            if sends {
                note(&mut sending, event, &before.0, &after.0, &words, &["acknowledges", "delivers"]);
            }
            if takes {
                note(&mut receiving, event, &before.1, &after.1, &words, &["sends", "repeats"]);
            }
            if known.insert(after) {
                open.push_back(next);
            }
        }
        assert!(known.len() < STATES_MAX, "{} states and no end: something counts", known.len());
    }
    for event in EVENTS {
        let name = event_name(event);
        assert!(sending.has_event(name) || receiving.has_event(name), "{event:?} never came to pass");
    }
    let head = "One end of the channel between two daemons (crates/wire), its two sides: what comes of every event in every state\n\
                that can be reached. -> the state after it, [what it tells its owner, then what it sends]. Its owner lets it\n\
                send after every event. A segment names our session and acknowledges nothing new, unless it is said otherwise.\n\
                Where there are several, the other side decides: bytes that go anyway carry the acknowledgement.";
    let (sending, receiving) = (sending.print("-"), receiving.print("-"));
    compare("channel.txt", head, &format!("What is sent: {sending}\n\nWhat is received: {receiving}"));
}
