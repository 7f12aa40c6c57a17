//! Node List and Ping Nodes.

use super::Part;
use crate::clock;
use crate::page::{Page, Tone};
use hearth_control::{LinkView, NodeView, Status};

/// Nodes that are not as they should be one by one, then `Online` and `OFFLINE` as lists, then what is wrong with them.
pub(crate) fn list(page: &mut Page, status: &Status, part: Part) {
    let single: Vec<_> = status.nodes.iter().filter_map(|node| Some((node, apart(node)?))).collect();
    let of = |online: bool| -> Vec<&str> {
        let plain = status.nodes.iter().filter(|node| node.online == online && apart(node).is_none());
        plain.map(|node| node.name.as_str()).collect()
    };
    let (online, offline) = (of(true), of(false));
    let details: Vec<_> = status.nodes.iter().flat_map(details).collect();
    if part == Part::Failed && single.is_empty() && offline.is_empty() && details.is_empty() {
        return;
    }
    page.heading("Node List:");
    for (node, (tone, words)) in single {
        page.put(&format!("  * Node {}: ", node.name)).line(tone, &words);
    }
    if !online.is_empty() && part == Part::All {
        page.put("  * Online: [ ").tone(Tone::Good, &online.join(" ")).put(" ]").end();
    }
    if !offline.is_empty() {
        page.put("  * OFFLINE: [ ").tone(Tone::Bad, &offline.join(" ")).put(" ]").end();
    }
    for line in details {
        page.line(Tone::Warn, &format!("    * {line}"));
    }
}

/// How a node is shown that belongs into neither list.
fn apart(node: &NodeView) -> Option<(Tone, String)> {
    match (node.unclean, node.online, node.state.as_str()) {
        (true, false, _) => Some((Tone::Bad, "UNCLEAN (offline)".to_owned())),
        (true, true, _) => Some((Tone::Bad, "UNCLEAN (online)".to_owned())),
        (false, true, "active") | (false, false, "dead") => None,
        (false, true, state) => Some((Tone::Warn, format!("online ({state})"))),
        (false, false, state) => Some((Tone::Warn, format!("OFFLINE ({state})"))),
    }
}

/// What is wrong with a node, a line each.
fn details(node: &NodeView) -> Vec<String> {
    let mut lines = Vec::new();
    let name = &node.name;
    if let Some(reason) = &node.reason {
        lines.push(format!("{name}: {reason}"));
    }
    if let (false, Some(heard)) = (node.online, node.heard_ms) {
        lines.push(format!("{name}: last heard {} ago", clock::span_ms(heard)));
    }
    if !node.unservable.is_empty() {
        lines.push(format!("{name}: cannot serve {} for want of carrier", node.unservable.join(", ")));
    }
    if let Some((reached, of)) = node.pings
        && reached < of
    {
        lines.push(format!("{name}: reaches {reached} of {of} ping nodes"));
    }
    // Of a node that is gone every link is dead: that is said already.
    let links = node.links.iter().filter(|link| node.online || link.trouble.is_some());
    lines.extend(links.filter_map(|link| Some(format!("{name}: link {}: {}", link.name, link_trouble(link)?))));
    lines
}

/// Loss from which a link is worth a line, in thousandths: a heartbeat in a hundred.
const NOTABLE_LOSS: u32 = 10;

fn link_trouble(link: &LinkView) -> Option<String> {
    match (&link.trouble, link.state.as_str(), link.loss_permille) {
        (Some(trouble), state, _) => Some(format!("{state}, {trouble}")),
        (None, "up", loss) if loss < NOTABLE_LOSS => None,
        (None, "up", loss) => Some(format!("up, loses {}.{} %", loss / 10, loss % 10)),
        (None, state, _) => Some(state.to_owned()),
    }
}

/// Ping nodes and groups, as this node reaches them.
pub(crate) fn pings(page: &mut Page, status: &Status, part: Part) {
    let shown: Vec<_> = status.pings.iter().filter(|ping| part == Part::All || !ping.reached).collect();
    if shown.is_empty() {
        return;
    }
    page.heading(&format!("Ping Nodes (from {}):", status.local));
    for ping in shown {
        page.put(&format!("  * {}: ", ping.name));
        if ping.reached {
            page.line(Tone::Good, "reached");
        } else {
            let heard = ping.heard_ms.map(|ms| format!(", last answered {} ago", clock::span_ms(ms)));
            page.line(Tone::Bad, &format!("DEAD{}", heard.unwrap_or_default()));
        }
    }
}
