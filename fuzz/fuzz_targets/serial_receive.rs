//! Any bytes of a line, then a packet that must arrive whole (R-WIRE-8).
#![no_main]

use hearth_wire::{MAX_PACKET, SerialReceiver, SerialSender};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut receiver = SerialReceiver::new();
    for packet in receiver.push(bytes) {
        assert!(packet.len() <= MAX_PACKET);
    }
    let packet = bytes[..bytes.len().min(MAX_PACKET)].to_vec();
    let mut sender = SerialSender::new();
    sender.push_urgent(packet.clone());
    let mut last = None;
    while let Some(frame) = sender.next_frame() {
        last = receiver.push(&frame).pop().or(last);
    }
    assert!(last == Some(packet));
});
