//! One number over everything that went in and came out so far: where two runs differ first.

use hearth_controller::Output;
use hearth_types::Timestamp;
use serde::Serialize;

/// The number, carried from input to input. Sixty-four bits of it are compared in memory, sixteen are stored with each
/// input: a difference is seen at its own input but in one case of 65,536, and then at the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check(u64);

impl Default for Check {
    fn default() -> Check {
        Check(0xcbf2_9ce4_8422_2325)
    }
}

impl Check {
    /// Goes on from a number that was stored.
    pub const fn from_number(number: u64) -> Check {
        Check(number)
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// What is stored with an input.
    pub const fn short(self) -> [u8; 2] {
        ((self.0 >> 48) as u16).to_le_bytes()
    }

    /// Adds an input, as the bytes that are stored of it, and its outputs.
    pub(crate) fn add(&mut self, at: Timestamp, input: &[u8], outputs: &[Output], scratch: &mut Vec<u8>) {
        self.word(at.0);
        self.bytes(input);
        for output in outputs {
            scratch.clear();
            // A value of our own types always serialises; what is missing would be seen as any other difference.
            let _ = output.serialize(&mut minicbor_serde::Serializer::new(&mut *scratch));
            self.bytes(scratch);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.word(chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
        self.word(chunks.remainder().iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    }

    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}
