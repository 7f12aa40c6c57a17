//! Heartbeat media: every line of ha.cf becomes a link; each port is independent and never blocks (R-WIRE-7).
//!
//! All lines of one interface, UDP port and address family share one socket: two wildcard sockets would take unicast
//! packets from each other. Which of its lines a packet belongs to is in its authenticated header; where the sender's
//! number is none of that port (its file has the lines in another order, or was reloaded earlier or later than ours), the
//! port alone tells.

mod serial;
mod udp;

use hearth_config::Medium;
use hearth_types::{LinkId, Timestamp};
use serial::Line;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;
use udp::Udp;

/// A port that could not be opened is tried again after this, and at once when interfaces change.
const RETRY: Duration = Duration::from_secs(1);

/// The links of one port: bits by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Links(u64);

impl Links {
    /// The first: what a packet that cannot be read is counted under.
    pub(crate) fn first(self) -> LinkId {
        LinkId(self.0.trailing_zeros() as u8)
    }

    /// Ours for a packet whose sender numbers it so.
    pub(crate) fn of(self, named: LinkId) -> LinkId {
        let known = self.0.checked_shr(u32::from(named.0)).is_some_and(|bits| bits & 1 == 1);
        if known { named } else { self.first() }
    }
}

/// A packet as it came in.
pub(crate) struct Arrival<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) links: Links,
    pub(crate) source: Source,
    pub(crate) received_at: Timestamp,
}

/// Where a packet came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Address(SocketAddr),
    Device(Arc<str>),
    Unknown,
}

/// What became of a link.
pub(crate) type Change = (LinkId, Option<String>);

enum Wire {
    Udp(Udp),
    Line(Box<Line>),
}

/// One line of ha.cf.
struct Lane {
    link: LinkId,
    /// The first line of its path: packets of all of them are numbered so.
    path: LinkId,
    medium: Medium,
    /// The last packet, where the kernel hands us a copy of it: known without looking into it. (A filter in the kernel
    /// would count each as an error of UDP.)
    looped: Option<Vec<u8>>,
    /// As reported last.
    trouble: Option<String>,
}

struct Port {
    lanes: Vec<Lane>,
    open: Option<Wire>,
    /// Whether there may be something to read.
    readable: bool,
    retry_at: Timestamp,
}

/// All ports.
pub(crate) struct Media {
    ports: Vec<Port>,
    /// Addresses of this machine: a ucast line that names one carries nothing, so that the file is equal on all nodes.
    own: BTreeSet<IpAddr>,
    /// Where `receive` goes on, so that one flooded port does not starve the next.
    turn: usize,
}

impl Media {
    /// Ports for these lines, none open yet.
    pub(crate) fn new(media: &[Medium]) -> Media {
        let mut ports: Vec<Port> = Vec::new();
        for (number, medium) in media.iter().enumerate() {
            // Not open and not said: whatever comes first is news.
            let trouble = Some(String::new());
            let looped = matches!(medium, Medium::Bcast { .. } | Medium::Mcast { .. } | Medium::Mcast6 { .. });
            let looped = looped.then(Vec::new);
            let path = LinkId(hearth_config::path(media, number).unwrap_or(number) as u8);
            let lane = Lane { link: LinkId(number as u8), path, medium: medium.clone(), looped, trouble };
            match ports.iter_mut().find(|port| port.key() == key(medium)) {
                Some(port) => port.lanes.push(lane),
                None => ports.push(Port { lanes: vec![lane], open: None, readable: false, retry_at: Timestamp::ZERO }),
            }
        }
        Media { ports, own: own_addresses(), turn: 0 }
    }

    /// Other lines. A port that still has one stays open, and nothing that came in on it is lost; one that has none is
    /// closed, and a new one is opened by the next [`Media::mend`] unless it is among the `ready` ones.
    pub(crate) fn change(&mut self, media: &[Medium], ready: Vec<Ready>) {
        let mut old = std::mem::replace(self, Media::new(media)).ports;
        old.extend(ready.into_iter().map(|ready| ready.0));
        for port in &mut self.ports {
            let Some(known) = old.iter_mut().find(|known| known.key() == port.key()) else { continue };
            // What does not take the change is opened anew.
            port.open = known.open.take().and_then(|mut wire| port.tune(&mut wire, known).is_ok().then_some(wire));
            port.retry_at = known.retry_at;
            for lane in &mut port.lanes {
                let before = known.lanes.iter_mut().find(|before| before.medium == lane.medium);
                // A line that is new to an open port has no trouble yet.
                let of_port = lane.trouble.take().filter(|_| port.open.is_none());
                lane.trouble = before.map_or(of_port, |before| before.trouble.take());
            }
        }
    }

    /// Opens what is due; `interfaces_changed`: also looks whether open ports still sit on the right interface.
    pub(crate) fn mend(&mut self, now: Timestamp, interfaces_changed: bool) -> Vec<Change> {
        let mut changes = Vec::new();
        if interfaces_changed {
            self.own = own_addresses();
        }
        for port in &mut self.ports {
            if interfaces_changed
                && let Some(Wire::Udp(udp)) = &port.open
                && !udp.is_current()
            {
                port.open = None;
            }
            if port.open.is_none() && (interfaces_changed || now >= port.retry_at) {
                let opened = port.open_now();
                let trouble = opened.err();
                port.retry_at = now + RETRY;
                port.report_all(trouble.as_deref(), &mut changes);
            }
        }
        changes
    }

    /// Sends on a link. On slow lines what has no topic, a heartbeat, overtakes the rest, and a packet takes the place of
    /// one of its topic that still waits. A closed port drops silently: it was reported.
    pub(crate) fn send(
        &mut self,
        now: Timestamp,
        link: LinkId,
        packet: &[u8],
        topic: Option<u64>,
        changes: &mut Vec<Change>,
    ) {
        let found = self.ports.iter_mut().find_map(|port| {
            let lane = port.lanes.iter().position(|lane| lane.link == link)?;
            Some((port, lane))
        });
        let Some((port, lane)) = found else { return };
        if matches!(&port.lanes[lane].medium, Medium::Ucast { peer, .. } if self.own.contains(peer)) {
            return;
        }
        let result = match &mut port.open {
            None => return,
            Some(Wire::Udp(udp)) => udp.send(&port.lanes[lane].medium, packet),
            Some(Wire::Line(line)) => line.send(now, packet, topic),
        };
        if let Some(looped) = &mut port.lanes[lane].looped {
            looped.clear();
            looped.extend_from_slice(packet);
            port.readable = true;
        }
        match result {
            // What one line cannot send says nothing about another one of the same port.
            Ok(()) => port.lanes[lane].report(None, changes),
            Err(Failure::Passing(trouble)) => port.lanes[lane].report(Some(&trouble), changes),
            Err(Failure::Closed(trouble)) => port.close(now, &trouble, changes),
        }
    }

    /// The number that packets on that line carry.
    pub(crate) fn path_of(&self, link: LinkId) -> LinkId {
        let mut lanes = self.ports.iter().flat_map(|port| &port.lanes);
        lanes.find(|lane| lane.link == link).map_or(link, |lane| lane.path)
    }

    /// Goes on writing what waits for slow lines.
    pub(crate) fn pump(&mut self, now: Timestamp, changes: &mut Vec<Change>) {
        for port in &mut self.ports {
            if let Some(Wire::Line(line)) = &mut port.open
                && let Err(Failure::Closed(trouble)) = line.pump(now)
            {
                port.close(now, &trouble, changes);
            }
        }
    }

    /// Hands at most `limit` packets to `take`; says whether more may wait.
    pub(crate) fn receive(
        &mut self,
        now: Timestamp,
        limit: usize,
        changes: &mut Vec<Change>,
        take: &mut dyn FnMut(Arrival<'_>),
    ) -> bool {
        let count = self.ports.len();
        let share = (limit / count.max(1)).max(1);
        let mut more = false;
        for offset in 0..count {
            let port = &mut self.ports[(self.turn + offset) % count];
            let links = port.links();
            if !std::mem::take(&mut port.readable) {
                continue;
            }
            let lanes = &port.lanes;
            let mut take_foreign = |arrival: Arrival<'_>| {
                if !lanes.iter().any(|lane| lane.looped.as_deref() == Some(arrival.bytes)) {
                    take(arrival);
                }
            };
            let result = match &mut port.open {
                None => continue,
                Some(Wire::Udp(udp)) => udp.receive(links, share, &mut take_foreign),
                Some(Wire::Line(line)) => line.receive(now, links, take),
            };
            match result {
                Ok(full) => more |= full,
                Err(Failure::Passing(trouble)) => port.report_all(Some(&trouble), changes),
                Err(Failure::Closed(trouble)) => port.close(now, &trouble, changes),
            }
        }
        self.turn = self.turn.wrapping_add(1);
        more
    }

    /// What to wait on for packets.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.ports.iter().filter_map(|port| port.open.as_ref()).map(|wire| match wire {
            Wire::Udp(udp) => udp.socket(),
            Wire::Line(line) => line.device(),
        })
    }

    /// Which of [`Media::sockets`], in their order, have something to read.
    pub(crate) fn set_readable(&mut self, readable: &[bool]) {
        let open = self.ports.iter_mut().filter(|port| port.open.is_some());
        for (port, readable) in open.zip(readable) {
            port.readable |= readable;
        }
    }

    /// When `mend` or `pump` has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        let due = |port: &Port| match &port.open {
            None => Some(port.retry_at),
            Some(Wire::Line(line)) => line.next_deadline(),
            Some(Wire::Udp(_)) => None,
        };
        self.ports.iter().filter_map(due).min()
    }
}

/// A port that was opened beside the running ones, for lines to come.
pub(crate) struct Ready(Port);

/// Opens the ports of lines that are on none of the old ones.
///
/// # Errors
/// One of them cannot be opened: a line for people.
pub(crate) fn prepare(old: &[Medium], new: &[Medium]) -> Result<Vec<Ready>, String> {
    let mut ready = Vec::new();
    for mut port in Media::new(new).ports {
        if old.iter().all(|medium| key(medium) != port.key()) {
            port.open_now()?;
            port.lanes.iter_mut().for_each(|lane| lane.trouble = None);
            ready.push(Ready(port));
        }
    }
    Ok(ready)
}

impl Port {
    fn links(&self) -> Links {
        Links(self.lanes.iter().fold(0, |bits, lane| bits | 1 << lane.link.0))
    }

    fn key(&self) -> (&str, u16, bool) {
        key(&self.lanes[0].medium)
    }

    fn media(&self) -> Vec<&Medium> {
        self.lanes.iter().map(|lane| &lane.medium).collect()
    }

    /// Makes what is open for another port of this key serve this one.
    fn tune(&self, wire: &mut Wire, known: &Port) -> std::io::Result<()> {
        match (wire, &self.lanes[0].medium) {
            (Wire::Line(line), Medium::Serial { baud, .. }) => line.tune(*baud),
            (Wire::Udp(udp), _) => udp.tune(&known.media(), &self.media()),
            (Wire::Line(_), _) => Ok(()),
        }
    }

    fn open_now(&mut self) -> Result<(), String> {
        let media = self.media();
        self.open = Some(match media[0] {
            Medium::Serial { device, baud } => Wire::Line(Box::new(Line::open(device, *baud)?)),
            _ => Wire::Udp(Udp::open(&media)?),
        });
        Ok(())
    }

    fn close(&mut self, now: Timestamp, trouble: &str, changes: &mut Vec<Change>) {
        self.open = None;
        self.retry_at = now + RETRY;
        self.report_all(Some(trouble), changes);
    }

    fn report_all(&mut self, trouble: Option<&str>, changes: &mut Vec<Change>) {
        self.lanes.iter_mut().for_each(|lane| lane.report(trouble, changes));
    }
}

impl Lane {
    fn report(&mut self, trouble: Option<&str>, changes: &mut Vec<Change>) {
        if self.trouble.as_deref() != trouble {
            self.trouble = trouble.map(str::to_owned);
            changes.push((self.link, self.trouble.clone()));
        }
    }
}

/// How an open port failed.
pub(crate) enum Failure {
    /// It stays open.
    Passing(String),
    /// It must be opened anew.
    Closed(String),
}

/// Every address of this machine; none that can be read: every line carries what it is given.
fn own_addresses() -> BTreeSet<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return BTreeSet::new() };
    let address = |storage: nix::sys::socket::SockaddrStorage| {
        let v4 = storage.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
    };
    interfaces.filter_map(|interface| interface.address).filter_map(address).collect()
}

/// What lines must have in common to share a port.
fn key(medium: &Medium) -> (&str, u16, bool) {
    match medium {
        Medium::Ucast { interface, peer, port } => (interface, *port, peer.is_ipv6()),
        Medium::Bcast { interface, port } | Medium::Mcast { interface, port, .. } => (interface, *port, false),
        Medium::Mcast6 { interface, port, .. } => (interface, *port, true),
        Medium::Serial { device, .. } => (device, 0, false),
    }
}

#[cfg(test)]
mod tests;
