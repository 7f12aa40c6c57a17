//! The gate: the kernel lets a leased address answer only while marks keep arriving (R-LEASE-8, R-LEASE-13).

use super::link::Snapshot;
use super::netlink::{Netlink, Refusal, text};
use super::packet;
use super::rules::{self, Batch, NETDEV, TABLE};
use nix::sys::socket::SockProtocol;
use socket2::{SockAddr, Socket};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;

/// Bit of the event group of nf_tables.
const NFTABLES_EVENTS: u32 = 1 << 6;
/// The loopback interface has this number in every network namespace.
const LOOPBACK: u32 = 1;
/// An interface may vanish between looking and building; then it is looked at again.
const ATTEMPTS: u32 = 4;

/// Why there is no gate.
#[derive(Debug, Error)]
pub enum GateError {
    /// The kernel cannot do it; addresses then rest on their kernel lifetime alone (R-LEASE-11).
    #[error(
        "this kernel cannot hold the gate for addresses (it refused {what}: {error}); a frozen node then stops answering \
             only when the lifetime of its addresses ends. Linux 5.16 or later with nf_tables and its netdev chains has it"
    )]
    Unsupported {
        /// What was refused.
        what: String,
        /// How.
        error: io::Error,
    },
    /// Another process that lives owns the table.
    #[error("another process holds the nftables table netdev {TABLE}: is a second hearthd running here?")]
    Owned,
    /// A change was refused; what stood before still stands.
    #[error("the kernel refused {what} of the gate: {error}")]
    Refused {
        /// What was refused.
        what: String,
        /// How.
        error: io::Error,
    },
    /// A socket failed.
    #[error("the gate cannot be reached: {0} (it needs CAP_NET_ADMIN and CAP_NET_RAW)")]
    Socket(#[from] io::Error),
}

/// What came of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ticked {
    /// It answers for that long from the mark.
    For(Duration),
    /// Nothing: the right ends too soon for the shortest mark.
    Short,
    /// Nothing: the mark came too long after the clock was read. It can be tried again.
    Late,
}

/// What is worth telling about a gate that stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateReport {
    /// Whether anything had to be built.
    pub built: bool,
    /// For people: what could not be done although the gate stands.
    pub notes: Vec<String>,
}

/// The gate of this machine. Dropping it leaves the table behind and shutting; only [`Gate::close`] removes it.
pub struct Gate {
    /// Owns the table as long as it is open.
    owner: Netlink,
    events: Netlink,
    ticker: Ticker,
    flags: u32,
    lease: Duration,
    addresses: BTreeSet<IpAddr>,
    interfaces: BTreeSet<String>,
    built: Option<Vec<Vec<u8>>>,
}

impl Gate {
    /// Asks the kernel whether it can (in a transaction that leaves nothing), and opens what ticks need. No table is
    /// made before [`Gate::guard`]; one that a dead owner left keeps shutting, and ticks reach it already if its lease was the same.
    pub fn open(lease: Duration) -> Result<Gate, GateError> {
        Gate::open_as(lease, rules::OWNER_PERSIST)
    }

    /// Whether the table stands, whoever made it: one that a dead owner left goes on shutting what nobody ticks.
    pub fn is_left() -> bool {
        Netlink::open(SockProtocol::NetlinkNetFilter, 0)
            .and_then(|netlink| ours(&netlink, rules::GET_TABLE, None))
            .is_ok_and(|tables| !tables.is_empty())
    }

    /// Opens with those table flags, or with none where the kernel refuses them.
    fn open_as(lease: Duration, wished: u32) -> Result<Gate, GateError> {
        let owner = Netlink::open(SockProtocol::NetlinkNetFilter, 0)?;
        let events = Netlink::open(SockProtocol::NetlinkNetFilter, NFTABLES_EVENTS)?;
        let ticker = Ticker::new(lease)?;
        let flags = match try_out(&owner, wished, lease) {
            Ok(()) => wished,
            Err(_) => try_out(&owner, 0, lease).map(|()| 0)?,
        };
        Ok(Gate {
            owner,
            events,
            ticker,
            flags,
            lease,
            addresses: BTreeSet::new(),
            interfaces: BTreeSet::new(),
            built: None,
        })
    }

    /// Whether the kernel protects the table from a flush of the rule set. If not, it is watched and put back
    /// ([`Gate::seen_whole`]), and `check` says so.
    pub fn is_owned(&self) -> bool {
        self.flags != 0
    }

    /// Makes the gate hold exactly these addresses on these interfaces (those of [`Snapshot::gate_interfaces`]), in one
    /// transaction; does nothing if it does already. Takes over the table of a dead owner: what answered goes on to
    /// answer until its time ends, and nothing else answers in between. Interfaces that do not exist are left out.
    pub fn guard(&mut self, addresses: &[IpAddr], interfaces: &[String]) -> Result<GateReport, GateError> {
        let addresses: BTreeSet<IpAddr> = addresses.iter().copied().collect();
        let interfaces: BTreeSet<String> = interfaces.iter().cloned().collect();
        let mut report = GateReport::default();
        let same = self.addresses == addresses && self.interfaces == interfaces;
        (self.addresses, self.interfaces) = (addresses, interfaces);
        if !same || self.built.is_none() || self.built != Some(self.read()?) {
            self.build()?;
            report.built = true;
        }
        report.notes = self.interfaces.iter().filter_map(|interface| quiet_arp(interface).err()).collect();
        if !self.is_owned() {
            report.notes.push(
                "this kernel does not protect the gate from `nft flush ruleset` (Linux 6.9 or later does): it is watched \
                 and put back"
                    .into(),
            );
        }
        Ok(report)
    }

    /// The length of a lease changed: what the marks stand for is built anew at once.
    pub fn set_lease(&mut self, lease: Duration) -> Result<(), GateError> {
        if self.lease != lease {
            self.lease = lease;
            if self.built.is_some() {
                self.build()?;
            }
            // A mark names its lease: until this is stored a tick's mark is that of the old one, which nothing takes.
            self.ticker.store(lease);
        }
        Ok(())
    }

    /// What ticks, for the heartbeat's thread: it goes on while this one is busy with [`Gate::guard`].
    pub fn ticker(&self) -> Ticker {
        self.ticker.clone()
    }

    /// As [`Ticker::tick`].
    pub fn tick(&self, ip: IpAddr, left: &dyn Fn() -> Duration) -> io::Result<Ticked> {
        self.ticker.tick(ip, left)
    }

    /// Shuts an address at once. An error means that it may answer: take the address away.
    pub fn shut(&self, ip: IpAddr) -> Result<(), GateError> {
        // Added first, in the same transaction, so that only a missing set is an error and not a missing element.
        let (alive, mut batch) = (rules::family(ip).alive, Batch::new(TABLE, self.owner.sequence()));
        batch.elements(alive, std::iter::once(ip));
        batch.delete_element(alive, ip);
        commit(&self.owner, batch)
    }

    /// Whether the gate is whole: cheap (one system call) while nobody touches it. If it is not, it is put back, and the
    /// error says what was found; addresses that should answer then need a tick at once. Call it before each tick and
    /// when [`AsFd::as_fd`] becomes readable.
    pub fn seen_whole(&mut self) -> Result<(), String> {
        let touched = self.touched();
        let Some(built) = &self.built else {
            return Err("the gate does not stand: it was not made, or the kernel refused it".into());
        };
        if !touched {
            return Ok(());
        }
        match self.read() {
            Ok(found) if found == *built => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(format!("the gate cannot be read: {error}")),
        }
        match self.build() {
            Ok(()) => Err("another program changed or removed the gate's nftables table; it is put back".into()),
            Err(error) => Err(format!("the gate is not whole and cannot be put back: {error}")),
        }
    }

    /// Removes the table: for an orderly exit, after the addresses were stopped.
    pub fn close(self) -> Result<(), GateError> {
        if self.built.is_none() {
            return Ok(());
        }
        let mut batch = Batch::new(TABLE, self.owner.sequence());
        batch.delete_table();
        commit(&self.owner, batch)
    }

    /// Whether anybody else (or a vanishing interface) changed our table since the last call.
    fn touched(&self) -> bool {
        let mut touched = false;
        loop {
            match self.events.receive() {
                Ok(messages) if messages.is_empty() => return touched,
                Ok(messages) => {
                    touched |= messages.iter().any(|message| {
                        message.port != self.owner.port()
                            && message
                                .attributes(NETDEV.len())
                                .any(|(kind, value)| kind == rules::TABLE_NAME && text(value) == TABLE)
                    });
                }
                // Events were lost (ENOBUFS), or the socket is ill: look at the table itself.
                Err(_) => return true,
            }
        }
    }

    fn build(&mut self) -> Result<(), GateError> {
        let mut attempt = 1;
        loop {
            match self.try_build() {
                Err(GateError::Refused { error, .. })
                    if attempt < ATTEMPTS && matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) =>
                {
                    attempt += 1;
                }
                Err(error) => {
                    self.built = None;
                    return Err(error);
                }
                Ok(()) => {
                    self.built = Some(self.read()?);
                    return Ok(());
                }
            }
        }
    }

    fn try_build(&self) -> Result<(), GateError> {
        let snapshot = Snapshot::read()?;
        let interfaces = self.interfaces.iter().filter(|name| snapshot.link(name).is_some()).cloned().collect();
        let mut table = Batch::new(TABLE, self.owner.sequence());
        table.table(self.flags);
        let strange = match commit(&self.owner, table) {
            Ok(()) => false,
            Err(GateError::Refused { error, .. }) if error.raw_os_error() == Some(libc::EPERM) => {
                return Err(GateError::Owned);
            }
            // A table with other flags: it is replaced.
            Err(GateError::Refused { .. }) => true,
            Err(error) => return Err(error),
        };
        let chains = self.chains()?;
        let first = self.owner.sequence();
        let mut batch = Batch::new(TABLE, first);
        if strange {
            batch.delete_table();
        }
        batch.table(self.flags);
        if !strange {
            for (hooked, name) in &chains {
                if *hooked {
                    batch.delete_chain(name);
                }
            }
            for (hooked, name) in &chains {
                if !*hooked {
                    batch.delete_chain(name);
                }
            }
        }
        batch.gate(&self.addresses, &interfaces, self.lease);
        commit(&self.owner, batch)
    }

    /// Chains of our table: whether hooked to an interface, and name.
    fn chains(&self) -> io::Result<Vec<(bool, String)>> {
        let chains = self.list(rules::GET_CHAIN, None)?;
        Ok(chains
            .iter()
            .filter_map(|body| {
                let attributes = || super::netlink::Attributes(&body[NETDEV.len()..]);
                let name = attributes().find(|(kind, _)| *kind == rules::CHAIN_NAME).map(|(_, value)| text(value))?;
                Some((attributes().any(|(kind, _)| kind == rules::CHAIN_HOOK), name))
            })
            .collect())
    }

    /// Everything of our table that must not change, as the kernel lists it.
    fn read(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut all = self.list(rules::GET_TABLE, None)?;
        all.extend(self.list(rules::GET_CHAIN, None)?);
        all.extend(self.list(rules::GET_RULE, None)?);
        for set in [rules::V4.leased, rules::V6.leased] {
            let mut elements: Vec<Vec<u8>> = match self.list(rules::GET_ELEMENT, Some(set)) {
                Ok(messages) => messages,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Vec::new(),
                Err(error) => return Err(error),
            };
            elements.sort();
            all.extend(elements);
        }
        Ok(all)
    }

    fn list(&self, kind: u16, set: Option<&str>) -> io::Result<Vec<Vec<u8>>> {
        ours(&self.owner, kind, set)
    }
}

/// What the kernel lists of our table.
fn ours(netlink: &Netlink, kind: u16, set: Option<&str>) -> io::Result<Vec<Vec<u8>>> {
    let messages = netlink.dump(kind, &NETDEV, |request| {
        if let Some(set) = set {
            request.text(rules::TABLE_NAME, TABLE);
            request.text(rules::SET_NAME, set);
        }
    })?;
    let ours = messages.into_iter().filter(|message| {
        message.attributes(NETDEV.len()).any(|(kind, value)| kind == rules::TABLE_NAME && text(value) == TABLE)
    });
    // The last two bytes of nfgenmsg count all changes of all tables.
    Ok(ours.map(|message| [&[5, 0, 0, 0], &message.body[NETDEV.len()..]].concat()).collect())
}

/// Sends the marks that let addresses answer. Clones share the socket; any thread may tick.
///
/// One socket for all marks: the kernel takes some 10 ms to close each packet socket, and a killed daemon is replaced
/// only when all of its sockets are closed.
#[derive(Clone, Debug)]
pub struct Ticker {
    marker: Arc<Mutex<Marker>>,
    exits: [SockAddr; 2],
    lease_ns: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Marker {
    socket: Socket,
    /// Of the last tick. The first one is drawn: a mark of a daemon before, however late, is none of ours.
    number: u32,
}

impl Marker {
    /// Sends it. A rule drops what it takes, and the kernel says so.
    fn is_taken(&self, mark: u32, ip: IpAddr, exit: &SockAddr) -> io::Result<bool> {
        self.socket.set_mark(mark)?;
        match self.socket.send_to(&packet::tick(ip, self.number), exit) {
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(true),
            Err(error) => Err(error),
            Ok(_) => Ok(false),
        }
    }
}

impl Ticker {
    fn new(lease: Duration) -> io::Result<Ticker> {
        let number = RandomState::new().hash_one(LOOPBACK) as u32;
        let marker = Marker { socket: packet::sender()?, number };
        let ticker = Ticker {
            marker: Arc::new(Mutex::new(marker)),
            exits: [packet::exit(LOOPBACK, packet::IPV4), packet::exit(LOOPBACK, packet::IPV6)],
            lease_ns: Arc::default(),
        };
        ticker.store(lease);
        Ok(ticker)
    }

    fn store(&self, lease: Duration) {
        self.lease_ns.store(lease.as_nanos() as u64, Ordering::SeqCst);
    }

    /// Lets an address answer for the longest mark that ends within what is `left` of the right to it. The tick is armed
    /// first, `left` is asked behind that, and the kernel takes the mark only while the tick is armed: a machine that
    /// stands still on the way, for however long, opens nothing that outlasts the right. An error means that the address was not
    /// renewed, for example because the table is gone.
    pub fn tick(&self, ip: IpAddr, left: &dyn Fn() -> Duration) -> io::Result<Ticked> {
        let lease = Duration::from_nanos(self.lease_ns.load(Ordering::SeqCst));
        let exit = &self.exits[usize::from(ip.is_ipv6())];
        let mut marker = self.marker.lock().unwrap_or_else(PoisonError::into_inner);
        marker.number = marker.number.wrapping_add(1);
        if !marker.is_taken(rules::mark(lease, rules::ARM), ip, exit)? {
            return Err(io::Error::other("nothing took the mark: the gate's table is not there"));
        }
        let left = left().saturating_sub(rules::armed_for(lease));
        let Some((step, span)) = rules::holds(lease).rev().find(|(_, span)| *span <= left) else {
            return Ok(Ticked::Short);
        };
        let taken = marker.is_taken(rules::mark(lease, step), ip, exit)?;
        Ok(if taken { Ticked::For(span) } else { Ticked::Late })
    }
}

/// Readable when somebody changes the machine's nftables.
impl AsFd for Gate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// Builds a gate on lo and removes it in the same transaction.
fn try_out(owner: &Netlink, flags: u32, lease: Duration) -> Result<(), GateError> {
    let name = format!("{TABLE}-try-{}", std::process::id());
    let mut batch = Batch::new(&name, owner.sequence());
    batch.table(flags);
    batch.gate(&BTreeSet::new(), &BTreeSet::from(["lo".to_owned()]), lease);
    batch.delete_table();
    commit(owner, batch).map_err(|error| match error {
        GateError::Refused { what, error } if error.raw_os_error() != Some(libc::EPERM) => {
            GateError::Unsupported { what, error }
        }
        GateError::Refused { error, .. } => GateError::Socket(error),
        other => other,
    })
}

fn commit(owner: &Netlink, batch: Batch) -> Result<(), GateError> {
    let (bytes, first, what) = batch.finish();
    let last = first + what.len() as u32 - 1;
    owner.reserve(last);
    owner.commit(&bytes, first, last).map_err(|Refusal { sequence, error }| {
        let what = what.get((sequence.wrapping_sub(first)) as usize).cloned().unwrap_or_else(|| "a part".into());
        GateError::Refused { what, error }
    })
}

/// An interface must answer ARP only for its own addresses: else a second card on the same wire answers for a gated one.
fn quiet_arp(interface: &str) -> Result<(), String> {
    let path = format!("/proc/sys/net/ipv4/conf/{interface}/arp_ignore");
    let now = match std::fs::read_to_string(&path) {
        Ok(now) => now,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{path} cannot be read: {error}")),
    };
    if now.trim().parse::<u32>().is_ok_and(|level| level >= 1) {
        return Ok(());
    }
    std::fs::write(&path, "1").map_err(|error| {
        format!(
            "net.ipv4.conf.{interface}.arp_ignore cannot be set to 1 ({error}): a second interface on the same wire may \
             answer ARP for an address that must be silent"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As on a kernel that knows no table owners (R-LEASE-13).
    #[test]
    fn an_unprotected_gate_is_watched_and_put_back() {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("root, to make a network namespace");
        let run = |command: &str| {
            let words: Vec<&str> = command.split(' ').collect();
            assert!(std::process::Command::new(words[0]).args(&words[1..]).status().unwrap().success(), "{command}");
        };
        run("ip link set lo up");
        let (lease, ip) = (Duration::from_millis(400), "10.77.0.50".parse().unwrap());
        let mut gate = Gate::open_as(lease, 0).unwrap();
        assert!(!gate.is_owned());
        let report = gate.guard(&[ip], &[]).unwrap();
        assert!(report.notes[0].contains("is watched"), "{report:?}");
        assert_eq!(gate.seen_whole(), Ok(()));
        run("nft flush ruleset");
        assert!(gate.tick(ip, &|| lease).is_err());
        assert!(gate.shut(ip).is_err());
        let told = gate.seen_whole().unwrap_err();
        assert!(told.contains("put back"), "{told}");
        assert_eq!(gate.tick(ip, &|| lease).unwrap(), Ticked::For(lease * 15 / 16));
        assert_eq!(gate.seen_whole(), Ok(()));
        run("nft delete chain netdev hearth tick");
        assert!(gate.seen_whole().unwrap_err().contains("put back"));
        run("nft add element netdev hearth leased4 { 10.77.0.51 }");
        assert!(gate.seen_whole().unwrap_err().contains("put back"));
        run("nft add table ip other");
        assert_eq!(gate.seen_whole(), Ok(()));

        // A newer daemon that can protect the table replaces it.
        let mut newer = Gate::open(lease).unwrap();
        assert!(newer.guard(&[ip], &[]).unwrap().built);
        assert_eq!(newer.tick(ip, &|| lease).unwrap(), Ticked::For(lease * 15 / 16));
        assert!(gate.guard(&[ip], &[]).is_err());
        newer.close().unwrap();
    }
}
