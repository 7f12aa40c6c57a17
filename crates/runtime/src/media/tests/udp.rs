//! UDP media between two namespaces.

use super::space::{pair, run};
use super::*;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;

const PORT: u16 = 694;

pub fn eth(number: u8) -> String {
    format!("eth{number}")
}

pub fn ucast(number: u8, peer: &str) -> Medium {
    Medium::Ucast { interface: eth(number), peer: peer.parse().unwrap(), port: PORT }
}

pub fn bcast(number: u8) -> Medium {
    Medium::Bcast { interface: eth(number), port: PORT }
}

pub fn mcast() -> Medium {
    Medium::Mcast { interface: eth(0), group: [239, 7, 7, 7].into(), port: PORT, ttl: 1, loopback: false }
}

fn mcast6() -> Medium {
    Medium::Mcast6 { interface: eth(0), group: "ff02::77".parse().unwrap(), port: PORT, hops: 1, loopback: false }
}

fn source(heard: &Heard) -> IpAddr {
    match &heard.source {
        Source::Address(address) => address.ip(),
        other => panic!("no address: {other:?}"),
    }
}

/// What the peer of wire 0 sent. The kernel hands a broadcast to its sender too; all but the last is for the core to see.
fn texts(heard: &[Heard], from: &str) -> Vec<String> {
    let from: Vec<IpAddr> =
        ["10.77.0.", "fd77:0::", "fe80::"].map(|net| format!("{net}{from}").parse().unwrap()).into();
    let theirs = heard.iter().filter(|heard| from.contains(&source(heard)));
    theirs.map(|heard| String::from_utf8_lossy(&heard.bytes).into_owned()).collect()
}

/// All up to the packet `end`.
pub fn until_end(media: &mut Media, from: &str) -> Vec<String> {
    let start = Instant::now();
    let mut all = Vec::new();
    while all.last().is_none_or(|last| last != "end") {
        assert!(start.elapsed() < DEADLINE, "only {all:?} came");
        all.extend(texts(&heard(media, DEADLINE), from));
    }
    all
}

/// Both directions, and nothing comes twice.
fn goes_both_ways(here: Medium, there: Medium) {
    let peer = pair();
    let mut near = opened(&[here]);
    let mut far = peer.there(move || opened(&[there]));
    carries(&mut near, 0, &mut far, b"from here");
    carries(&mut far, 0, &mut near, b"from there");
    while !heard(&mut far, Duration::from_millis(1)).is_empty() {}
    send(&mut near, 0, b"once");
    send(&mut near, 0, b"end");
    assert_eq!(until_end(&mut far, "1"), ["once", "end"]);
}

#[test]
fn r_wire_7_ucast_carries_packets() {
    goes_both_ways(ucast(0, "10.77.0.2"), ucast(0, "10.77.0.1"));
}

#[test]
fn r_wire_7_ucast6_carries_packets() {
    goes_both_ways(ucast(0, "fd77:0::2"), ucast(0, "fd77:0::1"));
}

#[test]
fn r_wire_7_ucast6_carries_packets_between_link_local_addresses() {
    goes_both_ways(ucast(0, "fe80::2"), ucast(0, "fe80::1"));
}

#[test]
fn r_wire_7_bcast_carries_packets() {
    goes_both_ways(bcast(0), bcast(0));
}

#[test]
fn r_wire_7_mcast_carries_packets() {
    goes_both_ways(mcast(), mcast());
}

#[test]
fn r_wire_7_mcast6_carries_packets() {
    goes_both_ways(mcast6(), mcast6());
}

#[test]
fn a_broadcast_that_the_kernel_hands_back_to_its_sender_is_not_looked_into() {
    let peer = pair();
    let mut near = opened(&[bcast(0)]);
    let mut far = peer.there(|| opened(&[bcast(0)]));
    carries(&mut near, 0, &mut far, b"to there");
    heard_now(&mut near);
    let mut late: Vec<Heard> = Vec::new();
    for number in 0..20_u8 {
        send(&mut near, 0, &[number]);
        late.extend(heard_now(&mut near));
    }
    assert!(late.is_empty(), "{} of 20 came back", late.len());
    carries(&mut far, 0, &mut near, b"from there");
}

#[test]
fn r_wire_7_all_kinds_on_one_interface_share_two_sockets_and_each_packet_comes_once() {
    let peer = pair();
    let lines = |host: u8| {
        let v6 = format!("fd77:0::{host}");
        vec![ucast(0, &format!("10.77.0.{host}")), bcast(0), mcast(), ucast(0, &v6), mcast6()]
    };
    let (here, there) = (lines(2), lines(1));
    let mut near = opened(&here);
    let mut far = peer.there(move || opened(&there));
    assert_eq!((near.sockets().count(), far.sockets().count()), (2, 2));
    carries(&mut near, 0, &mut far, b"v4 is there");
    carries(&mut near, 3, &mut far, b"v6 is there");
    for link in 0..5 {
        while !heard(&mut far, Duration::from_millis(1)).is_empty() {}
        send(&mut near, link, link.to_string().as_bytes());
        send(&mut near, link, b"end");
        assert_eq!(until_end(&mut far, "1"), [link.to_string(), "end".to_owned()]);
    }
}

#[test]
fn r_wire_7_a_socket_on_another_interface_takes_no_packets_away() {
    let peer = pair();
    peer.wire(1);
    let mut near = opened(&[ucast(0, "10.77.0.2"), ucast(1, "10.77.1.2"), bcast(1)]);
    let mut far = peer.there(|| opened(&[ucast(0, "10.77.0.1"), ucast(1, "10.77.1.1"), bcast(1)]));
    for link in [0, 1, 2, 0, 2, 1] {
        let found = carries(&mut near, link, &mut far, &[link]);
        assert_eq!(found.link, LinkId(link.min(1)), "the first link of its port");
        assert_eq!(source(&found), IpAddr::from([10, 77, link.min(1), 1]));
    }
}

#[test]
fn r_wire_7_a_medium_comes_back_with_its_interface_and_never_sits_on_loopback_instead() {
    let peer = pair();
    let mut near = opened(&[ucast(0, "10.77.0.2"), bcast(0)]);
    let mut far = peer.there(|| opened(&[bcast(0)]));
    carries(&mut near, 1, &mut far, b"before");
    let silent_on_loopback = |media: &mut Media| {
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        // Delivered, or refused, before the call returns.
        sender.send_to(b"not here", ("127.0.0.1", PORT)).unwrap();
        let all = heard_now(media);
        assert!(all.iter().all(|heard| heard.bytes != b"not here"), "{all:?}");
    };
    silent_on_loopback(&mut near);
    let gone = |media: &mut Media| {
        let trouble = Some("there is no interface eth0".to_owned());
        let changes = media.mend(clock::now(), true);
        assert_eq!(changes, [(LinkId(0), trouble.clone()), (LinkId(1), trouble)]);
        assert_eq!(media.sockets().count(), 0);
        assert!(media.next_deadline().is_some(), "it is tried again also without news of the kernel");
        // Said once.
        assert_eq!(media.mend(clock::now(), true), []);
        // Dropped in silence: it was reported.
        send(media, 0, b"nowhere");
        silent_on_loopback(media);
    };
    let back = [(LinkId(0), None), (LinkId(1), None)];

    run("ip link del eth0");
    gone(&mut near);
    peer.wire(0);
    assert_eq!(near.mend(clock::now(), true), back);
    let mut far = peer.there(|| opened(&[bcast(0)]));
    carries(&mut near, 0, &mut far, b"made again");

    run("ip link set eth0 down");
    run("ip link set eth0 name away0");
    gone(&mut near);
    run("ip link set away0 name eth0");
    run("ip link set eth0 up");
    assert_eq!(near.mend(clock::now(), true), back);
    carries(&mut near, 1, &mut far, b"its name is back");

    // Another one takes the name while nobody looks: the socket moves with the name.
    peer.wire(1);
    run("ip link set eth0 down");
    run("ip link set eth1 down");
    run("ip link set eth0 name away0");
    run("ip link set eth1 name eth0");
    run("ip link set eth0 up");
    assert_eq!(near.mend(clock::now(), true), []);
    let mut other = peer.there(|| opened(&[bcast(1)]));
    carries(&mut near, 1, &mut other, b"on the new one");
    // An interface that did not change keeps its socket.
    let before: Vec<i32> = near.sockets().map(|socket| std::os::fd::AsRawFd::as_raw_fd(&socket)).collect();
    assert_eq!(near.mend(clock::now(), true), []);
    let after: Vec<i32> = near.sockets().map(|socket| std::os::fd::AsRawFd::as_raw_fd(&socket)).collect();
    assert_eq!(before, after);
}

#[test]
fn r_wire_7_a_dead_peers_refusal_costs_a_live_peer_no_packet() {
    let peer = pair();
    run("ip addr add 10.77.0.11/24 dev eth0");
    // Somebody listens on the one address of the other machine, nobody on the other one: it refuses.
    let live = peer.there(|| {
        run("ip addr add 10.77.0.3/24 dev eth0");
        UdpSocket::bind(("10.77.0.2", PORT)).unwrap()
    });
    live.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut media = opened(&[ucast(0, "10.77.0.3"), ucast(0, "10.77.0.2")]);
    for round in 0..3_u8 {
        let start = Instant::now();
        while !refusal_waits(&media) {
            assert!(start.elapsed() < DEADLINE, "the dead peer's refusal does not come");
            send(&mut media, 0, b"to the dead");
        }
        // Sent once, behind the error that the dead one left.
        send(&mut media, 1, &[round]);
        let mut buffer = [0; 16];
        let length = live.recv(&mut buffer).expect("the live peer's packet was lost to another one's refusal");
        assert_eq!(&buffer[..length], [round]);
    }
}

fn refusal_waits(media: &Media) -> bool {
    let sources: Vec<BorrowedFd<'_>> = media.sockets().collect();
    let mut sources = [PollFd::new(sources[0].as_fd(), PollFlags::empty())];
    poll(&mut sources, PollTimeout::from(20_u16)).unwrap();
    sources[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR))
}

#[test]
fn r_wire_7_what_one_line_cannot_send_is_no_trouble_of_another_line_of_its_port() {
    let _peer = pair();
    let mut media = opened(&[ucast(0, "fd77:0::2"), ucast(0, "fd99::2")]);
    let mut changes = Vec::new();
    media.send(clock::now(), LinkId(1), b"no route", None, &mut changes);
    assert!(matches!(&changes[..], [(LinkId(1), Some(_))]), "{changes:?}");
    send(&mut media, 0, b"there is one");
    changes.clear();
    media.send(clock::now(), LinkId(1), b"no route", None, &mut changes);
    assert_eq!(changes, [], "said once");
    run("ip -6 route add fd99::/16 dev eth0");
    media.send(clock::now(), LinkId(1), b"there is one", None, &mut changes);
    assert_eq!(changes, [(LinkId(1), None)]);
}

/// The clock is looked at behind each call: what one call may take is what a timer may wait.
#[test]
fn r_wire_7_a_flood_on_one_interface_delays_neither_timers_nor_the_next_interface() {
    let peer = pair();
    peer.wire(1);
    let mut near = opened(&[bcast(0), bcast(1)]);
    let mut far = peer.there(|| opened(&[bcast(0), bcast(1)]));
    carries(&mut far, 0, &mut near, b"wire 0 is there");
    carries(&mut far, 1, &mut near, b"wire 1 is there");
    for _ in 0..2 {
        while !heard(&mut near, Duration::from_millis(1)).is_empty() {}
        for _ in 0..500 {
            send(&mut far, 0, &[0; 40]);
        }
        send(&mut far, 1, b"true");
        let (start, mut heard) = (Instant::now(), false);
        while !heard {
            assert!(start.elapsed() < DEADLINE, "the packet of the other interface does not come");
            let ready = is_readable(&near, 1);
            let (mut count, mut changes) = (0, Vec::new());
            near.set_readable(&[true; 8]);
            near.receive(clock::now(), 64, &mut changes, &mut |arrival| {
                count += 1;
                heard |= arrival.bytes == b"true";
            });
            assert!(count <= 64, "{count} packets between two looks at the clock");
            assert!(heard || !ready, "it waited behind the flood");
        }
    }
}

fn is_readable(media: &Media, socket: usize) -> bool {
    let sources: Vec<BorrowedFd<'_>> = media.sockets().collect();
    let mut sources = [PollFd::new(sources[socket], PollFlags::POLLIN)];
    poll(&mut sources, PollTimeout::ZERO).unwrap() == 1
}
