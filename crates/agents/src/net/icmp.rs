//! ICMP echo with a random payload that only the asked can know (R-MEM-9).

use super::packet::checksum;
use nix::errno::Errno;
use nix::sys::socket::{SockaddrStorage, recvfrom};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

const ECHO_REQUEST: [u8; 2] = [8, 128];
const ECHO_REPLY: [u8; 2] = [0, 129];

/// Sends echo requests and collects answers, of both families, without waiting.
#[derive(Debug)]
pub struct Pinger {
    v4: Socket,
    /// Absent on a machine without IPv6.
    v6: Option<Socket>,
    random: File,
    identifier: u16,
}

impl Pinger {
    /// Opens raw sockets (CAP_NET_RAW), else the unprivileged kind where `ping_group_range` allows it.
    pub fn new() -> io::Result<Pinger> {
        let v4 = open(Domain::IPV4, Protocol::ICMPV4)?;
        let v6 = open(Domain::IPV6, Protocol::ICMPV6).ok();
        Ok(Pinger { v4, v6, random: File::open("/dev/urandom")?, identifier: std::process::id() as u16 })
    }

    /// Asks an address; the payload returned identifies the answer.
    pub fn send(&self, to: IpAddr) -> io::Result<u64> {
        let mut payload = [0; 8];
        (&self.random).read_exact(&mut payload)?;
        let family = usize::from(to.is_ipv6());
        let mut packet = vec![ECHO_REQUEST[family], 0, 0, 0];
        packet.extend_from_slice(&self.identifier.to_be_bytes());
        packet.extend_from_slice(&[0, 1]);
        packet.extend_from_slice(&payload);
        if to.is_ipv4() {
            // Of IPv6 the kernel fills it in.
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        let socket = match to {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => self.v6.as_ref().ok_or_else(|| io::Error::from(Errno::EAFNOSUPPORT))?,
        };
        socket.send_to(&packet, &SockAddr::from(SocketAddr::new(to, 0)))?;
        Ok(u64::from_be_bytes(payload))
    }

    /// Answers that have arrived: from whom and with which payload. Answers to other programs are among them; only a
    /// payload that was sent means anything.
    pub fn receive(&self) -> Vec<(IpAddr, u64)> {
        let mut answers = Vec::new();
        for socket in std::iter::once(&self.v4).chain(&self.v6) {
            let mut buffer = [0; 2048];
            // Pending errors (unreachable) are reported once each and carry no answer.
            loop {
                match recvfrom::<SockaddrStorage>(socket.as_raw_fd(), &mut buffer) {
                    Ok((length, from)) => {
                        answers.extend(from.and_then(|from| Some((sender(&from)?, reply(&buffer[..length])?))));
                    }
                    Err(Errno::EAGAIN | Errno::EBADF) => break,
                    Err(_) => {}
                }
            }
        }
        answers
    }

    /// The sockets to wait on: IPv4, and IPv6 where there is one.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.v4.as_fd()).chain(self.v6.as_ref().map(AsFd::as_fd))
    }
}

fn open(domain: Domain, protocol: Protocol) -> io::Result<Socket> {
    let socket =
        Socket::new(domain, Type::RAW, Some(protocol)).or_else(|_| Socket::new(domain, Type::DGRAM, Some(protocol)))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn sender(from: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = from.as_sockaddr_in().map(|from| IpAddr::V4(from.ip()));
    v4.or_else(|| from.as_sockaddr_in6().map(|from| IpAddr::V6(from.ip())))
}

/// The payload of an echo reply. A raw IPv4 socket gives the IP header too.
fn reply(packet: &[u8]) -> Option<u64> {
    let first = *packet.first()?;
    let skip = if first >> 4 == 4 && first & 0x0f >= 5 { usize::from(first & 0x0f) * 4 } else { 0 };
    let icmp = packet.get(skip..)?;
    let kind = *icmp.first()?;
    if !ECHO_REPLY.contains(&kind) {
        return None;
    }
    Some(u64::from_be_bytes(icmp.get(8..16)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_with_and_without_ip_header() {
        let icmp = [0u8, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!(reply(&icmp), Some(7));
        let mut whole = vec![0u8; 20];
        whole[0] = 0x45;
        whole.extend_from_slice(&icmp);
        assert_eq!(reply(&whole), Some(7));
        for length in 0..whole.len() {
            assert_eq!(reply(&whole[..length]), None);
        }
    }
}
