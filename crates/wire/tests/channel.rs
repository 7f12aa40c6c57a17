//! The channel over a net that loses, repeats and reorders, with restarts at any moment (R-LEDGER-8).

use core::time::Duration;
use hearth_types::{Incarnation, NodeName, Timestamp};
use hearth_wire::{Break, Channel, FRAGMENT, MAX_MESSAGE, MAX_QUEUED, NotSent, Segment};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Incarnation of the sender, incarnation of the receiver, session of the sender.
type Run = (u64, u64, u64);

/// One end and what it saw in order of delivery.
struct End {
    channel: Channel,
    incarnation: u64,
    sent: u64,
    delivered: Vec<(Run, Vec<u8>)>,
    opened: usize,
}

/// Two ends and the segments between them; segments stay in the net until the test drops them.
struct Net {
    now: Timestamp,
    ends: [End; 2],
    flying: Vec<(usize, Segment)>,
    /// What each end sent in each run, in order.
    sent: BTreeMap<(usize, Run), Vec<Vec<u8>>>,
}

fn name(end: usize) -> NodeName {
    NodeName::new(["alpha", "beta"][end])
}

fn channel(end: usize, own: u64, peer: u64, session: u64) -> Channel {
    Channel::new(name(end), Incarnation(own), name(1 - end), Incarnation(peer), session)
}

impl Net {
    fn new() -> Net {
        let end =
            |n: usize| End { channel: channel(n, 1, 1, 1), incarnation: 1, sent: 0, delivered: vec![], opened: 0 };
        Net { now: Timestamp(1), ends: [end(0), end(1)], flying: vec![], sent: BTreeMap::new() }
    }

    fn send(&mut self, end: usize, length: usize) {
        let peer = self.ends[1 - end].incarnation;
        let it = &mut self.ends[end];
        it.sent += 1;
        let mut message = it.sent.to_be_bytes().to_vec();
        message.resize(8 + length, end as u8);
        let run = (end, (it.incarnation, peer, it.channel.session()));
        it.channel.send(message.clone()).expect("far below the bound");
        self.sent.entry(run).or_default().push(message);
    }

    fn poll(&mut self, end: usize) {
        let mut out = vec![];
        self.ends[end].channel.poll(self.now, &mut out);
        self.flying.extend(out.into_iter().map(|segment| (1 - end, segment)));
    }

    fn deliver(&mut self, at: usize, keep: bool) {
        if self.flying.is_empty() {
            return;
        }
        let at = at % self.flying.len();
        let (end, segment) = if keep { self.flying[at].clone() } else { self.flying.remove(at) };
        let it = &mut self.ends[end];
        let received = it.channel.receive(self.now, &segment);
        assert!(received.broken.is_none() || received.messages.is_empty(), "no message comes with a break");
        assert_ne!(received.broken, Some(Break::Nonsense), "nobody lies here");
        it.opened += usize::from(received.opened);
        let run = (segment.incarnation.0, segment.to_incarnation.0, segment.session);
        it.delivered.extend(received.messages.into_iter().map(|message| (run, message)));
    }

    /// A new incarnation of `end`, which the other one learns through membership.
    fn restart(&mut self, end: usize) {
        let incarnation = self.ends[end].incarnation + 1;
        let peer = self.ends[1 - end].incarnation;
        self.ends[end].incarnation = incarnation;
        self.ends[end].channel = channel(end, incarnation, peer, 1);
        self.ends[1 - end].channel = channel(1 - end, peer, incarnation, 1);
    }

    /// What each end got from each run is a beginning of what was sent in it, and runs come one after the other.
    fn check(&self) {
        for (end, it) in self.ends.iter().enumerate() {
            let mut next: BTreeMap<Run, usize> = BTreeMap::new();
            let mut newest = (0, 0, 0);
            for (run, message) in &it.delivered {
                let run = *run;
                assert!(run >= newest, "a message of an older run after one of a newer");
                newest = run;
                let at = next.entry(run).or_default();
                let sent = self.sent.get(&(1 - end, run)).map_or(&[][..], |sent| sent);
                assert_eq!(sent.get(*at), Some(message), "lost, repeated or out of order");
                *at += 1;
            }
        }
    }

    /// Runs without loss until nothing moves any more.
    fn settle(&mut self) {
        for _ in 0..4000 {
            for end in 0..2 {
                self.poll(end);
            }
            while !self.flying.is_empty() {
                self.deliver(0, false);
            }
            let due = self.ends.iter().filter_map(|it| it.channel.next_deadline()).min();
            match due {
                None if self.ends.iter().all(|it| it.channel.is_open() && it.channel.queued() == 0) => return,
                _ => self.now = self.now.max(due.unwrap_or(self.now)) + Duration::from_micros(100),
            }
        }
        panic!("the channel never comes to rest");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(usize, usize),
    Poll(usize),
    Deliver(usize),
    Repeat(usize),
    Lose(usize),
    Wait(u64),
    Reset(usize),
    Restart(usize),
    /// Microseconds for a thousand bytes; none: a network.
    Pace(usize, Option<u64>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2usize, prop_oneof![Just(0), 0..50usize, 900..4000usize]).prop_map(|(end, length)| Step::Send(end, length)),
        8 => (0..2usize).prop_map(Step::Poll),
        12 => any::<usize>().prop_map(Step::Deliver),
        3 => any::<usize>().prop_map(Step::Repeat),
        3 => any::<usize>().prop_map(Step::Lose),
        4 => (1..60_000u64).prop_map(Step::Wait),
        1 => (0..2usize).prop_map(Step::Reset),
        1 => (0..2usize, prop::option::of(1..300_000u64)).prop_map(|(end, pace)| Step::Pace(end, pace)),
    ]
}

fn step_with_restarts() -> impl Strategy<Value = Step> {
    prop_oneof![30 => step(), 1 => (0..2usize).prop_map(Step::Restart)]
}

fn run(steps: Vec<Step>) -> Net {
    let mut net = Net::new();
    for step in steps {
        match step {
            Step::Send(end, length) => net.send(end, length),
            Step::Poll(end) => net.poll(end),
            Step::Deliver(at) => net.deliver(at, false),
            Step::Repeat(at) => net.deliver(at, true),
            Step::Lose(at) if !net.flying.is_empty() => drop(net.flying.remove(at % net.flying.len())),
            Step::Lose(_) => {}
            Step::Wait(us) => net.now = net.now + Duration::from_micros(us),
            Step::Reset(end) => net.ends[end].channel.reset(),
            Step::Restart(end) => net.restart(end),
            Step::Pace(end, pace) => {
                net.ends[end].channel.keep_pace(net.now, pace.map(Duration::from_micros));
            }
        }
    }
    net.check();
    net
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// R-LEDGER-8: within a run, once and in order; afterwards both sides agree again and everything flows.
    #[test]
    fn once_and_in_order_in_each_run(steps in prop::collection::vec(step_with_restarts(), 1..200)) {
        let mut net = run(steps);
        net.settle();
        net.check();
        let before = [net.ends[0].delivered.len(), net.ends[1].delivered.len()];
        for end in 0..2 {
            net.send(end, 2500);
        }
        net.settle();
        net.check();
        prop_assert_eq!([net.ends[0].delivered.len(), net.ends[1].delivered.len()], before.map(|count| count + 1));
    }

    /// Without a reset nothing is lost at all, whatever the net does.
    #[test]
    fn nothing_is_lost_without_a_reset(steps in prop::collection::vec(step(), 1..200)) {
        let steps = steps.into_iter().filter(|step| !matches!(step, Step::Reset(_))).collect();
        let mut net = run(steps);
        net.settle();
        net.check();
        for end in 0..2 {
            prop_assert_eq!(net.ends[end].delivered.len() as u64, net.ends[1 - end].sent);
            prop_assert_eq!(net.ends[end].opened, 1);
        }
    }

    /// A peer that knows the key but is broken neither stops us nor makes us hold more than the bound.
    #[test]
    fn any_segment_is_survived(
        numbers in prop::collection::vec((any::<u64>(), any::<u64>(), 0..4u64, 0..4u64, any::<bool>(), 0..1200usize), 1..60),
    ) {
        let mut it = channel(0, 1, 1, 1);
        let mut out = vec![];
        for (number, acknowledged, session, to_session, last, length) in numbers {
            let segment = Segment {
                from: name(1), incarnation: Incarnation(1), to: name(0), to_incarnation: Incarnation(1),
                number: number >> (number % 64), acknowledged: acknowledged >> (acknowledged % 64), last,
                bytes: vec![0; length], session, to_session: Some(to_session), ask: last, mark: None,
            };
            it.receive(Timestamp(5), &segment);
            it.poll(Timestamp(5), &mut out);
        }
    }
}

/// All short orders of the two handshakes with a reset in between end in agreement.
#[test]
fn every_short_interleaving_agrees() {
    const MOVES: u32 = 6;
    const LENGTH: u32 = 6;
    for code in 0..MOVES.pow(LENGTH) {
        let mut net = Net::new();
        net.send(0, 0);
        net.send(1, 1500);
        for place in 0..LENGTH {
            match code / MOVES.pow(place) % MOVES {
                0 => net.poll(0),
                1 => net.poll(1),
                2 => net.deliver(0, false),
                3 => net.deliver(net.flying.len().wrapping_sub(1), true),
                4 => net.ends[0].channel.reset(),
                _ => net.ends[1].channel.reset(),
            }
            net.now = net.now + Duration::from_millis(15);
        }
        net.settle();
        net.check();
    }
}

/// A whole message is acknowledged at once and a lost one repeated after 20 ms.
#[test]
fn repeats_after_twenty_milliseconds_and_backs_off() {
    let mut net = Net::new();
    net.settle();
    net.send(0, 10);
    let start = net.now;
    net.poll(0);
    assert_eq!(net.flying.len(), 1);
    net.flying.clear();
    let mut waits = vec![];
    let mut before = start;
    for _ in 0..6 {
        net.now = net.ends[0].channel.next_deadline().expect("a repetition");
        waits.push(net.now.since(before).as_millis());
        before = net.now;
        net.poll(0);
    }
    assert_eq!(waits, [20, 40, 80, 160, 200, 200]);
    net.deliver(0, false);
    net.poll(1);
    assert!(net.flying.iter().any(|(end, segment)| *end == 0 && segment.acknowledged == 1));
    net.settle();
    assert_eq!(net.ends[1].delivered.len(), 1, "six copies, one delivery");
}

/// Harm: over two links every copy was acknowledged on both, and a daemon with much to take was kept busy by answers. The
/// copy by the other link is known by its time; a repetition, which lacks its acknowledgement, is answered at once.
#[test]
fn a_copy_by_another_link_is_not_acknowledged_again() {
    let mut net = Net::new();
    net.settle();
    net.send(0, 10);
    net.poll(0);
    let copy = net.flying[0].clone();
    net.deliver(0, false);
    net.poll(1);
    assert_eq!(net.flying.len(), 1, "the first copy is acknowledged");
    net.flying.clear();
    net.now = net.now + Duration::from_millis(9);
    net.flying.push(copy.clone());
    net.deliver(0, false);
    assert!(net.ends[1].channel.is_silent(net.now), "the second one is not");
    net.now = net.ends[0].channel.next_deadline().expect("the acknowledgement was lost");
    net.poll(0);
    net.deliver(0, false);
    net.poll(1);
    assert!(net.flying.iter().any(|(end, segment)| *end == 0 && segment.acknowledged == 1), "the repetition is");
    net.settle();
    assert_eq!(net.ends[1].delivered.len(), 1, "three copies, one delivery");
}

/// A reset of one side is seen by the other as a break.
#[test]
fn a_reset_is_a_break_for_the_peer() {
    let mut net = Net::new();
    net.settle();
    net.ends[0].channel.reset();
    net.poll(0);
    let (_, segment) = net.flying.remove(0);
    let received = net.ends[1].channel.receive(net.now, &segment);
    assert_eq!(received.broken, Some(Break::PeerReset));
    net.settle();
    assert_eq!([net.ends[0].opened, net.ends[1].opened], [2, 2]);
}

/// The queue is bounded and says so.
#[test]
fn the_queue_is_bounded() {
    let mut it = channel(0, 1, 1, 1);
    assert_eq!(it.send(vec![0; MAX_MESSAGE + 1]), Err(NotSent::TooLong));
    let taken = (0..100).take_while(|_| it.send(vec![0; FRAGMENT * 100]).is_ok()).count();
    assert!((30..42).contains(&taken), "{taken}");
    assert_eq!(it.send(vec![0; FRAGMENT * 100]), Err(NotSent::Full));
    assert!(it.queued() <= MAX_QUEUED);
}

/// Bytes of an ended session that come late are not taken for bytes of the next one, though both name our session.
#[test]
fn late_bytes_of_an_ended_session_are_dropped() {
    let mut net = Net::new();
    net.poll(1);
    net.deliver(0, false);
    net.poll(0);
    net.deliver(0, false);
    net.send(1, 0);
    net.poll(1);
    let late = net.flying.remove(0);
    assert_eq!((late.1.number, late.1.session, late.1.to_session), (1, 1, Some(1)));
    net.flying.clear();
    net.ends[1].channel.reset();
    net.poll(1);
    net.deliver(0, false);
    assert!(net.ends[0].channel.is_open() && net.ends[0].channel.session() == 1);
    net.flying.push(late);
    net.deliver(0, false);
    assert_eq!(net.ends[0].delivered, []);
    net.send(1, 3);
    net.settle();
    net.check();
    assert_eq!(net.ends[0].delivered.len(), 1);
}

/// R-WIRE-8: a line of 9600 baud that is sent a copy every 20 ms carries copies only, and no answer comes in time.
#[test]
fn a_slow_line_is_not_filled_with_copies() {
    let (pace, start) = (Duration::from_secs(1), Timestamp(1_000_000_000));
    let mut net = Net::new();
    net.settle();
    net.now = start;
    net.ends[0].channel.keep_pace(net.now, Some(pace));
    (0..6).for_each(|_| net.send(0, 900));
    let mut given = vec![];
    while net.now.since(start) < Duration::from_secs(5) {
        net.poll(0);
        given.extend(net.flying.drain(..).map(|(_, segment)| (net.now.since(start), segment.number)));
        net.now = net.ends[0].channel.next_deadline().expect("more to come").max(net.now + Duration::from_millis(1));
    }
    // Three ahead of the answers that do not come; the first is repeated when its own is two seconds late.
    assert_eq!(given.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [1, 2, 3, 1]);
    let repeated = given[3].0;
    assert!((Duration::from_millis(2900)..Duration::from_millis(3100)).contains(&repeated), "{repeated:?}");
    assert!(!net.ends[0].channel.is_at_rest());
    net.settle();
    assert_eq!(net.ends[1].delivered.len(), 6);
    assert!(net.ends.iter().all(|end| end.channel.is_at_rest()));
}

/// R-WIRE-7: what was to be seconds under way on a line goes at once when a network is back.
#[test]
fn what_waits_for_a_slow_line_goes_at_once_over_a_network() {
    let mut net = Net::new();
    net.settle();
    net.ends[0].channel.keep_pace(net.now, Some(Duration::from_secs(1)));
    (0..10).for_each(|_| net.send(0, 900));
    net.poll(0);
    let begun = net.flying.len();
    assert!((1..5).contains(&begun), "{begun}");
    net.flying.clear();
    net.ends[0].channel.keep_pace(net.now, None);
    let before = net.now;
    net.settle();
    assert_eq!(net.ends[1].delivered.len(), 10);
    assert!(net.now.since(before) < Duration::from_secs(2), "{:?}", net.now.since(before));
}

/// A copy of a request behind one that has not arrived says nothing: its sender asks for it here.
#[test]
fn a_message_is_held_until_it_is_known_to_have_arrived() {
    let mut net = Net::new();
    net.settle();
    let message = vec![5; FRAGMENT * 2 + 7];
    let other = [message.as_slice(), &[0]].concat();
    net.ends[0].channel.send(vec![5; 3]).expect("empty");
    net.ends[0].channel.send(message.clone()).expect("empty");
    let holds = |net: &Net| {
        [message.as_slice(), &other, &[5; 3], &[], &message[..FRAGMENT]].map(|it| net.ends[0].channel.holds(it))
    };
    assert_eq!(holds(&net), [true, false, true, false, false]);
    let mut out = vec![];
    net.ends[0].channel.poll(net.now, &mut out);
    assert!(out.iter().all(|segment| net.ends[0].channel.is_first_copy(segment)));
    assert_eq!(holds(&net), [true, false, true, false, false]);
    net.now = net.now + Duration::from_secs(1);
    let mut again = vec![];
    net.ends[0].channel.poll(net.now, &mut again);
    assert_eq!(again.len(), 1);
    assert!(!net.ends[0].channel.is_first_copy(&again[0]));
    net.settle();
    assert_eq!(holds(&net), [false; 5]);
}
