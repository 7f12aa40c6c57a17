//! Fence devices and the nodes: who can turn whom off, and what is not covered.

use crate::ha_cf::{File, WrittenDevice};
use crate::report::{Report, error, warning};
use crate::{
    FenceKind, FileKind, SLOT_IO, SLOT_MARGIN, SLOT_NAME, SLOT_PATIENCE_MIN, TIEBREAKER_LEASE_MIN, slot_needs,
};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;
use hearth_types::NodeName;

/// Takes the devices over, once the nodes are known, and says what is wrong with them.
pub(crate) fn check(file: &mut File, report: &mut Report) {
    let mut written = core::mem::take(&mut file.stonith);
    if written.is_empty() {
        return;
    }
    let errors = report.complaints.len();
    for device in written.iter_mut().filter(|written| written.device.kind == FenceKind::Disk) {
        // Whoever is in the cluster has a slot; a witness runs nothing, and nobody has to end it.
        let able = file.cluster.nodes.iter().filter(|node| !file.witnesses.iter().any(|(name, _)| name == *node));
        device.device.targets = able.map(|node| (node.clone(), String::new())).collect();
    }
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
    file.cluster.tiebreaker_disk = None;
    let at = written.last().map(|device| (device.file, device.kind.clone()));
    file.cluster.fencing.devices = written.into_iter().map(|written| written.device).collect();
    for gap in gaps(file).into_iter().filter(|_| named_well) {
        let (kind, span) = at.clone().unzip();
        let wrong = warning("not-covered", span, gap).label("the fence devices end here");
        let way_out = match kind {
            Some(FileKind::Crm) => "add a primitive of class stonith, or a name to pcmk_host_list",
            _ => "add a `stonith_host` line, or a name to pcmk_host_list",
        };
        report.push_of(kind.unwrap_or(FileKind::HaCf), wrong.help(way_out));
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
        report.push_of(written.file, wrong.help(format!("nodes are: {}", known().collect::<Vec<_>>().join(" "))));
    }
}

/// A pill is proven by the watchdog of whoever cannot read it: there must be one, and it must have acted while the order
/// still runs.
pub(crate) fn of_a_disk(file: &File, report: &mut Report) {
    let cluster = &file.cluster;
    let Some(span) = file.disk.clone().filter(|_| cluster.fencing.disk().is_some()) else { return };
    if file.witnesses.iter().any(|(name, _)| *name == cluster.local) {
        return;
    }
    slot_names(file, &span, report);
    let Some(watchdog) = &cluster.watchdog else {
        let title = "`stonith disk` needs a watchdog: a machine that cannot read its slot is reset by nothing else";
        return report.push(error("disk-needs-watchdog", span, title).help("write: watchdog /dev/watchdog 10s"));
    };
    let needs = slot_needs(watchdog.timeout);
    if cluster.fencing.timeout < needs {
        let (fence, timeout) = (cluster.fencing.timeout, watchdog.timeout);
        let title = format!("a pill on the shared disk proves nothing within `timeout fence` {fence:?}");
        let arithmetic = format!(
            "1.05 x ({SLOT_PATIENCE_MIN:?} without a look + watchdog {timeout:?}) + {SLOT_MARGIN:?} + {SLOT_IO:?} to write"
        );
        let wrong = error("disk-too-late", span, title).label(arithmetic);
        let seconds = needs.as_millis().div_ceil(1000);
        report.push(wrong.help(format!("write: timeout fence {seconds}s, or a shorter watchdog")));
    }
}

/// Names that fit into a slot.
fn slot_names(file: &File, span: &Range<usize>, report: &mut Report) {
    for name in file.cluster.nodes.iter().filter(|name| name.as_str().len() > SLOT_NAME) {
        let wrong = error("disk-name", span.clone(), format!("`{name}` is too long for a slot of the shared disk"));
        report.push(wrong.help(format!("names there have at most {SLOT_NAME} letters")));
    }
}

/// What a claim on a disk asks of the other lines. That only the disk counts beside it is said (R-PAIR-1).
pub(crate) fn of_a_tiebreaker(file: &mut File, report: &mut Report) {
    let Some(span) = file.tiebreaker.clone().filter(|_| file.cluster.tiebreaker_disk.is_some()) else { return };
    slot_names(file, &span, report);
    if let Some(unfenced) = file.unfenced.clone().filter(|_| file.cluster.permits.unfenced) {
        let title =
            "`unfenced_takeover` is never used beside `tiebreaker disk`: who is not favoured goes on with nothing";
        report.push(error("two-permits", unfenced, title).help("remove the line"));
    }
    file.cluster.permits = crate::Permits { tiebreaker_ping: false, unfenced: false };
    let timing = &file.cluster.timing;
    if timing.lease() < TIEBREAKER_LEASE_MIN {
        let title = format!("a lease of {:?} leaves the disk no time to answer", timing.lease());
        let label = format!("a claim takes six accesses, within half a lease; {TIEBREAKER_LEASE_MIN:?} is the least");
        let wrong = warning("tiebreaker-too-late", span, title).label(label);
        report.push(wrong.help(format!("write a deadtime of {:?} or more", TIEBREAKER_LEASE_MIN * 5 / 4)));
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
