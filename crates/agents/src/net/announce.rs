//! Announcing an address: gratuitous ARP as request and reply, unsolicited neighbour advertisement (R-TAKE-7).

use super::link::Snapshot;
use super::packet::{self, ARP, ARP_REPLY, ARP_REQUEST, IPV6};
use socket2::Socket;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// When the rounds of a burst are sent, from its start.
pub const BURST: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(150), Duration::from_millis(500)];

/// Sends announcements. The gate lets them out only while the address may answer.
#[derive(Debug)]
pub struct Announcer {
    socket: Socket,
}

impl Announcer {
    /// Opens its socket; needs CAP_NET_RAW.
    pub fn new() -> io::Result<Announcer> {
        Ok(Announcer { socket: packet::sender()? })
    }

    /// One round on that interface. Interfaces that are not Ethernet need none. Reads the interface's number and
    /// hardware address from the kernel each time, for they change with bonds and hot plug. An address that is not there
    /// (any more) is an error. [A machine that was frozen in its burst would go on with it after the thaw, and where no
    /// gate stops that, send clients away from the machine that has the address by then.]
    pub fn announce(&self, interface: &str, ip: IpAddr) -> io::Result<()> {
        let snapshot = Snapshot::read()?;
        let link = snapshot.link(interface).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("{ip} cannot be announced: there is no interface {interface}"),
            )
        })?;
        if !snapshot.holders(ip).any(|(_, at)| at.index == link.index) {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                format!("{ip} is not announced: it is not on {interface} any more"),
            ));
        }
        let Some(hardware) = link.mac() else { return Ok(()) };
        let frames = match ip {
            IpAddr::V4(ip) => {
                vec![(ARP, packet::arp(ARP_REQUEST, hardware, ip, ip)), (ARP, packet::arp(ARP_REPLY, hardware, ip, ip))]
            }
            IpAddr::V6(ip) => vec![(IPV6, packet::advertisement(hardware, ip))],
        };
        for (protocol, frame) in frames {
            match self.socket.send_to(&frame, &packet::exit(link.index, protocol)) {
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Err(io::Error::other(format!(
                        "the announcement of {ip} was dropped on {interface}: the gate does not let it answer now"
                    )));
                }
                other => other?,
            };
        }
        Ok(())
    }

    /// The rounds of [`BURST`], for an address that was just taken. One that fails does not end it; the first error is
    /// the result. Needs a tokio runtime with time; dropping it ends the burst.
    pub async fn burst(&self, interface: &str, ip: IpAddr) -> io::Result<()> {
        let start = tokio::time::Instant::now();
        let mut result = Ok(());
        for offset in BURST {
            tokio::time::sleep_until(start + offset).await;
            let round = self.announce(interface, ip);
            result = result.and(round);
        }
        result
    }
}
