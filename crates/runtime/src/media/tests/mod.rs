//! Media against a real kernel, each test in network namespaces of its own threads: they end with the threads, so nothing
//! is left behind. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN, and fails without them.

mod change;
mod serial;
mod space;
mod udp;

use super::*;
use crate::clock;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::time::Instant;

/// Longest wait for anything that must happen.
const DEADLINE: Duration = Duration::from_secs(5);
/// A packet that is not there after this is sent again, as heartbeats are.
const AGAIN: Duration = Duration::from_millis(50);

/// A packet that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heard {
    bytes: Vec<u8>,
    link: LinkId,
    source: Source,
}

/// Media that must open at once.
fn opened(lines: &[Medium]) -> Media {
    let mut media = Media::new(lines);
    let changes = media.mend(clock::now(), false);
    let all: Vec<Change> = (0..lines.len()).map(|number| (LinkId(number as u8), None)).collect();
    assert_eq!(changes, all);
    media
}

/// Sends; it must not fail.
fn send(media: &mut Media, link: u8, packet: &[u8]) {
    let mut changes = Vec::new();
    media.send(clock::now(), LinkId(link), packet, None, &mut changes);
    assert_eq!(changes, []);
}

/// What comes within the span; all that is there at once.
fn heard(media: &mut Media, within: Duration) -> Vec<Heard> {
    let end = Instant::now() + within;
    let mut all = Vec::new();
    while all.is_empty() && Instant::now() < end {
        let left = end.saturating_duration_since(Instant::now()).as_millis() as u16;
        let mut sources: Vec<PollFd<'_>> = media.sockets().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        poll(&mut sources, PollTimeout::from(left.max(1))).unwrap();
        all = heard_now(media);
    }
    all
}

fn heard_now(media: &mut Media) -> Vec<Heard> {
    let (mut all, mut changes) = (Vec::new(), Vec::new());
    media.set_readable(&[true; 8]);
    media.receive(clock::now(), 64, &mut changes, &mut |arrival| {
        all.push(Heard { bytes: arrival.bytes.to_vec(), link: arrival.links.first(), source: arrival.source });
    });
    assert_eq!(changes, []);
    all
}

/// Sends until it is heard; what was heard.
fn carries(from: &mut Media, link: u8, to: &mut Media, packet: &[u8]) -> Heard {
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < DEADLINE, "nothing of link {link} was heard for {DEADLINE:?}");
        send(from, link, packet);
        let found = heard(to, AGAIN).into_iter().find(|heard| heard.bytes == packet);
        if let Some(found) = found {
            return found;
        }
    }
}
