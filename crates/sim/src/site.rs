//! Everything outside of the nodes' heads: machines, links, orders, and what was done. Checkers see this and no more.

use crate::Mutant;
use crate::clock::Clock;
use crate::excuse::Excuse;
use crate::layout::Layout;
use crate::machine::Machine;
use crate::network::Network;
use crate::rng::Rng;
use crate::shared::Bytes;
use hearth_control::Status;
use hearth_types::{EpochName, ResourceId, Timestamp};
use std::collections::BTreeMap;

/// An order that a person gave.
#[derive(Clone, Debug)]
pub struct Order {
    /// On which machine.
    pub node: usize,
    /// In which run of its daemon.
    pub run: u64,
    /// Whether it was answered.
    pub done: bool,
}

/// The world without the checkers.
#[derive(Clone)]
pub struct Site {
    /// True time.
    pub now: Timestamp,
    /// What the cluster is made of.
    pub layout: Layout,
    /// Its machines, by number.
    pub machines: Vec<Machine>,
    /// Its links.
    pub network: Network,
    /// The disk that they share.
    pub shared: Bytes,
    /// When two owners are permitted.
    pub excuse: Excuse,
    /// By token.
    pub orders: BTreeMap<u64, Order>,
    /// When somebody last cleared all failures, while everything heals.
    pub cleared_at: Option<Timestamp>,
    /// What was done, in true time.
    pub story: Vec<(Timestamp, String)>,
    /// What is broken on purpose.
    pub mutant: Option<Mutant>,
    /// The machines that the files of all name in the end, once somebody has seen to that.
    pub list: Option<Vec<usize>>,
}

impl Site {
    pub(crate) fn new(layout: Layout, seed: u64, mutant: Option<Mutant>) -> Site {
        let mut rng = Rng::new(seed, "clocks");
        let machine = |node: usize| {
            // R-LEASE-9: any two clocks differ by at most 5 %.
            let rate = match mutant {
                Some(Mutant::ClockDrifts) => {
                    if node.is_multiple_of(2) {
                        800
                    } else {
                        1200
                    }
                }
                _ if layout.drift => 976 + rng.below(49),
                _ => 1000,
            };
            let mut config = layout.config(node, 0);
            if mutant == Some(Mutant::WitnessRuns) {
                config.resources.witnesses.clear();
            }
            if mutant == Some(Mutant::NeverForgets) {
                config.cluster.timing.failure_timeout = None;
            }
            if mutant == Some(Mutant::Impatient) && node == 0 {
                let timing = &mut config.cluster.timing;
                timing.deadtime /= 8;
                timing.keepalive /= 8;
                timing.warntime /= 8;
            }
            let own = Rng::new(seed, &format!("machine {node}"));
            Machine::new(config, Clock::boot(Timestamp::ZERO, rate), layout.links.len(), own)
        };
        let machines: Vec<Machine> = (0..layout.names.len()).map(machine).collect();
        Site {
            now: Timestamp(1_000_000),
            network: Network::new(layout.links.clone(), machines.len(), seed),
            excuse: Excuse::new(machines.len()),
            machines,
            shared: Bytes::new(&layout.names),
            layout,
            orders: BTreeMap::new(),
            cleared_at: None,
            story: Vec::new(),
            mutant,
            list: None,
        }
    }

    /// Whether a machine that states an epoch goes by other files than all that are in another one, and neither it nor they
    /// have heard of each other since they booted.
    pub fn are_strangers(&self, node: usize, epoch: &EpochName) -> bool {
        let machine = &self.machines[node];
        let elsewhere = |other: &&usize| {
            let record = self.machines[**other].controller.as_ref().and_then(|it| it.record());
            record.is_some_and(|record| record.epoch != *epoch)
        };
        let all: Vec<usize> = self.nodes().collect();
        all.iter().filter(elsewhere).all(|other| {
            let theirs = &self.machines[*other];
            let heard = machine.heard_since_boot & (1 << *other) != 0 || theirs.heard_since_boot & (1 << node) != 0;
            let agreed = theirs.controller.as_ref().and_then(|it| it.record()).map(|record| &record.node_order);
            let by_another = agreed.is_some_and(|agreed| !agreed.is_empty() && *agreed != machine.listed);
            !heard && (by_another || theirs.listed != machine.listed)
        })
    }

    /// Whether one of the first two machines may go on alone by a permit: there are no more, or none has agreed on more.
    pub fn is_pair(&self) -> bool {
        let agreed = |machine: &Machine| {
            let record = machine.controller.as_ref().and_then(|it| it.record());
            record.is_some_and(|record| record.node_order.len() > 2)
        };
        let grows = self.machines.len() == 3 && self.layout.is_to_come;
        self.machines.len() == 2 || (grows && !self.machines.iter().any(agreed))
    }

    /// Whether a machine is in nobody's list but its own: it was not added yet, or was taken out.
    pub fn is_outside(&self, node: usize) -> bool {
        let name = &self.layout.names[node];
        let mut others =
            self.machines.iter().enumerate().filter(|(other, it)| *other != node && it.controller.is_some());
        self.layout.moving == Some(node) && !others.any(|(_, machine)| machine.listed.contains(name))
    }

    /// The machines that take part once everything has healed.
    pub fn all(&self) -> Vec<usize> {
        self.list.clone().unwrap_or_else(|| self.nodes().collect())
    }

    /// Name of a machine.
    pub fn name(&self, node: usize) -> &str {
        self.layout.names[node].as_str()
    }

    /// Numbers of all machines.
    pub fn nodes(&self) -> std::ops::Range<usize> {
        0..self.machines.len()
    }

    /// Whether packets pass on a link in one direction, whatever daemons do.
    pub fn passes(&self, from: usize, to: usize, link: usize) -> bool {
        let (one, other) = (&self.machines[from], &self.machines[to]);
        let lit = one.carrier[link] && other.carrier[link];
        one.lives() && other.lives() && lit && self.network.passes(from, to, link)
    }

    /// Whether some link carries both ways.
    pub fn together(&self, one: usize, other: usize) -> bool {
        let any = |from, to| (0..self.layout.links.len()).any(|link| self.passes(from, to, link));
        let [one_key, other_key] = [one, other].map(|node| self.machines[node].key_in_use);
        any(one, other) && any(other, one) && one_key == other_key
    }

    /// Machines on which a resource runs, or an address is set.
    pub fn running_on(&self, resource: &ResourceId) -> Vec<usize> {
        self.nodes().filter(|node| self.machines[*node].kernel.runs(resource)).collect()
    }

    /// What a daemon says of the cluster now.
    pub fn status(&self, node: usize) -> Option<Status> {
        let machine = &self.machines[node];
        if let Some(old) = machine.old_status.as_ref().filter(|_| self.mutant == Some(Mutant::StatusStandsStill)) {
            return Some(old.clone());
        }
        machine.controller.as_ref().map(|controller| controller.status(machine.local(self.now)))
    }

    /// Resources that run, or are set, on two powered machines.
    pub fn doubles(&self) -> bool {
        // Most of the time one machine runs everything.
        if self.machines.iter().filter(|machine| !machine.kernel.running.is_empty()).count() < 2 {
            return false;
        }
        self.nodes().any(|one| {
            let later = one + 1..self.machines.len();
            self.machines[one]
                .kernel
                .running
                .keys()
                .any(|id| later.clone().any(|other| self.machines[other].kernel.runs(id)))
        })
    }

    /// Whether anything is going on that checkers must see as time passes.
    pub(crate) fn is_hot(&self) -> bool {
        let apart = |one: usize| {
            let machine = &self.machines[one];
            machine.powered
                && (!machine.awake()
                    || (one + 1..self.machines.len())
                        .any(|other| self.machines[other].powered && !self.together(one, other)))
        };
        self.excuse.is_any() || (!self.is_whole() && self.nodes().any(apart)) || self.doubles()
    }

    /// Every daemon of a machine with power runs, nothing is unplugged or cut, and all have one key: nobody is apart. Most of
    /// the time, and seen at once.
    fn is_whole(&self) -> bool {
        let mut on = self.machines.iter().filter(|machine| machine.powered);
        let key = self.machines.iter().find(|machine| machine.powered).is_some_and(|machine| machine.key_in_use);
        let links = !self.layout.links.is_empty() && self.network.cut.is_empty();
        links && on.all(|machine| machine.awake() && machine.key_in_use == key && !machine.carrier.contains(&false))
    }
}
