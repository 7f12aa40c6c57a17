//! The heartbeat thread: one loop that owns the controller, the media and the gate.
//!
//! Each turn feeds what is due by the clock first, then a bounded number of packets, then the rest, so that no flood
//! holds up a timer. It never waits for a disk, a process or a client (R-WIRE-7, R-LEDGER-3).

use crate::clock;
use crate::gatekeeper::Gatekeeper;
use crate::media::{Change, Media};
use crate::order::{Mailbox, News, Order, Persist, Reloaded};
use crate::peers::PeerAddresses;
use crate::recorder::Recorder;
use crate::refused::RefusedCount;
use crate::sealed::Sealed;
use crate::self_fence::Trigger;
use crate::signers::Signers;
use crate::sys;
use crate::volatile::Volatile;
use crate::watchdog::WatchdogThread;
use hearth_controller::{Controller, HeldBack, Input, Next, Output};
use hearth_types::{LinkId, Timestamp};
use hearth_wire::{KeyRing, Message};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::time::Duration;

/// Packets looked at between two looks at the clock: 64 forged ones cost about 20 us.
const PACKETS: usize = 64;
/// Other news between two looks at the clock.
const NEWS: usize = 64;
/// How long a machine that resets itself waits for what is written of it.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Everything the thread owns.
pub(crate) struct Core {
    pub(crate) controller: Controller,
    pub(crate) media: Media,
    pub(crate) peers: PeerAddresses,
    pub(crate) ring: KeyRing,
    pub(crate) gate: Gatekeeper,
    pub(crate) volatile: Volatile,
    pub(crate) watchdog: WatchdogThread,
    /// What resets the machine, or why it cannot be used; none: ha.cf does not ask for it.
    pub(crate) trigger: Option<Result<Trigger, String>>,
    pub(crate) mailbox: Mailbox,
    pub(crate) orders: tokio::sync::mpsc::UnboundedSender<Order>,
    pub(crate) persists: mpsc::Sender<Persist>,
    /// Priority of SCHED_RR; none: not wanted.
    pub(crate) realtime: Option<u8>,
    pub(crate) recorder: Option<Recorder>,
}

struct Loop {
    core: Core,
    held: HeldBack,
    refused: RefusedCount,
    signers: Signers,
    inputs: VecDeque<Input>,
    out: Vec<Output>,
    sealed: Sealed,
    changes: Vec<Change>,
    timer: TimerFd,
    armed: Option<Timestamp>,
    /// Whether the mailbox has something to read, by the last wait; what has nothing costs no system call. Gate and media
    /// know it for themselves.
    has_news: bool,
    halted: bool,
}

impl Core {
    /// Runs until the controller halts or the mailbox says so.
    ///
    /// # Errors
    /// The kernel refuses a timer or a wait.
    pub(crate) fn run(self) -> std::io::Result<()> {
        self.harden();
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let mut this = Loop {
            core: self,
            held: HeldBack::default(),
            refused: RefusedCount::default(),
            signers: Signers::default(),
            inputs: VecDeque::new(),
            out: Vec::new(),
            sealed: Sealed::default(),
            changes: Vec::new(),
            timer,
            armed: None,
            has_news: false,
            halted: false,
        };
        let opened = this.core.media.mend(clock::now(), false);
        this.changes.extend(opened);
        // The first input makes the controller say what it wants (heartbeats, probes, its first persist).
        this.feed(Input::Deadline);
        this.tell_trigger();
        let mut more = true;
        while !this.halted {
            this.wait(more)?;
            more = this.turn();
        }
        // Only an orderly end comes here: nothing runs that it would have to keep silent.
        this.core.gate.close();
        this.core.watchdog.finish();
        if let Some(recorder) = this.core.recorder.take() {
            recorder.finish();
        }
        Ok(())
    }

    /// Takes another priority, or none. The main thread has tried it already, and has locked the memory or let it go.
    fn hurry(&mut self, realtime: Option<u8>) {
        if realtime == self.realtime {
            return;
        }
        self.realtime = realtime;
        if let Err(error) = realtime.map_or_else(sys::ordinary, sys::realtime) {
            tracing::warn!("the heartbeat thread keeps its old priority: {error}");
        }
    }

    fn harden(&self) {
        let Some(priority) = self.realtime else { return };
        if let Err(error) = sys::realtime(priority) {
            tracing::warn!(
                "the heartbeat thread has no real-time priority ({error}): a busy machine may delay heartbeats"
            );
        }
        if let Err(error) = sys::lock_memory() {
            tracing::warn!("memory is not locked ({error}): a machine that swaps may delay heartbeats");
        }
    }
}

impl Loop {
    /// One turn; whether more waits already.
    fn turn(&mut self) -> bool {
        let mut more = false;
        self.on_time();
        more |= self.packets();
        self.on_time();
        more |= self.news();
        let now = clock::now();
        self.core.media.pump(now, &mut self.changes);
        if self.core.media.next_deadline().is_some_and(|due| now >= due) {
            let opened = self.core.media.mend(now, false);
            self.changes.extend(opened);
        }
        for input in self.core.gate.look() {
            self.feed(input);
        }
        for (link, trouble) in std::mem::take(&mut self.changes) {
            self.feed(Input::LinkChanged { link, trouble });
        }
        for input in self.refused.due(now) {
            self.feed(input);
        }
        if let Some(recorder) = &mut self.core.recorder {
            recorder.look(now);
        }
        more
    }

    fn on_time(&mut self) {
        if self.core.controller.next_deadline().is_some_and(|(due, _)| clock::now() >= due) {
            self.feed(Input::Deadline);
        }
    }

    fn packets(&mut self) -> bool {
        let (ring, refused, inputs) = (&self.core.ring, &mut self.refused, &mut self.inputs);
        let (peers, signers) = (&mut self.core.peers, &mut self.signers);
        let more = self.core.media.receive(clock::now(), PACKETS, &mut self.changes, &mut |arrival| match ring
            .open(arrival.bytes)
        {
            // On a network all hear what is for one: the others do not wake for it.
            Ok((_, Message::Segment(segment))) if segment.to != *peers.local() => {}
            Ok((named, message)) => {
                let link = arrival.links.of(named);
                inputs.extend(peers.of(&message, &arrival.source));
                if let (Message::Heartbeat(heartbeat), Some(key)) = (&message, KeyRing::named_key(arrival.bytes))
                    && heartbeat.from != *peers.local()
                {
                    signers.heard(arrival.received_at, &heartbeat.from, key);
                }
                let (size, received_at) = (arrival.bytes.len() as u32, arrival.received_at);
                inputs.push_back(Input::Packet { link, message, size, received_at });
            }
            Err(refusal) => refused.count(arrival.links.first(), refusal, arrival.source),
        });
        while let Some(input) = self.inputs.pop_front() {
            self.feed(input);
        }
        more
    }

    fn news(&mut self) -> bool {
        if !self.has_news {
            return false;
        }
        for _ in 0..NEWS {
            let Some(news) = self.core.mailbox.take() else { return false };
            match news {
                News::Input(input) => self.feed(*input),
                News::Interfaces => {
                    let changed = self.core.media.mend(clock::now(), true);
                    self.changes.extend(changed);
                    self.core.gate.interfaces_changed();
                }
                News::MayReload(asked) => {
                    let (now, deadtime) = (clock::now(), asked.config.cluster.timing.deadtime);
                    let mut objections = self.core.controller.objections(now, &asked.config);
                    objections.extend(self.signers.objections(now, deadtime, &asked.keys_gone));
                    // Whoever asked and did not wait takes nothing over.
                    let _ = asked.answer.send(objections);
                }
                News::Reconfigured(reloaded) => self.reconfigure(*reloaded),
                News::Persisted(ticket, result) => {
                    let lost = result.is_err();
                    self.feed(match result {
                        Ok(()) => Input::Persisted { ticket },
                        Err(error) => Input::PersistFailed { ticket, error },
                    });
                    for next in self.held.release(ticket, lost) {
                        match next {
                            Next::Do(output) => self.execute(output),
                            Next::Tell(input) => self.inputs.push_back(input),
                        }
                    }
                }
            }
        }
        true
    }

    /// New files. What is known by the old numbers of links is told before they change.
    fn reconfigure(&mut self, reloaded: Reloaded) {
        let Reloaded { config, ring, ports, gate, trigger } = reloaded;
        let now = clock::now();
        for input in self.refused.all() {
            self.feed(input);
        }
        for (link, trouble) in std::mem::take(&mut self.changes) {
            self.feed(Input::LinkChanged { link, trouble });
        }
        self.core.ring = ring;
        self.sealed.forget();
        self.core.media.change(&config.cluster.media, ports);
        self.core.hurry(config.cluster.realtime.then_some(config.cluster.rtprio));
        self.core.gate.set_lease(config.cluster.timing.lease());
        if let Some(gate) = gate {
            // It stands before a heartbeat says so; the beat that follows lets what is held answer.
            for input in self.core.gate.stand(gate) {
                self.feed(input);
            }
        }
        let opened = self.core.media.mend(now, false);
        let kept = self.core.trigger.take().filter(|_| config.cluster.self_fence.is_some());
        self.core.trigger = trigger.map(Ok).or(kept);
        self.feed(Input::Reconfigured(Box::new(config)));
        self.tell_trigger();
        self.changes.extend(opened);
    }

    fn feed(&mut self, input: Input) {
        let mut out = std::mem::take(&mut self.out);
        let now = clock::now();
        if let Some(recorder) = &mut self.core.recorder {
            recorder.before(now, &self.core.controller);
            self.core.controller.handle(now, input.clone(), &mut out);
            recorder.note(now, input, &out);
        } else {
            self.core.controller.handle(now, input, &mut out);
        }
        for output in out.drain(..) {
            if let Output::Persist { ticket, state, log } = output {
                self.held.barrier(ticket);
                // Fails only when the storage thread is gone, which ends the daemon anyway.
                let _ = self.core.persists.send(Persist { ticket, state, log });
            } else if let Some(output) = self.held.offer(output) {
                self.execute(output);
            }
        }
        self.out = out;
    }

    fn execute(&mut self, output: Output) {
        match output {
            Output::Send { link, version, message } => self.send(link, version, &message),
            Output::GateTick { resources, decided_at, hold } => {
                let news = self.core.gate.tick(&resources, decided_at + hold);
                self.inputs.extend(news);
            }
            Output::GateShut { resources } => self.core.gate.shut(&resources),
            Output::RenewLifetime { resources, lifetime, not_after } => {
                self.core.gate.renew(&resources, lifetime, not_after);
            }
            Output::PetWatchdog { device, not_after } => self.core.watchdog.pet(device, not_after),
            Output::CloseWatchdog => self.core.watchdog.close(),
            Output::ResetSelf { what } => self.reset(what),
            Output::VolatileLease { until } => {
                if let Err(error) = self.core.volatile.lease(until) {
                    tracing::warn!("the lease cannot be noted for the next daemon: {error}");
                }
            }
            Output::Volatile { text } => {
                if let Err(error) = self.core.volatile.note(&text) {
                    tracing::warn!("the note for the next daemon cannot be written: {error}");
                }
            }
            Output::Guard { resources } => {
                let news = self.core.gate.guard(&resources);
                self.inputs.extend(news);
                self.order(Output::Guard { resources });
            }
            Output::Halt { reason } => {
                self.order(Output::Halt { reason });
                self.halted = true;
            }
            other => self.order(other),
        }
    }

    /// Whether this machine can be reset.
    fn tell_trigger(&mut self) {
        if let Some(trigger) = &self.core.trigger {
            let able = trigger.as_ref().map(|_| ()).map_err(Clone::clone);
            self.feed(Input::SelfFenceSeen(able));
        }
    }

    /// Ends everything here, when log and recording say why, or a moment later where they hang: nothing else is done here,
    /// for a log on a disk that hangs would keep the machine from its end.
    fn reset(&mut self, what: String) {
        let (done, all_done) = mpsc::channel::<()>();
        if let Some(recorder) = &mut self.core.recorder {
            recorder.settle(done.clone());
        }
        // Fails only when the main thread ended.
        let _ = self.core.orders.send(Order::LastWords(what, done));
        // Nobody says anything there: it ends when each of them has dropped its end.
        let _ = all_done.recv_timeout(LAST_WORDS);
        let trouble = match &mut self.core.trigger {
            Some(Ok(trigger)) => trigger.pull(),
            Some(Err(why)) => why.clone(),
            None => "ha.cf does not ask for it".to_owned(),
        };
        self.inputs.push_back(Input::SelfFenceSeen(Err(trouble)));
    }

    fn order(&mut self, output: Output) {
        // Fails only when the main thread ended, which ends the daemon.
        let _ = self.core.orders.send(Order::Output(Box::new(output)));
    }

    fn send(&mut self, link: LinkId, version: u8, message: &Message) {
        let topic = match message {
            Message::Heartbeat(_) => None,
            Message::Segment(segment) => Some(segment.topic()),
        };
        let path = self.core.media.path_of(link);
        match self.sealed.packet(&self.core.ring, path, version, message) {
            Ok(packet) => self.core.media.send(clock::now(), link, packet, topic, &mut self.changes),
            Err(error) => tracing::error!("a message was not sent: {error}"),
        }
    }

    fn wait(&mut self, more: bool) -> std::io::Result<()> {
        while let Some(input) = self.inputs.pop_front() {
            self.feed(input);
        }
        let due = [
            self.core.controller.next_deadline().map(|(due, _)| due),
            self.core.media.next_deadline(),
            self.refused.next_deadline(),
            self.core.recorder.as_ref().and_then(Recorder::next_deadline),
        ];
        self.arm(due.into_iter().flatten().min())?;
        let timeout = if more || !self.changes.is_empty() { PollTimeout::ZERO } else { PollTimeout::NONE };
        let gate = self.core.gate.as_fd();
        let fixed = [self.timer.as_fd(), self.core.mailbox.as_fd()];
        let wanted = fixed.into_iter().chain(gate).chain(self.core.media.sockets());
        let mut sources: Vec<PollFd<'_>> = wanted.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut sources, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Errors count as well: whoever reads learns of them.
        let mut readable = sources.iter().map(|source| source.any().unwrap_or(true)).skip(1);
        // News that were left for this turn may have no wake of their own any more.
        self.has_news = readable.next().unwrap_or(true) || more;
        let touched = gate.is_some() && readable.next().unwrap_or(true);
        let sockets: Vec<bool> = readable.collect();
        if touched {
            self.core.gate.set_touched();
        }
        self.core.media.set_readable(&sockets);
        Ok(())
    }

    fn arm(&mut self, due: Option<Timestamp>) -> std::io::Result<()> {
        // A timer that fired stays readable until it is set again.
        let fired = self.armed.is_some_and(|at| clock::now() >= at);
        if due == self.armed && !fired {
            return Ok(());
        }
        self.armed = due;
        match due {
            None => self.timer.unset()?,
            Some(due) => {
                let at = TimeSpec::from(Duration::from_nanos(due.0.max(1)));
                self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
        }
        Ok(())
    }
}
