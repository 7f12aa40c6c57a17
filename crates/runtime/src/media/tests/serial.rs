//! Serial lines over pseudo terminals. They have no speed of their own, so the time is the test's.

use super::*;
use hearth_wire::{SerialReceiver, line_time};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::{OpenptyResult, openpty};
use nix::unistd::{read, ttyname, write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

const BAUD: u32 = 19_200;
const START: Timestamp = Timestamp(1_000_000_000);

/// A line whose other end the test holds. The device is a link, as udev makes them.
struct Wire {
    folder: tempfile::TempDir,
    far: OwnedFd,
}

impl Wire {
    fn new() -> Wire {
        let folder = tempfile::tempdir().unwrap();
        let far = plugged(&folder.path().join("line"));
        Wire { folder, far }
    }

    fn device(&self) -> PathBuf {
        self.folder.path().join("line")
    }

    fn medium(&self) -> Medium {
        Medium::Serial { device: self.device().display().to_string(), baud: BAUD }
    }

    /// The cable is pulled; another one is put into the same place.
    fn plug_anew(&mut self) {
        std::fs::remove_file(self.device()).unwrap();
        self.far = plugged(&self.device());
    }
}

fn plugged(device: &Path) -> OwnedFd {
    let OpenptyResult { master, slave } = openpty(None, None).unwrap();
    std::os::unix::fs::symlink(ttyname(&slave).unwrap(), device).unwrap();
    fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    master
}

fn opened_line(wire: &Wire) -> Media {
    let mut media = Media::new(&[wire.medium()]);
    assert_eq!(media.mend(START, false), [(LinkId(0), None)]);
    media
}

/// What has arrived at the far end, after a wait if nothing has.
fn taken(wire: &Wire) -> Vec<u8> {
    let mut sources = [PollFd::new(wire.far.as_fd(), PollFlags::POLLIN)];
    poll(&mut sources, PollTimeout::from(100_u16)).unwrap();
    let mut buffer = [0; 4096];
    match read(&wire.far, &mut buffer) {
        Ok(count) => buffer[..count].to_vec(),
        Err(Errno::EAGAIN) => Vec::new(),
        Err(error) => panic!("the far end: {error}"),
    }
}

#[test]
fn r_wire_8_two_machines_talk_over_a_line() {
    let (left, right) = (Wire::new(), Wire::new());
    let (mut near, mut far) = (opened_line(&left), opened_line(&right));
    let mut changes = Vec::new();
    near.send(START, LinkId(0), b"from here", None, &mut changes);
    far.send(START, LinkId(0), b"from there", None, &mut changes);
    let begin = Instant::now();
    let (mut at_near, mut at_far) = (Vec::new(), Vec::new());
    while at_near.is_empty() || at_far.is_empty() {
        assert!(begin.elapsed() < DEADLINE, "here {at_near:?}, there {at_far:?}");
        // The null modem.
        for (from, to) in [(&left, &right), (&right, &left)] {
            let bytes = taken(from);
            assert_eq!(write(&to.far, &bytes).unwrap(), bytes.len());
        }
        at_near.extend(heard_now(&mut near));
        at_far.extend(heard_now(&mut far));
    }
    assert_eq!(at_far[0].bytes, b"from here");
    assert_eq!(at_near[0].bytes, b"from there");
    assert_eq!(at_near[0].source, Source::Device(left.device().display().to_string().into()));
    assert_eq!(changes, []);
}

#[test]
fn r_wire_8_a_heartbeat_overtakes_bulk_and_nothing_goes_faster_than_the_line() {
    let wire = Wire::new();
    let mut media = opened_line(&wire);
    let mut changes = Vec::new();
    media.send(START, LinkId(0), &[b'b'; 1000], Some(1), &mut changes);
    media.send(START, LinkId(0), &[b'h'; 100], None, &mut changes);
    let (mut now, mut bytes, mut frames) = (START, Vec::new(), 0);
    while let Some(due) = media.next_deadline() {
        assert!(due > now, "a wait that is over is no wait");
        // Too early: nothing may be written.
        media.pump(due.before(Duration::from_nanos(1)), &mut changes);
        assert_eq!(media.next_deadline(), Some(due));
        now = due;
        media.pump(now, &mut changes);
        frames += 1;
        assert!(frames < 100, "it never ends");
    }
    let begin = Instant::now();
    let mut receiver = SerialReceiver::new();
    let mut packets = Vec::new();
    while packets.len() < 2 {
        assert!(begin.elapsed() < DEADLINE, "{} packets", packets.len());
        let some = taken(&wire);
        packets.extend(receiver.push(&some));
        bytes.extend(some);
    }
    assert_eq!(packets, [vec![b'h'; 100], vec![b'b'; 1000]]);
    // The last frame still runs when nothing waits any more.
    let last = Duration::from_millis(40);
    let span = now.since(START);
    assert!(span <= line_time(bytes.len(), BAUD) && span + last >= line_time(bytes.len(), BAUD), "{span:?}");
    assert_eq!(changes, []);
}

#[test]
fn r_wire_8_a_line_that_takes_nothing_delays_nobody_and_goes_on_with_the_newest() {
    let wire = Wire::new();
    let mut media = opened_line(&wire);
    let mut changes = Vec::new();
    // Nobody reads at the far end: far more than any buffer holds is offered, and each call returns.
    let mut now = START;
    for number in 0..2000_u32 {
        now = now + Duration::from_millis(50);
        media.send(now, LinkId(0), &number.to_be_bytes().repeat(25), None, &mut changes);
    }
    assert!(media.next_deadline().is_some_and(|due| due > now), "it waits by the clock, not for the line");
    let (mut receiver, mut newest) = (SerialReceiver::new(), 0);
    let begin = Instant::now();
    while newest < 1990 {
        assert!(begin.elapsed() < DEADLINE, "only up to {newest} came");
        for packet in receiver.push(&taken(&wire)) {
            let number = u32::from_be_bytes(packet[..4].try_into().unwrap());
            assert!(number >= newest, "{number} behind {newest}");
            newest = number;
        }
        now = now + Duration::from_millis(50);
        media.pump(now, &mut changes);
    }
    assert_eq!(changes, []);
}

#[test]
fn r_wire_7_a_line_that_hung_up_is_reported_and_opened_again() {
    let mut wire = Wire::new();
    let mut media = opened_line(&wire);
    assert_eq!(media.sockets().count(), 1);
    wire.plug_anew();
    let mut changes = Vec::new();
    let begin = Instant::now();
    // A child that another test's thread has just forked may hold the far end for a moment.
    while changes.is_empty() {
        assert!(begin.elapsed() < DEADLINE, "nobody hung up");
        let mut sources: Vec<PollFd<'_>> = media.sockets().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        poll(&mut sources, PollTimeout::from(100_u16)).unwrap();
        media.set_readable(&[true]);
        media.receive(START, 64, &mut changes, &mut |_| panic!("nothing was sent"));
    }
    assert!(matches!(&changes[..], [(LinkId(0), Some(trouble))] if trouble.contains("line")), "{changes:?}");
    assert_eq!(media.sockets().count(), 0);
    let due = media.next_deadline().unwrap();
    assert_eq!(due, START + RETRY);
    assert_eq!(media.mend(due, false), [(LinkId(0), None)]);
    changes.clear();
    media.send(due, LinkId(0), b"back", None, &mut changes);
    let mut receiver = SerialReceiver::new();
    let begin = Instant::now();
    let mut packets = Vec::new();
    while packets.is_empty() {
        assert!(begin.elapsed() < DEADLINE);
        packets = receiver.push(&taken(&wire));
    }
    assert_eq!(packets, [b"back"]);
    assert_eq!(changes, []);
}

#[test]
fn r_wire_7_a_device_that_is_no_terminal_is_named() {
    let mut media = Media::new(&[Medium::Serial { device: "/dev/null".into(), baud: BAUD }]);
    let changes = media.mend(START, false);
    assert!(matches!(&changes[..], [(LinkId(0), Some(trouble))] if trouble.starts_with("/dev/null cannot be used")));
}

#[test]
fn r_wire_8_a_line_goes_on_at_another_speed() {
    let wire = Wire::new();
    let mut media = opened_line(&wire);
    let faster = Medium::Serial { device: wire.device().display().to_string(), baud: 2 * BAUD };
    assert!(prepare(&[wire.medium()], std::slice::from_ref(&faster)).unwrap().is_empty(), "it is open already");
    media.change(&[faster], Vec::new());
    assert_eq!(media.sockets().count(), 1);
    let mut changes = Vec::new();
    media.send(START, LinkId(0), &[7; 100], None, &mut changes);
    media.send(START, LinkId(0), &[8; 100], Some(1), &mut changes);
    assert_eq!(changes, []);
    let (busy, frame) = (media.next_deadline().unwrap(), taken(&wire).len());
    assert_eq!(busy, START + line_time(frame, 2 * BAUD));
}
