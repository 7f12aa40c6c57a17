//! The status in the layout that users of `crm status` know: one `Status`, drawn section by section.

mod fencing;
mod nodes;
mod resources;
mod trouble;

use crate::clock;
use crate::page::{Look, Page, Tone};
use hearth_control::Status;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything.
    All,
    /// What is not as it should be.
    Failed,
}

/// The status as text; the first line is what matters most, the second what the permits do not protect from (R-PAIR-4).
pub(crate) fn status_text(status: &Status, part: Part, look: &Look) -> String {
    let mut page = Page::new(look);
    let tone = match status.health.as_str() {
        "ok" => Tone::Good,
        "degraded" => Tone::Warn,
        _ => Tone::Bad,
    };
    page.line(tone, &status.summary);
    page.line(Tone::Dim, &status.protection);
    if part == Part::All {
        summary(&mut page, status, look);
    }
    nodes::list(&mut page, status, part);
    nodes::pings(&mut page, status, part);
    fencing::list(&mut page, status, part);
    resources::list(&mut page, status, part);
    trouble::waiting(&mut page, status);
    trouble::failures(&mut page, status, look);
    trouble::notes(&mut page, status);
    page.text().to_owned()
}

fn summary(page: &mut Page, status: &Status, look: &Look) {
    page.heading("Cluster Summary:");
    page.put(&format!("  * Cluster: {} (hearth {})", status.cluster, status.version)).end();
    let dc = status.dc.as_deref().unwrap_or("NONE");
    page.put(&format!("  * Current DC: {dc} - "));
    if status.quorum {
        page.put("partition with quorum").end();
    } else {
        page.line(Tone::Bad, "partition WITHOUT quorum");
    }
    if let Some(epoch) = &status.epoch {
        page.put(&format!("  * Epoch: {}, voters [ {} ]", epoch.name, epoch.voters.join(" ")));
        if let Some(permit) = &epoch.permit {
            page.tone(Tone::Warn, &format!(", alone under permit {permit}"));
        }
        page.end();
    }
    page.put(&format!("  * Last updated: {} on {}", clock::date(status.wall_ms, &look.zone), status.local)).end();
    if let Some(change) = &status.last_change {
        page.put(&format!("  * Last change:  {}: {}", clock::date(change.wall_ms, &look.zone), change.text)).end();
    }
    page.put(&format!("  * {} configured", counted(status.nodes.len(), "node"))).end();
    page.put(&format!("  * {} configured", counted(status.resources.len(), "resource instance"))).end();
}

/// `1 node`, `2 nodes`.
pub(crate) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}
