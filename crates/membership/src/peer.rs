//! What we believe of one peer.

use crate::PeerLink;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use hearth_types::{Incarnation, LinkId, MessageNumber, Timestamp};
use hearth_wire::Heartbeat;

/// Replaced incarnations that are remembered per peer: one a start; the oldest is forgotten first, and by then any
/// replay of it fails because it does not name our incarnation.
const REPLACED_MAX: usize = 64;

/// Whether a peer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Not heard in this run.
    NeverSeen,
    /// Heard within deadtime, and it hears us.
    Alive,
    /// Heard within deadtime, and it does not hear us (R-MEM-3).
    OneWay,
    /// Silent for deadtime.
    Dead,
}

/// What is known of one peer. Fields that end in `claimed` are its own words.
#[derive(Clone, Debug)]
pub struct PeerView {
    /// The incarnation that counts.
    pub incarnation: Option<Incarnation>,
    /// Last packet seen of an incarnation that does not count yet.
    pub(crate) candidate: Option<Incarnation>,
    pub(crate) replaced: Vec<Incarnation>,
    /// Whether it counts.
    pub liveness: Liveness,
    /// Last fresh packet on any link.
    pub last_heard_at: Timestamp,
    /// Since when it has been heard without becoming dead.
    pub alive_since: Timestamp,
    /// Its last packet before it was declared dead.
    pub(crate) silent_from: Timestamp,
    /// Since when it has not heard us, and whether that was told.
    pub(crate) one_way: Option<(Timestamp, bool)>,
    /// When it last said that it hears us.
    pub heard_us_at: Timestamp,
    /// Newest message number heard.
    pub newest: MessageNumber,
    /// Newest of our message numbers that it vouched for.
    pub vouched: Option<MessageNumber>,
    /// Its newest heartbeat.
    pub claimed: Option<Heartbeat>,
    /// Links.
    pub links: BTreeMap<LinkId, PeerLink>,
    /// Whether lateness was reported in this episode.
    pub(crate) late: bool,
    /// Last packet of a second live incarnation.
    pub(crate) clone_seen_at: Option<Timestamp>,
    pub(crate) clone_numbers: (Incarnation, MessageNumber, u8),
}

impl PeerView {
    pub(crate) fn new() -> PeerView {
        PeerView {
            incarnation: None,
            candidate: None,
            replaced: Vec::new(),
            liveness: Liveness::NeverSeen,
            last_heard_at: Timestamp::ZERO,
            alive_since: Timestamp::ZERO,
            silent_from: Timestamp::ZERO,
            one_way: None,
            heard_us_at: Timestamp::ZERO,
            newest: MessageNumber(0),
            vouched: None,
            claimed: None,
            links: BTreeMap::new(),
            late: false,
            clone_seen_at: None,
            clone_numbers: (Incarnation(0), MessageNumber(0), 0),
        }
    }

    /// Whether two live incarnations use its name.
    pub fn is_cloned(&self) -> bool {
        self.clone_seen_at.is_some()
    }

    /// Whether it is alive.
    pub fn is_alive(&self) -> bool {
        self.liveness == Liveness::Alive
    }

    pub(crate) fn replace(&mut self, new: Incarnation) -> Option<Incarnation> {
        let old = self.incarnation.replace(new);
        self.candidate = None;
        self.newest = MessageNumber(0);
        self.vouched = None;
        self.claimed = None;
        for link in self.links.values_mut() {
            link.restarted();
        }
        if let Some(old) = old {
            if self.replaced.len() == REPLACED_MAX {
                self.replaced.remove(0);
            }
            self.replaced.push(old);
        }
        old
    }
}
