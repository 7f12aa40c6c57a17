//! What somebody should know, in the words in which Pacemaker tells its alert agents, and in ours beside them.

use hearth_types::{FenceTask, GroupId, NodeName, OpAction, ResourceId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Counts what this run of the daemon has sent, from 1.
    pub sequence: u64,
    /// When it happened, on the node's own clock.
    pub at: Timestamp,
    /// What.
    pub what: AlertKind,
    /// The machine that it is about.
    pub node: NodeName,
    /// Its place in ha.cf, from 1; zero for a machine that is not named there.
    pub node_id: u32,
    /// The machine that says so.
    pub from: NodeName,
    /// One sentence.
    pub text: String,
    /// So many like it were left out since the last one, because they came too often.
    pub left_out: u32,
    /// Another node should have told it and is gone: perhaps it did.
    pub again: bool,
}

/// What an alert is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// A person tries whether alerts arrive.
    Test,
    /// A node is lost.
    NodeLost,
    /// A node that was lost takes part again.
    NodeBack,
    /// A node flaps, and gets nothing for a while that another one can run (decision 0045).
    NodeLeftOut,
    /// Two sides had gone on alone: this one goes on, the node stops.
    Split,
    /// The node has stopped, or says for how long there may have been two owners.
    SplitHealed {
        /// That span.
        overlap: Duration,
    },
    /// A fence device was ordered to turn the node off.
    Fence {
        /// What it was told.
        task: FenceTask,
        /// Whether it confirmed.
        done: bool,
    },
    /// A fence device was asked whether it would work.
    FenceDevice {
        /// Its name.
        device: String,
        /// What came of it.
        state: DeviceState,
    },
    /// A group runs on the node, because the one that had it failed.
    Takeover {
        /// Which.
        group: GroupId,
    },
    /// An operation of a resource failed on the node.
    Failed {
        /// Which.
        resource: ResourceId,
        /// What failed.
        action: OpAction,
        /// Exit code, if a process was involved.
        code: Option<i32>,
        /// How often it is looked after, if it is.
        monitor: Option<Duration>,
    },
}

/// What is known of a fence device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceState {
    /// It would not work.
    Fails,
    /// It has not answered well for a day.
    Stale,
    /// It would work again.
    Works,
}

impl Alert {
    /// Stable name in kebab case: what scripts match.
    pub fn name(&self) -> &'static str {
        match &self.what {
            AlertKind::Test => "test",
            AlertKind::NodeLost => "node-lost",
            AlertKind::NodeBack => "node-back",
            AlertKind::NodeLeftOut => "node-left-out",
            AlertKind::Split => "split",
            AlertKind::SplitHealed { .. } => "split-healed",
            AlertKind::Fence { done: true, .. } => "node-fenced",
            AlertKind::Fence { done: false, .. } => "fence-failed",
            AlertKind::FenceDevice { state: DeviceState::Fails, .. } => "fence-device-fails",
            AlertKind::FenceDevice { state: DeviceState::Stale, .. } => "fence-device-stale",
            AlertKind::FenceDevice { state: DeviceState::Works, .. } => "fence-device-works",
            AlertKind::Takeover { .. } => "takeover",
            AlertKind::Failed { .. } => "resource-failed",
        }
    }

    /// What is said of one after the other: only the newest of them is worth knowing when they come too often.
    pub(crate) fn series(&self) -> String {
        match &self.what {
            AlertKind::NodeLost | AlertKind::NodeBack => format!("node {}", self.node),
            AlertKind::Fence { .. } => format!("fence {}", self.node),
            AlertKind::FenceDevice { device, .. } => format!("device {device}"),
            AlertKind::Takeover { group } => format!("takeover {group}"),
            AlertKind::Failed { resource, action, .. } => format!("{action} {resource} {}", self.node),
            AlertKind::Test | AlertKind::NodeLeftOut | AlertKind::Split | AlertKind::SplitHealed { .. } => {
                format!("{} {}", self.name(), self.node)
            }
        }
    }

    /// Name and value of each variable that follows from the alert alone; time, version and recipient are the driver's.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("CRM_alert_node", self.node.to_string()),
            ("CRM_alert_node_sequence", self.sequence.to_string()),
            ("HEARTH_alert_name", self.name().to_owned()),
            ("HEARTH_alert_text", self.text.clone()),
            ("HEARTH_alert_from", self.from.to_string()),
            ("HEARTH_alert_left_out", self.left_out.to_string()),
            ("HEARTH_alert_again", if self.again { "yes" } else { "no" }.to_owned()),
        ];
        let by_kind: Vec<(&'static str, String)> = match &self.what {
            AlertKind::Fence { task, done } => {
                let ended = if *done { "OK" } else { "failed" };
                let text = format!("{task} of {} by {}: {ended}", self.node, self.from);
                fencing(task.to_string(), i32::from(!done), text)
            }
            AlertKind::FenceDevice { state, .. } => {
                fencing("monitor".to_owned(), i32::from(*state != DeviceState::Works), self.text.clone())
            }
            AlertKind::Takeover { group } => resource(group.as_str(), OpAction::Start, 0, None),
            AlertKind::Failed { resource: id, action, code, monitor } => {
                // Zero would be read as well done.
                let code = code.filter(|code| *code != 0).unwrap_or(1);
                resource(id.as_str(), *action, code, monitor.filter(|_| *action == OpAction::Monitor))
            }
            AlertKind::Test => self.about_node("test"),
            AlertKind::NodeLost => self.about_node("lost"),
            AlertKind::NodeBack => self.about_node("member"),
            AlertKind::NodeLeftOut => self.about_node("left out"),
            AlertKind::Split => self.about_node("split"),
            AlertKind::SplitHealed { overlap } => {
                let mut all = self.about_node("split healed");
                all.push(("HEARTH_alert_overlap_ms", overlap.as_millis().to_string()));
                all
            }
        };
        all.extend(by_kind);
        all
    }

    fn about_node(&self, state: &str) -> Vec<(&'static str, String)> {
        vec![
            ("CRM_alert_kind", "node".to_owned()),
            ("CRM_alert_desc", state.to_owned()),
            ("CRM_alert_nodeid", self.node_id.to_string()),
        ]
    }
}

fn fencing(task: String, rc: i32, desc: String) -> Vec<(&'static str, String)> {
    vec![
        ("CRM_alert_kind", "fencing".to_owned()),
        ("CRM_alert_task", task),
        ("CRM_alert_rc", rc.to_string()),
        ("CRM_alert_desc", desc),
    ]
}

/// Zero is what every operation was wanted to end with; 4 stands for an operation that failed, as Pacemaker counts.
fn resource(id: &str, action: OpAction, rc: i32, every: Option<Duration>) -> Vec<(&'static str, String)> {
    // Whoever looks whether something runs, monitors it: there is no probe among Pacemaker's tasks.
    let task = if action == OpAction::Probe { OpAction::Monitor } else { action };
    vec![
        ("CRM_alert_kind", "resource".to_owned()),
        ("CRM_alert_rsc", id.to_owned()),
        ("CRM_alert_task", task.to_string()),
        ("CRM_alert_interval", every.unwrap_or_default().as_millis().to_string()),
        ("CRM_alert_rc", rc.to_string()),
        ("CRM_alert_target_rc", "0".to_owned()),
        ("CRM_alert_status", if rc == 0 { "0" } else { "4" }.to_owned()),
        ("CRM_alert_desc", if rc == 0 { "ok" } else { "error" }.to_owned()),
    ]
}
