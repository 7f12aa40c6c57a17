//! Carrier of an interface: that of the lowest physical port below it (R-MEM-7).

use super::link::{Link, Snapshot};

/// What is known about the cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Present.
    Up,
    /// Absent, or the interface is gone or set down.
    Down,
    /// There is no physical port below: no evidence.
    Unknown,
}

/// Deeper than any sane stack; only a guard against loops in what the kernel lists.
const DEPTH: u32 = 8;

impl Snapshot {
    /// Carrier of the interface of that name; `Down` if it does not exist.
    pub fn carrier(&self, name: &str) -> Carrier {
        self.link(name).map_or(Carrier::Down, |link| self.carrier_of(link, DEPTH))
    }

    fn carrier_of(&self, link: &Link, depth: u32) -> Carrier {
        if !link.is_up() {
            return Carrier::Down;
        }
        if link.is_loopback() || depth == 0 {
            return Carrier::Unknown;
        }
        let own = if link.has_lower_up() { Carrier::Up } else { Carrier::Down };
        match link.kind.as_deref() {
            None | Some("veth") => own,
            Some("bridge" | "team") => self.any_port(link, depth),
            Some("bond") => match link.active_port.and_then(|port| self.links.get(&port)) {
                Some(port) => self.carrier_of(port, depth - 1),
                None => self.any_port(link, depth),
            },
            Some("vlan" | "macvlan" | "ipvlan") if link.lower_elsewhere => own,
            Some("vlan" | "macvlan" | "ipvlan") => match link.lower.and_then(|lower| self.links.get(&lower)) {
                Some(lower) => self.carrier_of(lower, depth - 1),
                None => own,
            },
            Some(_) => Carrier::Unknown,
        }
    }

    /// Up if one port is; ports without a physical port below (a guest's tap) are no evidence either way.
    fn any_port(&self, link: &Link, depth: u32) -> Carrier {
        let ports = self.links.values().filter(|port| port.master == Some(link.index));
        let seen: Vec<Carrier> = ports.map(|port| self.carrier_of(port, depth - 1)).collect();
        if seen.contains(&Carrier::Up) {
            Carrier::Up
        } else if seen.contains(&Carrier::Down) {
            Carrier::Down
        } else {
            Carrier::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::link::tests::link;

    fn snapshot(links: Vec<Link>) -> Snapshot {
        Snapshot { links: links.into_iter().map(|link| (link.index, link)).collect(), addresses: Vec::new() }
    }

    fn unplugged(link: Link) -> Link {
        Link { flags: libc::IFF_UP as u32, ..link }
    }

    #[test]
    fn carrier_is_that_of_the_lowest_physical_port() {
        // R-MEM-7
        let port = |link: Link| Link { master: Some(9), ..link };
        let bridge = || link(9, "br0", Some("bridge"));
        let tap = || port(link(3, "tap0", Some("tun")));
        let seen = |links: Vec<Link>| snapshot(links).carrier("br0");
        assert_eq!(seen(vec![bridge()]), Carrier::Unknown);
        assert_eq!(seen(vec![bridge(), tap()]), Carrier::Unknown);
        assert_eq!(seen(vec![bridge(), tap(), port(unplugged(link(2, "eth0", None)))]), Carrier::Down);
        assert_eq!(seen(vec![bridge(), tap(), port(link(2, "eth0", None))]), Carrier::Up);

        let vlan = Link { lower: Some(9), ..link(10, "br0.5", Some("vlan")) };
        let stack = snapshot(vec![vlan, bridge(), port(unplugged(link(2, "eth0", None)))]);
        assert_eq!(stack.carrier("br0.5"), Carrier::Down);

        let bond = Link { active_port: Some(2), ..link(9, "bond0", Some("bond")) };
        let ports = vec![bond, port(unplugged(link(2, "eth0", None))), port(link(3, "eth1", None))];
        assert_eq!(snapshot(ports).carrier("bond0"), Carrier::Down);
        assert_eq!(snapshot(Vec::new()).carrier("eth0"), Carrier::Down);
        assert_eq!(snapshot(vec![link(2, "dummy0", Some("dummy"))]).carrier("dummy0"), Carrier::Unknown);
    }

    #[test]
    fn a_loop_of_interfaces_ends() {
        let vlan = |index, lower| Link { lower: Some(lower), ..link(index, "loop", Some("vlan")) };
        assert_eq!(snapshot(vec![vlan(2, 3), vlan(3, 2)]).carrier("loop"), Carrier::Unknown);
    }
}
