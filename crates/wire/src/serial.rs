//! Packets on a byte stream (R-WIRE-8).
//!
//! A frame is: zero, COBS of (head, index, up to [`FRAME_DATA`] bytes), zero. COBS leaves no zero inside, so a
//! receiver is in step again at the next zero after any garbage. Frames carry no checksum: a packet put together from
//! damaged ones fails its tag.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::frame::MAX_PACKET;

/// Bytes of a packet in one frame: what a heartbeat waits for at most before it overtakes (66 ms at 9600 baud).
pub const FRAME_DATA: usize = 58;
/// Two zeros, one byte of COBS (a body has fewer than 254 bytes), head, index.
const FRAME_OVERHEAD: usize = 5;
const FRAME_BODY: usize = FRAME_DATA + 2;
/// Bytes of other packets that wait at most; the channel repeats what does not fit.
const BULK_BYTES: usize = 16 * 1024;
/// Start bit, eight bits, stop bit.
const BITS_PER_BYTE: u64 = 10;

const BULK: u8 = 0x80;
const LAST: u8 = 0x40;
const NUMBER: u8 = 0x3F;

/// Bytes on the line for a packet of `length` bytes.
pub const fn line_bytes(length: usize) -> usize {
    length + frames(length) * FRAME_OVERHEAD
}

/// How long `bytes` take on a line of `baud` bits per second (8N1); the longest span there is for zero baud.
pub const fn line_time(bytes: usize, baud: u32) -> Duration {
    if baud == 0 {
        return Duration::MAX;
    }
    Duration::from_micros((bytes as u64).saturating_mul(BITS_PER_BYTE * 1_000_000) / baud as u64)
}

const fn frames(length: usize) -> usize {
    if length == 0 { 1 } else { length.div_ceil(FRAME_DATA) }
}

/// Packets that wait for the line, in two queues.
///
/// A heartbeat goes first, but the next one only after as many frames of other packets, if so many wait. [Two nodes that
/// are about to find each other answer each heartbeat with one: they would fill the line, and what they must tell each
/// other to found a cluster would never get through.] Where heartbeats take less than half of the line none waits for that.
#[derive(Clone, Debug, Default)]
pub struct SerialSender {
    urgent: Queue,
    bulk: Queue,
    /// Of the packets in `bulk`, in their order.
    topics: VecDeque<u64>,
    bulk_bytes: usize,
    /// Frames of other packets that go before the next heartbeat begins.
    owed: usize,
}

#[derive(Clone, Debug, Default)]
struct Queue {
    packets: VecDeque<Vec<u8>>,
    /// Frames of the first packet already given out.
    given: usize,
    number: u8,
}

impl SerialSender {
    /// Nothing waits.
    pub fn new() -> SerialSender {
        SerialSender::default()
    }

    /// Queues a heartbeat in place of one that still waits, since a newer one says more. False if one was dropped for
    /// it, or if it is longer than [`MAX_PACKET`] and was dropped itself.
    pub fn push_urgent(&mut self, packet: Vec<u8>) -> bool {
        if packet.len() > MAX_PACKET {
            return false;
        }
        // The one that is on the line already is finished: half a packet helps nobody.
        let begun = usize::from(self.urgent.given > 0);
        let waited = self.urgent.packets.len() > begun;
        self.urgent.packets.truncate(begun);
        self.urgent.packets.push_back(packet);
        !waited
    }

    /// Queues another packet; false if there was no room and it was dropped. One of the same `topic` that still waits
    /// gives its place to it. [A channel repeats what is not acknowledged in time: a line that is slower than it thinks
    /// would carry copies only, and be slower still.]
    pub fn push_bulk(&mut self, topic: u64, packet: Vec<u8>) -> bool {
        if packet.len() > MAX_PACKET {
            return false;
        }
        let begun = usize::from(self.bulk.given > 0);
        let waits = self.topics.iter().skip(begun).position(|waiting| *waiting == topic).map(|at| at + begun);
        let replaced = waits.and_then(|at| self.bulk.packets.get(at)).map_or(0, Vec::len);
        if self.bulk_bytes - replaced + packet.len() > BULK_BYTES {
            return false;
        }
        self.bulk_bytes = self.bulk_bytes - replaced + packet.len();
        match waits.and_then(|at| self.bulk.packets.get_mut(at)) {
            Some(waiting) => *waiting = packet,
            None => {
                self.bulk.packets.push_back(packet);
                self.topics.push_back(topic);
            }
        }
        true
    }

    /// Bytes for the line, to be written whole before the next frame is asked for; none if nothing waits.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        let turn = self.urgent.given > 0 || self.owed == 0 || self.bulk.packets.is_empty();
        if turn && let Some(packet) = self.urgent.packets.front() {
            self.owed = if self.bulk.packets.is_empty() { 0 } else { frames(packet.len()) };
            return self.urgent.next(0).map(|(frame, _)| frame);
        }
        let (frame, finished) = self.bulk.next(BULK)?;
        if finished > 0 {
            self.topics.pop_front();
        }
        self.bulk_bytes -= finished;
        self.owed = if self.bulk.packets.is_empty() { 0 } else { self.owed.saturating_sub(1) };
        Some(frame)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.urgent.packets.is_empty() && self.bulk.packets.is_empty()
    }
}

impl Queue {
    /// The next frame, and the length of the packet that it ends, or zero.
    fn next(&mut self, stream: u8) -> Option<(Vec<u8>, usize)> {
        let packet = self.packets.front()?;
        let from = self.given * FRAME_DATA;
        let to = packet.len().min(from + FRAME_DATA);
        let last = to == packet.len();
        let head = stream | if last { LAST } else { 0 } | self.number;
        let mut body = Vec::with_capacity(FRAME_BODY);
        body.push(head);
        // MAX_PACKET / FRAME_DATA is below 256.
        body.push(self.given as u8);
        body.extend_from_slice(&packet[from..to]);
        let frame = stuffed(&body);
        self.given += 1;
        if !last {
            return Some((frame, 0));
        }
        let length = packet.len();
        self.packets.pop_front();
        self.given = 0;
        self.number = (self.number + 1) & NUMBER;
        Some((frame, length))
    }
}

/// Puts packets together from the bytes of a line. What it gives out is not authenticated.
#[derive(Clone, Debug, Default)]
pub struct SerialReceiver {
    frame: Vec<u8>,
    /// The frame grew beyond what a frame can have: drop all up to the next zero.
    overlong: bool,
    urgent: Assembly,
    bulk: Assembly,
}

#[derive(Clone, Debug, Default)]
struct Assembly {
    bytes: Vec<u8>,
    /// Number of the packet and index of the frame that must come next.
    expected: Option<(u8, u8)>,
}

impl SerialReceiver {
    /// Nothing was received.
    pub fn new() -> SerialReceiver {
        SerialReceiver::default()
    }

    /// Takes bytes as they come and returns the packets that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for byte in bytes {
            if *byte != 0 {
                if self.frame.len() > FRAME_BODY {
                    self.overlong = true;
                } else {
                    self.frame.push(*byte);
                }
                continue;
            }
            if !self.overlong
                && let Some(body) = unstuffed(&self.frame)
            {
                packets.extend(self.take(&body));
            }
            self.overlong = false;
            self.frame.clear();
        }
        packets
    }

    fn take(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        let [head, index, data @ ..] = body else { return None };
        let assembly = if head & BULK == 0 { &mut self.urgent } else { &mut self.bulk };
        assembly.take(head & NUMBER, *index, head & LAST != 0, data)
    }
}

impl Assembly {
    fn take(&mut self, number: u8, index: u8, last: bool, data: &[u8]) -> Option<Vec<u8>> {
        if index == 0 {
            self.bytes.clear();
        } else if self.expected != Some((number, index)) {
            self.expected = None;
            return None;
        }
        if self.bytes.len() + data.len() > MAX_PACKET {
            self.expected = None;
            return None;
        }
        self.bytes.extend_from_slice(data);
        if last {
            self.expected = None;
            return Some(core::mem::take(&mut self.bytes));
        }
        self.expected = index.checked_add(1).map(|next| (number, next));
        None
    }
}

/// COBS of a body shorter than 254 bytes, between zeros.
fn stuffed(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 3);
    out.push(0);
    for run in body.split(|byte| *byte == 0) {
        out.push(run.len() as u8 + 1);
        out.extend_from_slice(run);
    }
    out.push(0);
    out
}

/// The body of COBS without its zeros; none if the lengths in it do not fit.
fn unstuffed(frame: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(frame.len());
    let mut rest = frame;
    while let Some((length, after)) = rest.split_first() {
        let run = usize::from(*length).checked_sub(1)?;
        if !out.is_empty() || rest.len() != frame.len() {
            out.push(0);
        }
        out.extend_from_slice(after.get(..run)?);
        rest = &after[run..];
    }
    (!out.is_empty()).then_some(out)
}
