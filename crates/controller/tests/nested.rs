//! What a peer says is decoded by a thread with a small stack.

use hearth_controller::Controller;

/// The stack of the daemon's heartbeat thread.
const STACK: usize = 512 << 10;

/// A word of a peer that is passed on by so many others, as it stands in a message.
fn relayed(times: usize) -> Vec<u8> {
    let text = |text: &str| [vec![0x60 + text.len() as u8], text.as_bytes().to_vec()].concat();
    let level = [vec![0xa1], text("Relay"), vec![0xa2], text("origin"), text("a"), text("message")].concat();
    [level.repeat(times), text("WantsToLeave")].concat()
}

#[test]
fn one_message_that_is_nested_deep_enough_ends_the_daemon() {
    let thread = std::thread::Builder::new().stack_size(STACK);
    let understood = thread.spawn(|| [0, 1, 30_000].map(|times| Controller::understands(&relayed(times))));
    let understood = understood.and_then(|thread| thread.join().map_err(|_| std::io::Error::other("it panicked")));
    assert_eq!(understood.expect("a thread"), [true, true, false]);
}
