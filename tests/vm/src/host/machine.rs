//! A guest with its power button: what it says, what it is told, and how it is stopped in every way that there is.

use super::event::{Event, NAMES, What, Who};
use super::qemu::{self, Parts};
use super::wires::Wires;
use crate::sys;
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long QEMU itself may take to answer: it is nice to everybody, and the machine may be busy.
const QMP_LIMIT: Duration = Duration::from_secs(10);

/// Somebody asks for power.
pub struct Ask {
    /// The guest that asks.
    pub who: Who,
    /// Which start of it.
    pub run: u32,
    /// Names the question in the answer.
    pub id: String,
    /// `off`, `on`, `reboot`, `status`, `monitor` ...
    pub action: String,
    /// Where the answer goes.
    pub answer: UnixStream,
}

/// One guest, with or without power.
pub struct Machine {
    who: Who,
    parts: Parts,
    wires: Arc<Wires>,
    events: Sender<Event>,
    asks: Sender<Ask>,
    running: Mutex<Option<Running>>,
    starts: AtomicU64,
}

struct Running {
    child: Child,
    run: u32,
    gone: Arc<AtomicBool>,
    qmp: UnixStream,
    returns: Receiver<Value>,
    orders: Arc<Mutex<UnixStream>>,
    waiting: Arc<Waiting>,
}

/// Orders that have no answer yet.
#[derive(Default)]
struct Waiting {
    next: AtomicU64,
    answers: Mutex<BTreeMap<String, Sender<(i64, String)>>>,
}

impl Machine {
    /// A machine without power.
    pub fn new(who: Who, parts: Parts, wires: Arc<Wires>, events: Sender<Event>, asks: Sender<Ask>) -> Self {
        Self { who, parts, wires, events, asks, running: Mutex::new(None), starts: AtomicU64::new(0) }
    }

    /// Switches it on, where it is not.
    ///
    /// # Errors
    /// When QEMU cannot be started or does not speak.
    pub fn power_on(&self) -> anyhow::Result<()> {
        let mut running = self.running();
        if running.is_some() {
            return Ok(());
        }
        let run = self.starts.fetch_add(1, Ordering::SeqCst) as u32;
        let (child, ends) = qemu::start(self.who, &self.parts).context("QEMU cannot be started")?;
        let gone = Arc::new(AtomicBool::new(false));
        let (sender, returns) = channel();
        let waiting = Arc::new(Waiting::default());
        // From here on what was started is ended, whatever fails.
        let new = running.insert(Running {
            child,
            run,
            gone: gone.clone(),
            qmp: ends.qmp.try_clone()?,
            returns,
            orders: Arc::new(Mutex::new(ends.orders.try_clone()?)),
            waiting: waiting.clone(),
        });
        self.wires.plug(self.who, ends.network, ends.line, gone)?;
        self.listen(run, ends.tell, told);
        self.listen(run, ends.write, wrote);
        self.listen_qmp(run, ends.qmp, sender);
        self.listen_power(run, ends.power)?;
        std::thread::spawn(move || hear(ends.orders, &waiting));
        new.qmp(&json!({ "execute": "qmp_capabilities" })).map(drop)
    }

    /// Takes its power away: SIGKILL of its QEMU. Returns when nothing of it runs.
    pub fn power_off(&self) {
        let mut running = self.running();
        let Some(mut old) = running.take() else { return };
        old.gone.store(true, Ordering::SeqCst);
        // It may have ended by itself.
        let _ = old.child.kill();
        let _ = old.child.wait();
        let _ = self.events.send(Event { at: Instant::now(), who: self.who, run: old.run, what: What::Gone });
    }

    /// Whether it has power.
    pub fn has_power(&self) -> bool {
        self.running().is_some()
    }

    /// Runs a line of shell in the guest: exit code and what it says.
    ///
    /// # Errors
    /// When nothing answers within `limit`.
    pub fn order(&self, line: &str, limit: Duration) -> anyhow::Result<(i64, String)> {
        let (answer, orders, id, waiting) = {
            let running = self.running();
            let running = running.as_ref().context("it has no power")?;
            let id = format!("{}-{}", running.run, running.waiting.next.fetch_add(1, Ordering::SeqCst));
            let (sender, answer) = channel();
            running.waiting.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), sender);
            (answer, running.orders.clone(), id, running.waiting.clone())
        };
        writeln!(orders.lock().unwrap_or_else(PoisonError::into_inner), "{id} {line}")?;
        let answered = answer.recv_timeout(limit);
        waiting.answers.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        answered.with_context(|| format!("{} does not answer within {limit:?}: {line}", NAMES[self.who]))
    }

    /// Says it, and waits for nothing: what it does may end the guest.
    ///
    /// # Errors
    /// When the guest has no power.
    pub fn tell(&self, line: &str) -> anyhow::Result<()> {
        let running = self.running();
        let running = running.as_ref().context("it has no power")?;
        let mut orders = running.orders.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(orders, "none {line}").context("it hears no orders")
    }

    /// The hypervisor stops the guest, or lets it go on; its clocks stand still meanwhile.
    ///
    /// # Errors
    /// When QEMU does not obey.
    pub fn pause(&self, pause: bool) -> anyhow::Result<()> {
        self.qmp(&json!({ "execute": if pause { "stop" } else { "cont" } })).map(drop)
    }

    /// Pulls the guest's network cable, or plugs it: its carrier goes and comes.
    ///
    /// # Errors
    /// When QEMU does not obey.
    pub fn carrier(&self, up: bool) -> anyhow::Result<()> {
        self.qmp(&json!({ "execute": "set_link", "arguments": { "name": "net", "up": up } })).map(drop)
    }

    /// Stops the thread that is the guest's processor, until what is returned is dropped; what of the machine is hardware
    /// goes on. Only the calling thread can let it go.
    ///
    /// # Errors
    /// When it cannot be stopped without the rest of QEMU.
    pub fn freeze_processor(&self) -> anyhow::Result<Frozen> {
        let found = self.qmp(&json!({ "execute": "query-cpus-fast" }))?;
        let thread = found[0]["thread-id"].as_i64().and_then(|thread| i32::try_from(thread).ok());
        let thread = thread.context("QEMU does not name the thread of its processor")?;
        for _ in 0..20 {
            sys::stop_thread(thread).context("the processor's thread cannot be stopped")?;
            let frozen = Frozen(thread);
            let running = self.running();
            let running = running.as_ref().context("it has no power")?;
            // Stopped where it held QEMU's lock, all of the machine would stand still.
            if running.ask(&json!({ "execute": "query-status" }), Duration::from_millis(300)).is_ok() {
                return Ok(frozen);
            }
            drop(frozen);
            // The answer to what was asked comes now.
            running.returns.recv_timeout(QMP_LIMIT).context("QEMU does not come back")?;
        }
        bail!("the processor always holds QEMU's lock when it is stopped")
    }

    fn qmp(&self, command: &Value) -> anyhow::Result<Value> {
        self.running().as_ref().context("it has no power")?.qmp(command)
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread that turns lines into events until the guest has no power.
    fn listen(&self, run: u32, from: UnixStream, read: fn(&str) -> Option<What>) {
        let (who, events) = (self.who, self.events.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                if let Some(what) = read(&line) {
                    let _ = events.send(Event { at: Instant::now(), who, run, what });
                }
            }
        });
    }

    fn listen_qmp(&self, run: u32, from: UnixStream, returns: Sender<Value>) {
        let (who, events) = (self.who, self.events.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let at = Instant::now();
                let Ok(said) = serde_json::from_str::<Value>(&line) else { continue };
                let what = match said["event"].as_str() {
                    Some("RESET") => What::Reset,
                    Some("WATCHDOG") => What::Watchdog,
                    Some(_) => continue,
                    None => {
                        if said.get("return").is_some() || said.get("error").is_some() {
                            let _ = returns.send(said);
                        }
                        continue;
                    }
                };
                let _ = events.send(Event { at, who, run, what });
            }
            let _ = events.send(Event { at: Instant::now(), who, run, what: What::Gone });
        });
    }

    fn listen_power(&self, run: u32, from: UnixStream) -> std::io::Result<()> {
        let (who, asks, back) = (self.who, self.asks.clone(), from.try_clone()?);
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                if let Some((id, action)) = line.split_once(' ')
                    && let Ok(answer) = back.try_clone()
                {
                    let _ = asks.send(Ask { who, run, id: id.into(), action: action.into(), answer });
                }
            }
        });
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.power_off();
    }
}

/// A processor that stands still.
#[must_use]
pub struct Frozen(i32);

impl Drop for Frozen {
    fn drop(&mut self) {
        // Where it has ended meanwhile there is nothing to let go.
        let _ = sys::release_thread(self.0);
    }
}

impl Running {
    fn qmp(&self, command: &Value) -> anyhow::Result<Value> {
        self.ask(command, QMP_LIMIT)
    }

    fn ask(&self, command: &Value, limit: Duration) -> anyhow::Result<Value> {
        writeln!(&self.qmp, "{command}")?;
        let mut said = self.returns.recv_timeout(limit).with_context(|| format!("QEMU does not answer {command}"))?;
        if said.get("error").is_some() {
            bail!("QEMU refuses {command}: {}", said["error"]);
        }
        Ok(said["return"].take())
    }
}

fn told(line: &str) -> Option<What> {
    match line.split(' ').next()? {
        "up" => Some(What::Up),
        "mounted" => Some(What::Mounted),
        "unmounted" => Some(What::Unmounted),
        _ => None,
    }
}

fn wrote(line: &str) -> Option<What> {
    match line.split_once(' ')? {
        ("open", number) => number.parse().ok().map(What::Opened),
        ("wrote", number) => number.parse().ok().map(What::Wrote),
        ("trouble", said) => Some(What::Trouble(said.into())),
        _ => None,
    }
}

/// Answers of process 1 on their way to who asked.
fn hear(from: UnixStream, waiting: &Waiting) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        let Ok(answer) = serde_json::from_str::<Value>(&line) else { continue };
        let id = answer["id"].as_str().unwrap_or_default();
        let asked = waiting.answers.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(asked) = asked {
            let said = answer["said"].as_str().unwrap_or_default().to_owned();
            let _ = asked.send((answer["code"].as_i64().unwrap_or(-1), said));
        }
    }
}
