//! One run of the daemon: opens everything, connects the threads, ends in order.

use crate::alerts::Alerts;
use crate::control::{self, Askers, ReloadAsked};
use crate::core_thread::Core;
use crate::fences;
use crate::files;
use crate::gatekeeper::Gatekeeper;
use crate::log::{EventLog, Log};
use crate::media::Media;
use crate::network::Network;
use crate::ops::Ops;
use crate::order::{News, Order, Persist, Post, mailbox};
use crate::peers::PeerAddresses;
use crate::recorder::Recorder;
use crate::reload::{Answer, Files, Fresh, Reading, changes, has_read, try_realtime};
use crate::self_fence::Trigger;
use crate::slots::{Claims, Pill, Slots};
use crate::storage::{Storage, StorageError};
use crate::volatile::Volatile;
use crate::watchdog::WatchdogThread;
use crate::{clock, pings, sys};
use hearth_agents::net::AddressAgent;
use hearth_agents::process::{Reaper, become_subreaper};
use hearth_agents::runner::Agents;
use hearth_agents::script::Scripts;
use hearth_config::{Config, FenceKind, KeyMethod, Level, ListChange, Sources};
use hearth_control::Reply;
use hearth_controller::{Controller, Input, Output, Start, StartError};
use hearth_types::{Incarnation, NodeIdentity};
use hearth_wire::{KeyRing, Method};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

/// What the heartbeat and storage threads need; the system's default would be 8 MiB each.
pub(crate) const STACK: usize = 512 << 10;

/// How long scripts of alerts may still take when everything else has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where everything lies.
#[derive(Clone, Debug)]
pub struct Folders {
    /// ha.cf, haresources, authkeys: `/etc/ha.d`.
    pub config: PathBuf,
    /// What outlives the machine's power: `/var/lib/hearth`.
    pub state: PathBuf,
    /// What outlives the daemon: `/run/hearth`.
    pub run: PathBuf,
}

/// Why a run did not begin, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The files are wrong; all complaints, rendered for people.
    #[error("{0}")]
    Configuration(String),
    /// The state cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The state was written by something else, or is damaged inside.
    #[error("the state in {folder} cannot be used: {error}; it is left as it is")]
    State {
        /// Folder.
        folder: String,
        /// Why.
        error: String,
    },
    /// The machine refuses something that nothing goes without.
    #[error("{what}: {error}")]
    Machine {
        /// What.
        what: String,
        /// Why.
        error: io::Error,
    },
}

/// Reads and checks the files of a folder; warnings and notes come with the value, rendered. `node` replaces the host's
/// name, as a file nodeinfo does.
///
/// # Errors
/// [`DaemonError::Configuration`] with every complaint of all three files.
pub fn configuration(folders: &Folders, node: Option<&str>) -> Result<(Config, String), DaemonError> {
    parsed(&sources(folders, node)?, folders)
}

/// The files of a folder as text.
pub(crate) fn sources(folders: &Folders, node: Option<&str>) -> Result<Sources, DaemonError> {
    let mut sources =
        files::read(&folders.config).map_err(|error| DaemonError::Configuration(format!("error: {error}\n")))?;
    if let Some(node) = node {
        sources.nodeinfo = Some(node.to_owned());
    }
    Ok(sources)
}

/// What they say, with warnings and notes.
pub(crate) fn parsed(sources: &Sources, folders: &Folders) -> Result<(Config, String), DaemonError> {
    let parsed = hearth_config::parse(sources, &files::System::new(&folders.config));
    let text = files::render(sources, &parsed.complaints, false);
    match parsed.config {
        Some(config) if parsed.complaints.iter().all(|complaint| complaint.level < Level::Error) => Ok((config, text)),
        _ => Err(DaemonError::Configuration(text)),
    }
}

/// Runs until an orderly end, and returns its reason.
///
/// # Errors
/// See [`DaemonError`]; nothing was started for any but [`DaemonError::Machine`].
pub fn run(config: Config, folders: Folders, node: Option<String>, version: &str) -> Result<String, DaemonError> {
    let machine = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| DaemonError::Machine { what, error }
    };
    sys::one_heap();
    let (log, notes) = Log::start(&config.cluster.logging);
    for note in notes {
        tracing::warn!("{note}");
    }
    let ring = ring(&config).map_err(DaemonError::Configuration)?;
    let (storage, found) = Storage::open(&folders.state)?;
    if let Some(damage) = &found.damage {
        tracing::error!("{damage}. This node comes back as a new member");
    }
    if found.torn {
        tracing::warn!("the last line of the log was cut short, by a power cut; it was never acted on");
    }
    let opened = Volatile::open(&folders.run);
    let (volatile, note, lease) =
        opened.map_err(machine(&format!("the run folder {} cannot be used", folders.run.display())))?;
    let numbers = random().map_err(machine("/dev/urandom cannot be read"))?;
    let start = Start {
        config: config.clone(),
        fresh_identity: NodeIdentity(numbers[0]),
        incarnation: Incarnation(numbers[1]),
        seed: numbers[2],
        state: found.state,
        log: found.log,
        volatile: note,
        volatile_lease: lease,
        now: clock::now(),
        version: version.to_owned(),
    };
    let recorder = config.cluster.record.and_then(|size| record(&folders, size, &start));
    let controller = Controller::new(start).map_err(|error| match error {
        StartError::State(error) => DaemonError::State { folder: folders.state.display().to_string(), error },
    })?;
    become_subreaper().map_err(machine("orphans of scripts cannot be watched"))?;
    let agent = Arc::new(AddressAgent::new().map_err(machine("addresses cannot be managed (netlink)"))?);
    let (post, mailbox) = mailbox().map_err(machine("threads cannot be connected"))?;
    let (orders, ordered) = tokio::sync::mpsc::unbounded_channel();
    let persists = store(storage, post.clone()).map_err(machine("no thread can be started"))?;
    let realtime = config.cluster.realtime.then_some(config.cluster.rtprio);
    let core = Core {
        controller,
        media: Media::new(&config.cluster.media),
        peers: PeerAddresses::new(config.cluster.local.clone()),
        ring,
        gate: Gatekeeper::open(config.is_gated(), config.cluster.timing.lease(), agent.clone()),
        volatile,
        watchdog: WatchdogThread::new(post.clone(), realtime),
        trigger: config.cluster.self_fence.is_some().then(Trigger::open),
        mailbox,
        orders,
        persists,
        realtime,
        recorder,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .thread_stack_size(STACK)
        .build()
        .map_err(machine("the runtime cannot be made"))?;
    let ended = runtime.block_on(async {
        let main = Main::start(config, log, folders, (node, version), post, agent)
            .map_err(machine("the network cannot be watched"))?;
        let (done, finished) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("heartbeat".into())
            .stack_size(STACK)
            // The receiver is gone only if the main thread ended first.
            .spawn(move || drop(done.send(core.run())))
            .map_err(machine("no thread can be started"))?;
        main.serve(ordered, finished).await.map_err(machine("the heartbeat thread failed"))
    });
    // Scripts that still run keep running; they are no child of this runtime's shutdown.
    runtime.shutdown_background();
    ended
}

/// Begins the recording; without it the daemon runs as well.
fn record(folders: &Folders, size: u64, start: &Start) -> Option<Recorder> {
    let folder = folders.state.join("recording");
    let begun = Recorder::start(&folder, size, start);
    begun.inspect_err(|error| tracing::warn!("this run is not recorded: {}: {error}", folder.display())).ok()
}

pub(crate) fn ring(config: &Config) -> Result<KeyRing, String> {
    let method = |method| match method {
        KeyMethod::Crc => Method::Crc,
        KeyMethod::Md5 => Method::Md5,
        KeyMethod::Sha1 => Method::Sha1,
        KeyMethod::Sha256 => Method::Sha256,
    };
    let keys = config.keys.keys.iter().map(|(index, key)| (*index, method(key.method), key.text.clone()));
    let ring = KeyRing::new(&config.cluster.name, config.keys.signing, keys).map_err(|error| error.to_string())?;
    Ok(ring.held_at(config.cluster.wire_version))
}

fn random() -> io::Result<[u64; 3]> {
    let mut bytes = [0; 24];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut numbers = [0; 3];
    for (number, chunk) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = chunk.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    }
    Ok(numbers)
}

fn store(mut storage: Storage, post: Post) -> io::Result<mpsc::Sender<Persist>> {
    let (sender, receiver) = mpsc::channel::<Persist>();
    std::thread::Builder::new().name("storage".into()).stack_size(STACK).spawn(move || {
        for persist in receiver {
            let result = storage.persist(persist.state.as_deref(), &persist.log);
            post.send(News::Persisted(persist.ticket, result));
        }
    })?;
    Ok(sender)
}

/// The main thread's share.
struct Main {
    alerts: Alerts,
    config: Config,
    log: Log,
    agent: Arc<AddressAgent>,
    folders: Folders,
    node: Option<String>,
    post: Post,
    network: Network,
    ops: Ops,
    slots: Slots,
    claims: Claims,
    askers: Askers,
    events: EventLog,
    reloads: tokio::sync::mpsc::Receiver<ReloadAsked>,
    pings: JoinHandle<()>,
    /// Other lists of nodes for the files, one after the other.
    lists: VecDeque<(u64, ListChange, bool)>,
}

impl Main {
    fn start(
        config: Config,
        log: Log,
        folders: Folders,
        (node, version): (Option<String>, &str),
        post: Post,
        agent: Arc<AddressAgent>,
    ) -> io::Result<Main> {
        let network = Network::start(post.clone(), agent.clone())?;
        let ops = Ops::new(agents(&config, &folders, &agent), post.clone());
        let askers = Askers::default();
        let listener = control::listen(&folders.run.join("control"))?;
        let (reload, reloads) = tokio::sync::mpsc::channel(1);
        tokio::spawn(control::serve(listener, askers.clone(), post.clone(), reload));
        tokio::spawn(async {
            if let Err(error) = Reaper::prompt().run().await {
                tracing::warn!("orphans of scripts are not reaped: {error}");
            }
        });
        let pings = ping(&config, &post);
        let slots = Slots::new(post.clone(), config.cluster.local.clone());
        let claims = Claims::new(post.clone(), config.cluster.local.clone());
        let alerts = Alerts::new(version, &scripts(&config, &folders), post.clone());
        Ok(Main {
            alerts,
            config,
            log,
            agent,
            folders,
            node,
            post,
            network,
            ops,
            slots,
            claims,
            askers,
            events: EventLog::new(),
            reloads,
            pings,
            lists: VecDeque::new(),
        })
    }

    async fn serve(
        mut self,
        mut ordered: tokio::sync::mpsc::UnboundedReceiver<Order>,
        mut finished: tokio::sync::oneshot::Receiver<io::Result<()>>,
    ) -> io::Result<String> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // A supervisor hands its blocked signals down; nothing is lost that came before the handlers above. Threads of
        // before this line keep them blocked, and scripts of after it have none blocked.
        nix::sys::signal::SigSet::all().thread_unblock()?;
        tell_systemd(&[sd_notify::NotifyState::Ready]);
        let mut alive =
            tokio::time::interval(sd_notify::watchdog_enabled().map_or(Duration::from_secs(3600), |span| span / 3));
        let (mut reason, mut reading) = (None, None);
        loop {
            if reading.is_none()
                && let Some((id, change, commit)) = self.lists.pop_front()
            {
                let by = format!("a change of the list of nodes ({})", change.node());
                reading = Some(self.read(by, Answer::List { id, commit }, Some((change, commit))));
            }
            tokio::select! {
                biased;
                order = ordered.recv() => match order {
                    Some(Order::Output(output)) => reason = self.obey(*output).or(reason),
                    Some(Order::LastWords(what, done)) => {
                        tracing::error!("this machine resets itself now: {what} has not stopped");
                        drop(done);
                    }
                    None => {
                        // The heartbeat thread is gone, and everything that it ordered is done.
                        let ended = (&mut finished).await.map_err(|_| io::Error::other("it panicked"))?;
                        self.pings.abort();
                        self.askers.finish().await;
                        self.alerts.finish(LAST_WORDS).await;
                        return ended.map(|()| reason.unwrap_or_else(|| "stopped".into()));
                    }
                },
                Some(asked) = self.reloads.recv(), if reading.is_none() => {
                    reading = Some(self.read(asked.by, Answer::Client(asked.answer), None));
                }
                _ = hangup.recv(), if reading.is_none() => reading = Some(self.read("SIGHUP".into(), Answer::Nobody, None)),
                files = has_read(&mut reading) => if let Some(reading) = reading.take() {
                    self.reload(reading, files);
                },
                _ = terminate.recv() => self.post.input(Input::Shutdown { by: "SIGTERM".into() }),
                _ = interrupt.recv() => self.post.input(Input::Shutdown { by: "SIGINT".into() }),
                _ = alive.tick() => tell_systemd(&[sd_notify::NotifyState::Watchdog]),
                () = self.events.left_out() => self.events.renew(),
                () = self.network.next() => {}
            }
        }
    }

    /// Does what the heartbeat thread leaves to this one; the reason if it is the last.
    fn obey(&mut self, output: Output) -> Option<String> {
        match output {
            Output::StartOp(request) => self.ops.start(request),
            Output::CancelOp(id) => self.ops.cancel(id),
            Output::Fence { id, device, node: target, task, timeout, heard_at } if device.kind == FenceKind::Disk => {
                self.slots.pill(Pill { id, target, task, timeout, heard_at });
            }
            Output::Slot { order } => self.slots.state(order),
            Output::Tiebreaker { order } => self.claims.order(order),
            Output::Fence { id, device, node, task, timeout, .. } => {
                let order = (id, node, task, timeout);
                fences::start(&self.config.cluster.fencing, &device, order, self.post.clone());
            }
            Output::Alert { id, alert, program, recipient, timeout } => {
                self.alerts.tell(id, &alert, (program, recipient), timeout);
            }
            Output::ChangeList { id, change, commit } => self.lists.push_back((id, change, commit)),
            Output::Guard { resources } => self.network.guard(&resources),
            Output::AskWire { resources } => self.network.ask(resources),
            Output::ProbePeer { nodes } => self.network.probe(nodes),
            Output::Announce { resources, burst } => self.network.announce(&resources, burst),
            Output::Reply { token, reply, more } => self.askers.answer(token, reply, more),
            Output::Event(event) => {
                if event.name == "stopping" && event.subject == self.config.cluster.local.as_str() {
                    tell_systemd(&[sd_notify::NotifyState::Stopping]);
                }
                self.events.write(&event);
            }
            Output::Halt { reason } => return Some(reason),
            Output::Send { .. }
            | Output::GateTick { .. }
            | Output::GateShut { .. }
            | Output::RenewLifetime { .. }
            | Output::Persist { .. }
            | Output::Volatile { .. }
            | Output::VolatileLease { .. }
            | Output::PetWatchdog { .. }
            | Output::ResetSelf { .. }
            | Output::CloseWatchdog => debug_assert!(false, "done on the heartbeat thread"),
        }
        None
    }

    /// Begins to read all three files again. Names in them may be asked for over a network: others are answered meanwhile.
    fn read(&self, by: String, answer: Answer, edit: Option<(ListChange, bool)>) -> Reading {
        let (folders, node) = (self.folders.clone(), self.node.clone());
        let task = tokio::spawn(Fresh::read(folders, node, self.config.clone(), self.post.clone(), edit));
        Reading { task, by, answer, began: Instant::now() }
    }

    fn reload(&mut self, reading: Reading, files: Files) {
        let digest = files.as_ref().map(|fresh| hearth_config::digest(&fresh.config).0).map_err(ToString::to_string);
        if let Answer::List { id, commit: false } = reading.answer {
            return self.post.input(Input::ListChanged { id, result: digest });
        }
        let reply = self.take_over(&reading.by, reading.began, files);
        match &reply {
            Reply::Refused { reason, .. } => tracing::error!("the files were not taken over:\n{reason}"),
            Reply::Done { text, .. } => text.lines().for_each(|line| tracing::info!("{}", line.trim_start())),
            _ => {}
        }
        match reading.answer {
            // A client that hung up meanwhile does not hear it.
            Answer::Client(answer) => drop(answer.send(reply)),
            Answer::List { id, .. } => {
                let result = match reply {
                    Reply::Refused { reason, .. } => Err(reason),
                    _ => digest,
                };
                self.post.input(Input::ListChanged { id, result });
            }
            Answer::Nobody => {}
        }
    }

    /// Uses the files; a bad one is refused whole.
    fn take_over(&mut self, by: &str, began: Instant, files: Files) -> Reply {
        let refused = |reason: String| Reply::Refused {
            reason,
            help: Some("nothing was changed; mend the files and reload again".into()),
            quorum: false,
        };
        let mut fresh = match files {
            Ok(good) => good,
            Err(error) => return refused(error.to_string()),
        };
        let (old, new) = (&self.config.cluster, &fresh.config.cluster);
        // The last of what can fail; from here on everything takes effect.
        if let Err(reason) = try_realtime(old, new) {
            return refused(reason);
        }
        let text = format!("reloaded by {by}:\n  {}", changes(&self.config, &fresh.config).join("\n  "));
        self.log.switch(std::mem::take(&mut fresh.log));
        self.ops.use_agents(agents(&fresh.config, &self.folders, &self.agent));
        self.alerts.reconfigure(&fresh.config.cluster.alerts, &scripts(&fresh.config, &self.folders));
        self.pings.abort();
        self.pings = ping(&fresh.config, &self.post);
        self.config = fresh.config.clone();
        let notes = std::mem::take(&mut fresh.notes);
        self.post.send(News::Reconfigured(Box::new(fresh.reloaded())));
        let mut notes: Vec<String> = notes.split("\n\n").map(str::to_owned).collect();
        // The last one only counts them.
        notes.pop();
        Reply::Done { text, took_ms: began.elapsed().as_millis() as u64, notes }
    }
}

/// The agents as the files want them: where scripts lie and what they are told.
fn agents(config: &Config, folders: &Folders, addresses: &Arc<AddressAgent>) -> Agents {
    Agents::new(scripts(config, folders), addresses.clone())
}

fn scripts(config: &Config, folders: &Folders) -> Scripts {
    let shipped = std::env::var_os("HEARTH_RESOURCE_DIR").unwrap_or_else(|| "/usr/lib/hearth/resource.d".into());
    let logging = &config.cluster.logging;
    Scripts::usual(&folders.config, shipped.as_ref(), config.cluster.local.clone())
        .with_env(&config.cluster.env)
        .with_logging(
            logging.debug,
            logging.logfile.as_deref(),
            logging.debugfile.as_deref(),
            logging.facility.as_deref(),
        )
}

fn ping(config: &Config, post: &Post) -> JoinHandle<()> {
    let (targets, every) = (config.cluster.ping_targets.clone(), config.cluster.timing.keepalive);
    let post = post.clone();
    tokio::spawn(async move {
        if let Err(error) = pings::run(targets, every, post).await {
            tracing::error!("ping nodes cannot be asked: {error}");
        }
    })
}

fn tell_systemd(state: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(state);
}
