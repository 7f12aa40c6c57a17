//! The output of a child, read without ever waiting for its end.

use super::Tail;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::pipe2;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use tokio::net::unix::pipe::Receiver;

/// Read end of a pipe whose writers are readers too.
///
/// A service that a start script leaves running may hold the pipe for years. The writing side is therefore opened for
/// reading as well, so that a write after we are gone does not raise SIGPIPE, and is made non-blocking once the script
/// has ended, so that a full pipe does not stop the service (R-LEAVE-2).
pub(super) struct Capture {
    reader: Receiver,
    writer: OwnedFd,
    kept: Tail,
}

impl Capture {
    /// The capture and the end that the child gets.
    pub(super) fn open(keep: usize) -> std::io::Result<(Capture, OwnedFd)> {
        let (read, _write) = pipe2(OFlag::O_CLOEXEC)?;
        let path = format!("/proc/self/fd/{}", read.as_raw_fd());
        let writer = open(path.as_str(), OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
        let child_end = writer.try_clone()?;
        Ok((Capture { reader: Receiver::from_owned_fd(read)?, writer, kept: Tail::new(keep) }, child_end))
    }

    pub(super) async fn readable(&self) -> std::io::Result<()> {
        self.reader.readable().await
    }

    /// Takes what is there, at most one buffer. False when nothing was there.
    pub(super) fn read_some(&mut self, said: &mut Tail) -> bool {
        let mut buffer = [0_u8; 8192];
        loop {
            match self.reader.try_read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    self.kept.push(&buffer[..count]);
                    said.push(&buffer[..count]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return false,
            }
        }
    }

    /// Takes the rest that was written before the child ended, and lets go of whoever still writes.
    pub(super) fn drain(&mut self, said: &mut Tail) {
        let _ = fcntl(&self.writer, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK));
        // A pipe holds 64 KiB: more than that was written after the end, by somebody else.
        for _ in 0..8 {
            if !self.read_some(said) {
                break;
            }
        }
    }

    pub(super) fn text(&self) -> String {
        self.kept.text()
    }
}
