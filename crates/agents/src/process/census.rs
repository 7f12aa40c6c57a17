//! Who is there, as /proc tells it.

use nix::unistd::{Pid, getpid};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// What one line of /proc/PID/stat says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stat {
    /// The process.
    pub pid: i32,
    /// Its name, cut by the kernel to 15 bytes.
    pub name: String,
    /// `R`, `S`, `D`, `Z` ...
    pub state: char,
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// When it started, in ticks since boot; with the pid it names a process for good.
    pub started: u64,
}

impl Stat {
    /// Of one process; none if it is gone.
    pub fn of(pid: i32) -> Option<Stat> {
        Stat::parse(&String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
    }

    fn parse(line: &str) -> Option<Stat> {
        // The name may hold blanks and brackets: it ends at the last one.
        let (pid, rest) = line.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        Some(Stat {
            pid: pid.parse().ok()?,
            name: name.to_string(),
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    /// Whether it still executes: neither a zombie nor dead.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// All processes that are there at this moment.
pub fn all() -> impl Iterator<Item = Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(Stat::of)
}

/// Whether a group has a member that is neither dead nor a zombie.
///
/// A signal to the group succeeds for zombies too, and an orphan may stay one for a while, so each member is looked at.
pub fn group_alive(group: Pid) -> bool {
    nix::sys::signal::killpg(group, None).is_ok() && all().any(|stat| stat.group == group.as_raw() && stat.is_alive())
}

/// Processes that must never be signalled: pid 1, this one and all above it.
pub fn spared() -> BTreeSet<i32> {
    let mut spared = BTreeSet::from([1]);
    let mut next = getpid().as_raw();
    while next > 0 && spared.insert(next) {
        next = Stat::of(next).map_or(0, |stat| stat.parent);
    }
    spared
}

/// Live processes whose environment holds all of `marks` (`NAME=VALUE`), except the spared ones.
pub fn marked(marks: &[String]) -> Vec<Stat> {
    let spared = spared();
    all()
        .filter(|stat| stat.is_alive() && !spared.contains(&stat.pid))
        .filter(|stat| {
            let path = PathBuf::from(format!("/proc/{}/environ", stat.pid));
            let Ok(environment) = fs::read(path) else { return false };
            marks.iter().all(|mark| environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes()))
        })
        .collect()
}

/// Sends a signal to each, unless the number names another process by now.
pub fn signal(targets: &[Stat], signal: nix::sys::signal::Signal) {
    for target in targets {
        if Stat::of(target.pid).is_some_and(|now| now.started == target.started) {
            let _ = nix::sys::signal::kill(Pid::from_raw(target.pid), signal);
        }
    }
}

/// `mysqld (4711), sh (4712)`, the first eight of them.
pub fn names(stats: &[Stat]) -> String {
    let mut shown: Vec<String> = stats.iter().take(8).map(|stat| format!("{} ({})", stat.name, stat.pid)).collect();
    if stats.len() > shown.len() {
        shown.push(format!("and {} more", stats.len() - shown.len()));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_is_read_whole() {
        let line = "42 (a) b (c) S 7 9 9 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 2";
        let stat = Stat::parse(line).expect("a stat line");
        assert_eq!((stat.pid, stat.name.as_str(), stat.state), (42, "a) b (c", 'S'));
        assert_eq!((stat.parent, stat.group, stat.started), (7, 9, 12345));
    }

    #[test]
    fn pid_1_and_this_process_are_spared() {
        let spared = spared();
        assert!(spared.contains(&1) && spared.contains(&getpid().as_raw()));
    }
}
