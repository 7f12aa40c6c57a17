//! Packets on their way: sealed or open, copied, damaged, repeated by an eavesdropper, said by a clone.

use crate::check::Seen;
use crate::layout::ms;
use crate::machine::Stated;
use crate::mutant::Mutant;
use crate::network::{Repeat, Size};
use crate::queue::{Parcel, What};
use crate::world::World;
use hearth_control::Status;
use hearth_controller::Input;
use hearth_types::{Incarnation, LinkId, MessageNumber, Timestamp};
use hearth_wire::{KeyRing, Message, Method};
use std::sync::Arc;

/// Bytes that an unsealed packet counts for on a line: a heartbeat of a pair, sealed, has about so many.
const TYPICAL_BYTES: usize = 220;

impl World {
    /// The key of a machine, where packets are really sealed.
    pub(crate) fn make_ring(&mut self, node: usize) {
        if !self.site.layout.sealed {
            return;
        }
        let machine = &mut self.site.machines[node];
        machine.key_in_use = machine.wrong_key;
        let text = if machine.wrong_key { b"another key".to_vec() } else { b"the key of the cluster".to_vec() };
        let held = machine.config.cluster.wire_version;
        machine.ring = KeyRing::new("sim", 1, [(1, Method::Sha256, text)]).ok().map(|ring| ring.held_at(held));
    }

    pub(crate) fn send(&mut self, node: usize, link: LinkId, version: u8, message: Message) {
        let message = self.marked(message);
        if let Message::Heartbeat(heartbeat) = &message {
            let stated = Stated {
                epoch: heartbeat.epoch.clone(),
                voters: heartbeat.voters.len(),
                admitted: heartbeat.admission.is_some(),
            };
            let is_pair = self.site.is_pair();
            let machine = &mut self.site.machines[node];
            if machine.stated.as_ref() != Some(&stated) {
                machine.stated = Some(stated);
                let record = machine.controller.as_ref().and_then(|controller| controller.record());
                if let Some(epoch) = record.filter(|record| record.lineage.is_empty()).map(|it| it.epoch.clone()) {
                    let is_first = *machine.first_epoch.get_or_insert_with(|| epoch.clone()) == epoch;
                    let strangers = is_first && self.site.are_strangers(node, &epoch);
                    self.site.excuse.founded(&epoch, is_pair, strangers);
                }
            }
            if self.ghosts & (1 << node) != 0 {
                self.last_beats[node] = Some((link, version, message.clone()));
            }
        }
        let heartbeat = matches!(message, Message::Heartbeat(_));
        let parcel = self.pack(node, link, version, message);
        let Some(parcel) = parcel else { return };
        let bytes = if let Parcel::Sealed(bytes) = &parcel { bytes.len() } else { TYPICAL_BYTES };
        let size = Size { bytes, heartbeat };
        let index = usize::from(link.0);
        for to in self.others(node) {
            if !self.site.passes(node, to, index) {
                continue;
            }
            let now = self.site.now;
            for delivery in self.site.network.carry(now, node, index, size).into_iter().flatten() {
                let parcel = if delivery.damaged { damage(&parcel) } else { parcel.clone() };
                self.push(delivery.after, What::Packet { from: node, to, link, parcel, replayed: None });
            }
        }
    }

    /// Some mutants lie about disks, and some about epochs.
    fn marked(&self, mut message: Message) -> Message {
        let mutant = self.site.mutant.filter(|it| matches!(it, Mutant::IgnoresMarks | Mutant::MarksTooEarly));
        match &mut message {
            Message::Heartbeat(heartbeat) if self.site.mutant == Some(Mutant::ForgetsNextVoters) => {
                Arc::make_mut(heartbeat).statement.iter_mut().for_each(|statement| statement.next.clear());
            }
            Message::Heartbeat(heartbeat) if self.site.mutant == Some(Mutant::EpochsAreOld) => {
                Arc::make_mut(heartbeat).statement.iter_mut().for_each(|it| it.epoch_age_ms = u32::MAX);
            }
            Message::Heartbeat(heartbeat) if mutant.is_some() => {
                let heartbeat = Arc::make_mut(heartbeat);
                heartbeat.mark = heartbeat.mark.filter(|_| mutant == Some(Mutant::MarksTooEarly));
                heartbeat.mark.iter_mut().for_each(|mark| mark.reached += 1);
            }
            Message::Segment(segment) if mutant == Some(Mutant::IgnoresMarks) => {
                Arc::make_mut(segment).mark = None;
            }
            _ => {}
        }
        message
    }

    /// Everybody else's numbers.
    fn others(&self, node: usize) -> Others {
        Others { next: 0, end: self.site.machines.len(), skip: node }
    }

    fn pack(&self, node: usize, link: LinkId, version: u8, message: Message) -> Option<Parcel> {
        let Some(ring) = &self.site.machines[node].ring else {
            return Some(Parcel::Open(version, message));
        };
        let mut bytes = Vec::new();
        // What does not fit is not sent; the channel cuts its messages to fit.
        ring.seal(version, link, &message, &mut bytes).ok()?;
        Some(Parcel::Sealed(bytes))
    }

    /// A packet reaches a machine, once more where it is `replayed`: it came there at that moment.
    pub(crate) fn deliver(
        &mut self,
        from: usize,
        to: usize,
        link: LinkId,
        parcel: Parcel,
        replayed: Option<Timestamp>,
    ) {
        let machine = &self.site.machines[to];
        if !machine.lives() || machine.controller.is_none() {
            return;
        }
        let received_at = machine.local(self.site.now);
        if replayed.is_none() && machine.stands() {
            // Somebody who cannot sign can still repeat what came before.
            let repeat = self.site.network.overhear(self.site.now, to, from, link, &parcel);
            if let Some((Repeat { came_at, from, link, parcel }, after)) = repeat {
                self.push(after, What::Packet { from, to, link, parcel, replayed: Some(came_at) });
            }
        }
        let machine = &self.site.machines[to];
        let message = match parcel {
            // As the edge does: what a daemon does not speak never reaches its core (R-WIRE-6).
            Parcel::Open(version, _) if version > machine.config.cluster.wire_version => {
                Err(format!("wire version {version} is not understood here"))
            }
            Parcel::Open(_, message) => Ok(message),
            Parcel::Damaged => Err("bad tag".to_owned()),
            Parcel::Sealed(bytes) => match &machine.ring {
                Some(ring) => ring.open(&bytes).map(|(_, message)| message).map_err(|refusal| refusal.to_string()),
                None => return,
            },
        };
        let message = match message {
            Ok(message) => message,
            Err(reason) => {
                let source = self.site.layout.address(from, usize::from(link.0)).to_string();
                return self.feed(to, Input::Refused { link, reason, source, count: 1 });
            }
        };
        if replayed.is_some() && !(machine.carrier[usize::from(link.0)] && machine.stands()) {
            return;
        }
        self.site.machines[to].heard_since_boot |= 1 << from;
        let machine = &self.site.machines[to];
        if machine.heard_from & (1 << from) == 0 && self.site.layout.interface(usize::from(link.0)).is_some() {
            let address = self.site.layout.address(from, usize::from(link.0));
            self.site.machines[to].heard_from |= 1 << from;
            let node = self.site.layout.names[from].clone();
            self.feed(to, Input::PeerAddress { node, address });
        }
        // As the edge does: what is for another one never reaches the core.
        if matches!(&message, Message::Segment(segment) if segment.to != self.site.layout.names[to]) {
            return;
        }
        if let Some(came_at) = replayed {
            return self.deliver_replay((from, came_at), to, link, message);
        }
        self.feed(to, Input::Packet { link, message, size: TYPICAL_BYTES as u32, received_at });
    }

    /// A repeated packet must change nothing; the checker compares what the node says before and after.
    fn deliver_replay(&mut self, (from, came_at): (usize, Timestamp), to: usize, link: LinkId, mut message: Message) {
        // What has come due by itself is not the packet's doing.
        self.feed(to, Input::Deadline);
        let machine = &self.site.machines[to];
        let (now, stands) = (machine.local(self.site.now), machine.stands());
        if self.site.mutant == Some(Mutant::AcceptsReplays)
            && let Message::Heartbeat(heartbeat) = &mut message
        {
            let heartbeat = Arc::make_mut(heartbeat);
            heartbeat.number = MessageNumber(1_000_000_000 + self.inputs);
            heartbeat.sequence = 1_000_000_000 + self.inputs;
        }
        let said = |world: &World| world.site.machines[to].controller.as_ref().map(|it| it.status(now));
        // A deadline that is due anyway would change what it says.
        let due = self.site.machines[to].due.is_some_and(|at| at <= self.site.now);
        // Of a machine that is new in the list the packet was not taken before: it was nobody's there.
        let listed_at = machine.listed_at;
        let is_new = |status: &Status| {
            let name = self.site.name(from);
            let known = status.nodes.iter().find(|node| node.name == name);
            let unheard = known.is_none_or(|node| node.state == "never-seen");
            self.site.layout.moving == Some(from) && (unheard || came_at < listed_at)
        };
        let before = said(self).filter(|status| stands && !due && !is_new(status));
        self.feed(to, Input::Packet { link, message, size: TYPICAL_BYTES as u32, received_at: now });
        if let (Some(before), Some(after)) = (before, said(self)) {
            self.see(&Seen::Replayed { node: to, before: &before, after: &after });
        }
    }

    /// A second machine with the name of `node` says what that one last said, in a run of its own.
    pub(crate) fn ghost(&mut self, node: usize) {
        if self.ghosts & (1 << node) == 0 {
            return;
        }
        self.push(ms(50), What::Ghost { node });
        let Some((link, version, Message::Heartbeat(mut heartbeat))) = self.last_beats[node].clone() else { return };
        self.ghost_number += 1;
        let said = Arc::make_mut(&mut heartbeat);
        said.incarnation = Incarnation(0x1234_5678_9abc ^ node as u64);
        said.number = MessageNumber(self.ghost_number);
        said.sequence = self.ghost_number;
        for to in self.site.nodes() {
            let machine = &self.site.machines[to];
            // The copy has the key of what it was copied from.
            let key = machine.key_in_use == self.site.machines[node].key_in_use;
            let reads = key && version <= machine.config.cluster.wire_version;
            if reads && machine.lives() && machine.carrier[usize::from(link.0)] {
                let received_at = machine.local(self.site.now);
                let message = Message::Heartbeat(heartbeat.clone());
                self.feed(to, Input::Packet { link, message, size: TYPICAL_BYTES as u32, received_at });
            }
        }
    }
}

/// Numbers of all machines but one.
struct Others {
    next: usize,
    end: usize,
    skip: usize,
}

impl Iterator for Others {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.next += usize::from(self.next == self.skip);
        let number = self.next;
        self.next += 1;
        (number < self.end).then_some(number)
    }
}

fn damage(parcel: &Parcel) -> Parcel {
    match parcel {
        Parcel::Sealed(bytes) => {
            let mut bytes = bytes.clone();
            let at = bytes.len() * 2 / 3;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x40;
            }
            Parcel::Sealed(bytes)
        }
        Parcel::Open(..) | Parcel::Damaged => Parcel::Damaged,
    }
}
