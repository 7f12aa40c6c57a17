//! What happened, for a person: what befell the cluster and what its nodes told, in true time.

use crate::site::Site;
use hearth_controller::Severity;
use hearth_types::Timestamp;
use std::fmt::Write as _;

/// What was done and what the nodes told from `from` on; without detail, only what matters to somebody who reads it.
pub fn told(site: &Site, from: Timestamp, detail: bool) -> String {
    let mut lines: Vec<(Timestamp, usize, String)> = Vec::new();
    for (at, text) in site.story.iter().filter(|(at, _)| *at >= from) {
        lines.push((*at, 0, format!("==== {text}")));
    }
    for (node, machine) in site.machines.iter().enumerate() {
        for told in machine.events.iter().filter(|told| told.at >= from) {
            if detail || told.event.severity > Severity::Debug {
                lines.push((told.at, node + 1, format!("{}: {}", site.name(node), told.event.text)));
            }
        }
    }
    lines.sort_by_key(|(at, node, _)| (*at, *node));
    lines.iter().map(|(at, _, line)| format!("{at} {line}\n")).collect()
}

/// The state at this moment: what nodes say, and what is.
pub fn now(site: &Site) -> String {
    let mut text = String::new();
    for node in site.nodes() {
        let machine = &site.machines[node];
        let runs: Vec<&str> = machine.kernel.running.keys().map(|id| id.as_str()).collect();
        let power = if machine.powered { "on" } else { "off" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}: power {power}, really runs: {}", site.name(node), runs.join(", "));
        let Some(status) = site.status(node) else { continue };
        let _ = writeln!(text, "   says: {} DC {:?}", status.summary, status.dc);
        for view in &status.nodes {
            let reason = view.reason.as_deref().unwrap_or("");
            let _ = writeln!(text, "   node {} {} {reason}", view.name, view.state);
        }
        for view in &status.groups {
            let _ = writeln!(text, "   group {} {} on {:?}: {}", view.id, view.state, view.node, view.reason);
        }
        for note in &status.notes {
            let _ = writeln!(text, "   {note}");
        }
    }
    text
}
