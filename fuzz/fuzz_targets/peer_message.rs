//! What came over the channel of a peer: decoded as the daemon does it, or refused.
#![no_main]

use hearth_controller::Controller;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Controller::understands(bytes);
});
