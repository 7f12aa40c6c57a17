//! The wire version in use: raised when every node can speak the next one, never lowered (R-WIRE-6).

use alloc::format;
use hearth_types::{OLDEST_WIRE_VERSION, PermitKind};

use crate::record::MemberState;
use crate::{Record, Rejection, Speaks};

/// The wire version from which on the record may say that a machine is off, by `Fenced` or by the permit of that name: a
/// daemon of before could not read it (R-WIRE-6).
pub const FENCED_FROM: u8 = 3;

/// The wire version from which on the record knows watchdogs: `Watched`, `Reset`, and the permit (R-TAKE-2).
pub const WATCHED_FROM: u8 = 4;

/// Version of a record that does not say it.
pub(crate) fn oldest() -> u8 {
    OLDEST_WIRE_VERSION
}

/// Whether it goes without saying.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference to the field")]
pub(crate) fn is_oldest(version: &u8) -> bool {
    *version == OLDEST_WIRE_VERSION
}

impl Record {
    /// Refused unless that version is in use: an older daemon could not read its own log (R-WIRE-6).
    pub(crate) fn spoken_from(&self, version: u8) -> Result<(), Rejection> {
        if self.wire_version < version {
            return Err(Rejection::NotSpokenYet { version, current: self.wire_version });
        }
        Ok(())
    }

    /// Refused for a permit that daemons of this record's version need not know.
    pub(crate) fn knows_permit(&self, permit: PermitKind) -> Result<(), Rejection> {
        match permit {
            PermitKind::Unfenced | PermitKind::Tiebreaker | PermitKind::Resigned => Ok(()),
            PermitKind::Fenced => self.spoken_from(FENCED_FROM),
            PermitKind::Watchdog => self.spoken_from(WATCHED_FROM),
        }
    }

    /// Refused unless every node of the record takes part, and said in the run that takes part that it speaks it: one
    /// that does not would hear nobody from then on, and a node that hears nobody takes over what the others run.
    pub(crate) fn raise_wire(&mut self, version: u8, stated: &[Speaks]) -> Result<(), Rejection> {
        let current = self.wire_version;
        if current.checked_add(1) != Some(version) {
            return Err(Rejection::WireVersion { version, current });
        }
        if let Some(voter) = self.voters.iter().find(|voter| !self.nodes.contains_key(&voter.name)) {
            return Err(Rejection::UnknownNode { node: voter.name.clone() });
        }
        for (name, node) in &self.nodes {
            if node.member != MemberState::Admitted {
                return Err(Rejection::NotAdmitted { node: name.clone(), state: node.member.as_str() });
            }
            let speaks = |it: &Speaks| &it.node == name && it.incarnation == node.incarnation && it.newest >= version;
            if !stated.iter().any(speaks) {
                return Err(Rejection::CannotSpeak { node: name.clone(), version });
            }
        }
        self.wire_version = version;
        self.note(format!("wire version {version} is in use"));
        Ok(())
    }
}
