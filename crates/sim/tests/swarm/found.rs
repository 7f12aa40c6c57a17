//! What seeds found, as small as the search made it and named for its harm: where a cluster and its chance are those of the
//! seed, and the acts stand here.

use hearth_sim::act::{parse, span};
use hearth_sim::swarm::{Run, Step, draw, judge};
use std::time::Duration;

/// Plays acts and waits (`run 25037us`), one a line, in the cluster of that seed, and judges.
fn must_be_well(seed: u64, story: &str) {
    let mut run: Run = draw(seed, None);
    run.steps.clear();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix("run ") {
            Some(time) => run.steps.last_mut().expect("an act goes first").then += span(time).expect("a span"),
            None => run.steps.push(Step { act: parse(&run.layout, line).expect("an act"), then: Duration::ZERO }),
        }
    }
    let verdict = judge(&run, None);
    assert!(verdict.complaints.is_empty(), "{:?}\n{}", verdict.complaints, verdict.story);
}

#[test]
fn of_two_that_had_both_gone_on_alone_both_win_and_fill_the_wire() {
    // R-LEDGER-6: a copy of B makes A begin the comparison anew when B has won it.
    must_be_well(
        25412,
        "start a
         start b
         run 2699413us
         power-off b
         run 1106853us
         disk a slow
         run 971911us
         start b
         run 90734us
         pull a 0
         pull a 1
         run 1335752us
         clone b on
         run 516701us",
    );
}

#[test]
fn a_machine_that_was_let_in_and_is_found_to_have_an_older_disk_waits_for_ever() {
    // R-LEDGER-3: it comes back as a new member within the same run.
    must_be_well(
        24340,
        "start a
         run 2589301us
         switch b slow
         power-cycle b
         run 259253us
         disk a slow
         run 296857us
         clone b on
         run 4409999us
         start b
         run 3041083us",
    );
}

#[test]
fn a_machine_that_could_not_speak_the_version_and_whose_disk_is_put_back_waits_for_ever() {
    // R-WIRE-6, R-LEDGER-3
    must_be_well(
        49417,
        "start b
         start a
         trouble c 300
         package c 2
         start c
         run 30660us
         list a a b c
         list b a b c
         backup c
         kill c
         start c
         run 78125us
         restore c",
    );
}
