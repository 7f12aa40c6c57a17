//! One UDP socket on one interface.

use super::{Arrival, Failure, Links, Source};
use crate::clock;
use hearth_config::Medium;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt,
    sockopt::{Ipv4RecvErr, Ipv6RecvErr, ReceiveTimestampns},
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// Longer than any packet, so that one too long is seen as such.
const BUFFER: usize = hearth_wire::LONGEST_PACKET + 512;
/// CS6, network control.
const TRAFFIC_CLASS: u32 = 0xc0;
/// Errors of other peers' packets that may lie before ours.
const DRAINED: usize = 64;

pub(super) struct Udp {
    socket: Socket,
    interface: String,
    index: u32,
}

impl Udp {
    /// Opens for lines that share interface, port and family. The error is for people.
    pub(super) fn open(media: &[&Medium]) -> Result<Udp, String> {
        let (interface, port, v6) = super::key(media[0]);
        let index = if_nametoindex(interface).map_err(|_| format!("there is no interface {interface}"))?;
        let failed = |error: io::Error| format!("port {port} on {interface} cannot be used: {error}");
        let socket = bound(interface, port, v6).map_err(failed)?;
        for medium in media {
            join(&socket, medium, index).and_then(|()| reach(&socket, medium, index)).map_err(failed)?;
        }
        Ok(Udp { socket, interface: interface.to_owned(), index })
    }

    /// Serves other lines of the same key. What waits to be received stays.
    pub(super) fn tune(&self, old: &[&Medium], new: &[&Medium]) -> io::Result<()> {
        let is_among = |medium: &Medium, others: &[&Medium]| others.iter().any(|other| medium.is_path_of(other));
        for medium in old.iter().filter(|medium| !is_among(medium, new)) {
            leave(&self.socket, medium, self.index)?;
        }
        for medium in new {
            if !is_among(medium, old) {
                join(&self.socket, medium, self.index)?;
            }
            reach(&self.socket, medium, self.index)?;
        }
        Ok(())
    }

    /// Whether the interface is still the one of that name.
    pub(super) fn is_current(&self) -> bool {
        if_nametoindex(self.interface.as_str()).is_ok_and(|index| index == self.index)
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn send(&self, medium: &Medium, packet: &[u8]) -> Result<(), Failure> {
        let to = match medium {
            Medium::Ucast { peer: IpAddr::V6(peer), port, .. } => self.scoped(*peer, *port),
            Medium::Ucast { peer, port, .. } => SocketAddr::new(*peer, *port),
            Medium::Bcast { port, .. } => SocketAddr::new(IpAddr::V4(Ipv4Addr::BROADCAST), *port),
            Medium::Mcast { group, port, .. } => SocketAddr::new(IpAddr::V4(*group), *port),
            Medium::Mcast6 { group, port, .. } => self.scoped(*group, *port),
            Medium::Serial { .. } => return Ok(()),
        };
        let to = SockAddr::from(to);
        let first = self.socket.send_to(packet, &to);
        let result = first.or_else(|_| {
            // The error may be another peer's refusal, reported on the next send whoever it is for.
            self.drain();
            self.socket.send_to(packet, &to)
        });
        match result {
            Ok(_) => Ok(()),
            Err(error) => self.failed(error),
        }
    }

    /// Hands over at most `limit` packets; true if more may wait.
    pub(super) fn receive(
        &mut self,
        links: Links,
        limit: usize,
        take: &mut dyn FnMut(Arrival<'_>),
    ) -> Result<bool, Failure> {
        let mut buffer = [0; BUFFER];
        let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
        for _ in 0..limit {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let received = recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut slices, Some(&mut control), flags);
            let (length, source, stamp) = match received {
                Ok(message) => (message.bytes, message.address, stamp(&message)),
                Err(Errno::EAGAIN) => return Ok(false),
                Err(Errno::EINTR) => continue,
                Err(error @ (Errno::ENODEV | Errno::EBADF | Errno::ENOTSOCK)) => {
                    return self.failed(error.into()).map(|_| false);
                }
                // A peer's refusal, or the interface went down: both show elsewhere.
                Err(_) => {
                    self.drain();
                    continue;
                }
            };
            let received_at = stamp.map_or_else(clock::now, clock::from_wall);
            let source = source.as_ref().and_then(address).map_or(Source::Unknown, Source::Address);
            take(Arrival { bytes: &buffer[..length], links, source, received_at });
        }
        Ok(true)
    }

    fn scoped(&self, ip: Ipv6Addr, port: u16) -> SocketAddr {
        let local = ip.is_unicast_link_local() || ip.is_multicast();
        SocketAddr::V6(SocketAddrV6::new(ip, port, 0, if local { self.index } else { 0 }))
    }

    fn drain(&self) {
        let mut buffer = [0; BUFFER];
        for _ in 0..DRAINED {
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let mut slices = [IoSliceMut::new(&mut buffer)];
            if recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut slices, None, flags).is_err() {
                return;
            }
        }
    }

    fn failed(&self, error: io::Error) -> Result<(), Failure> {
        let text = format!("{}: {error}", self.interface);
        match error.raw_os_error() {
            // The kernel's buffer is full, or the peer's refusal came between: neither is the medium's fault.
            Some(libc::EAGAIN | libc::ENOBUFS | libc::ECONNREFUSED) => Ok(()),
            Some(libc::ENODEV | libc::EBADF | libc::ENXIO) => Err(Failure::Closed(text)),
            _ => Err(Failure::Passing(text)),
        }
    }
}

fn bound(interface: &str, port: u16, v6: bool) -> io::Result<Socket> {
    let (domain, any): (Domain, IpAddr) = match v6 {
        true => (Domain::IPV6, Ipv6Addr::UNSPECIFIED.into()),
        false => (Domain::IPV4, Ipv4Addr::UNSPECIFIED.into()),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    if v6 {
        socket.set_only_v6(true)?;
        socket.set_tclass_v6(TRAFFIC_CLASS)?;
        setsockopt(&socket, Ipv6RecvErr, &true)?;
    } else {
        socket.set_broadcast(true)?;
        socket.set_tos_v4(TRAFFIC_CLASS)?;
        setsockopt(&socket, Ipv4RecvErr, &true)?;
    }
    setsockopt(&socket, ReceiveTimestampns, &true)?;
    socket.bind(&SockAddr::from(SocketAddr::new(any, port)))?;
    Ok(socket)
}

fn join(socket: &Socket, medium: &Medium, index: u32) -> io::Result<()> {
    match medium {
        Medium::Mcast { group, .. } => socket.join_multicast_v4_n(group, &InterfaceIndexOrAddress::Index(index)),
        Medium::Mcast6 { group, .. } => socket.join_multicast_v6(group, index),
        _ => Ok(()),
    }
}

fn leave(socket: &Socket, medium: &Medium, index: u32) -> io::Result<()> {
    match medium {
        Medium::Mcast { group, .. } => socket.leave_multicast_v4_n(group, &InterfaceIndexOrAddress::Index(index)),
        Medium::Mcast6 { group, .. } => socket.leave_multicast_v6(group, index),
        _ => Ok(()),
    }
}

/// How far packets to a group go. The last line of a port decides for all of them.
fn reach(socket: &Socket, medium: &Medium, index: u32) -> io::Result<()> {
    match medium {
        Medium::Mcast { ttl, loopback, .. } => {
            socket.set_multicast_ttl_v4(u32::from(*ttl))?;
            socket.set_multicast_loop_v4(*loopback)
        }
        Medium::Mcast6 { hops, loopback, .. } => {
            socket.set_multicast_if_v6(index)?;
            socket.set_multicast_hops_v6(u32::from(*hops))?;
            socket.set_multicast_loop_v6(*loopback)
        }
        _ => Ok(()),
    }
}

fn address(source: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = source.as_sockaddr_in().map(|source| SocketAddr::V4((*source).into()));
    v4.or_else(|| source.as_sockaddr_in6().map(|source| SocketAddr::V6((*source).into())))
}

fn stamp(message: &nix::sys::socket::RecvMsg<'_, '_, SockaddrStorage>) -> Option<Duration> {
    message.cmsgs().ok()?.find_map(|part| match part {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
        _ => None,
    })
}
