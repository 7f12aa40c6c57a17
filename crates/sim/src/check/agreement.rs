//! Section 8, 4: one epoch name has one list of voters, and every node's record at an index is the same.

use super::{Blame, Checker, Seen};
use crate::site::Site;
use hearth_types::{EpochName, Index};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What nodes have had on record.
#[derive(Debug, Default)]
pub struct Agreement {
    newest: BTreeMap<usize, (EpochName, Index)>,
    voters: BTreeMap<EpochName, String>,
    digests: BTreeMap<(EpochName, Index), (u64, usize)>,
}

impl Checker for Agreement {
    fn name(&self) -> &'static str {
        "agreement"
    }

    fn sees_inputs(&self) -> bool {
        true
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, blame: &mut Blame<'_>) {
        let Seen::Outputs { node, .. } = seen else { return };
        let Some(record) = site.machines[*node].controller.as_ref().and_then(|it| it.record()) else { return };
        let unchanged = self.newest.get(node).is_some_and(|(epoch, at)| *at == record.applied && *epoch == record.epoch);
        if unchanged {
            return;
        }
        let key = (record.epoch.clone(), record.applied);
        self.newest.insert(*node, key.clone());
        let voters = format!("{:?}", record.voters);
        let known = self.voters.entry(record.epoch.clone()).or_insert_with(|| voters.clone());
        if *known != voters {
            blame.that(format!("epoch {} has the voters {known} and {voters}", record.epoch));
        }
        let mut hasher = DefaultHasher::new();
        format!("{record:?}").hash(&mut hasher);
        let digest = hasher.finish();
        let (known, first) = *self.digests.entry(key).or_insert((digest, *node));
        if known != digest {
            let (one, other) = (site.name(first), site.name(*node));
            let (epoch, index) = (&record.epoch, record.applied);
            blame.that(format!("{one} and {other} have different records at {index:?} of epoch {epoch}"));
        }
    }
}
