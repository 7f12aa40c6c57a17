//! Kernel interfaces without a safe wrapper: the only unsafe code of this crate.
#![allow(unsafe_code)]

use socket2::SockAddr;
use std::mem::size_of;

/// Address of an AF_PACKET socket: every protocol on one interface. No library here builds a `sockaddr_ll`.
pub(crate) fn link_address(index: u32) -> SockAddr {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
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

/// Address of a netlink socket that joins `groups`.
pub(crate) fn netlink_address(groups: u32) -> SockAddr {
    let mut storage = socket2::SockAddrStorage::zeroed();
    // SAFETY: as above, for a sockaddr_nl; the zeroed storage is a valid one with process id 0 (the kernel chooses).
    unsafe {
        let address = storage.view_as::<libc::sockaddr_nl>();
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = groups;
        SockAddr::new(storage, size_of::<libc::sockaddr_nl>() as libc::socklen_t)
    }
}
