//! The thread that looks at this machine's slot on a shared disk (`stonith disk`) and puts pills into those of others; the
//! one that claims there to go on alone (`tiebreaker disk`) is in `claims`.
//!
//! A disk may hang for minutes. Nobody waits for this thread: what it finds it tells, how old that is the controller sees
//! for itself, and an order that the disk does not answer in time is answered without it.

mod claims;
mod file;

pub(crate) use claims::Claims;
pub use file::SharedDisk;

use crate::clock;
use crate::order::Post;
use hearth_config::{SLOT_EVERY, SLOT_IO};
use hearth_controller::{Input, SlotOrder, SlotSeen};
use hearth_slots::{Found, Guard, Id, Keeper, Stated};
use hearth_types::{FenceId, FenceTask, NodeName, Timestamp};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// An order of the controller to put a pill into a slot, or to say whether one would work.
pub(crate) struct Pill {
    pub(crate) id: FenceId,
    pub(crate) target: NodeName,
    pub(crate) task: FenceTask,
    pub(crate) timeout: Duration,
    pub(crate) heard_at: Option<Timestamp>,
}

/// One that waits for its end; whoever is first to set the flag answers.
struct Waiting {
    pill: Pill,
    began: Instant,
    answered: Arc<AtomicBool>,
}

enum Job {
    State(SlotOrder),
    Pill(Waiting),
}

/// The main thread's end. There is a thread while there is a disk.
pub(crate) struct Slots {
    post: Post,
    local: NodeName,
    running: Option<(String, Sender<Job>, Arc<AtomicBool>)>,
}

impl Slots {
    pub(crate) fn new(post: Post, local: NodeName) -> Slots {
        Slots { post, local, running: None }
    }

    /// What is to be stated from now on; another disk has another thread, because the old one may hang for ever.
    pub(crate) fn state(&mut self, order: Option<SlotOrder>) {
        let same = |order: &SlotOrder| self.running.as_ref().is_some_and(|(device, ..)| *device == order.device);
        if !order.as_ref().is_some_and(same)
            && let Some((_, _, over)) = self.running.take()
        {
            over.store(true, Ordering::Relaxed);
        }
        let Some(order) = order else { return };
        if self.running.is_none() {
            match begin(&order.device, self.local.clone(), self.post.clone()) {
                Ok((jobs, over)) => self.running = Some((order.device.clone(), jobs, over)),
                Err(error) => {
                    let trouble = format!("no thread can be started for it ({error})");
                    return self.post.input(Input::SlotSeen(Err(trouble)));
                }
            }
        }
        if let Some((_, jobs, _)) = &self.running {
            // Fails only if the thread panicked: then nothing is looked at, which ends the right to hold anything.
            let _ = jobs.send(Job::State(order));
        }
    }

    /// Does it; its end is reported, whatever happens. Needs the tokio runtime.
    pub(crate) fn pill(&self, pill: Pill) {
        let (answered, began) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let (id, timeout, post, first) = (pill.id, pill.timeout, self.post.clone(), answered.clone());
        if let Some((_, jobs, _)) = &self.running {
            let _ = jobs.send(Job::Pill(Waiting { pill, began, answered }));
        }
        tokio::spawn(async move {
            // The thread says it in time, and why, unless it hangs.
            tokio::time::sleep(timeout + SLOT_IO / 2).await;
            if !first.swap(true, Ordering::Relaxed) {
                let result = Err("the disk does not answer".to_owned());
                post.input(Input::FenceFinished { id, result, took: began.elapsed() });
            }
        });
    }
}

fn begin(device: &str, local: NodeName, post: Post) -> io::Result<(Sender<Job>, Arc<AtomicBool>)> {
    let (jobs, waiting) = mpsc::channel();
    let over = Arc::new(AtomicBool::new(false));
    let (path, ends) = (PathBuf::from(device), over.clone());
    let boot = boot_id()?;
    std::thread::Builder::new().name("shared-disk".into()).stack_size(crate::daemon::STACK).spawn(move || {
        let keeper = Keeper::new(local, boot);
        let looker = Looker { path, disk: None, keeper, stated: None, waiting: BTreeMap::new(), post, over: ends };
        looker.run(&waiting);
    })?;
    Ok((jobs, over))
}

/// What names this boot of the machine.
fn boot_id() -> io::Result<Id> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let digits: Vec<u8> = text.chars().filter_map(|letter| letter.to_digit(16)).map(|digit| digit as u8).collect();
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Ok(id)
}

/// Milliseconds of wall time, for people.
fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_millis() as u64)
}

/// A number that no pill had before.
fn number() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes).max(1))
}

/// What the thread knows.
struct Looker {
    path: PathBuf,
    disk: Option<SharedDisk>,
    keeper: Keeper,
    stated: Option<SlotOrder>,
    waiting: BTreeMap<FenceId, Waiting>,
    post: Post,
    /// Another disk is used by now.
    over: Arc<AtomicBool>,
}

impl Looker {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut next = Instant::now();
        while !self.over.load(Ordering::Relaxed) {
            match jobs.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Job::State(order)) => {
                    // A watchdog that was just armed is stated at once: before that a pill proves nothing here.
                    next = Instant::now();
                    self.stated = Some(order);
                }
                Ok(Job::Pill(waiting)) => self.begin(waiting),
                Err(RecvTimeoutError::Timeout) => {
                    next = Instant::now() + SLOT_EVERY;
                    self.look();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.answer();
        }
    }

    fn look(&mut self) {
        let Some(order) = self.stated.clone() else { return };
        let stated = Stated {
            patience: order.patience,
            guard: match order.watchdog {
                None => Guard::None,
                Some((_, false)) => Guard::Software,
                Some((_, true)) => Guard::Hardware,
            },
            timeout: order.watchdog.map_or(Duration::ZERO, |(timeout, _)| timeout),
        };
        let found = self.open().and_then(|()| {
            let Some(disk) = &mut self.disk else { return Err("it is not open".to_owned()) };
            self.keeper.look(disk, &stated, wall_ms(), clock::now)
        });
        if found.is_err() {
            // A path that came back is a new one.
            self.disk = None;
        }
        if self.over.load(Ordering::Relaxed) {
            return;
        }
        let seen = found.map(|Found { began_at, pill }| SlotSeen { began_at, patience: stated.patience, pill });
        self.post.input(Input::SlotSeen(seen));
    }

    fn open(&mut self) -> Result<(), String> {
        if self.disk.is_none() {
            self.disk = Some(SharedDisk::open(&self.path)?);
        }
        Ok(())
    }

    fn begin(&mut self, waiting: Waiting) {
        let (id, target, heard_at) = (waiting.pill.id, waiting.pill.target.clone(), waiting.pill.heard_at);
        let fences = matches!(waiting.pill.task, FenceTask::Off | FenceTask::Reboot);
        self.waiting.insert(id, waiting);
        if !fences {
            return;
        }
        let done = self.open().and_then(|()| {
            let number = number().map_err(|error| error.to_string())?;
            let Some(disk) = &mut self.disk else { return Err("it is not open".to_owned()) };
            self.keeper.fence(disk, (id, &target), (number, wall_ms()), heard_at, clock::now)
        });
        if let Err(why) = done {
            self.say(id, Err(why));
        }
    }

    /// Says what has ended, and what has taken too long.
    fn answer(&mut self) {
        for (id, result) in self.keeper.take_ended() {
            self.say(id, result);
        }
        let now = clock::now();
        for id in self.waiting.keys().copied().collect::<Vec<_>>() {
            let Some(Waiting { pill, began, .. }) = self.waiting.get(&id) else { continue };
            let late = began.elapsed() >= pill.timeout;
            let checked = (pill.task == FenceTask::Check).then(|| self.keeper.check(&pill.target, pill.heard_at, now));
            match checked {
                // A peer that has just begun to look is waited for.
                Some(Err(_)) if !late => {}
                Some(result) => self.say(id, result),
                None if late => {
                    let why = self.keeper.give_up(id).unwrap_or_else(|| "it was not done in time".to_owned());
                    self.say(id, Err(why));
                }
                None => {}
            }
        }
    }

    fn say(&mut self, id: FenceId, result: Result<String, String>) {
        let Some(waiting) = self.waiting.remove(&id) else { return };
        if !waiting.answered.swap(true, Ordering::Relaxed) {
            let took = waiting.began.elapsed();
            self.post.input(Input::FenceFinished { id, result, took });
        }
    }
}

/// Gives nodes slots on a disk that holds nothing else.
///
/// # Errors
/// What is in the way, for people.
pub fn init(path: &Path, owners: &[NodeName], anyway: bool) -> Result<(), String> {
    let mut disk = SharedDisk::open(path)?;
    let slots = hearth_slots::SLOTS_MAX;
    let mut area = vec![0; hearth_slots::area(slots) as usize];
    hearth_slots::Device::read(&mut disk, 0, &mut area)
        .map_err(|why| format!("{why}; {} KiB are needed", hearth_slots::area(slots) / 1024))?;
    if !anyway && area.iter().any(|byte| *byte != 0) {
        let what = match hearth_slots::Header::decode(&area) {
            Ok(_) => "it holds slots of hearth already; `hearth disk show` shows them",
            Err(_) => "it holds something else, in its first bytes",
        };
        return Err(what.to_owned());
    }
    let mut id = [0; 16];
    let drawn = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut id));
    drawn.map_err(|error| error.to_string())?;
    hearth_slots::init(&mut disk, id, slots, owners)
}

/// Gives one node more a slot.
///
/// # Errors
/// Why not, for people.
pub fn add(path: &Path, owner: &NodeName) -> Result<(), String> {
    hearth_slots::add(&mut SharedDisk::open(path)?, owner)
}

/// A line for each slot that has an owner, below one for the disk.
///
/// # Errors
/// It cannot be read, or holds no slots; for people.
pub fn show(path: &Path) -> Result<Vec<String>, String> {
    let mut disk = SharedDisk::open(path)?;
    let shown = hearth_slots::show(&mut disk)?.map_err(|damage| damage.to_string())?;
    let mut lines = vec![format!("{} slots, disk {}", shown.header.slots, hex(&shown.header.disk))];
    let now = wall_ms();
    for (number, slot) in shown.slots.iter().enumerate() {
        let heart = match &slot.heart {
            Ok(heart) => heart,
            Err(damage) => {
                lines.push(format!("slot {number}: {damage}"));
                continue;
            }
        };
        let Some(owner) = &heart.owner else { continue };
        let looked = match heart.boot {
            boot if boot == [0; 16] => "has never looked".to_owned(),
            _ => format!(
                "looked {:.1} s ago by its clock and ours, bears {:?} without a look, {}",
                now.saturating_sub(heart.wall_ms) as f64 / 1000.0,
                heart.stated.patience,
                heart.guard_in_words()
            ),
        };
        let mail = match &slot.pill {
            Ok(pill) if pill.number == 0 => String::new(),
            Ok(pill) if pill.number == heart.taken => "; an old pill".to_owned(),
            Ok(pill) => {
                let by = pill.by.as_ref().map_or("somebody", NodeName::as_str);
                format!("; A PILL of {by}, {:.1} s old", now.saturating_sub(pill.wall_ms) as f64 / 1000.0)
            }
            Err(damage) => format!("; its mailbox: {damage}"),
        };
        let claim = match &slot.claim {
            Ok(claim) if claim.wall_ms == 0 => String::new(),
            Ok(claim) => {
                let age = now.saturating_sub(claim.wall_ms) as f64 / 1000.0;
                let vote =
                    claim.favour.as_ref().map_or("for nobody".to_owned(), |favour| format!("for {}", favour.node));
                format!("; wrote its claim {age:.1} s ago: term {}, {vote}", claim.term)
            }
            Err(damage) => format!("; its claim: {damage}"),
        };
        lines.push(format!("slot {number}: {owner} {looked}{mail}{claim}"));
    }
    Ok(lines)
}

fn hex(id: &Id) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
