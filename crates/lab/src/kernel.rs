//! What a machine's kernel says about its addresses, as it happens.

use crate::{now, space::Space, sys};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressChange {
    /// When we read it.
    pub at: u64,
    /// Which address.
    pub address: IpAddr,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// What happened to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is there: new, or its lifetime was set anew (the kernel does not tell these apart).
    Present,
    /// It is gone.
    Gone,
}

/// Reads until it is dropped.
pub struct AddressWatch {
    ends: Arc<AtomicBool>,
    changes: Arc<Mutex<Vec<AddressChange>>>,
    thread: Option<JoinHandle<()>>,
}

impl AddressWatch {
    /// Watches a machine. It ends, silently, when the machine is switched off.
    ///
    /// # Errors
    /// When there is no netlink socket.
    pub fn start(machine: &Space) -> anyhow::Result<Self> {
        let socket = machine.in_network(|| {
            let socket =
                Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(Protocol::from(libc::NETLINK_ROUTE)))?;
            socket.set_recv_buffer_size(1 << 20)?;
            socket.bind(&sys::netlink_address((libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR) as u32))?;
            Ok(socket)
        })?;
        let ends = Arc::new(AtomicBool::new(false));
        let changes = Arc::new(Mutex::new(Vec::new()));
        let (over, list) = (ends.clone(), changes.clone());
        let run = move || read(&socket, &over, &list);
        let thread = Some(std::thread::Builder::new().name("address watch".into()).spawn(run)?);
        Ok(Self { ends, changes, thread })
    }

    /// Everything from `from` on.
    pub fn changes(&self, from: u64) -> Vec<AddressChange> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.iter().filter(|change| change.at >= from).cloned().collect()
    }
}

impl Drop for AddressWatch {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to clean up.
            let _ = thread.join();
        }
    }
}

fn read(socket: &Socket, ends: &AtomicBool, changes: &Mutex<Vec<AddressChange>>) {
    let mut buffer = vec![0; 65536];
    while !ends.load(Ordering::Relaxed) {
        let mut waiting = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        if poll(&mut waiting, PollTimeout::from(50_u8)) != Ok(1) {
            continue;
        }
        let mut source = socket;
        let Ok(length) = source.read(&mut buffer) else { continue };
        let at = now();
        let mut list = changes.lock().unwrap_or_else(PoisonError::into_inner);
        parse(&buffer[..length], |address, kind| list.push(AddressChange { at, address, kind }));
    }
}

/// Goes through netlink messages. Layout: 16 bytes nlmsghdr, 8 bytes ifaddrmsg, attributes; all padded to 4.
fn parse(mut bytes: &[u8], mut tell: impl FnMut(IpAddr, ChangeKind)) {
    while let (Some(length), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
        let length = length as usize;
        if length < 24 || length > bytes.len() {
            return;
        }
        let kind = match kind {
            libc::RTM_NEWADDR => Some(ChangeKind::Present),
            libc::RTM_DELADDR => Some(ChangeKind::Gone),
            _ => None,
        };
        if let (Some(kind), Some(address)) = (kind, address(&bytes[24..length])) {
            tell(address, kind);
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
}

/// IFA_LOCAL where there is one (IPv4), else IFA_ADDRESS.
fn address(mut attributes: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    while let (Some(length), Some(kind)) = (half(attributes, 0), half(attributes, 2)) {
        let length = usize::from(length);
        let value = attributes.get(4..length)?;
        let address = <[u8; 4]>::try_from(value)
            .map(|octets| IpAddr::V4(Ipv4Addr::from(octets)))
            .or_else(|_| <[u8; 16]>::try_from(value).map(|octets| IpAddr::V6(Ipv6Addr::from(octets))))
            .ok();
        match (kind, address) {
            (libc::IFA_LOCAL, Some(address)) => return Some(address),
            (libc::IFA_ADDRESS, Some(address)) => found = Some(address),
            _ => {}
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    found
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
