//! Waiting Addresses, Failed Resource Actions, Notes.

use crate::clock;
use crate::page::{Look, Page, Tone};
use hearth_control::Status;

/// Addresses that are not taken because another machine answers for them (R-TAKE-6).
pub(crate) fn waiting(page: &mut Page, status: &Status) {
    if status.waiting.is_empty() {
        return;
    }
    page.heading("Waiting Addresses:");
    for wait in &status.waiting {
        page.line(Tone::Bad, &format!("  * {}: {}", wait.resource, wait.reason));
    }
}

/// What failed, how often, and how to have it tried again.
pub(crate) fn failures(page: &mut Page, status: &Status, look: &Look) {
    if status.failures.is_empty() {
        return;
    }
    page.heading("Failed Resource Actions:");
    for failure in &status.failures {
        let code =
            failure.code.map_or_else(|| "ended without an exit code".to_owned(), |code| format!("returned {code}"));
        let at = clock::date(failure.wall_ms, &look.zone);
        let often = if failure.count > 1 { format!(", {} times by now", failure.count) } else { String::new() };
        let ends =
            failure.forgotten_in_ms.map_or_else(String::new, |ms| format!(", forgotten in {} s", ms.div_ceil(1000)));
        let (resource, action, node) = (&failure.resource, &failure.action, &failure.node);
        page.line(Tone::Bad, &format!("  * {resource} {action} on {node} {code} at {at}{often}{ends}"));
        for line in failure.message.lines().filter(|line| !line.trim().is_empty()) {
            page.put(&format!("      {line}")).end();
        }
    }
    page.line(Tone::Dim, "  To have them tried again once mended: hearth clear [RESOURCE]");
}

/// What somebody should know.
pub(crate) fn notes(page: &mut Page, status: &Status) {
    if status.notes.is_empty() {
        return;
    }
    page.heading("Notes:");
    for note in &status.notes {
        page.line(Tone::Warn, &format!("  * {note}"));
    }
}
