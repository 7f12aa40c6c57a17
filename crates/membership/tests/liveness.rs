//! Who is there, by packets and time: two nodes, no network, every moment written out.

use hearth_membership::{Change, LateCause, Liveness, Members, Params};
use hearth_types::{Incarnation, Index, LinkId, MessageNumber, NodeIdentity, NodeName, Timestamp};
use hearth_wire::{Heartbeat, NodeStatus, PeerReport};
use std::sync::Arc;
use std::time::Duration;

const K: u64 = 50;
const D: u64 = 500;
const OURS: Incarnation = Incarnation(1);
const THEIRS: Incarnation = Incarnation(2);
const WIRE: LinkId = LinkId(0);
const SECOND: LinkId = LinkId(1);

fn at(ms: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_millis(1_000_000 + ms)
}

fn peer() -> NodeName {
    NodeName::new("b")
}

fn members() -> Members {
    let ms = Duration::from_millis;
    let params = Params {
        local: NodeName::new("a"),
        incarnation: OURS,
        peers: vec![peer()],
        keepalive: ms(K),
        deadtime: ms(D),
        warntime: ms(D / 2),
        initdead: ms(10 * D),
    };
    Members::new(params, at(0))
}

/// What b says: its `number`th heartbeat, and that it heard and vouches for our message `heard`.
fn heartbeat(number: u64, heard: u64) -> Heartbeat {
    let report = PeerReport {
        node: NodeName::new("a"),
        incarnation: OURS,
        heard: MessageNumber(heard),
        age_us: 0,
        links: 1,
        vouch: Some(MessageNumber(heard)),
        alive: None,
        beyond: None,
    };
    Heartbeat {
        from: peer(),
        identity: NodeIdentity(7),
        incarnation: THEIRS,
        sequence: number,
        number: MessageNumber(number),
        epoch: None,
        lineage: Vec::new(),
        admission: None,
        applied: Index(0),
        decided: Index(0),
        status: NodeStatus::Up,
        deadtime_ms: D as u32,
        versions: (1, 1),
        digest: (0, 0),
        stall_us: 0,
        gated: Vec::new(),
        unservable: Vec::new(),
        pings: (0, 0),
        peers: vec![report],
        answer_now: false,
        has_carrier: true,
        dc: None,
        voters: Vec::new(),
        statement: None,
        wire: None,
        mark: None,
        watchdog: None,
        strangers: None,
        tiebreaker: None,
    }
}

fn hear(members: &mut Members, ms: u64, link: LinkId, heartbeat: &Heartbeat) -> (bool, Vec<Change>) {
    let mut changes = Vec::new();
    let fresh = members.heard(at(ms), at(ms), link, &Arc::new(heartbeat.clone()), &mut changes);
    (fresh, changes)
}

fn tick(members: &mut Members, ms: u64) -> Vec<Change> {
    let mut changes = Vec::new();
    members.tick(at(ms), &mut changes);
    changes
}

/// Our message and b's answer, every K from `from` on, on one link; the last moment.
fn talk(members: &mut Members, from: u64, count: u64) -> u64 {
    for beat in 0..count {
        let ms = from + beat * K;
        let number = members.next_message(at(ms)).0;
        hear(members, ms, WIRE, &heartbeat(number, number));
    }
    from + (count - 1) * K
}

fn liveness(members: &Members) -> Liveness {
    members.peer(&peer()).expect("configured").liveness
}

/// R-MEM-2: alive while any link carries packets, dead after deadtime on all of them, and not a moment before.
#[test]
fn a_peer_is_alive_while_any_link_has_carried_a_packet_within_deadtime() {
    let mut members = members();
    let last = talk(&mut members, 0, 4);
    assert_eq!(liveness(&members), Liveness::Alive);
    // The first link is silent, the second one carries on.
    let (fresh, _) = hear(&mut members, last + 400, SECOND, &heartbeat(5, 4));
    assert!(fresh);
    let changes = tick(&mut members, last + D);
    assert!(changes.contains(&Change::LinkDied { node: peer(), link: WIRE }), "{changes:?}");
    assert_eq!(liveness(&members), Liveness::Alive);
    assert!(!tick(&mut members, last + 400 + D - 1).iter().any(|change| matches!(change, Change::Died { .. })));
    let changes = tick(&mut members, last + 400 + D);
    assert!(changes.iter().any(|change| matches!(change, Change::Died { .. })), "{changes:?}");
    assert!(!members.is_alive(&peer()));
}

/// R-MEM-2: lateness is said once per episode, with the cause that the evidence supports.
#[test]
fn a_late_heartbeat_is_said_once_with_its_cause() {
    let ended = |stall_us: u32, number: u64, paused: bool| {
        let mut members = members();
        let last = talk(&mut members, 0, 4);
        let late = tick(&mut members, last + D / 2);
        assert!(late.iter().any(|change| matches!(change, Change::Late { .. })), "{late:?}");
        assert!(tick(&mut members, last + D / 2 + 10).is_empty());
        if paused {
            members.paused(at(last + 300), Duration::from_millis(290));
        }
        let message = Heartbeat { stall_us, ..heartbeat(number, 4) };
        let (_, changes) = hear(&mut members, last + 300, WIRE, &message);
        let cause = changes.iter().find_map(|change| match change {
            Change::LateEnded { cause, .. } => Some(*cause),
            _ => None,
        });
        cause.expect("the lateness ended")
    };
    assert_eq!(ended(280_000, 5, false), LateCause::SenderStalled);
    assert_eq!(ended(0, 10, false), LateCause::LinkLost);
    assert_eq!(ended(0, 10, true), LateCause::ReceiverStalled);
}

/// R-MEM-3: who is heard but does not hear us is not alive.
#[test]
fn a_peer_that_does_not_hear_us_is_one_way_and_not_alive() {
    let mut members = members();
    let last = talk(&mut members, 0, 4);
    let mut ms = last;
    for number in 5..20 {
        ms += K;
        let mut deaf = heartbeat(number, 4);
        deaf.peers[0].age_us = u32::try_from((ms - last) * 1000).expect("short");
        hear(&mut members, ms, WIRE, &deaf);
    }
    assert_eq!(liveness(&members), Liveness::OneWay);
    assert!(!members.is_alive(&peer()));
    // R-LEASE-1: no vouch for a node that is one-way to us.
    let reports = members.reports(at(ms), |_| true);
    assert_eq!(reports[0].vouch, None);
}

/// R-MEM-4: a link is up after three in a row and down after deadtime, whatever the other links do.
#[test]
fn each_link_is_judged_alone() {
    let mut members = members();
    let up = Change::LinkUp { node: peer(), link: WIRE };
    for number in 1..=3 {
        members.next_message(at(number * K));
        let (_, changes) = hear(&mut members, number * K, WIRE, &heartbeat(number, number));
        assert_eq!(changes.contains(&up), number == 3, "after {number}");
    }
    hear(&mut members, 3 * K, SECOND, &heartbeat(3, 3));
    let links = &members.peer(&peer()).expect("configured").links;
    assert!(links[&WIRE].up && !links[&SECOND].up);
}

/// R-MEM-5: nobody is accused for the time in which this node did not run.
#[test]
fn a_paused_node_accuses_nobody() {
    let mut members = members();
    let last = talk(&mut members, 0, 4);
    let thaw = last + 5 * D;
    members.paused(at(thaw), Duration::from_millis(5 * D));
    assert!(tick(&mut members, thaw).is_empty());
    assert_eq!(liveness(&members), Liveness::Alive);
    assert!(!tick(&mut members, thaw + D - 1).iter().any(|change| matches!(change, Change::Died { .. })));
    assert!(tick(&mut members, thaw + D).iter().any(|change| matches!(change, Change::Died { .. })));
}

/// R-MEM-8: initdead counts from the start until the peer's first packet, deadtime from then on.
#[test]
fn initdead_replaces_deadtime_until_the_first_packet() {
    let mut members = members();
    assert_eq!(members.lost_at(&peer()), at(10 * D));
    let last = talk(&mut members, 0, 4);
    assert_eq!(members.lost_at(&peer()), at(last + D));
}

/// R-WIRE-4: only a packet that names our run counts, a replaced incarnation never again, a replayed sequence not once.
#[test]
fn replays_and_old_incarnations_are_not_heard() {
    let mut members = members();
    let mut stranger = heartbeat(1, 0);
    stranger.peers[0].incarnation = Incarnation(99);
    assert!(!hear(&mut members, 0, WIRE, &stranger).0, "it names another run of ours");
    let reports = members.reports(at(1), |_| true);
    assert_eq!((reports[0].incarnation, reports[0].vouch), (THEIRS, None), "we name it, or it could never count");
    talk(&mut members, 10, 4);
    assert!(!hear(&mut members, 200, WIRE, &heartbeat(2, 2)).0, "a replayed sequence number");
    let reborn = Heartbeat { incarnation: Incarnation(3), ..heartbeat(1, 4) };
    assert!(!hear(&mut members, 205, WIRE, &reborn).0, "it has not heard what we said since we know of it");
    members.next_message(at(206));
    let reborn = Heartbeat { incarnation: Incarnation(3), ..heartbeat(2, 5) };
    let (fresh, changes) = hear(&mut members, 210, WIRE, &reborn);
    assert!(fresh && changes.contains(&Change::Restarted { node: peer(), old: THEIRS, new: Incarnation(3) }));
    assert!(!hear(&mut members, 220, WIRE, &heartbeat(40, 4)).0, "the run that was replaced");
}

/// R-WIRE-4: two machines under one name are both told of, and neither is vouched for.
#[test]
fn two_live_incarnations_of_one_name_are_not_vouched_for() {
    let mut members = members();
    talk(&mut members, 0, 4);
    hear(&mut members, 160, WIRE, &Heartbeat { incarnation: Incarnation(3), ..heartbeat(1, 4) });
    members.next_message(at(161));
    hear(&mut members, 162, WIRE, &Heartbeat { incarnation: Incarnation(3), ..heartbeat(2, 5) });
    for number in 50..56 {
        assert_eq!(hear(&mut members, 165, WIRE, &heartbeat(number, 4)).1, [], "a recording has not heard us since");
    }
    let mut told = false;
    for number in 56..62 {
        let heard = members.next_message(at(170)).0;
        told |= hear(&mut members, 170, WIRE, &heartbeat(number, heard)).1.contains(&Change::Cloned { node: peer() });
    }
    assert!(told);
    assert_eq!(members.vouched_at(&peer()), None);
    assert_eq!(members.reports(at(171), |_| true)[0].vouch, None);
}

/// R-LEASE-1, R-MEM-1: a lease runs from when the newest message that the peer vouches for was made; a missing vouch
/// takes it back at once.
#[test]
fn a_vouch_counts_from_when_its_message_was_made_and_ends_when_it_is_missing() {
    let mut members = members();
    let last = talk(&mut members, 0, 4);
    assert_eq!(members.vouched_at(&peer()), Some(at(last)));
    let mut silent = heartbeat(5, 4);
    silent.peers[0].vouch = None;
    hear(&mut members, last + K, WIRE, &silent);
    assert_eq!(members.vouched_at(&peer()), None);
}

/// R-LEASE-1: what was said before the vouch was taken back, and comes late on another link, gives nothing back.
#[test]
fn a_late_copy_on_another_link_does_not_bring_a_vouch_back() {
    let mut members = members();
    let last = talk(&mut members, 0, 4);
    let mut silent = heartbeat(5, 4);
    silent.peers[0].vouch = None;
    hear(&mut members, last + K, WIRE, &silent);
    hear(&mut members, last + K + 1, SECOND, &heartbeat(4, 4));
    assert_eq!(members.vouched_at(&peer()), None);
    // Nor does one that was said without a vouch, and comes late, take a newer one away.
    hear(&mut members, last + 2 * K, WIRE, &heartbeat(6, 4));
    hear(&mut members, last + 2 * K + 1, SECOND, &silent);
    assert_eq!(members.vouched_at(&peer()), Some(at(last)));
}

/// R-WIRE-4: what b said on a link that was cut on our side is new to that link, and old to us.
#[test]
fn a_recording_of_a_link_that_was_cut_keeps_no_dead_peer_alive() {
    let mut members = members();
    let last = talk(&mut members, 0, 40);
    // b is dead; somebody plays on the second link what was sent there meanwhile and never came here.
    let mut died = false;
    for (beat, number) in (5..40).enumerate() {
        let ms = last + (beat as u64 + 1) * K;
        let (_, heard) = hear(&mut members, ms, SECOND, &heartbeat(number, 40));
        died |= heard.into_iter().chain(tick(&mut members, ms)).any(|change| matches!(change, Change::Died { .. }));
    }
    assert!(died && !members.is_alive(&peer()), "{:?}", members.peer(&peer()));
}

/// R-WIRE-4: a link that was added by a reload has no memory of its own.
#[test]
fn a_recording_from_long_ago_makes_no_new_link_look_alive() {
    let mut members = members();
    let last = talk(&mut members, 0, 300);
    for number in 1..=44 {
        let (fresh, changes) = hear(&mut members, last, SECOND, &heartbeat(number, 1));
        assert!(!fresh && changes.is_empty(), "{number}: {changes:?}");
    }
    assert!(!members.peer(&peer()).expect("configured").links.contains_key(&SECOND));
}

#[test]
fn links_with_new_numbers_keep_what_is_known_of_them() {
    let mut members = members();
    let last = talk(&mut members, 0, 4);
    hear(&mut members, last, SECOND, &heartbeat(4, 4));
    members.renumber(&[(WIRE, SECOND)].into());
    let links = &members.peer(&peer()).expect("configured").links;
    assert!(links[&SECOND].up && links.len() == 1);
    // The window moved along: a packet of before is no news on the link that it came in on.
    assert!(!hear(&mut members, last, SECOND, &heartbeat(4, 4)).0);
    assert!(!tick(&mut members, last + D).iter().any(|change| matches!(change, Change::LinkDied { link: WIRE, .. })));
}

/// R-MEM-5: who stood still accuses nobody, and acquits nobody either. Or the survivor of two would note that it has heard
/// the other one, and wait for it after its next boot (R-MEM-8).
#[test]
fn dead_machine_comes_alive_because_this_one_stood_still() {
    let mut members = members();
    let last = talk(&mut members, 0, 4);
    tick(&mut members, last + D);
    assert_eq!(liveness(&members), Liveness::Dead);
    members.paused(at(last + 5 * D), Duration::from_millis(4 * D));
    assert_eq!(tick(&mut members, last + 5 * D), []);
    members.listen_anew(at(last + 6 * D));
    assert_eq!(tick(&mut members, last + 6 * D), []);
    assert_eq!(liveness(&members), Liveness::Dead);
    assert!(members.reports(at(last + 6 * D), |_| true).iter().all(|report| report.vouch.is_none()));
    talk(&mut members, last + 6 * D + K, 1);
    assert_eq!(liveness(&members), Liveness::Alive);
}

/// R-LEASE-1, R-MEM-3
#[test]
fn peer_that_does_not_hear_us_is_vouched_for_after_our_own_pause() {
    let mut members = members();
    let mut last = talk(&mut members, 0, 4);
    let deaf = |members: &mut Members, ms: u64, number: u64, age: u64| {
        let mut heartbeat = heartbeat(number, 4);
        heartbeat.peers[0].age_us = age as u32 * 1000;
        hear(members, ms, WIRE, &heartbeat);
    };
    for beat in 1..=D / K {
        last += K;
        deaf(&mut members, last, 4 + beat, beat * K);
    }
    assert_eq!(liveness(&members), Liveness::OneWay);
    members.paused(at(last + D), Duration::from_millis(D));
    deaf(&mut members, last + D, 100, 2 * D);
    assert_eq!(tick(&mut members, last + D), []);
    assert_eq!(liveness(&members), Liveness::OneWay);
    assert!(members.reports(at(last + D), |_| true).iter().all(|report| report.vouch.is_none()));
}

/// R-WIRE-4, R-MEM-5: nothing could be heard of the second machine while we stood still.
#[test]
fn cloned_name_is_vouched_for_after_our_own_pause() {
    let mut members = members();
    let last = talk(&mut members, 0, 4);
    let next = members.next_message(at(last)).0;
    for number in 1..=3 {
        let restarted = Heartbeat { incarnation: Incarnation(3), ..heartbeat(number, next + 1) };
        hear(&mut members, last, WIRE, &restarted);
        let heard = members.next_message(at(last)).0;
        hear(&mut members, last, WIRE, &heartbeat(10 + number, heard));
    }
    for number in 14..=17 {
        let heard = members.next_message(at(last)).0;
        hear(&mut members, last, WIRE, &heartbeat(number, heard));
    }
    assert!(members.peer(&peer()).expect("configured").is_cloned());
    members.paused(at(last + 2 * D), Duration::from_millis(2 * D));
    assert_eq!(tick(&mut members, last + 2 * D), []);
    assert!(members.next_deadline().is_some_and(|due| due > at(last + 2 * D)), "a deadline that comes again and again");
    assert!(members.peer(&peer()).expect("configured").is_cloned());
    let changes = tick(&mut members, last + 3 * D);
    assert!(changes.contains(&Change::CloneGone { node: peer() }), "{changes:?}");
}
