//! Agents that are scripts: heartbeat-class ones of resource.d and LSB ones of init.d.

mod environment;
mod find;
mod status;
mod stop;

pub use environment::Scripts;
pub use find::Found;
pub use stop::LONGEST_AFTERMATH;

use crate::cancel::Cancel;
use crate::process::{self, Ending, Finished, Invocation};
use crate::runner::span;
use hearth_types::{AgentClass, OpAction, OpOutcome, OpRequest};
use std::time::Duration;

/// How long a script's group may take to end after TERM.
const GRACE: Duration = Duration::from_secs(3);
/// Exit code that OCF gives to "not installed"; the nearest for a script that is not there.
const NOT_INSTALLED: i32 = 5;

/// One script of one resource, ready to be called.
struct Call<'a> {
    scripts: &'a Scripts,
    request: &'a OpRequest,
    found: Found,
}

/// Does one operation by the resource's script. `remark`: how it ended well where that was not the script's own doing.
pub(crate) async fn run(
    scripts: &Scripts,
    request: &OpRequest,
    cancel: &mut Cancel,
    remark: &mut Option<String>,
) -> OpOutcome {
    let resource = &request.resource;
    let found = match find::find(scripts, resource.class, &resource.agent) {
        Ok(found) => found,
        Err(message) => return absent(scripts, request, message),
    };
    let call = Call { scripts, request, found };
    match request.action {
        OpAction::Probe | OpAction::Monitor => call.status(request.timeout, cancel).await,
        OpAction::Start => call.start(cancel).await,
        OpAction::Stop => stop::run(&call, cancel, remark).await,
    }
}

/// A machine without the script does not run the resource, unless something of it is left.
fn absent(scripts: &Scripts, request: &OpRequest, message: String) -> OpOutcome {
    let left = process::census::marked(&scripts.marks(&request.resource.id));
    if request.action == OpAction::Probe && left.is_empty() {
        return OpOutcome::NotRunning;
    }
    let left = match left.is_empty() {
        true => String::new(),
        false => format!("; processes that it started still run: {}", process::census::names(&left)),
    };
    OpOutcome::Failed { code: Some(NOT_INSTALLED), message: format!("{message}{left}") }
}

impl Call<'_> {
    /// Calls the script once with `action` as its last argument.
    async fn call(&self, action: &str, timeout: Duration, cancel: &Cancel) -> Result<Finished, OpOutcome> {
        let resource = &self.request.resource;
        let mut args: Vec<_> = resource.args.iter().map(Into::into).collect();
        args.push(action.into());
        let invocation = Invocation {
            program: self.found.path.clone(),
            args,
            env: self.scripts.environment(&resource.id, &self.found),
            stdin: None,
            timeout,
            grace: GRACE,
        };
        let finished = process::run(&invocation, cancel.clone())
            .await
            .map_err(|error| OpOutcome::Failed { code: Some(NOT_INSTALLED), message: cannot_run(&error) })?;
        match finished.ending {
            Ending::Cancelled => Err(OpOutcome::Cancelled),
            Ending::TimedOut { gone } => {
                Err(OpOutcome::TimedOut { message: self.overdue(action, timeout, gone, &finished) })
            }
            Ending::Exited(_) | Ending::Signalled(_) => Ok(finished),
        }
    }

    async fn start(&self, cancel: &Cancel) -> OpOutcome {
        let mut left = self.request.timeout;
        if self.found.class == AgentClass::Heartbeat {
            // As Heartbeat did: what reports that it runs is not started again. Old scripts rely on it.
            let began = std::time::Instant::now();
            match self.status(left, cancel).await {
                OpOutcome::NotRunning | OpOutcome::Failed { .. } => {}
                other => return other,
            }
            left = left.saturating_sub(began.elapsed());
        }
        match self.call("start", left, cancel).await {
            Ok(finished) => match finished.ending {
                Ending::Exited(0) => OpOutcome::Ok,
                ending => self.refused("start", ending, &finished),
            },
            Err(outcome) => outcome,
        }
    }

    /// What a stop that ended by itself means.
    fn stopped(&self, finished: &Finished) -> OpOutcome {
        match finished.ending {
            Ending::Exited(0) => OpOutcome::Ok,
            ending => self.refused("stop", ending, finished),
        }
    }

    /// Whether it runs.
    async fn status(&self, timeout: Duration, cancel: &Cancel) -> OpOutcome {
        let finished = match self.call("status", timeout, cancel).await {
            Ok(finished) => finished,
            Err(outcome) => return outcome,
        };
        match self.found.class {
            AgentClass::Lsb => match finished.ending {
                Ending::Exited(code) => match status::by_exit_code(code) {
                    Some(true) => OpOutcome::Ok,
                    Some(false) => OpOutcome::NotRunning,
                    None => self.refused("status", finished.ending, &finished),
                },
                ending => self.refused("status", ending, &finished),
            },
            _ => match (status::by_output(&finished.stdout), finished.ending) {
                (true, _) => OpOutcome::Ok,
                // Output that says nothing because the script was killed says nothing about the resource either.
                (false, Ending::Signalled(_)) => self.refused("status", finished.ending, &finished),
                (false, _) => OpOutcome::NotRunning,
            },
        }
    }

    fn refused(&self, action: &str, ending: Ending, finished: &Finished) -> OpOutcome {
        let (code, how) = match ending {
            Ending::Exited(code) => (Some(code), format!("exited with {code}")),
            Ending::Signalled(signal) => (None, format!("was ended by signal {signal}")),
            Ending::TimedOut { .. } | Ending::Cancelled => (None, "did not end by itself".to_string()),
        };
        let message = format!("{} {action} {how}{}", self.found.path.display(), quoted(&finished.said));
        OpOutcome::Failed { code, message }
    }

    fn overdue(&self, action: &str, timeout: Duration, gone: bool, finished: &Finished) -> String {
        let end = match gone {
            true => "its process group was ended",
            false => "its process group got KILL, but a process of it is stuck inside the kernel",
        };
        let path = self.found.path.display();
        format!("{path} {action} did not end within {}; {end}{}", span(timeout), quoted(&finished.said))
    }
}

/// `; it said: ...`, or nothing.
fn quoted(said: &str) -> String {
    match said.is_empty() {
        true => "; it said nothing".to_string(),
        false => format!("; it said: {said}"),
    }
}

/// The usual reasons why the kernel does not start a script, with the way out.
fn cannot_run(error: &process::SpawnError) -> String {
    let hint = match error.cause.raw_os_error() {
        Some(libc::ENOEXEC) => "; its first line must name its interpreter, as #!/bin/sh does",
        Some(libc::ENOENT) => "; the interpreter that its first line names is not installed",
        _ => "",
    };
    format!("{error}{hint}")
}
