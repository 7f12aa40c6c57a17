//! Peers by name: asked for at every packet many times over, so their names stand in one piece of memory.

use crate::PeerView;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use hearth_types::NodeName;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// In the order of their names; written down as a map.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    names: Vec<NodeName>,
    /// In the same order.
    views: Vec<PeerView>,
}

impl Peers {
    /// Nothing is known of any.
    pub(crate) fn new(names: &[NodeName]) -> Peers {
        let mut peers = Peers { names: Vec::new(), views: Vec::new() };
        names.iter().for_each(|name| peers.add(name));
        peers
    }

    /// One more, if it is not there.
    pub(crate) fn add(&mut self, name: &NodeName) {
        if let Err(place) = self.names.binary_search(name) {
            self.names.insert(place, name.clone());
            self.views.insert(place, PeerView::new());
        }
    }

    pub(crate) fn retain(&mut self, stays: impl Fn(&NodeName) -> bool) {
        let mut names = self.names.iter();
        self.views.retain(|_| names.next().is_some_and(&stays));
        self.names.retain(stays);
    }

    /// One after the other: at most 31, of a few words each.
    #[inline]
    fn place(&self, name: &NodeName) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    #[inline]
    pub(crate) fn get(&self, name: &NodeName) -> Option<&PeerView> {
        self.views.get(self.place(name)?)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, name: &NodeName) -> Option<&mut PeerView> {
        let place = self.place(name)?;
        self.views.get_mut(place)
    }

    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&NodeName, &PeerView)> + Clone {
        self.names.iter().zip(&self.views)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&NodeName, &mut PeerView)> {
        self.names.iter().zip(&mut self.views)
    }
}

impl Serialize for Peers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Peers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Peers, D::Error> {
        // Whoever wrote it, the names come out in their order, each once.
        let (names, views) = BTreeMap::deserialize(deserializer)?.into_iter().unzip();
        Ok(Peers { names, views })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    /// Harm: what is known of one machine is taken for another's.
    #[test]
    fn every_name_keeps_its_own_view_whatever_comes_and_goes() {
        let mut known: BTreeSet<NodeName> = ["node-0011", "c", "a"].map(NodeName::from).into();
        let mut peers = Peers::new(&known.iter().rev().cloned().collect::<Vec<_>>());
        for (number, name) in ["b", "node-0012", "node-0010", "a", "d"].map(NodeName::from).iter().enumerate() {
            peers.add(name);
            known.insert(name.clone());
            peers.iter_mut().for_each(|(name, peer)| peer.last_heard_at.0 = name.as_str().len() as u64 * 100);
            let gone = known.iter().nth(number).cloned();
            peers.retain(|name| Some(name) != gone.as_ref());
            known.retain(|name| Some(name) != gone.as_ref());
            assert!(peers.iter().map(|(name, _)| name).eq(&known), "{peers:?}");
            let own = |name: &NodeName| name.as_str().len() as u64 * 100;
            assert!(known.iter().all(|name| peers.get(name).is_some_and(|peer| peer.last_heard_at.0 == own(name))));
            assert!(gone.is_none_or(|gone| peers.get(&gone).is_none() && peers.get_mut(&gone).is_none()));
        }
    }
}
