//! `hearth node add` and `hearth node remove`: one order on one machine, and the same change of ha.cf on all (decision 0059).
//!
//! Who is taken out stops in order first. Then every machine of the list says whether it could change its file and go over to
//! it, and only when all could, all do. Nothing is agreed by that: the record follows when all files say the same. Who dies
//! in between comes back to the list in its file, and the same order again brings the rest after.

use crate::node::Node;
use crate::orders::{refused, reply};
use crate::talk::PeerMessage;
use crate::{Output, Severity};
use hearth_cib::MemberState;
use hearth_config::ListChange;
use hearth_control::Reply;
use hearth_types::{Incarnation, NodeName, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Span between repeats of what a peer has not answered.
const REPEAT: Duration = Duration::from_millis(250);
/// How long machines may take to look at their files: names in them may be asked for over a network.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a machine that is taken out may take to stop what it runs: as long as operations may, and some.
const LEAVES_WITHIN: Duration = Duration::from_secs(600);

/// From that wire version on every daemon knows these orders: one from before drops what is asked of it (R-WIRE-6).
const KNOWN_FROM: u8 = 4;

/// What a machine says of its files: a digest of what they would be, or are; else why not.
pub(crate) type Said = Result<u64, String>;

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Phase {
    /// Who is taken out stops what it runs.
    Leaving,
    /// Every machine looks whether it could.
    Trying,
    /// Every machine does.
    Doing,
    /// The record follows.
    Agreeing,
}

/// An order of this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Order {
    token: u64,
    by: String,
    since: Timestamp,
    change: ListChange,
    phase: Phase,
    phase_since: Timestamp,
    said: BTreeMap<NodeName, Said>,
    asked_at: Timestamp,
    /// The run of a machine that is taken out that has left.
    #[serde(default)]
    left: Option<Incarnation>,
}

/// What another machine, or this one, asks of the files here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Run of the daemon that ordered it.
    pub run: Incarnation,
    /// Number of the order within that run.
    pub number: u64,
    /// What.
    pub change: ListChange,
    /// To do it; else to say whether it could be done.
    pub commit: bool,
}

/// Changes of the list that were ordered here, and that were asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Listing {
    order: Option<Order>,
    number: u64,
    /// The newest thing that was asked of the files here, by whom, under which number of the driver's, and what came of it.
    asked: Option<(NodeName, Asked, u64, Option<Said>)>,
    tasks: u64,
    /// What the driver is to do.
    wanted: Vec<(u64, ListChange, bool)>,
}

impl Listing {
    /// Whether no change is under way.
    pub(crate) fn rests(&self) -> bool {
        let answered = self.asked.as_ref().is_none_or(|(_, _, _, said)| said.is_some());
        self.order.is_none() && answered && self.wanted.is_empty()
    }
}

impl Node {
    /// `hearth node add` and `hearth node remove`.
    pub(crate) fn order_list(
        &mut self,
        now: Timestamp,
        token: u64,
        change: Result<ListChange, String>,
        by: &str,
        out: &mut Vec<Output>,
    ) {
        let change = match change.map_err(|why| refused(why, None, false)).and_then(|it| self.may_list(it)) {
            Ok(change) => change,
            Err(answer) => return reply(out, token, answer, false),
        };
        let text = match &change {
            ListChange::Add { node, .. } => format!("Ordered: node add {node} by {by}."),
            ListChange::Remove { node, .. } => format!("Ordered: node remove {node} by {by}."),
        };
        self.chronicle.lead(now, Severity::Info, "ordered", change.node().clone(), text);
        self.listing.number += 1;
        self.listing.order = Some(Order {
            token,
            by: by.to_owned(),
            since: now,
            change,
            phase: Phase::Leaving,
            phase_since: now,
            said: BTreeMap::new(),
            asked_at: Timestamp::ZERO,
            left: None,
        });
    }

    /// The change, with the addresses that are known of who is taken out; else why it is refused.
    fn may_list(&self, change: ListChange) -> Result<ListChange, Reply> {
        let record = self.changeable()?;
        if self.listing.order.is_some() {
            let help = "wait for its end; `hearth timeline --follow` shows it";
            return Err(refused("another change of the list is under way here".to_owned(), Some(help), false));
        }
        let old = &self.config.cluster.nodes;
        let new = change.applied_to(old);
        if let ListChange::Remove { node, .. } = &change {
            if *node == self.local {
                return Err(refused(format!("{node} is this node itself"), Some("run it on another node"), false));
            }
            if !old.contains(node) && !record.node_order.contains(node) {
                let known: Vec<&str> = old.iter().map(NodeName::as_str).collect();
                return Err(refused(format!("there is no node {node}; there are: {}", known.join(", ")), None, false));
            }
        }
        if let Some(why) = hearth_config::list_refusal(old, &new) {
            return Err(refused(why, None, false));
        }
        let without = |name: &&NodeName| new.contains(name) && **name != self.local;
        if let Some(name) = record.node_order.iter().filter(without).find(|name| !self.is_with_us(record, name)) {
            let reason = format!("{name} does not take part, and its ha.cf would go on saying something else");
            let help = format!("start hearthd on {name}, or `hearth node remove {name}` first");
            return Err(refused(reason, Some(&help), false));
        }
        let asked = |name: &&NodeName| without(name) || (*name == change.node() && self.members.is_alive(name));
        let speaks = |name: &NodeName| Some(self.members.peer(name)?.claimed.as_ref()?.versions.1);
        let older =
            |name: &NodeName| speaks(name).filter(|newest| *newest < KNOWN_FROM).map(|newest| (name.clone(), newest));
        if let Some((name, newest)) = record.node_order.iter().filter(asked).find_map(older) {
            let reason = format!("{name} speaks wire version {newest} at most, which has no words for this order");
            let help = format!("upgrade hearthd on {name}, or change ha.cf on every machine and `hearth reload` there");
            return Err(refused(reason, Some(&help), false));
        }
        Ok(match change {
            ListChange::Remove { node, .. } => ListChange::Remove { addresses: self.gone_addresses(&new), node },
            add @ ListChange::Add { .. } => add,
        })
    }

    /// Another machine took this one's name out of the list: it stops in order.
    pub(crate) fn take_leave(&mut self, now: Timestamp, from: &NodeName, by: &str) {
        self.begin_shutdown(now, format!("hearth node remove by {by} on {from}"), None);
    }

    /// Takes what a machine, this one or another, asks of the files here; asked again, it is answered again.
    pub(crate) fn take_asked(&mut self, from: &NodeName, asked: Asked) {
        let known = self.listing.asked.as_ref().filter(|(who, known, _, _)| (who, known) == (from, &asked));
        if let Some(said) = known.map(|(_, _, _, said)| said.clone()) {
            if let Some(said) = said {
                self.answer_list(from, asked, said);
            }
            return;
        }
        self.listing.tasks += 1;
        let (id, mut change, commit) = (self.listing.tasks, asked.change.clone(), asked.commit);
        if let ListChange::Remove { node, addresses } = &mut change {
            // By what is known here, no line goes that leads to a machine that stays.
            let others = self.config.cluster.nodes.iter().filter(|name| *name != node);
            let known: Vec<IpAddr> = others.flat_map(|name| self.alone.addresses_of(name)).collect();
            addresses.retain(|address| !known.contains(address));
        }
        self.listing.asked = Some((from.clone(), asked, id, None));
        self.listing.wanted.push((id, change, commit));
    }

    /// The driver has looked at the files, or has changed them.
    pub(crate) fn take_list_changed(&mut self, id: u64, result: Said) {
        let Some((from, asked, task, said)) = self.listing.asked.as_mut() else { return };
        if *task != id {
            return;
        }
        *said = Some(result.clone());
        let (from, asked) = (from.clone(), asked.clone());
        self.answer_list(&from, asked, result);
    }

    fn answer_list(&mut self, from: &NodeName, asked: Asked, said: Said) {
        if *from == self.local {
            return self.take_list_said(from, asked.number, asked.commit, said);
        }
        self.say(from, &PeerMessage::ListSaid { run: asked.run, number: asked.number, commit: asked.commit, said });
    }

    /// What a machine says of its files, for the order that is under way here.
    pub(crate) fn take_list_said(&mut self, from: &NodeName, number: u64, commit: bool, said: Said) {
        let current = self.listing.number;
        let Some(order) = self.listing.order.as_mut().filter(|_| number == current) else { return };
        if commit == (order.phase == Phase::Doing) && order.phase <= Phase::Doing && order.phase != Phase::Leaving {
            order.said.insert(from.clone(), said);
        }
    }

    /// Brings the order that is under way here further.
    pub(crate) fn go_on_with_list(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        if let Some(mut order) = self.listing.order.take() {
            let answer = loop {
                let before = order.phase;
                let answer = match order.phase {
                    Phase::Leaving => self.wait_for_leave(now, &mut order),
                    Phase::Trying | Phase::Doing => self.ask_all(now, &mut order),
                    Phase::Agreeing => self.wait_for_record(now, &order),
                };
                if answer.is_some() || order.phase == before {
                    break answer;
                }
            };
            match answer {
                Some(answer) => reply(out, order.token, answer, false),
                None => self.listing.order = Some(order),
            }
        }
        let wanted = std::mem::take(&mut self.listing.wanted);
        out.extend(wanted.into_iter().map(|(id, change, commit)| Output::ChangeList { id, change, commit }));
    }

    fn wait_for_leave(&mut self, now: Timestamp, order: &mut Order) -> Option<Reply> {
        let node = order.change.node().clone();
        let held = self.ledger.record().and_then(|record| self.objection_to_loss(record, &node));
        if matches!(order.change, ListChange::Add { .. }) || held.is_none() {
            // Whoever was the last to hear it must find it gone, too.
            let settle = self.config.cluster.timing.deadtime / 2;
            if matches!(order.change, ListChange::Add { .. }) || now.since(order.phase_since) >= settle {
                (order.phase, order.phase_since, order.asked_at) = (Phase::Trying, now, Timestamp::ZERO);
            }
            return None;
        }
        if now.since(order.since) >= LEAVES_WITHIN {
            let reason = format!("{node} has not stopped within {} s", LEAVES_WITHIN.as_secs());
            let help = Some(format!("see `hearth status` there; then `hearth node remove {node}` again"));
            return Some(Reply::Failed { reason, help });
        }
        let known = self.ledger.record().and_then(|record| record.nodes.get(&node));
        let admitted = known.is_some_and(|known| known.member == MemberState::Admitted);
        order.left = known.filter(|known| known.member == MemberState::Left).map(|it| it.incarnation).or(order.left);
        if self.members.is_alive(&node) {
            let run = self.members.peer(&node).and_then(|peer| peer.incarnation);
            if order.left.is_some() && order.left != run {
                // Asked again and again, it would leave and come back for as long as somebody waits here.
                let reason = format!("{node} has left, and was started again before its name was out");
                let help =
                    format!("see to it that nothing starts hearthd there, then `hearth node remove {node}` again");
                return Some(Reply::Failed { reason, help: Some(help) });
            }
            order.phase_since = now;
            if now.since(order.asked_at) >= REPEAT {
                order.asked_at = now;
                self.say(&node, &PeerMessage::Leave { by: order.by.clone() });
            }
            return None;
        }
        // Silent, and not lost yet by what is agreed: that follows.
        (!admitted).then(|| refused(held.unwrap_or_default(), None, false))
    }

    fn ask_all(&mut self, now: Timestamp, order: &mut Order) -> Option<Reply> {
        let names = order.change.applied_to(&self.config.cluster.nodes);
        let agreed = self.ledger.record().map(|record| record.node_order.clone()).unwrap_or_default();
        let machines: Vec<NodeName> = names.into_iter().filter(|name| agreed.contains(name)).collect();
        let commit = order.phase == Phase::Doing;
        if let Some(answer) = self.judge_said(now, order, &machines) {
            return Some(answer);
        }
        if commit != (order.phase == Phase::Doing) {
            // All have answered: the next round begins at once.
            return None;
        }
        if now.since(order.asked_at) < REPEAT && order.asked_at > Timestamp::ZERO {
            return None;
        }
        order.asked_at = now;
        let asked = Asked { run: self.incarnation, number: self.listing.number, change: order.change.clone(), commit };
        for name in machines.iter().filter(|name| !order.said.contains_key(*name)) {
            if *name == self.local {
                self.take_asked(name, asked.clone());
            } else {
                self.say(name, &PeerMessage::List(asked.clone()));
            }
        }
        None
    }

    /// What follows from what was said: an answer, or the next phase when all have answered.
    fn judge_said(&self, now: Timestamp, order: &mut Order, machines: &[NodeName]) -> Option<Reply> {
        let again = "mend it, then give the same order again: machines that have done it already stay as they are";
        let failed = order.said.iter().find_map(|(name, said)| Some((name, said.as_ref().err()?)));
        let commit = order.phase == Phase::Doing;
        if let Some((name, why)) = failed {
            return Some(match commit {
                false => refused(format!("{name}: {why}"), Some("nothing was changed"), false),
                true => {
                    let reason = format!("{name} keeps the list of before, others may have gone over: {why}");
                    Reply::Failed { reason, help: Some(again.to_owned()) }
                }
            });
        }
        let silent: Vec<&str> =
            machines.iter().filter(|name| !order.said.contains_key(*name)).map(NodeName::as_str).collect();
        if !silent.is_empty() {
            let reason = format!("{} did not answer within {} s", silent.join(", "), PATIENCE.as_secs());
            return (now.since(order.phase_since) >= PATIENCE).then(|| match commit {
                false => refused(reason, Some("nothing was changed; see `hearth status`"), false),
                true => Reply::Failed { reason, help: Some(again.to_owned()) },
            });
        }
        let mut digests = order.said.iter();
        let first = digests.next()?;
        if let Some((other, _)) = digests.find(|(_, said)| *said != first.1) {
            let reason = format!("the ha.cf of {} and of {other} would differ in what must be equal", first.0);
            return Some(refused(reason, Some("compare the files, make them equal, and `hearth reload`"), false));
        }
        order.said.clear();
        order.asked_at = Timestamp::ZERO;
        order.phase_since = now;
        order.phase = if commit { Phase::Agreeing } else { Phase::Doing };
        None
    }

    fn wait_for_record(&self, now: Timestamp, order: &Order) -> Option<Reply> {
        let took_ms = now.since(order.since).as_millis() as u64;
        let names: Vec<&str> = self.config.cluster.nodes.iter().map(NodeName::as_str).collect();
        match &order.change {
            ListChange::Add { node, .. } => {
                let others: Vec<&str> = names.into_iter().filter(|name| *name != node.as_str()).collect();
                let text = format!("{node} stands in the ha.cf of {}.", others.join(", "));
                let files = "copy ha.cf, haresources and authkeys of this machine";
                let mut notes =
                    vec![format!("{files} to {node} and start hearthd there; it takes part as soon as it runs")];
                if others.len() == 2 {
                    let both = others.join(" nor ");
                    notes.push(format!(
                        "until {node} takes part neither {both} takes over what the other one runs if that is lost"
                    ));
                }
                Some(Reply::Done { text, took_ms, notes })
            }
            ListChange::Remove { node, .. } => {
                let record = self.ledger.record()?;
                if !record.node_order.contains(node) {
                    let text = format!("{node} is out; the nodes are {}.", names.join(", "));
                    return Some(Reply::Done { text, took_ms, notes: Vec::new() });
                }
                let reason = format!("no ha.cf names {node} any more, but what is agreed does still");
                let help = Some("see the notes of `hearth status`".to_owned());
                (now.since(order.phase_since) >= PATIENCE).then_some(Reply::Failed { reason, help })
            }
        }
    }

    /// When the order that is under way here wants to be looked at again; heartbeats look at it besides.
    pub(crate) fn list_deadline(&self) -> Option<Timestamp> {
        let order = self.listing.order.as_ref()?;
        Some(order.asked_at.max(order.phase_since) + REPEAT).filter(|at| *at > self.last_wake_at)
    }
}

/// The change that the words of an order mean.
pub(crate) fn addition(node: &str, ucast: &[(String, String)]) -> Result<ListChange, String> {
    let address = |(interface, address): &(String, String)| {
        let parsed = address.parse::<IpAddr>().map_err(|_| format!("`{address}` is no address"))?;
        Ok((interface.clone(), parsed))
    };
    let ucast = ucast.iter().map(address).collect::<Result<Vec<_>, String>>()?;
    Ok(ListChange::Add { node: NodeName::new(node), ucast })
}
