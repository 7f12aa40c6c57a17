//! Every decoder on round trips, damaged and arbitrary bytes.

mod samples;

use core::time::Duration;
use hearth_types::LinkId;
use hearth_wire::*;
use proptest::prelude::*;
use samples::{heartbeat, newer_heartbeat, ring, segment};
use std::sync::Arc;

fn sealed(signing: u8, message: &Message) -> Vec<u8> {
    let mut out = vec![];
    ring("home", signing).seal(NEWEST_VERSION, LinkId(1), message, &mut out).expect("fits");
    out
}

/// The sizes that the constants promise: a heartbeat of two nodes below 250 bytes, a full fragment in one packet.
#[test]
fn sizes_keep_their_bounds() {
    let small = minicbor::to_vec(Message::Heartbeat(heartbeat().into())).expect("encodes").len();
    println!(
        "heartbeat of two nodes: {small} bytes, sealed {}",
        sealed(1, &Message::Heartbeat(heartbeat().into())).len()
    );
    assert!(small < 250, "{small}");
    assert!(sealed(1, &segment(FRAGMENT)).len() <= MAX_PACKET);
    let oversize = ring("home", 1).seal(NEWEST_VERSION, LinkId(0), &segment(MAX_PAYLOAD), &mut vec![]);
    assert!(oversize.is_err_and(|error| error.length > MAX_PAYLOAD));
}

/// A cluster of 32 nodes with names as long as a host may have: what each says of all others fits in both versions.
#[test]
fn a_heartbeat_of_thirty_two_nodes_is_sent() {
    let name = |node: u8| hearth_types::NodeName::new(&format!("{}{node:02}", "n".repeat(62)));
    let mut all = newer_heartbeat();
    let report = PeerReport { vouch: Some(hearth_types::MessageNumber(u64::MAX)), ..all.peers[0].clone() };
    all.peers = (0..31).map(|node| PeerReport { node: name(node), ..report.clone() }).collect();
    all.voters = (0..7).map(name).collect();
    all.statement = Some(Statement { unheard: (0..31).map(name).collect(), ..Statement::default() });
    let message = Message::Heartbeat(all.into());
    for version in [1, 2] {
        let (mut packet, ring) = (vec![], ring("home", 1));
        ring.seal(version, LinkId(1), &message, &mut packet).expect("fits");
        println!("a heartbeat of 32 nodes: {} bytes in version {version}", packet.len());
        assert_eq!(ring.open(&packet), Ok((LinkId(1), message.clone())));
    }
}

/// R-WIRE-6: both versions carry the same heartbeat, and the newer one is shorter by the names that are said again.
#[test]
fn both_versions_say_the_same_and_the_newer_in_less() {
    let message = Message::Heartbeat(newer_heartbeat().into());
    let ring = ring("home", 1);
    let sizes = [1, 2].map(|version| {
        let mut packet = vec![];
        ring.seal(version, LinkId(1), &message, &mut packet).expect("fits");
        assert_eq!(packet[4], version);
        assert_eq!(ring.open(&packet), Ok((LinkId(1), message.clone())));
        packet.len()
    });
    println!("a heartbeat of two nodes: {sizes:?} bytes");
    assert!(sizes[1] + 40 < sizes[0], "{sizes:?}");
}

/// R-WIRE-6: a daemon that is held at version 1 writes nothing newer, and says what it cannot read and the way out.
#[test]
fn a_ring_that_is_held_at_an_older_version_refuses_the_newer_by_name() {
    let message = Message::Heartbeat(newer_heartbeat().into());
    let (old, new) = (ring("home", 1).held_at(1), ring("home", 1));
    let mut packet = vec![];
    old.seal(2, LinkId(1), &message, &mut packet).expect("fits");
    assert_eq!(new.open(&packet), Ok((LinkId(1), message.clone())), "written in version 1");
    assert_eq!(packet[4], 1);
    new.seal(2, LinkId(1), &message, &mut packet).expect("fits");
    let refusal = old.open(&packet).expect_err("not spoken");
    assert_eq!(refusal, Refusal::Version { found: 2, newest: 1 });
    let text =
        "wire version 2 is not understood here (understood: 1 to 1); take `wire_version` out of ha.cf on this node";
    assert_eq!(refusal.to_string(), text);
    packet[4] = hearth_wire::NEWEST_VERSION + 1;
    let text = new.open(&packet).expect_err("not spoken").to_string();
    assert!(text.ends_with(&format!("(understood: 1 to {NEWEST_VERSION}); upgrade this node")), "{text}");
}

/// R-WIRE-3: the receiver checks with the key that the packet names, whatever it signs with itself.
#[test]
fn each_listed_key_is_accepted() {
    for signing in 1..=4 {
        let packet = sealed(signing, &Message::Heartbeat(heartbeat().into()));
        assert_eq!(ring("home", 1).open(&packet), Ok((LinkId(1), Message::Heartbeat(heartbeat().into()))));
    }
    let few = KeyRing::new("home", 9, [(9, Method::Sha256, vec![1])]).expect("good");
    assert_eq!(few.open(&sealed(1, &segment(1))), Err(Refusal::UnknownKey(1)));
    assert_eq!(KeyRing::new("home", 9, []).err(), Some(RingError::NoSigningKey(9)));
}

/// R-WIRE-5: a cluster that shares wire and key by mistake is told by its name. R-WIRE-2: the tag covers the name even if
/// the mark in the header is forged.
#[test]
fn the_tag_covers_the_name() {
    let mut packet = sealed(1, &segment(1));
    assert_eq!(ring("other", 1).open(&packet), Err(Refusal::OtherCluster));
    let mut theirs = vec![];
    ring("other", 1).seal(NEWEST_VERSION, LinkId(1), &segment(1), &mut theirs).expect("fits");
    packet[..HEADER_LENGTH].copy_from_slice(&theirs[..HEADER_LENGTH]);
    assert_eq!(ring("other", 1).open(&packet), Err(Refusal::BadTag(1)));
}

/// R-WIRE-1: any bit changed means refusal, under every method.
#[test]
fn any_flipped_bit_is_refused() {
    for signing in 1..=4 {
        let packet = sealed(signing, &Message::Heartbeat(heartbeat().into()));
        for bit in 0..packet.len() * 8 {
            let mut damaged = packet.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(ring("home", 1).open(&damaged).is_err(), "bit {bit} under key {signing}");
        }
        for end in 0..packet.len() {
            assert!(ring("home", 1).open(&packet[..end]).is_err());
        }
    }
}

/// R-WIRE-6: a field that we do not know is skipped, one that an older sender does not know is absent.
#[test]
fn newer_and_older_messages_are_read() {
    let Message::Segment(expected) = segment(3) else { unreachable!() };
    let mut expected = Arc::unwrap_or_clone(expected);
    let known = minicbor::to_vec(&expected).expect("encodes");
    // Arrays by field number: one of 12 elements becomes one of 14, with a nested unknown value.
    assert_eq!(known[0], 0x80 + 12);
    let mut newer = known.clone();
    newer[0] = 0x80 + 14;
    newer.extend([0xA1, 0x01, 0x82, 0x61, b'x', 0xF6, 0x05]);
    assert_eq!(minicbor::decode::<Segment>(&newer).expect("skips"), expected);
    // A sender that knows neither `to_session` (9 bytes) nor `ask` (1 byte) nor `mark` (9 bytes).
    let mut older = known[..known.len() - 19].to_vec();
    older[0] = 0x80 + 9;
    expected.to_session = None;
    expected.ask = false;
    expected.mark = None;
    assert_eq!(minicbor::decode::<Segment>(&older).expect("defaults"), expected);
}

/// Same for a heartbeat with fields that only a newer daemon knows.
#[test]
fn newer_heartbeats_are_read() {
    // Every field is there, also the last one, which a pair leaves out.
    let driver = "x".repeat(hearth_wire::DRIVER_LETTERS);
    let watchdog = Some(hearth_wire::Watchdog { driver, timeout_ms: 10_000, nowayout: false });
    let strangers = Some(vec!["node-gamma".into()]);
    let tiebreaker = Some(hearth_wire::Tiebreaker::Disk);
    let full =
        Heartbeat { statement: Some(Statement::default()), watchdog, strangers, tiebreaker, ..newer_heartbeat() };
    let bytes = minicbor::to_vec(&full).expect("encodes");
    let mut decoder = minicbor::Decoder::new(&bytes);
    let fields = decoder.array().expect("an array").expect("of known length");
    let mut newer = vec![];
    minicbor::Encoder::new(&mut newer).array(fields + 2).expect("writes to memory");
    newer.extend_from_slice(&bytes[decoder.position()..]);
    newer.extend([0x80, 0x18, 0xFF]);
    assert_eq!(minicbor::decode::<Heartbeat>(&newer).expect("skips"), full);
}

/// R-WIRE-8: a heartbeat waits for one frame of a large packet, not for the packet.
#[test]
fn heartbeats_overtake_on_serial() {
    let mut sender = SerialSender::new();
    let mut receiver = SerialReceiver::new();
    let (large, small) = (vec![7; MAX_PACKET], vec![0; 250]);
    assert!(sender.push_bulk(1, large.clone()));
    let mut got = receiver.push(&sender.next_frame().expect("a frame"));
    assert!(sender.push_urgent(small.clone()));
    let mut frames = 0;
    while got.is_empty() {
        got = receiver.push(&sender.next_frame().expect("a frame"));
        frames += 1;
    }
    assert_eq!((got, frames), (vec![small], 5));
    let rest: Vec<_> = std::iter::from_fn(|| sender.next_frame()).flat_map(|frame| receiver.push(&frame)).collect();
    assert_eq!(rest, [large]);
    assert!(sender.is_empty());
    assert_eq!(line_time(960, 9600), Duration::from_secs(1));
}

/// Both queues are bounded: old heartbeats and new bulk give way.
#[test]
fn serial_queues_are_bounded() {
    let mut sender = SerialSender::new();
    let fits = (0u8..100).take_while(|number| sender.push_bulk(u64::from(*number), vec![1; 1000])).count();
    assert_eq!(fits, 16);
    for number in 0..10u8 {
        sender.push_urgent(vec![number; 4]);
    }
    let mut receiver = SerialReceiver::new();
    let got = receiver.push(&sender.next_frame().expect("waits"));
    assert_eq!(got, [vec![9; 4]]);
}

/// R-WIRE-8: two nodes that find each other over a line alone answer each heartbeat with one at once.
#[test]
fn heartbeats_without_end_do_not_keep_a_cluster_from_being_founded() {
    let (mut sender, mut receiver) = (SerialSender::new(), SerialReceiver::new());
    let large = vec![7; MAX_PACKET];
    assert!(sender.push_bulk(1, large.clone()));
    let mut got = Vec::new();
    let mut given = 0;
    while !got.contains(&large) {
        sender.push_urgent(vec![0; 250]);
        got.extend(receiver.push(&sender.next_frame().expect("a frame")));
        given += 1;
        assert!(given < 100, "the packet does not get through");
    }
    // One of two frames is its own, and the heartbeats are whole.
    let own = MAX_PACKET.div_ceil(FRAME_DATA);
    assert!((2 * own..=2 * own + 5).contains(&given), "{given} frames");
    assert_eq!(got.len() - 1, (given - own) / 5);
}

/// R-WIRE-8: the line would carry copies only. What is on it already is finished.
#[test]
fn a_repetition_does_not_wait_behind_what_it_repeats() {
    let (mut sender, mut receiver) = (SerialSender::new(), SerialReceiver::new());
    assert!(sender.push_bulk(1, vec![1; 100]));
    let begun = sender.next_frame().expect("a frame");
    for copy in 0..100 {
        assert!(sender.push_bulk(1, vec![2; 100]) && sender.push_bulk(2, vec![copy; 1000]));
    }
    let mut got = receiver.push(&begun);
    got.extend(std::iter::from_fn(|| sender.next_frame()).flat_map(|frame| receiver.push(&frame)));
    assert_eq!(got, [vec![1; 100], vec![2; 100], vec![99; 1000]]);
    let fits = (0u8..100).take_while(|number| sender.push_bulk(u64::from(*number), vec![1; 1000])).count();
    assert_eq!(fits, 16);
}

/// What a segment replaces is an earlier copy of itself, never another one.
#[test]
fn only_copies_of_a_segment_share_its_topic() {
    let Message::Segment(one) = segment(1) else { panic!("a sample of another kind") };
    let one = Arc::unwrap_or_clone(one);
    let again = Segment { acknowledged: one.acknowledged - 1, ..one.clone() };
    assert_eq!(one.topic(), again.topic());
    let others = [
        Segment { number: one.number - 1, ..one.clone() },
        Segment { session: one.session - 1, ..one.clone() },
        Segment { ask: !one.ask, ..one.clone() },
        Segment { to: "elsewhere".into(), ..one.clone() },
    ];
    assert!(others.iter().all(|other| other.topic() != one.topic()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..1500), ours in any::<bool>()) {
        if ours && bytes.len() > 4 {
            bytes[..4].copy_from_slice(&MAGIC);
        }
        prop_assert!(ring("home", 1).open(&bytes).is_err());
        let _ = minicbor::decode::<Message>(&bytes);
    }

    /// The decoder behind the tag sees what only a holder of the key could send; it must not fall over it either.
    #[test]
    fn a_damaged_message_is_survived(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        for message in [Message::Heartbeat(heartbeat().into()), segment(20)] {
            let mut bytes = minicbor::to_vec(&message).expect("encodes");
            let place = at.index(bytes.len());
            bytes[place] = byte;
            let _ = minicbor::decode::<Message>(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            let _ = minicbor::decode::<Message>(&bytes);
        }
    }

    #[test]
    fn a_window_accepts_each_number_once(numbers in prop::collection::vec(0..600u64, 1..900)) {
        let mut window = SequenceWindow::new();
        let mut seen = std::collections::BTreeSet::new();
        for number in numbers {
            let newest = seen.last().copied().unwrap_or(0);
            let expected = number + WINDOW_BITS > newest && !seen.contains(&number);
            prop_assert_eq!(window.accept(number), expected);
            if expected {
                seen.insert(number);
            }
        }
    }

    #[test]
    fn a_window_survives_leaps(numbers in prop::collection::vec(any::<u64>(), 1..50)) {
        let mut window = SequenceWindow::new();
        for number in numbers {
            window.accept(number);
            prop_assert!(!window.accept(number));
        }
    }

    /// R-WIRE-8: after any garbage the next packets arrive whole, in whatever pieces the line hands them over.
    #[test]
    fn serial_resynchronises(
        garbage in prop::collection::vec(any::<u8>(), 0..300),
        packet in prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..=MAX_PACKET),
        chunk in 1..90usize,
    ) {
        let mut sender = SerialSender::new();
        let mut receiver = SerialReceiver::new();
        receiver.push(&garbage);
        sender.push_bulk(1, packet.clone());
        let line: Vec<u8> = std::iter::from_fn(|| sender.next_frame()).flatten().collect();
        prop_assert_eq!(line.len(), line_bytes(packet.len()));
        let got: Vec<_> = line.chunks(chunk).flat_map(|piece| receiver.push(piece)).collect();
        prop_assert_eq!(got.last(), Some(&packet));
    }
}

/// An item inside of so many levels that each begin with `opening`.
fn nested(opening: &[u8], levels: usize, closing: &[u8]) -> Vec<u8> {
    [opening.repeat(levels), vec![0], closing.repeat(levels)].concat()
}

#[test]
fn every_kind_of_level_counts_and_what_stands_beside_does_not() {
    let kinds: [(&[u8], &[u8]); 6] = [
        (&[0x81], &[]),
        (&[0x82, 0x00], &[]),
        (&[0xa1, 0x61, 0x61], &[]),
        (&[0x9f], &[0xff]),
        (&[0xbf, 0x61, 0x61], &[0xff]),
        (&[0xd8, 0x2a], &[]),
    ];
    for (opening, closing) in kinds {
        assert!(is_shallow(&nested(opening, DEEPEST, closing)), "{opening:?}");
        assert!(!is_shallow(&nested(opening, DEEPEST + 1, closing)), "{opening:?}");
    }
    let wide = [vec![0x98, 200], [0x81, 0x80].repeat(200)].concat();
    assert!(is_shallow(&wide));
    let long = [vec![0x59, 0x03, 0xe8], vec![0x81; 1000]].concat();
    assert!(is_shallow(&long), "what stands in a string is no level");
    for cut in 0..wide.len() {
        assert!(is_shallow(&wide[..cut]));
    }
}
