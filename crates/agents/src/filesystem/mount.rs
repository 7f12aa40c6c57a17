//! Start: mounts.

use super::{Mount, State, blocking, helper, resolved, source, state, table};
use crate::cancel::Cancel;
use crate::process::{self, Ending, census};
use crate::runner::span;
use hearth_types::OpOutcome;
use nix::errno::Errno;
use nix::mount::MsFlags;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Options that mount(8) turns into flags: name, flag, whether it sets or clears.
const FLAGS: &[(&str, MsFlags, bool)] = &[
    ("ro", MsFlags::MS_RDONLY, true),
    ("rw", MsFlags::MS_RDONLY, false),
    ("nosuid", MsFlags::MS_NOSUID, true),
    ("suid", MsFlags::MS_NOSUID, false),
    ("nodev", MsFlags::MS_NODEV, true),
    ("dev", MsFlags::MS_NODEV, false),
    ("noexec", MsFlags::MS_NOEXEC, true),
    ("exec", MsFlags::MS_NOEXEC, false),
    ("sync", MsFlags::MS_SYNCHRONOUS, true),
    ("async", MsFlags::MS_SYNCHRONOUS, false),
    ("dirsync", MsFlags::MS_DIRSYNC, true),
    ("noatime", MsFlags::MS_NOATIME, true),
    ("atime", MsFlags::MS_NOATIME, false),
    ("nodiratime", MsFlags::MS_NODIRATIME, true),
    ("diratime", MsFlags::MS_NODIRATIME, false),
    ("relatime", MsFlags::MS_RELATIME, true),
    ("norelatime", MsFlags::MS_RELATIME, false),
    ("strictatime", MsFlags::MS_STRICTATIME, true),
    ("nostrictatime", MsFlags::MS_STRICTATIME, false),
    ("silent", MsFlags::MS_SILENT, true),
    ("loud", MsFlags::MS_SILENT, false),
];
/// Options that are for other readers of fstab.
const IGNORED: &[&str] =
    &["defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group", "_netdev", "nofail", "comment"];
/// Options that only mount(8) understands.
const NEED_MOUNT: &[&str] =
    &["loop", "offset", "sizelimit", "bind", "rbind", "move", "encryption", "context", "remount"];
/// Types that a helper of their own mounts, or that need more than the one call.
const NEED_HELPER: &[&str] =
    &["nfs", "nfs4", "cifs", "smb3", "ntfs", "ntfs-3g", "fuse", "glusterfs", "ceph", "ocfs2", "gfs2", "zfs"];

/// Mount points for which a mount call has not come back. A start that was given up may still succeed, so nothing may be
/// said about such a place until the call is over.
static PENDING: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Whether a mount call for that place has not come back.
pub(super) fn is_pending(directory: &Path) -> bool {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner).contains(directory)
}

/// A place in [`PENDING`], for as long as it lives.
struct Pending(PathBuf);

impl Pending {
    fn new(directory: &Path) -> Pending {
        PENDING.lock().unwrap_or_else(PoisonError::into_inner).insert(directory.to_path_buf());
        Pending(directory.to_path_buf())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        PENDING.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Mounts it; done if it is mounted already.
pub(super) async fn start(mount: &Mount, deadline: Instant) -> Result<OpOutcome, String> {
    match state(mount).await? {
        State::Mounted(_) => return Ok(OpOutcome::Ok),
        State::Wrong(message) => return Err(message),
        State::Absent => {}
    }
    let Some(source) = source(mount).await else {
        return Err(format!("no device on this node has {}; blkid(8) lists what is there", mount.device));
    };
    let (checked, name) = (mount.clone(), source.name.clone());
    blocking(move || ready(&checked, &name)).await??;
    if needs_helper(mount, &source) {
        by_helper(mount, deadline).await
    } else {
        by_call(mount, source.name, deadline).await
    }?;
    match state(mount).await? {
        State::Mounted(_) => Ok(OpOutcome::Ok),
        State::Wrong(message) => Err(message),
        State::Absent => Err(format!("mounting {} reported success, but it is not in the mount table", mount.title())),
    }
}

/// What can be known before: the mount point is an empty place, the device is there.
fn ready(mount: &Mount, name: &str) -> Result<(), String> {
    let directory = mount.directory.display();
    let entries = table::read()?;
    let resolved = resolved(&mount.directory);
    if !mount.directory.is_absolute() || resolved.parent().is_none() {
        return Err(format!("{directory} cannot be a mount point: it must be a full path and not the root directory"));
    }
    if let Some(entry) = table::on_top(&entries, &resolved) {
        let by = format!("{} ({})", entry.source, entry.fstype);
        return Err(format!("mount point {directory} is taken by {by}; unmount that or choose another directory"));
    }
    match fs::metadata(&mount.directory) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(format!("mount point {directory} is not a directory")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!(
                "mount point {directory} does not exist; create it on this node: mkdir -p {directory}"
            ));
        }
        Err(error) => return Err(format!("mount point {directory}: {error}")),
    }
    if name.starts_with('/') && !name.starts_with("//") && !name.contains(':') && fs::metadata(name).is_err() {
        return Err(format!("device {name} does not exist on this node"));
    }
    Ok(())
}

fn needs_helper(mount: &Mount, source: &super::Source) -> bool {
    let fstype = mount.fstype.as_str();
    let file = source.block.is_none() && source.name.starts_with('/');
    fstype.is_empty()
        || fstype == "auto"
        || file
        || NEED_HELPER.contains(&fstype)
        || fstype.starts_with("fuse.")
        || NEED_MOUNT.iter().any(|option| mount.has_option(option))
        || mount.options.split(',').any(|option| option.starts_with("X-") || option.starts_with("helper="))
        || ["/sbin", "/usr/sbin"].iter().any(|place| Path::new(place).join(format!("mount.{fstype}")).exists())
}

/// Splits options into the flags of mount(2) and what the file system itself reads.
fn split(options: &str) -> (MsFlags, String) {
    let mut flags = MsFlags::empty();
    let mut data = Vec::new();
    for option in options.split(',').map(str::trim).filter(|option| !option.is_empty()) {
        let name = option.split('=').next().unwrap_or(option);
        match FLAGS.iter().find(|(known, ..)| *known == option) {
            Some((_, flag, sets)) => flags.set(*flag, *sets),
            None if IGNORED.contains(&name) || name.starts_with("x-") => {}
            None => data.push(option),
        }
    }
    (flags, data.join(","))
}

async fn by_call(mount: &Mount, name: String, deadline: Instant) -> Result<(), String> {
    let wanted = mount.clone();
    let pending = Pending::new(&mount.directory);
    let done = blocking(move || {
        let _pending = pending;
        let (flags, data) = split(&wanted.options);
        let data = (!data.is_empty()).then_some(data.as_str());
        nix::mount::mount(Some(name.as_str()), &wanted.directory, Some(wanted.fstype.as_str()), flags, data)
    });
    let done = tokio::time::timeout_at(deadline.into(), done).await;
    let done =
        done.map_err(|_| format!("mounting {} did not end in time: the call hangs in the kernel", mount.title()))?;
    done?.map_err(|errno| {
        let hint = match errno {
            Errno::EINVAL => "wrong file system type, bad option, or bad superblock; the kernel's log says more",
            Errno::ENODEV => "this kernel has no such file system type; its module may be missing",
            Errno::EBUSY => "the device is in use by something else, such as md, LVM or dm",
            Errno::EROFS | Errno::EACCES => "the device is write-protected; option ro mounts it for reading",
            Errno::ENOTBLK => "it is not a block device",
            Errno::ENXIO | Errno::ENOMEDIUM => "there is no medium behind the device; for DRBD: it is not primary here",
            Errno::EUCLEAN | Errno::EIO => "the file system needs repair; run fsck on it on one node only",
            Errno::EPERM => "not allowed; mounting needs CAP_SYS_ADMIN",
            _ => errno.desc(),
        };
        format!("cannot mount {} as {}: {hint} ({errno:?})", mount.title(), mount.fstype)
    })
}

async fn by_helper(mount: &Mount, deadline: Instant) -> Result<(), String> {
    let directory = mount.directory.display().to_string();
    let mut args = Vec::new();
    if !mount.fstype.is_empty() {
        args.extend(["-t", mount.fstype.as_str()]);
    }
    if !mount.options.is_empty() {
        args.extend(["-o", mount.options.as_str()]);
    }
    args.extend(["--", mount.device.as_str(), directory.as_str()]);
    let left = deadline.saturating_duration_since(Instant::now());
    let Some(mut invocation) = helper("mount", &args, left) else {
        return Err(format!("mounting {} needs mount(8), which is not installed", mount.title()));
    };
    let mark = format!("HEARTH_MOUNT={directory}");
    invocation.env.push(("HEARTH_MOUNT".into(), directory.clone().into()));
    let pending = Pending::new(&mount.directory);
    let finished = process::run(&invocation, Cancel::never()).await.map_err(|error| error.to_string())?;
    match finished.ending {
        Ending::Exited(0) => Ok(()),
        Ending::Exited(code) => {
            Err(format!("cannot mount {}: mount(8) exited with {code}: {}", mount.title(), finished.said))
        }
        Ending::TimedOut { gone: false } => {
            // Killed, but stuck inside the kernel: it may still mount when that lets it go.
            tokio::spawn(async move {
                while !census::marked(std::slice::from_ref(&mark)).is_empty() {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                drop(pending);
            });
            Err(format!("mounting {}: mount(8) got KILL after {}, but hangs in the kernel", mount.title(), span(left)))
        }
        Ending::TimedOut { .. } => {
            Err(format!("mounting {} took longer than {} and was ended", mount.title(), span(left)))
        }
        _ => Err(format!("mounting {}: mount(8) was killed: {}", mount.title(), finished.said)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_flags_and_data() {
        let (flags, data) = split("defaults,ro,noatime,errors=remount-ro,_netdev,x-systemd.automount,acl");
        assert_eq!(flags, MsFlags::MS_RDONLY | MsFlags::MS_NOATIME);
        assert_eq!(data, "errors=remount-ro,acl");
        assert_eq!(split("ro,rw"), (MsFlags::empty(), String::new()));
    }
}
