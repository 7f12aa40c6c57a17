//! When the protocol itself permits two owners (section 8, 1): a full split under `unfenced` or `tiebreaker` ping, a
//! guest that its hypervisor paused, a fence device or an agent that lies, something started by hand.  Everything else is a fault.

use crate::layout::ms;
use crate::site::Site;
use hearth_types::{EpochName, ResourceId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What is permitted now.
#[derive(Clone, Debug, Default)]
pub struct Excuse {
    /// Since when there has been no way in some direction between the two machines of a pair.
    split_since: Option<Timestamp>,
    /// Since when one of the two daemons has not heard the other, whatever the reason.
    apart_since: Option<Timestamp>,
    calm_since: Option<Timestamp>,
    /// Which machine reached the ping target during the split.
    reached: Vec<bool>,
    /// Two machines may answer for an address.
    pub addresses: bool,
    /// Two machines may run a script.
    pub scripts: bool,
    /// Resources of agents that lie or lied, or that somebody started by hand.
    pub resources: BTreeSet<ResourceId>,
    /// Machines of which a fence device said that they are off, and they are not.
    lies: BTreeMap<usize, Lie>,
    /// Somebody lost what it had promised, or was given a program that cannot read it.
    pub forgot: bool,
    /// Epochs that came from nothing.
    founded: BTreeSet<EpochName>,
    /// Rises with each episode in which addresses are excused.
    pub episode: u64,
    /// Daemons ran through all of the episode, so that it must be reported in full.
    pub whole: bool,
    runs: Vec<u64>,
}

/// What a fence device said of one machine that runs on.
#[derive(Clone, Debug, Default)]
struct Lie {
    /// What the machine ran, or was believed to run, when it was said: this may run there and on another one.
    ran: BTreeSet<ResourceId>,
    /// Since when the machine has been back among the others.
    back_since: Option<Timestamp>,
}

impl Excuse {
    pub(crate) fn new(nodes: usize) -> Excuse {
        Excuse { reached: vec![false; nodes], ..Excuse::default() }
    }

    /// Whether anything is excused, or may be soon.
    pub fn is_any(&self) -> bool {
        self.addresses
            || self.scripts
            || self.believes_lies()
            || self.split_since.is_some()
            || self.apart_since.is_some()
    }

    /// Whether some machine counts as off by the word of a fence device that lied, or may come to.
    pub fn believes_lies(&self) -> bool {
        !self.lies.is_empty()
    }

    /// Whether a resource may run on both machines, because a fence device lied of one of them.
    pub fn lied(&self, one: usize, other: usize, resource: &ResourceId) -> bool {
        [one, other].iter().any(|node| self.lies.get(node).is_some_and(|lie| lie.ran.contains(resource)))
    }

    /// Something of this resource is not as the cluster left it.
    pub fn excuses(&self, resource: &ResourceId) -> bool {
        self.resources.contains(resource)
    }

    /// An epoch is stated that came from nothing. Voters that forgot one can found another beside who remembers it: no
    /// majority is left that could forbid it (R-LEDGER-3, decision 0029). And `strangers` by other files, who never heard of each
    /// other, cannot know that there is another one.
    pub(crate) fn founded(&mut self, epoch: &EpochName, is_pair: bool, strangers: bool) {
        let forbidden = !strangers && (is_pair || !self.forgot);
        if self.founded.insert(epoch.clone()) && self.founded.len() > 1 && !forbidden {
            self.addresses = true;
            self.scripts = true;
            self.whole = false;
            self.episode += 1;
        }
    }

    /// A guest was stopped with its clocks: nothing in it could know.
    pub(crate) fn pause(&mut self) {
        if !self.addresses {
            self.episode += 1;
        }
        self.addresses = true;
        self.scripts = true;
        self.whole = false;
    }
}

/// A fence device says that a machine is off. If that has power, nobody could know: what it ran until then is excused, for
/// it and whoever takes it.
pub(crate) fn lie(site: &mut Site, victim: usize) {
    let machine = &site.machines[victim];
    if !machine.powered {
        return;
    }
    let name = &site.layout.names[victim];
    let records = site.machines.iter().filter_map(|machine| machine.controller.as_ref()?.record());
    let believed = records.flat_map(|record| record.active_on(name)).cloned();
    let ran: BTreeSet<ResourceId> = machine.kernel.running.keys().cloned().chain(believed).collect();
    let lie = site.excuse.lies.entry(victim).or_default();
    lie.ran.extend(ran);
    lie.back_since = None;
}

/// Ends what lies excuse: of a machine that has lost its power in truth, and of one that all let in again, once nothing of
/// it runs twice. Until it takes part the word may still be believed, by whoever has it in its log.
fn truth(excuse: &mut Excuse, site: &Site) {
    let agreed = agree(site);
    excuse.lies.retain(|victim, lie| {
        let twice = lie.ran.iter().any(|resource| site.running_on(resource).len() > 1);
        if !site.machines[*victim].powered {
            return false;
        }
        if !agreed || twice || !takes_part(site, *victim) {
            lie.back_since = None;
            return true;
        }
        site.now.since(*lie.back_since.get_or_insert(site.now)) <= ms(100)
    });
}

/// Whether a machine takes part by the record of every machine that has power.
fn takes_part(site: &Site, node: usize) -> bool {
    let name = &site.layout.names[node];
    let mut powered = site.nodes().filter(|node| site.machines[*node].powered && !site.is_outside(*node));
    powered.all(|node| {
        let record = site.machines[node].controller.as_ref().and_then(|it| it.record());
        record.and_then(|record| record.nodes.get(name)).is_some_and(|it| it.member.as_str() == "admitted")
    })
}

/// Brings the excuses up to this moment.
pub(crate) fn update(site: &mut Site) {
    let mut excuse = std::mem::take(&mut site.excuse);
    if site.is_pair() {
        pair(&mut excuse, site);
    } else {
        (excuse.split_since, excuse.apart_since) = (None, None);
    }
    calm(&mut excuse, site);
    truth(&mut excuse, site);
    site.excuse = excuse;
}

fn pair(excuse: &mut Excuse, site: &Site) {
    let now = site.now;
    let [a, b] = [&site.machines[0], &site.machines[1]];
    let powered = a.powered && b.powered;
    let together = site.together(0, 1);
    let patience = site.layout.timing.deadtime * 3 / 4;
    if !powered || together {
        excuse.split_since = None;
        excuse.reached.fill(false);
    } else {
        let since = *excuse.split_since.get_or_insert(now);
        for (node, machine) in site.machines.iter().enumerate() {
            excuse.reached[node] |= machine.pingable && machine.carrier[0];
        }
        let both = match (site.layout.is_exclusive(), site.layout.tiebreaker) {
            // Whoever goes on has fenced the other, or holds the claim.
            (true, _) => false,
            (false, true) => excuse.reached[..2] == [true; 2],
            (false, false) => site.layout.unfenced,
        };
        // Who went on alone before goes on when it comes up in a split.
        let sole = [a, b].iter().any(|machine| machine.stated.as_ref().is_some_and(|it| it.voters == 1));
        // Whose files name three goes on alone no more.
        let may = [a, b].iter().any(|machine| machine.listed.len() <= 2);
        if !excuse.addresses && both && (sole || (may && now.since(since) > patience)) {
            excuse.addresses = true;
            excuse.episode += 1;
            excuse.whole = true;
            excuse.runs = vec![a.run, b.run];
        }
    }
    let apart = powered && !(together && a.awake() && b.awake());
    excuse.apart_since = if apart { excuse.apart_since.or(Some(now)) } else { None };
    let absent = excuse.apart_since.is_some_and(|at| now.since(at) > patience);
    excuse.whole &= excuse.runs == [a.run, b.run] && a.awake() && b.awake();
    let permitted = (site.layout.tiebreaker || site.layout.unfenced || site.layout.tiebreaker_disk)
        && !site.layout.ends_what_is_lost();
    excuse.scripts |= (absent && permitted) || excuse.addresses;
}

/// Ends the excuses once all agree again and nothing runs twice.
fn calm(excuse: &mut Excuse, site: &Site) {
    let now = site.now;
    let absent = excuse.apart_since.is_some_and(|at| now.since(at) > site.layout.timing.deadtime * 3 / 4);
    if !(excuse.addresses || excuse.scripts) || absent || !agree(site) {
        excuse.calm_since = None;
        return;
    }
    let since = *excuse.calm_since.get_or_insert(now);
    if site.doubles() {
        excuse.calm_since = None;
    } else if now.since(since) > ms(100) {
        excuse.addresses = false;
        excuse.scripts = false;
    }
}

/// All powered machines run, hear each other and state one epoch of more than one voter.
fn agree(site: &Site) -> bool {
    let mut epochs: BTreeSet<Option<&EpochName>> = BTreeSet::new();
    let counts = |node: usize| site.machines[node].powered && !site.is_outside(node);
    let alone = site.nodes().filter(|node| counts(*node)).count() == 1;
    for node in site.nodes().filter(|node| counts(*node)) {
        let machine = &site.machines[node];
        let Some(stated) = machine.stated.as_ref().filter(|it| machine.awake() && (alone || it.voters > 1)) else {
            return false;
        };
        epochs.insert(stated.epoch.as_ref());
        let apart = |other: usize| counts(other) && !site.together(node, other);
        if (node + 1..site.machines.len()).any(apart) {
            return false;
        }
    }
    epochs.len() == 1 && !epochs.contains(&None)
}
