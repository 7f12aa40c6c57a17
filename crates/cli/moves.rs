//! Orders: standby, takeover, failback, clear, reload, stop.

use crate::args::{
    AlertTestOptions, ConfirmOffOptions, FenceOptions, MoveOptions, NodeAddOptions, NodeRemoveOptions, StopOptions,
    WaitOptions,
};
use crate::clock;
use crate::connection::{Connection, Heard, PATIENCE, closed, misplaced};
use crate::page::{clean, clean_lines, write_out};
use crate::trouble::{Exit, Trouble};
use hearth_control::{Reply, Request, Which};
use std::io::BufRead;
use std::path::Path;
use std::time::Duration;

pub(crate) fn standby(socket: &Path, options: &MoveOptions) -> Result<Exit, Trouble> {
    let which = which(&options.which)?;
    order(socket, &Request::Standby { which, wait: !options.wait.no_wait }, patience(&options.wait))
}

pub(crate) fn takeover(socket: &Path, options: &MoveOptions) -> Result<Exit, Trouble> {
    let which = seen_from_giver(which(&options.which)?);
    order(socket, &Request::Takeover { which, wait: !options.wait.no_wait }, patience(&options.wait))
}

pub(crate) fn failback(socket: &Path, options: &WaitOptions) -> Result<Exit, Trouble> {
    order(socket, &Request::Failback { wait: !options.no_wait }, patience(options))
}

pub(crate) fn clear(socket: &Path, resource: Option<String>) -> Result<Exit, Trouble> {
    order(socket, &Request::Clear { resource }, PATIENCE)
}

pub(crate) fn release(socket: &Path, name: String) -> Result<Exit, Trouble> {
    order(socket, &Request::Release { name }, PATIENCE)
}

pub(crate) fn reload(socket: &Path) -> Result<Exit, Trouble> {
    match given(socket, &Request::Reload, RELOAD_PATIENCE)? {
        // What the daemon refuses of a reload is the configuration.
        Reply::Refused { quorum: false, reason, help } => {
            // Complaints with their places: each begins a line, as `hearth check` shows them.
            let reason = if reason.trim_end().contains('\n') {
                format!("these files are not taken over\n\n{reason}")
            } else {
                reason
            };
            let trouble = misplaced(&Reply::Refused { quorum: false, reason, help });
            Err(Trouble { exit: Exit::Configuration, ..trouble }
                .help("`hearth check` shows every complaint with its place"))
        }
        reply => said(reply),
    }
}

pub(crate) fn stop(socket: &Path, options: &StopOptions) -> Result<Exit, Trouble> {
    order(socket, &Request::Stop, Duration::from_secs(options.timeout))
}

pub(crate) fn fence(socket: &Path, options: &FenceOptions) -> Result<Exit, Trouble> {
    let request = match &options.words[..] {
        [word, node] if word == "test" => Request::FenceTest { node: node.clone() },
        [node] if node != "test" => Request::Fence { node: node.clone() },
        _ => {
            let trouble = Trouble::new(Exit::Usage, "one node is fenced, or tried, at a time");
            return Err(trouble.help("write: hearth fence NODE, or hearth fence test NODE"));
        }
    };
    order(socket, &request, Duration::from_secs(options.timeout))
}

pub(crate) fn alert_test(socket: &Path, options: &AlertTestOptions) -> Result<Exit, Trouble> {
    order(socket, &Request::AlertTest, Duration::from_secs(options.timeout))
}

pub(crate) fn node_add(socket: &Path, options: &NodeAddOptions) -> Result<Exit, Trouble> {
    let mut ucast = Vec::new();
    for word in &options.ucast {
        let Some((interface, address)) = word.split_once('=') else {
            let trouble = Trouble::new(Exit::Usage, format!("`{}` is no interface with an address", clean(word)));
            return Err(trouble.help("write: --ucast eth0=192.0.2.3"));
        };
        ucast.push((interface.to_owned(), address.to_owned()));
    }
    let request = Request::NodeAdd { node: options.node.clone(), ucast };
    order(socket, &request, Duration::from_secs(options.timeout))
}

pub(crate) fn node_remove(socket: &Path, options: &NodeRemoveOptions) -> Result<Exit, Trouble> {
    let request = Request::NodeRemove { node: options.node.clone() };
    order(socket, &request, Duration::from_secs(options.timeout))
}

pub(crate) fn confirm_off(socket: &Path, options: &ConfirmOffOptions) -> Result<Exit, Trouble> {
    let node = clean(&options.node);
    if !options.yes {
        let text = format!(
            "Is {node} off? What it ran is started elsewhere at once; if it still runs there, disks are destroyed and \
             addresses answer twice.\nType yes if you have seen that it is off: "
        );
        write_out(&text)?;
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        if read.is_err() || answer.trim() != "yes" {
            let trouble = Trouble::new(Exit::False, format!("nothing was said about {node}"));
            return Err(trouble.help("a script that knows says: hearth node confirm-off NODE --yes"));
        }
    }
    order(socket, &Request::ConfirmOff { node: options.node.clone() }, Duration::from_secs(options.timeout))
}

/// Reading the files may wait for a name server.
const RELOAD_PATIENCE: Duration = Duration::from_secs(60);

fn patience(options: &WaitOptions) -> Duration {
    if options.no_wait { PATIENCE } else { Duration::from_secs(options.timeout) }
}

/// Words of the command line: `all`, `local`, `foreign` alone, or names of groups.
pub(crate) fn which(words: &[String]) -> Result<Which, Trouble> {
    match words {
        [] => Ok(Which::All),
        [word] if word == "all" => Ok(Which::All),
        [word] if word == "local" => Ok(Which::Local),
        [word] if word == "foreign" => Ok(Which::Foreign),
        names => match names.iter().find(|name| matches!(name.as_str(), "all" | "local" | "foreign")) {
            None => Ok(Which::Groups(names.to_vec())),
            Some(word) => Err(Trouble::new(Exit::Usage, format!("`{word}` stands alone, not beside names of groups"))
                .help("`hearth status` lists the groups")),
        },
    }
}

/// People say `local` and `foreign` of the node that they are on; the request means the node that gives up.
pub(crate) fn seen_from_giver(which: Which) -> Which {
    match which {
        Which::Local => Which::Foreign,
        Which::Foreign => Which::Local,
        other => other,
    }
}

/// Gives the order and says how it ended.
fn order(socket: &Path, request: &Request, within: Duration) -> Result<Exit, Trouble> {
    said(given(socket, request, within)?)
}

/// Gives the order. Silence after an order is not the same as silence after a question: it may be carried out yet.
fn given(socket: &Path, request: &Request, within: Duration) -> Result<Reply, Trouble> {
    match Connection::open(socket, request)?.hear(Some(within))? {
        Heard::Reply(reply) => Ok(reply),
        Heard::Closed => Err(closed(socket)),
        Heard::Nothing => {
            let text =
                format!("not finished within {} s; the order stands and may still be carried out", within.as_secs());
            Err(Trouble::new(Exit::Error, text)
                .help("`hearth status` shows how far it is, `hearth timeline --follow` what happens"))
        }
    }
}

fn said(reply: Reply) -> Result<Exit, Trouble> {
    let Reply::Done { text, took_ms, notes } = reply else { return Err(misplaced(&reply)) };
    let (text, below) = text.split_once('\n').unwrap_or((&text, ""));
    let colon = if below.is_empty() { "" } else { ":" };
    let mut lines = format!("{} ({}){colon}\n", clean(text.trim_end_matches(['.', ':'])), clock::span_ms(took_ms));
    if !below.is_empty() {
        lines.push_str(&format!("{}\n", clean_lines(below)));
    }
    for note in notes {
        // A complaint about a file says itself what it is.
        let shown = if note.trim_end().contains('\n') { clean_lines(&note) } else { format!("note: {}", clean(&note)) };
        lines.push_str(&format!("{shown}\n"));
    }
    write_out(&lines)?;
    Ok(Exit::Done)
}
