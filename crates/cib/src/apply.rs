//! From record and entry to the next record.
//!
//! One entry at a time: what concerns machines and epochs is in `nodes`, resources and groups in `configure` and
//! `assign`, what machines say of themselves in `report`.

use alloc::string::String;
use hearth_types::{Index, NodeName};

use crate::record::{Change, NodeRecord};
use crate::{Entry, Record, Rejection};

impl Record {
    /// Applies the decided entry of that index. Deterministic and total; a refused entry changes nothing but `applied`.
    /// An index at or below `applied` is refused and changes nothing at all.
    pub fn apply(&mut self, index: Index, entry: &Entry) -> Result<(), Rejection> {
        if index <= self.applied {
            return Err(Rejection::OutOfOrder { index: index.0, applied: self.applied.0 });
        }
        self.applied = index;
        let mut next = self.clone();
        match entry {
            Entry::Batch(entries) => entries.iter().try_for_each(|entry| next.accept(entry))?,
            entry => next.accept(entry)?,
        }
        *self = next;
        Ok(())
    }

    /// One entry, at index `applied`. After an error the value is not to be used.
    fn accept(&mut self, entry: &Entry) -> Result<(), Rejection> {
        match entry {
            Entry::Noop => Ok(()),
            Entry::Batch(_) => Err(Rejection::NestedBatch),
            Entry::Configure { model, digest, nodes } => self.configure(model, *digest, nodes),
            Entry::Admit { node, identity, incarnation } => self.admit(node, *identity, *incarnation),
            Entry::Probed { node, incarnation } => self.probed(node, *incarnation),
            Entry::Forced { node, permit, node_silent } => self.forced(node, *permit, *node_silent),
            Entry::Lost { node, admission } => self.lost(node, *admission),
            Entry::Renew { node, admission } => self.renew(node, *admission),
            Entry::Leased { node, incarnation, epoch } => self.leased(node, *incarnation, epoch),
            Entry::Proven { node, admission, addresses } => self.proven(node, *admission, addresses),
            Entry::Watched { node, incarnation, timeout_ms } => self.watched(node, *incarnation, *timeout_ms),
            Entry::Reset { node, admission } => self.reset(node, *admission),
            Entry::Resigned { node, admission } => self.resigned(node, *admission),
            Entry::Fenced { node, admission, how, upto, request } => {
                if let Some(request) = request {
                    self.request(request)?;
                }
                self.fenced(node, *admission, how, *upto)
            }
            Entry::Left { node } => self.left(node),
            Entry::Unclean { node, reason, running, identity } => self.unclean(node, reason, running, *identity),
            Entry::Confirmed { node } => self.confirmed(node),
            Entry::Standing { node, unservable, pings } => self.standing(node, unservable, *pings),
            Entry::Epoch { name, voters, permit } => self.begin_epoch(name, voters, *permit),
            Entry::Assign { group, node, reason } => self.assign(group, node, reason),
            Entry::Unassign { group, reason } => self.unassign(group, reason),
            Entry::Report(report) => self.report(report),
            Entry::Move { request, groups, to, away_from, by } => {
                self.request(request)?;
                self.request_placement(request, groups, to.as_ref(), away_from.as_ref(), by)
            }
            Entry::Failback { request, groups, by } => {
                self.request(request)?;
                self.request_failback(request, groups, by)
            }
            Entry::Aged { resource, node, action, index } => self.aged(resource, node, *action, *index),
            Entry::RaiseWire { version, stated } => self.raise_wire(*version, stated),
            Entry::Clear { request, subject } => {
                self.request(request)?;
                self.clear(subject)
            }
        }
    }

    pub(crate) fn node_mut(&mut self, node: &NodeName) -> Result<&mut NodeRecord, Rejection> {
        self.nodes.get_mut(node).ok_or_else(|| Rejection::UnknownNode { node: node.clone() })
    }

    pub(crate) fn note(&mut self, text: String) {
        self.last_change = Some(Change { index: self.applied, text });
    }
}
