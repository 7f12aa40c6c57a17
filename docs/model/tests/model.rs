//! That the rules of protocol section 3 hold in every moment of a few small worlds, and break without any part marked (M).

use hearth_model::{Part, Rules, story};

/// Two leaders, a daemon killed, a re-admission or a renewal, a lease of two ticks.
fn one_epoch() -> Rules {
    Rules::whole().in_one_epoch().with_lease(2)
}

/// A voter is replaced, another leader is deposed, nobody is killed.
fn two_epochs() -> Rules {
    Rules::whole().without_crash()
}

/// R-LEASE-1, 3, 4, 5, 12: with all rules. A model in which little happens would hold too: so it must be large, and know
/// what it is about.
#[test]
fn two_owners_in_any_moment_of_a_small_world() {
    for (rules, least) in [(one_epoch(), 500_000), (two_epochs(), 900_000)] {
        let found = rules.search(2);
        assert!(found.two_owners.is_none(), "two owners:\n{}", story(&found.two_owners.unwrap_or_default()));
        assert!(found.moments > least, "only {} moments of {rules:?}", found.moments);
        let missing = found.missing(&rules);
        assert!(missing.is_empty(), "never seen in {rules:?}: {missing:?}");
    }
}

/// Each part of R-LEASE-1, R-LEASE-3, R-LEASE-4, R-LEASE-5 and R-LEASE-12 that is marked (M).
#[test]
fn every_part_that_is_left_out_makes_two_owners() {
    for part in Part::NEEDED {
        let found = part.left_out().search(1);
        let way = found.two_owners.unwrap_or_else(|| panic!("{part:?} is not needed: {} moments", found.moments));
        let last = way.last().expect("a last moment").0;
        assert!(last.has_two_owners() && way.len() < 30, "{part:?}\n{}", story(&way));
        assert!(story(&way).lines().count() > 5, "{part:?}\n{}", story(&way));
    }
}

/// R-LEASE-12: that a proof under way is finished before the voters change is no matter of safety; the rest of the clause
/// sees to that. Should it become one, the model must say so.
#[test]
fn a_proof_that_is_overtaken_by_new_voters_makes_no_two_owners() {
    let found = two_epochs().without(Part::ProofFirst).search(2);
    assert!(found.two_owners.is_none(), "two owners:\n{}", story(&found.two_owners.unwrap_or_default()));
    assert!(found.moments > 900_000, "only {} moments", found.moments);
}
