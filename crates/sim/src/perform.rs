//! Acts are performed: what the hardware, the network or a person does.

use crate::act::{Act, SwitchMode};
use crate::check::Seen;
use crate::kernel::Active;
use crate::layout::{ms, us};
use crate::mutant::Mutant;
use crate::network::Quality;
use crate::queue::What;
use crate::world::World;
use hearth_control::{Request, Which};
use hearth_controller::{AddressChange, Input};
use hearth_types::{NodeName, ResourceId, Timestamp};
use std::time::Duration;

/// How long a machine needs from power to its daemon.
pub(crate) const BOOT: Duration = ms(800);
/// How long a daemon that was thawed needs to come to the first thing that waited.
const WAKES_IN: Duration = us(50);
/// A broken world gives every order again after this.
const AGAIN: Duration = ms(150);
/// How often a watchdog looks: so late it resets at most.
pub(crate) const WATCHDOG_EVERY: Duration = ms(100);
/// For how long sockets hold what comes while nobody reads: 200 KB, some hundred packets; after a longer freeze they may have
/// been too small.
const BUFFERS_LAST: Duration = ms(2000);

impl World {
    /// Does one thing to the cluster. What makes no sense at this moment (a thaw of what is not frozen) does nothing.
    pub fn act(&mut self, act: &Act) {
        let text = act.text(&self.site.layout);
        self.tell(text);
        self.see(&Seen::Act(act));
        if self.site.mutant == Some(Mutant::StatusStandsStill) {
            self.keep_status();
        }
        self.site.excuse.forgot |= match act {
            Act::LoseState(_) | Act::Restore(_) => true,
            // An older program may have to give up what is on its disk; a newer one, or an empty disk, forgets nothing.
            Act::Package(node, version) => {
                let machine = &self.site.machines[*node];
                *version < machine.package && machine.disk.state.is_some()
            }
            _ => false,
        };
        match act {
            Act::Start(node) => self.start(*node),
            Act::Kill(node) => self.kill(*node),
            Act::PowerOff(node) => self.power_off(*node),
            Act::PowerCycle(node) => self.power_cycle(*node),
            Act::Switch(node, mode) => self.site.machines[*node].switch = *mode,
            Act::Supply(node, side, mode) => self.site.machines[*node].strips[*side].mode = *mode,
            Act::Freeze(node) => self.freeze(*node),
            Act::Thaw(node) => self.thaw(*node),
            Act::Pause(node) => self.pause(*node),
            Act::Resume(node) => self.resume(*node),
            Act::Ping(node, reached) => self.site.machines[*node].pingable = *reached,
            Act::Path(node, mode) => self.site.machines[*node].slot.path = *mode,
            Act::Disk(node, mode) => self.site.machines[*node].disk.mode = *mode,
            Act::LoseState(node) => self.lose_state(*node),
            Act::Backup(node) => {
                let disk = &mut self.site.machines[*node].disk;
                disk.backup = Some((disk.state.clone(), disk.log.clone()));
            }
            Act::Restore(node) => self.restore(*node),
            Act::Trouble(node, permille) => self.site.machines[*node].agents.trouble = *permille,
            Act::StepClock(node, seconds) => self.site.machines[*node].clock.wall_step_ms += seconds * 1000,
            Act::WrongKey(node, wrong) => self.site.machines[*node].wrong_key = *wrong,
            Act::Package(node, version) => self.site.machines[*node].package = *version,
            Act::Clone(node, there) => self.clone_machine(*node, *there),
            Act::Cut { .. }
            | Act::Split(_)
            | Act::Heal
            | Act::Pull { .. }
            | Act::Plug { .. }
            | Act::Loss { .. }
            | Act::Delay { .. }
            | Act::Disorder { .. }
            | Act::Replay(_) => self.act_on_network(act),
            Act::Agent { .. } | Act::Dies { .. } | Act::ByHand { .. } => self.act_on_resource(act),
            Act::Standby(_)
            | Act::Takeover(_)
            | Act::Failback(_)
            | Act::Clear(_)
            | Act::Release(..)
            | Act::Fence(..)
            | Act::ConfirmOff(..)
            | Act::Stop(_)
            | Act::Reload(..)
            | Act::List(..)
            | Act::NodeAdd(..)
            | Act::NodeRemove(..) => self.order(act),
        }
    }

    fn keep_status(&mut self) {
        for node in self.site.nodes() {
            if self.site.machines[node].old_status.is_none() {
                self.site.machines[node].old_status = self.site.status(node);
            }
        }
    }

    fn act_on_network(&mut self, act: &Act) {
        let network = &mut self.site.network;
        match act {
            Act::Cut { from, to, link } => {
                network.cut.insert((*from, *to, *link));
            }
            Act::Split(side) => {
                for one in side {
                    for other in (0..self.site.machines.len()).filter(|other| !side.contains(other)) {
                        for link in 0..self.site.layout.links.len() {
                            network.cut.extend([(*one, other, link), (other, *one, link)]);
                        }
                    }
                }
            }
            Act::Heal => network.heal(),
            Act::Pull { node, link } => self.carrier(*node, *link, false),
            Act::Plug { node, link } => self.carrier(*node, *link, true),
            Act::Loss { link, permille } => network.quality[*link].loss = *permille,
            Act::Delay { link, span } => network.quality[*link].delay = *span,
            Act::Disorder { link, permille } => {
                let quality = &mut network.quality[*link];
                *quality = Quality { duplicate: *permille, corrupt: *permille, reorder: *permille, ..*quality };
            }
            Act::Replay(permille) => network.replay = *permille,
            _ => {}
        }
    }

    fn act_on_resource(&mut self, act: &Act) {
        let now = self.site.now;
        match act {
            Act::Agent { node, resource, flaw } => {
                let id = ResourceId::from(resource.as_str());
                let flaws = &mut self.site.machines[*node].agents.flaws;
                match flaw {
                    Some(flaw) => {
                        flaws.insert(id.clone(), *flaw);
                        if matches!(flaw, crate::agent::Flaw::SaysRunning | crate::agent::Flaw::SaysStopped) {
                            self.site.excuse.resources.insert(id);
                        }
                    }
                    None => {
                        flaws.remove(&id);
                    }
                }
            }
            Act::Dies { node, resource } => {
                let id = ResourceId::from(resource.as_str());
                let kernel = &mut self.site.machines[*node].kernel;
                let address = kernel.running.get(&id).is_some_and(|it| it.spec.address().is_some());
                kernel.remove(now, &id);
                if address {
                    self.feed(*node, Input::AddressChanged { resource: id, change: AddressChange::Removed });
                }
            }
            Act::ByHand { node, resource } => {
                let id = ResourceId::from(resource.as_str());
                let spec = self.site.layout.resources().into_iter().find(|spec| spec.id == id);
                if let Some(spec) = spec.filter(|_| self.site.machines[*node].lives()) {
                    self.site.excuse.resources.insert(id.clone());
                    let running = &mut self.site.machines[*node].kernel.running;
                    running.entry(id).or_insert(Active { spec, expires: None });
                }
            }
            _ => {}
        }
    }

    fn order(&mut self, act: &Act) {
        let (node, request) = match act {
            Act::Standby(node) => (*node, Request::Standby { which: Which::All, wait: true }),
            Act::Takeover(node) => (*node, Request::Takeover { which: Which::All, wait: true }),
            Act::Failback(node) => (*node, Request::Failback { wait: true }),
            Act::Clear(node) => (*node, Request::Clear { resource: None }),
            Act::Release(node, what) => (*node, Request::Release { name: what.clone() }),
            Act::Fence(node, other) => (*node, Request::Fence { node: self.site.name(*other).to_owned() }),
            Act::ConfirmOff(node, other) => (*node, Request::ConfirmOff { node: self.site.name(*other).to_owned() }),
            Act::Stop(node) => (*node, Request::Stop),
            Act::NodeAdd(node, other) => {
                let name = self.site.name(*other).to_owned();
                (*node, Request::NodeAdd { node: name, ucast: Vec::new() })
            }
            Act::NodeRemove(node, other) => (*node, Request::NodeRemove { node: self.site.name(*other).to_owned() }),
            Act::Reload(node, variant) => return self.reload(*node, *variant),
            Act::List(node, nodes) => return self.list(*node, nodes),
            _ => return,
        };
        if self.site.mutant == Some(Mutant::MovesForever) {
            let other = (node + 1) % self.site.machines.len();
            self.push(AGAIN, What::Again { node: other, request: request.clone(), left: 1000 });
        }
        self.request(node, request);
    }

    /// The files of a machine become those of a variant; a daemon that runs reads them at once.
    pub(crate) fn reload(&mut self, node: usize, variant: usize) {
        let mut config = self.site.layout.config(node, variant);
        if self.site.mutant == Some(Mutant::WitnessRuns) {
            config.resources.witnesses.clear();
        }
        let machine = &mut self.site.machines[node];
        config.cluster.wire_version = machine.config.cluster.wire_version;
        config.cluster.permits = machine.config.cluster.permits;
        config.cluster.tiebreaker_disk.clone_from(&machine.config.cluster.tiebreaker_disk);
        config.cluster.nodes.clone_from(&machine.config.cluster.nodes);
        machine.variant = variant;
        machine.config = config;
        if self.read_files(node) {
            self.tell_homes(node);
        }
    }

    /// The files of a machine name just these.
    fn list(&mut self, node: usize, nodes: &[usize]) {
        let names = nodes.iter().map(|other| self.site.layout.names[*other].clone()).collect();
        self.write_list(node, names);
        self.read_files(node);
    }

    fn write_list(&mut self, node: usize, names: Vec<NodeName>) {
        let cluster = &mut self.site.machines[node].config.cluster;
        cluster.permits = self.site.layout.permits(names.len());
        cluster.tiebreaker_disk = self.site.layout.disk_of(names.len());
        cluster.nodes = names;
    }

    /// A daemon reads its files; one that has an objection goes on by those of before, and the answer is no.
    fn read_files(&mut self, node: usize) -> bool {
        let machine = &self.site.machines[node];
        let config = machine.config.clone();
        let now = machine.clock.local(self.site.now);
        let running = machine.controller.as_ref().filter(|_| self.site.mutant != Some(Mutant::TakesOutUnasked));
        let objections = running.map(|it| it.objections(now, &config)).unwrap_or_default();
        let name = self.site.name(node).to_owned();
        for why in &objections {
            self.tell(format!("{name} keeps the list of before: {why}"));
        }
        if objections.is_empty() {
            self.site.machines[node].take_list(self.site.now);
            self.feed(node, Input::Reconfigured(Box::new(config)));
        }
        objections.is_empty()
    }

    /// What the driver does with [`hearth_controller::Output::ChangeList`].
    fn change_list(&mut self, node: usize, (run, id): (u64, u64), change: &hearth_config::ListChange, commit: bool) {
        let machine = &self.site.machines[node];
        let Some(controller) = machine.controller.as_ref().filter(|_| machine.run == run) else { return };
        if !machine.stands() {
            // Nothing of a daemon that stands still reads or writes a file.
            return self.push(ms(50), What::ChangesList { node, run, id, change: change.clone(), commit });
        }
        let mut config = machine.config.clone();
        config.cluster.nodes = change.applied_to(&config.cluster.nodes);
        config.cluster.permits = self.site.layout.permits(config.cluster.nodes.len());
        config.cluster.tiebreaker_disk = self.site.layout.disk_of(config.cluster.nodes.len());
        let mut objections = controller.objections(machine.clock.local(self.site.now), &config);
        if machine.listed != machine.config.cluster.nodes {
            objections.push("its files name others than its daemon has read".to_owned());
        }
        let result = match objections.is_empty() {
            true => Ok(hearth_config::digest(&config).0),
            false => Err(objections.join("; ")),
        };
        if commit && result.is_ok() {
            self.write_list(node, config.cluster.nodes);
            self.read_files(node);
        }
        self.feed(node, Input::ListChanged { id, result });
    }

    pub(crate) fn kill(&mut self, node: usize) {
        let now = self.site.now;
        let machine = &mut self.site.machines[node];
        // In a guest that stands still nobody can do anything.
        if machine.powered && machine.paused.is_none() && machine.controller.is_some() {
            machine.absent_since = machine.absent_since.or(Some(now));
            machine.lose_daemon();
        }
    }

    pub(crate) fn power_off(&mut self, node: usize) {
        self.site.machines[node].paused = None;
        self.kill(node);
        let now = self.site.now;
        let keeps_token = self.site.mutant == Some(Mutant::FencesWithoutToken);
        let machine = &mut self.site.machines[node];
        machine.powered = false;
        machine.frozen = false;
        machine.kernel.forget(now);
        machine.ops.clear();
        machine.volatile = machine.volatile.take().and_then(|note| keeps_token.then(|| token_of(&note)).flatten());
        machine.heard_since_boot = 0;
        machine.lease = None;
        machine.reset_at = None;
        machine.slot.poisoned = false;
    }

    /// Power on; nothing if it is on.
    pub(crate) fn power_on(&mut self, node: usize) {
        let now = self.site.now;
        let watched = self.site.layout.watchdog.is_some();
        let machine = &mut self.site.machines[node];
        if machine.powered {
            return;
        }
        machine.powered = true;
        machine.boots += 1;
        let wall_step_ms = machine.clock.wall_step_ms;
        machine.clock = crate::Clock { wall_step_ms, ..crate::Clock::boot(now, machine.clock.rate) };
        if watched {
            self.push(WATCHDOG_EVERY, What::Watchdog { node });
        }
    }

    fn power_cycle(&mut self, node: usize) {
        let after = match self.site.machines[node].switch {
            SwitchMode::Works | SwitchMode::SaysLate => ms(100),
            SwitchMode::Slow => ms(5000),
            SwitchMode::Fails | SwitchMode::Lies => return,
        };
        self.site.machines[node].switching += 1;
        self.push(after, What::Switched { node });
    }

    pub(crate) fn switched(&mut self, node: usize) {
        self.tell(format!("{} is switched off and on", self.site.name(node)));
        self.power_off(node);
        self.push(BOOT, What::Boot { node });
    }

    /// An armed watchdog resets a machine that does not pet it. Its clock stands still with the guest's.
    pub(crate) fn watchdog(&mut self, node: usize) {
        let machine = &mut self.site.machines[node];
        if !machine.powered {
            return;
        }
        let resets = machine.paused.is_none() && machine.reset_at.is_some_and(|at| self.site.now >= at);
        if machine.paused.is_some() {
            machine.reset_at = machine.reset_at.map(|at| at + WATCHDOG_EVERY);
        }
        self.see(&Seen::WatchdogLooks { node, resets });
        if resets {
            self.tell(format!("the watchdog resets {}", self.site.name(node)));
            return self.reboot(node);
        }
        self.push(WATCHDOG_EVERY, What::Watchdog { node });
    }

    /// Its kernel resets a machine, because its daemon says so.
    pub(crate) fn reset_self(&mut self, node: usize, what: &str) {
        self.tell(format!("{} resets itself, for it cannot stop {what}", self.site.name(node)));
        self.reboot(node);
    }

    fn reboot(&mut self, node: usize) {
        self.power_off(node);
        self.site.machines[node].switching += 1;
        self.push(BOOT, What::Boot { node });
    }

    /// What was ordered too long ago is dropped.
    pub(crate) fn pet_until(&mut self, node: usize, not_after: Timestamp) {
        let machine = &self.site.machines[node];
        let idle = machine.reset_at.is_some() && machine.kernel.running.is_empty();
        let broken = self.site.mutant == Some(Mutant::PetsOnlyOwners) && idle;
        if machine.local(self.site.now) <= not_after && !broken {
            self.pet(node);
        }
    }

    pub(crate) fn pet(&mut self, node: usize) {
        let Some(timeout) = self.site.layout.watchdog else { return };
        let late = self.site.mutant == Some(Mutant::WatchdogIsLate);
        let machine = &mut self.site.machines[node];
        machine.reset_at = Some(self.site.now + timeout * if late { 5 } else { 1 });
        let run = machine.run;
        if std::mem::replace(&mut machine.told_armed, run) != run {
            self.push(ms(1), What::Armed { node, run });
        }
    }

    fn armed(&mut self, node: usize, run: u64) {
        let Some(timeout) = self.site.layout.watchdog else { return };
        let machine = &self.site.machines[node];
        if machine.run != run || machine.controller.is_none() || !machine.stands() {
            return;
        }
        let driver = "simulated".to_owned();
        let seen = hearth_wire::Watchdog { driver, timeout_ms: timeout.as_millis() as u32, nowayout: false };
        self.feed(node, Input::WatchdogSeen(Ok(seen)));
    }

    pub(crate) fn freeze(&mut self, node: usize) {
        let now = self.site.now;
        let machine = &mut self.site.machines[node];
        if machine.controller.is_some() && !machine.frozen {
            machine.frozen = true;
            machine.absent_since = machine.absent_since.or(Some(now));
            machine.ask_deadline();
        }
    }

    pub(crate) fn thaw(&mut self, node: usize) {
        let now = self.site.now;
        let stops = self.site.mutant == Some(Mutant::ClockStops);
        let machine = &mut self.site.machines[node];
        if !machine.frozen || machine.paused.is_some() {
            return;
        }
        machine.frozen = false;
        machine.thawed_at = now;
        let frozen_at = machine.absent_since.take().unwrap_or(now);
        if stops {
            machine.clock.lose(now, now.since(frozen_at));
            let local = machine.clock.local(now);
            machine.lease = machine.lease.map(|_| local);
        }
        self.wake(node, now.since(frozen_at));
    }

    /// What waited for a daemon is told to it, as far as buffers held it; its own timers may come first.
    fn wake(&mut self, node: usize, away: Duration) {
        let machine = &mut self.site.machines[node];
        if away > BUFFERS_LAST && machine.rng.chance(500) {
            machine.backlog.retain(|input| !matches!(input, Input::Packet { .. }));
        }
        if machine.rng.chance(500) {
            self.feed(node, Input::Deadline);
        }
        let machine = &mut self.site.machines[node];
        if machine.controller.is_none() {
            return;
        }
        machine.drowsy = true;
        let run = machine.run;
        self.push(WAKES_IN, What::Awake { node, run });
    }

    /// It has come to what waited.
    fn awake(&mut self, node: usize, run: u64) {
        let machine = &mut self.site.machines[node];
        if machine.run != run || !machine.drowsy {
            return;
        }
        machine.drowsy = false;
        for input in std::mem::take(&mut machine.backlog) {
            self.feed(node, input);
        }
        if std::mem::take(&mut self.site.machines[node].disk.ended) {
            self.written(node);
        }
        self.site.machines[node].ask_deadline();
    }

    pub(crate) fn pause(&mut self, node: usize) {
        let now = self.site.now;
        let machine = &mut self.site.machines[node];
        if machine.powered && machine.paused.is_none() {
            machine.paused = Some(now);
            machine.ask_deadline();
            self.site.excuse.pause();
        }
    }

    pub(crate) fn resume(&mut self, node: usize) {
        let now = self.site.now;
        let machine = &mut self.site.machines[node];
        let Some(since) = machine.paused.take() else { return };
        let span = now.since(since);
        machine.clock.lose(now, span);
        // The kernel's own clocks stood still with the guest.
        for until in machine.kernel.gate.values_mut() {
            *until = *until + span;
        }
        for active in machine.kernel.running.values_mut() {
            active.expires = active.expires.map(|at| at + span);
        }
        machine.thawed_at = now;
        if !machine.frozen {
            self.wake(node, span);
        }
    }

    fn lose_state(&mut self, node: usize) {
        self.kill(node);
        self.site.machines[node].disk.lose();
    }

    fn restore(&mut self, node: usize) {
        let Some((state, log)) = self.site.machines[node].disk.backup.clone() else { return };
        self.kill(node);
        let disk = &mut self.site.machines[node].disk;
        (disk.state, disk.log) = (state, log);
    }

    fn carrier(&mut self, node: usize, link: usize, up: bool) {
        let machine = &mut self.site.machines[node];
        if machine.carrier[link] == up {
            return;
        }
        machine.carrier[link] = up;
        machine.flaps += u32::from(up);
        self.tell_carrier(node, link);
    }

    fn clone_machine(&mut self, node: usize, there: bool) {
        let bit = 1 << node;
        if there && self.ghosts & bit == 0 {
            self.ghosts |= bit;
            self.push(ms(50), What::Ghost { node });
        } else if !there {
            self.ghosts &= !bit;
            self.last_beats[node] = None;
        }
    }

    pub(crate) fn happen(&mut self, what: What) {
        match what {
            What::Packet { from, to, link, parcel, replayed } => self.deliver(from, to, link, parcel, replayed),
            What::Written { node, run } => {
                let machine = &mut self.site.machines[node];
                if machine.run == run && machine.disk.writing {
                    if machine.stands() {
                        self.written(node);
                    } else {
                        machine.disk.ended = true;
                    }
                }
            }
            What::OpDone { node, key } => {
                if self.site.machines[node].paused.is_some() {
                    self.push(ms(50), What::OpDone { node, key });
                } else {
                    self.op_done(node, key);
                }
            }
            What::Ask { node } => self.ask(node),
            What::Ping { node, run } => self.ping(node, run),
            What::Expire { node, resource } => self.expire(node, resource),
            What::Ghost { node } => self.ghost(node),
            What::Watchdog { node } => self.watchdog(node),
            What::Armed { node, run } => self.armed(node, run),
            What::Switched { node } => self.switched(node),
            What::Fenced { node } => self.fenced(node),
            What::Strip { node, side, on } => self.strip_switched(node, side, on),
            What::FenceSaid { node, run, id, result, took } => {
                if self.site.machines[node].run == run {
                    self.feed(node, Input::FenceFinished { id, result, took });
                }
            }
            What::AlertDone { node, run, id } => {
                if self.site.machines[node].run == run {
                    self.feed(node, Input::AlertFinished { id, result: Ok(String::new()), took: ms(20) });
                }
            }
            What::ChangesList { node, run, id, change, commit } => self.change_list(node, (run, id), &change, commit),
            What::SlotLook { node, run } => self.slot_look(node, run),
            What::SlotSaid { node, run, seen } => self.slot_said(node, run, seen),
            What::ClaimBegins { node, run, wake } => self.claim_begins(node, run, wake),
            What::ClaimGoesOn { node, run } => self.claim_goes_on(node, run),
            What::ClaimSaid { node, run, seen } => self.claim_said(node, run, seen),
            What::PillLate { node, run, id } => self.pill_late(node, run, id),
            What::Boot { node } => {
                self.site.machines[node].switching -= 1;
                self.start(node);
            }
            What::Awake { node, run } => self.awake(node, run),
            What::Again { node, request, left } => {
                self.request(node, request.clone());
                if left > 0 {
                    let node = (node + 1) % self.site.machines.len();
                    self.push(AGAIN, What::Again { node, request, left: left - 1 });
                }
            }
        }
    }
}

/// A note of /run of which nothing is left but the right to fence.
fn token_of(note: &str) -> Option<String> {
    let mut note: serde_json::Value = serde_json::from_str(note).ok()?;
    let fields = note.as_object_mut()?;
    fields.retain(|name, _| name == "may_fence" || name == "disk");
    fields.insert("started".to_owned(), serde_json::Value::Array(Vec::new()));
    Some(note.to_string())
}
