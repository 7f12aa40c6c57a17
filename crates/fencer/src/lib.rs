//! Who may go on alone, and why not yet; whom to fence, with what, and when again.
//!
//! A pure judgement over facts that others gather: from silence, carrier, ping targets, fence devices and the peer's own
//! words it says whether one machine of two has a permit (protocol section 5), or what it waits for, in words that a
//! status can show. A [`Fence`] leads one machine that must be turned off through the devices that can do it.
//!
//! It deliberately knows neither messages nor resources, and orders nothing: the caller founds the epoch and runs the
//! devices' programs, which it knows by their positions in ha.cf.
//!
//! Invariants: only configured kinds of permit are used, and a stronger one that fails never falls through to a weaker
//! one (R-PAIR-1); an isolated node gets none (R-MEM-7); `fenced` is granted only on a word about an order that was given
//! after the loss.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod fence;

pub use fence::{Confirmed, Due, Ended, Fence};

use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;
use hearth_types::{NodeName, PermitKind, Timestamp};

/// What ha.cf allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A fence device is configured: no weaker permit is used.
    pub fencing: bool,
    /// `tiebreaker ping`.
    pub tiebreaker_ping: bool,
    /// `tiebreaker disk`.
    pub tiebreaker_disk: bool,
    /// `unfenced_takeover` is not `no`.
    pub unfenced: bool,
}

/// What is known when the question is asked.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Now.
    pub now: Timestamp,
    /// The peer.
    pub peer: NodeName,
    /// When its silence makes it lost: deadtime after its last packet, or initdead after our start (R-MEM-8).
    pub lost_at: Timestamp,
    /// Whether it is heard two-way.
    pub alive: bool,
    /// Whether it is heard without hearing us.
    pub one_way: bool,
    /// Whether this node is isolated.
    pub isolated: bool,
    /// Whether the peer said that it has no state and probed everything stopped, in this incarnation of it.
    pub resigned: bool,
    /// Whose word there is that the peer is off or was, about an order that was given after it was lost.
    pub fenced: Option<String>,
    /// Ping targets that answered an echo sent within a lease, of how many.
    pub pings: (u16, u16),
    /// For how long more than half of them have done so without a break.
    pub pings_for: Duration,
    /// Whether the peer's own addresses were asked long enough to count silence as an answer.
    pub peer_asked: bool,
    /// Last answer of one of them.
    pub peer_answered_at: Option<Timestamp>,
    /// Span after which an answer of the peer is old: a lease.
    pub lease: Duration,
    /// Since when the tiebreaker's disk has favoured this node, as it says now; else why it does not, for people.
    pub claimed: Result<Timestamp, String>,
    /// How long it must have done so: until what the peer holds by a lease has ended.
    pub claim_wait: Duration,
    /// Whether the peer stated that a hardware watchdog resets it.
    pub watchdog: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on alone.
    Granted {
        /// By this permit.
        permit: PermitKind,
        /// Why, one sentence.
        reason: String,
    },
    /// Not now.
    Waiting {
        /// For what.
        reason: String,
        /// When to ask again; none: when a fact changes.
        until: Option<Timestamp>,
    },
    /// Not before the peer is fenced.
    MustFence,
    /// Not by itself: a person has to act, or the peer has to come.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Judges whether this node may go on alone.
pub fn judge(policy: Policy, facts: &Facts) -> Verdict {
    let peer = &facts.peer;
    if facts.resigned {
        let reason = format!("{peer} says that it came up without state, runs nothing and does not vote");
        return Verdict::Granted { permit: PermitKind::Resigned, reason };
    }
    if facts.alive {
        return Verdict::Waiting { reason: format!("{peer} is alive: nothing is decided without it"), until: None };
    }
    if facts.isolated {
        let reason = "no interface of this node has carrier: it founds nothing".to_string();
        return Verdict::Waiting { reason, until: None };
    }
    if facts.now < facts.lost_at {
        let reason = format!("{peer} is not silent long enough");
        return Verdict::Waiting { reason, until: Some(facts.lost_at) };
    }
    if facts.one_way {
        // Silence is what these permits are about. A peer that is heard runs what it holds, and that its addresses do not
        // answer says only that it does not hear the question.
        let reason = format!("{peer} is heard but does not hear this node: it is alive and keeps what it runs");
        return Verdict::Waiting { reason, until: None };
    }
    if let Some(word) = &facts.fenced {
        return Verdict::Granted { permit: PermitKind::Fenced, reason: format!("{peer} is lost, and {word}") };
    }
    if policy.fencing {
        return Verdict::MustFence;
    }
    if policy.tiebreaker_ping {
        return judge_ping(facts);
    }
    if policy.tiebreaker_disk {
        return judge_disk(facts);
    }
    if policy.unfenced {
        let reason = format!("{peer} has been silent for deadtime on every link, and nothing stronger is configured");
        return Verdict::Granted { permit: PermitKind::Unfenced, reason };
    }
    let reason = format!("{peer} is lost, and unfenced_takeover is no: a person has to decide");
    Verdict::Refused { reason }
}

fn judge_ping(facts: &Facts) -> Verdict {
    let peer = &facts.peer;
    let (reached, total) = facts.pings;
    if reached * 2 <= total {
        let reason = format!("{peer} is lost, and only {reached} of {total} ping targets answer this node");
        return Verdict::Waiting { reason, until: None };
    }
    if facts.pings_for < facts.lease {
        // A machine whose network has just come back hears the target before it can have heard the peer.
        let reason = format!("{peer} is lost, and the ping targets have answered again only for a moment");
        return Verdict::Waiting { reason, until: Some(facts.now + (facts.lease - facts.pings_for)) };
    }
    if let Some(at) = facts.peer_answered_at.filter(|at| facts.now.since(*at) < facts.lease) {
        let reason = format!("the heartbeat of {peer} is lost, but an address of it still answers");
        return Verdict::Waiting { reason, until: Some(at + facts.lease) };
    }
    if !facts.peer_asked {
        let reason = format!("the addresses of {peer} are still being asked");
        return Verdict::Waiting { reason, until: None };
    }
    let reason = format!("{peer} is lost, {reached} of {total} ping targets answer, and no address of {peer} does");
    Verdict::Granted { permit: PermitKind::Tiebreaker, reason }
}

fn judge_disk(facts: &Facts) -> Verdict {
    let peer = &facts.peer;
    let since = match &facts.claimed {
        Ok(since) => *since,
        Err(why) => return Verdict::Waiting { reason: format!("{peer} is lost, and {why}"), until: None },
    };
    let at = since + facts.claim_wait;
    if facts.now < at {
        let reason = format!("{peer} is lost, and the disk favours this node, but {peer} may hold its addresses yet");
        return Verdict::Waiting { reason, until: Some(at) };
    }
    let reason = format!("{peer} is lost, and the disk favours this node");
    let permit = if facts.watchdog { PermitKind::Watchdog } else { PermitKind::Tiebreaker };
    Verdict::Granted { permit, reason }
}

/// One sentence on what the configured permits do not protect from (R-PAIR-4).
pub fn protection(policy: Policy, nodes: usize) -> String {
    if nodes < 2 {
        return "One machine: nothing takes over when it fails.".to_string();
    }
    if policy.fencing && nodes > 2 {
        return "Fenced: what a lost machine ran moves on once a fence device has confirmed that it is off; if none does, \
                it waits for a person."
            .to_string();
    }
    if policy.fencing {
        return "Fenced: nothing moves before a fence device has confirmed that the lost machine is off; if none does, or \
                if both machines boot and only one comes up, a person has to say so."
            .to_string();
    }
    if nodes > 2 {
        return "Not fenced: addresses of a lost machine move on when its lease has ended, but whatever else ran there \
                waits until its watchdog has reset it beyond doubt or, if it has none, until it is back and says that it \
                has stopped."
            .to_string();
    }
    if policy.tiebreaker_ping {
        return "Not fenced: if both machines lose each other while both still reach the ping targets, both may run \
                everything until they meet again."
            .to_string();
    }
    if policy.tiebreaker_disk {
        return "Not fenced: if the machines lose each other, the one that the disk favours goes on; scripts of the other \
                one that do not stop in time run on beside it unless a hardware watchdog resets that machine, and if the \
                disk fails too, both stop."
            .to_string();
    }
    if policy.unfenced {
        return "Not fenced: if every link between the machines fails while both live, both run everything until they \
                meet again."
            .to_string();
    }
    "No takeover without the peer's word: if a machine dies, a person has to say so.".to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            now: Timestamp(10_000),
            peer: NodeName::new("a"),
            lost_at: Timestamp(9_000),
            alive: false,
            one_way: false,
            isolated: false,
            resigned: false,
            fenced: None,
            pings: (1, 1),
            pings_for: Duration::from_nanos(5_000),
            peer_asked: true,
            peer_answered_at: None,
            lease: Duration::from_nanos(1_000),
            claimed: Err("nobody asked".into()),
            claim_wait: Duration::from_nanos(1_000),
            watchdog: false,
        }
    }

    const UNFENCED: Policy = Policy { fencing: false, tiebreaker_disk: false, tiebreaker_ping: false, unfenced: true };
    const PING: Policy = Policy { fencing: false, tiebreaker_disk: false, tiebreaker_ping: true, unfenced: true };

    fn permit(policy: Policy, facts: &Facts) -> Option<PermitKind> {
        match judge(policy, facts) {
            Verdict::Granted { permit, .. } => Some(permit),
            _ => None,
        }
    }

    #[test]
    fn what_waits_for_a_lost_machine_is_said_beforehand() {
        // R-PAIR-4
        let nothing = Policy { fencing: false, tiebreaker_disk: false, tiebreaker_ping: false, unfenced: false };
        assert!(protection(nothing, 3).contains("if it has none, until it is back"));
        assert!(protection(nothing, 2).contains("a person has to say so"));
    }

    #[test]
    fn silence_is_enough_only_where_nothing_stronger_is_configured() {
        assert_eq!(permit(UNFENCED, &facts()), Some(PermitKind::Unfenced));
        assert_eq!(permit(PING, &facts()), Some(PermitKind::Tiebreaker));
        assert_eq!(
            permit(
                Policy { fencing: false, tiebreaker_disk: false, tiebreaker_ping: false, unfenced: false },
                &facts()
            ),
            None
        );
    }

    #[test]
    fn a_failed_tiebreaker_never_falls_through_to_unfenced() {
        // R-PAIR-1
        assert_eq!(permit(PING, &Facts { pings: (0, 1), ..facts() }), None);
        assert_eq!(permit(PING, &Facts { pings: (1, 2), ..facts() }), None);
        assert_eq!(permit(PING, &Facts { peer_answered_at: Some(Timestamp(9_500)), ..facts() }), None);
        assert_eq!(permit(PING, &Facts { peer_asked: false, ..facts() }), None);
        assert_eq!(permit(PING, &Facts { pings_for: Duration::ZERO, ..facts() }), None);
    }

    const DISK: Policy = Policy { fencing: false, tiebreaker_disk: true, tiebreaker_ping: false, unfenced: true };

    #[test]
    fn a_disk_that_favours_nobody_never_falls_through_to_unfenced() {
        // R-PAIR-1
        assert_eq!(permit(DISK, &facts()), None);
        let claimed = |ago: u64| Facts { claimed: Ok(Timestamp(10_000 - ago)), ..facts() };
        assert_eq!(permit(DISK, &claimed(999)), None);
        assert_eq!(permit(DISK, &claimed(1_000)), Some(PermitKind::Tiebreaker));
        let watched = Facts { watchdog: true, ..claimed(1_000) };
        assert_eq!(permit(DISK, &watched), Some(PermitKind::Watchdog));
    }

    const FENCED: Policy = Policy { fencing: true, tiebreaker_disk: false, tiebreaker_ping: true, unfenced: true };

    #[test]
    fn a_fence_that_is_not_confirmed_never_falls_through_to_a_weaker_permit() {
        // R-PAIR-1
        assert_eq!(judge(FENCED, &facts()), Verdict::MustFence);
        let said = Facts { fenced: Some("fence_x says that it is off".into()), ..facts() };
        assert_eq!(permit(FENCED, &said), Some(PermitKind::Fenced));
        for heard in [Facts { alive: true, ..said.clone() }, Facts { one_way: true, ..said.clone() }] {
            assert_eq!(permit(FENCED, &heard), None, "who is heard is not off, whatever a device says");
        }
        assert_eq!(permit(FENCED, &Facts { isolated: true, ..said }), None);
    }

    #[test]
    fn an_isolated_node_founds_nothing() {
        // R-MEM-7
        for policy in [UNFENCED, PING] {
            assert_eq!(permit(policy, &Facts { isolated: true, ..facts() }), None);
        }
    }

    #[test]
    fn nobody_goes_on_alone_before_the_peer_is_lost() {
        for policy in [UNFENCED, PING] {
            assert_eq!(permit(policy, &Facts { lost_at: Timestamp(10_001), ..facts() }), None);
            assert_eq!(permit(policy, &Facts { alive: true, ..facts() }), None);
        }
    }

    /// It comes up again as the one that went on alone, and asks whether it may (R-MEM-8, R-PAIR-1).
    #[test]
    fn two_owners_because_a_peer_that_is_heard_does_not_hear_the_question() {
        for policy in [UNFENCED, PING] {
            assert_eq!(permit(policy, &Facts { one_way: true, ..facts() }), None);
        }
    }

    #[test]
    fn the_peers_own_word_is_enough() {
        let facts = Facts { resigned: true, alive: true, ..facts() };
        assert_eq!(permit(UNFENCED, &facts), Some(PermitKind::Resigned));
    }
}
