//! A service address as IPaddr, IPaddr2 and IPv6addr take it.

use alloc::string::String;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// `ip[/prefix[/interface[:label]][/broadcast]]`, parsed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AddressSpec {
    /// The address itself.
    pub ip: IpAddr,
    /// Prefix length; none: that of the interface network that contains the address.
    pub prefix: Option<u8>,
    /// Interface; none: the one whose network contains the address.
    pub interface: Option<String>,
    /// Label (IPv4 only), without the interface's name.
    pub label: Option<String>,
    /// Broadcast address (IPv4 only); none: derived from the prefix.
    pub broadcast: Option<IpAddr>,
}
