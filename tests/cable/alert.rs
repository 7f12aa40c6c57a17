//! What people are told when the owner is gone, and that nothing waits for it.

use crate::bench::{Bench, DEADTIME, PATIENCE, UDP, ms, row};
use hearth_lab::{Files, wait_until};
use std::time::Duration;

/// Writes down what it is told, a file for each alert.
const SCRIBE: &str = "#!/bin/sh\nmkdir -p /mnt/told\nnew=/mnt/told/.$CRM_alert_node_sequence\nenv | sort > $new\n\
    mv $new /mnt/told/$CRM_alert_node_sequence-$HEARTH_alert_name-$CRM_alert_node\n";
const HANGS: &str = "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1000; done\n";

const ALERTS: &str = "alert /mnt/ha.d/resource.d/hangs\nalert /mnt/ha.d/resource.d/scribe night@example.org\n";

/// Names of what a machine has told so far, in order.
fn told(bench: &Bench, machine: &str) -> Vec<String> {
    let entries = std::fs::read_dir(bench.cluster.lab.room(machine).join("told")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

/// Decision 0046: one word of the loss and one of the takeover, from the one that decided; a script that hangs beside it
/// costs the client nothing.
#[test]
fn owner_off_is_told_once_and_a_script_that_hangs_delays_no_takeover() {
    row("50 power off, with an alert that hangs", DEADTIME + ms(100), || {
        let mut files = Files { haresources: "a 10.77.0.50/24/eth0\n".into(), ..Files::default() };
        files.ha_cf.push_str(ALERTS);
        files.scripts = vec![("scribe".into(), SCRIBE.into()), ("hangs".into(), HANGS.into())];
        let mut bench = Bench::cold(files, UDP).warm();
        let from = bench.cluster.lab.power_off("a").unwrap();
        bench.served_by("b", from);
        let to = bench.watch(ms(500));
        let wanted = ["1-node-lost-a", "2-takeover-b"];
        let found = wait_until(PATIENCE, Duration::from_millis(10), || (told(&bench, "b").len() >= 2).then_some(()));
        if found.is_none() || told(&bench, "b") != wanted || !told(&bench, "a").is_empty() {
            bench.fail(&format!("told: {:?} by b, {:?} by a", told(&bench, "b"), told(&bench, "a")));
        }
        let text = |name: &str| std::fs::read_to_string(bench.cluster.lab.room("b").join("told").join(name)).unwrap();
        let (lost, taken) = (text(wanted[0]), text(wanted[1]));
        for (text, lines) in [
            (&lost, &["CRM_alert_kind=node", "CRM_alert_desc=lost", "CRM_alert_recipient=night@example.org"][..]),
            (
                &taken,
                &[
                    "CRM_alert_kind=resource",
                    "CRM_alert_rsc=10.77.0.50/24/eth0",
                    "CRM_alert_task=start",
                    "CRM_alert_rc=0",
                    "CRM_alert_desc=ok",
                    "CRM_alert_target_rc=0",
                    "HEARTH_alert_again=no",
                ],
            ),
        ] {
            let missing = lines.iter().find(|line| !text.lines().any(|known| known == **line));
            if let Some(missing) = missing {
                bench.fail(&format!("{missing} was not told:\n{text}"));
            }
        }
        let (_, timeline) = bench.cluster.order("b", &["timeline", "--last", "40"]).unwrap();
        if !timeline.contains("Alert node-lost: a is lost") {
            bench.fail(&format!("the timeline says nothing of the alert:\n{timeline}"));
        }
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}
