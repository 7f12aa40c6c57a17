//! What people order about machines that are gone: fence it, try whether that would work, it is off.

use crate::fences::Rehearsal;
use crate::node::Node;
use crate::orders::{Goal, refused, reply};
use crate::{Output, Severity};
use hearth_cib::{FENCED_FROM, MemberState};
use hearth_control::Reply;
use hearth_types::{Admission, NodeName, Timestamp};
use std::collections::BTreeSet;

impl Node {
    /// Another machine of ha.cf; else why not.
    fn other(&self, name: &str) -> Result<NodeName, Reply> {
        let node = NodeName::new(name);
        if node == self.local {
            let help = "run it on another node";
            return Err(refused(format!("{node} is this node itself"), Some(help), false));
        }
        if !self.config.cluster.nodes.contains(&node) {
            let known: Vec<&str> = self.config.cluster.nodes.iter().map(NodeName::as_str).collect();
            return Err(refused(format!("there is no node {node}; there are: {}", known.join(", ")), None, false));
        }
        Ok(node)
    }

    /// The same, if nothing was heard of it for as long as makes it lost.
    fn other_that_is_silent(&self, now: Timestamp, name: &str) -> Result<NodeName, Reply> {
        let node = self.other(name)?;
        if self.members.is_alive(&node) || now < self.members.lost_at(&node) {
            let help =
                format!("`hearth stop` there stops it in order; `hearth status` shows when {node} was last heard");
            return Err(refused(format!("{node} is heard: it is not off"), Some(&help), false));
        }
        if self.keeping.is_isolated() || !self.standing.links_have_carrier() {
            let help = "plug in a heartbeat link first";
            let reason =
                format!("no interface of this node has carrier, so that {node} is silent says nothing of {node}");
            return Err(refused(reason, Some(help), false));
        }
        Ok(node)
    }

    /// The admission under which the record calls a node lost.
    fn lost_under(&self, node: &NodeName) -> Option<Admission> {
        let known = self.record()?.nodes.get(node)?;
        (known.member == MemberState::Lost).then_some(known.admission)
    }

    /// `hearth fence NODE`, or `hearth node confirm-off NODE` if it `is_off`.
    pub(crate) fn order_off(
        &mut self,
        now: Timestamp,
        (token, is_off): (u64, bool),
        name: &str,
        by: &str,
        out: &mut Vec<Output>,
    ) {
        match self.refused_by_disk().map_or_else(|| self.other_that_is_silent(now, name), Err) {
            Ok(node) if is_off => self.confirm_off(now, token, node, by, out),
            Ok(node) => self.fence_by_hand(now, token, node, by, out),
            Err(answer) => reply(out, token, answer, false),
        }
    }

    fn fence_by_hand(&mut self, now: Timestamp, token: u64, node: NodeName, by: &str, out: &mut Vec<Output>) {
        if self.fence_levels(&node).is_empty() {
            let help = format!("turn {node} off by hand, then `hearth node confirm-off {node}`");
            let reason = format!("no fence device turns {node} off from here");
            return reply(out, token, refused(reason, Some(&help), false), false);
        }
        if let Some(why) = self.no_right_to_fence(&node) {
            let help = format!("start {node}; or turn it off by hand, then `hearth node confirm-off {node}`");
            let reason = format!("{node} is not fenced from here: {why}");
            return reply(out, token, refused(reason, Some(&help), false), false);
        }
        self.chronicle.lead(now, Severity::Info, "ordered", &node, format!("Ordered: fence {node} by {by}."));
        let admission = self.lost_under(&node).filter(|_| self.is_many());
        self.fence_at_once(now, &node, admission);
        self.fences.ordered.entry(node).or_default().push((token, now));
    }

    /// `hearth fence test NODE`.
    pub(crate) fn order_rehearsal(&mut self, now: Timestamp, token: u64, name: &str, out: &mut Vec<Output>) {
        let node = match self.other(name) {
            Ok(node) => node,
            Err(answer) => return reply(out, token, answer, false),
        };
        let waits = self.fence_levels(&node).into_iter().flatten().collect();
        if self.fence_levels(&node).is_empty() {
            let help = format!("a line in ha.cf: stonith_host * TYPE ... pcmk_host_list={node}");
            let reason = format!("no fence device turns {node} off from here");
            return reply(out, token, refused(reason, Some(&help), false), false);
        }
        self.fences.hurry_checks(now, &waits);
        self.fences.rehearsals.push(Rehearsal { token, node, since: now, waits });
    }

    fn confirm_off(&mut self, now: Timestamp, token: u64, node: NodeName, by: &str, out: &mut Vec<Output>) {
        let held = self.record().is_some_and(|record| record.active_on(&node).next().is_some());
        let decides = self.is_many() || (self.ledger.is_sole() && self.keeping.confirmed);
        let waits = held || !decides;
        if !waits {
            let text = format!("Nothing waits for {node}: nothing may be active there.");
            return reply(out, token, Reply::Done { text, took_ms: 0, notes: Vec::new() }, false);
        }
        let how = format!("{by} says that it is off");
        if !self.is_many() {
            self.chronicle.lead(now, Severity::Warning, "confirmed-off", &node, format!("{node} is off: {how}."));
            self.fences.words.insert(node.clone(), how);
            self.fences.told.push((node, token, now));
            return;
        }
        let lost = match self.changeable() {
            Ok(_) => self.lost_under(&node),
            Err(answer) => return reply(out, token, answer, false),
        };
        if lost.is_none() {
            let reason = format!("{node} is not lost by what is agreed: nothing that runs there may be taken");
            return reply(out, token, refused(reason, Some("see `hearth status`"), false), false);
        }
        let request = self.next_request();
        let Some(entry) = self.off(&node, how.clone(), Some(request.clone())) else {
            let wire = self.record().map_or(0, |record| record.wire_version);
            let reason =
                format!("wire version {wire} is in use: not every node could know of it before {FENCED_FROM} is");
            let help = format!("upgrade hearthd on every node (`hearth status` says which), or start {node}");
            return reply(out, token, refused(reason, Some(&help), false), false);
        };
        self.chronicle.lead(now, Severity::Warning, "confirmed-off", &node, format!("{node} is off: {how}."));
        self.order(now, token, request, entry, Vec::new(), Goal::Off(node), true, "off", out);
    }

    /// Answers whoever waits for a fence, a rehearsal, or for what follows from his word.
    pub(crate) fn answer_by_hand(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let took = |since: Timestamp| now.since(since).as_millis() as u64;
        for (node, result) in std::mem::take(&mut self.fences.ended) {
            let how = "a fence device says so, ordered by hand".to_owned();
            if result.is_ok() && self.is_many() && self.lost_under(&node).is_some() {
                self.hand_in(self.off(&node, how, None).into_iter().collect());
            }
            for (token, since) in self.fences.ordered.remove(&node).unwrap_or_default() {
                let answer = match &result {
                    Ok(said) => {
                        let text = format!("{node} is off, or was: {said}.");
                        Reply::Done { text, took_ms: took(since), notes: Vec::new() }
                    }
                    Err(why) => {
                        let help = format!("turn it off by hand, then `hearth node confirm-off {node}`");
                        Reply::Failed { reason: format!("{node} was not fenced: {why}"), help: Some(help) }
                    }
                };
                reply(out, token, answer, false);
            }
        }
        for told in std::mem::take(&mut self.fences.told) {
            let (node, token, since) = &told;
            let held = self.record().is_some_and(|record| record.active_on(node).next().is_some());
            if self.ledger.is_sole() && self.keeping.confirmed && !held {
                let text = format!("{node} counts as off; this node goes on alone.");
                let answer = Reply::Done { text, took_ms: took(*since), notes: Vec::new() };
                reply(out, *token, answer, false);
            } else if self.fences.words.contains_key(node) {
                self.fences.told.push(told);
            } else {
                let reason = format!("{node} was heard meanwhile: it is not off");
                reply(out, *token, Reply::Failed { reason, help: None }, false);
            }
        }
        for rehearsal in std::mem::take(&mut self.fences.rehearsals) {
            if rehearsal.waits.is_empty() {
                let answer = self.rehearsed(now, &rehearsal);
                reply(out, rehearsal.token, answer, false);
            } else {
                self.fences.rehearsals.push(rehearsal);
            }
        }
    }

    fn rehearsed(&self, now: Timestamp, rehearsal: &Rehearsal) -> Reply {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        let devices: BTreeSet<usize> = self.fence_levels(&rehearsal.node).into_iter().flatten().collect();
        for position in devices {
            let Some(device) = self.config.cluster.fencing.devices.get(position) else { continue };
            match self.fences.last_check(position) {
                Some(Ok(said)) => good.push(format!("{}: {said}", device.name)),
                Some(Err(why)) => bad.push(format!("{}: {why}", device.name)),
                None => bad.push(format!("{}: it was not asked", device.name)),
            }
        }
        let node = &rehearsal.node;
        if bad.is_empty() {
            let text = format!("Every device that would turn {node} off says that it works: {}.", good.join("; "));
            return Reply::Done { text, took_ms: now.since(rehearsal.since).as_millis() as u64, notes: Vec::new() };
        }
        let reason = format!("{node} might not be fenced: {}", bad.join("; "));
        Reply::Failed { reason, help: Some("run the device's program by hand with the same parameters".to_owned()) }
    }
}
