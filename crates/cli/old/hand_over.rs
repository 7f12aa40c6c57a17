//! `hb_standby` and `hb_takeover`: the order is given, its end is not waited for.

use crate::connection::{PATIENCE, ask, misplaced};
use crate::moves::seen_from_giver;
use crate::page::write_out;
use crate::trouble::Trouble;
use hearth_control::{Reply, Request, Which};
use std::path::Path;

pub(super) const STANDBY_HELP: &str = "\
usage: hb_standby [all|foreign|local|failback]

  all        everything that runs here (also without a word)
  local      what prefers this node
  foreign    what prefers another node
  failback   the same as foreign

The order is given and its end is not waited for; `hearth standby` waits and says what came of it.
This is Hearth answering by the old name; see also: hearth standby --help
";

pub(super) const TAKEOVER_HELP: &str = "\
usage: hb_takeover [all|foreign|local|failback]

  all        everything that runs elsewhere (also without a word)
  local      what prefers this node
  foreign    what prefers another node
  failback   the same as local

The order is given and its end is not waited for; `hearth takeover` waits and says what came of it.
This is Hearth answering by the old name; see also: hearth takeover --help
";

/// `hb_standby [all|foreign|local|failback]`; returns the exit code.
pub(crate) fn standby(socket: &Path, arguments: &[String]) -> u8 {
    run("hb_standby", STANDBY_HELP, socket, arguments, |word, which| {
        (format!("Going standby [{word}].\n"), Request::Standby { which, wait: false })
    })
}

/// `hb_takeover [all|foreign|local|failback]`, meant from this node; returns the exit code.
pub(crate) fn takeover(socket: &Path, arguments: &[String]) -> u8 {
    run("hb_takeover", TAKEOVER_HELP, socket, arguments, |word, which| {
        // `failback` brings home what prefers this node; Heartbeat's own took all, an oversight (docs/cli.md).
        let which = if word == "failback" { Which::Local } else { which };
        (String::new(), Request::Takeover { which: seen_from_giver(which), wait: false })
    })
}

fn run(
    prog: &str,
    help: &str,
    socket: &Path,
    arguments: &[String],
    order: impl Fn(&str, Which) -> (String, Request),
) -> u8 {
    let (word, which) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["all"] => ("all", Which::All),
        ["local"] => ("local", Which::Local),
        ["foreign"] => ("foreign", Which::Foreign),
        ["failback"] => ("failback", Which::Foreign),
        ["-h" | "--help"] => return write_out(help).map_or_else(|trouble| failed(prog, &trouble), |_| 0),
        _ => {
            eprintln!("usage: {prog} [all|foreign|local|failback]");
            return 1;
        }
    };
    let (said, request) = order(word, which);
    let done = write_out(&said).and_then(|_| match ask(socket, &request, PATIENCE)? {
        Reply::Done { .. } => Ok(()),
        other => Err(misplaced(&other)),
    });
    match done {
        Ok(()) => 0,
        Err(trouble) => failed(prog, &trouble),
    }
}

fn failed(prog: &str, trouble: &Trouble) -> u8 {
    trouble.print(prog);
    1
}
