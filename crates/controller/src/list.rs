//! The list of nodes: what ha.cf names here against what is agreed (R-JOIN-4, R-LEDGER-4, decision 0047). A daemon reads
//! it once, when it starts; the record follows when the files of all machines say the same.

use crate::node::Node;
use hearth_cib::{Entry, Record};
use hearth_types::NodeName;

impl Node {
    /// What the files say, for the record: the resources of this node's, and the machines that are agreed, for what one
    /// machine's file alone names nobody else may know.
    pub(crate) fn own_configuration(&self) -> Entry {
        let agreed = self.ledger.record().map(|record| &record.node_order).filter(|order| !order.is_empty());
        self.configuration(agreed.unwrap_or(&self.config.cluster.nodes).clone())
    }

    /// The same with the machines of this node's ha.cf: where the files of all say the same, or nothing is agreed.
    pub(crate) fn whole_configuration(&self) -> Entry {
        self.configuration(self.config.cluster.nodes.clone())
    }

    fn configuration(&self, nodes: Vec<NodeName>) -> Entry {
        Entry::Configure { model: self.config.resources.clone(), digest: self.digest.1, nodes }
    }

    /// Machines that ha.cf names here and nothing agreed does, and the other way round.
    fn list_differs(&self) -> Option<(Vec<&str>, Vec<&str>)> {
        let agreed = &self.ledger.record().filter(|record| !record.node_order.is_empty())?.node_order;
        let named = &self.config.cluster.nodes;
        let new: Vec<&str> = named.iter().filter(|name| !agreed.contains(name)).map(NodeName::as_str).collect();
        let gone: Vec<&str> = agreed.iter().filter(|name| !named.contains(name)).map(NodeName::as_str).collect();
        (!new.is_empty() || !gone.is_empty()).then_some((new, gone))
    }

    /// Whether ha.cf names here what is not agreed, or not what is.
    pub(crate) fn names_others(&self) -> bool {
        self.list_differs().is_some()
    }

    /// R-LEDGER-4: two machines by this file, and more by what is agreed: maintenance must not turn three into a pair that
    /// goes on alone.
    pub(crate) fn is_no_pair(&self) -> bool {
        self.ledger.record().is_some_and(|record| record.node_order.len() > 2)
    }

    /// Of a sole voter: whether that machine is the only other one that could have gone on alone, by what is agreed.
    pub(crate) fn is_only_other(&self, record: &Record, name: &NodeName) -> bool {
        let mut others = record.node_order.iter().filter(|node| **node != self.local);
        others.next().is_none_or(|other| other == name) && others.next().is_none()
    }

    /// The difference for people, with the way out.
    pub(crate) fn list_note(&self) -> Option<String> {
        let (new, gone) = self.list_differs()?;
        if gone.is_empty() {
            return Some(format!(
                "ha.cf here names {}, not agreed yet: that comes when ha.cf is the same on every machine, hearthd was restarted \
                 on each, and all of them run.",
                new.join(", ")
            ));
        }
        Some(format!(
            "ha.cf here does not name {}, and what is agreed counts on it still: nothing is taken over from a lost machine for want of \
             its vote. Write it back, or see docs/operations.md on a machine less.",
            gone.join(", ")
        ))
    }
}
