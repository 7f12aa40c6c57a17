//! Which key each peer signs with: one that a live peer still uses is not taken out by a reload (R-WIRE-3).

use hearth_config::Keys;
use hearth_types::{NodeName, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The newest heartbeat of each peer: its key and when it came.
#[derive(Default)]
pub(crate) struct Signers(BTreeMap<NodeName, (u8, Timestamp)>);

impl Signers {
    /// A heartbeat of a peer was found good under this key. Bounded: what is authenticated names nodes of the cluster.
    pub(crate) fn heard(&mut self, now: Timestamp, peer: &NodeName, key: u8) {
        match self.0.get_mut(peer) {
            Some(last) => *last = (key, now),
            None => drop(self.0.insert(peer.clone(), (key, now))),
        }
    }

    /// Why the keys that are `gone` must stay for now, one line for each peer that was heard within `deadtime`.
    pub(crate) fn objections(&self, now: Timestamp, deadtime: Duration, gone: &BTreeSet<u8>) -> Vec<String> {
        let using = self.0.iter().filter(|(_, (key, at))| gone.contains(key) && now.since(*at) < deadtime);
        let line = |(peer, (key, _)): (&NodeName, &(u8, Timestamp))| {
            format!(
                "{peer} still signs with key {key}, which authkeys would not have any more: its packets would be refused \
                 and it would be taken for dead; write a key that all nodes have after `auth`, reload {peer} with that, \
                 then take key {key} out"
            )
        };
        using.map(line).collect()
    }
}

/// Numbers of the keys that new files do not have, or have with another text or method.
pub(crate) fn keys_gone(old: &Keys, new: &Keys) -> BTreeSet<u8> {
    old.keys.iter().filter(|(number, key)| new.keys.get(number) != Some(key)).map(|(number, _)| *number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_config::{Key, KeyMethod};

    const DEADTIME: Duration = Duration::from_millis(500);

    fn keys(texts: &[(u8, &str)]) -> Keys {
        let key = |text: &str| Key { method: KeyMethod::Sha256, text: text.into() };
        Keys { signing: 1, keys: texts.iter().map(|(number, text)| (*number, key(text))).collect() }
    }

    #[test]
    fn r_wire_3_a_key_that_a_live_peer_signs_with_is_not_taken_out() {
        let (mut signers, now) = (Signers::default(), Timestamp(1_000_000_000));
        let both = keys(&[(1, "old"), (2, "new")]);
        signers.heard(now, &"b".into(), 1);
        // Gone, or another under its number.
        for files in [keys(&[(2, "new")]), keys(&[(1, "other"), (2, "new")])] {
            let objections = signers.objections(now, DEADTIME, &keys_gone(&both, &files));
            assert!(objections.len() == 1 && objections[0].starts_with("b still signs with key 1"), "{objections:?}");
        }
        assert!(signers.objections(now, DEADTIME, &keys_gone(&both, &keys(&[(1, "old")]))).is_empty());
        let without = keys_gone(&both, &keys(&[(2, "new")]));
        assert!(signers.objections(now + DEADTIME, DEADTIME, &without).is_empty(), "the dead keep nobody");
        signers.heard(now, &"b".into(), 2);
        assert!(signers.objections(now, DEADTIME, &without).is_empty(), "it has rolled its key");
    }
}
