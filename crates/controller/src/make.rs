//! How a node begins: from its files, its state and what the daemon before it left.

use crate::aging::Failures;
use crate::alerts::Alerts;
use crate::alone::Alone;
use crate::chronicle::Chronicle;
use crate::fences::Fences;
use crate::flaps::Flaps;
use crate::keeping::{Keeping, Volatile};
use crate::list::Unlisted;
use crate::listing::Listing;
use crate::local::spent_before;
use crate::mark::Marks;
use crate::node::Node;
use crate::orders::Orders;
use crate::speech::Speech;
use crate::standing::Standing;
use crate::watchdog::Guardian;
use crate::{Severity, Start, StartError, TimerKind};
use hearth_cib::VOTERS_MAX;
use hearth_config::Config;
use hearth_executor::Executor;
use hearth_ledger::Ledger;
use hearth_membership::{Members, Params};
use hearth_types::{Incarnation, NodeIdentity, NodeName, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What membership is made from.
pub(crate) fn member_params(config: &Config, incarnation: Incarnation) -> Params {
    let cluster = &config.cluster;
    Params {
        local: cluster.local.clone(),
        incarnation,
        peers: cluster.nodes.iter().filter(|name| **name != cluster.local).cloned().collect(),
        keepalive: cluster.timing.keepalive,
        deadtime: cluster.timing.deadtime,
        warntime: cluster.timing.warntime,
        initdead: cluster.timing.initdead,
    }
}

/// The first of the list found; the others are let in (decision 0033).
pub(crate) fn founders(config: &Config) -> Vec<NodeName> {
    config.cluster.nodes.iter().take(VOTERS_MAX).cloned().collect()
}

fn ledger_params(config: &Config, digest: u64, fresh_identity: NodeIdentity, seed: u64) -> hearth_ledger::Params {
    hearth_ledger::Params {
        local: config.cluster.local.clone(),
        fresh_identity,
        nodes: founders(config),
        digest,
        retry: config.cluster.timing.deadtime,
        seed,
    }
}

impl Node {
    pub(crate) fn new(start: Start) -> Result<Node, StartError> {
        let Start { config, fresh_identity, incarnation, seed, state, log, volatile, volatile_lease, now, version } =
            start;
        let digest = hearth_config::digest(&config);
        let params = ledger_params(&config, digest.0, fresh_identity, seed);
        let had_state = state.is_some();
        let mut ledger = Ledger::restore(params, state.as_deref(), &log).map_err(StartError::State)?;
        let left: Volatile = volatile.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        // R-MEM-8: a sole voter resumes by itself only if it has not heard the other machine since it went on alone; at
        // once where the lease of the daemon before bridges, else after it has listened (see `go_alone`).
        let voting = ledger.is_voting();
        // What the daemon before has left in /run stands for nothing on a disk that was put back (R-LEDGER-3): neither its
        // lease nor that it had heard the peer (R-PAIR-3).
        let (identity, mark) = (ledger.identity(), ledger.mark_at_start());
        let (ours, beyond) = (left.is_of(identity, mark), left.beyond(identity, mark));
        let alone = beyond.is_none() && voting && ledger.is_sole() && ledger.note("heard-other") != Some("yes");
        let confirmed = alone && ours && volatile_lease.is_some_and(|end| now < end);
        if !ledger.has_no_epoch() && !ledger.takes_part() {
            // It left in order: what it knows is a record without a part for it.
            ledger.give_up_epoch();
        }
        let local = config.cluster.local.clone();
        let marks = Marks::new(ledger.mark_at_start(), had_state && config.cluster.nodes.len() > 2);
        let mut node = Node {
            members: Members::new(member_params(&config, incarnation), now),
            executor: Executor::new(local.clone(), incarnation),
            standing: Standing::new(&config.cluster),
            keeping: Keeping::new(left.started, volatile_lease, confirmed),
            watchdog: Guardian::new(config.cluster.watchdog.clone(), left.watchdog, left.armed, left.lost),
            self_fence: crate::self_fence::SelfFence::new(left.self_fence, now),
            slot: crate::slot::Slot::default(),
            tiebreaker: crate::tiebreaker::Tiebreaker::default(),
            digest,
            local,
            incarnation,
            version,
            alerts: Alerts::begin(ledger.record()),
            ledger,
            alone: Alone::default(),
            speech: Speech::default(),
            unlisted: Unlisted::default(),
            listing: Listing::default(),
            marks,
            orders: Orders::default(),
            chronicle: Chronicle::default(),
            channels: BTreeMap::new(),
            sessions: 0,
            resend_at: now,
            last_dc: None,
            probes_done: false,
            ahead: None,
            shadow: None,
            standings: BTreeMap::new(),
            said_pings: 0,
            media_trouble: BTreeMap::new(),
            refused: BTreeMap::new(),
            gate_trouble: None,
            leaving: BTreeSet::new(),
            shutdown: None,
            guarded: Vec::new(),
            guard_dirty: true,
            volatile_dirty: false,
            asked: BTreeSet::new(),
            probed_peers: BTreeSet::new(),
            ticket: 0,
            next_keepalive_at: now,
            next_ledger_at: now,
            without_dc_since: None,
            last_wake_at: Timestamp::ZERO,
            due: (now, TimerKind::Keepalive),
            rest: Default::default(),
            beat_now: true,
            record_changed: true,
            volatile_text: String::new(),
            started: Vec::new(),
            told_rights: None,
            told_wire: BTreeMap::new(),
            needs_wire: BTreeSet::new(),
            shadow_probed: false,
            planned: None,
            disk_failed: None,
            writes: Default::default(),
            durable_ticket: 0,
            revoked: BTreeMap::new(),
            admissions: BTreeMap::new(),
            asked_at: Timestamp::ZERO,
            leased_said: None,
            last_change_at: None,
            waiting: BTreeMap::new(),
            failures: Failures::default(),
            flaps: Flaps::default(),
            problems: BTreeMap::new(),
            fences: Fences::inherited(left.may_fence && ours, left.fencing.filter(|_| ours)),
            config,
        };
        node.read_back(now);
        node.tell_of_start(now, had_state, alone);
        node.take_up(now, beyond);
        Ok(node)
    }

    /// What follows from the ledger as it was read.
    fn read_back(&mut self, now: Timestamp) {
        self.shadow = self.empty_shadow();
        // What was read back is durable.
        self.note_revocations(now);
        self.note_admissions();
        self.give_up_unspoken();
    }

    /// What is to be done follows from what was read. `beyond`: how far this disk had come before it was put back.
    fn take_up(&mut self, now: Timestamp, beyond: Option<u64>) {
        if let Some((epoch, spent)) = spent_before(&self.ledger) {
            self.executor.remember_spent(epoch, spent);
        }
        if let Some(beyond) = beyond {
            self.heed_own_note(now, beyond);
        }
        self.brief_executor(now, &mut Vec::new());
    }

    fn tell_of_start(&mut self, now: Timestamp, had_state: bool, alone: bool) {
        let text = match (had_state, alone) {
            (false, _) => "Started without earlier state.",
            (true, true) => "Started; it went on alone before and goes on.",
            (true, false) => "Started; what it knows has to be confirmed first.",
        };
        self.chronicle.note(now, Severity::Info, "started", self.local.clone(), text.to_owned());
    }
}
