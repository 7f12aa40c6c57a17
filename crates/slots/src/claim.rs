//! What a machine says in the claim of its slot: the block of Disk Paxos.

use crate::record::{Damage, Reader, Writer};
use crate::{Id, RECORD};
use hearth_types::NodeName;

const CLAIM: &[u8; 8] = b"HRTHCLAM";

/// Who is to go on alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Favour {
    /// The machine; it founds the next epoch.
    pub node: NodeName,
    /// Number of that epoch, as the machine that proposed it expected, for people.
    pub epoch: u64,
}

/// The block of one machine. Only its owner writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Of which disk.
    pub disk: Id,
    /// Of which slot.
    pub slot: u16,
    /// Each term is one decision, for ever. The next one is opened by who holds this one, when it gives it back.
    pub term: u64,
    /// The newest round in which its owner takes part: it has no word in a lower one any more.
    pub promised: u64,
    /// The newest round in which it has proposed `favour`; zero: in none.
    pub voted: u64,
    /// Whom it has proposed then.
    pub favour: Option<Favour>,
    /// Wall time in milliseconds of the Unix epoch, for people.
    pub wall_ms: u64,
}

impl Claim {
    /// Nothing promised, nothing proposed.
    pub fn none(disk: Id, slot: u16, term: u64) -> Claim {
        Claim { disk, slot, term, promised: 0, voted: 0, favour: None, wall_ms: 0 }
    }

    /// As it stands on the disk.
    pub fn encode(&self) -> [u8; RECORD] {
        let mut writer = Writer::new(CLAIM);
        writer.put(&self.disk);
        writer.put(&self.slot.to_be_bytes());
        writer.put(&self.term.to_be_bytes());
        writer.put(&self.promised.to_be_bytes());
        writer.put(&self.voted.to_be_bytes());
        writer.name(self.favour.as_ref().map(|favour| &favour.node));
        writer.put(&self.favour.as_ref().map_or(0, |favour| favour.epoch).to_be_bytes());
        writer.put(&self.wall_ms.to_be_bytes());
        writer.sealed()
    }

    /// From its sector. Zeros are a claim that nobody has written: disks of before had nothing there.
    ///
    /// # Errors
    /// It is no claim, damaged, or of another disk or slot.
    pub fn decode(bytes: &[u8], disk: Id, slot: u16) -> Result<Claim, Damage> {
        let mut reader = match Reader::open(bytes, CLAIM) {
            Err(Damage::Blank) => return Ok(Claim::none(disk, slot, 0)),
            other => other?,
        };
        let (disk_there, slot_there) = (reader.take()?, reader.u16()?);
        if (disk_there, slot_there) != (disk, slot) {
            return Err(Damage::Elsewhere);
        }
        let (term, promised, voted) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (node, epoch) = (reader.name()?, reader.u64()?);
        let favour = node.map(|node| Favour { node, epoch });
        if (voted != 0) != favour.is_some() || voted > promised {
            return Err(Damage::Torn);
        }
        Ok(Claim { disk, slot, term, promised, voted, favour, wall_ms: reader.u64()? })
    }

    /// Where its owner stands: what it writes later is never below.
    pub(crate) fn place(&self) -> (u64, u64, u64) {
        (self.term, self.promised, self.voted)
    }
}
