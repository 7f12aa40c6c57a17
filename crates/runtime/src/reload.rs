//! A reload under way: the three files are read beside everything else, then used or refused whole.

use crate::daemon::{DaemonError, Folders, STACK, configuration};
use crate::log::Opened;
use crate::sys;
use hearth_config::{ClusterConfig, Config};
use hearth_control::Reply;
use std::time::Instant;
use tokio::task::JoinHandle;

/// Good files, and what they name that must be there first.
pub(crate) struct Fresh {
    pub(crate) config: Config,
    /// Warnings and notes, rendered.
    pub(crate) notes: String,
    pub(crate) log: Opened,
}

impl Fresh {
    /// Reads the three files and opens those of the log; the names that it resolves and the disks may make it wait. An
    /// unchanged log file is opened anew too, so that whoever moves it away (logrotate) gets a fresh one.
    pub(crate) fn open(folders: &Folders, node: Option<&str>) -> Files {
        let (config, notes) = configuration(folders, node)?;
        let log = Opened::open(&config.cluster.logging).map_err(DaemonError::Configuration)?;
        Ok(Fresh { config, notes, log })
    }
}

/// What reading the files came to.
pub(crate) type Files = Result<Fresh, DaemonError>;

/// A reload under way.
pub(crate) struct Reading {
    pub(crate) task: JoinHandle<Files>,
    pub(crate) by: String,
    /// None: a signal asked.
    pub(crate) answer: Option<tokio::sync::oneshot::Sender<Reply>>,
    pub(crate) began: Instant,
}

/// Waits until the files were read; for ever where none are being read.
pub(crate) async fn has_read(reading: &mut Option<Reading>) -> Files {
    let Some(reading) = reading else { return std::future::pending().await };
    let failed = |error: tokio::task::JoinError| DaemonError::Configuration(format!("reading them failed: {error}"));
    (&mut reading.task).await.unwrap_or_else(|error| Err(failed(error)))
}

/// Tries a new `realtime` or `rtprio` in a thread that ends at once, then locks the memory or lets it go. What has not
/// changed is not tried: a daemon that started without the right to it goes on as it is.
///
/// # Errors
/// The kernel refuses; nothing has changed then.
pub(crate) fn try_realtime(old: &ClusterConfig, new: &ClusterConfig) -> Result<(), String> {
    if (old.realtime, old.rtprio) == (new.realtime, new.rtprio) {
        return Ok(());
    }
    if !new.realtime {
        sys::unlock_memory();
        return Ok(());
    }
    let priority = new.rtprio;
    let tried = std::thread::Builder::new().stack_size(STACK).spawn(move || sys::realtime(priority));
    // A thread that makes one system call does not panic.
    let tried = tried.and_then(|thread| thread.join().unwrap_or_else(|_| Err(std::io::Error::other("it panicked"))));
    tried.map_err(|error| format!("real-time priority {priority} is refused ({error}): write `realtime no`"))?;
    if !old.realtime {
        sys::lock_memory().map_err(|error| format!("memory cannot be locked ({error}): write `realtime no`"))?;
    }
    Ok(())
}

/// What differs, for people, one line each.
pub(crate) fn changes(old: &Config, new: &Config) -> Vec<String> {
    let (a, b) = (&old.cluster, &new.cluster);
    let parts = [
        ("times", a.timing != b.timing),
        ("ping nodes", a.ping_targets != b.ping_targets),
        ("tiebreaker and unfenced_takeover", a.permits != b.permits),
        ("realtime and rtprio", (a.realtime, a.rtprio) != (b.realtime, b.rtprio)),
        ("log", a.logging != b.logging),
        ("env, for operations that start from now on", a.env != b.env),
    ];
    let parts = parts.into_iter().filter(|(_, differs)| *differs);
    let mut changed: Vec<String> = parts.map(|(what, _)| format!("ha.cf: {what}")).collect();
    if old.keys != new.keys {
        changed.push("authkeys".to_owned());
    }
    let (before, after) = (&old.resources.groups, &new.resources.groups);
    for group in after {
        match before.iter().find(|known| known.id == group.id) {
            None => changed.push(format!("group {} is new", group.id)),
            Some(known) if known != group => changed.push(format!("group {} differs", group.id)),
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|known| after.iter().all(|group| group.id != known.id));
    changed.extend(gone.map(|group| format!("group {} is gone", group.id)));
    if changed.is_empty() {
        changed.push("nothing differs".into());
    }
    changed
}
