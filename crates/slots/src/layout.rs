//! Where each record stands, what an empty disk is filled with, and what stands on one.

use crate::Id;
use crate::claim::Claim;
use crate::keeper::Device;
use crate::record::{Damage, Header, Heart, Pill, RECORD};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use hearth_types::NodeName;

/// Every record begins a sector of this size, so that a write of one never rewrites another, whatever the disk's own
/// sectors are.
pub const SECTOR: usize = 4096;
/// Most slots of a disk: as many as a cluster can have nodes.
pub const SLOTS_MAX: u16 = 32;
/// Sectors of one slot: heart, mailbox, claim, and one that nobody writes yet.
const STRIDE: u64 = 4;

/// Bytes that a disk with so many slots takes.
pub fn area(slots: u16) -> u64 {
    (1 + u64::from(slots) * STRIDE) * SECTOR as u64
}

pub(crate) fn heart_at(slot: u16) -> u64 {
    (1 + u64::from(slot) * STRIDE) * SECTOR as u64
}

pub(crate) fn mail_at(slot: u16) -> u64 {
    heart_at(slot) + SECTOR as u64
}

pub(crate) fn claim_at(slot: u16) -> u64 {
    heart_at(slot) + 2 * SECTOR as u64
}

pub(crate) fn put(disk: &mut impl Device, at: u64, record: &[u8; RECORD]) -> Result<(), String> {
    let mut sector = [0; SECTOR];
    sector[..RECORD].copy_from_slice(record);
    disk.write(at, &sector)
}

/// Reads so many sectors in one go.
pub(crate) fn get(disk: &mut impl Device, at: u64, sectors: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; sectors * SECTOR];
    disk.read(at, &mut bytes)?;
    Ok(bytes)
}

pub(crate) fn say(damage: &Damage) -> String {
    damage.to_string()
}

/// Gives each of these nodes a slot, and leaves the others free. The header comes last: before it is there the disk is not
/// initialised.
///
/// # Errors
/// What the device says, for people.
pub fn init(device: &mut impl Device, disk: Id, slots: u16, owners: &[NodeName]) -> Result<(), String> {
    device.write(0, &[0; SECTOR])?;
    for slot in 0..slots {
        let owner = owners.get(usize::from(slot)).cloned();
        put(device, heart_at(slot), &Heart::fresh(disk, slot, owner).encode())?;
        put(device, mail_at(slot), &Pill::none(disk, slot).encode())?;
        put(device, claim_at(slot), &Claim::none(disk, slot, 0).encode())?;
    }
    put(device, 0, &Header { disk, slots }.encode())
}

/// Gives `owner` the first free slot.
///
/// # Errors
/// It has one already, none is free, or what the device says; for people.
pub fn add(device: &mut impl Device, owner: &NodeName) -> Result<(), String> {
    let shown = show(device)?.map_err(|damage| say(&damage))?;
    let mut free = None;
    for (slot, shown) in (0..).zip(&shown.slots) {
        match &shown.heart {
            Ok(heart) if heart.owner.as_ref() == Some(owner) => {
                return Err(alloc::format!("{owner} has slot {slot} already"));
            }
            Ok(heart) if heart.owner.is_none() => free = free.or(Some(slot)),
            _ => {}
        }
    }
    let slot = free.ok_or("no slot is free")?;
    let disk = shown.header.disk;
    put(device, mail_at(slot), &Pill::none(disk, slot).encode())?;
    put(device, claim_at(slot), &Claim::none(disk, slot, 0).encode())?;
    put(device, heart_at(slot), &Heart::fresh(disk, slot, Some(owner.clone())).encode())
}

/// One slot as it stands on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotShown {
    /// What its owner wrote last.
    pub heart: Result<Heart, Damage>,
    /// What lies in its mailbox.
    pub pill: Result<Pill, Damage>,
    /// What its owner has claimed.
    pub claim: Result<Claim, Damage>,
}

/// A disk as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its first sector.
    pub header: Header,
    /// Its slots, in order.
    pub slots: Vec<SlotShown>,
}

/// Reads all of it.
///
/// # Errors
/// What the device says; the inner one: there is no header of ours.
pub fn show(device: &mut impl Device) -> Result<Result<Shown, Damage>, String> {
    let header = match Header::decode(&get(device, 0, 1)?) {
        Ok(header) => header,
        Err(damage) => return Ok(Err(damage)),
    };
    let mut slots = Vec::new();
    for slot in 0..header.slots {
        let bytes = get(device, heart_at(slot), 3)?;
        let heart = Heart::decode(&bytes, header.disk, slot);
        let pill = Pill::decode(&bytes[SECTOR..], header.disk, slot);
        slots.push(SlotShown { heart, pill, claim: Claim::decode(&bytes[2 * SECTOR..], header.disk, slot) });
    }
    Ok(Ok(Shown { header, slots }))
}
