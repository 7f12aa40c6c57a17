//! A reload under way: the three files are read beside everything else, then used or refused whole.

use crate::daemon::DaemonError;
use hearth_config::Config;
use hearth_control::Reply;
use std::time::Instant;
use tokio::task::JoinHandle;

/// What reading the files came to.
pub(crate) type Files = Result<(Config, String), DaemonError>;

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

/// What differs, for people.
pub(crate) fn changes(old: &Config, new: &Config) -> String {
    let mut changed = Vec::new();
    if old.cluster != new.cluster {
        changed.push("ha.cf".to_owned());
    }
    if old.keys != new.keys {
        changed.push("authkeys".to_owned());
    }
    let groups = |config: &Config| config.resources.groups.clone();
    let (before, after) = (groups(old), groups(new));
    for group in &after {
        match before.iter().find(|known| known.id == group.id) {
            None => changed.push(format!("group {} is new", group.id)),
            Some(known) if known != group => changed.push(format!("group {} differs", group.id)),
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|known| after.iter().all(|group| group.id != known.id));
    changed.extend(gone.map(|group| format!("group {} is gone", group.id)));
    if changed.is_empty() { "nothing differs".into() } else { changed.join(", ") }
}
