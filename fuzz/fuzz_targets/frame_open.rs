//! Any datagram: refused or a message, never a crash (R-WIRE-1). The ring lists crc, so that content is reached.
#![no_main]

use hearth_wire::{KeyRing, Method};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    let keys = [(1, Method::Crc, vec![]), (2, Method::Sha256, b"key".to_vec())];
    KeyRing::new("home", 2, keys).expect("both keys are good")
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok((link, message)) = RING.open(bytes) {
        let mut again = Vec::new();
        // Longer when written in our form than in the sender's, or the same message.
        if RING.seal(bytes[4], link, &message, &mut again).is_ok() {
            assert!(RING.open(&again) == Ok((link, message)));
        }
    }
});
