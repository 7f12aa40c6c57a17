//! What happens to interfaces and addresses, as the kernel tells it (R-MEM-7, R-TAKE-7).

use super::carrier::Carrier;
use super::held::Held;
use super::link::{Address, Link, Snapshot};
use super::netlink::{Netlink, Received};
use crate::sys::registered;
use nix::sys::socket::SockProtocol;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

/// Links, IPv4 addresses, IPv6 addresses.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;
/// Events that the reader has not taken yet; beyond this the watch waits and the kernel's own buffer fills.
const QUEUE: usize = 1024;

/// How an address that this daemon holds was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Somebody removed it.
    Removed,
    /// Its kernel lifetime ran out (R-LEASE-11).
    Expired,
    /// Its interface is gone.
    InterfaceGone,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetEvent {
    /// Carrier of an interface, as R-MEM-7 counts it.
    Carrier {
        /// Interface.
        interface: String,
        /// What is known now; `Down` also when it was deleted or renamed away.
        carrier: Carrier,
    },
    /// Interfaces were made, deleted, renamed, or joined or left a bridge or bond: guard the gate again, and look
    /// again on which interface each address is served.
    Interfaces,
    /// Addresses of this machine changed, by whomever: look again on which interface each address is served.
    Addresses,
    /// An address that this daemon holds was lost, and this daemon did not do it.
    Lost {
        /// Which.
        ip: IpAddr,
        /// How.
        loss: Loss,
    },
    /// Somebody changed the lifetime of an address that this daemon holds.
    LifetimeChanged {
        /// Which.
        ip: IpAddr,
    },
    /// The watch has failed and ends; start another one.
    Failed {
        /// Why.
        error: String,
    },
}

/// Follows the kernel's events.
#[derive(Debug)]
pub struct Watch {
    socket: AsyncFd<Netlink>,
    snapshot: Snapshot,
    carriers: BTreeMap<String, Carrier>,
    held: Held,
    events: mpsc::Sender<NetEvent>,
}

impl Watch {
    /// Starts to follow, within a tokio runtime, until the receiver is dropped. Every interface's carrier follows as
    /// first events. `held` is that of the [`super::AddressAgent`] whose own changes are not to be reported.
    pub fn start(held: Held) -> io::Result<(Snapshot, mpsc::Receiver<NetEvent>)> {
        // Events are joined before the list is read, so that nothing between is missed.
        let socket = Netlink::open(SockProtocol::NetlinkRoute, GROUPS)?;
        if let Some(port) = held.renewals {
            socket.ignore(port)?;
        }
        let socket = registered(socket)?;
        let snapshot = Snapshot::read()?;
        let (events, receiver) = mpsc::channel(QUEUE);
        let watch = Watch { socket, snapshot: snapshot.clone(), carriers: BTreeMap::new(), held, events };
        tokio::spawn(watch.follow());
        Ok((snapshot, receiver))
    }

    async fn follow(mut self) {
        let mut news = self.carrier_news();
        loop {
            for event in news.drain(..) {
                if self.events.send(event).await.is_err() {
                    return;
                }
            }
            news = tokio::select! {
                () = self.events.closed() => return,
                ready = self.socket.readable() => match ready {
                    Ok(mut ready) => match ready.get_inner().receive() {
                        Ok(messages) if messages.is_empty() => {
                            ready.clear_ready();
                            Vec::new()
                        }
                        Ok(messages) => self.take(&messages),
                        Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.read_again(),
                        Err(error) => vec![NetEvent::Failed { error: error.to_string() }],
                    },
                    Err(error) => vec![NetEvent::Failed { error: error.to_string() }],
                },
            };
            if let Some(NetEvent::Failed { .. }) = news.last() {
                // The receiver may be gone; then nobody needs to know.
                let _ = self.events.send(news.remove(news.len() - 1)).await;
                return;
            }
        }
    }

    fn take(&mut self, messages: &[Received]) -> Vec<NetEvent> {
        let mut news = Vec::new();
        for message in messages {
            match message.kind {
                libc::RTM_NEWLINK => self.link_seen(message, &mut news),
                libc::RTM_DELLINK => self.link_gone(message, &mut news),
                libc::RTM_NEWADDR => self.address_seen(message, &mut news),
                libc::RTM_DELADDR => self.address_gone(message, &mut news),
                _ => {}
            }
        }
        news
    }

    fn link_seen(&mut self, message: &Received, news: &mut Vec<NetEvent>) {
        let Some(link) = Link::parse(message) else { return };
        let old = self.snapshot.links.insert(link.index, link.clone());
        let key = |link: &Link| (link.name.clone(), link.master, link.kind.clone(), link.is_up());
        if old.as_ref().map(key) != Some(key(&link)) {
            news.push(NetEvent::Interfaces);
        }
        news.extend(self.carrier_news());
    }

    fn link_gone(&mut self, message: &Received, news: &mut Vec<NetEvent>) {
        let Some(link) = Link::parse(message) else { return };
        if self.snapshot.links.remove(&link.index).is_some() {
            news.push(NetEvent::Interfaces);
        }
        news.extend(self.carrier_news());
    }

    fn address_seen(&mut self, message: &Received, news: &mut Vec<NetEvent>) {
        let Some(address) = Address::parse(message) else { return };
        let same =
            |known: &Address| (known.index, known.ip, known.prefix) == (address.index, address.ip, address.prefix);
        match self.snapshot.addresses.iter_mut().find(|known| same(known)) {
            Some(known) => *known = address.clone(),
            None => {
                self.snapshot.addresses.push(address.clone());
                news.push(NetEvent::Addresses);
            }
        }
        if self.is_news(address.ip, address.index, address.valid) {
            news.push(NetEvent::LifetimeChanged { ip: address.ip });
        }
    }

    /// Whether the lifetime of a held address is another one than we set, which is said once until we set one again. The
    /// event may be older than our last change, so that a difference is judged by what the kernel says now.
    fn is_news(&self, ip: IpAddr, index: u32, listed: Option<Duration>) -> bool {
        let mut all = self.held.lock();
        let Some(held) = all.get_mut(&ip).filter(|held| held.index == index && !held.changed) else { return false };
        if held.agrees(listed, Instant::now()) {
            return false;
        }
        let Ok(snapshot) = Snapshot::read() else { return true };
        let now = Instant::now();
        let differs = |a: &Address| (a.index, a.ip, a.prefix) == (index, ip, held.prefix) && !held.agrees(a.valid, now);
        held.changed = snapshot.addresses.iter().any(differs);
        held.changed
    }

    fn address_gone(&mut self, message: &Received, news: &mut Vec<NetEvent>) {
        let Some(address) = Address::parse(message) else { return };
        let before = self.snapshot.addresses.len();
        self.snapshot
            .addresses
            .retain(|known| (known.index, known.ip, known.prefix) != (address.index, address.ip, address.prefix));
        if self.snapshot.addresses.len() != before {
            news.push(NetEvent::Addresses);
        }
        self.lost(&address, news);
    }

    /// Reports an address that vanished, once, if it is held and was not put back meanwhile.
    fn lost(&mut self, address: &Address, news: &mut Vec<NetEvent>) {
        let mut all = self.held.lock();
        let Some(held) = all.get_mut(&address.ip) else { return };
        if held.lost || held.index != address.index || held.prefix != address.prefix {
            return; // Known, or moved by ourselves.
        }
        let loss = match Snapshot::read() {
            Ok(now) if now.addresses.iter().any(|a| (a.index, a.ip) == (address.index, address.ip)) => return,
            Ok(now) if !now.links.contains_key(&address.index) => Loss::InterfaceGone,
            _ if held.has_expired(Instant::now()) => Loss::Expired,
            _ => Loss::Removed,
        };
        held.lost = true;
        news.push(NetEvent::Lost { ip: address.ip, loss });
    }

    fn carrier_news(&mut self) -> Vec<NetEvent> {
        let names = self.snapshot.links.values().map(|link| link.name.clone());
        let now: BTreeMap<String, Carrier> = names.map(|name| (name.clone(), self.snapshot.carrier(&name))).collect();
        let gone = self.carriers.keys().filter(|name| !now.contains_key(*name)).map(|name| (name, &Carrier::Down));
        let changed = now.iter().filter(|(name, carrier)| self.carriers.get(*name) != Some(carrier));
        let news = gone
            .chain(changed)
            .map(|(interface, carrier)| NetEvent::Carrier { interface: interface.clone(), carrier: *carrier })
            .collect();
        self.carriers = now;
        news
    }

    /// Events were lost: everything is read again and compared.
    fn read_again(&mut self) -> Vec<NetEvent> {
        let now = match Snapshot::read() {
            Ok(now) => now,
            Err(error) => return vec![NetEvent::Failed { error: error.to_string() }],
        };
        let old = std::mem::replace(&mut self.snapshot, now);
        let mut news = vec![NetEvent::Interfaces, NetEvent::Addresses];
        let gone = |was: &&Address| {
            !self.snapshot.addresses.iter().any(|is| (is.index, is.ip, is.prefix) == (was.index, was.ip, was.prefix))
        };
        let gone: Vec<Address> = old.addresses.iter().filter(gone).cloned().collect();
        for address in gone {
            self.lost(&address, &mut news);
        }
        news.extend(self.carrier_news());
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::AddressAgent;

    /// Ten times a second the owner's main thread would wake, read, compare and sleep again (R-LEASE-11).
    #[test]
    fn a_renewal_of_our_own_wakes_nobody() {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("root, to make a network namespace");
        for command in ["link add w0 type veth peer name w1", "link set w0 up", "addr add 10.77.0.1/24 dev w0"] {
            assert!(std::process::Command::new("ip").args(command.split(' ')).status().unwrap().success(), "{command}");
        }
        let agent = AddressAgent::new().unwrap();
        let spec = hearth_types::AddressSpec {
            ip: "10.77.0.50".parse().unwrap(),
            prefix: None,
            interface: None,
            label: None,
            broadcast: None,
        };
        let socket = Netlink::open(SockProtocol::NetlinkRoute, GROUPS).unwrap();
        socket.ignore(agent.held().renewals.unwrap()).unwrap();
        // The kernel queues an event before it answers the request that it follows from.
        let kinds = || -> Vec<u16> { socket.receive().unwrap().iter().map(|message| message.kind).collect() };
        let minute = Duration::from_secs(60);
        agent.start(&spec, Some(minute), None).unwrap();
        assert_eq!(kinds(), [libc::RTM_NEWADDR]);
        let not_after = hearth_types::Timestamp(u64::MAX);
        agent.renew(&spec, minute, not_after).unwrap();
        assert_eq!(kinds(), []);
        agent.withdraw(spec.ip).unwrap();
        assert_eq!(kinds(), [libc::RTM_DELADDR]);
    }

    #[test]
    fn after_lost_events_everything_is_read_again_and_compared() {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("root, to make a network namespace");
        let run = |command: &str| {
            assert!(std::process::Command::new("ip").args(command.split(' ')).status().unwrap().success(), "{command}");
        };
        for command in
            ["link add w0 type veth peer name w1", "link set w0 up", "link set w1 up", "addr add 10.77.0.1/24 dev w0"]
        {
            run(command);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let agent = AddressAgent::new().unwrap();
            let ip: IpAddr = "10.77.0.50".parse().unwrap();
            let spec = hearth_types::AddressSpec { ip, prefix: None, interface: None, label: None, broadcast: None };
            agent.start(&spec, None, None).unwrap();
            // A watch that hears nothing, as if the kernel had run out of room for its events.
            let socket = registered(Netlink::open(SockProtocol::NetlinkRoute, 0).unwrap()).unwrap();
            let (events, _receiver) = mpsc::channel(1);
            let snapshot = Snapshot::read().unwrap();
            let mut watch = Watch { socket, snapshot, carriers: BTreeMap::new(), held: agent.held(), events };
            assert!(watch.carrier_news().contains(&NetEvent::Carrier { interface: "w0".into(), carrier: Carrier::Up }));
            run("addr del 10.77.0.50/24 dev w0");
            run("link set w1 down");
            let news = watch.read_again();
            assert!(news.contains(&NetEvent::Lost { ip, loss: Loss::Removed }), "{news:?}");
            assert!(news.contains(&NetEvent::Carrier { interface: "w0".into(), carrier: Carrier::Down }), "{news:?}");
        });
    }
}
