//! Scripts of alerts: told by their environment alone, as Pacemaker's alert agents are.

use crate::cancel::Cancel;
use crate::fence::{exit, said};
use crate::process::{self, Invocation};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// How long a script may take to end after TERM.
const GRACE: Duration = Duration::from_secs(1);

/// Runs a script without arguments in a process group of its own, which is ended when its time is over. Always returns,
/// about `GRACE` after `timeout` at the latest. `Ok` is the last line of what it said. Needs the tokio runtime.
///
/// # Errors
/// Why it told nobody, in one line: it cannot be run, exited with another code than 0, or was ended.
pub async fn run(program: &Path, env: Vec<(OsString, OsString)>, timeout: Duration) -> Result<String, String> {
    let invocation =
        Invocation { program: program.to_owned(), args: Vec::new(), env, stdin: None, timeout, grace: GRACE };
    let done = process::run(&invocation, Cancel::never()).await.map_err(|error| error.to_string())?;
    match exit(&done, "it", timeout)? {
        0 => Ok(said(&done).trim_start_matches("; it said: ").to_owned()),
        code => Err(format!("it exited with {code}{}", said(&done))),
    }
}
