//! Interfaces and addresses of this machine, as the kernel lists them.

use super::netlink::{Attributes, Netlink, Received, text, u16_at, u32_at};
use hearth_types::AddressSpec;
use nix::sys::socket::SockProtocol;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

pub(crate) const LINK_HEADER: usize = 16;
pub(crate) const ADDRESS_HEADER: usize = 8;
const ETHERNET: u16 = libc::ARPHRD_ETHER;

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number; never used twice while the machine runs in practice.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Kind as `ip -d link` names it (`veth`, `bridge`, `vlan`, ...); none for hardware.
    pub kind: Option<String>,
    /// The interface below (VLAN, macvlan) or the other end (veth).
    pub lower: Option<u32>,
    /// The interface below is in another network namespace, so its state cannot be read.
    pub lower_elsewhere: bool,
    /// The bridge, bond or VRF that it is a port of.
    pub master: Option<u32>,
    /// Of a bond: the port that carries the traffic.
    pub active_port: Option<u32>,
    /// IFF_ flags.
    pub flags: u32,
    /// Whether it speaks Ethernet: only there are ARP, ND and announcements meaningful.
    pub ethernet: bool,
    /// Its hardware address.
    pub hardware: Vec<u8>,
}

impl Link {
    pub(crate) fn parse(message: &Received) -> Option<Link> {
        if *message.body.first()? != 0 {
            return None; // A bridge's view of a port, not an interface.
        }
        let mut link = Link {
            index: u32_at(&message.body, 4)?,
            name: String::new(),
            kind: None,
            lower: None,
            lower_elsewhere: false,
            master: None,
            active_port: None,
            flags: u32_at(&message.body, 8)?,
            ethernet: u16_at(&message.body, 2)? == ETHERNET,
            hardware: Vec::new(),
        };
        for (kind, value) in message.attributes(LINK_HEADER) {
            match kind {
                libc::IFLA_ADDRESS => link.hardware = value.to_vec(),
                libc::IFLA_IFNAME => link.name = text(value),
                libc::IFLA_LINK => link.lower = u32_at(value, 0).filter(|lower| *lower != 0),
                libc::IFLA_LINK_NETNSID => link.lower_elsewhere = true,
                libc::IFLA_MASTER => link.master = u32_at(value, 0).filter(|master| *master != 0),
                libc::IFLA_LINKINFO => link.read_info(value),
                _ => {}
            }
        }
        Some(link)
    }

    fn read_info(&mut self, info: &[u8]) {
        const BOND_ACTIVE_PORT: u16 = 2;
        self.kind = Attributes(info).find(|(kind, _)| *kind == libc::IFLA_INFO_KIND).map(|(_, value)| text(value));
        if self.kind.as_deref() == Some("bond") {
            let data = Attributes(info).find(|(kind, _)| *kind == libc::IFLA_INFO_DATA).map(|(_, value)| value);
            self.active_port = Attributes(data.unwrap_or_default())
                .find(|(kind, _)| *kind == BOND_ACTIVE_PORT)
                .and_then(|(_, value)| u32_at(value, 0))
                .filter(|port| *port != 0);
        }
    }

    /// Whether it was set up (`ip link set ... up`).
    pub fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }

    /// Whether it is the loopback interface.
    pub fn is_loopback(&self) -> bool {
        self.flags & libc::IFF_LOOPBACK as u32 != 0
    }

    /// Its own carrier bit, without a look at what lies below.
    pub fn has_lower_up(&self) -> bool {
        self.is_up() && self.flags & libc::IFF_LOWER_UP as u32 != 0
    }

    /// Its hardware address, if it is an Ethernet one.
    pub fn mac(&self) -> Option<[u8; 6]> {
        self.ethernet.then(|| self.hardware.as_slice().try_into().ok()).flatten()
    }
}

/// One address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Number of its interface.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// Length of its network's prefix.
    pub prefix: u8,
    /// IFA_F_ flags.
    pub flags: u32,
    /// Time left until the kernel removes it; none: for ever.
    pub valid: Option<Duration>,
    /// IPv4 label, if it differs from the interface's name or not.
    pub label: Option<String>,
}

impl Address {
    pub(crate) fn parse(message: &Received) -> Option<Address> {
        let prefix = *message.body.get(1)?;
        let mut flags = u32::from(*message.body.get(2)?);
        let (mut ip, mut local, mut valid, mut label) = (None, None, None, None);
        for (kind, value) in message.attributes(ADDRESS_HEADER) {
            match kind {
                libc::IFA_ADDRESS => ip = ip_from(value),
                libc::IFA_LOCAL => local = ip_from(value),
                libc::IFA_LABEL => label = Some(text(value)),
                libc::IFA_FLAGS => flags = u32_at(value, 0)?,
                libc::IFA_CACHEINFO => {
                    valid = u32_at(value, 4).filter(|s| *s != u32::MAX).map(|s| Duration::from_secs(s.into()));
                }
                _ => {}
            }
        }
        Some(Address { index: u32_at(&message.body, 4)?, ip: local.or(ip)?, prefix, flags, valid, label })
    }
}

fn ip_from(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

/// Everything about interfaces and addresses at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Interfaces by number.
    pub links: BTreeMap<u32, Link>,
    /// Addresses in the kernel's order.
    pub addresses: Vec<Address>,
}

impl Snapshot {
    /// Reads it from the kernel. Errors are those of netlink; a few microseconds per interface.
    pub fn read() -> io::Result<Snapshot> {
        Snapshot::read_through(&Netlink::open(SockProtocol::NetlinkRoute, 0)?)
    }

    pub(crate) fn read_through(netlink: &Netlink) -> io::Result<Snapshot> {
        let links = netlink.dump(libc::RTM_GETLINK, &[0; LINK_HEADER], |_| {})?;
        let addresses = netlink.dump(libc::RTM_GETADDR, &[0; ADDRESS_HEADER], |_| {})?;
        Ok(Snapshot {
            links: links.iter().filter_map(Link::parse).map(|link| (link.index, link)).collect(),
            addresses: addresses.iter().filter_map(Address::parse).collect(),
        })
    }

    /// The interface of that name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    /// Where that address is now; more than one entry only if somebody configured it twice.
    pub fn holders(&self, ip: IpAddr) -> impl Iterator<Item = (&Address, &Link)> {
        self.addresses
            .iter()
            .filter(move |address| address.ip == ip)
            .filter_map(|address| Some((address, self.links.get(&address.index)?)))
    }

    /// Interfaces on which the gate stands: all that can carry an address, not lo, not ports of a bridge or bond
    /// (R-LEASE-13).
    pub fn gate_interfaces(&self) -> Vec<String> {
        self.links.values().filter(|link| !link.is_loopback() && !self.is_port(link)).map(|l| l.name.clone()).collect()
    }

    fn is_port(&self, link: &Link) -> bool {
        let master = link.master.and_then(|master| self.links.get(&master));
        matches!(master.and_then(|master| master.kind.as_deref()), Some("bridge" | "bond" | "team" | "openvswitch"))
    }

    /// On which interface and with which prefix this machine serves that address: as the spec says, what it leaves out
    /// from the interface network that contains the address (the longest prefix wins). The error is for people.
    pub fn home(&self, spec: &AddressSpec) -> Result<(&Link, u8), String> {
        let widest = if spec.ip.is_ipv4() { 32 } else { 128 };
        let networks = self.addresses.iter().filter(|known| {
            known.ip != spec.ip && known.prefix < widest && !is_link_local(known.ip) && contains(known, spec.ip)
        });
        if let Some(name) = &spec.interface {
            let link = self.link(name).ok_or_else(|| format!("this machine has no interface {name}"))?;
            let inside = networks.filter(|known| known.index == link.index).map(|known| known.prefix).max();
            let prefix = spec.prefix.or(inside).ok_or_else(|| {
                format!("no network of {name} contains {}: write the prefix, as in {}/24/{name}", spec.ip, spec.ip)
            })?;
            return Ok((link, prefix));
        }
        networks
            .filter_map(|known| Some((known, self.links.get(&known.index).filter(|link| !link.is_loopback())?)))
            .max_by_key(|(known, link)| (link.is_up(), known.prefix, std::cmp::Reverse(link.index)))
            .map(|(known, link)| (link, spec.prefix.unwrap_or(known.prefix)))
            .ok_or_else(|| {
                format!(
                    "no interface here has a network that contains {}: name the interface behind the prefix",
                    spec.ip
                )
            })
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

fn contains(network: &Address, ip: IpAddr) -> bool {
    match (network.ip, ip) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (a.to_bits() ^ b.to_bits()).checked_shr(32 - u32::from(network.prefix)).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (a.to_bits() ^ b.to_bits()).checked_shr(128 - u32::from(network.prefix)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn link(index: u32, name: &str, kind: Option<&str>) -> Link {
        Link {
            index,
            name: name.into(),
            kind: kind.map(Into::into),
            lower: None,
            lower_elsewhere: false,
            master: None,
            active_port: None,
            flags: (libc::IFF_UP | libc::IFF_LOWER_UP) as u32,
            ethernet: true,
            hardware: vec![2, 0, 0, 0, 0, index as u8],
        }
    }

    fn address(index: u32, ip: &str, prefix: u8) -> Address {
        Address { index, ip: ip.parse().unwrap(), prefix, flags: 0, valid: None, label: None }
    }

    fn spec(ip: &str, prefix: Option<u8>, interface: Option<&str>) -> AddressSpec {
        AddressSpec {
            ip: ip.parse().unwrap(),
            prefix,
            interface: interface.map(Into::into),
            label: None,
            broadcast: None,
        }
    }

    fn two() -> Snapshot {
        Snapshot {
            links: [link(2, "eth0", None), link(3, "eth1", None)].map(|link| (link.index, link)).into(),
            addresses: vec![
                address(2, "10.0.0.1", 8),
                address(3, "10.1.2.1", 24),
                address(2, "fe80::1", 64),
                address(3, "fd00::1", 64),
                address(2, "10.1.2.50", 32),
            ],
        }
    }

    #[test]
    fn home_is_the_narrowest_network_that_contains_the_address() {
        let two = two();
        let home = |spec: &AddressSpec| two.home(spec).map(|(link, prefix)| (link.name.clone(), prefix));
        assert_eq!(home(&spec("10.1.2.50", None, None)), Ok(("eth1".into(), 24)));
        assert_eq!(home(&spec("10.9.2.50", None, None)), Ok(("eth0".into(), 8)));
        assert_eq!(home(&spec("10.1.2.50", Some(32), None)), Ok(("eth1".into(), 32)));
        assert_eq!(home(&spec("fd00::50", None, None)), Ok(("eth1".into(), 64)));
        assert_eq!(home(&spec("10.1.2.50", None, Some("eth0"))), Ok(("eth0".into(), 8)));
        assert_eq!(home(&spec("192.0.2.1", Some(24), Some("eth0"))), Ok(("eth0".into(), 24)));
        assert!(home(&spec("192.0.2.1", None, Some("eth0"))).unwrap_err().contains("write the prefix"));
        assert!(home(&spec("192.0.2.1", Some(24), None)).unwrap_err().contains("name the interface"));
        assert!(home(&spec("10.1.2.50", None, Some("eth9"))).unwrap_err().contains("no interface eth9"));
    }

    #[test]
    fn the_gate_stands_on_what_can_carry_an_address() {
        let mut snapshot = two();
        snapshot.links.insert(4, link(4, "br0", Some("bridge")));
        snapshot.links.insert(5, Link { master: Some(4), ..link(5, "port", Some("veth")) });
        snapshot.links.insert(1, Link { flags: libc::IFF_LOOPBACK as u32, ..link(1, "lo", None) });
        assert_eq!(snapshot.gate_interfaces(), ["eth0", "eth1", "br0"]); // R-LEASE-13
    }
}
