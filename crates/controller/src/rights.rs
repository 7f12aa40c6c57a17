//! Whether this node may keep what it holds, and until when (protocol section 3): the one place where the table stands.

use hearth_cib::LEASE_VOTERS;
use hearth_types::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the table is asked with.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub now: Timestamp,
    /// Voters of the epoch; none: this node has no epoch.
    pub voters: Option<usize>,
    /// Whether this node takes part in the epoch: it votes, or holds by the lease that the voters give it.
    pub takes_part: bool,
    /// Isolated (R-MEM-7).
    pub isolated: bool,
    /// A tiebreaker is configured, here or by the other one's word.
    pub tiebreaker: bool,
    /// The claim by which this node went on alone is the other one's by now.
    pub superseded: bool,
    /// When the newest own heartbeat was made that the peer vouched for.
    pub vouched_at: Option<Timestamp>,
    /// Until when the tiebreaker favours this node.
    pub favoured_until: Option<Timestamp>,
    /// Until when the daemon before us held its right, from /run (R-TAKE-4).
    pub inherited_until: Option<Timestamp>,
    /// Until when a majority of voters carries this node, in an epoch of three or more (R-LEASE-1).
    pub leased_until: Option<Timestamp>,
    /// The record says that this node is lost: that ends every lease at once (R-MEM-6).
    pub lost: bool,
    /// Until when this machine's slot on the shared disk lets it keep anything (decision 0055); none: it has no slot.
    pub slot_until: Option<Timestamp>,
    /// L.
    pub lease: Duration,
}

/// The table's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Keep {
    /// Nothing of the table vouches: stop what is leased (R-LEASE-5).
    No,
    /// Until that moment.
    Until(Timestamp),
    /// No lease binds.
    Unbound,
}

impl Keep {
    /// For how long addresses may answer from `now` without another word (R-LEASE-8): never for longer than a lease.
    pub(crate) fn hold(self, now: Timestamp, lease: Duration) -> Duration {
        match self {
            Keep::No => Duration::ZERO,
            Keep::Until(end) => end.since(now).min(lease),
            Keep::Unbound => lease,
        }
    }

    /// Whether anything may be kept at `now`.
    pub(crate) fn holds(self, now: Timestamp) -> bool {
        match self {
            Keep::No => false,
            Keep::Until(end) => now < end,
            Keep::Unbound => true,
        }
    }
}

/// Reads the table of section 3. A slot on a shared disk gives no right, and ends every one: where it could not be looked
/// at for long enough, whoever has fenced this machine counts on that.
pub(crate) fn keep(claim: &Claim) -> Keep {
    let keep = by_others(claim);
    let Some(slot_until) = claim.slot_until else { return keep };
    match keep {
        Keep::No => Keep::No,
        _ if claim.now >= slot_until => Keep::No,
        Keep::Until(end) => Keep::Until(end.min(slot_until)),
        Keep::Unbound => Keep::Until(slot_until),
    }
}

fn by_others(claim: &Claim) -> Keep {
    let inherited = claim.inherited_until.filter(|end| claim.now < *end).map_or(Keep::No, Keep::Until);
    if claim.isolated {
        return Keep::No;
    }
    match claim.voters {
        None => inherited,
        Some(_) if !claim.takes_part => inherited,
        Some(1) if !claim.superseded => Keep::Unbound,
        Some(2) if !claim.tiebreaker => Keep::Unbound,
        Some(voters) if voters >= LEASE_VOTERS => {
            // What a majority vouched for to the run before holds to its end: of five, one that is heard is none yet.
            let end = claim.leased_until.max(claim.inherited_until).filter(|end| claim.now < *end && !claim.lost);
            end.map_or(Keep::No, Keep::Until)
        }
        Some(_) => {
            let vouched = claim.vouched_at.map(|at| at + claim.lease);
            let end = vouched.max(claim.favoured_until).max(claim.inherited_until);
            end.filter(|end| claim.now < *end).map_or(Keep::No, Keep::Until)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{compare, decisions, flag, input};

    const L: Duration = Duration::from_millis(400);

    fn at(ms: u64) -> Timestamp {
        Timestamp(ms * 1_000_000)
    }

    fn claim() -> Claim {
        Claim {
            now: at(1000),
            voters: Some(2),
            takes_part: true,
            isolated: false,
            tiebreaker: false,
            superseded: false,
            vouched_at: None,
            favoured_until: None,
            inherited_until: None,
            leased_until: None,
            lost: false,
            slot_until: None,
            lease: L,
        }
    }

    /// Complete by the compiler: an answer that is added is told here.
    fn told(keep: Keep, ends: &[(Timestamp, &str)]) -> String {
        match keep {
            Keep::No => "no".into(),
            Keep::Unbound => "yes, no lease binds".into(),
            Keep::Until(end) => {
                let which = ends.iter().find(|(at, _)| *at == end).map_or("?", |(_, name)| name);
                format!("until {which}")
            }
        }
    }

    /// The table of section 3 itself, row by row.
    #[test]
    fn every_epoch_and_everything_that_may_carry_an_owner() {
        const PAST: u64 = 900;
        let moment = |at: usize, then: u64| [None, Some(PAST), Some(then)][at].map(|ms| Timestamp(ms * 1_000_000));
        let inputs = [
            input("voters", &["no epoch", "1", "2", "3", "4", "5", "6", "7"]),
            flag("takes part"),
            flag("isolated"),
            flag("tiebreaker"),
            flag("the claim is the other one's"),
            flag("lost"),
            input("lease", &["none", "over", "runs"]),
            input("peer vouched", &["never", "a lease ago", "since"]),
            input("targets favour", &["never", "before", "now"]),
            input("left by the run before", &["nothing", "over", "runs"]),
            input("own slot", &["has none", "too long ago, or a pill", "looked at"]),
        ];
        let text = decisions(&inputs, "may it keep what it holds", |chosen| {
            let &[
                voters,
                takes_part,
                isolated,
                tiebreaker,
                superseded,
                lost,
                lease,
                vouched,
                favoured,
                inherited,
                slot,
            ] = chosen
            else {
                unreachable!("eleven inputs")
            };
            let claim = Claim {
                now: at(1000),
                voters: (voters > 0).then_some(voters),
                takes_part: takes_part == 1,
                isolated: isolated == 1,
                tiebreaker: tiebreaker == 1,
                superseded: superseded == 1,
                // The lease that follows is a lease later.
                vouched_at: moment(vouched, 1100).map(|at| at.before(L)),
                favoured_until: moment(favoured, 1200),
                inherited_until: moment(inherited, 1300),
                leased_until: moment(lease, 1400),
                lost: lost == 1,
                slot_until: moment(slot, 1050),
                lease: L,
            };
            let keep = keep(&claim);
            assert_eq!(keep.holds(claim.now), keep != Keep::No, "a right that is over is none");
            assert!(keep.hold(claim.now, L) <= L, "a gate is never open for longer than a lease");
            let ends = [
                (at(1100), "the vouch is a lease old"),
                (at(1200), "the favour ends"),
                (at(1300), "the run before had said"),
                (at(1400), "the lease ends"),
                (at(1050), "the slot must be looked at again"),
            ];
            told(keep, &ends)
        });
        let head = "Whether a node may keep what it holds, and its gate stays open (protocol section 3): all that `rights::keep`\n\
                    reads. Where several carry it, the one that ends last. left by the run before: what the daemon that ran\n\
                    before this one had a right to, while this one does not know yet how things stand. own slot: on the disk of `stonith disk`.";
        compare("keep.txt", head, &text);
    }

    #[test]
    fn the_death_of_a_standby_takes_nothing_from_its_healthy_peer() {
        assert_eq!(keep(&claim()), Keep::Unbound);
        assert_eq!(keep(&Claim { voters: Some(1), ..claim() }), Keep::Unbound);
    }

    #[test]
    fn two_owners_because_a_machine_kept_what_it_held_without_a_look_at_its_slot() {
        for voters in [1, 2] {
            let owner = Claim { voters: Some(voters), slot_until: Some(at(1500)), ..claim() };
            assert_eq!(keep(&owner), Keep::Until(at(1500)));
            assert_eq!(keep(&Claim { now: at(1500), ..owner.clone() }), Keep::No);
            assert_eq!(keep(&Claim { isolated: true, ..owner }), Keep::No, "a slot gives no right");
        }
        let leased = Claim { voters: Some(3), leased_until: Some(at(1200)), slot_until: Some(at(1100)), ..claim() };
        assert_eq!(keep(&leased), Keep::Until(at(1100)));
    }

    #[test]
    fn an_isolated_owner_keeps_nothing_in_any_epoch() {
        for voters in [None, Some(1), Some(2)] {
            for tiebreaker in [false, true] {
                let favoured_until = Some(at(2000));
                assert_eq!(keep(&Claim { voters, tiebreaker, favoured_until, isolated: true, ..claim() }), Keep::No);
            }
        }
    }

    #[test]
    fn with_a_tiebreaker_an_owner_that_nobody_vouches_for_stops_after_a_lease() {
        let alone = Claim { tiebreaker: true, ..claim() };
        assert_eq!(keep(&alone), Keep::No);
        assert_eq!(keep(&Claim { vouched_at: Some(at(700)), ..alone.clone() }), Keep::Until(at(1100)));
        assert_eq!(keep(&Claim { vouched_at: Some(at(600)), ..alone.clone() }), Keep::No);
        assert_eq!(keep(&Claim { favoured_until: Some(at(1300)), ..alone }), Keep::Until(at(1300)));
    }

    #[test]
    fn of_three_only_a_lease_carries_an_owner() {
        // R-LEASE-1, R-MEM-6: no favour of a ping target, no silence of the others.
        let alone = Claim { voters: Some(3), favoured_until: Some(at(2000)), vouched_at: Some(at(999)), ..claim() };
        assert_eq!(keep(&alone), Keep::No);
        let leased = Claim { leased_until: Some(at(1200)), ..alone };
        assert_eq!(keep(&leased), Keep::Until(at(1200)));
        assert_eq!(keep(&Claim { now: at(1200), ..leased.clone() }), Keep::No);
        assert_eq!(keep(&Claim { lost: true, ..leased.clone() }), Keep::No);
        let restarted = Claim { leased_until: None, inherited_until: Some(at(1100)), ..leased.clone() };
        assert_eq!(keep(&restarted), Keep::Until(at(1100)));
        assert_eq!(keep(&Claim { lost: true, ..restarted.clone() }), Keep::No);
        assert_eq!(keep(&Claim { now: at(1100), ..restarted }), Keep::No);
        assert_eq!(keep(&Claim { isolated: true, ..leased }), Keep::No);
    }

    #[test]
    fn a_node_without_epoch_has_only_what_the_daemon_before_it_left() {
        let outside = Claim { voters: None, ..claim() };
        assert_eq!(keep(&outside), Keep::No);
        assert_eq!(keep(&Claim { inherited_until: Some(at(1200)), ..outside.clone() }), Keep::Until(at(1200)));
        assert_eq!(keep(&Claim { inherited_until: Some(at(900)), ..outside }), Keep::No);
    }

    #[test]
    fn a_gate_never_stays_open_past_the_lease() {
        assert_eq!(Keep::Until(at(1100)).hold(at(1000), L), Duration::from_millis(100));
        assert_eq!(Keep::Until(at(9000)).hold(at(1000), L), L);
        assert_eq!(Keep::No.hold(at(1000), L), Duration::ZERO);
    }
}
