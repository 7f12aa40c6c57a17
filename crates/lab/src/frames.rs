//! The few frames that the observer and the flood send and know.

use crate::frames6;
use std::net::{IpAddr, Ipv4Addr};

const ARP: u16 = 0x0806;
const IP: u16 = 0x0800;
const UDP: u8 = 17;
/// Ethernet and IP header without options.
const IP_AT: usize = 14;
const UDP_AT: usize = 34;
/// Where the payload of a UDP packet begins.
pub(crate) const PAYLOAD_AT: usize = 42;

/// Who sends and who is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) from_card: [u8; 6],
    pub(crate) from: Ipv4Addr,
    pub(crate) to_card: [u8; 6],
    pub(crate) to: Ipv4Addr,
}

/// "Who has `to`?", to one card only.
pub(crate) fn who_has(ends: &Ends) -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend(ends.to_card);
    frame.extend(ends.from_card);
    frame.extend(ARP.to_be_bytes());
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(ends.from_card);
    frame.extend(ends.from.octets());
    frame.extend([0; 6]);
    frame.extend(ends.to.octets());
    frame
}

/// A UDP packet without checksum.
pub(crate) fn udp(ends: &Ends, from_port: u16, to_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(PAYLOAD_AT + payload.len());
    frame.extend(ends.to_card);
    frame.extend(ends.from_card);
    frame.extend(IP.to_be_bytes());
    frame.extend([0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, UDP, 0, 0]);
    frame.extend(ends.from.octets());
    frame.extend(ends.to.octets());
    frame.extend(from_port.to_be_bytes());
    frame.extend(to_port.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(payload);
    settle_lengths(&mut frame);
    frame
}

/// Writes lengths and header checksum after the payload of a UDP frame was changed; takes the UDP checksum out.
pub(crate) fn settle_lengths(frame: &mut [u8]) {
    let length = (frame.len() - IP_AT) as u16;
    frame[16..18].copy_from_slice(&length.to_be_bytes());
    frame[38..40].copy_from_slice(&(length - 20).to_be_bytes());
    frame[40..42].copy_from_slice(&[0, 0]);
    frame[24..26].copy_from_slice(&[0, 0]);
    let mut sum: u32 =
        frame[IP_AT..UDP_AT].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    frame[24..26].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

/// What a frame says to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Somebody says that he has this address.
    Has(IpAddr),
    /// A UDP packet from this address.
    Udp(IpAddr),
}

/// Reads a frame; none where it is neither.
pub(crate) fn heard(frame: &[u8]) -> Option<Heard> {
    let kind = u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]);
    match kind {
        ARP if frame.len() >= 42 && frame[20..22] == [0, 2] => Some(Heard::Has(address(frame, 28).into())),
        IP if is_udp(frame) => Some(Heard::Udp(address(frame, 26).into())),
        frames6::IPV6 => frames6::heard(frame),
        _ => None,
    }
}

/// Whether it is a UDP packet over IPv4 without options and with a payload.
pub(crate) fn is_udp(frame: &[u8]) -> bool {
    frame.len() > PAYLOAD_AT && frame[12..14] == IP.to_be_bytes() && frame[IP_AT] == 0x45 && frame[23] == UDP
}

fn address(frame: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3])
}
