//! What must always hold (protocol section 8), seen from outside: by what kernels answer and what agents run.

use crate::cluster::{DEADTIME, Kind, NAMES, groups, ms};
use crate::machine::Machine;
use hearth_controller::Event;
use hearth_types::{EpochName, ResourceId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Deadlines at one moment beyond which a timer spins.
const SPINS_MAX: u32 = 200;

#[derive(Debug, Default)]
pub struct Judge {
    /// Everything that was broken, in true time.
    pub faults: Vec<(Timestamp, String)>,
    /// Since when there has been no way in some direction between two powered machines.
    split_since: Option<Timestamp>,
    /// The split, or a daemon that did not run while its machine did, excuses two owners until it is healed.
    pub excused: bool,
    pub excused_scripts: bool,
    /// Since when one of the daemons has not heard the other, whatever the reason.
    apart_since: Option<Timestamp>,
    calm_since: Option<Timestamp>,
    reached: [bool; 2],
    /// Time with two owners since the split began, and whether daemons ran through all of it.
    overlap: Duration,
    /// The same, of splits that are over.
    overlaps: Duration,
    told: Duration,
    whole: bool,
    runs: [u64; 2],
    spins: [(Timestamp, u32); 2],
    watched: Option<ResourceId>,
    served_until: Timestamp,
    pub gap: Duration,
}

impl Judge {
    pub fn blame(&mut self, at: Timestamp, text: String) {
        if self.faults.len() < 20 {
            self.faults.push((at, text));
        }
    }

    /// From now on the gaps of an address are measured.
    pub fn watch(&mut self, now: Timestamp, resource: ResourceId) {
        self.watched = Some(resource);
        self.served_until = now;
        self.gap = Duration::ZERO;
    }

    /// A span in which nothing happens but gates that run out.
    pub fn pass(
        &mut self,
        now: Timestamp,
        until: Timestamp,
        kind: Kind,
        machines: &[Machine; 2],
        dropped: &BTreeSet<(usize, usize, u8)>,
    ) {
        self.excuse(now, kind, machines, dropped);
        let [a, b] = machines;
        let mut double_until = now;
        for resource in a.running.keys() {
            let Some(other) = b.running.get(resource) else { continue };
            if other.spec.address().is_none() {
                if a.awake() && b.awake() && !self.excused && !self.excused_scripts {
                    self.blame(now, format!("{resource} runs on both machines"));
                }
                continue;
            }
            let end = a.answers_until(resource).min(b.answers_until(resource)).min(until);
            if end > now {
                double_until = double_until.max(end);
                if !self.excused {
                    self.blame(now, format!("two machines answer for {resource} for {:?}", end.since(now)));
                }
            }
        }
        self.overlap += double_until.since(now);
        if let Some(resource) = &self.watched {
            let end = a.answers_until(resource).max(b.answers_until(resource));
            if end > now {
                self.gap = self.gap.max(now.since(self.served_until));
                self.served_until = end.min(until).max(self.served_until);
            }
        }
    }

    pub fn end_watch(&mut self, now: Timestamp) -> Duration {
        self.gap.max(now.since(self.served_until))
    }

    fn excuse(&mut self, now: Timestamp, kind: Kind, machines: &[Machine; 2], dropped: &BTreeSet<(usize, usize, u8)>) {
        let [a, b] = machines;
        let powered = a.powered && b.powered;
        let passes = |from: usize, to: usize| {
            (0..2).any(|link| {
                let carrier = machines[from].carrier[link] && machines[to].carrier[link];
                carrier && !dropped.contains(&(from, to, link as u8))
            })
        };
        let together = passes(0, 1) && passes(1, 0);
        if !powered || together {
            self.split_since = None;
            self.reached = [false; 2];
        } else {
            let since = *self.split_since.get_or_insert(now);
            for (node, machine) in machines.iter().enumerate() {
                self.reached[node] |= machine.pingable && machine.carrier[0];
            }
            let both = if kind.tiebreaker { self.reached == [true; 2] } else { kind.unfenced };
            // Who went on alone before goes on when it comes up in a split.
            let sole =
                machines.iter().any(|machine| machine.stated.as_ref().is_some_and(|(_, voters, _)| *voters == 1));
            if !self.excused && both && (sole || now.since(since) > DEADTIME * 3 / 4) {
                self.excused = true;
                (self.overlap, self.whole) = (Duration::ZERO, true);
                self.runs = [a.run, b.run];
            }
        }
        let apart = powered && !(together && a.awake() && b.awake());
        self.apart_since = if apart { self.apart_since.or(Some(now)) } else { None };
        let absent = self.apart_since.is_some_and(|at| now.since(at) > DEADTIME * 3 / 4);
        let restarted = self.runs != [a.run, b.run];
        self.whole &= !restarted && a.awake() && b.awake();
        let permitted = kind.tiebreaker || kind.unfenced;
        self.excused_scripts |= (absent && permitted) || self.excused;
        if (self.excused || self.excused_scripts) && together && !absent && self.agree(machines) {
            let double = a.running.keys().any(|id| b.running.contains_key(id));
            let since = *self.calm_since.get_or_insert(now);
            if double {
                self.calm_since = None;
            } else if now.since(since) > ms(100) {
                self.settle();
            }
        } else {
            self.calm_since = None;
        }
    }

    /// Both state one epoch of two voters.
    fn agree(&self, machines: &[Machine; 2]) -> bool {
        let epoch = |machine: &Machine| -> Option<EpochName> {
            let (epoch, voters, _) = machine.stated.clone()?;
            epoch.filter(|_| voters == 2 && machine.awake())
        };
        epoch(&machines[0]).is_some() && epoch(&machines[0]) == epoch(&machines[1])
    }

    /// The split is over.
    fn settle(&mut self) {
        if self.excused && self.whole {
            self.overlaps += self.overlap;
        }
        self.excused = false;
        self.excused_scripts = false;
    }

    /// All is told that will be: no less than what was (R-LEDGER-6).
    pub fn close(&mut self, now: Timestamp) {
        // Machines count with their own clocks, which may be slow by 5 %.
        if self.told * 106 / 100 < self.overlaps {
            self.blame(now, format!("{:?} with two owners, told: {:?}", self.overlaps, self.told));
        }
    }

    /// An event: nothing is started without a cause (section 8), and what is told of two owners is added up.
    pub fn event(&mut self, now: Timestamp, node: usize, machine: &Machine, event: &Event) {
        if event.name == "two-owners-possible" && event.text.starts_with("There may") {
            let told: u64 = event.text.split_whitespace().filter_map(|word| word.parse().ok()).next_back().unwrap_or(0);
            self.told += ms(told);
        }
        if event.name == "resource-starting" {
            let known = |id| machine.events.iter().any(|(_, run, it)| *run == machine.run && it.id == id);
            if !event.cause.is_some_and(known) {
                self.blame(now, format!("{} starts {} without a cause", NAMES[node], event.subject));
            }
        }
    }

    /// Members of a group start in order.
    pub fn start(&mut self, now: Timestamp, node: usize, machines: &[Machine; 2], resource: &ResourceId) {
        let machine = &machines[node];
        let known: BTreeMap<ResourceId, Vec<ResourceId>> = (0..3)
            .flat_map(groups)
            .flat_map(|group| {
                let ids: Vec<ResourceId> = group.resources.iter().map(|it| it.id.clone()).collect();
                ids.iter().enumerate().map(|(at, id)| (id.clone(), ids[..at].to_vec())).collect::<Vec<_>>()
            })
            .collect();
        for before in known.get(resource).into_iter().flatten() {
            // What vanished while the daemon slept is told to it in its turn.
            let asleep = now.since(machine.thawed_at) < ms(100);
            let gone = machine.vanished.get(before).is_some_and(|at| asleep || now.since(*at) < ms(2500));
            if !machine.running.contains_key(before) && !gone {
                self.blame(now, format!("{} starts {resource} before {before}", NAMES[node]));
            }
        }
    }

    pub fn deadline(&mut self, now: Timestamp, node: usize) {
        let (at, count) = &mut self.spins[node];
        if *at == now {
            *count += 1;
            if *count == SPINS_MAX {
                self.blame(now, format!("{} asks for a deadline that never moves", NAMES[node]));
            }
        } else {
            (*at, *count) = (now, 0);
        }
    }
}
