//! Whole daemons and supervisors, each in network and mount namespaces of its own, watched from outside.
//!
//! This program plays them itself, in a first thread that nothing else uses: that is why it has no test harness. Needs
//! CAP_SYS_ADMIN and CAP_NET_ADMIN, and fails without them.

mod alerts;
mod disk;
mod interfaces;
mod machine;
mod roles;
mod running;
mod supervisor;

use std::process::ExitCode;

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    ("r_leave_2_a_killed_daemon_is_back_within_200_ms", supervisor::killed),
    (
        "r_lease_8_a_gate_that_was_left_behind_does_not_silence",
        supervisor::killed_under_a_gate_that_is_not_wanted_any_more,
    ),
    ("a_wrong_configuration_is_not_tried_again", supervisor::wrong_configuration),
    ("a_state_folder_that_cannot_be_used_does_not_make_systemd_spin", supervisor::state_folder_that_is_none),
    ("a_state_of_another_program_is_not_tried_again", supervisor::state_of_another_program),
    ("r_leave_1_a_stop_before_the_first_look_is_in_order", supervisor::stopped_at_once),
    ("r_ledger_3_heartbeats_go_on_while_the_disk_is_full", disk::full),
    ("an_alert_tells_everything_and_inherits_nothing", alerts::told_in_full),
    ("an_alert_that_hangs_is_ended_and_holds_up_nobody", alerts::one_that_hangs),
    ("a_trial_says_that_nobody_would_be_told", alerts::nobody_to_tell),
    ("a_foreign_user_is_refused", running::foreign_user),
    ("a_reload_takes_effect_or_is_refused_whole", running::reload),
    ("a_reload_changes_log_environment_and_priority", running::reload_of_what_surrounds),
    ("a_reload_changes_media_and_puts_the_gate_up", running::reload_of_media_and_gate),
    ("systemd_is_told_of_start_life_and_stop", running::told_to_systemd),
    ("the_daemon_stays_small", running::small),
    ("r_lease_8_the_gate_stands_on_new_interfaces", interfaces::gate_on_new_interfaces),
    ("a_firewall_that_changes_takes_the_processor_of_a_node_without_addresses", interfaces::firewall_without_addresses),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("role", words)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return roles::play(words);
    }
    let names: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen = TESTS.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|part| name.contains(*part)));
    let mut failed = Vec::new();
    for (name, test) in chosen {
        let bad = std::panic::catch_unwind(test).is_err();
        println!("test {name} ... {}", if bad { "FAILED" } else { "ok" });
        failed.extend(bad.then_some(*name));
    }
    println!("\ntest result: {}. {} failed", if failed.is_empty() { "ok" } else { "FAILED" }, failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
