//! One child in its own process group, bounded in time and output.
//!
//! What the child leaves behind when it ends by itself is left alone: that is the service (R-LEAVE-2). What is there when
//! its time is over is ended, the whole group of it (R-TAKE-8).

mod capture;
pub mod census;
mod reaper;

pub use reaper::{Reaper, become_subreaper};

use crate::cancel::Cancel;
use capture::Capture;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::process::{Child, Command};

/// Most of standard output that is kept, from its end.
const STDOUT_KEPT: usize = 64 * 1024;
/// Most of both outputs together that is kept for people, from the end.
const SAID_KEPT: usize = 4 * 1024;
/// Most that a child is told: half of what a pipe holds.
const STDIN_MAX: usize = 32 * 1024;
/// How long killed processes may take to be gone; only a wait inside the kernel takes longer.
const KILL_WAIT: Duration = Duration::from_secs(2);
/// Period at which a signalled group is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What to run. The environment is exactly `env`, the working directory `/`.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The program, by its full path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// What it reads from standard input, at most 32 KiB; none: /dev/null.
    pub stdin: Option<String>,
    /// How long it may run.
    pub timeout: Duration,
    /// How long its group may take to end after TERM before it gets KILL.
    pub grace: Duration,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that was not ours.
    Signalled(i32),
    /// Its time was over and its group was ended. `gone` is false if a member is still stuck inside the kernel.
    TimedOut {
        /// Whether no member is left alive.
        gone: bool,
    },
    /// It was cancelled and its group was ended.
    Cancelled,
}

/// What is known of a child that ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub ending: Ending,
    /// The end of its standard output, at most 64 KiB.
    pub stdout: String,
    /// The last lines of both outputs in the order they came, at most 4 KiB.
    pub said: String,
}

/// The child could not be started.
#[derive(Debug, Error)]
#[error("cannot run {program}: {cause}")]
pub struct SpawnError {
    /// Which program.
    pub program: String,
    /// Why.
    pub cause: std::io::Error,
}

/// Runs a child to its end, its timeout, or its cancellation, whichever comes first.
///
/// Returns at most `timeout + grace + 2 s` after the call. Dropping the future kills the child's group.
/// A process that the child leaves running may keep the output open: it is not waited for, its later writes neither
/// block nor end it.
pub async fn run(invocation: &Invocation, cancel: Cancel) -> Result<Finished, SpawnError> {
    let failed = |cause: std::io::Error| SpawnError { program: invocation.program.display().to_string(), cause };
    let (mut stdout, stdout_end) = Capture::open(STDOUT_KEPT).map_err(failed)?;
    let (mut stderr, stderr_end) = Capture::open(0).map_err(failed)?;
    let (mut child, _known) = spawn(invocation, stdout_end, stderr_end).map_err(failed)?;
    // A child that was not waited for has an id.
    let pid = Pid::from_raw(child.id().unwrap_or_default() as i32);
    let mut group = GroupGuard { pid, armed: true };
    let mut said = Tail::new(SAID_KEPT);
    let deadline = Instant::now() + invocation.timeout;
    let ending = tokio::select! {
        status = follow(&mut child, &mut stdout, &mut stderr, &mut said) => ended(status.map_err(failed)?),
        _ = tokio::time::sleep_until(deadline.into()) => {
            Ending::TimedOut { gone: end_group(pid, invocation.grace).await }
        }
        _ = cancelled(cancel) => {
            end_group(pid, invocation.grace).await;
            Ending::Cancelled
        }
    };
    group.armed = false;
    if !matches!(ending, Ending::Exited(_) | Ending::Signalled(_)) {
        // The leader is dead or a zombie by now, or stuck: then the reaper gets it later.
        let _ = child.try_wait();
    }
    stdout.drain(&mut said);
    stderr.drain(&mut said);
    Ok(Finished { ending, stdout: stdout.text(), said: said.text() })
}

async fn cancelled(mut cancel: Cancel) {
    cancel.cancelled().await;
}

fn spawn(
    invocation: &Invocation,
    stdout: std::os::fd::OwnedFd,
    stderr: std::os::fd::OwnedFd,
) -> std::io::Result<(Child, reaper::Known)> {
    let mut command = Command::new(&invocation.program);
    command
        .args(&invocation.args)
        .env_clear()
        .envs(invocation.env.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(input(invocation.stdin.as_deref())?)
        .stdout(stdout)
        .stderr(stderr)
        // Not pre_exec: that would copy the page tables of a locked daemon on each spawn.
        .process_group(0);
    reaper::spawn_known(&mut command)
}

/// Standard input that holds `text` already, so that nothing waits for a child that does not read.
fn input(text: Option<&str>) -> std::io::Result<Stdio> {
    let Some(text) = text else { return Ok(Stdio::null()) };
    if text.len() > STDIN_MAX {
        return Err(std::io::Error::other("it is to be told more than fits a pipe"));
    }
    let (reader, mut writer) = std::io::pipe()?;
    writer.write_all(text.as_bytes())?;
    Ok(reader.into())
}

/// Reads both outputs until the leader ends.
async fn follow(
    child: &mut Child,
    stdout: &mut Capture,
    stderr: &mut Capture,
    said: &mut Tail,
) -> std::io::Result<ExitStatus> {
    loop {
        tokio::select! {
            biased;
            status = child.wait() => return status,
            ready = stdout.readable() => { ready?; stdout.read_some(said); }
            ready = stderr.readable() => { ready?; stderr.read_some(said); }
        }
    }
}

fn ended(status: ExitStatus) -> Ending {
    match status.code() {
        Some(code) => Ending::Exited(code),
        None => Ending::Signalled(status.signal().unwrap_or_default()),
    }
}

/// TERM, grace, KILL to a whole group. True when every member is dead or a zombie.
async fn end_group(group: Pid, grace: Duration) -> bool {
    for (signal, span) in [(Signal::SIGTERM, grace), (Signal::SIGKILL, KILL_WAIT)] {
        if killpg(group, signal).is_err() {
            return true;
        }
        let until = Instant::now() + span;
        let mut pause = Duration::from_millis(1);
        loop {
            if !census::group_alive(group) {
                return true;
            }
            if Instant::now() >= until {
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_AGAIN);
        }
    }
    false
}

/// Kills the group if its future is dropped before the child ended.
struct GroupGuard {
    pid: Pid,
    armed: bool,
}

impl Drop for GroupGuard {
    fn drop(&mut self) {
        if self.armed {
            let _ = killpg(self.pid, Signal::SIGKILL);
        }
    }
}

/// The last bytes of something long.
struct Tail {
    bytes: Vec<u8>,
    keep: usize,
}

impl Tail {
    fn new(keep: usize) -> Tail {
        Tail { bytes: Vec::new(), keep }
    }

    fn push(&mut self, more: &[u8]) {
        if self.keep == 0 {
            return;
        }
        self.bytes.extend_from_slice(&more[more.len().saturating_sub(self.keep)..]);
        // Twice the bound, so that not every byte of a flood moves all the others.
        if self.bytes.len() > self.keep * 2 {
            self.bytes.drain(..self.bytes.len() - self.keep);
        }
    }

    fn text(&self) -> String {
        let from = self.bytes.len().saturating_sub(self.keep);
        String::from_utf8_lossy(&self.bytes[from..]).trim_end().to_string()
    }
}
