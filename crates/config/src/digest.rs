//! Whether two nodes were given the same files, and what may change while running.

use crate::{Config, Medium};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

struct Fnv(u64);

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}

fn hash(text: &str) -> u64 {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    // Writing to a hash cannot fail.
    let _ = hash.write_str(text);
    hash.0
}

/// FNV-1a of the cluster part, which must be equal on all nodes, and of the resources (R-JOIN-4). Left out: the local
/// name, interfaces and peers of media (they differ by machine), logging, keys.
pub fn digest(config: &Config) -> (u64, u64) {
    let cluster = &config.cluster;
    let media: Vec<String> = cluster.media.iter().map(medium).collect();
    let targets = &cluster.ping_targets;
    let text = format!(
        "{:?}\n{:?}\n{media:?}\n{targets:?}\n{:?}\n{:?}\n{}",
        cluster.name, cluster.nodes, cluster.timing, cluster.permits, cluster.gate
    );
    (hash(&text), hash(&format!("{:?}", config.resources)))
}

fn medium(medium: &Medium) -> String {
    match medium {
        Medium::Ucast { port, .. } => format!("ucast {port}"),
        Medium::Bcast { port, .. } => format!("bcast {port}"),
        Medium::Mcast { group, port, .. } => format!("mcast {group} {port}"),
        Medium::Mcast6 { group, port, .. } => format!("mcast6 {group} {port}"),
        Medium::Serial { baud, .. } => format!("serial {baud}"),
    }
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
    if old.cluster.nodes != new.cluster.nodes {
        refusals.push(String::from(
            "the list of nodes changes: the record counts its voters by it; stop all nodes, then start",
        ));
    }
    if old.cluster.name != new.cluster.name {
        refusals.push(String::from(
            "the cluster's name changes: it is part of every packet's tag; stop all nodes, then start",
        ));
    }
    refusals
}
