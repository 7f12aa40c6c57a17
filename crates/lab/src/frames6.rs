//! The observer's questions over IPv6: a neighbour solicitation and a UDP packet.

use crate::frames::Heard;
use std::net::{IpAddr, Ipv6Addr};

/// Ethernet type of IPv6.
pub(crate) const IPV6: u16 = 0x86dd;
const UDP: u8 = 17;
const ICMP: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const IP_AT: usize = 14;
/// Where what IPv6 carries begins, without extension headers.
const CARRIED_AT: usize = 54;

/// Who sends and who is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends6 {
    pub(crate) from_card: [u8; 6],
    pub(crate) from: Ipv6Addr,
    pub(crate) to_card: [u8; 6],
    pub(crate) to: Ipv6Addr,
}

/// "Who has `to`?", to one card only.
pub(crate) fn solicitation(ends: &Ends6) -> Vec<u8> {
    let mut carried = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    carried.extend(ends.to.octets());
    carried.extend([1, 1]);
    carried.extend(ends.from_card);
    packet(ends, ICMP, 2, carried)
}

/// A UDP packet.
pub(crate) fn udp(ends: &Ends6, from_port: u16, to_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut carried = Vec::with_capacity(8 + payload.len());
    carried.extend(from_port.to_be_bytes());
    carried.extend(to_port.to_be_bytes());
    carried.extend((8 + payload.len() as u16).to_be_bytes());
    carried.extend([0, 0]);
    carried.extend(payload);
    packet(ends, UDP, 6, carried)
}

/// Reads a frame of IPv6; none where it is neither.
pub(crate) fn heard(frame: &[u8]) -> Option<Heard> {
    let carried = frame.get(CARRIED_AT..)?;
    match frame[IP_AT + 6] {
        ICMP if *carried.first()? == ADVERTISEMENT => Some(Heard::Has(address(carried.get(8..24)?)?)),
        UDP if carried.len() > 8 => Some(Heard::Udp(address(frame.get(IP_AT + 8..IP_AT + 24)?)?)),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?))
}

/// Puts `carried` behind the headers; its checksum stands at `sum_at` and is still zero.
fn packet(ends: &Ends6, protocol: u8, sum_at: usize, mut carried: Vec<u8>) -> Vec<u8> {
    let length = carried.len() as u16;
    let mut summed = Vec::with_capacity(40 + carried.len());
    summed.extend(ends.from.octets());
    summed.extend(ends.to.octets());
    summed.extend([0, 0]);
    summed.extend(length.to_be_bytes());
    summed.extend([0, 0, 0, protocol]);
    summed.extend(&carried);
    let mut sum: u32 =
        summed.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // For UDP zero would mean that there is none.
    let sum = if sum == 0xffff { 0xffff } else { !(sum as u16) };
    carried[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
    let mut frame = Vec::with_capacity(CARRIED_AT + carried.len());
    frame.extend(ends.to_card);
    frame.extend(ends.from_card);
    frame.extend(IPV6.to_be_bytes());
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(length.to_be_bytes());
    // A neighbour's question has come through no router, or nobody answers it.
    frame.extend([protocol, 255]);
    frame.extend(ends.from.octets());
    frame.extend(ends.to.octets());
    frame.extend(carried);
    frame
}
