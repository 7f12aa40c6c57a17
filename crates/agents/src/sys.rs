//! Kernel interfaces without a safe wrapper: the only unsafe code of this crate.
#![allow(unsafe_code)]

use socket2::SockAddr;
use std::mem::size_of;

/// Address of an AF_PACKET socket: one protocol on one interface. No library here builds a `sockaddr_ll`.
pub(crate) fn link_address(index: u32, protocol: u16) -> SockAddr {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0; 8],
    };
    let mut storage = socket2::SockAddrStorage::zeroed();
    // SAFETY: a sockaddr_ll is smaller than the storage, which is aligned for every kind of socket address, and its
    // length and family are those that were written.
    unsafe {
        *storage.view_as::<libc::sockaddr_ll>() = address;
        SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t)
    }
}

/// Lets tokio wait for a netlink socket.
pub(crate) fn registered(socket: crate::net::Socket) -> std::io::Result<tokio::io::unix::AsyncFd<crate::net::Socket>> {
    // SAFETY: the socket owns its descriptor, always names the same one, and lives as long as its registration.
    unsafe { Ok(tokio::io::unix::AsyncFd::register(socket)?) }
}
