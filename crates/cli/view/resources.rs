//! Full List of Resources.

use super::Part;
use crate::page::{Page, Tone};
use hearth_control::{GroupView, ResourceView, Status};

/// Groups in haresources order, members indented under them in start order.
pub(crate) fn list(page: &mut Page, status: &Status, part: Part) {
    let wanted = |resource: &ResourceView| part == Part::All || !is_well(status, resource);
    let shown: Vec<(&GroupView, Vec<&ResourceView>)> = status
        .groups
        .iter()
        .map(|group| (group, members(status, group).filter(|resource| wanted(resource)).collect()))
        .filter(|(_, members): &(_, Vec<_>)| part == Part::All || !members.is_empty())
        .collect();
    // What was taken out of haresources and may still be active belongs to no group.
    let grouped = |resource: &ResourceView| status.groups.iter().any(|group| group.resources.contains(&resource.id));
    let orphans: Vec<_> = status.resources.iter().filter(|resource| !grouped(resource) && wanted(resource)).collect();
    if part == Part::Failed && shown.is_empty() && orphans.is_empty() {
        return;
    }
    page.heading(if part == Part::All {
        "Full List of Resources:"
    } else {
        "Resources that are not as they should be:"
    });
    if shown.is_empty() && orphans.is_empty() {
        page.put("  * No resources").end();
    }
    for (group, members) in shown {
        page.put(&format!("  * Resource Group: {}:", group.id));
        if group.state != "started" && !group.reason.is_empty() {
            page.tone(Tone::Warn, &format!(" ({})", group.reason));
        }
        page.end();
        for resource in members {
            one(page, status, resource, "    ");
        }
    }
    for resource in orphans {
        one(page, status, resource, "  ");
    }
}

fn members<'a>(status: &'a Status, group: &'a GroupView) -> impl Iterator<Item = &'a ResourceView> {
    group.resources.iter().filter_map(|id| status.resources.iter().find(|resource| resource.id == *id))
}

fn one(page: &mut Page, status: &Status, resource: &ResourceView, indent: &str) {
    page.put(&format!("{indent}* {}\t({}):\t ", resource.id, resource.agent));
    let (tone, words) = state(status, resource);
    page.tone(tone, &words);
    let elsewhere: Vec<_> =
        resource.may_be_active.iter().filter(|node| resource.node.as_ref() != Some(node)).map(String::as_str).collect();
    if !elsewhere.is_empty() {
        page.tone(Tone::Bad, &format!(" (may be active on {})", elsewhere.join(", ")));
    }
    // A gate that lets the address answer is what everybody expects.
    if let Some(gate) = resource.gate.as_deref().filter(|gate| *gate != "open")
        && resource.state == "started"
        && resource.node.as_deref() == Some(status.local.as_str())
    {
        page.tone(Tone::Bad, &format!(" (gate {gate})"));
    }
    page.end();
}

fn state(status: &Status, resource: &ResourceView) -> (Tone, String) {
    let node = resource.node.as_deref().unwrap_or("");
    let unclean = status.nodes.iter().any(|view| view.name == node && view.unclean);
    let (tone, word) = match resource.state.as_str() {
        "started" => (Tone::Good, "Started"),
        "starting" => (Tone::Warn, "Starting"),
        "stopping" => (Tone::Warn, "Stopping"),
        "stopped" => (Tone::Bad, "Stopped"),
        "failed" => (Tone::Bad, "FAILED"),
        "blocked" => (Tone::Bad, "FAILED (blocked)"),
        "unknown" => (Tone::Warn, "Unknown"),
        other => (Tone::Warn, other),
    };
    let space = if node.is_empty() { "" } else { " " };
    let suffix = if unclean { " (UNCLEAN)" } else { "" };
    (if unclean { Tone::Bad } else { tone }, format!("{word}{space}{node}{suffix}"))
}

fn is_well(status: &Status, resource: &ResourceView) -> bool {
    let (tone, _) = state(status, resource);
    tone == Tone::Good && resource.may_be_active.iter().all(|node| resource.node.as_ref() == Some(node))
}
