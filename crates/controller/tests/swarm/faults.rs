//! What befalls the two machines, and how it ends.

use crate::cluster::{NAMES, ms};
use crate::machine::Disk;
use crate::world::World;
use hearth_control::{Request, Which};
use std::time::Duration;

/// Within this span after the last fault everything runs exactly once again. The longest chain: a stop that failed is
/// tried again after 5 s and may take 1 s, a carrier that flapped counts as back after 4 s, a lone start waits initdead
/// (1.5 s), a comparison of rivals takes some round trips, and a person clears failures once a second.
pub const HEALED_WITHIN: Duration = ms(30_000);
/// For how long that must hold before it is believed.
const HOLDS_FOR: Duration = ms(1_500);
/// Flaps of carriers per machine: each doubles the time until it counts as back.
const FLAPS_MAX: u32 = 2;

impl World {
    /// One random thing happens.
    pub fn befall(&mut self) {
        let node = self.rng.node();
        let name = NAMES[node];
        let machine = &self.machines[node];
        let (powered, runs, frozen) = (machine.powered, machine.controller.is_some(), machine.frozen);
        let roll = self.rng.below(32);
        let text = match roll {
            0..3 if powered => {
                self.power_off(node);
                format!("{name} loses power")
            }
            0..6 if !powered => {
                self.start(node);
                format!("{name} is powered on")
            }
            3..6 if runs => {
                self.kill(node);
                format!("the daemon of {name} is killed")
            }
            3..9 if powered && !runs => {
                self.start(node);
                format!("the daemon of {name} is started")
            }
            6 | 7 | 30 | 31 if runs && !frozen => {
                self.freeze(node);
                format!("{name} is frozen")
            }
            6..9 | 30 | 31 if frozen => {
                self.thaw(node);
                format!("{name} is thawed")
            }
            8 | 10 => self.cut_something(),
            9 | 11..14 => {
                self.dropped.clear();
                "all links are healed".to_owned()
            }
            14 | 15 => self.pull_or_plug(node),
            16 if self.kind.tiebreaker => {
                self.machines[node].pingable = !self.machines[node].pingable;
                format!("{name} reaches the ping target: {}", self.machines[node].pingable)
            }
            17 => {
                self.machines[node].disk = [Disk::Slow, Disk::Slow, Disk::Broken][self.rng.below(3) as usize];
                format!("the disk of {name}: {:?}", self.machines[node].disk)
            }
            18 | 19 => {
                self.machines[node].disk = Disk::Fast;
                format!("the disk of {name} is fast")
            }
            20 => {
                self.machines[node].trouble = 300;
                format!("agents of {name} fail")
            }
            21 | 22 => {
                self.machines[node].trouble = 0;
                format!("agents of {name} work")
            }
            23..28 => return self.order(node),
            28 => {
                let variant = self.rng.below(3) as u8;
                self.reload(node, variant);
                if self.rng.chance(700) {
                    self.reload(1 - node, variant);
                }
                format!("files {variant} on {name}")
            }
            _ => "nothing".to_owned(),
        };
        self.tell(text);
    }

    fn cut_something(&mut self) -> String {
        let from = self.rng.node();
        match self.rng.below(5) {
            0 => {
                let link = self.rng.below(2) as u8;
                self.dropped.extend([(0, 1, link), (1, 0, link)]);
                format!("link {link} is cut")
            }
            1 => {
                self.dropped.extend([(from, 1 - from, 0), (from, 1 - from, 1)]);
                format!("{} is not heard", NAMES[from])
            }
            2 => {
                let link = self.rng.below(2) as u8;
                self.dropped.insert((from, 1 - from, link));
                format!("{} is not heard on link {link}", NAMES[from])
            }
            _ => {
                self.dropped.extend([(0, 1, 0), (1, 0, 0), (0, 1, 1), (1, 0, 1)]);
                "all links are cut".to_owned()
            }
        }
    }

    fn pull_or_plug(&mut self, node: usize) -> String {
        let link = self.rng.below(2) as usize;
        let both = self.rng.chance(400);
        let up = !self.machines[node].carrier[link];
        if !up && self.machines[node].flaps >= FLAPS_MAX {
            return "nothing".to_owned();
        }
        if !up {
            self.machines[node].flaps += 1;
        }
        for link in if both { vec![0, 1] } else { vec![link] } {
            if self.machines[node].carrier[link] != up {
                self.carrier(node, link, up);
            }
        }
        let what = if both { "all cables".to_owned() } else { format!("cable {link}") };
        format!("{what} of {} {}", NAMES[node], if up { "plugged" } else { "pulled" })
    }

    fn order(&mut self, node: usize) {
        if self.machines[node].controller.is_none() {
            return;
        }
        let request = match self.rng.below(12) {
            0..4 => Request::Standby { which: Which::All, wait: true },
            4..7 => Request::Takeover { which: Which::All, wait: true },
            7..9 => Request::Failback { wait: true },
            9 | 10 => Request::Clear { resource: None },
            _ => Request::Stop,
        };
        self.tell(format!("ordered on {}: {request:?}", NAMES[node]));
        self.request(node, request);
    }

    /// Everything heals; a person starts what does not run and clears failures. Then it must come to rest.
    pub fn heal(&mut self) -> Result<(), String> {
        self.tell("everything heals".to_owned());
        self.dropped.clear();
        let variant = self.variant[0].max(self.variant[1]);
        for node in [0, 1] {
            self.machines[node].disk = Disk::Fast;
            self.machines[node].trouble = 0;
            self.machines[node].pingable = true;
            for link in [0, 1] {
                if !self.machines[node].carrier[link] {
                    self.carrier(node, link, true);
                }
            }
            self.thaw(node);
            if self.machines[node].disk_failed {
                self.kill(node);
            }
            if self.machines[node].controller.is_none() {
                self.start(node);
            }
            if self.variant[node] != variant {
                self.reload(node, variant);
            }
        }
        let end = self.now + HEALED_WITHIN;
        let (mut round, mut well_since) = (0, None);
        while self.now < end {
            self.run(ms(100));
            round += 1;
            for node in [0, 1] {
                // An orderly stop that was ordered before ends now.
                if self.machines[node].halted {
                    self.start(node);
                }
            }
            match self.unwell() {
                None => {
                    let since = *well_since.get_or_insert(self.now);
                    if self.now.since(since) >= HOLDS_FOR {
                        return Ok(());
                    }
                }
                Some(_) => well_since = None,
            }
            if round % 10 == 0 && well_since.is_none() {
                self.request(round / 10 % 2, Request::Clear { resource: None });
            }
        }
        Err(self.unwell().unwrap_or_else(|| "it was well only for a moment".to_owned()))
    }

    /// What is not as it must be when nothing fails any more.
    pub fn unwell(&self) -> Option<String> {
        for (node, machine) in self.machines.iter().enumerate() {
            let name = NAMES[node];
            let Some((epoch, voters, admitted)) = &machine.stated else { return Some(format!("{name} is silent")) };
            if epoch.is_none() || *voters != 2 || !admitted {
                return Some(format!("{name} is in epoch {epoch:?} of {voters} voters, admitted: {admitted}"));
            }
        }
        let [a, b] = &self.machines;
        if a.stated != b.stated {
            return Some(format!("{:?} and {:?}", a.stated, b.stated));
        }
        if self.judge.excused || self.judge.excused_scripts {
            return Some("what ran twice still does".to_owned());
        }
        for group in crate::cluster::groups(self.variant[0]) {
            for spec in &group.resources {
                let on: Vec<usize> =
                    (0..2).filter(|node| self.machines[*node].running.contains_key(&spec.id)).collect();
                if on.len() != 1 {
                    return Some(format!("{} runs on {} machines", spec.id, on.len()));
                }
                if spec.address().is_some() && self.machines[on[0]].answers_until(&spec.id) <= self.now {
                    return Some(format!("{} is set and does not answer", spec.id));
                }
            }
            let on = |id| (0..2).find(|node| self.machines[*node].running.contains_key(id));
            if group.resources.iter().any(|spec| on(&spec.id) != on(&group.resources[0].id)) {
                return Some(format!("{} runs in two parts", group.id));
            }
        }
        for (token, (node, run, done)) in &self.tokens {
            if !done && self.machines[*node].run == *run {
                return Some(format!("request {token} on {} was never answered", NAMES[*node]));
            }
        }
        None
    }
}
