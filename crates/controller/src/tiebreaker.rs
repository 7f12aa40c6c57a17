//! The claim on the disk of `tiebreaker disk` (decision 0064): when it is wanted, what an answer is worth, and when it is
//! given back.
//!
//! Of one term at most one machine ever holds the claim, whatever the disk does (`hearth_slots::Claimant`). It keeps a
//! machine of a pair in what it holds for a lease from the begin of the read that showed it, and lets it go on alone. Who
//! holds it gives it back when it needs it no more: both are together again, and the other one carries it by its vouch.

use crate::node::Node;
use crate::{Output, Severity};
use hearth_cib::MemberState;
use hearth_types::{NodeName, PermitKind, Timestamp};
use hearth_wire::Tiebreaker as Named;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is wanted of the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TiebreakerOrder {
    /// Rises whenever the claim begins or ceases to be wanted: an answer to an order before is worth nothing.
    pub number: u64,
    /// Path of the disk.
    pub device: String,
    /// The other machine.
    pub other: NodeName,
    /// What.
    pub want: ClaimWant,
    /// How often it is looked at.
    pub every: Duration,
}

/// What is wanted of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimWant {
    /// Nothing but to see that the disk works.
    Idle,
    /// To hold none: one that is held is given back.
    Rest,
    /// To hold it.
    Hold {
        /// Number of the epoch that this node would found, for people.
        epoch: u64,
        /// What the other machine holds is void.
        other_is_off: bool,
    },
}

/// An answer of the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TiebreakerSeen {
    /// Of the order that the attempt began under.
    pub number: u64,
    /// When its last read began.
    pub began_at: Timestamp,
    /// Who holds the claim, as far as it is known.
    pub holder: ClaimHolder,
}

/// Who holds a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimHolder {
    /// Nobody, as far as it is known.
    Nobody,
    /// This node.
    Ours,
    /// The other one.
    Theirs,
}

/// State of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tiebreaker {
    /// What the driver was told last.
    told: Option<TiebreakerOrder>,
    /// The newest answer to that order: when its read began, and what it says.
    answer: Option<(Timestamp, ClaimHolder)>,
    /// Since when this node has known that it holds the claim, without another word since.
    ours_since: Option<Timestamp>,
    /// When anything was last heard of the disk, or first asked.
    heard_at: Timestamp,
    trouble: Option<String>,
}

impl Tiebreaker {
    fn holder(&self) -> Option<ClaimHolder> {
        self.answer.map(|(_, holder)| holder)
    }

    /// Until when the disk favours this node.
    fn favoured_until(&self, lease: Duration) -> Option<Timestamp> {
        let wanted = matches!(self.told.as_ref()?.want, ClaimWant::Hold { .. });
        let (began_at, holder) = self.answer?;
        (wanted && holder == ClaimHolder::Ours).then(|| began_at + lease)
    }

    /// For people; none: nothing is wrong.
    pub(crate) fn note(&self) -> Option<String> {
        let told = self.told.as_ref()?;
        let device = &told.device;
        if let Some(trouble) = &self.trouble {
            return Some(format!(
                "The tiebreaker {device} cannot be used: {trouble}. It favours nobody here: this node holds what it holds \
                 only while {} hears it, unless it goes on alone already.",
                told.other
            ));
        }
        let wanted = matches!(told.want, ClaimWant::Hold { .. });
        let theirs = wanted && self.holder() == Some(ClaimHolder::Theirs);
        theirs.then(|| format!("The tiebreaker {device} favours {}.", told.other))
    }
}

impl Node {
    /// What this node wants of the disk now.
    fn claim_wanted(&self, now: Timestamp, other: &NodeName) -> ClaimWant {
        let lease = self.config.cluster.timing.lease();
        let view = self.members.peer(other);
        let alive = self.members.is_alive(other);
        let one_way = view.is_some_and(|view| view.liveness == hearth_membership::Liveness::OneWay);
        let lost = !alive && !one_way && now >= self.members.lost_at(other);
        let epoch = match self.tiebreaker.told.as_ref().map(|told| &told.want) {
            Some(ClaimWant::Hold { epoch, .. }) => *epoch,
            _ => self.ledger.number_seen() + 1,
        };
        let hold = ClaimWant::Hold { epoch, other_is_off: self.is_void(other) };
        // What another one has to stop for is not claimed by who cannot serve it (R-MEM-7).
        let dark = self.keeping.is_isolated() || !self.standing.links_have_carrier();
        let Some(record) = self.ledger.record() else {
            // Who gave up its epoch knows that the other one goes on: only that one, or a person, lets it in.
            let founds = lost && !dark && self.ledger.given_up().is_empty();
            return if alive { ClaimWant::Rest } else { if founds { hold } else { ClaimWant::Idle } };
        };
        if !self.ledger.takes_part() {
            return ClaimWant::Idle;
        }
        if self.ledger.is_sole() {
            // By whatever permit it went on alone: the other one must not when it comes up unheard.
            return hold;
        }
        let vouched = self.members.vouched_at(other).is_some_and(|at| now.since(at) < lease / 2);
        let same = view.and_then(|view| view.claimed.as_ref()?.epoch.as_ref()) == Some(&record.epoch);
        let holding = self.executor.holds_anything();
        if (alive && same && vouched) || (!holding && (one_way || dark)) {
            return ClaimWant::Rest;
        }
        // An owner does not wait until the other one is lost, or its lease would be over. Who holds nothing lets it go first.
        // Who has just come up knows neither what is here nor how things stand.
        let owes = holding && !vouched && self.keeping.confirmed;
        // An answer that comes when the lease has just ended is one.
        let asked = matches!(self.tiebreaker.told.as_ref().map(|told| &told.want), Some(ClaimWant::Hold { .. }));
        if (owes || lost || asked) && !dark { hold } else { ClaimWant::Idle }
    }

    /// Whether the other machine relies on no claim, whatever it holds: it is off by somebody's word, or has left in order
    /// or lost its state, and this node goes on alone.
    fn is_void(&self, other: &NodeName) -> bool {
        let Some(record) = self.ledger.record().filter(|_| self.ledger.is_sole()) else {
            return self.word_on(other).is_some();
        };
        let left = record.nodes.get(other).is_some_and(|node| node.member == MemberState::Left);
        let by_word = matches!(record.permit, Some(PermitKind::Fenced | PermitKind::Resigned));
        (left || by_word || self.word_on(other).is_some()) && !self.members.is_alive(other)
    }

    /// The tiebreaker that ha.cf names.
    pub(crate) fn own_tiebreaker(&self) -> Option<Named> {
        let cluster = &self.config.cluster;
        let ping = || cluster.permits.tiebreaker_ping.then_some(Named::Ping);
        cluster.tiebreaker_disk.is_some().then_some(Named::Disk).or_else(ping)
    }

    /// Whether ha.cf names a tiebreaker.
    pub(crate) fn has_tiebreaker(&self) -> bool {
        self.own_tiebreaker().is_some()
    }

    /// The tiebreaker by which the other one of two goes on alone, though ha.cf names none here: it counts on this node to
    /// stop by then (decision 0070). Under `unfenced` this node would go on alone all the same.
    pub(crate) fn counted_on(&self) -> Option<Named> {
        let cluster = &self.config.cluster;
        if self.has_tiebreaker() || cluster.permits.unfenced {
            return None;
        }
        let other = self.only_other()?;
        self.members.peer(&other)?.claimed.as_ref()?.tiebreaker
    }

    /// The same for people; none: the other one goes by what this node goes by.
    pub(crate) fn note_counted_on(&self) -> Option<String> {
        let named = match self.counted_on().filter(|_| self.ledger.record().is_some_and(|it| it.voters.len() == 2))? {
            Named::Ping => "ping",
            Named::Disk => "disk",
        };
        let other = self.only_other()?;
        Some(format!(
            "{other} goes by `tiebreaker {named}`, which ha.cf here does not name: this node holds what it holds only while \
             {other} hears it{}. Write the same ha.cf on both.",
            if named == "ping" { " or the ping targets answer" } else { "" }
        ))
    }

    /// Until when the tiebreaker favours this node (section 3); none: it does not.
    pub(crate) fn favoured_until(&self) -> Option<Timestamp> {
        let lease = self.config.cluster.timing.lease();
        match (&self.config.cluster.tiebreaker_disk, self.counted_on()) {
            (Some(_), _) => self.tiebreaker.favoured_until(lease),
            (None, Some(Named::Disk)) => None,
            (None, _) => self.standing.favoured_until(lease),
        }
    }

    /// Whether this node went on alone by a claim that is known to be the other one's by now: somebody has said of it that
    /// it is off.
    pub(crate) fn is_claimed_by_other(&self) -> bool {
        let claimed = matches!(
            self.ledger.record().and_then(|record| record.permit),
            Some(PermitKind::Tiebreaker | PermitKind::Watchdog)
        );
        claimed
            && self.config.cluster.tiebreaker_disk.is_some()
            && self.tiebreaker.holder() == Some(ClaimHolder::Theirs)
    }

    /// Since when the disk has favoured this node; else why it does not, for people.
    pub(crate) fn claimed_since(&self, now: Timestamp) -> Result<Timestamp, String> {
        let state = &self.tiebreaker;
        let Some(told) = &state.told else { return Err("there is no tiebreaker".to_owned()) };
        if let Some(version) =
            self.ledger.record().map(|it| it.wire_version).filter(|it| *it < hearth_cib::WATCHED_FROM)
        {
            // Who speaks that does not stop for a claim that it lost, and its watchdog is not on record (R-WIRE-6).
            let way = "upgrade hearthd on both, and take `wire_version` out of ha.cf";
            return Err(format!(
                "wire version {version} is in use, in which nobody knows a claim on {}; {way}",
                told.device
            ));
        }
        let favoured = self.favoured_until().is_some_and(|until| now < until);
        if let Some(since) = state.ours_since.filter(|_| favoured) {
            return Ok(since);
        }
        Err(match (state.holder(), &state.trouble) {
            (_, Some(trouble)) => format!("the tiebreaker {} cannot be used: {trouble}", told.device),
            (Some(ClaimHolder::Theirs), _) => format!("the tiebreaker {} favours {}", told.device, told.other),
            _ if self.ledger.has_no_epoch() && !self.ledger.given_up().is_empty() => {
                format!("this node has given up its epoch: {} goes on, and lets it in", told.other)
            }
            _ => format!("the tiebreaker {} is being asked", told.device),
        })
    }

    /// How long a claim must have been complete before the other machine's addresses may be taken: its gates are shut by the
    /// end of its lease. Where it has not said that it has one for each, the kernel takes them away later.
    pub(crate) fn claim_wait(&self, other: &NodeName) -> Duration {
        let wait = self.config.cluster.timing.lease() * 21 / 20;
        let gated = self.members.peer(other).and_then(|peer| peer.claimed.as_ref()).map(|claimed| &claimed.gated);
        let Some(record) = self.ledger.record() else { return wait };
        let is_address = |id: &&hearth_types::ResourceId| record.spec(id).is_some_and(|spec| spec.address().is_some());
        let open = |id: &hearth_types::ResourceId| gated.is_none_or(|gated| !gated.contains(id));
        match record.active_on(other).filter(is_address).any(open) {
            true => wait + self.lifetime() + crate::losses::EXPIRES_WITHIN,
            false => wait,
        }
    }

    /// The timeout of a hardware watchdog that the other machine stated to be armed: in its heartbeats, or, if this run has
    /// heard none, in the record. A softdog proves nothing by time (decision 0051).
    pub(crate) fn watchdog_of(&self, other: &NodeName) -> Option<Duration> {
        let record = self.ledger.record();
        // Before that the record cannot say that it has acted (R-WIRE-6).
        let known = record.is_none_or(|record| record.wire_version >= hearth_cib::WATCHED_FROM);
        let claimed = self.members.peer(other).filter(|_| known)?.claimed.as_ref();
        let millis = match claimed.map(|claimed| claimed.watchdog.as_ref()) {
            Some(stated) => stated.filter(|armed| !crate::watchdog::is_software(armed))?.timeout_ms,
            None => record?.nodes.get(other)?.watchdog_ms?,
        };
        Some(Duration::from_millis(u64::from(millis)))
    }

    /// When the other machine's watchdog must have reset it: `timeout` after its last right to anything (section 5).
    pub(crate) fn reset_beyond_doubt_at(&self, other: &NodeName, timeout: Duration, claimed: Timestamp) -> Timestamp {
        let span = self.config.cluster.timing.lease() + timeout;
        self.members.last_vouched_at(other).max(claimed) + span * 21 / 20 + crate::losses::PETS_WITHIN
    }

    /// Tells the driver what is wanted, whenever that has changed.
    pub(crate) fn order_tiebreaker(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let timing = self.config.cluster.timing;
        let order = match (self.config.cluster.tiebreaker_disk.clone(), self.peer()) {
            (Some(device), Some(other)) => {
                let want = self.claim_wanted(now, &other);
                let held = |want: &ClaimWant| matches!(want, ClaimWant::Hold { .. });
                let told = self.tiebreaker.told.as_ref();
                let number = told.map_or(1, |told| told.number + u64::from(held(&told.want) != held(&want)));
                let same = told.is_some_and(|told| told.want == want);
                // What is not known, or is to be given back, is tried again soon.
                let settled = match want {
                    ClaimWant::Idle => true,
                    ClaimWant::Rest => same && self.tiebreaker.holder() == Some(ClaimHolder::Nobody),
                    ClaimWant::Hold { .. } => false,
                };
                let every =
                    if settled { hearth_config::TIEBREAKER_TRY } else { hearth_config::tiebreaker_every(&timing) };
                Some(TiebreakerOrder { number, device, other, want, every })
            }
            _ => None,
        };
        self.note_silent_disk(now);
        if order == self.tiebreaker.told {
            return;
        }
        let before = self.tiebreaker.told.as_ref().map(|told| (told.number, told.device.clone()));
        if before != order.as_ref().map(|order| (order.number, order.device.clone())) {
            (self.tiebreaker.answer, self.tiebreaker.ours_since) = (None, None);
        }
        self.tiebreaker.heard_at = now;
        self.tiebreaker.told.clone_from(&order);
        out.push(Output::Tiebreaker { order });
    }

    /// A disk that hangs says nothing; how long it has been silent says it.
    fn note_silent_disk(&mut self, now: Timestamp) {
        let Some(told) = &self.tiebreaker.told else { return };
        let silent = now.since(self.tiebreaker.heard_at);
        if silent > told.every + self.config.cluster.timing.deadtime && self.tiebreaker.trouble.is_none() {
            self.trouble_with_tiebreaker(now, format!("it has not answered for {} ms", silent.as_millis()));
        }
    }

    fn trouble_with_tiebreaker(&mut self, now: Timestamp, trouble: String) {
        let Some(device) = self.tiebreaker.told.as_ref().map(|told| told.device.clone()) else { return };
        if self.tiebreaker.trouble.is_none() {
            let text = format!("The tiebreaker {device} cannot be used: {trouble}. It favours nobody here.");
            self.chronicle.note(now, Severity::Error, "tiebreaker-fails", self.local.clone(), text);
        }
        self.tiebreaker.trouble = Some(trouble);
    }

    /// What the disk says, or why it says nothing.
    pub(crate) fn take_tiebreaker(&mut self, now: Timestamp, seen: Result<TiebreakerSeen, String>) {
        let Some(told) = self.tiebreaker.told.clone() else { return };
        self.tiebreaker.heard_at = now;
        let seen = match seen {
            Ok(seen) => seen,
            Err(trouble) => return self.trouble_with_tiebreaker(now, trouble),
        };
        if self.tiebreaker.trouble.take().is_some() {
            let text = format!("The tiebreaker {} is used again.", told.device);
            self.chronicle.note(now, Severity::Info, "tiebreaker-works", self.local.clone(), text);
        }
        if seen.number != told.number {
            return;
        }
        let before = self.tiebreaker.holder();
        self.tiebreaker.answer = Some((seen.began_at, seen.holder));
        let ours = seen.holder == ClaimHolder::Ours;
        self.tiebreaker.ours_since = self.tiebreaker.ours_since.filter(|_| ours).or(ours.then_some(now));
        if before == Some(seen.holder) || !matches!(told.want, ClaimWant::Hold { .. }) {
            return;
        }
        let (name, text) = match seen.holder {
            ClaimHolder::Ours => ("claimed", format!("The tiebreaker {} favours this node.", told.device)),
            ClaimHolder::Theirs => {
                ("claimed-by-other", format!("The tiebreaker {} favours {}.", told.device, told.other))
            }
            ClaimHolder::Nobody => return,
        };
        self.chronicle.lead(now, Severity::Info, name, self.local.clone(), text);
    }
}
