//! A line on the control socket: an order or refused, and stable when written again.
#![no_main]

use hearth_control::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<Request>(bytes) {
        let again = serde_json::to_vec(&request).expect("writes to memory");
        assert!(serde_json::from_slice::<Request>(&again).is_ok_and(|same| same == request));
    }
});
