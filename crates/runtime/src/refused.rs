//! Packets that were refused, counted and told once a second (R-WIRE-1).

use crate::clock;
use crate::media::Source;
use hearth_controller::Input;
use hearth_types::{LinkId, Timestamp};
use hearth_wire::Refusal;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);
/// Sources told apart in one second; the rest of a flood with forged sources counts as one.
const SOURCES: usize = 32;

/// Who is counted together. The port is no part of it: whoever forges packets may use a new one each time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Address(IpAddr),
    Device(Arc<str>),
    Unknown,
    Many,
}

impl Origin {
    fn text(&self) -> String {
        match self {
            Origin::Address(address) => address.to_string(),
            Origin::Device(device) => device.to_string(),
            Origin::Unknown => "an unknown source".into(),
            Origin::Many => "many sources".into(),
        }
    }
}

/// The counters of this second.
#[derive(Default)]
pub(crate) struct RefusedCount {
    counts: BTreeMap<(LinkId, Refusal, Origin), u64>,
    due_at: Option<Timestamp>,
}

impl RefusedCount {
    /// One more.
    pub(crate) fn count(&mut self, link: LinkId, reason: Refusal, source: Source) {
        let origin = match source {
            Source::Address(source) => Origin::Address(source.ip()),
            Source::Device(device) => Origin::Device(device),
            Source::Unknown => Origin::Unknown,
        };
        let mut key = (link, reason, origin);
        if self.counts.len() >= SOURCES && !self.counts.contains_key(&key) {
            key.2 = Origin::Many;
        }
        *self.counts.entry(key).or_default() += 1;
        self.due_at.get_or_insert_with(|| clock::now() + EVERY);
    }

    /// When there is something to tell.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.due_at
    }

    /// What is to be told now; starts a new second.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<Input> {
        if self.due_at.is_none_or(|due| now < due) { Vec::new() } else { self.all() }
    }

    /// Everything, whether the second is over or not.
    pub(crate) fn all(&mut self) -> Vec<Input> {
        self.due_at = None;
        let told = |((link, reason, origin), count): ((LinkId, Refusal, Origin), u64)| Input::Refused {
            link,
            reason: reason.to_string(),
            source: origin.text(),
            count,
        };
        std::mem::take(&mut self.counts).into_iter().map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn r_wire_1_a_flood_of_forged_sources_takes_bounded_memory_and_loses_no_count() {
        let mut refused = RefusedCount::default();
        for number in 0..50_000_u32 {
            let [_, _, high, low] = number.to_be_bytes();
            let source = SocketAddr::from(([10, 0, high, low], low.into()));
            refused.count(LinkId(0), Refusal::BadTag(1), Source::Address(source));
        }
        let due = refused.next_deadline().unwrap();
        assert!(refused.due(due.before(EVERY)).is_empty());
        let told = refused.due(due);
        assert!(told.len() <= SOURCES + 1);
        let count = |input: &Input| if let Input::Refused { count, .. } = input { *count } else { 0 };
        assert_eq!(told.iter().map(count).sum::<u64>(), 50_000);
        assert_eq!(refused.next_deadline(), None);
    }
}
