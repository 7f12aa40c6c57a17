//! The native file system agent: mount, umount, who is in the way.
//!
//! It never checks or repairs a file system, never unmounts lazily (that would hide that it is still in use here while
//! another machine mounts it), and never signals anybody because of a path that led to the root file system.

mod holders;
mod mount;
mod table;
mod umount;

use crate::cancel::Cancel;
use crate::process::{self, Ending, Invocation};
use crate::runner::span;
use hearth_types::{OpAction, OpOutcome};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use table::Entry;

/// One mount as the configuration wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Block device, `UUID=...`, `LABEL=...`, a network source, or whatever the type takes.
    pub device: String,
    /// Mount point, without a slash at its end.
    pub directory: PathBuf,
    /// Type; empty: mount(8) finds out.
    pub fstype: String,
    /// Options as mount(8) takes them.
    pub options: String,
}

/// How the mount table shows a mount.
#[derive(Debug)]
enum State {
    /// It is mounted, and on top.
    Mounted(Entry),
    /// Nothing of it is mounted.
    Absent,
    /// Something is as it must not be; in words.
    Wrong(String),
}

/// The device as the kernel shows it in the mount table.
#[derive(Debug)]
struct Source {
    /// What the mount call gets.
    name: String,
    /// `major:minor` if it is a block device: such a one belongs to one mount point only.
    block: Option<String>,
    /// Loop devices that are bound to it, if it is a file.
    loops: Vec<String>,
}

impl Mount {
    /// A mount; slashes at the end of `directory` are dropped.
    pub fn new(device: &str, directory: &str, fstype: &str, options: &str) -> Mount {
        let trimmed = directory.trim_end_matches('/');
        let directory = if trimmed.is_empty() { directory } else { trimmed };
        Mount {
            device: device.to_string(),
            directory: PathBuf::from(directory),
            fstype: fstype.to_string(),
            options: options.to_string(),
        }
    }

    fn title(&self) -> String {
        format!("{} on {}", self.device, self.directory.display())
    }

    /// Whether an option is given, as `name` or `name=...`.
    fn has_option(&self, name: &str) -> bool {
        self.options.split(',').any(|option| option.split('=').next() == Some(name))
    }
}

/// How long it takes at most, beyond the timeout, to end a helper program that hangs and to look whether it is gone.
const AFTERMATH: Duration = Duration::from_secs(4);

/// Does one operation. Ends at `timeout`, at the latest 4 s after it, when a helper program had to be ended; a system
/// call that hangs is left behind on a thread of its own. `remark`: who was ended so that a stop could end well.
pub async fn run(
    mount: &Mount,
    action: OpAction,
    timeout: Duration,
    cancel: &mut Cancel,
    remark: &mut Option<String>,
) -> OpOutcome {
    let deadline = Instant::now() + timeout;
    let work = async {
        match action {
            OpAction::Probe => probe(mount, false).await,
            OpAction::Monitor => probe(mount, true).await,
            OpAction::Start => mount::start(mount, deadline).await,
            OpAction::Stop => umount::stop(mount, deadline, remark).await,
        }
    };
    tokio::select! {
        outcome = work => outcome.unwrap_or_else(failed),
        _ = tokio::time::sleep_until((deadline + AFTERMATH).into()) => OpOutcome::TimedOut {
            message: format!("{action} of {} took longer than {}; a call into the kernel hangs", mount.title(), span(timeout)),
        },
        _ = cancel.cancelled() => OpOutcome::Cancelled,
    }
}

fn failed(message: String) -> OpOutcome {
    OpOutcome::Failed { code: None, message }
}

async fn probe(mount: &Mount, well: bool) -> Result<OpOutcome, String> {
    let entry = match state(mount).await? {
        State::Mounted(entry) => entry,
        State::Absent => return Ok(OpOutcome::NotRunning),
        State::Wrong(message) => return Err(message),
    };
    let writable = matches!(entry.fstype.as_str(), "ext2" | "ext3" | "ext4" | "xfs" | "btrfs" | "f2fs");
    let read_only = entry.super_options.split(',').any(|option| option == "ro");
    if well && writable && read_only && !mount.has_option("ro") {
        return Err(format!(
            "{} is mounted, but turned read-only: the kernel met an error on it; see its log, then check the file system",
            mount.title()
        ));
    }
    Ok(OpOutcome::Ok)
}

/// Looks for it in the mount table, away from the async threads: resolving a name may wait for a disk.
async fn state(mount: &Mount) -> Result<State, String> {
    if mount::is_pending(&mount.directory) {
        let title = mount.title();
        return Ok(State::Wrong(format!("the call of an earlier start that mounts {title} still hangs in the kernel")));
    }
    let source = source(mount).await;
    let mount = mount.clone();
    blocking(move || {
        let directory = resolved(&mount.directory);
        judge(&mount, source.as_ref(), &directory, &table::read()?)
    })
    .await?
}

/// Runs something that may wait for the kernel on a thread where that holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| format!("internal: {error}"))
}

/// The directory as the mount table names it: links are followed, but only those above it are looked at if it is a mount
/// point already, since a network file system that does not answer would keep the caller waiting.
fn resolved(directory: &Path) -> PathBuf {
    let mounted = table::read().is_ok_and(|entries| table::on_top(&entries, directory).is_some());
    if mounted {
        return directory.to_path_buf();
    }
    fs::canonicalize(directory).unwrap_or_else(|_| directory.to_path_buf())
}

fn judge(mount: &Mount, source: Option<&Source>, directory: &Path, entries: &[Entry]) -> Result<State, String> {
    let ours = |entry: &&Entry| source.is_some_and(|source| source.is_in(entry, mount));
    let here: Vec<&Entry> = entries.iter().filter(|entry| entry.directory == directory).collect();
    let found = here.iter().rposition(ours);
    Ok(match found {
        Some(at) if at + 1 == here.len() => State::Mounted(here[at].clone()),
        Some(_) => {
            let top = here[here.len() - 1];
            State::Wrong(format!(
                "{} is mounted, but {} ({}) was mounted over it",
                mount.title(),
                top.source,
                top.fstype
            ))
        }
        None => {
            let exclusive = |source: &&Source| source.block.is_some() || !source.loops.is_empty();
            let elsewhere = source.filter(exclusive).and_then(|_| entries.iter().find(ours));
            match elsewhere {
                Some(entry) => State::Wrong(format!(
                    "{} is mounted elsewhere on this node: on {}; unmount it there (umount {}) first",
                    mount.device,
                    entry.directory.display(),
                    entry.directory.display()
                )),
                None => State::Absent,
            }
        }
    })
}

impl Source {
    fn is_in(&self, entry: &Entry, mount: &Mount) -> bool {
        if let Some(block) = &self.block {
            // Btrfs shows a device number of its own, but the source by name.
            return &entry.device == block || entry.source == self.name;
        }
        if self.loops.contains(&entry.source) {
            return true;
        }
        let plain = |text: &str| text.trim_end_matches('/').to_string();
        plain(&entry.source) == plain(&self.name)
            && (mount.fstype.is_empty()
                || entry.fstype == mount.fstype
                || entry.fstype.starts_with(&mount.fstype)
                || entry.fstype.starts_with("fuse"))
    }
}

/// Finds the device. None: a `UUID=`, `LABEL=` ... that no device here has.
async fn source(mount: &Mount) -> Option<Source> {
    let name = match mount.device.split_once('=') {
        Some((tag, value)) if matches!(tag, "UUID" | "LABEL" | "PARTUUID" | "PARTLABEL") => tagged(tag, value).await?,
        _ => mount.device.clone(),
    };
    blocking(move || {
        let network = name.contains(':') || name.starts_with("//");
        let name = match name.starts_with('/') && !network {
            true => fs::canonicalize(&name).map_or(name, |path| path.display().to_string()),
            false => name,
        };
        let metadata = fs::metadata(&name).ok().filter(|_| name.starts_with('/') && !network);
        let block = metadata.as_ref().filter(|data| data.file_type().is_block_device()).map(|data| {
            let number = data.rdev();
            format!("{}:{}", nix::sys::stat::major(number), nix::sys::stat::minor(number))
        });
        let loops = match metadata.is_some_and(|data| data.is_file()) {
            true => loops_of(&name),
            false => Vec::new(),
        };
        Source { name, block, loops }
    })
    .await
    .ok()
}

/// The device with a tag: by udev's links, or where there is no udev by findfs(8).
async fn tagged(tag: &str, value: &str) -> Option<String> {
    let value = value.trim_matches('"');
    let link = PathBuf::from(format!("/dev/disk/by-{}/{value}", tag.to_lowercase()));
    if !value.contains('/') && link.exists() {
        return Some(link.display().to_string());
    }
    let findfs = helper("findfs", &[&format!("{tag}={value}")], Duration::from_secs(10))?;
    let found = process::run(&findfs, Cancel::never()).await.ok()?;
    (found.ending == Ending::Exited(0) && !found.stdout.is_empty()).then_some(found.stdout)
}

/// Loop devices that are bound to a file.
fn loops_of(file: &str) -> Vec<String> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    devices
        .filter(|entry| {
            fs::read_to_string(entry.path().join("loop/backing_file")).is_ok_and(|backing| backing.trim_end() == file)
        })
        .map(|entry| format!("/dev/{}", entry.file_name().to_string_lossy()))
        .collect()
}

/// A program of the system, if it is installed.
fn helper(name: &str, args: &[&str], timeout: Duration) -> Option<Invocation> {
    let program = ["/sbin", "/bin", "/usr/sbin", "/usr/bin"].map(|directory| Path::new(directory).join(name));
    Some(Invocation {
        program: program.into_iter().find(|path| path.is_file())?,
        args: args.iter().map(Into::into).collect(),
        env: vec![("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into()), ("LC_ALL".into(), "C".into())],
        stdin: None,
        timeout,
        grace: Duration::from_secs(1),
    })
}
