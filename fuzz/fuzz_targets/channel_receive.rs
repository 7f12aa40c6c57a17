//! Segments of a peer that knows the key and follows no rule (R-LEDGER-8).
#![no_main]

use hearth_types::{Incarnation, NodeName, Timestamp};
use hearth_wire::{Channel, MAX_MESSAGE, Message};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|bytes: &[u8]| {
    let (us, peer) = (NodeName::new("us"), NodeName::new("peer"));
    let mut channel = Channel::new(us.clone(), Incarnation(1), peer.clone(), Incarnation(2), 1);
    let mut decoder = minicbor::Decoder::new(bytes);
    let mut out = Vec::new();
    let mut now = Timestamp(1);
    while let Ok(Message::Segment(mut said)) = decoder.decode::<Message>() {
        let segment = Arc::make_mut(&mut said);
        (segment.from, segment.to) = (peer.clone(), us.clone());
        (segment.incarnation, segment.to_incarnation) = (Incarnation(2), Incarnation(1));
        let received = channel.receive(now, segment);
        assert!(received.broken.is_none() || received.messages.is_empty());
        assert!(received.messages.iter().all(|message| message.len() <= MAX_MESSAGE));
        channel.poll(now, &mut out);
        out.clear();
        now = Timestamp(now.0 + 7_000_000);
    }
});
