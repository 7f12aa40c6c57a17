//! Fence devices and the nodes: who can turn whom off, and what is not covered.

use crate::ha_cf::{File, WrittenDevice};
use crate::report::{Report, error, warning};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use hearth_types::NodeName;

/// Takes the devices over, once the nodes are known, and says what is wrong with them.
pub(crate) fn check(file: &mut File, report: &mut Report) {
    let written = core::mem::take(&mut file.stonith);
    if written.is_empty() {
        return;
    }
    let errors = report.complaints.len();
    for device in &written {
        names(file, device, report);
    }
    let named_well = report.complaints.len() == errors;
    if let Some(span) = file.tiebreaker.clone() {
        // R-PAIR-1: the stronger one counts alone, so the weaker would be an option that does nothing.
        let title = "`tiebreaker` is never used beside a fence device: a lost machine is fenced, or nothing moves";
        report.push(
            error("two-permits", span, title).help("remove the line; `ping` lines stay and say who fences first"),
        );
    }
    if let Some(span) = file.unfenced.clone().filter(|_| file.cluster.permits.unfenced) {
        let title =
            "`unfenced_takeover` is never used beside a fence device: a lost machine is fenced, or nothing moves";
        report.push(error("two-permits", span, title).help("remove the line"));
    }
    file.cluster.permits = crate::Permits { tiebreaker_ping: false, unfenced: false };
    let at = written.last().map(|device| device.kind.clone());
    file.cluster.fencing.devices = written.into_iter().map(|written| written.device).collect();
    for gap in gaps(file).into_iter().filter(|_| named_well) {
        let wrong = warning("not-covered", at.clone(), gap);
        report.push(
            wrong.label("the fence devices end here").help("add a `stonith_host` line, or a name to pcmk_host_list"),
        );
    }
}

fn names(file: &File, written: &WrittenDevice, report: &mut Report) {
    let nodes = &file.cluster.nodes;
    let known = || nodes.iter().map(NodeName::as_str);
    let stranger = |name: &NodeName| !nodes.contains(name);
    if let (Some(user), Some(span)) = (written.device.user.as_ref().filter(|user| stranger(user)), &written.host) {
        let title = format!("no `node` line names `{user}`");
        let wrong = error("unknown-node", span.clone(), title).help("write the machine that can use the device, or *");
        report.push(wrong.nearest(user.as_str(), known()));
    }
    for target in written.device.targets.keys().filter(|target| stranger(target)) {
        let wrong = error("unknown-node", written.targets.clone(), format!("no `node` line names `{target}`"));
        report.push(wrong.help(format!("nodes are: {}", known().collect::<Vec<_>>().join(" "))));
    }
}

/// What no device covers, a sentence each.
fn gaps(file: &File) -> Vec<String> {
    let cluster = &file.cluster;
    let mut gaps = Vec::new();
    for target in &cluster.nodes {
        let others = cluster.nodes.iter().filter(|node| *node != target);
        let without: Vec<String> =
            others.filter(|user| cluster.fencing.levels(user, target).is_empty()).map(ToString::to_string).collect();
        if !without.is_empty() {
            gaps.push(format!("no fence device turns `{target}` off from {}", without.join(", ")));
        }
    }
    gaps
}
