//! Stop: unmounts, and ends who is in the way (R-TAKE-8).

use super::table::{self, Entry};
use super::{Mount, State, blocking, holders, resolved, state};
use crate::process::census;
use hearth_types::OpOutcome;
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Most time for holders to end after TERM.
const TERM_WAIT: Duration = Duration::from_secs(5);
/// Time kept at the end to say what happened before the operation's own deadline does.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Unmounts it; done if it is not mounted. `remark`: whom that took.
pub(super) async fn stop(mount: &Mount, deadline: Instant, remark: &mut Option<String>) -> Result<OpOutcome, String> {
    match state(mount).await? {
        State::Mounted(_) => {}
        State::Absent => return Ok(OpOutcome::Ok),
        State::Wrong(message) => return Err(message),
    }
    let directory = mount.directory.clone();
    let directory = blocking(move || resolved(&directory)).await?;
    let mut stages = Vec::new();
    if !unmount(mount, &directory, Instant::now()).await? {
        clear(mount, &directory, deadline, &mut stages).await?;
    }
    match state(mount).await? {
        State::Absent => {
            *remark = Some(stages.join("; ")).filter(|done| !done.is_empty());
            Ok(OpOutcome::Ok)
        }
        State::Mounted(_) => Err(format!("{} is mounted once more below", mount.title())),
        State::Wrong(message) => Err(format!("unmounted from {}, but {message}", mount.directory.display())),
    }
}

/// Ends the holders, TERM then KILL, and unmounts as soon as nobody holds it.
async fn clear(mount: &Mount, directory: &Path, deadline: Instant, stages: &mut Vec<String>) -> Result<(), String> {
    let end = deadline.checked_sub(LAST_WORDS).unwrap_or(deadline);
    let protected = protected(directory, &table::read()?);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let found = holding(directory).await?;
        if let Some(reason) = protected.as_ref().filter(|_| !found.is_empty()) {
            return Err(format!(
                "{} is busy: {}. Nobody was signalled: {reason}",
                mount.title(),
                census::names(&found)
            ));
        }
        if !found.is_empty() {
            census::signal(&found, signal);
            stages.push(format!("{} sent to {}", signal.as_str(), census::names(&found)));
            tracing::warn!(mount = mount.title(), holders = census::names(&found), signal = signal.as_str(), "busy");
        }
        let left = end.saturating_duration_since(Instant::now());
        let until = if signal == Signal::SIGTERM { Instant::now() + TERM_WAIT.min(left / 2) } else { end };
        if unmount(mount, directory, until).await? {
            return Ok(());
        }
    }
    let still = holding(directory).await?;
    let nested = nested(directory)?;
    let mut why = match (still.is_empty(), nested.is_empty()) {
        (false, _) => format!("still held by {}", census::names(&still)),
        (true, false) => format!("something is mounted below it: {}", nested.join(", ")),
        (true, true) => {
            "no process holds it: look for swap files (swapon), loop devices (losetup) and NFS exports".to_string()
        }
    };
    for stage in stages {
        why.push_str(&format!("; {stage}"));
    }
    Err(format!("cannot unmount {}: {why}", mount.title()))
}

/// Tries to unmount until `until`, at least once. False if it is still busy.
async fn unmount(mount: &Mount, directory: &Path, until: Instant) -> Result<bool, String> {
    let mut pause = Duration::from_millis(5);
    loop {
        let path: PathBuf = directory.to_path_buf();
        match blocking(move || umount2(&path, MntFlags::UMOUNT_NOFOLLOW)).await? {
            // Not mounted any more: somebody else did it.
            Ok(()) | Err(Errno::EINVAL) => return Ok(true),
            Err(Errno::EBUSY) if Instant::now() + pause < until => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(100));
            }
            Err(Errno::EBUSY) => return Ok(false),
            Err(errno) => return Err(format!("cannot unmount {}: {} ({errno:?})", mount.title(), errno.desc())),
        }
    }
}

async fn holding(directory: &Path) -> Result<Vec<census::Stat>, String> {
    let directory = directory.to_path_buf();
    blocking(move || holders::of(&directory)).await
}

/// Why nobody may be signalled for this directory: it is the root, or shows the root's device.
fn protected(directory: &Path, entries: &[Entry]) -> Option<&'static str> {
    if directory.parent().is_none() {
        return Some("it is the root directory");
    }
    let Some(here) = table::on_top(entries, directory) else { return Some("it is not a mount point") };
    match table::on_top(entries, Path::new("/")) {
        Some(root) if root.device == here.device || root.source.starts_with('/') && root.source == here.source => {
            Some("it shows the root file system")
        }
        Some(_) => None,
        None => Some("the root file system is not in the mount table"),
    }
}

/// Mount points below it.
fn nested(directory: &Path) -> Result<Vec<String>, String> {
    let below = |path: &Path| path != directory && path.starts_with(directory);
    Ok(table::read()?
        .iter()
        .filter(|entry| below(&entry.directory))
        .map(|entry| entry.directory.display().to_string())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_signalled_for_the_root_whatever_it_is_called() {
        let lines = [
            "1 0 254:0 / / rw - ext4 /dev/vda rw",
            "2 1 254:0 / /srv/bound rw - ext4 /dev/vda rw",
            "3 1 0:40 / /srv/volume rw - btrfs /dev/vda rw",
            "4 1 8:1 / /srv/data rw - ext4 /dev/sda1 rw",
        ];
        let entries: Vec<Entry> = lines.iter().filter_map(|line| table::parse(line)).collect();
        let reason = |directory| protected(Path::new(directory), &entries);
        assert_eq!(reason("/"), Some("it is the root directory"));
        assert_eq!(reason("/srv/bound"), Some("it shows the root file system"));
        assert_eq!(reason("/srv/volume"), Some("it shows the root file system"));
        assert_eq!(reason("/srv/nothing"), Some("it is not a mount point"));
        assert_eq!(reason("/srv/data"), None);
        assert_eq!(
            protected(Path::new("/srv/data"), &entries[3..]),
            Some("the root file system is not in the mount table")
        );
    }
}
