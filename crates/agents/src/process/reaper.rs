//! Zombies of others: orphans that became ours because this process is a subreaper.
//!
//! A child that somebody here waits for must not be taken from him: its exit code would be lost. Children started by this
//! crate are known, from before they can end. Where all children are started by this crate ([`Reaper::prompt`]) every
//! other zombie is an orphan and is reaped at once: a stop script that waits until its process is gone (`kill -0`) must
//! not wait for us. Elsewhere ([`Reaper::new`]) a zombie is only reaped when it is still one after a second look
//! [`PATIENCE`] later, long after any waiter has taken it.

use super::census::{self, Stat};
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpid};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// Time between the two looks at a zombie that somebody here may wait for.
const PATIENCE: Duration = Duration::from_secs(1);

static KNOWN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn known() -> MutexGuard<'static, BTreeSet<i32>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child that is waited for; the reaper leaves it alone while this lives.
pub(super) struct Known(i32);

impl Drop for Known {
    fn drop(&mut self) {
        known().remove(&self.0);
    }
}

/// Starts a child and makes it known in one step: the reaper cannot run in between.
pub(super) fn spawn_known(command: &mut Command) -> std::io::Result<(Child, Known)> {
    let mut known = known();
    let child = command.spawn()?;
    let pid = child.id().unwrap_or_default() as i32;
    known.insert(pid);
    Ok((child, Known(pid)))
}

/// Makes this process the parent of every orphan below it (PR_SET_CHILD_SUBREAPER). To be called once, before the first
/// operation; run a [`Reaper`] beside it.
pub fn become_subreaper() -> std::io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Takes away the zombies that nobody waits for.
#[derive(Debug, Default)]
pub struct Reaper {
    prompt: bool,
    seen: BTreeSet<(i32, u64)>,
}

impl Reaper {
    /// A reaper that has seen nothing yet.
    pub fn new() -> Reaper {
        Reaper::default()
    }

    /// A reaper for a process all of whose children are started by this crate: orphans are reaped at once.
    pub fn prompt() -> Reaper {
        Reaper { prompt: true, ..Reaper::default() }
    }

    /// Reaps for ever; asleep while no child ends. Fails only if SIGCHLD cannot be watched.
    pub async fn run(mut self) -> std::io::Result<()> {
        let mut children = signal(SignalKind::child())?;
        loop {
            while self.sweep() > 0 {
                tokio::time::sleep(PATIENCE).await;
            }
            children.recv().await;
            if !self.prompt {
                // One look for all that end about now.
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }

    /// Looks once: reaps unknown zombies that were there at the look before, notes new ones. Returns how many it noted.
    pub fn sweep(&mut self) -> usize {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if matches!(waitid(Id::All, flags), Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD)) {
            self.seen.clear();
            return 0;
        }
        let known = known();
        let us = getpid().as_raw();
        let zombies: Vec<Stat> =
            census::all().filter(|stat| stat.parent == us && stat.state == 'Z' && !known.contains(&stat.pid)).collect();
        let mut noted = BTreeSet::new();
        for zombie in zombies {
            let name = (zombie.pid, zombie.started);
            if self.prompt || self.seen.contains(&name) {
                let _ = waitpid(Pid::from_raw(zombie.pid), Some(WaitPidFlag::WNOHANG));
            } else {
                noted.insert(name);
            }
        }
        self.seen = noted;
        self.seen.len()
    }
}
