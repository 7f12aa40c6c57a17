//! `crm_mon`: Pacemaker's monitor.

use crate::args::StatusOptions;
use crate::page::Look;
use crate::status;
use crate::trouble::{Exit, Trouble};
use std::path::Path;

/// Pacemaker's code for a wrong command line.
const USAGE: u8 = 64;
/// Pacemaker's code for a cluster that does not run here.
const DISCONNECTED: u8 = 102;
/// Pacemaker's code for any other failure.
const FAILED: u8 = 1;

pub(super) const HELP: &str = "\
usage: crm_mon [-1] [-rfARtcoNV]

  -1, --one-shot   print the status once; else again at each change
Options that only ask for more detail (-r -f -A -R -t -c -o -N -V and their long names) are accepted: all of it is shown.
This is Hearth answering by another cluster's name; see also: hearth status --help
";

/// Long names of options that ask for detail which is shown anyway.
const DETAIL: [&str; 9] = [
    "inactive",
    "failcounts",
    "show-node-attributes",
    "show-detail",
    "timing-details",
    "tickets",
    "operations",
    "no-headers",
    "verbose",
];

/// Runs it; returns the exit code.
pub(crate) fn run(socket: &Path, arguments: &[String]) -> u8 {
    let mut once = false;
    for argument in arguments {
        match argument.as_str() {
            "-1" | "--one-shot" => once = true,
            "-h" | "-?" | "--help" => return code(crate::page::write_out(HELP).map(|_| Exit::Done)),
            "--version" | "-$" => {
                return code(
                    crate::page::write_out(&format!("hearth {}\n", env!("CARGO_PKG_VERSION"))).map(|_| Exit::Done),
                );
            }
            "--output-as=text" => {}
            long if long.strip_prefix("--").is_some_and(|name| DETAIL.contains(&name)) => {}
            short
                if short.len() > 1
                    && short[1..].chars().all(|letter| "1rfARtcoNV".contains(letter))
                    && short.starts_with('-') =>
            {
                once |= short.contains('1');
            }
            other => {
                let trouble = Trouble::new(
                    Exit::Usage,
                    format!(
                        "{other} is not supported: `crm_mon -1` prints the status, `hearth status --json` for programs"
                    ),
                );
                trouble.print("crm_mon");
                return USAGE;
            }
        }
    }
    let options = StatusOptions { watch: !once, ..StatusOptions::default() };
    code(status::run(socket, &options, &Look::of_stdout()))
}

fn code(result: Result<Exit, Trouble>) -> u8 {
    match result {
        Ok(_) => 0,
        Err(trouble) => {
            trouble.print("crm_mon");
            if trouble.exit == Exit::NoDaemon { DISCONNECTED } else { FAILED }
        }
    }
}
