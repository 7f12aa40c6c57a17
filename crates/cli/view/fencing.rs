//! Fence Devices and Fence History.

use super::Part;
use crate::clock;
use crate::page::{Page, Tone};
use hearth_control::{DeviceView, Status};

/// Orders that are shown; `hearth status --json` has all of them.
const HISTORY_MAX: usize = 5;

/// Every device with what it said last, machines that are being fenced, and what came of the last orders.
pub(crate) fn list(page: &mut Page, status: &Status, part: Part) {
    let Some(fencing) = &status.fencing else { return };
    let wanted = |device: &&DeviceView| device.usable && (part == Part::All || device.works == Some(false));
    let devices: Vec<&DeviceView> = fencing.devices.iter().filter(wanted).collect();
    if !devices.is_empty() {
        page.heading(&format!("Fence Devices (from {}):", status.local));
    }
    for device in devices {
        page.put(&format!("  * {} ({}): ", device.name, device.nodes.join(", ")));
        let ago = device.checked_ms.map(|ms| format!(", asked {} ago", clock::span_ms(ms))).unwrap_or_default();
        let said = device.said.as_deref().unwrap_or("");
        match device.works {
            Some(true) => page.line(Tone::Good, &format!("would work{ago}")),
            Some(false) => {
                let good = device.good_ms.map(|ms| format!("; it last did {} ago", clock::span_ms(ms)));
                page.line(Tone::Bad, &format!("WOULD NOT WORK{ago}: {said}{}", good.unwrap_or_default()));
            }
            None => page.line(Tone::Warn, "not asked yet"),
        }
    }
    for text in &fencing.under_way {
        page.line(Tone::Warn, &format!("  * {text}"));
    }
    if fencing.history.is_empty() || part == Part::Failed {
        return;
    }
    page.heading("Fence History:");
    for past in fencing.history.iter().take(HISTORY_MAX) {
        let on = past.task == "on";
        let (tone, what) = match past.done {
            true if on => (Tone::Good, "is switched on again"),
            // One of several, and not the last one: it may run on.
            true if !past.fenced && past.level.len() > 1 => (Tone::Warn, "is switched off in part"),
            true => (Tone::Good, "is off, or was"),
            false if on => (Tone::Bad, "NOT SWITCHED ON AGAIN"),
            false => (Tone::Bad, "NOT FENCED"),
        };
        let (took, ago) = (clock::span_ms(past.took_ms), clock::span_ms(past.ago_ms));
        let all = if past.level.len() > 1 { format!(" of {}", past.level.join(",")) } else { String::new() };
        let (node, device, said) = (&past.node, &past.device, &past.said);
        page.line(tone, &format!("  * {node}: {what} (by {device}{all} in {took}, {ago} ago): {said}"));
    }
}
