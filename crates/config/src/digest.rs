//! Whether two nodes were given the same files, and what may change while running.

use crate::{Config, Medium};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use hearth_types::{AutoFailback, GroupSpec, NodeName, OnStopFail, ResourceKind, ResourceModel, ResourceSpec};

/// FNV-1a over fields that each say their own length, so that it means the same in every version.
struct Fnv(u64);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }

    fn number(&mut self, number: u64) {
        number.to_be_bytes().into_iter().for_each(|byte| self.byte(byte));
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        text.bytes().for_each(|byte| self.byte(byte));
    }

    fn texts<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str>) {
        self.number(texts.len() as u64);
        texts.for_each(|text| self.text(text));
    }

    fn span(&mut self, span: Duration) {
        self.number(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    }
}

/// Hashes of the cluster part, which must be equal on all nodes, and of the resources (R-JOIN-4). Left out of the first:
/// the local name, interfaces and peers of media, addresses that names resolve to (they differ by machine), times (they
/// may be changed on one node after the other while running), `wire_version` (the same), watchdog, self_fence, realtime, logging, `env`, alerts, keys.
pub fn digest(config: &Config) -> (u64, u64) {
    let cluster = &config.cluster;
    let mut hash = Fnv::new();
    hash.text(&cluster.name);
    hash.texts(cluster.nodes.iter().map(|node| node.as_str()));
    hash.number(cluster.media.len() as u64);
    cluster.media.iter().for_each(|one| medium(&mut hash, one));
    hash.texts(cluster.ping_targets.iter().map(|target| target.name.as_str()));
    for flag in [cluster.permits.tiebreaker_ping, cluster.permits.unfenced, cluster.gate] {
        hash.byte(u8::from(flag));
    }
    if cluster.tiebreaker_disk.is_some() {
        // Its path may differ by machine.
        hash.text("tiebreaker disk");
    }
    // Only where there are any, so that files without them mean the same to an older daemon. Parameters are secret, and
    // may differ by machine.
    for device in &cluster.fencing.devices {
        hash.text(&device.name);
        hash.text(device.user.as_ref().map_or("*", |user| user.as_str()));
        hash.texts(device.targets.keys().map(|target| target.as_str()));
        device.barred.iter().for_each(|node| hash.text(node.as_str()));
    }
    for (target, levels) in &cluster.fencing.topology {
        hash.text(target.as_str());
        for level in levels {
            // A device alone means the same to an older daemon.
            if level.len() > 1 {
                hash.text("all of");
                hash.number(level.len() as u64);
            }
            level.iter().for_each(|position| hash.number(*position as u64));
        }
    }
    (hash.0, resources(&config.resources))
}

fn medium(hash: &mut Fnv, medium: &Medium) {
    let (kind, number) = match medium {
        Medium::Ucast { port, .. } => ("ucast", u32::from(*port)),
        Medium::Bcast { port, .. } => ("bcast", u32::from(*port)),
        Medium::Mcast { port, .. } => ("mcast", u32::from(*port)),
        Medium::Mcast6 { port, .. } => ("mcast6", u32::from(*port)),
        Medium::Serial { baud, .. } => ("serial", *baud),
    };
    hash.text(kind);
    hash.number(u64::from(number));
    match medium {
        Medium::Mcast { group, .. } => hash.text(&group.to_string()),
        Medium::Mcast6 { group, .. } => hash.text(&group.to_string()),
        _ => {}
    }
}

fn resources(model: &ResourceModel) -> u64 {
    let mut hash = Fnv::new();
    hash.byte(match model.auto_failback {
        AutoFailback::Off => 0,
        AutoFailback::On => 1,
    });
    // Only where there are any, so that files without them mean the same to an older daemon.
    model.witnesses.iter().for_each(|witness| hash.text(witness.as_str()));
    hash.number(model.groups.len() as u64);
    for GroupSpec { id, preferred, resources } in &model.groups {
        hash.text(id.as_str());
        hash.texts(preferred.iter().map(|node| node.as_str()));
        hash.number(resources.len() as u64);
        resources.iter().for_each(|one| resource(&mut hash, one));
    }
    hash.0
}

/// Every field is named, so that a new one cannot be forgotten here.
fn resource(hash: &mut Fnv, resource: &ResourceSpec) {
    let ResourceSpec { id, class, agent, args, kind, owns, timeouts, monitor, on_stop_fail, wire_check } = resource;
    hash.text(id.as_str());
    hash.text(&class.to_string());
    hash.text(agent);
    hash.texts(args.iter().map(String::as_str));
    // What an address or a mount is follows from the arguments.
    hash.byte(match kind {
        ResourceKind::Address(_) => 0,
        ResourceKind::Filesystem { .. } => 1,
        ResourceKind::Script => 2,
    });
    hash.number(owns.len() as u64);
    owns.iter().for_each(|key| hash.text(key));
    [timeouts.start, timeouts.stop, timeouts.monitor].into_iter().for_each(|span| hash.span(span));
    match monitor {
        None => hash.byte(0),
        Some(period) => {
            hash.byte(1);
            hash.span(*period);
        }
    }
    hash.byte(match on_stop_fail {
        OnStopFail::Block => 0,
        OnStopFail::Ignore => 1,
    });
    hash.byte(u8::from(*wire_check));
}

/// What a reload may not change, one line each with its reason; empty: the new value may be used at once.
pub fn reload_refusals(old: &Config, new: &Config) -> Vec<String> {
    let mut refusals = Vec::new();
    if old.cluster.local != new.cluster.local {
        refusals.push(format!(
            "this machine's name changes from {} to {}: peers know it under the old one; stop, then start",
            old.cluster.local, new.cluster.local
        ));
    }
    refusals.extend(list_refusal(&old.cluster.nodes, &new.cluster.nodes));
    if old.cluster.name != new.cluster.name {
        refusals.push(String::from(
            "the cluster's name changes: it is part of every packet's tag; stop all nodes, then start",
        ));
    }
    if new.cluster.wire_version < old.cluster.wire_version {
        refusals.push(format!(
            "`wire_version` goes down to {}: the record may have a newer one in use; restart hearthd, and see its status",
            new.cluster.wire_version
        ));
    }
    let (a, b) = (&old.cluster, &new.cluster);
    if a.gate && !b.gate {
        refusals.push(String::from(
            "`gate no`: a peer that heard this node say it has a gate would take its addresses without waiting for their \
             lifetime; restart hearthd here: groups move to the peer meanwhile",
        ));
    }
    if a.watchdog != b.watchdog {
        refusals.push(String::from(
            "`watchdog` changes: it is armed and closed with the daemon; restart hearthd, one node after the other: groups \
             move to the peer meanwhile",
        ));
    }
    if b.tiebreaker_disk.is_some() && a.tiebreaker_disk != b.tiebreaker_disk {
        refusals.push(String::from(
            "`tiebreaker disk` changes: what was claimed on one disk is unknown on another; restart hearthd on both nodes \
             while they hear each other",
        ));
    }
    if a.record != b.record {
        refusals.push(String::from(
            "`record` changes: a recording begins with the daemon; restart hearthd, one node after the other: groups move to \
             the peer meanwhile",
        ));
    }
    refusals
}

/// Why a daemon that runs cannot go over to another list of nodes, whatever state it is in (R-LEDGER-4, decision 0058).
pub fn list_refusal(old: &[NodeName], new: &[NodeName]) -> Option<String> {
    let kept: Vec<&str> = old.iter().filter(|node| new.contains(node)).map(|node| node.as_str()).collect();
    if !new.iter().filter(|node| old.contains(node)).map(|node| node.as_str()).eq(kept.iter().copied()) {
        return Some(format!(
            "the order of the nodes changes, and the first seven vote: keep it over all `node` and `witness` lines: {}",
            kept.join(", ")
        ));
    }
    let gone: Vec<&str> = old.iter().filter(|node| !new.contains(node)).map(|node| node.as_str()).collect();
    if gone.is_empty() || new.len() > 2 {
        return None;
    }
    let gone = gone.join(", ");
    Some(match old.len() {
        0..=2 => format!(
            "{gone} is taken out of a pair: a pair is not made smaller while it runs; `hearth stop` on {gone} is enough, the other \
             one goes on alone"
        ),
        _ => format!(
            "{gone} is taken out and two stay: from three to two is a change from votes to permits, and half of the machines would \
             go by each; docs/operations.md says how (a machine less)"
        ),
    })
}
