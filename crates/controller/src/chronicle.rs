//! The node's own history: every event with its cause, bounded, the source of timeline and `hearth why`.

use crate::{Event, EventId, Severity};
use hearth_types::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Events that are kept: at the usual 20 a takeover about 200 takeovers, 1 MB at most.
const EVENTS_MAX: usize = 4096;
/// Steps of a chain that an explanation shows.
const CHAIN_MAX: usize = 64;

/// Events about a resource that follow from what was last said of it.
const FOLLOWS: [&str; 6] = ["resource-", "address-", "start-", "stop-", "monitor-", "probe-"];

/// Events of this incarnation, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Chronicle {
    events: VecDeque<Event>,
    next: u64,
    /// Newest event of each subject: the default cause of the next one.
    latest: BTreeMap<String, EventId>,
    /// The newest fact from outside.
    fact: Option<EventId>,
    /// What is being worked on: the cause of everything that is noted meanwhile.
    cause: Option<EventId>,
    /// Events that were not handed out yet.
    fresh: Vec<Event>,
}

impl Chronicle {
    /// Notes an event whose cause is what is being worked on.
    pub(crate) fn note(
        &mut self,
        now: Timestamp,
        severity: Severity,
        name: &str,
        subject: impl ToString,
        text: String,
    ) -> EventId {
        let subject = subject.to_string();
        self.next += 1;
        let id = EventId(self.next);
        let cause = self.cause.or_else(|| match name {
            // A decision about a group follows from the newest fact, what is done from what was decided.
            _ if name.starts_with("group-") => self.fact,
            _ if FOLLOWS.iter().any(|prefix| name.starts_with(prefix)) => {
                self.latest.get(&subject).copied().or(self.fact)
            }
            _ => None,
        });
        let event = Event { id, at: now, cause, severity, name: name.to_owned(), subject: subject.clone(), text };
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        if self.latest.len() > EVENTS_MAX {
            self.latest.clear();
        }
        self.latest.insert(subject, id);
        self.events.push_back(event.clone());
        self.fresh.push(event);
        id
    }

    /// Notes an event and makes it the cause of what follows.
    pub(crate) fn lead(
        &mut self,
        now: Timestamp,
        severity: Severity,
        name: &str,
        subject: impl ToString,
        text: String,
    ) -> EventId {
        let id = self.note(now, severity, name, subject, text);
        self.cause = Some(id);
        self.fact = Some(id);
        id
    }

    /// What follows has this cause; none: that of its subject.
    pub(crate) fn because(&mut self, cause: Option<EventId>) -> Option<EventId> {
        std::mem::replace(&mut self.cause, cause)
    }

    /// The newest event of a subject.
    pub(crate) fn latest_of(&self, subject: &str) -> Option<EventId> {
        self.latest.get(subject).copied()
    }

    /// Number of the newest event.
    pub(crate) fn newest(&self) -> u64 {
        self.next
    }

    /// Events that were not handed out yet, oldest first.
    pub(crate) fn take_fresh(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.fresh)
    }

    /// Whether there are any.
    pub(crate) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Events of a subject, or all; the newest `last`, oldest first.
    pub(crate) fn select(&self, subject: Option<&str>, last: Option<usize>) -> Vec<Event> {
        let matching = self.events.iter().filter(|event| subject.is_none_or(|subject| event.subject == subject));
        let all: Vec<Event> = matching.cloned().collect();
        let skip = last.map_or(0, |last| all.len().saturating_sub(last));
        all[skip..].to_vec()
    }

    /// How many events were forgotten.
    pub(crate) fn dropped(&self) -> u64 {
        self.next - self.events.len() as u64
    }

    /// The events that led to the newest one of these subjects, and those subjects' own newest, oldest first.
    pub(crate) fn chain(&self, subjects: &[&str]) -> Vec<Event> {
        let mut wanted: Vec<EventId> = self
            .events
            .iter()
            .filter(|event| subjects.contains(&event.subject.as_str()))
            .map(|event| event.id)
            .collect();
        let keep = wanted.len().saturating_sub(CHAIN_MAX / 4);
        wanted.drain(..keep);
        let mut next = wanted.clone();
        while let Some(id) = next.pop() {
            let cause = self.find(id).and_then(|event| event.cause);
            if let Some(cause) = cause.filter(|cause| !wanted.contains(cause) && wanted.len() < CHAIN_MAX) {
                wanted.push(cause);
                next.push(cause);
            }
        }
        wanted.sort();
        wanted.iter().filter_map(|id| self.find(*id)).cloned().collect()
    }

    fn find(&self, id: EventId) -> Option<&Event> {
        let oldest = self.events.front()?.id.0;
        self.events.get(id.0.checked_sub(oldest)? as usize)
    }
}
