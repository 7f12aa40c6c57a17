//! Random facts: every plan is accepted, final, and comes to rest after a bounded number of moves.

mod story;

use hearth_cib::Entry;
use hearth_scheduler::plan;
use proptest::prelude::*;
use story::{Story, print};

const FILES: [&str; 6] =
    ["nodes a b c", "group a,b 10.0.0.1 web", "group b /srv", "group c,a db", "group a 10.0.0.1@2 mail", "join a b c"];

/// Lines that may always be told; those that the record refuses at that moment are left out.
const FACTS: [&str; 31] = [
    "admit a",
    "join a",
    "join b",
    "join c",
    "lost a",
    "lost b",
    "left c",
    "alive a b",
    "alive a b c",
    "alive b c",
    "without-disk",
    "without-disk a",
    "without-disk b c",
    "leaving",
    "leaving a",
    "leaving b c",
    "settle",
    "pings a 1/2",
    "pings b 2/2",
    "pings c 1/2",
    "no-carrier a 10.0.0.1",
    "no-carrier a",
    "no-carrier b 10.0.0.1",
    "report a web start-failed no",
    "report b web start-failed no",
    "report a 10.0.0.1 monitor-failed no",
    "report b /srv stop-failed no",
    "takeover 10.0.0.1 b",
    "standby all a",
    "failback all",
    "clear",
];

/// Plans until nothing is planned any more; every plan must be accepted and final. Returns the number of moves.
fn come_to_rest(story: &mut Story) -> usize {
    let mut moves = 0;
    for _ in 0..20 {
        let planned = plan(&story.record, &story.view);
        for action in &planned.actions {
            moves += usize::from(matches!(action.entry, Entry::Unassign { .. }));
            story.decide(action.entry.clone());
        }
        let again = plan(&story.record, &story.view);
        assert!(again.actions.is_empty(), "not final: {}\nthen {:?}", print(&planned, &story.record), again.actions);
        story.tell("settle");
        if plan(&story.record, &story.view).actions.is_empty() {
            return moves;
        }
    }
    panic!("does not come to rest:\n{}", print(&plan(&story.record, &story.view), &story.record));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Protocol section 8, 7.
    #[test]
    fn a_fault_leads_to_a_bounded_number_of_moves(
        facts in proptest::collection::vec((0..FACTS.len(), any::<bool>()), 1..40),
        failback in any::<bool>(),
    ) {
        let mut story = Story::default();
        story.tell(if failback { "auto_failback on" } else { "auto_failback off" });
        FILES.iter().for_each(|line| story.tell(line));
        come_to_rest(&mut story);
        for (fact, rest) in facts {
            if !story.try_tell(FACTS[fact]) {
                continue;
            }
            if rest {
                let moves = come_to_rest(&mut story);
                prop_assert!(moves <= 3 * story.record.model.groups.len(), "{moves} moves after {}", FACTS[fact]);
            }
        }
    }
}
