//! The stages of a stop (R-TAKE-8).

use super::Call;
use crate::cancel::Cancel;
use crate::process::census::{self, Stat};
use crate::runner::span;
use hearth_types::OpOutcome;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// How long processes get to end after TERM.
const TERM_WAIT: Duration = Duration::from_secs(5);
/// How long killed processes may take to be gone.
const KILL_WAIT: Duration = Duration::from_secs(2);
/// Most that the last status may take.
const LAST_STATUS: Duration = Duration::from_secs(10);
/// Longest time that a stop may take beyond its timeout: ending a hanging script, TERM, KILL, the last status and ending
/// that.
pub const LONGEST_AFTERMATH: Duration = Duration::from_secs(27);
/// How often the script is asked to stop, at most.
const TRIES: u32 = 4;
/// Pause before the second try; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// What the agent's own stop came to.
enum Asked {
    /// It is over, one way or the other.
    Done(OpOutcome),
    /// It did not work; what was tried, in words.
    Failed(String),
}

/// Stops by the script; then TERM, then KILL to what it left; then the script's status must say that it does not run.
pub(super) async fn run(call: &Call<'_>, cancel: &Cancel, remark: &mut Option<String>) -> OpOutcome {
    let mut stages = match ask(call, cancel).await {
        Asked::Done(outcome) => return outcome,
        Asked::Failed(stage) => vec![stage],
    };
    for (signal, wait) in [(Signal::SIGTERM, TERM_WAIT), (Signal::SIGKILL, KILL_WAIT)] {
        let Some(stage) = end(call, signal, wait, cancel).await else { break };
        stages.push(stage);
        if cancel.is_cancelled() {
            return OpOutcome::Cancelled;
        }
    }
    let left = marked(call).await;
    if stages.len() == 1 {
        stages.push("no process that it started is left".to_string());
    }
    let timeout = call.request.resource.timeouts.monitor.min(LAST_STATUS);
    let last = match call.status(timeout, cancel).await {
        OpOutcome::NotRunning if left.is_empty() => {
            *remark = Some(stages.join("; "));
            return OpOutcome::Ok;
        }
        OpOutcome::NotRunning => "its status says not running".to_string(),
        OpOutcome::Ok => "its status still says running".to_string(),
        OpOutcome::Failed { message, .. } | OpOutcome::TimedOut { message } => {
            format!("its status is unknown: {message}")
        }
        OpOutcome::Cancelled => return OpOutcome::Cancelled,
    };
    if !left.is_empty() {
        stages.push(format!("still there: {}", census::names(&left)));
    }
    stages.push(last);
    OpOutcome::Failed { code: None, message: format!("may still be active. {}", stages.join("; ")) }
}

/// The script's own stop, a few times with growing pauses, all within the operation's timeout.
async fn ask(call: &Call<'_>, cancel: &Cancel) -> Asked {
    let deadline = Instant::now() + call.request.timeout;
    let mut pause = FIRST_PAUSE;
    let mut tries = 0;
    loop {
        tries += 1;
        let left = deadline.saturating_duration_since(Instant::now());
        let why = match call.call("stop", left, cancel).await {
            Ok(finished) => match call.stopped(&finished) {
                OpOutcome::Failed { message, .. } => message,
                outcome => return Asked::Done(outcome),
            },
            Err(OpOutcome::TimedOut { message }) => return Asked::Failed(message),
            Err(OpOutcome::Failed { message, .. }) => message,
            Err(outcome) => return Asked::Done(outcome),
        };
        // Some scripts refuse to stop what does not run; that is no failure.
        let left = deadline.saturating_duration_since(Instant::now());
        match call.status(left, cancel).await {
            OpOutcome::NotRunning if marked(call).await.is_empty() => {
                tracing::warn!(resource = %call.request.resource.id, why, "stop failed, but it does not run");
                return Asked::Done(OpOutcome::Ok);
            }
            OpOutcome::Cancelled => return Asked::Done(OpOutcome::Cancelled),
            _ => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if tries >= TRIES || left <= pause * 2 {
            let tried = if tries == 1 { "once".to_string() } else { format!("{tries} times") };
            return Asked::Failed(format!("asked {tried} within {}: {why}", span(call.request.timeout)));
        }
        let mut cancelled = cancel.clone();
        tokio::select! {
            _ = tokio::time::sleep(pause) => {}
            _ = cancelled.cancelled() => return Asked::Done(OpOutcome::Cancelled),
        }
        pause *= 2;
    }
}

/// One signal to all processes of the resource; none if there are none.
async fn end(call: &Call<'_>, signal: Signal, wait: Duration, cancel: &Cancel) -> Option<String> {
    let targets = marked(call).await;
    if targets.is_empty() {
        return None;
    }
    census::signal(&targets, signal);
    let mut stage = format!("{} sent to {}", signal.as_str(), census::names(&targets));
    let until = Instant::now() + wait;
    let mut pause = Duration::from_millis(5);
    while Instant::now() < until && !cancel.is_cancelled() {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
        let left = marked(call).await;
        if left.is_empty() {
            stage.push_str(": they ended");
            return Some(stage);
        }
        if signal == Signal::SIGKILL {
            // What was forked in the meantime.
            census::signal(&left, signal);
        }
    }
    stage.push_str(&format!(": not all ended within {}", span(wait)));
    Some(stage)
}

/// The resource's live processes. Read away from the async threads: /proc may be long.
async fn marked(call: &Call<'_>) -> Vec<Stat> {
    let marks = call.scripts.marks(&call.request.resource.id);
    tokio::task::spawn_blocking(move || census::marked(&marks)).await.unwrap_or_default()
}
