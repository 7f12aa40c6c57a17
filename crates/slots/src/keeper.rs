//! What a daemon does with the disk, one step at a time; each may take as long as the disk likes.

use crate::layout::{get, heart_at, mail_at, put, say};
use crate::record::{Guard, Header, Heart, Pill, Stated};
use crate::shot::{Shot, proven_after};
use crate::{Id, SECTOR};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use hearth_types::{FenceId, NodeName, Timestamp};

/// Where the sectors are. Every access is of whole sectors, past all caches; the errors are for people.
pub trait Device {
    /// Reads as many bytes as there is room for, from that place on.
    ///
    /// # Errors
    /// They could not be read.
    fn read(&mut self, at: u64, into: &mut [u8]) -> Result<(), String>;
    /// Writes, and returns when it is durable.
    ///
    /// # Errors
    /// It is not known to be.
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), String>;
}

/// What one good look has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Read the clock before the mailbox was read: who puts a pill into it later is not known yet.
    pub began_at: Timestamp,
    /// Who has told this machine to end itself, if somebody has.
    pub pill: Option<String>,
}

/// This machine's own slot.
#[derive(Clone)]
struct Own {
    disk: Id,
    slot: u16,
    sequence: u64,
    taken: u64,
}

/// What is known of another machine's heart.
#[derive(Clone)]
struct Seen {
    slot: u16,
    heart: Heart,
    /// When it was read last, on our clock.
    read_at: Timestamp,
    /// The last moment after which it is known to have changed: of the read before the one that saw it. None: not yet.
    moved_at: Option<Timestamp>,
}

impl Seen {
    fn read(&mut self, now: Timestamp, heart: Heart) {
        if (heart.boot, heart.sequence) != (self.heart.boot, self.heart.sequence) {
            self.moved_at = Some(self.read_at);
        }
        (self.heart, self.read_at) = (heart, now);
    }
}

/// The slots of one disk as one daemon uses them.
#[derive(Clone)]
pub struct Keeper {
    local: NodeName,
    boot: Id,
    own: Option<Own>,
    others: BTreeMap<NodeName, Seen>,
    shots: Vec<Shot>,
    ended: Vec<(FenceId, Result<String, String>)>,
}

impl Keeper {
    /// `boot` names this boot of the machine; it must be another one after every reset.
    pub fn new(local: NodeName, boot: Id) -> Keeper {
        Keeper { local, boot, own: None, others: BTreeMap::new(), shots: Vec::new(), ended: Vec::new() }
    }

    /// Writes what this machine states, then looks for a pill, then at the hearts of the others. In this order: whoever
    /// has written a pill and reads the heart then, reads what this machine lives by.
    ///
    /// # Errors
    /// The slot could not be written, read, or found; for people.
    pub fn look(
        &mut self,
        disk: &mut impl Device,
        stated: &Stated,
        wall_ms: u64,
        clock: impl Fn() -> Timestamp,
    ) -> Result<Found, String> {
        let found = self.try_look(disk, stated, wall_ms, &clock);
        if found.is_err() {
            // Whatever it was: it is found anew, and its heart says what this boot knew of its mailbox.
            self.own = None;
        }
        found
    }

    fn try_look(
        &mut self,
        disk: &mut impl Device,
        stated: &Stated,
        wall_ms: u64,
        clock: &impl Fn() -> Timestamp,
    ) -> Result<Found, String> {
        let own = match self.own.take() {
            Some(own) => own,
            None => self.open(disk, clock())?,
        };
        let header = Header::decode(&get(disk, 0, 1)?).map_err(|damage| say(&damage))?;
        if header.disk != own.disk {
            return Err("it was initialised anew".to_string());
        }
        let sequence = own.sequence + 1;
        let heart = Heart {
            disk: own.disk,
            slot: own.slot,
            owner: Some(self.local.clone()),
            boot: self.boot,
            sequence,
            wall_ms,
            stated: *stated,
            taken: own.taken,
        };
        put(disk, heart_at(own.slot), &heart.encode())?;
        let began_at = clock();
        let both = get(disk, heart_at(own.slot), 2)?;
        let there = Heart::decode(&both, own.disk, own.slot).map_err(|damage| say(&damage))?;
        if (there.boot, there.sequence) != (self.boot, sequence) {
            // Another machine under this name, or a disk that forgets.
            return Err(format!("the slot of {} holds something else than what was just written there", self.local));
        }
        let mail = Pill::decode(&both[SECTOR..], own.disk, own.slot).map_err(|damage| say(&damage))?;
        let is_for_us = mail.number != 0 && mail.number != own.taken;
        let by = || mail.by.as_ref().map_or_else(|| "somebody".to_string(), ToString::to_string);
        let pill = is_for_us.then(by);
        let disk_id = own.disk;
        self.own = Some(Own { sequence, ..own });
        self.look_at_others(disk, disk_id, clock)?;
        Ok(Found { began_at, pill })
    }

    /// Finds the slots, and in the own one what was said of this boot before.
    fn open(&mut self, disk: &mut impl Device, now: Timestamp) -> Result<Own, String> {
        let header = Header::decode(&get(disk, 0, 1)?).map_err(|damage| say(&damage))?;
        let mut own = None;
        for slot in 0..header.slots {
            let both = get(disk, heart_at(slot), 2)?;
            let heart = match Heart::decode(&both, header.disk, slot) {
                Ok(heart) => heart,
                // Whose it was is not known: a torn one of another machine is that one's trouble.
                Err(_) => continue,
            };
            let Some(owner) = heart.owner.clone() else { continue };
            if owner != self.local {
                match self.others.get_mut(&owner).filter(|seen| seen.heart.disk == header.disk) {
                    Some(seen) => {
                        seen.slot = slot;
                        seen.read(now, heart);
                    }
                    None => {
                        self.others.insert(owner, Seen { slot, heart, read_at: now, moved_at: None });
                    }
                }
                continue;
            }
            let mail = Pill::decode(&both[SECTOR..], header.disk, slot).map_err(|damage| say(&damage))?;
            // A pill that was there before this boot first looked was meant for an earlier one.
            let first = heart.boot != self.boot;
            let (sequence, taken) = if first { (0, mail.number) } else { (heart.sequence, heart.taken) };
            own = Some(Own { disk: header.disk, slot, sequence, taken });
        }
        let local = &self.local;
        own.ok_or_else(|| format!("it has no slot for {local}; `hearth disk add` on it makes one"))
    }

    fn look_at_others(&mut self, disk: &mut impl Device, id: Id, clock: &impl Fn() -> Timestamp) -> Result<(), String> {
        for seen in self.others.values_mut() {
            let bytes = get(disk, heart_at(seen.slot), 1)?;
            // A damaged one has not moved.
            let Ok(heart) = Heart::decode(&bytes, id, seen.slot) else { continue };
            seen.read(clock(), heart);
        }
        for shot in core::mem::take(&mut self.shots) {
            self.follow(shot, clock());
        }
        Ok(())
    }

    fn follow(&mut self, mut shot: Shot, now: Timestamp) {
        let heart = self.others.get(&shot.target).map(|seen| &seen.heart);
        match heart.and_then(|heart| shot.look(now, heart)) {
            Some(how) => self.ended.push((shot.id, Ok(how))),
            None => self.shots.push(shot),
        }
    }

    /// Puts a pill into the mailbox of `target`. Only where that is known to look: its heart has moved, not longer before
    /// it was last heard than its own times allow. `number` is never used twice, and not zero; `heard_at`: when anything
    /// was last heard of it, on our clock.
    ///
    /// # Errors
    /// It was not done, or it is not known to be; for people.
    pub fn fence(
        &mut self,
        disk: &mut impl Device,
        (id, target): (FenceId, &NodeName),
        (number, wall_ms): (u64, u64),
        heard_at: Option<Timestamp>,
        clock: impl Fn() -> Timestamp,
    ) -> Result<(), String> {
        let own = self.own.as_ref().ok_or("this machine has not found its own slot there")?;
        let (disk_id, local) = (own.disk, self.local.clone());
        let bytes = get(disk, mail_at(own.slot), 1)?;
        let mail = Pill::decode(&bytes, disk_id, own.slot).map_err(|damage| say(&damage))?;
        if mail.number != 0 && mail.number != own.taken {
            // R-PAIR-2: whoever was first goes on.
            return Err("this machine has a pill itself".to_string());
        }
        let seen = self.others.get_mut(target).ok_or_else(|| format!("it has no slot for {target}"))?;
        let both = get(disk, heart_at(seen.slot), 2)?;
        let heart = Heart::decode(&both, disk_id, seen.slot).map_err(|damage| say(&damage))?;
        let mail = Pill::decode(&both[SECTOR..], disk_id, seen.slot).map_err(|damage| say(&damage))?;
        // One of ours, for that boot: then it was known to look, maybe by the daemon before this one.
        let again = mail.number != 0 && mail.by.as_ref() == Some(&local) && mail.boot == heart.boot;
        let boot = heart.boot;
        seen.read(clock(), heart);
        if !again {
            looks(target, &seen.heart, seen.moved_at, heard_at)?;
        }
        let pill = Pill { disk: disk_id, slot: seen.slot, number: number.max(1), by: Some(local), boot, wall_ms };
        put(disk, mail_at(seen.slot), &pill.encode())?;
        let written_at = clock();
        let bytes = get(disk, heart_at(seen.slot), 2)?;
        if Pill::decode(&bytes[SECTOR..], disk_id, seen.slot).as_ref() != Ok(&pill) {
            return Err(format!("the mailbox of {target} does not hold what was just written there"));
        }
        seen.read(written_at, Heart::decode(&bytes, disk_id, seen.slot).map_err(|damage| say(&damage))?);
        self.follow(Shot::new(id, target.clone(), boot, written_at), written_at);
        Ok(())
    }

    /// Whether a pill for `target` would work by what was last seen.
    ///
    /// # Errors
    /// It would not, in words for people.
    pub fn check(&self, target: &NodeName, heard_at: Option<Timestamp>, now: Timestamp) -> Result<String, String> {
        if self.own.is_none() {
            return Err("this machine cannot use its own slot there".to_string());
        }
        let seen = self.others.get(target).ok_or_else(|| format!("it has no slot for {target}"))?;
        looks(target, &seen.heart, seen.moved_at, heard_at)?;
        let age = seen.moved_at.map_or(Duration::ZERO, |at| now.since(at));
        let words = seen.heart.guard_in_words();
        match seen.heart.stated.guard {
            Guard::Hardware => Ok(format!("{target} looked at its slot {:.1} s ago, {words}", age.as_secs_f32())),
            _ => Err(format!("{target} looks at its slot, but states {words}: a pill proves nothing there")),
        }
    }

    /// Orders that have ended since this was last asked: how they are known to be done, or why it is not known.
    pub fn take_ended(&mut self) -> Vec<(FenceId, Result<String, String>)> {
        core::mem::take(&mut self.ended)
    }

    /// The time of an order is over: why it is not known to be done, if it was under way.
    pub fn give_up(&mut self, id: FenceId) -> Option<String> {
        let at = self.shots.iter().position(|shot| shot.id == id)?;
        Some(self.shots.remove(at).waits_for())
    }
}

/// Whether whoever owns that heart looks at its mailbox: it moved not longer before its owner was last heard than it would
/// take to reset one that cannot look. (One that was never heard: not longer ago.)
fn looks(
    target: &NodeName,
    heart: &Heart,
    moved_at: Option<Timestamp>,
    heard_at: Option<Timestamp>,
) -> Result<(), String> {
    let Some(moved_at) = moved_at else {
        return Err(format!("{target} has not been seen to look at its slot: a pill there proves nothing"));
    };
    let limit = proven_after(&heart.stated);
    match heard_at {
        Some(heard_at) if heard_at.since(moved_at) > limit => {
            let age = heard_at.since(moved_at).as_secs();
            Err(format!("{target} was heard for {age} s after its last look at its slot: a pill there proves nothing"))
        }
        _ => Ok(()),
    }
}
