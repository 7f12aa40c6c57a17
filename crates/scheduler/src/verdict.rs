//! Whether a node can run a group, and if not, why, in words.

use alloc::format;
use alloc::string::String;
use hearth_cib::{MemberState, Record};
use hearth_types::{GroupSpec, NodeName, OpAction};

use crate::{Alive, Cause};

/// So often a resource is started again in place after it failed while it ran; then the next node is tried.
pub const MONITOR_FAILURES: u32 = 3;

/// Why a node cannot run a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// In words that continue the node's name.
    pub text: String,
    /// Whether, and why, a group that is there should leave it if another can take it. None: it waits.
    pub leave: Option<Cause>,
    /// Leave also when nobody can take it.
    pub at_once: bool,
}

fn wait(text: impl Into<String>) -> Option<Obstacle> {
    Some(Obstacle { text: text.into(), leave: None, at_once: false })
}

fn leave(cause: Cause, text: String) -> Option<Obstacle> {
    Some(Obstacle { text, leave: Some(cause), at_once: false })
}

/// What keeps the node from running the group; none: it can.
pub(crate) fn obstacle(record: &Record, view: &Alive, group: &GroupSpec, name: &NodeName) -> Option<Obstacle> {
    let Some(node) = record.nodes.get(name) else { return wait("is not in ha.cf") };
    if record.model.is_witness(name) {
        return Some(Obstacle { text: "is a witness".into(), leave: Some(Cause::Witness), at_once: true });
    }
    if node.member != MemberState::Admitted {
        return wait(match node.member {
            MemberState::Lost => "is lost",
            MemberState::Left => "has stopped in order",
            _ => "has not joined yet",
        });
    }
    if let Some(unclean) = &node.unclean {
        return wait(format!("is unclean: {}", unclean.reason));
    }
    if !view.alive.contains(name) {
        return wait("is silent");
    }
    // What is there stays: its stop could not be confirmed.
    if view.without_disk.contains(name) {
        return wait("cannot write its state");
    }
    if view.leaving.contains(name) {
        return Some(Obstacle { text: "is stopping".into(), leave: Some(Cause::Leaving), at_once: true });
    }
    if !node.probed {
        return wait("has not reported yet what runs there");
    }
    if let Some(why) = view.left_out.get(name) {
        return wait(why.as_str());
    }
    for member in &group.resources {
        let failures = |action| record.failures.get(&(member.id.clone(), name.clone(), action));
        if let Some(failure) = failures(OpAction::Start) {
            let text = format!("could not start {}{}", member.id, said(&failure.message));
            return leave(Cause::StartFailed, text);
        }
        if let Some(failure) = failures(OpAction::Monitor).filter(|failure| failure.count >= MONITOR_FAILURES) {
            let text = format!("saw {} fail {} times{}", member.id, failure.count, said(&failure.message));
            return leave(Cause::MonitorFailed, text);
        }
    }
    match group.resources.iter().find(|member| node.unservable.contains(&member.id)) {
        Some(member) => leave(Cause::Carrier, format!("has no carrier for {}", member.id)),
        None => None,
    }
}

fn said(message: &str) -> String {
    match message.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!(" ({})", line.trim()),
        None => String::new(),
    }
}
