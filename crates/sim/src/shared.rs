//! A disk that all machines share, and each one's path to it: slots with pills, as the daemons use them (`stonith disk`).
//!
//! What a daemon does with it is the real thing, `hearth_slots::Keeper`; here are only the bytes and how long they take.

use crate::check::Seen;
use crate::claims::Claims;
use crate::layout::ms;
use crate::mutant::Mutant;
use crate::queue::What;
use crate::world::World;
use hearth_controller::{Input, SlotOrder, SlotSeen};
use hearth_slots::{Device, Guard, Keeper, Stated};
use hearth_types::{FenceId, FenceTask, NodeName, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// How a machine's path to the shared disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathMode {
    /// Some milliseconds.
    #[default]
    Works,
    /// A second and a half for a look or an order.
    Slow,
    /// No answer at all.
    Hangs,
    /// Every access fails at once.
    Broken,
}

/// An order that waits for the disk.
#[derive(Clone)]
pub struct Asked {
    target: NodeName,
    task: FenceTask,
    began: Timestamp,
    timeout: Duration,
    heard_at: Option<Timestamp>,
}

/// What one machine has to do with the disk.
#[derive(Clone, Default)]
pub struct Slot {
    /// How its path is.
    pub path: PathMode,
    /// Somebody has put a pill there since the machine has power.
    pub poisoned: bool,
    /// The daemon's thread, and in which run.
    keeper: Option<(u64, Keeper)>,
    order: Option<SlotOrder>,
    asked: BTreeMap<FenceId, Asked>,
    /// What the daemon does with the claim there.
    pub(crate) claims: Option<Claims>,
}

impl Slot {
    /// The daemon is gone.
    pub fn lose_daemon(&mut self) {
        *self = Slot { path: self.path, poisoned: self.poisoned, ..Slot::default() };
    }
}

/// Its bytes.
#[derive(Clone)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    /// With a slot for each of these.
    pub fn new(owners: &[NodeName]) -> Bytes {
        let slots = owners.len() as u16;
        let mut bytes = Bytes(vec![0; hearth_slots::area(slots) as usize]);
        // Bytes in memory do not fail.
        let _ = hearth_slots::init(&mut bytes, [1; 16], slots, owners);
        bytes
    }
}

impl Device for Bytes {
    fn read(&mut self, at: u64, into: &mut [u8]) -> Result<(), String> {
        let there = self.0.get(at as usize..at as usize + into.len()).ok_or("beyond the end")?;
        into.copy_from_slice(there);
        Ok(())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), String> {
        let there = self.0.get_mut(at as usize..at as usize + bytes.len()).ok_or("beyond the end")?;
        there.copy_from_slice(bytes);
        Ok(())
    }
}

/// How often a slot is looked at.
const LOOK_EVERY: Duration = ms(1000);
const FAST: Duration = ms(5);
const SLOW: Duration = ms(1500);

impl World {
    /// A daemon begins to look at its slot, or states something else there.
    pub(crate) fn slot_order(&mut self, node: usize, order: Option<SlotOrder>) {
        let machine = &mut self.site.machines[node];
        let run = machine.run;
        let begins = machine.slot.order.is_none() && order.is_some();
        machine.slot.order = order;
        if begins {
            let mut boot = [0; 16];
            boot[..8].copy_from_slice(&machine.boots.to_be_bytes());
            boot[8] = 1;
            let keeper = Keeper::new(machine.config.cluster.local.clone(), boot);
            machine.slot.keeper = Some((run, keeper));
            self.push(FAST, What::SlotLook { node, run });
        }
    }

    pub(crate) fn slot_look(&mut self, node: usize, run: u64) {
        let machine = &mut self.site.machines[node];
        if machine.run != run || machine.controller.is_none() || machine.slot.order.is_none() {
            return;
        }
        self.push(LOOK_EVERY, What::SlotLook { node, run });
        let machine = &self.site.machines[node];
        let path = machine.slot.path;
        if !machine.stands() || path == PathMode::Hangs {
            return;
        }
        let now = machine.local(self.site.now);
        let took = if path == PathMode::Slow { SLOW } else { FAST };
        let seen = match path {
            PathMode::Broken if self.site.mutant == Some(Mutant::LooksAtNothing) => {
                let patience = machine.slot.order.as_ref().map_or(Duration::ZERO, |order| order.patience);
                Ok(SlotSeen { began_at: now, patience, pill: None })
            }
            PathMode::Broken => Err("input/output error".to_owned()),
            _ => self.try_look(node, now),
        };
        self.push(took, What::SlotSaid { node, run, seen });
    }

    fn try_look(&mut self, node: usize, now: Timestamp) -> Result<SlotSeen, String> {
        let slot = &mut self.site.machines[node].slot;
        let (Some((_, keeper)), Some(order)) = (&mut slot.keeper, &slot.order) else { return Err("no slot".into()) };
        let guard = match order.watchdog {
            None => Guard::None,
            Some((_, false)) => Guard::Software,
            Some((_, true)) => Guard::Hardware,
        };
        let timeout = order.watchdog.map_or(Duration::ZERO, |(timeout, _)| timeout);
        let stated = Stated { patience: order.patience, guard, timeout };
        let found = keeper.look(&mut self.site.shared, &stated, now.0 / 1_000_000, || now)?;
        Ok(SlotSeen { began_at: found.began_at, patience: stated.patience, pill: found.pill })
    }

    /// What a look has found reaches the daemon, and orders that it ends are answered.
    pub(crate) fn slot_said(&mut self, node: usize, run: u64, mut seen: Result<SlotSeen, String>) {
        let machine = &self.site.machines[node];
        if machine.run != run || machine.controller.is_none() || !machine.stands() {
            return;
        }
        if self.site.mutant == Some(Mutant::IgnoresPill)
            && let Ok(seen) = &mut seen
        {
            seen.pill = None;
        }
        self.feed(node, Input::SlotSeen(seen));
        let now = self.site.machines[node].local(self.site.now);
        let slot = &mut self.site.machines[node].slot;
        let Some((_, keeper)) = &mut slot.keeper else { return };
        let mut said = keeper.take_ended();
        for (id, asked) in &slot.asked {
            if asked.task == FenceTask::Check
                && let Ok(word) = keeper.check(&asked.target, asked.heard_at, now)
            {
                said.push((*id, Ok(word)));
            }
        }
        for (id, result) in said {
            self.slot_answer(node, id, result);
        }
    }

    /// A machine puts a pill into the slot of another one, or asks whether one would work there.
    pub(crate) fn pill(
        &mut self,
        node: usize,
        (id, target, task): (FenceId, usize, FenceTask),
        timeout: Duration,
        heard_at: Option<Timestamp>,
    ) {
        let name = self.site.layout.names[target].clone();
        let machine = &mut self.site.machines[node];
        let (run, now) = (machine.run, machine.local(self.site.now));
        let asked = Asked { target: name.clone(), task, began: now, timeout, heard_at };
        machine.slot.asked.insert(id, asked);
        self.push(timeout, What::PillLate { node, run, id });
        if task == FenceTask::Check {
            return;
        }
        self.see(&Seen::FenceOrdered { node, target });
        let path = self.site.machines[node].slot.path;
        let Some((_, keeper)) = self.site.machines[node].slot.keeper.as_mut().filter(|_| path != PathMode::Hangs)
        else {
            return;
        };
        let number = self.site.now.0.max(1);
        let done = match path {
            PathMode::Broken => Err("input/output error".to_owned()),
            _ => keeper.fence(&mut self.site.shared, (id, &name), (number, 0), heard_at, || now),
        };
        match done {
            Ok(()) => {
                self.site.machines[target].slot.poisoned = true;
                let one = self.site.name(node);
                self.tell(format!("{one} puts a pill into the slot of {name}"));
                if self.site.mutant == Some(Mutant::PillProvesAtOnce) {
                    self.slot_answer(node, id, Ok("the pill is written".to_owned()));
                }
            }
            Err(why) => self.slot_answer(node, id, Err(why)),
        }
    }

    /// The time of an order is over.
    pub(crate) fn pill_late(&mut self, node: usize, run: u64, id: FenceId) {
        let machine = &mut self.site.machines[node];
        if machine.run != run || !machine.slot.asked.contains_key(&id) {
            return;
        }
        let now = machine.local(self.site.now);
        let checks = machine.slot.asked.get(&id).filter(|asked| asked.task == FenceTask::Check);
        let checked = checks.map(|asked| (asked.target.clone(), asked.heard_at));
        let reason = machine.slot.keeper.as_mut().and_then(|(_, keeper)| match checked {
            Some((target, heard_at)) => keeper.check(&target, heard_at, now).err(),
            None => keeper.give_up(id),
        });
        self.slot_answer(node, id, Err(reason.unwrap_or_else(|| "the disk does not answer".to_owned())));
    }

    fn slot_answer(&mut self, node: usize, id: FenceId, result: Result<String, String>) {
        let machine = &mut self.site.machines[node];
        let Some(asked) = machine.slot.asked.remove(&id) else { return };
        let (run, now) = (machine.run, machine.local(self.site.now));
        let took = now.since(asked.began).min(asked.timeout);
        self.push(ms(1), What::FenceSaid { node, run, id, result, took });
    }
}
