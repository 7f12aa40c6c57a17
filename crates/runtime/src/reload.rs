//! A reload under way: the three files are read beside everything else, then used or refused whole.

use crate::daemon::{DaemonError, Folders, STACK, parsed, ring, sources};
use crate::files::{self, NOT_STARTED};
use crate::log::Opened;
use crate::media::{self, Ready};
use crate::order::{MayReload, News, Post, Reloaded};
use crate::self_fence::Trigger;
use crate::signers::keys_gone;
use crate::sys;
use hearth_agents::net::Gate;
use hearth_config::{ClusterConfig, Config, ListChange, Sources, reload_refusals};
use hearth_control::Reply;
use hearth_wire::KeyRing;
use std::path::PathBuf;
use std::time::Instant;
use tokio::task::JoinHandle;

/// Good files, and what they name that must be there first.
pub(crate) struct Fresh {
    /// The ha.cf to be written before they are taken over: its path and its text.
    write: Option<(PathBuf, String)>,
    pub(crate) config: Config,
    /// Warnings and notes, rendered.
    pub(crate) notes: String,
    pub(crate) log: Opened,
    pub(crate) ring: KeyRing,
    ports: Vec<Ready>,
    gate: Option<Gate>,
    trigger: Option<Trigger>,
}

impl Fresh {
    /// Reads the three files and opens what they name and nobody has open yet; the names that it resolves and the disks
    /// may make it wait. An unchanged log file is opened anew too, so that whoever moves it away (logrotate) gets a fresh
    /// one.
    fn open(folders: &Folders, node: Option<&str>, old: &Config, edit: Option<&ListChange>) -> Files {
        let mut sources = sources(folders, node).map_err(of_a_reload)?;
        let write = match edit {
            Some(change) => Some(edited(folders, node, old, change, &mut sources)?),
            None => None,
        };
        let (config, notes) = parsed(&sources, folders).map_err(of_a_reload)?;
        if let Some(change) = edit.filter(|change| config.cluster.nodes != change.applied_to(&old.cluster.nodes)) {
            let reason =
                format!("the `node` lines of ha.cf cannot be changed for {}: write them by hand", change.node());
            return Err(DaemonError::Configuration(format!("{reason}, on every node, and `hearth reload`")));
        }
        let refusals = reload_refusals(old, &config);
        if !refusals.is_empty() {
            return Err(DaemonError::Configuration(refusals.join("\n")));
        }
        let open = || -> Result<_, String> {
            let ring = ring(&config)?;
            let log = Opened::open(&config.cluster.logging)?;
            let ports = media::prepare(&old.cluster.media, &config.cluster.media)?;
            let wanted = config.is_gated() && !old.is_gated();
            let gate = wanted.then(|| Gate::open(config.cluster.timing.lease())).transpose();
            let wanted = config.cluster.self_fence.is_some() && old.cluster.self_fence.is_none();
            let trigger = wanted.then(Trigger::open).transpose().map_err(|error| format!("`self_fence`: {error}"))?;
            Ok((ring, log, ports, gate.map_err(|error| format!("`gate yes`: {error}"))?, trigger))
        };
        let (ring, log, ports, gate, trigger) = open().map_err(DaemonError::Configuration)?;
        Ok(Fresh { write, config, notes, log, ring, ports, gate, trigger })
    }

    /// Reads, and asks the heartbeat thread whether what it read would harm what runs.
    /// With an `edit`, ha.cf as it would be; it is written, if that is meant, when nothing speaks against it.
    pub(crate) async fn read(
        folders: Folders,
        node: Option<String>,
        old: Config,
        post: Post,
        edit: Option<(ListChange, bool)>,
    ) -> Files {
        let failed =
            |error: &dyn std::fmt::Display| DaemonError::Configuration(format!("reading them failed: {error}"));
        let keys = old.keys.clone();
        let commit = edit.as_ref().is_some_and(|(_, commit)| *commit);
        let opened = tokio::task::spawn_blocking(move || {
            Fresh::open(&folders, node.as_deref(), &old, edit.as_ref().map(|(change, _)| change))
        });
        let mut fresh = opened.await.map_err(|error| failed(&error))??;
        let (answer, answered) = tokio::sync::oneshot::channel();
        let keys_gone = keys_gone(&keys, &fresh.config.keys);
        post.send(News::MayReload(Box::new(MayReload { config: fresh.config.clone(), keys_gone, answer })));
        let objections = answered.await.map_err(|error| failed(&error))?;
        if !objections.is_empty() {
            return Err(DaemonError::Configuration(objections.join("\n")));
        }
        if let Some((path, text)) = fresh.write.take().filter(|_| commit) {
            let written = tokio::task::spawn_blocking(move || files::replace(&path, &text));
            let written = written.await.map_err(|error| failed(&error))?;
            written.map_err(|error| DaemonError::Configuration(error.to_string()))?;
        }
        Ok(fresh)
    }

    /// What the heartbeat thread takes over.
    pub(crate) fn reloaded(self) -> Reloaded {
        let Fresh { config, ring, ports, gate, trigger, .. } = self;
        Reloaded { config, ring, ports, gate, trigger }
    }
}

/// ha.cf with another list of nodes: what is to be written, in place of what was read. Only where the files are what runs, or
/// somebody's half of another change would be taken over with it.
fn edited(
    folders: &Folders,
    node: Option<&str>,
    old: &Config,
    change: &ListChange,
    read: &mut Sources,
) -> Result<(PathBuf, String), DaemonError> {
    let refused = |text: String| DaemonError::Configuration(text);
    let (config, _) = parsed(&sources(folders, node)?, folders).map_err(of_a_reload)?;
    if config != *old {
        let text = "the files here differ from what runs: `hearth reload` first, or put them back";
        return Err(refused(text.to_owned()));
    }
    let path = folders.config.join("ha.cf");
    let text = std::fs::read_to_string(&path).map_err(|error| refused(format!("{}: {error}", path.display())))?;
    let text = change.edit(&text).map_err(refused)?;
    read.ha_cf = Some(text.clone());
    Ok((path, text))
}

/// The complaints of a start in the words of a reload.
fn of_a_reload(error: DaemonError) -> DaemonError {
    match error {
        DaemonError::Configuration(text) => {
            DaemonError::Configuration(text.trim_end().strip_suffix(NOT_STARTED).unwrap_or(&text).to_owned())
        }
        other => other,
    }
}

/// What reading the files came to.
pub(crate) type Files = Result<Fresh, DaemonError>;

/// Who waits for a reload.
pub(crate) enum Answer {
    /// A signal asked.
    Nobody,
    /// A client.
    Client(tokio::sync::oneshot::Sender<Reply>),
    /// The controller, which has another list of nodes for the files, to be written or only to be tried.
    List { id: u64, commit: bool },
}

/// A reload under way.
pub(crate) struct Reading {
    pub(crate) task: JoinHandle<Files>,
    pub(crate) by: String,
    pub(crate) answer: Answer,
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
        ("gate", a.gate != b.gate),
        ("self_fence", a.self_fence != b.self_fence),
        ("ping nodes", a.ping_targets != b.ping_targets),
        ("tiebreaker and unfenced_takeover", (a.permits, &a.tiebreaker_disk) != (b.permits, &b.tiebreaker_disk)),
        ("realtime and rtprio", (a.realtime, a.rtprio) != (b.realtime, b.rtprio)),
        ("log", a.logging != b.logging),
        ("alerts", a.alerts != b.alerts),
        ("env, for operations that start from now on", a.env != b.env),
    ];
    let parts = parts.into_iter().filter(|(_, differs)| *differs);
    let mut changed: Vec<String> = parts.map(|(what, _)| format!("ha.cf: {what}")).collect();
    changed
        .extend(b.nodes.iter().filter(|node| !a.nodes.contains(node)).map(|node| format!("ha.cf: node {node} is new")));
    changed.extend(
        a.nodes.iter().filter(|node| !b.nodes.contains(node)).map(|node| format!("ha.cf: node {node} is gone")),
    );
    let new_media = b.media.iter().filter(|medium| !a.media.contains(medium));
    changed.extend(new_media.map(|medium| format!("ha.cf: {medium} is new")));
    let gone = a.media.iter().filter(|medium| !b.media.contains(medium));
    changed.extend(gone.map(|medium| format!("ha.cf: {medium} is gone")));
    if old.keys != new.keys {
        changed.push("authkeys".to_owned());
    }
    if old.resources.witnesses != new.resources.witnesses {
        changed.push("ha.cf: witness".to_owned());
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
