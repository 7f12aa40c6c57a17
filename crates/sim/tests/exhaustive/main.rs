//! Small worlds: two faults in every order at every step of a takeover, a heal, a standby and a join of two
//! machines, judged as the swarm judges (protocol section 8).

mod cases;
mod faults;
mod found;
mod stories;
mod walk;

use cases::{Case, Found, Worlds};
use hearth_sim::{report, shrink, swarm};

/// Worlds for each step of an ordinary run, drawn from all; `HEARTH_EXHAUSTIVE=all` takes every one, `HEARTH_EXHAUSTIVE=N`
/// N of them.
const PER_STEP: usize = 16;
/// Failures that are told.
const TOLD_MAX: usize = 3;

/// How many worlds are made for each step; none: all.
fn per_step() -> Option<usize> {
    match std::env::var("HEARTH_EXHAUSTIVE") {
        Ok(text) if text == "all" => None,
        Ok(text) => Some(text.parse().expect("HEARTH_EXHAUSTIVE is a number or all")),
        Err(_) => Some(PER_STEP),
    }
}

/// The small story of a failure.
fn tell(worlds: &Worlds<'_>, case: &Case) -> String {
    let run = worlds.plan(case).run(worlds.story);
    let verdict = swarm::judge(&run, None);
    if verdict.complaints.is_empty() {
        return "all is well where it is replayed: a forked world is not what it was forked from".to_owned();
    }
    let small = shrink::shrink(&run, &verdict);
    format!("{}\n{}", report::first(&verdict), report::small(&small))
}

#[test]
fn two_faults_at_any_step_leave_one_owner_and_a_cluster_that_heals() {
    let (stories, faults) = (stories::all(), faults::all());
    let mut failures = Vec::new();
    let (mut made, mut same) = (0, 0);
    let only = std::env::var("HEARTH_STORY").unwrap_or_default();
    for story in stories.iter().filter(|story| story.name.contains(&only)) {
        let worlds = Worlds::new(story, &faults, per_step());
        let Found { worlds: count, same: not_made, failed } = worlds.judge();
        let name = &story.name;
        println!("{name}: {} steps, {count} worlds, {not_made} like another, {} failed", worlds.steps(), failed.len());
        made += count;
        same += not_made;
        for case in failed {
            if failures.len() < TOLD_MAX {
                failures.push(format!("{name}, {}: {}", worlds.name(&case), tell(&worlds, &case)));
                println!("{}", failures[failures.len() - 1]);
            }
        }
    }
    println!("{made} worlds, of which {same} are the same as another");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
