//! A recording: read to its end or refused, as it is and as the insides of blocks whose sums are right.
#![no_main]

use hearth_recording::{MAGIC, Reader};
use libfuzzer_sys::fuzz_target;

/// CRC-32 (IEEE), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg()))
    })
}

fn read(all: &[u8]) {
    let Ok(mut reader) = Reader::new(all) else { return };
    let mut items = 0;
    for item in reader.by_ref() {
        items += 1;
        assert!(items <= all.len(), "more records than bytes");
        drop(item);
    }
    assert!(reader.offset() <= all.len());
}

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    let mut whole = MAGIC.to_vec();
    for block in bytes.split(|byte| *byte == 0xff) {
        whole.extend((block.len() as u32).to_le_bytes());
        whole.extend(crc(block).to_le_bytes());
        whole.extend(block);
    }
    read(&whole);
});
