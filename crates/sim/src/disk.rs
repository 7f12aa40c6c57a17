//! A machine's disk: how fast it is, what is durable, what is under way.

use crate::layout::{ms, us};
use crate::rng::Rng;
use hearth_types::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// How a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskMode {
    /// Mostly below 2 ms.
    Fast,
    /// 20 to 900 ms a write.
    Slow,
    /// 4 to 6 s a write.
    Hangs,
    /// Every write fails, and goes on failing until the daemon is started anew.
    Full,
}

/// One order to make something durable.
#[derive(Clone, Debug)]
pub struct Write {
    /// Its number.
    pub ticket: u64,
    /// New state file; truncates the log.
    pub state: Option<String>,
    /// Lines behind it.
    pub log: Vec<String>,
}

/// One disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// How it is.
    pub mode: DiskMode,
    /// A write of this run failed.
    pub failed: bool,
    /// State file.
    pub state: Option<String>,
    /// Log behind it.
    pub log: Vec<String>,
    /// Not durable yet, oldest first.
    pub writes: VecDeque<Write>,
    /// The first of them is under way.
    pub writing: bool,
    /// When it began.
    pub began_at: Timestamp,
    /// When one that took longer than a daemon goes on without ended last.
    pub hung_until: Timestamp,
    /// It ended while the daemon was frozen.
    pub ended: bool,
    /// What somebody saved, to put it back later.
    pub backup: Option<(Option<String>, Vec<String>)>,
}

impl Default for Disk {
    /// Empty and fast.
    fn default() -> Disk {
        Disk {
            mode: DiskMode::Fast,
            failed: false,
            state: None,
            log: Vec::new(),
            writes: VecDeque::new(),
            writing: false,
            began_at: Timestamp::ZERO,
            hung_until: Timestamp::ZERO,
            ended: false,
            backup: None,
        }
    }
}

impl Disk {
    /// Makes durable.
    pub fn put(&mut self, state: Option<String>, log: Vec<String>) {
        if let Some(state) = state {
            self.state = Some(state);
            self.log.clear();
        }
        self.log.extend(log);
    }

    /// How long the next write takes.
    pub fn span(&self, rng: &mut Rng) -> Duration {
        match self.mode {
            DiskMode::Slow => rng.span(ms(20), ms(900)),
            DiskMode::Hangs => rng.span(ms(4_000), ms(6_000)),
            _ if rng.chance(20) => rng.span(ms(2), ms(40)),
            _ => rng.span(us(50), ms(2)),
        }
    }

    /// The daemon ends at this moment: what was not durable is lost, a write under way may be torn.
    pub fn crash(&mut self, rng: &mut Rng) {
        let under_way = self.writes.pop_front().filter(|_| self.writing && !self.failed);
        if let Some(write) = under_way.filter(|write| write.state.is_none() || rng.chance(500)) {
            // A state file is replaced as a whole; of the lines behind it the last whole one counts.
            let whole = rng.below(write.log.len() as u64 + 1) as usize;
            self.put(write.state, write.log.into_iter().take(whole).collect());
        }
        self.writes.clear();
        self.writing = false;
        self.ended = false;
    }

    /// Everything on it is lost.
    pub fn lose(&mut self) {
        self.state = None;
        self.log.clear();
    }
}

/// A broken node (mutant): the last entry of its log stands there twice.
pub fn repeat_last_entry(disk: &mut Disk) {
    let last = disk.log.iter().rposition(|line| line.starts_with("{\"entries\""));
    let Some(at) = last else { return };
    let Ok(mut line) = serde_json::from_str::<serde_json::Value>(&disk.log[at]) else { return };
    if let Some(entries) = line["entries"][1].as_array_mut()
        && let Some(entry) = entries.last().cloned()
    {
        entries.push(entry);
    }
    disk.log[at] = line.to_string();
}

/// A broken node (mutant): one that votes in its epoch does not by what stands here.
pub fn forget_voter(disk: &mut Disk, name: &str) {
    let Some(mut state) = disk.state.as_ref().and_then(|state| serde_json::from_str::<serde_json::Value>(state).ok())
    else {
        return;
    };
    if let Some(voters) = state["epoch"]["base"]["voters"].as_array_mut() {
        voters.retain(|voter| voter["name"] != name);
    }
    disk.state = Some(state.to_string());
}
