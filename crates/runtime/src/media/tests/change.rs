//! Other lines under open ports.

use super::space::{pair, run};
use super::udp::{bcast, eth, mcast, ucast, until_end};
use super::*;

/// Lines without a change that is not there to be told: what is new is open.
fn change(media: &mut Media, old: &[Medium], new: &[Medium]) {
    let ready = prepare(old, new).unwrap();
    media.change(new, ready);
    for (link, trouble) in media.mend(clock::now(), false) {
        assert_eq!(trouble, None, "{link}");
    }
}

#[test]
fn what_came_in_on_a_port_that_stays_is_not_lost_when_lines_around_it_change() {
    let peer = pair();
    peer.wire(1);
    let (old, new) = ([ucast(0, "10.77.0.2"), bcast(1)], [bcast(1), ucast(1, "10.77.1.2")]);
    let mut near = opened(&old);
    let mut far = peer.there(|| opened(&[bcast(1), ucast(0, "10.77.0.1")]));
    carries(&mut far, 0, &mut near, b"first");
    while !heard(&mut near, AGAIN).is_empty() {}
    send(&mut far, 0, b"before");
    // It is in the kernel's queue of a socket that must not be closed.
    let mut waiting: Vec<PollFd<'_>> = near.sockets().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    assert_eq!(poll(&mut waiting, PollTimeout::from(5000u16)), Ok(1));
    change(&mut near, &old, &new);
    assert_eq!(near.sockets().count(), 1, "eth0 is closed, eth1 was open already");
    send(&mut far, 0, b"end");
    let texts: Vec<Vec<u8>> = {
        let start = Instant::now();
        let mut all: Vec<Vec<u8>> = Vec::new();
        while all.last().is_none_or(|last| last != b"end") {
            assert!(start.elapsed() < DEADLINE, "{all:?}");
            all.extend(heard(&mut near, AGAIN).into_iter().map(|heard| heard.bytes));
        }
        all
    };
    assert_eq!(texts, [b"before".to_vec(), b"end".to_vec()]);
    carries(&mut near, 0, &mut far, b"by broadcast");
    carries(&mut near, 1, &mut far, b"to its address");
}

#[test]
fn a_port_joins_and_leaves_groups_while_it_is_open_and_a_port_that_is_gone_is_closed() {
    let peer = pair();
    let mut near = opened(&[bcast(0)]);
    let mut far = peer.there(|| opened(&[bcast(0), mcast()]));
    change(&mut near, &[bcast(0)], &[mcast(), bcast(0)]);
    assert_eq!(near.sockets().count(), 1);
    // The number of hops may change alone.
    let further =
        |ttl| Medium::Mcast { interface: eth(0), group: [239, 7, 7, 7].into(), port: 694, ttl, loopback: false };
    change(&mut near, &[mcast(), bcast(0)], &[further(2), bcast(0)]);
    change(&mut near, &[further(2), bcast(0)], &[mcast(), bcast(0)]);
    carries(&mut far, 1, &mut near, b"to the group");
    carries(&mut near, 0, &mut far, b"from the group");
    change(&mut near, &[mcast(), bcast(0)], &[ucast(0, "10.77.0.2")]);
    carries(&mut near, 0, &mut far, b"as before");
    while !heard(&mut near, AGAIN).is_empty() {}
    send(&mut far, 1, b"to nobody");
    send(&mut far, 0, b"end");
    assert_eq!(until_end(&mut near, "2"), ["end"], "it left the group");
    near.change(&[], Vec::new());
    assert_eq!(near.sockets().count(), 0);
}

#[test]
fn a_medium_that_cannot_be_opened_is_known_before_anything_changes() {
    let peer = pair();
    peer.wire(1);
    let taken = std::net::UdpSocket::bind("0.0.0.0:694").unwrap();
    let mut near = opened(&[]);
    let error = prepare(&[], &[bcast(1)]).err().unwrap();
    assert!(error.contains("port 694 on eth1 cannot be used"), "{error}");
    drop(taken);
    let missing = Medium::Bcast { interface: eth(7), port: 694 };
    assert!(prepare(&[], &[missing]).err().unwrap().contains("there is no interface eth7"));
    change(&mut near, &[], &[bcast(1)]);
    // What is open already, or is tried again and again, is nobody's to open a second time.
    run("ip link del eth1");
    assert!(prepare(&[bcast(1)], &[bcast(1)]).unwrap().is_empty());
}

#[test]
fn a_packet_belongs_to_the_port_on_which_it_came_whatever_its_sender_calls_it() {
    let links = Links(0b1_0110);
    assert_eq!(links.first(), LinkId(1));
    for (named, ours) in [(1, 1), (2, 2), (4, 4), (0, 1), (3, 1), (63, 1), (64, 1), (255, 1)] {
        assert_eq!(links.of(LinkId(named)), LinkId(ours), "{named}");
    }
}
