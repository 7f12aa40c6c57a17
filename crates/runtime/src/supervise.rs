//! A parent that starts the daemon again when it dies (R-LEAVE-2).
//!
//! The child is no slave of it: killing the supervisor leaves the daemon, and the service, running. And how a daemon ends
//! under somebody else, who starts it again at once and without end.

use crate::DaemonError;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// The daemon ended in order.
pub const DONE: u8 = 0;
/// The machine refused something; worth another try.
pub const FAILED: u8 = 2;
/// The configuration is wrong; another try is in vain.
pub const CONFIGURATION: u8 = 6;
/// The state is not one that this program can read; another try is in vain.
pub const STATE: u8 = 7;

/// A child that lives this long was not a false start.
const SOUND: Duration = Duration::from_secs(10);
/// So many false starts in a row are restarted at once.
const AT_ONCE: u32 = 5;
/// First pause after them; doubled up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// How long a false start takes at least where systemd would begin the next one at once.
const ALONE: Duration = Duration::from_secs(1);

/// Says how a daemon ended that began then; its exit code. One that could not even start waits before it ends, unless it
/// has a supervisor here, which does so itself: whoever else starts it again would do nothing else any more.
pub fn end(began: Instant, supervised: bool, ended: Result<String, DaemonError>) -> u8 {
    let error = match ended {
        Ok(reason) => {
            eprintln!("hearthd: stopped: {reason}");
            return DONE;
        }
        Err(error) => error,
    };
    eprintln!("hearthd: {error}");
    match error {
        DaemonError::Configuration(_) => return CONFIGURATION,
        DaemonError::State { .. } => return STATE,
        DaemonError::Storage(_) | DaemonError::Machine { .. } => {}
    }
    if !supervised && began.elapsed() < SOUND {
        std::thread::sleep(ALONE);
    }
    FAILED
}

/// Starts `command` again and again until it ends in order or says that another try is in vain; TERM, INT and HUP are
/// passed on. Returns its exit code.
///
/// # Errors
/// The program cannot be started, or signals cannot be taken.
pub fn supervise(mut command: impl FnMut() -> Command) -> io::Result<u8> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD]);
    signals.thread_block()?;
    let (mut false_starts, mut stopping) = (0, false);
    loop {
        let began = Instant::now();
        // A process group of its own: a signal to the terminal's group reaches it once, through us.
        let child = command().process_group(0).spawn()?;
        let child = Pid::from_raw(child.id() as i32);
        let code = watch(child, &signals, &mut stopping)?;
        match code {
            Some(code @ (DONE | CONFIGURATION | STATE)) => return Ok(code),
            code if stopping => return Ok(code.unwrap_or(FAILED)),
            _ => {}
        }
        false_starts = if began.elapsed() >= SOUND { 0 } else { false_starts + 1 };
        let said = code.map_or_else(|| "was killed".to_owned(), |code| format!("ended with code {code}"));
        eprintln!("hearthd {said} after {:?}; it is started again", began.elapsed());
        if false_starts > AT_ONCE {
            let pause = (PAUSE * (1 << (false_starts - AT_ONCE - 1).min(8))).min(LONGEST);
            if paused(&signals, pause)? {
                return Ok(FAILED);
            }
        }
    }
}

/// Waits until the child is gone; its exit code, none if a signal ended it.
fn watch(child: Pid, signals: &SigSet, stopping: &mut bool) -> io::Result<Option<u8>> {
    loop {
        match signals.wait()? {
            signal @ (Signal::SIGTERM | Signal::SIGINT) => {
                *stopping = true;
                pass(child, signal);
            }
            Signal::SIGHUP => pass(child, Signal::SIGHUP),
            _ => {}
        }
        match waitpid(child, Some(WaitPidFlag::WNOHANG))? {
            WaitStatus::Exited(_, code) => return Ok(Some(code as u8)),
            WaitStatus::Signaled(..) => return Ok(None),
            _ => {}
        }
    }
}

fn pass(child: Pid, signal: Signal) {
    // It is not reaped before this loop does it, so its number is still its own.
    let _ = kill(child, signal);
}

/// Whether a stop was asked for meanwhile.
fn paused(signals: &SigSet, pause: Duration) -> io::Result<bool> {
    let until = Instant::now() + pause;
    while let Some(signal) = crate::sys::signal_within(signals, until.saturating_duration_since(Instant::now()))? {
        if matches!(signal, Signal::SIGTERM | Signal::SIGINT) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_starts_for_ever_what_another_start_does_not_change() {
        let unit = include_str!("../../../etc/hearthd.service");
        let line = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus="));
        assert_eq!(line, Some(format!("{CONFIGURATION} {STATE}").as_str()));
    }
}
