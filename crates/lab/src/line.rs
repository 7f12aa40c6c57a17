//! A serial line between two machines: two pseudo terminals and a thread that carries bytes at the line's speed.
//!
//! A pseudo terminal has no speed of its own and would carry a record in no time; here every byte takes its ten bits, so
//! that what a cluster does over a slow line takes as long as it takes there.

use crate::lab::Lab;
use crate::now;
use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::sys::time::TimeSpec;
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Most bytes that are under way at once: the other end hears them when the last has come.
const CHUNK: usize = 16;
/// Start bit, eight bits, stop bit.
const BITS_PER_BYTE: u64 = 10;
/// The thread looks at least so often whether it should end.
const LOOK: u64 = 10_000_000;

/// A serial line that was laid; it is taken away when this is dropped.
pub struct Line {
    wire: Arc<Wire>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Wire {
    ends: AtomicBool,
    pulled: AtomicBool,
}

/// One machine's end.
struct End {
    master: PtyMaster,
    // While we hold it too, a daemon that ends is no hang-up for us.
    _device: File,
}

/// What is under way from one end to the other.
#[derive(Default)]
struct Way {
    bytes: Vec<u8>,
    due: u64,
}

impl Line {
    /// Where both machines see their end.
    pub const DEVICE: &'static str = "/mnt/line";

    /// Lays a line of `baud` bits per second between two machines.
    ///
    /// # Errors
    /// When pseudo terminals cannot be had, or a machine has a line already.
    pub fn lay(lab: &Lab, between: [&str; 2], baud: u32) -> anyhow::Result<Self> {
        let [near, far] = between.map(|name| end(&lab.room(name).join("line")));
        let (near, far) = (near?, far?);
        let wire = Arc::new(Wire::default());
        let shared = wire.clone();
        let run = move || carry(&[near, far], &shared, baud);
        let thread = Some(std::thread::Builder::new().name("line".into()).spawn(run)?);
        Ok(Self { wire, thread })
    }

    /// Pulls the line: what is sent into it is lost. Returns the time right before.
    pub fn pull(&self) -> u64 {
        let at = now();
        self.wire.pulled.store(true, Ordering::Relaxed);
        at
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.wire.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to clean up.
            let _ = thread.join();
        }
    }
}

fn end(link: &Path) -> anyhow::Result<End> {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
        .context("no pseudo terminal for a serial line")?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname_r(&master)?;
    let device = OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NOCTTY).open(&name)?;
    // A terminal that nobody has set up sends back what it hears.
    let mut settings = tcgetattr(&device)?;
    cfmakeraw(&mut settings);
    tcsetattr(&device, SetArg::TCSANOW, &settings)?;
    std::os::unix::fs::symlink(name, link).context("the machine has a line already")?;
    Ok(End { master, _device: device })
}

fn carry(ends: &[End; 2], wire: &Wire, baud: u32) {
    let mut ways = [Way::default(), Way::default()];
    while !wire.ends.load(Ordering::Relaxed) {
        for (number, way) in ways.iter_mut().enumerate() {
            step(&ends[number].master, &ends[1 - number].master, way, wire, baud);
        }
        let mut waiting = Vec::new();
        let mut limit = LOOK;
        for (end, way) in ends.iter().zip(&ways) {
            if way.bytes.is_empty() {
                waiting.push(PollFd::new(end.master.as_fd(), PollFlags::POLLIN));
            } else {
                limit = limit.min(way.due.saturating_sub(now()));
            }
        }
        let _ = ppoll(&mut waiting, Some(TimeSpec::new(0, limit as i64)), None);
    }
}

/// Delivers what has arrived, and takes up what waits.
fn step(from: &PtyMaster, to: &PtyMaster, way: &mut Way, wire: &Wire, baud: u32) {
    let at = now();
    if !way.bytes.is_empty() && at >= way.due {
        if !wire.pulled.load(Ordering::Relaxed) {
            // An end that does not read loses what comes, as on any line.
            let _ = nix::unistd::write(to, &way.bytes);
        }
        way.bytes.clear();
    }
    if way.bytes.is_empty() {
        let mut buffer = [0; CHUNK];
        match nix::unistd::read(from, &mut buffer) {
            Ok(count) if count > 0 => {
                way.bytes.extend(&buffer[..count]);
                let takes = count as u64 * BITS_PER_BYTE * 1_000_000_000 / u64::from(baud);
                // Where bytes follow each other without a pause, a late look of ours does not slow the line.
                way.due = if at.saturating_sub(way.due) < LOOK { way.due + takes } else { at + takes };
            }
            Ok(_) | Err(Errno::EAGAIN | Errno::EIO | Errno::EINTR) => {}
            Err(error) => eprintln!("a serial line of the lab: {error}"),
        }
    }
}
