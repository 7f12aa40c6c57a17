//! Start, stop, probe and monitor of an address over netlink, with a kernel lifetime (R-LEASE-11).

use super::held::{Held, HeldAddress};
use super::link::{Address, Link, Snapshot};
use super::netlink::{ACK, Builder, CREATE, Netlink, REPLACE, REQUEST};
use super::rules::octets;
use crate::runner::{AddressFuture, AddressOps};
use hearth_types::{AddressSpec, OpAction, OpOutcome, OpRequest, ResourceKind, Timestamp};
use nix::sys::socket::SockProtocol;
use nix::time::{ClockId, clock_gettime};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// The kernel's limit for a label, its closing zero included.
const LABEL: usize = 16;

/// On which interface, and with which prefix, an address is served here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// Interface name.
    pub interface: String,
    /// Its number.
    pub index: u32,
    /// Prefix length.
    pub prefix: u8,
}

/// The native agent of IPaddr, IPaddr2 and IPv6addr. All calls take microseconds; any thread may make them.
#[derive(Debug)]
pub struct AddressAgent {
    netlink: Netlink,
    /// Renews, and nothing else: what it does is no news to [`super::Watch`].
    renewals: Netlink,
    held: Held,
}

impl AddressAgent {
    /// Opens its sockets.
    pub fn new() -> io::Result<AddressAgent> {
        let netlink = Netlink::open(SockProtocol::NetlinkRoute, 0)?;
        let renewals = Netlink::open(SockProtocol::NetlinkRoute, 0)?;
        let held = Held::renewed_by(renewals.port());
        Ok(AddressAgent { netlink, renewals, held })
    }

    /// What it did, for [`super::Watch::start`].
    pub fn held(&self) -> Held {
        self.held.clone()
    }

    /// Where that address would be served. The error is for people.
    pub fn home(&self, spec: &AddressSpec) -> Result<Home, String> {
        let snapshot = Snapshot::read().map_err(unreadable)?;
        let (link, prefix) = snapshot.home(spec)?;
        Ok(Home { interface: link.name.clone(), index: link.index, prefix })
    }

    /// Runs one operation on an address resource; any other resource is refused.
    pub fn run(&self, request: &OpRequest) -> OpOutcome {
        let ResourceKind::Address(spec) = &request.resource.kind else {
            return failed(format!("{} is not an address", request.resource.id));
        };
        let result = match request.action {
            OpAction::Probe => self.is_here(spec),
            OpAction::Monitor => self.monitor(spec),
            OpAction::Start => self.start(spec, request.lifetime, request.not_after).map(|()| true),
            OpAction::Stop => self.withdraw(spec.ip).map(|_| true),
        };
        match result {
            Ok(true) => OpOutcome::Ok,
            Ok(false) => OpOutcome::NotRunning,
            Err(message) => failed(message),
        }
    }

    fn is_here(&self, spec: &AddressSpec) -> Result<bool, String> {
        Ok(Snapshot::read().map_err(unreadable)?.holders(spec.ip).next().is_some())
    }

    fn monitor(&self, spec: &AddressSpec) -> Result<bool, String> {
        let snapshot = Snapshot::read().map_err(unreadable)?;
        let home = snapshot.home(spec).ok().map(|(link, _)| link.index);
        let Some((address, link)) =
            snapshot.holders(spec.ip).find(|(address, _)| home.is_none_or(|home| home == address.index))
        else {
            return match snapshot.holders(spec.ip).next() {
                Some((_, link)) => Err(format!("{} is on {}, where it does not belong", spec.ip, link.name)),
                None => Ok(false),
            };
        };
        if !link.is_up() {
            return Err(format!("{} is on {}, which is down", spec.ip, link.name));
        }
        if address.flags & libc::IFA_F_DADFAILED != 0 {
            return Err(format!("another machine on the wire of {} has {} (duplicate address)", link.name, spec.ip));
        }
        Ok(true)
    }

    /// Puts the address onto its interface (`lifetime` in whole seconds, rounded up; none: for ever), or takes over one
    /// that is there. Not after `not_after`.
    pub fn start(
        &self,
        spec: &AddressSpec,
        lifetime: Option<Duration>,
        not_after: Option<Timestamp>,
    ) -> Result<(), String> {
        let snapshot = Snapshot::read().map_err(unreadable)?;
        let (link, prefix) = snapshot.home(spec)?;
        if !link.is_up() {
            return Err(format!(
                "{} is down, so {} cannot be served: ip link set {} up",
                link.name, spec.ip, link.name
            ));
        }
        let present = |address: &Address| {
            address.index == link.index && spec.prefix.is_none_or(|prefix| prefix == address.prefix)
        };
        for (address, holder) in snapshot.holders(spec.ip).filter(|(address, _)| !present(address)) {
            // Here on the wrong interface or with another prefix: it would answer from there too.
            promote_secondaries(holder, spec.ip)?;
            self.delete(address)
                .map_err(|error| format!("{} cannot be moved off {}: {error}", spec.ip, holder.name))?;
        }
        promote_secondaries(link, spec.ip)?;
        let kept = snapshot.holders(spec.ip).map(|(address, _)| address).find(|address| present(address));
        let held = HeldAddress {
            index: link.index,
            prefix: kept.map_or(prefix, |address| address.prefix),
            label: label(spec, link)?,
            broadcast: broadcast(spec, prefix),
            valid_until: None,
            lost: false,
            changed: false,
        };
        let mut all = self.held.lock();
        not_too_late(spec.ip, not_after)?;
        let before = Instant::now();
        set(&self.netlink, spec.ip, &held, lifetime)
            .map_err(|error| format!("the kernel refused {}/{} on {}: {error}", spec.ip, held.prefix, link.name))?;
        all.insert(spec.ip, HeldAddress { valid_until: lifetime.map(|span| before + whole_seconds(span)), ..held });
        Ok(())
    }

    /// Sets the lifetime of an address that is here. One that expired is not brought back, whoever asks (R-LEASE-11).
    /// One found here that this daemon did not set (a restarted daemon's) is taken over.
    pub fn renew(&self, spec: &AddressSpec, lifetime: Duration, not_after: Timestamp) -> Result<(), String> {
        let mut all = self.held.lock();
        let held = match all.get(&spec.ip) {
            Some(held) => held.clone(),
            None => {
                let snapshot = Snapshot::read().map_err(unreadable)?;
                let Some((address, link)) = snapshot.holders(spec.ip).next() else {
                    return Err(format!("{} is not on any interface here, so its lifetime cannot be renewed", spec.ip));
                };
                HeldAddress {
                    index: address.index,
                    prefix: address.prefix,
                    label: label(spec, link)?,
                    broadcast: broadcast(spec, address.prefix),
                    valid_until: address.valid.map(|left| Instant::now() + left),
                    lost: false,
                    changed: false,
                }
            }
        };
        let before = Instant::now();
        if held.has_expired(before) {
            return Err(format!("the lifetime of {} has ended: it is not renewed any more", spec.ip));
        }
        not_too_late(spec.ip, Some(not_after))?;
        set(&self.renewals, spec.ip, &held, Some(lifetime))
            .map_err(|error| format!("the lifetime of {} cannot be renewed: {error}", spec.ip))?;
        let valid_until = Some(before + whole_seconds(lifetime));
        all.insert(spec.ip, HeldAddress { valid_until, lost: false, changed: false, ..held });
        Ok(())
    }

    /// Takes the address away from every interface; says whether it was here.
    pub fn withdraw(&self, ip: IpAddr) -> Result<bool, String> {
        self.held.lock().remove(&ip);
        let snapshot = Snapshot::read().map_err(unreadable)?;
        let mut was_here = false;
        for (address, link) in snapshot.holders(ip) {
            was_here = true;
            promote_secondaries(link, ip)?;
            self.delete(address).map_err(|error| format!("{ip} cannot be taken off {}: {error}", link.name))?;
        }
        Ok(was_here)
    }

    fn delete(&self, address: &Address) -> io::Result<()> {
        match request(&self.netlink, libc::RTM_DELADDR, 0, address.ip, address.prefix, address.index, |_| {}) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => Ok(()),
            other => other,
        }
    }
}

impl AddressOps for AddressAgent {
    fn run<'a>(&'a self, request: &'a OpRequest, _: &'a AddressSpec) -> AddressFuture<'a> {
        Box::pin(std::future::ready(AddressAgent::run(self, request)))
    }
}

fn set(netlink: &Netlink, ip: IpAddr, held: &HeldAddress, lifetime: Option<Duration>) -> io::Result<()> {
    let seconds = lifetime.map_or(u32::MAX, |span| whole_seconds(span).as_secs().min(u64::from(u32::MAX - 1)) as u32);
    // Preferred as long as valid: a deprecated address would not be chosen as a source while it is ours.
    let cache: Vec<u8> = [seconds, seconds, 0, 0].iter().flat_map(|value| value.to_ne_bytes()).collect();
    request(netlink, libc::RTM_NEWADDR, CREATE | REPLACE, ip, held.prefix, held.index, |message| {
        message.attribute(libc::IFA_CACHEINFO, &cache);
        if ip.is_ipv6() {
            // R-TAKE-6 has asked the wire already; waiting for the kernel's own question costs a second.
            message.attribute(libc::IFA_FLAGS, &libc::IFA_F_NODAD.to_ne_bytes());
        }
        if let Some(broadcast) = held.broadcast {
            message.attribute(libc::IFA_BROADCAST, &broadcast.octets());
        }
        if let Some(label) = &held.label {
            message.text(libc::IFA_LABEL, label);
        }
    })
}

fn request(
    netlink: &Netlink,
    kind: u16,
    flags: u16,
    ip: IpAddr,
    prefix: u8,
    index: u32,
    body: impl FnOnce(&mut Builder),
) -> io::Result<()> {
    let family = if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let mut header = vec![family as u8, prefix, 0, 0];
    header.extend_from_slice(&index.to_ne_bytes());
    let sequence = netlink.sequence();
    let mut builder = Builder::default();
    builder.message(kind, REQUEST | ACK | flags, sequence, &header, |message| {
        message.attribute(libc::IFA_LOCAL, &octets(ip));
        message.attribute(libc::IFA_ADDRESS, &octets(ip));
        body(message);
    });
    netlink.commit(builder.bytes(), sequence, sequence).map_err(|refusal| refusal.error)
}

fn failed(message: String) -> OpOutcome {
    OpOutcome::Failed { code: None, message }
}

fn unreadable(error: io::Error) -> String {
    format!("the kernel's list of addresses cannot be read: {error}")
}

fn whole_seconds(span: Duration) -> Duration {
    Duration::from_secs((span.as_secs() + u64::from(span.subsec_nanos() > 0)).max(1))
}

/// The right to start is judged at the last moment (R-LEASE-5).
fn not_too_late(ip: IpAddr, not_after: Option<Timestamp>) -> Result<(), String> {
    let Some(limit) = not_after else { return Ok(()) };
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_err(|error| format!("the clock cannot be read: {error}"))?;
    let now = Timestamp(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64);
    if now >= limit {
        return Err(format!("the right to serve {ip} ended {} ms ago: nothing was done", now.since(limit).as_millis()));
    }
    Ok(())
}

/// Without it an expiring or removed first address takes the others of its network with it (R-LEASE-11).
fn promote_secondaries(link: &Link, ip: IpAddr) -> Result<(), String> {
    if ip.is_ipv6() {
        return Ok(());
    }
    let path = format!("/proc/sys/net/ipv4/conf/{}/promote_secondaries", link.name);
    match std::fs::read_to_string(&path) {
        Ok(now) if now.trim() != "0" => Ok(()),
        _ => std::fs::write(&path, "1").map_err(|error| {
            format!(
                "net.ipv4.conf.{}.promote_secondaries cannot be set to 1 ({error}): other addresses of {} would vanish \
                 with {ip}",
                link.name, link.name
            )
        }),
    }
}

fn label(spec: &AddressSpec, link: &Link) -> Result<Option<String>, String> {
    let Some(label) = spec.label.as_ref().filter(|_| spec.ip.is_ipv4()) else { return Ok(None) };
    let label = format!("{}:{label}", link.name);
    if label.len() >= LABEL {
        return Err(format!("the label {label} is longer than the {} characters that the kernel takes", LABEL - 1));
    }
    Ok(Some(label))
}

/// As IPaddr2 does: the last address of the network, unless the configuration names one.
fn broadcast(spec: &AddressSpec, prefix: u8) -> Option<Ipv4Addr> {
    match (spec.ip, spec.broadcast) {
        (IpAddr::V4(_), Some(IpAddr::V4(broadcast))) => Some(broadcast),
        (IpAddr::V4(ip), _) if (1..=30).contains(&prefix) => {
            Some(Ipv4Addr::from_bits(ip.to_bits() | (u32::MAX >> prefix)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(ip: &str, broadcast: Option<&str>) -> AddressSpec {
        AddressSpec {
            ip: ip.parse().unwrap(),
            prefix: None,
            interface: None,
            label: None,
            broadcast: broadcast.map(|ip| ip.parse().unwrap()),
        }
    }

    #[test]
    fn broadcast_is_derived_unless_given() {
        let of = |spec: &AddressSpec, prefix| broadcast(spec, prefix).map(|ip| ip.to_string());
        assert_eq!(of(&spec("10.1.2.50", None), 24).as_deref(), Some("10.1.2.255"));
        assert_eq!(of(&spec("10.1.2.50", Some("10.1.2.240")), 24).as_deref(), Some("10.1.2.240"));
        assert_eq!(of(&spec("10.1.2.50", None), 32), None);
        assert_eq!(of(&spec("fd00::50", None), 64), None);
    }

    #[test]
    fn lifetimes_are_whole_seconds_and_at_least_one() {
        assert_eq!(whole_seconds(Duration::from_millis(10)).as_secs(), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)).as_secs(), 2);
        assert_eq!(whole_seconds(Duration::from_millis(2001)).as_secs(), 3);
    }
}
