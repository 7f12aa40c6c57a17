//! The records but for claims, each in the first 512 bytes of a sector of its own.

use crate::Id;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::time::Duration;
use hearth_types::NodeName;

/// Bytes of a record. A disk writes so many whole or not at all, whatever the size of its sectors.
pub const RECORD: usize = 512;
/// Longest name of a node on the disk, as long as `uname -n` can be.
pub const NAME_MAX: usize = 64;
/// Version of the format. Another one is refused.
const VERSION: u16 = 1;

const HEADER: &[u8; 8] = b"HEARTHSD";
const HEART: &[u8; 8] = b"HRTHEART";
const PILL: &[u8; 8] = b"HRTHPILL";

/// Why bytes are not the record that they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Nothing but zeros.
    Blank,
    /// Something else stands there.
    Foreign,
    /// Of a version that this program does not know.
    Version(u16),
    /// The sum is wrong, or what it says cannot be.
    Torn,
    /// Of another disk, or of another slot.
    Elsewhere,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Blank => f.write_str("it was never initialised; `hearth disk init` does that"),
            Damage::Foreign => f.write_str("it holds something else than slots of hearth"),
            Damage::Version(version) => write!(f, "its format has version {version}, and this hearth knows {VERSION}"),
            Damage::Torn => f.write_str("a sector on it is damaged"),
            Damage::Elsewhere => f.write_str("a sector on it belongs to another disk or slot"),
        }
    }
}

/// CRC-32 as of IEEE 802.3.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

/// Writes fields one behind the other; the sum comes last.
pub(crate) struct Writer {
    bytes: [u8; RECORD],
    at: usize,
}

impl Writer {
    pub(crate) fn new(magic: &[u8; 8]) -> Writer {
        let mut this = Writer { bytes: [0; RECORD], at: 0 };
        this.put(magic);
        this
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.at..self.at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }

    /// A name that is too long is written as none.
    pub(crate) fn name(&mut self, name: Option<&NodeName>) {
        let name = name.map_or("", NodeName::as_str).as_bytes();
        let name = if name.len() <= NAME_MAX { name } else { &[] };
        self.put(&[name.len() as u8]);
        let mut padded = [0; NAME_MAX];
        padded[..name.len()].copy_from_slice(name);
        self.put(&padded);
    }

    pub(crate) fn sealed(mut self) -> [u8; RECORD] {
        let sum = crc(&self.bytes[..RECORD - 4]);
        self.bytes[RECORD - 4..].copy_from_slice(&sum.to_be_bytes());
        self.bytes
    }
}

/// Reads them again.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn open(bytes: &'a [u8], magic: &[u8; 8]) -> Result<Reader<'a>, Damage> {
        let bytes = bytes.get(..RECORD).ok_or(Damage::Torn)?;
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(Damage::Blank);
        }
        let (body, sum) = bytes.split_at(RECORD - 4);
        let rest = body.strip_prefix(magic).ok_or(Damage::Foreign)?;
        if crc(body).to_be_bytes() != *sum {
            return Err(Damage::Torn);
        }
        Ok(Reader { bytes: rest })
    }

    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or(Damage::Torn)?;
        self.bytes = rest;
        Ok(*taken)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Damage> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Damage> {
        self.take().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Damage> {
        self.take().map(u64::from_be_bytes)
    }

    pub(crate) fn name(&mut self) -> Result<Option<NodeName>, Damage> {
        let [length] = self.take()?;
        let padded: [u8; NAME_MAX] = self.take()?;
        let name = padded.get(..usize::from(length)).ok_or(Damage::Torn)?;
        let name = core::str::from_utf8(name).map_err(|_| Damage::Torn)?;
        Ok((!name.is_empty()).then(|| NodeName::new(name)))
    }
}

/// The first sector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Drawn when the disk was initialised; every other sector repeats it.
    pub disk: Id,
    /// How many slots follow.
    pub slots: u16,
}

impl Header {
    /// As it stands on the disk.
    pub fn encode(&self) -> [u8; RECORD] {
        let mut writer = Writer::new(HEADER);
        writer.put(&VERSION.to_be_bytes());
        writer.put(&self.slots.to_be_bytes());
        writer.put(&self.disk);
        writer.sealed()
    }

    /// From the first sector.
    ///
    /// # Errors
    /// It is no header of ours, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Header, Damage> {
        let mut reader = Reader::open(bytes, HEADER)?;
        let version = reader.u16()?;
        if version != VERSION {
            return Err(Damage::Version(version));
        }
        let slots = reader.u16()?;
        if slots > crate::SLOTS_MAX {
            return Err(Damage::Torn);
        }
        Ok(Header { slots, disk: reader.take()? })
    }
}

/// What resets a machine whose daemon pets nothing any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guard {
    /// Nothing, or nothing yet.
    #[default]
    None,
    /// A watchdog of the kernel itself (softdog), which dies with it: it proves nothing by time (decision 0051).
    Software,
    /// A watchdog in hardware.
    Hardware,
}

/// What a machine states of itself in its heart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stated {
    /// How long after the begin of its last good look it pets its watchdog at most while it holds anything, in whole
    /// milliseconds.
    pub patience: Duration,
    /// What resets it.
    pub guard: Guard,
    /// How long after its last pet, in whole milliseconds.
    pub timeout: Duration,
}

/// What the owner of a slot writes, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heart {
    /// Of which disk.
    pub disk: Id,
    /// Of which slot.
    pub slot: u16,
    /// Whose slot it is; none: free.
    pub owner: Option<NodeName>,
    /// In which boot it was written; zeros: its owner has never written it.
    pub boot: Id,
    /// Rises with every write of one boot.
    pub sequence: u64,
    /// Wall time in milliseconds of the Unix epoch, for people.
    pub wall_ms: u64,
    /// What its owner lives by.
    pub stated: Stated,
    /// The pill that was there when this boot first looked: it was meant for an earlier one.
    pub taken: u64,
}

impl Heart {
    /// A slot that nobody has written yet.
    pub fn fresh(disk: Id, slot: u16, owner: Option<NodeName>) -> Heart {
        let (boot, stated) = ([0; 16], Stated::default());
        Heart { disk, slot, owner, boot, sequence: 0, wall_ms: 0, stated, taken: 0 }
    }

    /// As it stands on the disk.
    pub fn encode(&self) -> [u8; RECORD] {
        let mut writer = Writer::new(HEART);
        writer.put(&self.disk);
        writer.put(&self.slot.to_be_bytes());
        writer.name(self.owner.as_ref());
        writer.put(&self.boot);
        writer.put(&self.sequence.to_be_bytes());
        writer.put(&self.wall_ms.to_be_bytes());
        writer.put(&millis(self.stated.patience).to_be_bytes());
        writer.put(&millis(self.stated.timeout).to_be_bytes());
        writer.put(&[match self.stated.guard {
            Guard::None => 0,
            Guard::Software => 1,
            Guard::Hardware => 2,
        }]);
        writer.put(&self.taken.to_be_bytes());
        writer.sealed()
    }

    /// From its sector.
    ///
    /// # Errors
    /// It is no heart, damaged, or of another disk or slot.
    pub fn decode(bytes: &[u8], disk: Id, slot: u16) -> Result<Heart, Damage> {
        let mut reader = Reader::open(bytes, HEART)?;
        let (disk_there, slot_there) = (reader.take()?, reader.u16()?);
        if (disk_there, slot_there) != (disk, slot) {
            return Err(Damage::Elsewhere);
        }
        let owner = reader.name()?;
        let (boot, sequence, wall_ms) = (reader.take()?, reader.u64()?, reader.u64()?);
        let (patience, timeout) = (reader.u32()?, reader.u32()?);
        let guard = match reader.take()? {
            [0] => Guard::None,
            [1] => Guard::Software,
            [2] => Guard::Hardware,
            _ => return Err(Damage::Torn),
        };
        let stated = Stated {
            patience: Duration::from_millis(patience.into()),
            guard,
            timeout: Duration::from_millis(timeout.into()),
        };
        Ok(Heart { disk, slot, owner, boot, sequence, wall_ms, stated, taken: reader.u64()? })
    }

    /// How its owner is reset, for people.
    pub fn guard_in_words(&self) -> String {
        match self.stated.guard {
            Guard::None => "no armed watchdog".into(),
            Guard::Software => format!("softdog, {:?}", self.stated.timeout),
            Guard::Hardware => format!("watchdog {:?}", self.stated.timeout),
        }
    }
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

/// What somebody else puts into the mailbox of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pill {
    /// Of which disk.
    pub disk: Id,
    /// In which slot.
    pub slot: u16,
    /// Its number, never zero and never used twice; zero: the mailbox is empty.
    pub number: u64,
    /// Who put it there.
    pub by: Option<NodeName>,
    /// The boot of the slot's owner that it is meant for.
    pub boot: Id,
    /// Wall time in milliseconds of the Unix epoch, for people.
    pub wall_ms: u64,
}

impl Pill {
    /// An empty mailbox.
    pub fn none(disk: Id, slot: u16) -> Pill {
        Pill { disk, slot, number: 0, by: None, boot: [0; 16], wall_ms: 0 }
    }

    /// As it stands on the disk.
    pub fn encode(&self) -> [u8; RECORD] {
        let mut writer = Writer::new(PILL);
        writer.put(&self.disk);
        writer.put(&self.slot.to_be_bytes());
        writer.put(&self.number.to_be_bytes());
        writer.name(self.by.as_ref());
        writer.put(&self.boot);
        writer.put(&self.wall_ms.to_be_bytes());
        writer.sealed()
    }

    /// From its sector.
    ///
    /// # Errors
    /// It is no mailbox, damaged, or of another disk or slot.
    pub fn decode(bytes: &[u8], disk: Id, slot: u16) -> Result<Pill, Damage> {
        let mut reader = Reader::open(bytes, PILL)?;
        let (disk_there, slot_there) = (reader.take()?, reader.u16()?);
        if (disk_there, slot_there) != (disk, slot) {
            return Err(Damage::Elsewhere);
        }
        let (number, by) = (reader.u64()?, reader.name()?);
        Ok(Pill { disk, slot, number, by, boot: reader.take()?, wall_ms: reader.u64()? })
    }
}
