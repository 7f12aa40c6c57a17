//! What was sealed last: all lines of one path carry the same packet, which is encoded and signed once.

use hearth_types::LinkId;
use hearth_wire::{KeyRing, Message, Oversize};
use std::sync::Arc;

/// The packets of one message.
#[derive(Default)]
pub(crate) struct Sealed {
    of: Option<(u8, Message)>,
    packets: Vec<(LinkId, Vec<u8>)>,
    /// Room of packets before.
    spare: Vec<Vec<u8>>,
}

impl Sealed {
    /// The packet that carries this message, in this wire version, on the path that begins with this link.
    ///
    /// # Errors
    /// It does not fit into one packet.
    pub(crate) fn packet(
        &mut self,
        ring: &KeyRing,
        path: LinkId,
        version: u8,
        message: &Message,
    ) -> Result<&[u8], Oversize> {
        if !self.of.as_ref().is_some_and(|(known, of)| *known == version && is_the_same(of, message)) {
            self.forget();
            self.of = Some((version, message.clone()));
        }
        let known = self.packets.iter().position(|(known, _)| *known == path);
        let at = match known {
            Some(at) => at,
            None => {
                let mut packet = self.spare.pop().unwrap_or_default();
                ring.seal(version, path, message, &mut packet)?;
                self.packets.push((path, packet));
                self.packets.len() - 1
            }
        };
        Ok(&self.packets[at].1)
    }

    /// The ring is another one, or the paths are.
    pub(crate) fn forget(&mut self) {
        self.of = None;
        self.spare.extend(self.packets.drain(..).map(|(_, packet)| packet));
    }
}

/// The same one, not one that is equal: that is known at once.
fn is_the_same(one: &Message, other: &Message) -> bool {
    match (one, other) {
        (Message::Heartbeat(one), Message::Heartbeat(other)) => Arc::ptr_eq(one, other),
        (Message::Segment(one), Message::Segment(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    /// Harm: a peer is sent what was said before, or what another path or version says.
    #[test]
    fn every_line_carries_what_would_be_sealed_for_its_path() {
        let ring = samples::ring("home", 1);
        let first = Message::Heartbeat(Arc::new(samples::heartbeat()));
        let mut changed = samples::heartbeat();
        changed.sequence += 1;
        let second = Message::Heartbeat(Arc::new(changed));
        let mut sealed = Sealed::default();
        let cases = [(0, 1, &first), (3, 1, &first), (0, 1, &first), (0, 2, &first), (0, 1, &second), (0, 1, &first)];
        for (path, version, message) in cases {
            let mut expected = Vec::new();
            ring.seal(version, LinkId(path), message, &mut expected).unwrap();
            assert_eq!(sealed.packet(&ring, LinkId(path), version, message), Ok(&expected[..]));
        }
        let other = samples::ring("home", 2);
        sealed.forget();
        let mut expected = Vec::new();
        other.seal(1, LinkId(0), &first, &mut expected).unwrap();
        assert_eq!(sealed.packet(&other, LinkId(0), 1, &first), Ok(&expected[..]));
    }
}
