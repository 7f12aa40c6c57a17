//! What these worlds found, each made small and named for its harm.

use crate::stories::layout;
use hearth_sim::act::{parse, span};
use hearth_sim::swarm::{Run, Step, judge};
use std::time::Duration;

/// Plays acts and waits (`run 25037us`), one a line, and judges.
fn must_be_well(tiebreaker: bool, story: &str) {
    let layout = layout(tiebreaker);
    let mut steps: Vec<Step> = Vec::new();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix("run ") {
            Some(time) => steps.last_mut().expect("an act goes first").then += span(time).expect("a span"),
            None => steps.push(Step { act: parse(&layout, line).expect("an act"), then: Duration::ZERO }),
        }
    }
    let verdict = judge(&Run { seed: 1, layout, steps, lost: Vec::new(), list: None }, None);
    assert!(verdict.complaints.is_empty(), "{:?}\n{}", verdict.complaints, verdict.story);
}

#[test]
fn a_stop_that_meets_a_rival_does_not_wait_for_ever() {
    // R-LEAVE-1, R-LEDGER-6: A is to stop and has let B in again; B has given A up and gone on alone meanwhile.
    must_be_well(
        false,
        "start a
         start b
         run 1250ms
         power-off b
         run 750ms
         start b
         run 25037us
         freeze a
         stop a
         run 550ms",
    );
}

#[test]
fn an_epoch_that_was_given_up_is_not_founded_again_for_voters_that_are_no_more() {
    // R-JOIN-1: B gives up its epoch to A, whose state is lost at that moment; what B once agreed to is over. Then B loses
    // its state too, and neither votes in what B told A of.
    must_be_well(
        true,
        "start a
         start b
         run 1250ms
         split a
         run 750ms
         heal
         run 375us
         lose-state a
         start a
         run 35477us
         lose-state b",
    );
}

#[test]
fn an_address_is_not_started_beside_a_machine_that_never_said_what_runs_there() {
    // R-TAKE-1, R-TAKE-4: A found the service of a group on itself, so the group counted as known; its address was on B,
    // whose daemon had lost its state and had not said anything yet.
    must_be_well(
        false,
        "start a
         start b
         run 2500000us
         kill a
         run 554447us
         start a
         run 5768us
         lose-state b
         run 100000us",
    );
}
