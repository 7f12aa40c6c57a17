//! Networks and the addresses in them.

use crate::Environment;
use core::net::IpAddr;

/// Whether the network of that address and prefix length contains `peer`.
pub(crate) fn holds((ip, length): (IpAddr, u8), peer: IpAddr) -> bool {
    let shift = |bits: u128, width: u32| bits.checked_shr(width.saturating_sub(u32::from(length))).unwrap_or(0);
    match (ip, peer) {
        (IpAddr::V4(a), IpAddr::V4(b)) => shift(u32::from(a).into(), 32) == shift(u32::from(b).into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => shift(a.into(), 128) == shift(b.into(), 128),
        _ => false,
    }
}

/// Whether any interface of this machine has a network that contains `ip`.
pub(crate) fn reachable(ip: IpAddr, environment: &dyn Environment) -> bool {
    let names = environment.interfaces();
    let facts = names.iter().filter_map(|name| environment.interface(name));
    facts.flat_map(|facts| facts.addresses).any(|net| holds(net, ip))
}
