//! The checkers are checked: each must see a world or a node that breaks its promise, within a stated number of seeds.

use crate::hunt::hunt;
use hearth_sim::Mutant;

/// What only a majority of more than two can suffer from: that one forgets, or that time proves what is not so.
const OF_THREE: [Mutant; 2] = [Mutant::IgnoresMarks, Mutant::WatchdogIsLate];

/// What a pair shows soonest, which nothing but the clocks of the two keeps apart.
const OF_TWO: [Mutant; 3] = [Mutant::ClockStops, Mutant::ClockDrifts, Mutant::FencesWithoutToken];

/// Seeds between two looks whether it was seen.
const PIECE: u64 = 40;

/// What is broken, which checker must see it, and within how many seeds.
const MUST_SEE: [(Mutant, &str, u64); 32] = [
    (Mutant::GateFailsOpen, "one owner", 1000),
    (Mutant::StopLies, "one owner", 1000),
    (Mutant::ProbeDenies, "one owner", 1000),
    (Mutant::ProbeAffirms, "order", 1000),
    (Mutant::ClockStops, "one owner", 1000),
    (Mutant::ClockDrifts, "one owner", 1000),
    (Mutant::VisibleBeforeDurable, "agreement", 1000),
    (Mutant::StaleLease, "one owner", 1000),
    (Mutant::Impatient, "one owner", 1000),
    (Mutant::AcceptsReplays, "authentic", 1000),
    (Mutant::AppliesTwice, "agreement", 1000),
    (Mutant::CountsByOldList, "agreement", 1000),
    (Mutant::StartsOutOfOrder, "order", 1000),
    (Mutant::StartsTwice, "double start", 1000),
    (Mutant::ForgetsCauses, "cause", 1000),
    (Mutant::ReportsLittle, "overlap", 1000),
    (Mutant::NeverAnswers, "liveness", 1000),
    (Mutant::StatusStandsStill, "status", 1000),
    (Mutant::DeadlineSpins, "bounds", 1000),
    (Mutant::MovesForever, "moves", 1000),
    (Mutant::IgnoresIsolation, "isolated owner", 1000),
    (Mutant::IgnoresMarks, "agreement", 1000),
    (Mutant::MarksTooEarly, "put back", 1000),
    (Mutant::FencesUnconfirmed, "one owner", 1000),
    (Mutant::FencesWithoutToken, "fence loop", 1000),
    (Mutant::WitnessRuns, "witness", 1000),
    (Mutant::PetsWhileUnclean, "isolated owner", 300),
    (Mutant::PetsOnlyOwners, "needless reset", 300),
    (Mutant::WatchdogIsLate, "one owner", 1000),
    (Mutant::BlocksUnstopped, "unstopped", 1000),
    (Mutant::TrustsEachTime, "left out", 1000),
    (Mutant::NeverForgets, "left out", 1000),
];

#[test]
fn the_checkers_see_every_broken_world() {
    let mut blind = Vec::new();
    for (mutant, checker, within) in MUST_SEE {
        let mut seen = None;
        let mut others = std::collections::BTreeSet::new();
        for from in (0..within).step_by(PIECE as usize) {
            let two = OF_TWO.contains(&mutant).then_some(2);
            let nodes = OF_THREE.contains(&mutant).then_some(3).or(two);
            let failed = hunt(from..(from + PIECE).min(within), nodes, Some(mutant), usize::MAX);
            for (seed, verdict) in &failed {
                for complaint in &verdict.complaints {
                    others.insert(complaint.checker);
                    if complaint.checker == checker && seen.is_none() {
                        seen = Some(*seed);
                    }
                }
            }
            if seen.is_some() {
                break;
            }
        }
        println!("{mutant:?}: {checker} at seed {seen:?}; {others:?}");
        if seen.is_none() {
            blind.push(format!("{mutant:?}: not seen by `{checker}` in {within} seeds, only by {others:?}"));
        }
    }
    assert!(blind.is_empty(), "{}", blind.join("\n"));
}
