//! Section 8, 4: one epoch name has one list of voters, and every node's record at an index is the same.

use super::{Blame, Checker, Seen};
use crate::act::Act;
use crate::site::Site;
use hearth_types::{EpochName, Index};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// What nodes have had on record, as far as anybody can have seen it: what waits behind a write is not (R-LEDGER-3).
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    /// By machine.
    newest: Vec<Option<(EpochName, Index)>>,
    /// By machine, of the run of its daemon: not visible yet.
    pending: Vec<(u64, Vec<State>)>,
    voters: BTreeMap<EpochName, String>,
    digests: BTreeMap<(EpochName, Index), (u64, usize)>,
    /// Machines whose disk somebody put back: what one of them decided as the only voter nobody else knew.
    put_back: BTreeSet<usize>,
}

/// A record at one moment.
#[derive(Clone, Debug)]
struct State {
    key: (EpochName, Index),
    voters: String,
    is_sole: bool,
    digest: u64,
}

impl Checker for Agreement {
    fn name(&self) -> &'static str {
        "agreement"
    }

    fn sees_inputs(&self) -> bool {
        true
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, blame: &mut Blame<'_>) {
        match seen {
            Seen::Act(Act::Restore(node)) => _ = self.put_back.insert(*node),
            // No record changes and says nothing: there is a write at least (held by `tests/rest.rs`).
            Seen::Outputs { node, count } if *count > 0 => {
                self.note(site, *node);
                if site.machines[*node].held.is_empty() {
                    self.settle(site, *node, blame);
                }
            }
            Seen::Written { node } if site.machines[*node].held.len() <= 1 => self.settle(site, *node, blame),
            _ => {}
        }
    }
}

impl Agreement {
    fn note(&mut self, site: &Site, node: usize) {
        let machine = &site.machines[node];
        if self.newest.len() < site.machines.len() {
            self.newest.resize_with(site.machines.len(), || None);
            self.pending.resize_with(site.machines.len(), Default::default);
        }
        let Some(record) = machine.controller.as_ref().and_then(|it| it.record()) else { return };
        let unchanged =
            self.newest[node].as_ref().is_some_and(|(epoch, at)| *at == record.applied && *epoch == record.epoch);
        if unchanged {
            return;
        }
        let key = (record.epoch.clone(), record.applied);
        self.newest[node] = Some(key.clone());
        let mut hasher = DefaultHasher::new();
        // As it stands on disks: a record of our own types always serialises.
        serde_json::to_vec(record).unwrap_or_default().hash(&mut hasher);
        let state = State {
            key,
            voters: format!("{:?}", record.voters),
            is_sole: record.voters.len() == 1,
            digest: hasher.finish(),
        };
        let (run, states) = &mut self.pending[node];
        if *run != machine.run {
            (*run, *states) = (machine.run, Vec::new());
        }
        states.push(state);
    }

    /// Everything that a node has had on record in this run may have been seen.
    fn settle(&mut self, site: &Site, node: usize, blame: &mut Blame<'_>) {
        let Some((run, states)) = self.pending.get_mut(node).filter(|(_, states)| !states.is_empty()) else { return };
        let states = std::mem::take(states);
        if *run != site.machines[node].run || site.machines[node].disk.failed {
            return;
        }
        for State { key, voters, is_sole, digest } in states {
            let known = self.voters.entry(key.0.clone()).or_insert_with(|| voters.clone());
            if *known != voters {
                blame.that(format!("epoch {} has the voters {known} and {voters}", key.0));
            }
            let text = format!("{:?} of epoch {}", key.1, key.0);
            if is_sole && self.put_back.contains(&node) {
                self.digests.remove(&key);
            }
            let (known, first) = *self.digests.entry(key).or_insert((digest, node));
            if known != digest {
                let (one, other) = (site.name(first), site.name(node));
                blame.that(format!("{one} and {other} have different records at {text}"));
            }
        }
    }
}
