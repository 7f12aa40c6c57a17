//! Which sequence numbers of one (incarnation, link) were seen already (R-WIRE-4).

/// How far behind the newest number a packet may come and still be told from a repetition.
pub const WINDOW_BITS: u64 = 256;

const WORDS: usize = (WINDOW_BITS / 64) as usize;

/// Sliding window over the sequence numbers of one incarnation on one link. Every number is accepted once; one that
/// is older than the window is refused, since nobody remembers it any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SequenceWindow {
    newest: Option<u64>,
    /// Ring of bits, number modulo [`WINDOW_BITS`].
    seen: [u64; WORDS],
}

impl SequenceWindow {
    /// A window that has seen nothing.
    pub const fn new() -> SequenceWindow {
        SequenceWindow { newest: None, seen: [0; WORDS] }
    }

    /// Notes `sequence`; false if it was seen before or is older than the window.
    pub fn accept(&mut self, sequence: u64) -> bool {
        match self.newest {
            Some(newest) if sequence <= newest => {
                if newest - sequence >= WINDOW_BITS || self.seen[word(sequence)] & bit(sequence) != 0 {
                    return false;
                }
            }
            Some(newest) if sequence - newest < WINDOW_BITS => {
                for skipped in newest + 1..sequence {
                    self.seen[word(skipped)] &= !bit(skipped);
                }
                self.newest = Some(sequence);
            }
            _ => {
                self.seen = [0; WORDS];
                self.newest = Some(sequence);
            }
        }
        self.seen[word(sequence)] |= bit(sequence);
        true
    }

    /// The highest number accepted.
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }
}

fn word(sequence: u64) -> usize {
    (sequence % WINDOW_BITS / 64) as usize
}

fn bit(sequence: u64) -> u64 {
    1 << (sequence % 64)
}
