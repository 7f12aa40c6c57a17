//! The machines with their wires, disks and switches, and everything that is seen of them.

use super::cpio::Archive;
use super::event::{Event, NAMES, What, Who};
use super::files::Setup;
use super::judge::Judge;
use super::kit::{Kit, done, said};
use super::machine::{Ask, Machine};
use super::qemu::Parts;
use super::wires::Wires;
use anyhow::{Context, bail};
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The guests until whole: two or three boots in software on a busy machine.
const START: Duration = Duration::from_secs(120);
/// An order in a guest that lives.
const ORDER: Duration = Duration::from_secs(15);
const SHARED_MB: u64 = 48;
const OWN_MB: u64 = 32;
const SLOTS_MB: u64 = 1;

/// The stage.
pub struct Stage {
    /// The guests, in the order of their names.
    pub machines: Vec<Arc<Machine>>,
    /// What is between them.
    pub wires: Arc<Wires>,
    /// What was seen of the shared file system.
    pub judge: Judge,
    events: Receiver<Event>,
    seen: Vec<Event>,
    broken: Arc<AtomicBool>,
    asks: Option<Sender<Ask>>,
    folder: TempDir,
    began: Instant,
}

impl Stage {
    /// Makes disks and files and switches all guests on.
    ///
    /// # Errors
    /// When something of it cannot be made.
    pub fn new(kit: &Kit, setup: &Setup) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("hearth-vm-").tempdir()?;
        super::leaves(folder.path());
        let shared = disk(&folder, "shared", SHARED_MB)?;
        // Nothing is on it: the first guest prepares it.
        let slots = blank(&folder, "slots", SLOTS_MB)?;
        let wires = Arc::new(Wires::default());
        let (sender, events) = channel();
        let (asks, asked) = channel();
        let mut machines = Vec::new();
        for (who, name) in NAMES.into_iter().enumerate().take(setup.guests()) {
            let initrd = folder.path().join(format!("{name}.initrd"));
            let mut file = File::create(&initrd)?;
            file.write_all(&kit.base.clone().finish())?;
            let mut own: Archive = Archive::default();
            setup.write(who, &mut own);
            file.write_all(&own.finish())?;
            let parts = Parts {
                kernel: kit.kernel.clone(),
                initrd,
                shared: shared.clone(),
                own: disk(&folder, name, OWN_MB)?,
                slots: slots.clone(),
                said: folder.path().to_owned(),
            };
            machines.push(Arc::new(Machine::new(who, parts, wires.clone(), sender.clone(), asks.clone())));
        }
        let broken = Arc::new(AtomicBool::new(false));
        let switched: Vec<_> = machines.iter().map(Arc::downgrade).collect();
        let (state, tell) = (broken.clone(), sender);
        std::thread::spawn(move || {
            for ask in asked {
                let other = switched.iter().enumerate().find(|(who, _)| *who != ask.who);
                let Some(other) = other.and_then(|(_, machine)| machine.upgrade()) else { return };
                power(&ask, &other, &state, &tell);
            }
        });
        let stage = Self {
            machines,
            wires,
            judge: Judge::default(),
            events,
            seen: Vec::new(),
            broken,
            asks: Some(asks),
            folder,
            began: Instant::now(),
        };
        for machine in &stage.machines {
            machine.power_on()?;
        }
        Ok(stage)
    }

    /// Breaks the power switches, or mends them: a broken one says so and switches nothing.
    pub fn break_switches(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    /// Waits until what was seen has it. Returns what `look` found.
    ///
    /// # Errors
    /// When `limit` passes before; with what was waited for.
    pub fn until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Judge, &[Event]) -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = look(&self.judge, &self.seen) {
                return Ok(found);
            }
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => bail!("not within {limit:?}: {what}"),
                Err(RecvTimeoutError::Disconnected) => bail!("nobody tells anything any more"),
            }
        }
    }

    /// Looks on for `span`, whatever happens.
    ///
    /// # Errors
    /// When nobody tells anything any more.
    pub fn watch(&mut self, span: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + span;
        loop {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => bail!("nobody tells anything any more"),
            }
        }
    }

    /// Everything that was seen, without lines.
    pub fn seen(&self) -> &[Event] {
        &self.seen
    }

    /// Asks a guest's daemon until `look` finds what it wants in its status.
    ///
    /// # Errors
    /// When that is not within `limit`; with what the daemon said last.
    pub fn status<T>(
        &mut self,
        who: Who,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Value) -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            let last = match self.machines[who].order("hearth status --json", ORDER) {
                Ok((_, text)) => {
                    if let Some(found) = serde_json::from_str(&text).ok().as_ref().and_then(&mut look) {
                        return Ok(found);
                    }
                    text
                }
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                bail!("{} does not say within {limit:?}: {what}; but {last}", NAMES[who]);
            }
            self.watch(Duration::from_millis(250))?;
        }
    }

    /// What a guest's daemon tells of an event, within a moment.
    ///
    /// # Errors
    /// When it tells nothing at all.
    pub fn told(&mut self, who: Who, event: &str) -> anyhow::Result<Vec<String>> {
        for _ in 0..20 {
            let (_, text) = self.machines[who].order("hearth timeline --json", ORDER)?;
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let told: Vec<String> =
                lines.filter(|line| line.to_string().contains(event)).map(|line| line["text"].to_string()).collect();
            if !told.is_empty() {
                return Ok(told);
            }
            self.watch(Duration::from_millis(250))?;
        }
        Ok(Vec::new())
    }

    /// Waits until all are members, may fence, have their watchdog armed where the setup has one, and one of them writes.
    ///
    /// # Errors
    /// When it does not become so.
    pub fn whole(&mut self, setup: &Setup) -> anyhow::Result<Who> {
        for who in 0..setup.guests() {
            self.status(who, "all are members and well", START, |status| {
                let nodes = status["nodes"].as_array()?;
                let well = nodes.len() == setup.guests()
                    && nodes.iter().all(|node| node["online"] == true && node["unclean"] == false)
                    && (!setup.fences() || status["fencing"]["may_fence"] == true)
                    && (!setup.arms() || nodes.iter().all(|node| node["watchdog"].is_string()))
                    && status["groups"].as_array()?.iter().all(|group| group["state"] == "started");
                well.then_some(())
            })?;
        }
        let from = Instant::now();
        self.until("one of them writes", ORDER, |judge, _| judge.owner().filter(|who| judge.has_written(*who, from)))
    }

    /// Takes the power away and reads what is on the disk: the file system must be whole and every acknowledged line there.
    /// Returns the number of lines.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn close(&mut self) -> anyhow::Result<usize> {
        for machine in &self.machines {
            machine.power_off();
        }
        self.watch(Duration::from_millis(100))?;
        let shared = self.folder.path().join("shared");
        // The journal is played back; then nothing may be left to mend.
        let replayed = Command::new("e2fsck").arg("-p").arg(&shared).output()?;
        if !matches!(replayed.status.code(), Some(0 | 1)) {
            bail!("the file system is damaged: {}", String::from_utf8_lossy(&replayed.stdout));
        }
        said(Command::new("e2fsck").arg("-fn").arg(&shared)).context("the file system is damaged")?;
        let file = said(Command::new("debugfs").args(["-R", "cat /log"]).arg(&shared))?;
        self.judge.compare(&file)
    }

    /// What was seen behind `since`, a line each, and the ends of what guests said.
    pub fn story(&self, since: Instant) -> String {
        let mut story = String::new();
        for event in self.seen.iter().filter(|event| event.at >= since) {
            let at = event.at.duration_since(self.began).as_secs_f64();
            story += &format!("{at:9.3} s  {} {}\n", NAMES[event.who], event.what);
        }
        for name in NAMES {
            for kind in ["console", "hearthd"] {
                let path = self.folder.path().join(format!("{name}.{kind}"));
                let text = std::fs::read(path).unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                let lines: Vec<&str> = text.lines().collect();
                story += &format!("--- {kind} of {name}\n{}\n", lines[lines.len().saturating_sub(40)..].join("\n"));
            }
        }
        story
    }

    fn take(&mut self, event: Event) {
        self.judge.take(&event);
        // Lines are the judge's; a hundred a second of them would hide the rest.
        if !matches!(event.what, What::Wrote(_)) {
            self.seen.push(event);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.asks = None;
        for machine in &self.machines {
            machine.power_off();
        }
    }
}

/// What the switch does with a guest, and what it answers.
fn power(ask: &Ask, other: &Machine, broken: &AtomicBool, tell: &Sender<Event>) {
    let answer = match ask.action.as_str() {
        "monitor" | "list" => "ok",
        _ if broken.load(Ordering::SeqCst) => "that it is broken",
        "off" => {
            other.power_off();
            "ok"
        }
        "on" | "reboot" => {
            if ask.action == "reboot" {
                other.power_off();
            }
            if other.power_on().is_ok() { "ok" } else { "that it cannot switch on" }
        }
        "status" if other.has_power() => "ok",
        "status" => "off",
        _ => "that it does not know this",
    };
    let what = What::Asked(ask.action.clone(), answer.to_owned());
    let _ = tell.send(Event { at: Instant::now(), who: ask.who, run: ask.run, what });
    // Who asked may have lost its power itself.
    let _ = writeln!(&ask.answer, "{} {answer}", ask.id);
}

/// A disk of zeros.
fn blank(folder: &TempDir, name: &str, mb: u64) -> anyhow::Result<PathBuf> {
    let path = folder.path().join(name);
    File::create(&path)?.set_len(mb << 20)?;
    Ok(path)
}

/// An empty ext4 file system in a sparse file.
fn disk(folder: &TempDir, name: &str, mb: u64) -> anyhow::Result<PathBuf> {
    let path = blank(folder, name, mb)?;
    done(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&path))?;
    Ok(path)
}
