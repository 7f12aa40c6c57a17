//! Frames: AF_PACKET sockets and the few packets that Hearth writes byte by byte.

use crate::sys::link_address;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const IPV4: u16 = libc::ETH_P_IP as u16;
pub const ARP: u16 = libc::ETH_P_ARP as u16;
pub const IPV6: u16 = libc::ETH_P_IPV6 as u16;
pub const BROADCAST: [u8; 6] = [0xff; 6];
pub const ARP_REQUEST: u8 = 1;
pub const ARP_REPLY: u8 = 2;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// A socket that only sends.
pub fn sender() -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A socket that gets the frames of one protocol on one interface.
pub fn listener(index: u32, protocol: u16) -> io::Result<Socket> {
    let socket = sender()?;
    socket.bind(&link_address(index, protocol))?;
    Ok(socket)
}

/// Where a frame of that protocol goes out.
pub fn exit(index: u32, protocol: u16) -> SockAddr {
    link_address(index, protocol)
}

fn ethernet(to: [u8; 6], from: [u8; 6], protocol: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(128);
    frame.extend_from_slice(&to);
    frame.extend_from_slice(&from);
    frame.extend_from_slice(&protocol.to_be_bytes());
    frame
}

/// An ARP packet to everyone.
pub fn arp(operation: u8, hardware: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, hardware, ARP);
    frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, operation]);
    frame.extend_from_slice(&hardware);
    frame.extend_from_slice(&sender.octets());
    frame.extend_from_slice(if operation == ARP_REPLY { &BROADCAST } else { &[0; 6] });
    frame.extend_from_slice(&target.octets());
    frame
}

/// The sender of an ARP reply.
pub fn arp_reply(frame: &[u8]) -> Option<(IpAddr, [u8; 6])> {
    let packet = frame.get(14..42)?;
    if packet[..8] != [0, 1, 8, 0, 6, 4, 0, ARP_REPLY] {
        return None;
    }
    let hardware: [u8; 6] = packet[8..14].try_into().ok()?;
    Some((Ipv4Addr::new(packet[14], packet[15], packet[16], packet[17]).into(), hardware))
}

/// A neighbour solicitation as duplicate address detection sends it: from nobody, so that all learn nothing.
pub fn solicitation(hardware: [u8; 6], target: Ipv6Addr) -> Vec<u8> {
    let last = target.octets();
    let group =
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(last[13]), u16::from_be_bytes([last[14], last[15]]));
    let mut body = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    body.extend_from_slice(&last);
    icmp6(hardware, Ipv6Addr::UNSPECIFIED, group, body)
}

/// An unsolicited neighbour advertisement to all nodes that replaces what they know (override).
pub fn advertisement(hardware: [u8; 6], target: Ipv6Addr) -> Vec<u8> {
    const OVERRIDE: u8 = 0x20;
    const TARGET_LINK_LAYER: u8 = 2;
    let mut body = vec![ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    body.extend_from_slice(&target.octets());
    body.extend_from_slice(&[TARGET_LINK_LAYER, 1]);
    body.extend_from_slice(&hardware);
    icmp6(hardware, target, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), body)
}

/// The target of a neighbour advertisement and who sent it.
pub fn advertised(frame: &[u8]) -> Option<(IpAddr, [u8; 6])> {
    const HOP_LIMIT: u8 = 255;
    let packet = frame.get(14..14 + 40 + 24)?;
    if packet[6] != libc::IPPROTO_ICMPV6 as u8 || packet[7] != HOP_LIMIT || packet[40] != ADVERTISEMENT {
        return None;
    }
    let target: [u8; 16] = packet[48..64].try_into().ok()?;
    Some((Ipv6Addr::from(target).into(), frame.get(6..12)?.try_into().ok()?))
}

fn icmp6(hardware: [u8; 6], source: Ipv6Addr, group: Ipv6Addr, mut body: Vec<u8>) -> Vec<u8> {
    let octets = group.octets();
    let mut frame = ethernet([0x33, 0x33, octets[12], octets[13], octets[14], octets[15]], hardware, IPV6);
    frame.extend_from_slice(&[0x60, 0, 0, 0, 0, body.len() as u8, libc::IPPROTO_ICMPV6 as u8, 255]);
    frame.extend_from_slice(&source.octets());
    frame.extend_from_slice(&octets);
    let mut pseudo = [source.octets(), octets].concat();
    pseudo.extend_from_slice(&[0, 0, 0, body.len() as u8, 0, 0, 0, libc::IPPROTO_ICMPV6 as u8]);
    pseudo.extend_from_slice(&body);
    body[2..4].copy_from_slice(&checksum(&pseudo).to_be_bytes());
    frame.extend_from_slice(&body);
    frame
}

/// The internet checksum.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The packet that renews an address in the gate: one to it that holds nothing but its number, and never leaves the loopback
/// interface.
pub fn tick(ip: IpAddr, number: u32) -> Vec<u8> {
    const NOTHING_FOLLOWS: u8 = 59;
    let mut frame = match ip {
        IpAddr::V4(ip) => {
            let mut frame = ethernet([0; 6], [0; 6], IPV4);
            frame.extend_from_slice(&[0x45, 0, 0, 24, 0, 0, 0, 0, 1, NOTHING_FOLLOWS, 0, 0, 127, 0, 0, 1]);
            frame.extend_from_slice(&ip.octets());
            let sum = checksum(&frame[14..34]);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
            frame
        }
        IpAddr::V6(ip) => {
            let mut frame = ethernet([0; 6], [0; 6], IPV6);
            frame.extend_from_slice(&[0x60, 0, 0, 0, 0, 4, NOTHING_FOLLOWS, 1]);
            frame.extend_from_slice(&Ipv6Addr::LOCALHOST.octets());
            frame.extend_from_slice(&ip.octets());
            frame
        }
    };
    frame.extend_from_slice(&number.to_ne_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_and_short_ones_are_nothing() {
        let mac = [2, 0, 0, 0, 0, 7];
        let ip: Ipv4Addr = "10.0.0.50".parse().unwrap();
        let reply = arp(ARP_REPLY, mac, ip, ip);
        assert_eq!(arp_reply(&reply), Some((ip.into(), mac)));
        assert_eq!(arp_reply(&arp(ARP_REQUEST, mac, ip, ip)), None);
        let target: Ipv6Addr = "fd00::50".parse().unwrap();
        let advert = advertisement(mac, target);
        assert_eq!(advertised(&advert), Some((target.into(), mac)));
        assert_eq!(advertised(&solicitation(mac, target)), None);
        for length in 0..42 {
            assert_eq!(arp_reply(&reply[..length]), None);
            assert_eq!(advertised(&advert[..length]), None);
        }
    }

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }
}
