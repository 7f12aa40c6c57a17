//! What came of orders to fence devices, and what a level of several devices is told once the machine was off: to switch on
//! again (R-PAIR-1, R-TAKE-1, decision 0071).

use crate::alert::AlertKind;
use crate::node::Node;
use crate::{Output, Severity};
use hearth_config::FenceKind;
use hearth_control::FenceView;
use hearth_fencer::{Ended, Fence};
use hearth_types::{FenceId, FenceTask, NodeName, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Orders that are remembered.
const HISTORY_MAX: usize = 64;

/// An order in names, which hold also where the files change while it runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    pub task: FenceTask,
    pub device: String,
    /// All devices that must work with it, itself among them.
    pub level: Vec<String>,
}

/// One order that ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Past {
    pub node: NodeName,
    told: Told,
    at: Timestamp,
    result: Result<String, String>,
    took: Duration,
    /// Whether that was the word that the machine is off, or was.
    is_fence: bool,
}

impl Past {
    /// When, of the word that a machine is off.
    pub(crate) fn fenced_at(&self) -> Option<Timestamp> {
        Some(self.at).filter(|_| self.is_fence)
    }

    /// For status.
    pub(crate) fn view(&self, now: Timestamp) -> FenceView {
        FenceView {
            node: self.node.to_string(),
            device: self.told.device.clone(),
            task: self.told.task.to_string(),
            level: self.told.level.clone(),
            fenced: self.is_fence,
            done: self.result.is_ok(),
            said: self.result.clone().unwrap_or_else(|why| why),
            ago_ms: now.since(self.at).as_millis() as u64,
            took_ms: self.took.as_millis() as u64,
        }
    }
}

impl Node {
    pub(crate) fn device_name(&self, position: usize) -> String {
        self.devices().get(position).map(|device| device.name.clone()).unwrap_or_default()
    }

    /// An order to a device ended.
    pub(crate) fn take_fence(&mut self, now: Timestamp, id: FenceId, result: Result<String, String>, took: Duration) {
        if self.take_checked(now, id, &result) {
            return;
        }
        let mut found = None;
        for (node, wanted) in &mut self.fences.fences {
            if let Some((_, ended)) = wanted.fence.finished(now, id, &result) {
                found = wanted.told.clone().map(|told| (node.clone(), told, ended));
            }
        }
        // None: the files have changed since, and what came of the old order is not judged by the new ones.
        let Some((node, told, ended)) = found else { return };
        let (severity, name, text) = self.told_of(&node, &told, ended, &result);
        let (task, bad) = (told.task, severity == Severity::Error);
        if severity == Severity::Info {
            self.chronicle.note(now, severity, name, &node, text);
        } else {
            self.chronicle.lead(now, severity, name, &node, text.clone());
            self.alert_alone(now, AlertKind::Fence { task, done: !bad }, &node, text);
        }
        if ended == Ended::Off && told.level.len() > 1 {
            self.plan_to_switch_on(&node);
        }
        if self.fences.past.len() == HISTORY_MAX {
            self.fences.past.pop_front();
        }
        let is_fence = ended == Ended::Off;
        self.fences.past.push_back(Past { node: node.clone(), told, at: now, result: result.clone(), took, is_fence });
        let answers = matches!(ended, Ended::Off | Ended::AllFailed);
        if answers && self.fences.ordered.contains_key(&node) {
            self.fences.ended.push((node, result));
        }
    }

    /// What people are told of the end of an order.
    fn told_of(
        &self,
        node: &NodeName,
        told: &Told,
        ended: Ended,
        result: &Result<String, String>,
    ) -> (Severity, &'static str, String) {
        let Told { device, level, .. } = told;
        let all = level.join(" and ");
        match (ended, result) {
            (Ended::On, Ok(_)) => {
                (Severity::Info, "switched-on", format!("{device} says that it has switched {node} on again."))
            }
            (Ended::On, Err(why)) => {
                let text = format!("{device} did not switch {node} on again: {why}. Switch it on there.");
                (Severity::Error, "switch-on-failed", text)
            }
            (Ended::InPart, _) => {
                let text = format!("{device} says that it switched {node} off; it takes {all}.");
                (Severity::Info, "fenced-in-part", text)
            }
            (Ended::Off, _) => {
                let say = if level.len() > 1 { "say" } else { "says" };
                (Severity::Warning, "node-fenced", format!("{all} {say} that {node} is off, or was."))
            }
            (Ended::Failed | Ended::AllFailed, _) => {
                let why = result.as_ref().err().map(String::as_str).unwrap_or_default();
                let stays = self.fences.fences.get(node).filter(|_| level.len() > 1);
                let stays = stays.map(|wanted| self.left_off(&wanted.fence)).filter(|names| !names.is_empty());
                let stays = stays.map(|names| format!(" What {names} switched off stays off.")).unwrap_or_default();
                (Severity::Error, "fence-failed", format!("{device} did not turn {node} off: {why}.{stays}"))
            }
        }
    }

    fn left_off(&self, fence: &Fence) -> String {
        fence.left_off().iter().map(|at| self.device_name(*at)).collect::<Vec<_>>().join(" and ")
    }

    /// All of a level have confirmed: whatever they are told now, the machine was off. What is to be left off stays so, and
    /// a disk switches nothing on.
    fn plan_to_switch_on(&mut self, node: &NodeName) {
        let starts = |position: &usize| {
            let device = self.config.cluster.fencing.devices.get(*position);
            device.is_some_and(|device| !device.stays_off && device.kind != FenceKind::Disk)
        };
        if let Some(wanted) = self.fences.fences.get_mut(node) {
            let devices = wanted.fence.level().iter().copied().filter(starts).collect();
            wanted.fence.switch_on(devices);
        }
    }

    /// Orders that are due to switch on again what was off. It spends nothing and proves nothing: whoever was off may start.
    pub(crate) fn switch_on_again(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        for node in self.fences.fences.keys().cloned().collect::<Vec<_>>() {
            let Some(wanted) = self.fences.fences.get(&node) else { continue };
            let Some(position) = wanted.fence.due_on() else { continue };
            let level = wanted.fence.level().iter().map(|at| self.device_name(*at)).collect();
            let Some(device) = self.devices().get(position).cloned() else { continue };
            let (id, task) = (self.fences.next_id(), FenceTask::On);
            if let Some(wanted) = self.fences.fences.get_mut(&node) {
                wanted.fence.ordered_on(now, id);
                wanted.told = Some(Told { task, device: device.name.clone(), level });
            }
            let text = format!("{} is told to switch {node} on again.", device.name);
            self.chronicle.note(now, Severity::Info, "switch-on-ordered", &node, text);
            let (timeout, heard_at) = (self.config.cluster.fencing.timeout, self.heard_at(&node));
            out.push(Output::Fence { id, device: Box::new(device), node, task, timeout, heard_at });
        }
    }

    /// Nobody wants a machine to be fenced any more, of which a level that failed has switched off something.
    pub(crate) fn tell_left_off(&mut self, now: Timestamp, node: &NodeName, fence: &Fence) {
        let names = self.left_off(fence);
        if !names.is_empty() {
            let text = format!("What {names} switched off of {node} is still off: switch it on there.");
            self.chronicle.lead(now, Severity::Warning, "left-off", node, text);
        }
    }
}
