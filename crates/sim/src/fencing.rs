//! Fence devices: the power switch of each machine, and the strips of its two power supplies, as the others use them, on wires
//! of their own.

use crate::act::SwitchMode;
use crate::check::Seen;
use crate::excuse;
use crate::layout::{SIDES, ms};
use crate::mutant::Mutant;
use crate::perform::BOOT;
use crate::queue::What;
use crate::world::World;
use hearth_config::{FenceDevice, FenceKind};
use hearth_types::{FenceId, FenceTask, NodeName, Timestamp};
use std::time::Duration;

/// Between off and on of a strip that is told `reboot`.
const STRIP_PAUSE: Duration = ms(300);

/// A power strip of one supply.
#[derive(Clone, Copy, Debug)]
pub struct Strip {
    /// Its supply has power.
    pub on: bool,
    /// How it is.
    pub mode: SwitchMode,
}

impl World {
    /// A machine orders a fence device to do something to another one.
    pub(crate) fn use_device(
        &mut self,
        node: usize,
        device: &FenceDevice,
        (id, target, task): (FenceId, &NodeName, FenceTask),
        (timeout, heard_at): (Duration, Option<Timestamp>),
    ) {
        let Some(target) = self.site.layout.node(target.as_str()) else { return };
        let side = SIDES.iter().position(|side| device.name.split('-').next() == Some(side));
        match (device.kind, side) {
            (FenceKind::Disk, _) => self.pill(node, (id, target, task), timeout, heard_at),
            (_, Some(side)) => self.use_strip(node, id, (target, side), task, timeout),
            (FenceKind::Agent | FenceKind::Plugin, None) => self.fence(node, id, target, task, timeout),
        }
    }

    /// A machine orders the power switch of another one.
    fn fence(&mut self, node: usize, id: FenceId, target: usize, task: FenceTask, timeout: Duration) {
        let harmless = task == FenceTask::Check;
        let talks = self.site.machines[target].awake() && self.site.together(node, target);
        if self.site.mutant == Some(Mutant::BlocksUnstopped) && talks && !harmless {
            let (run, result) = (self.site.machines[node].run, Err("nobody asks for it".to_owned()));
            return self.push(ms(100), What::FenceSaid { node, run, id, result, took: ms(100) });
        }
        if !harmless {
            self.see(&Seen::FenceOrdered { node, target });
            let (one, other) = (self.site.name(node), self.site.name(target));
            self.tell(format!("{one} orders the power switch of {other}"));
        }
        let mode = self.site.machines[target].switch;
        let acts_in = match mode {
            SwitchMode::Works | SwitchMode::SaysLate => Some(ms(100)),
            SwitchMode::Slow => Some(ms(5000)),
            SwitchMode::Fails | SwitchMode::Lies => None,
        };
        if let Some(span) = acts_in.filter(|_| !harmless) {
            self.site.machines[target].switching += 1;
            self.push(span, What::Fenced { node: target });
        }
        if mode == SwitchMode::Lies && !harmless {
            // The one thing that nobody can make good: what is built on its word is excused, and named as its fault.
            self.tell(format!("the power switch of {} lies", self.site.name(target)));
            excuse::lie(&mut self.site, target);
        }
        let answers_in = match (mode, harmless) {
            (SwitchMode::Slow | SwitchMode::SaysLate, false) => ms(5020),
            _ => ms(120),
        };
        let (took, result) = match mode {
            _ if answers_in > timeout => (timeout, Err("it did not end in time".to_owned())),
            SwitchMode::Fails => (answers_in, Err("no answer from the power switch".to_owned())),
            _ => (answers_in, Ok("confirmed".to_owned())),
        };
        let unconfirmed = self.site.mutant == Some(Mutant::FencesUnconfirmed) && !harmless;
        let (took, result) = if unconfirmed { (ms(1), Ok("ordered".to_owned())) } else { (took, result) };
        let run = self.site.machines[node].run;
        self.push(took, What::FenceSaid { node, run, id, result, took });
    }

    /// The switch acts: a machine that has power is reset.
    pub(crate) fn fenced(&mut self, node: usize) {
        if self.site.machines[node].powered {
            self.switched(node);
        } else {
            self.site.machines[node].switching -= 1;
        }
    }

    /// A machine orders the strip of one supply of another one.
    fn use_strip(
        &mut self,
        node: usize,
        id: FenceId,
        (target, side): (usize, usize),
        task: FenceTask,
        timeout: Duration,
    ) {
        let mode = self.site.machines[target].strips[side].mode;
        let acts_in = match mode {
            SwitchMode::Works | SwitchMode::SaysLate => Some(ms(100)),
            SwitchMode::Slow => Some(ms(5000)),
            SwitchMode::Fails | SwitchMode::Lies => None,
        };
        if task != FenceTask::Check {
            let (one, other) = (self.site.name(node), self.site.name(target));
            self.tell(format!("{one} orders the {} supply of {other}: {task}", SIDES[side]));
        }
        if matches!(task, FenceTask::Off | FenceTask::Reboot) {
            self.see(&Seen::FenceOrdered { node, target });
            if mode == SwitchMode::Lies {
                excuse::lie(&mut self.site, target);
            }
            acts_in.into_iter().for_each(|span| self.push(span, What::Strip { node: target, side, on: false }));
        }
        let on_in = match task {
            FenceTask::Reboot => acts_in.map(|span| span + STRIP_PAUSE),
            FenceTask::On => acts_in,
            FenceTask::Off | FenceTask::Check => None,
        };
        on_in.into_iter().for_each(|span| self.push(span, What::Strip { node: target, side, on: true }));
        let answers_in = match (mode, task) {
            (_, FenceTask::Check) => ms(120),
            (SwitchMode::Slow | SwitchMode::SaysLate, _) => ms(5020),
            (_, FenceTask::Reboot) => STRIP_PAUSE + ms(120),
            _ => ms(120),
        };
        let (took, result) = match mode {
            _ if answers_in > timeout => (timeout, Err("it did not end in time".to_owned())),
            SwitchMode::Fails => (ms(120), Err("no answer from the strip".to_owned())),
            _ => (answers_in, Ok("confirmed".to_owned())),
        };
        let run = self.site.machines[node].run;
        self.push(took, What::FenceSaid { node, run, id, result, took });
    }

    /// A strip acts: a machine loses power with its last supply, and boots with the first one that is back.
    pub(crate) fn strip_switched(&mut self, node: usize, side: usize, on: bool) {
        let name = self.site.name(node).to_owned();
        let machine = &mut self.site.machines[node];
        machine.strips[side].on = on;
        let none = machine.strips.iter().all(|strip| !strip.on);
        if none && machine.powered {
            machine.dark = true;
            self.tell(format!("{name} has no power: both supplies are off"));
            self.power_off(node);
        } else if !none && machine.dark {
            machine.dark = false;
            machine.switching += 1;
            self.push(BOOT, What::Boot { node });
        }
    }
}
