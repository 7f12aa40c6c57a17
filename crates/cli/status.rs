//! `hearth status`.

use crate::args::StatusOptions;
use crate::connection::{Connection, PATIENCE, ask, closed, misplaced};
use crate::page::{Look, write_out};
use crate::trouble::{Exit, Trouble};
use crate::view::{Part, status_text};
use hearth_control::{Reply, Request, Status};
use std::path::Path;

/// Shows the status once, or again at each change.
pub(crate) fn run(socket: &Path, options: &StatusOptions, look: &Look) -> Result<Exit, Trouble> {
    if options.watch {
        return watch(socket, options, look);
    }
    let status = fetch(socket, PATIENCE)?;
    write_out(&shown(&status, options, look)?)?;
    Ok(if options.exit_code { health_exit(&status) } else { Exit::Done })
}

/// The status, once.
pub(crate) fn fetch(socket: &Path, within: std::time::Duration) -> Result<Status, Trouble> {
    match ask(socket, &Request::Status, within)? {
        Reply::Status { status } => Ok(*status),
        other => Err(misplaced(&other)),
    }
}

fn watch(socket: &Path, options: &StatusOptions, look: &Look) -> Result<Exit, Trouble> {
    let mut connection = Connection::open(socket, &Request::Watch)?;
    let mut within = Some(PATIENCE);
    let mut first = true;
    while let Some(reply) = connection.reply(within)? {
        let Reply::Status { status } = reply else { return Err(misplaced(&reply)) };
        let text = shown(&status, options, look)?;
        // A terminal is redrawn in place; a file or pipe gets one status after the other.
        let before = match (look.terminal && !options.json, first || options.json) {
            (true, _) => "\x1b[H\x1b[2J\x1b[3J",
            (false, true) => "",
            (false, false) => "\n",
        };
        if !write_out(&format!("{before}{text}"))? {
            return Ok(Exit::Done);
        }
        // The first answer comes at once, the next ones when something changes.
        within = None;
        first = false;
    }
    Err(closed(socket))
}

fn shown(status: &Status, options: &StatusOptions, look: &Look) -> Result<String, Trouble> {
    let part = if options.failed { Part::Failed } else { Part::All };
    if !options.json {
        return Ok(status_text(status, part, look));
    }
    let text = if options.watch { serde_json::to_string(status) } else { serde_json::to_string_pretty(status) };
    text.map(|text| text + "\n")
        .map_err(|error| Trouble::new(Exit::Error, format!("cannot be written as JSON: {error}")))
}

fn health_exit(status: &Status) -> Exit {
    match status.health.as_str() {
        "ok" => Exit::Done,
        "degraded" => Exit::False,
        // A health that this version does not know is not taken for a good one.
        _ => Exit::Error,
    }
}
