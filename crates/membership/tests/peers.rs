//! Who counts as heard, alive and late, by what arrives and when.

use hearth_membership::{Change, LateCause, Liveness, Members, Params};
use hearth_types::{Admission, Incarnation, Index, LinkId, MessageNumber, NodeIdentity, NodeName, Timestamp};
use hearth_wire::{Heartbeat, NodeStatus, PeerReport};
use std::sync::Arc;
use std::time::Duration;

const OURS: Incarnation = Incarnation(1);
const THEIRS: Incarnation = Incarnation(77);
const LINK: LinkId = LinkId(0);

fn ms(span: u64) -> Duration {
    Duration::from_millis(span)
}

fn at(ms: u64) -> Timestamp {
    Timestamp(ms * 1_000_000)
}

fn b() -> NodeName {
    NodeName::new("b")
}

fn members() -> Members {
    let params = Params {
        local: NodeName::new("a"),
        incarnation: OURS,
        peers: vec![b()],
        keepalive: ms(50),
        deadtime: ms(500),
        warntime: ms(250),
        initdead: ms(2000),
    };
    Members::new(params, at(1000))
}

/// A heartbeat of b that heard our message `heard` of that run, `age` ago.
fn beat(incarnation: Incarnation, number: u64, names: Incarnation, heard: u64, age: Duration) -> Heartbeat {
    let report = PeerReport {
        node: NodeName::new("a"),
        incarnation: names,
        heard: MessageNumber(heard),
        age_us: age.as_micros() as u32,
        links: 1,
        vouch: Some(MessageNumber(heard)),
        alive: None,
        beyond: None,
    };
    Heartbeat {
        from: b(),
        identity: NodeIdentity(5),
        incarnation,
        sequence: number,
        number: MessageNumber(number),
        epoch: None,
        lineage: Vec::new(),
        admission: Some(Admission(1)),
        applied: Index(0),
        decided: Index(0),
        status: NodeStatus::Up,
        deadtime_ms: 500,
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

/// Both hear each other from 1000 ms on, each keepalive until `until`.
fn talk(members: &mut Members, from: u64, until: u64, number: &mut u64) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut now = from;
    while now <= until {
        let ours = members.next_message(at(now));
        *number += 1;
        members.heard(at(now), at(now), LINK, &beat(THEIRS, *number, OURS, ours.0, ms(0)).into(), &mut changes);
        members.tick(at(now), &mut changes);
        now += 50;
    }
    changes
}

fn take(members: &mut Members, now: u64, heartbeat: &Heartbeat) -> (bool, Vec<Change>) {
    let mut changes = Vec::new();
    let fresh = members.heard(at(now), at(now), LINK, &Arc::new(heartbeat.clone()), &mut changes);
    (fresh, changes)
}

fn tick(members: &mut Members, now: u64) -> Vec<Change> {
    let mut changes = Vec::new();
    members.tick(at(now), &mut changes);
    changes
}

#[test]
fn a_peer_that_does_not_name_this_run_is_not_heard() {
    // R-WIRE-4: else a recording of an old run brings a dead peer back to life.
    let mut members = members();
    members.next_message(at(1000));
    let (fresh, _) = take(&mut members, 1001, &beat(THEIRS, 1, Incarnation(9), 40, ms(0)));
    assert!(!fresh);
    assert!(!members.is_alive(&b()));
    // Our next heartbeat names it, so that it can name us.
    let reports = members.reports(at(1010), |_| true);
    assert_eq!(reports[0].incarnation, THEIRS);
    assert_eq!(reports[0].vouch, None);
    let (fresh, changes) = take(&mut members, 1020, &beat(THEIRS, 2, OURS, 1, ms(0)));
    assert!(fresh && members.is_alive(&b()));
    assert!(matches!(changes[..], [Change::Appeared { silent: None, .. }]), "{changes:?}");
}

#[test]
fn a_repeated_packet_is_not_a_sign_of_life() {
    // R-WIRE-4
    let mut members = members();
    let mut number = 0;
    talk(&mut members, 1000, 2000, &mut number);
    let old = beat(THEIRS, number, OURS, 1, ms(0));
    let (fresh, _) = take(&mut members, 2300, &old);
    assert!(!fresh);
    assert!(tick(&mut members, 2500).iter().any(|change| matches!(change, Change::Died { .. })));
}

#[test]
fn a_run_that_was_replaced_is_never_heard_again() {
    // R-WIRE-4
    let mut members = members();
    let mut number = 0;
    talk(&mut members, 1000, 1500, &mut number);
    let new = Incarnation(78);
    assert!(!take(&mut members, 1590, &beat(new, 1, OURS, 0, ms(0))).0);
    let asked = members.next_message(at(1591));
    let (fresh, changes) = take(&mut members, 1600, &beat(new, 2, OURS, asked.0, ms(0)));
    assert!(fresh);
    assert!(changes.contains(&Change::Restarted { node: b(), old: THEIRS, new }));
    for later in [1610, 2200, 9000] {
        let (fresh, changes) = take(&mut members, later, &beat(THEIRS, number + later, OURS, 6, ms(0)));
        assert!(!fresh, "at {later}");
        assert!(!changes.iter().any(|change| matches!(change, Change::Restarted { .. })));
    }
    assert_eq!(members.peer(&b()).and_then(|peer| peer.incarnation), Some(new));
}

#[test]
fn two_machines_with_one_name_are_vouched_for_by_nobody() {
    // R-WIRE-4
    let mut members = members();
    let mut number = 0;
    talk(&mut members, 1000, 1500, &mut number);
    let new = Incarnation(78);
    let mut seen = Vec::new();
    for round in 1..6u64 {
        let now = 1500 + round * 50;
        let ours = members.next_message(at(now));
        seen.extend(take(&mut members, now, &beat(new, round, OURS, ours.0, ms(0))).1);
        seen.extend(take(&mut members, now + 1, &beat(THEIRS, number + round, OURS, ours.0, ms(0))).1);
    }
    assert!(seen.contains(&Change::Cloned { node: b() }), "{seen:?}");
    assert_eq!(members.vouched_at(&b()), None);
    assert_eq!(members.reports(at(1800), |_| true)[0].vouch, None);
    let gone = tick(&mut members, 2400);
    assert!(gone.contains(&Change::CloneGone { node: b() }), "{gone:?}");
}

/// b runs twice until 2000 ms: the second run has taken the place of the first, which goes on and hears all we say.
/// Its last packet is given back.
fn cloned(members: &mut Members) -> Heartbeat {
    let mut number = 0;
    talk(members, 1000, 1500, &mut number);
    let second = Incarnation(78);
    let mut last = beat(THEIRS, 0, OURS, 0, ms(0));
    for round in 1..=10u64 {
        let now = 1500 + round * 50;
        let ours = members.next_message(at(now));
        take(members, now, &beat(second, round, OURS, ours.0, ms(0)));
        last = beat(THEIRS, number + round, OURS, ours.0, ms(0));
        take(members, now + 1, &last);
        tick(members, now + 1);
    }
    assert_eq!(members.peer(&b()).and_then(|peer| peer.incarnation), Some(second));
    last
}

#[test]
fn a_machine_whose_name_was_used_twice_would_be_shut_out_for_ever() {
    // R-WIRE-4: once the other one is gone, who answers what was asked since then is no recording.
    let mut members = members();
    let last = cloned(&mut members);
    let mut seen = Vec::new();
    let mut number = last.number.0;
    for now in (2050..=2700).step_by(50) {
        let ours = members.next_message(at(now));
        number += 1;
        let (fresh, changes) = take(&mut members, now, &beat(THEIRS, number, OURS, ours.0, ms(0)));
        assert!(!fresh || now > 2500, "the other one may still be there at {now}");
        seen.extend(changes);
        seen.extend(tick(&mut members, now));
    }
    assert!(!seen.iter().any(|change| matches!(change, Change::Died { .. })), "taken over while it talks: {seen:?}");
    assert!(seen.contains(&Change::Returned { node: b(), old: Incarnation(78), new: THEIRS }), "{seen:?}");
    assert!(seen.contains(&Change::CloneGone { node: b() }), "{seen:?}");
    assert!(members.is_alive(&b()));
    assert!(members.reports(at(2700), |_| true)[0].vouch.is_some());
    // And the one that is gone now is as replaced as this one was.
    let newest = members.next_message(at(2700));
    let (fresh, _) = take(&mut members, 2701, &beat(Incarnation(78), 11, OURS, newest.0, ms(0)));
    assert!(!fresh);
}

#[test]
fn a_machine_that_comes_back_after_both_were_silent_is_taken_back() {
    // R-WIRE-4
    let mut members = members();
    let last = cloned(&mut members);
    assert!(tick(&mut members, 2600).iter().any(|change| matches!(change, Change::Died { .. })));
    assert!(!take(&mut members, 3000, &beat(THEIRS, last.number.0 + 1, OURS, 0, ms(0))).0);
    let asked = members.next_message(at(3001));
    let (fresh, changes) = take(&mut members, 3050, &beat(THEIRS, last.number.0 + 2, OURS, asked.0, ms(0)));
    assert!(fresh && members.is_alive(&b()), "{changes:?}");
    // What it said before it came back is no news any more.
    let (fresh, _) = take(&mut members, 3060, &beat(THEIRS, last.number.0 + 1, OURS, asked.0, ms(0)));
    assert!(members.peer(&b()).is_some_and(|peer| peer.last_heard_at == at(3050)), "a sign of life: {fresh}");
}

#[test]
fn a_recording_of_a_cloned_machine_keeps_nobody_alive_when_both_are_dead() {
    // R-WIRE-4: it was live when it was recorded, and heard what was asked then.
    let mut members = members();
    let last = cloned(&mut members);
    let mut seen = Vec::new();
    for now in (2050..6000).step_by(10) {
        if now % 50 == 0 {
            members.next_message(at(now));
        }
        // As it was, and with every number risen: nobody could have heard what was not said yet.
        let risen = beat(THEIRS, last.number.0 + now, OURS, last.peers[0].heard.0, ms(0));
        for packet in [&last, &risen] {
            let (fresh, changes) = take(&mut members, now, packet);
            assert!(!fresh, "at {now}");
            seen.extend(changes);
        }
        seen.extend(tick(&mut members, now));
    }
    assert!(seen.iter().any(|change| matches!(change, Change::Died { .. })), "{seen:?}");
    assert!(!seen.iter().any(|change| matches!(change, Change::Returned { .. } | Change::Appeared { .. })), "{seen:?}");
}

#[test]
fn a_packet_that_was_held_back_keeps_nobody_alive() {
    // R-WIRE-4: made by a live machine in answer to us, and delivered by somebody long after that machine's death.
    let mut members = members();
    let last = cloned(&mut members);
    tick(&mut members, 2550);
    assert!(!take(&mut members, 2551, &beat(THEIRS, last.number.0 + 1, OURS, 0, ms(0))).0);
    let asked = members.next_message(at(2600));
    let held_back = beat(THEIRS, last.number.0 + 2, OURS, asked.0, ms(0));
    for now in (2650..3300).step_by(50) {
        members.next_message(at(now));
    }
    assert!(!take(&mut members, 3300, &held_back).0);
    assert!(!members.is_alive(&b()));
}

#[test]
fn our_own_name_from_elsewhere_is_a_clone_of_us() {
    // R-WIRE-4
    let mut members = members();
    let mut seen = Vec::new();
    for number in 1..5 {
        let mut strange = beat(Incarnation(55), number, OURS, 0, ms(0));
        strange.from = NodeName::new("a");
        strange.peers[0].node = b();
        seen.extend(take(&mut members, 1000 + number * 50, &strange).1);
    }
    assert!(seen.contains(&Change::Cloned { node: NodeName::new("a") }));
    assert!(members.is_own_name_cloned());
}

#[test]
fn a_peer_that_does_not_hear_us_is_one_way_and_not_alive() {
    // R-MEM-3
    let mut members = members();
    let mut number = 0;
    talk(&mut members, 1000, 1500, &mut number);
    let mut seen = Vec::new();
    for now in (1550..2200).step_by(50) {
        number += 1;
        seen.extend(take(&mut members, now, &beat(THEIRS, number, OURS, 11, ms(now - 1500))).1);
    }
    assert!(seen.contains(&Change::OneWay { node: b() }), "{seen:?}");
    assert_eq!(members.peer(&b()).map(|peer| peer.liveness), Some(Liveness::OneWay));
    assert_eq!(members.reports(at(2200), |_| true)[0].vouch, None);
}

#[test]
fn silence_alone_accuses_nobody_of_being_deaf() {
    // R-MEM-3: a peer that dies is dead; that it does not hear us is only its own word.
    let mut members = members();
    let mut number = 0;
    talk(&mut members, 1000, 1500, &mut number);
    let ours = members.next_message(at(1549));
    take(&mut members, 1550, &beat(THEIRS, number + 1, OURS, ours.0 - 1, ms(49)));
    let mut seen = Vec::new();
    for now in (1560..2200).step_by(10) {
        seen.extend(tick(&mut members, now));
    }
    assert!(seen.iter().any(|change| matches!(change, Change::Died { .. })));
    assert!(!seen.iter().any(|change| matches!(change, Change::OneWay { .. })), "{seen:?}");
}

#[test]
fn a_node_that_did_not_run_accuses_nobody() {
    // R-MEM-5
    let mut members = members();
    let mut number = 0;
    talk(&mut members, 1000, 1500, &mut number);
    members.paused(at(3500), ms(2000));
    assert_eq!(tick(&mut members, 3500), []);
    assert!(members.is_alive(&b()));
    assert_eq!(members.lost_at(&b()), at(4000));
    assert!(tick(&mut members, 4000).iter().any(|change| matches!(change, Change::Died { .. })));
}

#[test]
fn dead_is_deadtime_and_not_earlier() {
    // R-MEM-2
    let mut members = members();
    let mut number = 0;
    talk(&mut members, 1000, 1500, &mut number);
    assert!(members.next_deadline().is_some_and(|due| due <= at(1750)));
    assert!(tick(&mut members, 1750).iter().any(|change| matches!(change, Change::Late { .. })));
    assert_eq!(tick(&mut members, 1800), [], "said once per episode");
    assert!(tick(&mut members, 1999).iter().all(|change| !matches!(change, Change::Died { .. })));
    assert!(members.is_alive(&b()));
    assert!(tick(&mut members, 2000).contains(&Change::Died { node: b(), silent: ms(500) }));
}

#[test]
fn initdead_replaces_deadtime_until_the_first_packet() {
    // R-MEM-8
    let members = members();
    assert_eq!(members.lost_at(&b()), at(3000));
}

#[test]
fn a_late_heartbeat_says_whose_fault_it_was() {
    // R-MEM-2
    let cause = |skip: u64, stall: u32, paused: bool| {
        let mut members = members();
        let mut number = 0;
        talk(&mut members, 1000, 1500, &mut number);
        tick(&mut members, 1800);
        if paused {
            members.paused(at(1840), ms(340));
        }
        let mut late = beat(THEIRS, number + 1 + skip, OURS, 11, ms(0));
        late.stall_us = stall;
        let (_, changes) = take(&mut members, 1850, &late);
        changes.into_iter().find_map(|change| match change {
            Change::LateEnded { cause, .. } => Some(cause),
            _ => None,
        })
    };
    assert_eq!(cause(6, 0, false), Some(LateCause::LinkLost));
    assert_eq!(cause(0, 340_000, false), Some(LateCause::SenderStalled));
    assert_eq!(cause(0, 0, true), Some(LateCause::ReceiverStalled));
}

#[test]
fn each_link_is_judged_alone_and_a_slow_one_delays_no_other() {
    // R-MEM-4
    let mut members = members();
    let mut number = 0;
    talk(&mut members, 1000, 1500, &mut number);
    let mut changes = Vec::new();
    for now in (1550..2200).step_by(50) {
        let ours = members.next_message(at(now));
        number += 1;
        let heartbeat = beat(THEIRS, number, OURS, ours.0, ms(0));
        members.heard(at(now), at(now), LinkId(1), &Arc::new(heartbeat), &mut changes);
        members.tick(at(now), &mut changes);
    }
    assert!(changes.contains(&Change::LinkUp { node: b(), link: LinkId(1) }));
    assert!(changes.contains(&Change::LinkDied { node: b(), link: LINK }));
    assert!(members.is_alive(&b()));
    assert!(!changes.iter().any(|change| matches!(change, Change::Died { .. })));
}

#[test]
fn a_vouch_counts_from_when_the_message_was_made_and_ends_when_it_is_withdrawn() {
    // R-LEASE-1, R-MEM-1
    let mut members = members();
    let mut number = 0;
    talk(&mut members, 1000, 1500, &mut number);
    assert_eq!(members.vouched_at(&b()), Some(at(1500)));
    let mut silent = beat(THEIRS, number + 1, OURS, 11, ms(40));
    silent.peers[0].vouch = None;
    take(&mut members, 1550, &silent);
    assert_eq!(members.vouched_at(&b()), None);
}

#[test]
fn a_short_stall_of_our_own_lets_waiting_packets_be_read_before_anybody_is_dead() {
    // R-MEM-5: a timer may be looked at before the socket.
    let mut members = members();
    let mut number = 0;
    talk(&mut members, 1000, 1500, &mut number);
    members.paused(at(2010), ms(300));
    assert!(tick(&mut members, 2010).iter().all(|change| !matches!(change, Change::Died { .. })));
    assert!(members.lost_at(&b()) > at(2010));
    let mut changes = Vec::new();
    members.heard(at(2011), at(1950), LINK, &beat(THEIRS, number + 9, OURS, 11, ms(0)).into(), &mut changes);
    assert!(members.is_alive(&b()));
    assert!(!changes.iter().any(|change| matches!(change, Change::Died { .. })));
}

#[test]
fn a_recording_of_an_unheard_run_does_not_replace_the_live_one() {
    // R-WIRE-4: else the live run counts as replaced, is never heard again, and its resources are taken.
    let mut members = members();
    let mut number = 0;
    talk(&mut members, 1000, 1500, &mut number);
    let old = Incarnation(76);
    for now in [1510, 1700, 1900] {
        // It names this run of ours and what that had said by then.
        let (fresh, changes) = take(&mut members, now, &beat(old, 9, OURS, 11, ms(1)));
        assert!(!fresh && changes.is_empty(), "{changes:?}");
        members.next_message(at(now + 1));
    }
    assert_eq!(members.peer(&b()).and_then(|peer| peer.incarnation), Some(THEIRS));
    assert!(take(&mut members, 1950, &beat(THEIRS, number + 1, OURS, 14, ms(0))).0);
    assert!(members.is_alive(&b()));
}

#[test]
fn a_restarted_peer_counts_after_one_round_trip() {
    // R-WIRE-4: it says what it heard of us before it counts us.
    let mut members = members();
    let mut number = 0;
    talk(&mut members, 1000, 1500, &mut number);
    let new = Incarnation(78);
    let unnamed = beat(new, 1, Incarnation(0), 0, ms(0));
    assert!(!take(&mut members, 1510, &unnamed).0);
    let asked = members.next_message(at(1511));
    assert!(take(&mut members, 1512, &beat(new, 2, OURS, asked.0, ms(0))).0);
    assert!(members.peer(&b()).is_some_and(|peer| peer.incarnation == Some(new)));
}
