//! Packets and lines as bytes, with the verdict expected of them: `tests/wire/*.txt`.
//!
//! A line of `packets.txt` is `name: verdict: hex`, one of `serial.txt` is `name: lengths of the packets: hex`.
//! `UPDATE_GOLDEN=1` writes the files anew from what is made below; a change in them is a change of the wire.

mod samples;

use hearth_types::LinkId;
use hearth_wire::{
    HEADER_LENGTH, KeyRing, LONGEST_PACKET, Message, Method, SequenceWindow, SerialReceiver, SerialSender,
};
use samples::{heartbeat, newer_heartbeat, ring, segment};
use std::fmt::Write;
use std::path::PathBuf;

const SIGNATURES: [(u8, &str); 4] = [(1, "sha256"), (2, "sha1"), (3, "md5"), (4, "crc")];

fn sealed(ring: &KeyRing, message: &Message) -> Vec<u8> {
    sealed_in(1, ring, message)
}

fn sealed_in(version: u8, ring: &KeyRing, message: &Message) -> Vec<u8> {
    let mut out = vec![];
    ring.seal(version, LinkId(1), message, &mut out).expect("fits");
    out
}

/// A packet with any content, under the key that authenticates nothing.
fn with_content(content: &[u8]) -> Vec<u8> {
    with_content_in(1, content)
}

fn with_content_in(version: u8, content: &[u8]) -> Vec<u8> {
    let ring = ring("home", 4);
    let mut packet = sealed_in(version, &ring, &segment(0))[..HEADER_LENGTH].to_vec();
    packet.extend_from_slice(content);
    let mut signed = (4u64).to_be_bytes().to_vec();
    signed.extend_from_slice(b"home");
    signed.extend_from_slice(&packet);
    packet.extend_from_slice(&crc32(&signed).to_be_bytes());
    packet
}

/// Second, independent form of the CRC: by long division over bits.
fn crc32(bytes: &[u8]) -> u32 {
    let mut rest = u32::MAX;
    for bit in bytes.iter().flat_map(|byte| (0..8).map(move |place| u32::from(byte >> place & 1))) {
        let carry = (rest & 1) ^ bit;
        rest = (rest >> 1) ^ (carry * 0xEDB8_8320);
    }
    !rest
}

fn changed(mut packet: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    packet[at] = byte;
    packet
}

/// The heartbeat of version 2 without the tag, and where its table of names begins and ends.
fn content_in_2() -> (Vec<u8>, usize, usize) {
    let packet = sealed_in(2, &ring("home", 4), &Message::Heartbeat(newer_heartbeat().into()));
    let content = packet[HEADER_LENGTH..packet.len() - 4].to_vec();
    let last = content.windows(9).position(|text| text == b"node-beta").expect("in the table");
    // [0, [[names], ...]]: behind five bytes of heads begins the table.
    (content, 5, last + 9)
}

/// The table lost its second name, the peer's.
fn beyond_the_table() -> Vec<u8> {
    let (content, at, end) = content_in_2();
    [&content[..at], &[0x81, 0x6A], b"node-alpha", &content[end..]].concat()
}

fn no_names() -> Vec<u8> {
    let (content, at, end) = content_in_2();
    [&content[..at], &[0x80], &content[end..]].concat()
}

fn packets() -> Vec<(String, Vec<u8>)> {
    let home = ring("home", 1);
    let beat = Message::Heartbeat(heartbeat().into());
    let newer = Message::Heartbeat(newer_heartbeat().into());
    let good = sealed(&home, &beat);
    let wrong = KeyRing::new("home", 1, [(1, Method::Sha256, b"another text".to_vec())]).expect("good");
    let unlisted = KeyRing::new("home", 77, [(77, Method::Sha256, b"x".to_vec())]).expect("good");
    let mut list: Vec<(String, Vec<u8>)> = SIGNATURES
        .iter()
        .map(|(key, method)| (format!("heartbeat signed with {method}"), sealed(&ring("home", *key), &beat)))
        .collect();
    let mut trailing = minicbor::to_vec(&beat).expect("encodes");
    trailing.push(0);
    let hostile = [
        ("segment", sealed(&home, &segment(20))),
        ("empty", vec![]),
        // What killed the master process of Heartbeat: a netstring whose payload does not begin with "(".
        ("netstring of 16 bytes", b"###\n1:xx,\n%%%\n1:".to_vec()),
        ("netstring of a huge length", b"###\n4294967295:(0)t=status,\n%%%\n".to_vec()),
        ("classic message of Heartbeat", b">>>\nt=status\nst=active\nauth=1 00\n<<<\n".to_vec()),
        ("magic alone", good[..4].to_vec()),
        ("header alone", good[..HEADER_LENGTH].to_vec()),
        ("tag alone", [&good[..HEADER_LENGTH], &good[good.len() - 31..]].concat()),
        ("cut by one byte", good[..good.len() - 1].to_vec()),
        ("longer by one byte", [&good[..], &[0]].concat()),
        ("too long", [&good[..], &vec![0; LONGEST_PACKET]].concat()),
        ("wire version 0", changed(good.clone(), 4, 0)),
        ("wire version 5", changed(good.clone(), 4, 5)),
        ("wire version changed", changed(good.clone(), 4, 2)),
        ("link changed", changed(good.clone(), 6, 0)),
        ("key index changed", changed(good.clone(), 5, 2)),
        ("wrong key text", sealed(&wrong, &beat)),
        ("unlisted key", sealed(&unlisted, &beat)),
        ("another cluster", sealed(&ring("away", 1), &beat)),
        ("no content", with_content(&[])),
        ("unknown message", with_content(&[0x82, 0x18, 0x63, 0x80])),
        ("array of 2^64-1 elements", with_content(&[&[0x9B][..], &[0xFF; 8]].concat())),
        ("segment of 2^63 bytes", with_content(&[0x82, 1, 0x81, 0x8B, 0x7B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])),
        ("nested 1000 deep", with_content(&[0x81; 1000])),
        ("content behind the message", with_content(&trailing)),
        ("heartbeat that says the version in use, in version 1", sealed(&home, &newer)),
        ("heartbeat in version 2", sealed_in(2, &home, &newer)),
        ("segment in version 2", sealed_in(2, &home, &segment(20))),
        ("heartbeat of version 1 in version 2", with_content_in(2, &minicbor::to_vec(&beat).expect("encodes"))),
        ("name beyond the table in version 2", with_content_in(2, &beyond_the_table())),
        ("no names in version 2", with_content_in(2, &no_names())),
    ];
    list.extend(hostile.into_iter().map(|(name, bytes)| (name.to_string(), bytes)));
    list
}

fn serial_lines() -> Vec<(String, Vec<u8>)> {
    let packet = sealed(&ring("home", 1), &Message::Heartbeat(heartbeat().into()));
    let frames = |packet: &[u8]| {
        let mut sender = SerialSender::new();
        sender.push_urgent(packet.to_vec());
        std::iter::from_fn(|| sender.next_frame()).collect::<Vec<_>>()
    };
    let whole = frames(&packet);
    let list = [
        ("heartbeat", whole.concat()),
        ("garbage before it", [&b"login: \xFF\x01\x02"[..], &whole.concat()].concat()),
        ("first frame lost", whole[1..].concat()),
        ("middle frame lost, then whole", [whole[..1].concat(), whole[2..].concat(), whole.concat()].concat()),
        ("a kilobyte without zero", vec![0x41; 1024]),
        ("zeros", vec![0; 64]),
        ("length beyond the frame", vec![0, 0xFE, 1, 2, 3, 0]),
        ("head alone", vec![0, 2, 0x40, 0]),
        ("empty packet", frames(&[]).concat()),
    ];
    list.into_iter().map(|(name, bytes)| (name.to_string(), bytes)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn compare(file: &str, made: &[(String, Vec<u8>)], verdict: impl Fn(&[u8]) -> String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/wire").join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text: String =
            made.iter().map(|(name, bytes)| format!("{name}: {}: {}\n", verdict(bytes), hex(bytes))).collect();
        std::fs::write(&path, text).expect("the folder exists");
    }
    let stored = std::fs::read_to_string(&path).expect("made by UPDATE_GOLDEN=1");
    let mut names = vec![];
    for line in stored.lines() {
        let [name, expected, bytes] = line.split(": ").collect::<Vec<_>>()[..] else {
            let name = line.trim_end_matches(": ").split(": ").next().unwrap_or(line);
            panic!("{file}: `{name}` is not `name: verdict: hex`");
        };
        assert_eq!(verdict(&unhex(bytes)), expected, "{file}: {name}");
        names.push((name.to_string(), unhex(bytes)));
    }
    assert!(names == made, "{file} is not what this code writes; if that is meant, run with UPDATE_GOLDEN=1");
}

/// R-WIRE-1, 2, 3, 5, 6.
#[test]
fn packets_get_their_verdict() {
    let home = ring("home", 1);
    compare("packets.txt", &packets(), |bytes| match home.open(bytes) {
        Ok((_, Message::Heartbeat(_))) => "heartbeat".into(),
        Ok((_, Message::Segment(_))) => "segment".into(),
        Err(refusal) => refusal.name().into(),
    });
}

/// R-WIRE-8.
#[test]
fn lines_give_their_packets() {
    compare("serial.txt", &serial_lines(), |bytes| {
        let lengths =
            SerialReceiver::new().push(bytes).iter().map(|packet| packet.len().to_string()).collect::<Vec<_>>();
        format!("[{}]", lengths.join(" "))
    });
}

/// R-WIRE-4: the same packet twice is authentic twice, and fresh once.
#[test]
fn a_replay_is_authentic_but_not_fresh() {
    let home = ring("home", 1);
    let packet = sealed(&home, &Message::Heartbeat(heartbeat().into()));
    let mut window = SequenceWindow::new();
    let fresh: Vec<bool> = (0..2)
        .map(|_| match home.open(&packet) {
            Ok((_, Message::Heartbeat(beat))) => window.accept(beat.sequence),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(fresh, [true, false]);
}
