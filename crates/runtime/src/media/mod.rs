//! Heartbeat media: every line of ha.cf becomes a link; each port is independent and never blocks (R-WIRE-7).
//!
//! All lines of one interface, UDP port and address family share one socket: two wildcard sockets would take unicast
//! packets from each other. Which link a packet belongs to is in its authenticated header.

mod serial;
mod udp;

use hearth_config::Medium;
use hearth_types::{LinkId, Timestamp};
use serial::Line;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;
use udp::Udp;

/// A port that could not be opened is tried again after this, and at once when interfaces change.
const RETRY: Duration = Duration::from_secs(1);

/// A packet as it came in.
pub(crate) struct Arrival<'a> {
    pub(crate) bytes: &'a [u8],
    /// The first link of its port: what a packet that cannot be read is counted under.
    pub(crate) link: LinkId,
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

struct Port {
    links: Vec<(LinkId, Medium)>,
    open: Option<Wire>,
    retry_at: Timestamp,
    /// As reported last.
    trouble: Option<String>,
}

/// All ports.
pub(crate) struct Media {
    ports: Vec<Port>,
    /// Where `receive` goes on, so that one flooded port does not starve the next.
    turn: usize,
}

impl Media {
    /// Ports for these lines, none open yet.
    pub(crate) fn new(media: &[Medium]) -> Media {
        let mut ports: Vec<Port> = Vec::new();
        for (number, medium) in media.iter().enumerate() {
            let entry = (LinkId(number as u8), medium.clone());
            match ports.iter_mut().find(|port| key(&port.links[0].1) == key(medium)) {
                Some(port) => port.links.push(entry),
                None => ports.push(Port {
                    links: vec![entry],
                    open: None,
                    retry_at: Timestamp::ZERO,
                    trouble: Some(String::new()),
                }),
            }
        }
        Media { ports, turn: 0 }
    }

    /// Opens what is due; `interfaces_changed`: also looks whether open ports still sit on the right interface.
    pub(crate) fn mend(&mut self, now: Timestamp, interfaces_changed: bool) -> Vec<Change> {
        let mut changes = Vec::new();
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
                port.report(trouble, &mut changes);
            }
        }
        changes
    }

    /// Sends on a link; heartbeats overtake the rest on slow lines. A closed port drops silently: it was reported.
    pub(crate) fn send(
        &mut self,
        now: Timestamp,
        link: LinkId,
        packet: &[u8],
        urgent: bool,
        changes: &mut Vec<Change>,
    ) {
        let found = self.ports.iter_mut().find_map(|port| {
            let medium = port.links.iter().find(|(id, _)| *id == link).map(|(_, medium)| medium.clone())?;
            Some((port, medium))
        });
        let Some((port, medium)) = found else { return };
        let result = match &mut port.open {
            None => return,
            Some(Wire::Udp(udp)) => udp.send(&medium, packet),
            Some(Wire::Line(line)) => line.send(now, packet, urgent),
        };
        port.settle(now, result, changes);
    }

    /// Goes on writing what waits for slow lines.
    pub(crate) fn pump(&mut self, now: Timestamp, changes: &mut Vec<Change>) {
        for port in &mut self.ports {
            if let Some(Wire::Line(line)) = &mut port.open {
                let result = line.pump(now);
                port.settle(now, result, changes);
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
            let link = port.links[0].0;
            let result = match &mut port.open {
                None => continue,
                Some(Wire::Udp(udp)) => udp.receive(link, share, take),
                Some(Wire::Line(line)) => line.receive(now, link, take),
            };
            match result {
                Ok(full) => more |= full,
                Err(error) => port.settle(now, Err(error), changes),
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

impl Port {
    fn open_now(&mut self) -> Result<(), String> {
        let media: Vec<&Medium> = self.links.iter().map(|(_, medium)| medium).collect();
        self.open = Some(match media[0] {
            Medium::Serial { device, baud } => Wire::Line(Box::new(Line::open(device, *baud)?)),
            _ => Wire::Udp(Udp::open(&media)?),
        });
        Ok(())
    }

    fn settle(&mut self, now: Timestamp, result: Result<bool, Failure>, changes: &mut Vec<Change>) {
        match result {
            // Success says nothing to a link that was never in trouble.
            Ok(_) => self.report(None, changes),
            Err(Failure::Passing(trouble)) => self.report(Some(trouble), changes),
            Err(Failure::Closed(trouble)) => {
                self.open = None;
                self.retry_at = now + RETRY;
                self.report(Some(trouble), changes);
            }
        }
    }

    fn report(&mut self, trouble: Option<String>, changes: &mut Vec<Change>) {
        if self.trouble != trouble {
            self.trouble = trouble;
            changes.extend(self.links.iter().map(|(link, _)| (*link, self.trouble.clone())));
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

/// What lines must have in common to share a port.
fn key(medium: &Medium) -> (&str, u16, bool) {
    match medium {
        Medium::Ucast { interface, peer, port } => (interface, *port, peer.is_ipv6()),
        Medium::Bcast { interface, port } | Medium::Mcast { interface, port, .. } => (interface, *port, false),
        Medium::Mcast6 { interface, port, .. } => (interface, *port, true),
        Medium::Serial { device, .. } => (device, 0, false),
    }
}
