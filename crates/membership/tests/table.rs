//! The machines of a peer and of a link as tables: every state, every event, what comes of it.

#[path = "../../../tests/tables/table.rs"]
mod table;

use hearth_membership::{Change, LateCause, Liveness, Members, Params};
use hearth_types::{Incarnation, Index, LinkId, MessageNumber, NodeIdentity, NodeName, Timestamp};
use hearth_wire::{Heartbeat, NodeStatus, PeerReport};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use table::{Cells, compare};

const K: u64 = 50;
const D: u64 = 500;
const OURS: Incarnation = Incarnation(1);
const THEIRS: Incarnation = Incarnation(2);
const NEXT: Incarnation = Incarnation(3);
const BEFORE: Incarnation = Incarnation(9);
const LINK: LinkId = LinkId(0);
const OTHER: LinkId = LinkId(1);

fn b() -> NodeName {
    NodeName::new("b")
}

/// In words. Complete by the compiler: a state that is added fails the test until it stands in the table.
fn liveness(state: Liveness) -> &'static str {
    match state {
        Liveness::NeverSeen => "never seen",
        Liveness::Alive => "alive",
        Liveness::OneWay => "one-way",
        Liveness::Dead => "dead",
    }
}

/// In words, complete by the compiler.
fn change(change: &Change) -> &'static str {
    match change {
        Change::Appeared { silent: None, .. } => "appeared",
        Change::Appeared { silent: Some(_), .. } => "appeared again",
        Change::Restarted { .. } => "restarted",
        Change::Returned { .. } => "returned",
        Change::Died { .. } => "died",
        Change::OneWay { .. } => "one-way",
        Change::TwoWay { .. } => "two-way",
        Change::Late { .. } => "late",
        Change::LateEnded { cause: LateCause::SenderStalled, .. } => "was late: it stalled",
        Change::LateEnded { cause: LateCause::ReceiverStalled, .. } => "was late: we stalled",
        Change::LateEnded { cause: LateCause::LinkLost, .. } => "was late: packets were lost",
        Change::LinkUp { .. } => "link up",
        Change::LinkDied { .. } => "link died",
        Change::Cloned { .. } => "cloned",
        Change::CloneGone { .. } => "clone gone",
    }
}

/// This node, its clock, and what b last said.
#[derive(Clone)]
struct World {
    members: Members,
    now: u64,
    number: u64,
    changes: Vec<Change>,
}

impl World {
    fn new() -> World {
        let ms = Duration::from_millis;
        let params = Params {
            local: NodeName::new("a"),
            incarnation: OURS,
            peers: vec![b()],
            keepalive: ms(K),
            deadtime: ms(D),
            warntime: ms(D / 2),
            initdead: ms(4 * D),
        };
        World { members: Members::new(params, at(0)), now: 0, number: 0, changes: Vec::new() }
    }

    fn pass(&mut self, span: u64) {
        self.now += span;
        self.members.tick(at(self.now), &mut self.changes);
    }

    /// A heartbeat of b: of which run, its number, and, if it names ours, how long ago it heard us.
    fn hears(&mut self, link: LinkId, run: Incarnation, number: u64, names_us: Option<u64>) {
        let heard = self.members.next_message(at(self.now));
        let report = names_us.map(|age| PeerReport {
            node: NodeName::new("a"),
            incarnation: OURS,
            heard,
            age_us: age as u32 * 1000,
            links: 1,
            vouch: Some(heard),
            alive: None,
            beyond: None,
        });
        let heartbeat = Arc::new(heartbeat(run, number, report));
        self.members.heard(at(self.now), at(self.now), link, &heartbeat, &mut self.changes);
    }

    fn talks(&mut self, names_us: Option<u64>) {
        self.number += 1;
        self.hears(LINK, THEIRS, self.number, names_us);
    }

    fn counted(mut self, beats: u64) -> World {
        for _ in 0..beats {
            self.pass(K);
            self.talks(Some(0));
        }
        self
    }

    fn silent(mut self, span: u64) -> World {
        self.pass(span);
        self
    }

    /// b goes on and says for longer and longer that it has not heard us.
    fn deaf(mut self, span: u64) -> World {
        for age in (K..=span).step_by(K as usize) {
            self.pass(K);
            self.talks(Some(age));
        }
        self
    }

    fn cloned(mut self) -> World {
        self.restarts();
        for number in 1..=4 {
            self.hears(LINK, THEIRS, self.number + number, Some(0));
        }
        self
    }

    /// Another run of b shows that it is live: it hears a message that was made after it was first seen.
    fn restarts(&mut self) {
        self.hears(LINK, NEXT, 1, None);
        self.hears(LINK, NEXT, 2, Some(0));
        self.hears(LINK, NEXT, 3, Some(0));
    }

    fn state(&self) -> String {
        let peer = self.members.peer(&b()).expect("configured");
        let late = if peer.is_alive() && self.is_late() { ", late" } else { "" };
        let cloned = if peer.is_cloned() { ", cloned" } else { "" };
        let known =
            if peer.incarnation.is_some() && peer.liveness == Liveness::NeverSeen { ", a run known" } else { "" };
        format!("{}{late}{cloned}{known}", liveness(peer.liveness))
    }

    fn is_late(&self) -> bool {
        at(self.now).since(self.members.silent_since(&b())) >= Duration::from_millis(D / 2)
    }

    fn link(&self) -> &'static str {
        let peer = self.members.peer(&b()).expect("configured");
        match peer.links.get(&LINK) {
            None => "unknown",
            Some(link) if link.up => "up",
            Some(_) => "down",
        }
    }

    /// What our next heartbeat says of b.
    fn said(&mut self) -> String {
        let reports = self.members.reports(at(self.now), |_| true);
        match reports.first() {
            None => "not named".into(),
            Some(report) if report.vouch.is_some() => "vouched for".into(),
            Some(report) if report.age_us == u32::MAX => "named as a candidate".into(),
            Some(_) => "named".into(),
        }
    }
}

fn at(ms: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_millis(1_000_000 + ms)
}

fn heartbeat(incarnation: Incarnation, number: u64, report: Option<PeerReport>) -> Heartbeat {
    Heartbeat {
        from: b(),
        identity: NodeIdentity(7),
        incarnation,
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
        peers: report.into_iter().collect(),
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

type Happen = fn(&mut World);
type Reload = Box<dyn Fn(&mut World)>;

const EVENTS: [(&str, Happen); 16] = [
    ("a heartbeat that heard us", |world| world.talks(Some(0))),
    ("a heartbeat that has not heard us for deadtime", |world| world.talks(Some(D))),
    ("a heartbeat that does not name us", |world| world.talks(None)),
    ("one that skips some numbers", |world| {
        world.number += 3;
        world.talks(Some(0));
    }),
    ("the newest one again, on the other link", |world| world.hears(OTHER, THEIRS, world.number.max(1), Some(0))),
    ("the newest one again", |world| world.hears(LINK, THEIRS, world.number.max(1), Some(0))),
    ("the first one again", |world| world.hears(LINK, THEIRS, 1, Some(0))),
    ("another run, that does not name us", |world| world.hears(LINK, NEXT, 1, None)),
    ("another run, recorded: names us, heard nothing new", |world| {
        world.hears(LINK, BEFORE, 700, Some(0));
    }),
    ("another run, that hears what we say", World::restarts),
    ("a heartbeat of the run before", |world| {
        let old = match world.members.peer(&b()).and_then(|peer| peer.incarnation) {
            Some(NEXT) => THEIRS,
            _ => BEFORE,
        };
        world.hears(LINK, old, world.number + 1, Some(0));
    }),
    ("silence of warntime", |world| world.pass(D / 2)),
    ("silence of deadtime", |world| world.pass(D)),
    ("we stood still for deadtime", |world| {
        world.now += D;
        world.members.paused(at(world.now), Duration::from_millis(D));
        world.pass(0);
    }),
    ("all our links were dead, and are back", |world| world.members.listen_anew(at(world.now))),
    ("it is taken out of the list and put back", |world| {
        let params = |peers| Params {
            local: NodeName::new("a"),
            incarnation: OURS,
            peers,
            keepalive: Duration::from_millis(K),
            deadtime: Duration::from_millis(D),
            warntime: Duration::from_millis(D / 2),
            initdead: Duration::from_millis(4 * D),
        };
        world.members.reconfigure(params(Vec::new()));
        world.members.reconfigure(params(vec![b()]));
    }),
];

/// Every state by the shortest way into it.
fn states() -> Vec<World> {
    let candidate = || {
        let mut world = World::new().silent(K);
        world.hears(LINK, THEIRS, 1, None);
        world.number = 1;
        world
    };
    let one_way_at_first = || {
        let mut world = World::new().silent(2 * D);
        world.talks(Some(D));
        world
    };
    vec![
        World::new().silent(K),
        World::new().silent(5 * D),
        candidate(),
        one_way_at_first(),
        World::new().counted(1),
        World::new().counted(4),
        World::new().counted(4).silent(D / 2),
        World::new().counted(4).deaf(D),
        World::new().counted(4).deaf(D).silent(D),
        World::new().counted(4).silent(D),
        World::new().counted(4).cloned(),
        World::new().counted(4).cloned().silent(D / 2),
    ]
}

/// R-MEM-2, R-MEM-3, R-MEM-5, R-WIRE-4: what is told, and what our next heartbeat says of the peer.
#[test]
fn every_state_of_a_peer_and_every_event() {
    let mut cells = Cells::default();
    for world in states() {
        for (event, happen) in EVENTS {
            let mut next = world.clone();
            next.changes.clear();
            let before = (world.state(), world.clone().said());
            happen(&mut next);
            let told: Vec<&str> = next.changes.iter().map(change).collect();
            let mut parts: Vec<String> = Vec::new();
            if next.state() != before.0 {
                parts.push(format!("-> {}", next.state()));
            }
            if !told.is_empty() {
                parts.push(format!("[{}]", told.join(", ")));
            }
            if next.said() != before.1 {
                parts.push(format!("({})", next.said()));
            }
            cells.note(&before.0, event, if parts.is_empty() { "-".into() } else { parts.join("  ") });
        }
    }
    for state in [Liveness::NeverSeen, Liveness::Alive, Liveness::OneWay, Liveness::Dead] {
        let name = liveness(state);
        assert!(cells.states().iter().any(|it| it.starts_with(name)), "{name}: stands in no table");
    }
    let head = "One peer as this node sees it (crates/membership): what comes of every event in every state.\n\
                -> the state after it, [what is told], (what our next heartbeat says of it, if that is another).\n\
                Where there are several, something else decides: whether it was ever heard, and on which link.";
    compare("membership-peer.txt", head, &cells.print("-"));
}

/// R-MEM-4
#[test]
fn every_state_of_a_link_and_every_event() {
    let moved = |world: &mut World, moved: &[(LinkId, LinkId)]| {
        world.members.renumber(&moved.iter().copied().collect::<BTreeMap<_, _>>());
    };
    let mut cells = Cells::default();
    let others = [
        World::new().counted(2),
        World::new().counted(3),
        World::new().counted(4).silent(D).counted(2),
        World::new().counted(3).silent(D - 1),
    ];
    for world in states().into_iter().chain(others) {
        let renumbered: [(&str, Reload); 3] = [
            ("a reload keeps it", Box::new(move |world| moved(world, &[(LINK, LINK)]))),
            ("a reload drops it", Box::new(move |world| moved(world, &[]))),
            ("a reload gives its number to another", Box::new(move |world| moved(world, &[(OTHER, LINK)]))),
        ];
        let events = EVENTS.into_iter().map(|(event, happen)| (event, Box::new(happen) as Reload));
        for (event, happen) in events.chain(renumbered) {
            let mut next = world.clone();
            next.changes.clear();
            happen(&mut next);
            let of_link =
                |it: &&Change| matches!(it, Change::LinkUp { link: LINK, .. } | Change::LinkDied { link: LINK, .. });
            let told: Vec<&str> = next.changes.iter().filter(of_link).map(change).collect();
            let mut parts: Vec<String> = Vec::new();
            if next.link() != world.link() {
                parts.push(format!("-> {}", next.link()));
            }
            if !told.is_empty() {
                parts.push(format!("[{}]", told.join(", ")));
            }
            cells.note(world.link(), event, if parts.is_empty() { "-".into() } else { parts.join("  ") });
        }
    }
    assert_eq!(cells.states(), ["down", "unknown", "up"]);
    let head = "One link to one peer (crates/membership): what comes of every event in every state, [what is told].\n\
                Where there are several, something else decides: how many packets came in a row, and whether they count.";
    compare("membership-link.txt", head, &cells.print("-"));
}
