//! Fence devices: the power switch of each machine, as the others use it, on wires of its own.

use crate::act::SwitchMode;
use crate::check::Seen;
use crate::excuse;
use crate::layout::ms;
use crate::mutant::Mutant;
use crate::queue::What;
use crate::world::World;
use hearth_config::FenceKind;
use hearth_types::{FenceId, FenceTask, NodeName, Timestamp};
use std::time::Duration;

impl World {
    /// A machine orders a fence device to do something to another one.
    pub(crate) fn use_device(
        &mut self,
        node: usize,
        kind: FenceKind,
        (id, target, task): (FenceId, &NodeName, FenceTask),
        (timeout, heard_at): (Duration, Option<Timestamp>),
    ) {
        let Some(target) = self.site.layout.node(target.as_str()) else { return };
        match kind {
            FenceKind::Disk => self.pill(node, (id, target, task), timeout, heard_at),
            FenceKind::Agent | FenceKind::Plugin => self.fence(node, id, target, task, timeout),
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
}
