//! What a holder of the key may send: decoded or refused, and stable when written again.
#![no_main]

use hearth_wire::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = minicbor::decode::<Message>(bytes) {
        let again = minicbor::to_vec(&message).expect("writes to memory");
        assert!(minicbor::decode::<Message>(&again).is_ok_and(|same| same == message));
    }
});
