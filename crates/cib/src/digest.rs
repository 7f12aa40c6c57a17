//! One number for a record, to see whether two are equal.

use core::fmt::{self, Write};

use crate::Record;

/// FNV-1a, 64 bits: no key is needed, this tells apart, it protects from nobody.
struct Fnv(u64);

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.as_bytes() {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}

impl Record {
    /// Equal records give equal numbers; compared between nodes of the same version at the same index (protocol
    /// section 8, 4).
    pub fn digest(&self) -> u64 {
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        // Writing to a hash cannot fail, and every map in the record is ordered.
        let _ = write!(hash, "{self:?}");
        hash.0
    }
}
