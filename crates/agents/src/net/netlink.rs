//! Netlink as both rtnetlink and nf_tables speak it: headers, attributes, a socket that knows its own number.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname, recv, send, setsockopt,
    socket, sockopt,
};
use socket2::{SockFilter, SockRef};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Requests that the kernel answers at once are never late; this only keeps a caller from hanging for ever.
const PATIENCE: Duration = Duration::from_secs(2);
/// Room for events that arrive while their reader is busy.
const RECEIVE_BUFFER: usize = 4 << 20;

pub const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
pub const ACK: u16 = libc::NLM_F_ACK as u16;
pub const CREATE: u16 = libc::NLM_F_CREATE as u16;
pub const REPLACE: u16 = libc::NLM_F_REPLACE as u16;
pub const APPEND: u16 = libc::NLM_F_APPEND as u16;
pub const DUMP: u16 = libc::NLM_F_DUMP as u16;
/// The list changed while it was read: read it again.
const DUMP_INTERRUPTED: u16 = 0x10;
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;
const HEADER: usize = 16;
/// Where a message says whose request it follows from.
const PORT_AT: u32 = 12;
const ERROR: u16 = libc::NLMSG_ERROR as u16;
const DONE: u16 = libc::NLMSG_DONE as u16;

/// One or more netlink messages being written.
#[derive(Default)]
pub struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// Appends one message; `header` is the family's fixed part, `body` adds attributes.
    pub fn message(&mut self, kind: u16, flags: u16, sequence: u32, header: &[u8], body: impl FnOnce(&mut Builder)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.bytes.extend_from_slice(header);
        self.pad();
        body(self);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// Appends an attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.bytes.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    /// Appends a text attribute, ended by zero.
    pub fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes);
    }

    /// Appends a number in network order, as nf_tables wants all of them.
    pub fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// Appends an attribute made of attributes.
    pub fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Builder)) {
        let start = self.bytes.len();
        self.attribute(kind | NESTED, &[]);
        body(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }

    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// One message that came from the kernel.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its type.
    pub kind: u16,
    /// To which request it belongs.
    pub sequence: u32,
    /// Who caused it: the netlink port of a requester, 0 for the kernel itself.
    pub port: u32,
    /// Behind the netlink header.
    pub body: Vec<u8>,
    flags: u16,
}

impl Received {
    /// The error of an answer (0: acknowledged), none if it is not one.
    fn error(&self) -> Option<i32> {
        (self.kind == ERROR).then(|| u32_at(&self.body, 0).unwrap_or_default() as i32)
    }

    /// Attributes behind a fixed part of `skip` bytes.
    pub fn attributes(&self, skip: usize) -> Attributes<'_> {
        Attributes(self.body.get(skip..).unwrap_or_default())
    }
}

/// Iterator over attributes: type without its flags, and value.
#[derive(Clone)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);
    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16_at(self.0, 0)?);
        let kind = u16_at(self.0, 2)? & TYPE_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// The two bytes at `at`, in the machine's order.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The four bytes at `at`, in the machine's order.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A text attribute without its closing zero.
pub fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// A netlink socket.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
    port: u32,
    sequence: AtomicU32,
    /// One request at a time, so that no answer is read by another's caller.
    turn: Mutex<()>,
    /// Where messages are read to; made once, since clearing so much costs more than a look that finds nothing.
    buffer: Mutex<Vec<u8>>,
}

impl Netlink {
    /// Opens a socket; `groups` is the mask of event groups to join.
    pub fn open(protocol: SockProtocol, groups: u32) -> io::Result<Netlink> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        // Best effort: without CAP_NET_ADMIN in the first user namespace the force variant is refused and the default stays.
        if setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            setsockopt(&fd, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        }
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        let port = getsockname::<NetlinkAddr>(fd.as_raw_fd())?.pid();
        Ok(Netlink { fd, port, sequence: AtomicU32::new(1), turn: Mutex::default(), buffer: Mutex::default() })
    }

    /// The number by which the kernel names this socket.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Leaves out events that follow from what the socket of that number asks for: the kernel drops them before anybody
    /// is woken.
    ///
    /// # Errors
    /// The kernel takes no filter.
    pub fn ignore(&self, port: u32) -> io::Result<()> {
        const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
        // A filter reads numbers as the network writes them, netlink writes them as this machine does.
        let filter = [
            SockFilter::new(LOAD, 0, 0, PORT_AT),
            SockFilter::new(IS, 0, 1, port.to_be()),
            SockFilter::new(RETURN, 0, 0, 0),
            SockFilter::new(RETURN, 0, 0, u32::MAX),
        ];
        SockRef::from(&self.fd).attach_filter(&filter)
    }

    /// A sequence number that was not used before.
    pub fn sequence(&self) -> u32 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// Marks all sequence numbers up to that one as used.
    pub fn reserve(&self, last: u32) {
        self.sequence.fetch_max(last + 1, Ordering::Relaxed);
    }

    /// Sends what was built, without waiting.
    pub fn send(&self, request: &[u8]) -> io::Result<()> {
        let sent = send(self.fd.as_raw_fd(), request, MsgFlags::empty())?;
        if sent != request.len() {
            return Err(io::Error::other("the kernel took only a part of a netlink request"));
        }
        Ok(())
    }

    /// What has arrived; empty if nothing has. `ENOBUFS` means that events were lost.
    pub fn receive(&self) -> io::Result<Vec<Received>> {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.resize(64 << 10, 0);
        match recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => Ok(split(&buffer[..length])),
            Err(Errno::EAGAIN) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    fn wait(&self, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::TimedOut, "the kernel did not answer a netlink request")),
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends messages that all ask for an acknowledgement and waits for those numbered `first..=last`.
    /// The first refusal is the result, with its number.
    pub fn commit(&self, request: &[u8], first: u32, last: u32) -> Result<(), Refusal> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.send(request).map_err(|error| Refusal { sequence: first, error })?;
        let until = Instant::now() + PATIENCE;
        let mut waiting: std::collections::BTreeSet<u32> = (first..=last).collect();
        let mut refused: Option<Refusal> = None;
        while !waiting.is_empty() {
            let messages = self.receive().map_err(|error| Refusal { sequence: first, error })?;
            if messages.is_empty() {
                if let Some(refusal) = refused {
                    // A refused batch is not always acknowledged message by message; the refusal says all.
                    return Err(refusal);
                }
                self.wait(until).map_err(|error| Refusal { sequence: first, error })?;
            }
            for message in messages {
                let Some(code) = message.error() else { continue };
                let known = waiting.remove(&message.sequence);
                if code != 0 && known && refused.is_none() {
                    let error = io::Error::from_raw_os_error(-code);
                    refused = Some(Refusal { sequence: message.sequence, error });
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Reads a list, again if it changed meanwhile.
    pub fn dump(&self, kind: u16, header: &[u8], body: impl Fn(&mut Builder)) -> io::Result<Vec<Received>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + PATIENCE;
        'again: loop {
            let sequence = self.sequence();
            let mut builder = Builder::default();
            builder.message(kind, REQUEST | DUMP, sequence, header, &body);
            self.send(builder.bytes())?;
            let (mut list, mut interrupted) = (Vec::new(), false);
            loop {
                let messages = self.receive()?;
                if messages.is_empty() {
                    self.wait(until)?;
                }
                for message in messages.into_iter().filter(|message| message.sequence == sequence) {
                    interrupted |= message.flags & DUMP_INTERRUPTED != 0;
                    match message.error() {
                        Some(code) if code != 0 => return Err(io::Error::from_raw_os_error(-code)),
                        _ if message.kind == DONE && interrupted => continue 'again,
                        _ if message.kind == DONE => return Ok(list),
                        _ => list.push(message),
                    }
                }
            }
        }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
impl AsRawFd for Netlink {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.fd.as_raw_fd()
    }
}

/// A message that the kernel refused.
#[derive(Debug)]
pub struct Refusal {
    /// Its number.
    pub sequence: u32,
    /// Why.
    pub error: io::Error,
}

fn split(mut bytes: &[u8]) -> Vec<Received> {
    let mut messages = Vec::new();
    while let (Some(length), Some(kind), Some(flags), Some(sequence), Some(port)) =
        (u32_at(bytes, 0), u16_at(bytes, 4), u16_at(bytes, 6), u32_at(bytes, 8), u32_at(bytes, 12))
    {
        let length = length as usize;
        let Some(body) = bytes.get(HEADER..length) else { break };
        messages.push(Received { kind, sequence, port, body: body.to_vec(), flags });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_what_is_read() {
        let mut builder = Builder::default();
        builder.message(7, REQUEST, 9, &[1, 2, 3, 4], |message| {
            message.text(1, "lo");
            message.nest(2, |inner| inner.number(3, 0x0102_0304));
        });
        let messages = split(builder.bytes());
        assert_eq!(messages.len(), 1);
        assert_eq!((messages[0].kind, messages[0].sequence), (7, 9));
        let attributes: Vec<_> = messages[0].attributes(4).collect();
        assert_eq!(text(attributes[0].1), "lo");
        assert_eq!(Attributes(attributes[1].1).next(), Some((3, &[1u8, 2, 3, 4][..])));
    }

    #[test]
    fn truncated_messages_are_dropped_not_read_past() {
        let mut builder = Builder::default();
        builder.message(7, 0, 1, &[0; 4], |message| message.number(1, 5));
        for length in 0..builder.bytes().len() {
            assert!(split(&builder.bytes()[..length]).is_empty());
        }
        assert_eq!(Attributes(&[200, 0, 1, 0, 5]).count(), 0);
        assert_eq!(Attributes(&[0, 0, 1, 0]).count(), 0);
    }
}
