//! Who keeps a mounted file system busy.

use crate::process::census::{self, Stat};
use std::fs;
use std::path::Path;

/// Live processes that work in, were started from, or have open or mapped something below `directory`, except pid 1, this
/// process and its parents.
///
/// Only processes that see the same mount table: what another one has open there keeps another mount busy. Paths are
/// compared as text: looking at the files themselves would wait for ever on a network file system that does not answer.
pub(super) fn of(directory: &Path) -> Vec<Stat> {
    // Every path lies below the root; whoever asks for that is wrong.
    if directory.parent().is_none() {
        return Vec::new();
    }
    let spared = census::spared();
    let Ok(ours) = fs::read_link("/proc/self/ns/mnt") else { return Vec::new() };
    census::all()
        .filter(|stat| stat.is_alive() && !spared.contains(&stat.pid))
        .filter(|stat| fs::read_link(format!("/proc/{}/ns/mnt", stat.pid)).is_ok_and(|theirs| theirs == ours))
        .filter(|stat| holds(stat.pid, directory))
        .collect()
}

fn holds(pid: i32, directory: &Path) -> bool {
    let links = ["cwd", "root", "exe"].map(|name| format!("/proc/{pid}/{name}").into());
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().map(|entry| entry.path());
    let linked = links
        .into_iter()
        .chain(open)
        .any(|link: std::path::PathBuf| fs::read_link(link).is_ok_and(|target| target.starts_with(directory)));
    linked || maps(pid, directory)
}

fn maps(pid: i32, directory: &Path) -> bool {
    let Ok(text) = fs::read(format!("/proc/{pid}/maps")) else { return false };
    // Five fields, then the path, which starts with a slash as no field before it does.
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| line.find('/').map(|at| &line[at..]))
        .any(|path| Path::new(path).starts_with(directory))
}
