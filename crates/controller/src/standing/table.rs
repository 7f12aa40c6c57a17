//! Carriers and ping targets as tables: every state of one, what comes of every event.

use super::{Standing, Target};
use crate::Carrier;
use crate::table::{Cells, compare};
use hearth_types::{ResourceId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const GRACE: Duration = Duration::from_millis(50);
const LEASE: Duration = Duration::from_millis(1600);
const DEADPING: Duration = Duration::from_secs(2);
const ETH0: &str = "eth0";

/// One interface, which carries the only link and an address, and the moment.
#[derive(Clone)]
struct World {
    standing: Standing,
    now: Timestamp,
    /// The address is here.
    here: bool,
}

impl World {
    fn new(here: bool) -> World {
        let standing = Standing {
            ports: BTreeMap::new(),
            homes: BTreeMap::from([(address(), Some(ETH0.to_owned()))]),
            stayed: BTreeSet::new(),
            targets: ["one", "two"].map(|name| Target { name: name.into(), answered: None }).into(),
            majority_since: None,
            media: BTreeSet::from([ETH0.to_owned()]),
        };
        World { standing, now: Timestamp(1_000_000_000_000), here }
    }

    fn hears(mut self, carrier: Carrier) -> World {
        // As a node does it with every word on a carrier.
        if self.standing.carrier_changed(self.now, ETH0, carrier, GRACE) && carrier == Carrier::Up {
            let here = self.here;
            self.standing.carrier_is_back(ETH0, |_| here);
        }
        self
    }

    fn wait(mut self, span: Duration) -> World {
        self.now = self.now + span;
        let here = self.here;
        self.standing.let_go(self.now, |_| here);
        self
    }

    fn leaves(mut self) -> World {
        self.here = false;
        self.wait(Duration::ZERO)
    }

    /// Lost for so long and back.
    fn flap(self, lost: Duration) -> World {
        self.hears(Carrier::Down).wait(lost).hears(Carrier::Up)
    }

    fn answer(mut self, target: &str, age: Duration) -> World {
        let sent_at = self.now.before(age);
        self.standing.ping_answered(self.now, target, sent_at, LEASE);
        self
    }

    /// What the node makes of its carrier, in words.
    fn carrier(&self) -> String {
        let held: BTreeSet<ResourceId> = self.here.then(address).into_iter().collect();
        let unservable = !self.standing.unservable(self.now, GRACE).is_empty();
        let dark = !self.standing.dark_addresses(self.now, LEASE).is_empty();
        let isolated = self.standing.is_isolated(self.now, &held, LEASE);
        assert!(!isolated || !self.standing.has_carrier(&held), "isolated with a carrier");
        let mut parts = vec![match (unservable, self.here) {
            (false, true) => "the address stays",
            (false, false) => "the address may come",
            (true, true) => "the address should go elsewhere",
            (true, false) => "the address may not come",
        }];
        parts.extend(dark.then_some("it is withdrawn"));
        parts.extend(isolated.then_some("isolated"));
        self.with_deadline(parts.join(", "))
    }

    fn pings(&self) -> String {
        let (reached, of) = self.standing.pings(self.now, DEADPING);
        let favoured = match self.standing.favoured_until(LEASE).filter(|end| self.now < *end) {
            Some(end) => format!(
                "favoured for {} ms more, since {} ms",
                end.since(self.now).as_millis(),
                self.standing.favoured_for(self.now, LEASE).as_millis()
            ),
            None => "not favoured".to_owned(),
        };
        self.with_deadline(format!("reaches {reached} of {of}, {favoured}"))
    }

    /// Nothing of it changes by time alone before the deadline that is asked for.
    fn with_deadline(&self, text: String) -> String {
        match self.standing.next_deadline(self.now, GRACE, LEASE, DEADPING) {
            Some(at) => format!("{text}; looks again in {} ms", at.since(self.now).as_millis()),
            None => text,
        }
    }
}

fn address() -> ResourceId {
    "ip".into()
}

fn ms(span: u64) -> Duration {
    Duration::from_millis(span)
}

type Happens = fn(World) -> World;

const CARRIER_EVENTS: [(&str, Happens); 8] = [
    ("it is lost", |world| world.hears(Carrier::Down)),
    ("it is there", |world| world.hears(Carrier::Up)),
    ("it says nothing any more (bridge, driver)", |world| world.hears(Carrier::Unknown)),
    ("the address leaves", World::leaves),
    ("carrier_grace (50 ms) passes", |world| world.wait(GRACE)),
    ("a lease (1.6 s) passes", |world| world.wait(LEASE)),
    ("10 s pass", |world| world.wait(ms(10_000))),
    ("11 min pass", |world| world.wait(ms(660_000))),
];

/// R-MEM-7
#[test]
fn every_state_of_a_carrier_and_every_event() {
    let up = || World::new(true).hears(Carrier::Up);
    let away = || World::new(false).hears(Carrier::Up);
    let flapped = |world: World, times: usize| (0..times).fold(world, |world, _| world.flap(ms(1000)).wait(ms(1000)));
    let states = [
        ("01 nothing was said of it yet", World::new(true)),
        ("02 there", up()),
        ("03 there, says nothing of itself", World::new(true).hears(Carrier::Unknown)),
        ("04 lost a moment ago", up().hears(Carrier::Down).wait(ms(20))),
        ("05 lost for half a lease", up().hears(Carrier::Down).wait(LEASE / 2)),
        ("06 lost for a lease", up().hears(Carrier::Down).wait(LEASE)),
        ("07 not there from the start", World::new(false).hears(Carrier::Down)),
        ("08 back after less than carrier_grace", up().flap(ms(20))),
        ("09 back after a second, the address stayed", up().flap(ms(1000))),
        ("10 back after a second, the address is elsewhere", away().flap(ms(1000))),
        ("11 back since a second, the address is elsewhere", away().flap(ms(1000)).wait(ms(1000))),
        ("12 back for the fifth time, the address is elsewhere", flapped(away(), 4).flap(ms(1000))),
        ("13 back for the fifth time, the address stayed", flapped(up(), 4).flap(ms(1000))),
    ];
    let mut cells = Cells::default();
    for (state, world) in states {
        cells.note(state, "(is)", world.carrier());
        for (event, happens) in CARRIER_EVENTS {
            cells.note(state, event, happens(world.clone()).carrier());
        }
    }
    let head = "One interface of a node, which carries its link and an address (crates/controller/src/standing).";
    compare("carrier.txt", head, &cells.print("-"));
}

const PING_EVENTS: [(&str, Happens); 6] = [
    ("one answers what was sent 100 ms ago", |world| world.answer("one", ms(100))),
    ("two answers what was sent 100 ms ago", |world| world.answer("two", ms(100))),
    ("two answers what was sent a lease ago", |world| world.answer("two", LEASE)),
    ("a target of before answers", |world| world.answer("three", ms(100))),
    ("half a lease passes", |world| world.wait(LEASE / 2)),
    ("2 s pass", |world| world.wait(ms(2000))),
];

/// R-MEM-9
#[test]
fn every_state_of_two_ping_targets_and_every_event() {
    let both = || World::new(false).answer("one", ms(0)).answer("two", ms(0));
    let states = [
        ("01 none has answered yet", World::new(false)),
        ("02 one has answered", World::new(false).answer("one", ms(0))),
        ("03 both have answered", both()),
        ("04 both had answered half a lease ago", both().wait(LEASE / 2)),
        ("05 both answer again and again", both().wait(LEASE / 2).answer("one", ms(0)).answer("two", ms(0))),
        ("06 one answers, two is silent for a lease", both().wait(LEASE).answer("one", ms(0))),
        ("07 both are silent for longer than deadping", both().wait(ms(3000))),
    ];
    let mut cells = Cells::default();
    for (state, world) in states {
        cells.note(state, "(is)", world.pings());
        for (event, happens) in PING_EVENTS {
            cells.note(state, event, happens(world.clone()).pings());
        }
    }
    let head = "Two ping targets (crates/controller/src/standing): lease 1.6 s, deadping 2 s. Favoured: more than half have\n\
                answered what was sent within a lease (`tiebreaker ping`).";
    compare("ping.txt", head, &cells.print("-"));
}
