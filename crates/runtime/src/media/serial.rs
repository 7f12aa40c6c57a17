//! One serial line, paced to its speed (R-WIRE-8).

use super::{Arrival, Failure, Links, Source};
use crate::sys;
use hearth_types::Timestamp;
use hearth_wire::{SerialReceiver, SerialSender, line_time};
use nix::sys::termios::{self, BaudRate, ControlFlags, SetArg};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

pub(super) struct Line {
    file: File,
    device: Arc<str>,
    baud: u32,
    sender: SerialSender,
    receiver: SerialReceiver,
    /// The frame under way; written whole before another is asked for.
    frame: Vec<u8>,
    written: usize,
    /// When the line has carried what was written. A pseudo terminal has no speed of its own.
    free_at: Timestamp,
}

impl Line {
    pub(super) fn open(device: &str, baud: u32) -> Result<Line, String> {
        let failed = |error: io::Error| format!("{device} cannot be used: {error}");
        let rate = rate(baud).ok_or_else(|| format!("{device}: {baud} is not a speed of serial lines"))?;
        let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(device).map_err(failed)?;
        let raw = || -> nix::Result<()> {
            let mut settings = termios::tcgetattr(&file)?;
            termios::cfmakeraw(&mut settings);
            termios::cfsetspeed(&mut settings, rate)?;
            settings.control_flags |= ControlFlags::CLOCAL | ControlFlags::CREAD;
            termios::tcsetattr(&file, SetArg::TCSANOW, &settings)
        };
        raw().map_err(|error| failed(error.into()))?;
        sys::exclusive(&file).map_err(failed)?;
        Ok(Line {
            file,
            device: device.into(),
            baud,
            sender: SerialSender::new(),
            receiver: SerialReceiver::new(),
            frame: Vec::new(),
            written: 0,
            free_at: Timestamp::ZERO,
        })
    }

    /// Goes on at another speed.
    pub(super) fn tune(&mut self, baud: u32) -> io::Result<()> {
        if baud != self.baud {
            let mut settings = termios::tcgetattr(&self.file)?;
            termios::cfsetspeed(&mut settings, rate(baud).ok_or(ErrorKind::InvalidInput)?)?;
            termios::tcsetattr(&self.file, SetArg::TCSANOW, &settings)?;
            self.baud = baud;
        }
        Ok(())
    }

    pub(super) fn device(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        (!self.frame.is_empty() || !self.sender.is_empty()).then_some(self.free_at)
    }

    pub(super) fn send(&mut self, now: Timestamp, packet: &[u8], topic: Option<u64>) -> Result<(), Failure> {
        // What finds no room is dropped: a newer heartbeat says more, and the channel repeats the rest.
        let _ = match topic {
            None => self.sender.push_urgent(packet.to_vec()),
            Some(topic) => self.sender.push_bulk(topic, packet.to_vec()),
        };
        self.pump(now)
    }

    pub(super) fn pump(&mut self, now: Timestamp) -> Result<(), Failure> {
        while now >= self.free_at {
            if self.frame.is_empty() {
                let Some(frame) = self.sender.next_frame() else { break };
                (self.frame, self.written) = (frame, 0);
            }
            match self.file.write(&self.frame[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    self.free_at = now + line_time(count, self.baud);
                    if self.written == self.frame.len() {
                        self.frame.clear();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.free_at = now + line_time(self.frame.len(), self.baud);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.closed(&error.to_string())),
            }
        }
        Ok(())
    }

    pub(super) fn receive(
        &mut self,
        now: Timestamp,
        links: Links,
        take: &mut dyn FnMut(Arrival<'_>),
    ) -> Result<bool, Failure> {
        let mut buffer = [0; 4096];
        match self.file.read(&mut buffer) {
            Ok(0) => Err(self.closed("the other end hung up")),
            Ok(count) => {
                for bytes in self.receiver.push(&buffer[..count]) {
                    take(Arrival {
                        bytes: &bytes,
                        links,
                        source: Source::Device(self.device.clone()),
                        received_at: now,
                    });
                }
                Ok(count == buffer.len())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(self.closed(&error.to_string())),
        }
    }

    fn closed(&self, why: &str) -> Failure {
        Failure::Closed(format!("{}: {why}", self.device))
    }
}

fn rate(baud: u32) -> Option<BaudRate> {
    Some(match baud {
        1200 => BaudRate::B1200,
        2400 => BaudRate::B2400,
        4800 => BaudRate::B4800,
        9600 => BaudRate::B9600,
        19200 => BaudRate::B19200,
        38400 => BaudRate::B38400,
        57600 => BaudRate::B57600,
        115_200 => BaudRate::B115200,
        230_400 => BaudRate::B230400,
        460_800 => BaudRate::B460800,
        921_600 => BaudRate::B921600,
        _ => return None,
    })
}
