//! Who may change the record and who serves, for every set of voters that hear each other: whole clusters, every one of
//! them put into the situation and asked, and judged by what machines really do.

#[path = "../../../tests/tables/table.rs"]
mod table;

use hearth_sim::layout::{Layout, address, group, ms};
use hearth_sim::{Act, World};
use hearth_types::ResourceId;
use std::collections::BTreeMap;
use table::{aligned, compare};

const IP: &str = "10.0.0.50";
/// Longer than initdead, and than anything that must follow a split.
const SETTLED: std::time::Duration = ms(3000);

/// What was before the set was alone with itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Before {
    /// All ran; then the network split, silently.
    Split,
    /// All ran and lost power; these came up again.
    Blackout,
    /// These are the first that ever ran.
    First,
    /// The first machine of two ran alone when both lost power; then as after a blackout.
    AloneA,
    /// The second one did.
    AloneB,
}

/// In words. Complete by the compiler.
fn before_name(before: Before) -> &'static str {
    match before {
        Before::Split => "all ran, and the network split",
        Before::Blackout => "all ran, blackout, these came up",
        Before::First => "the first start, of these alone",
        Before::AloneA => "a ran alone, blackout, these came up",
        Before::AloneB => "b ran alone, blackout, these came up",
    }
}

#[derive(Clone, Copy)]
struct Permit {
    name: &'static str,
    unfenced: bool,
    /// Machines that reach the ping target, as bits; none: no tiebreaker.
    reach: Option<u32>,
}

/// Of one and two machines; of more no permit exists (R-LEDGER-4).
const PERMITS: [Permit; 6] = [
    Permit { name: "none", unfenced: false, reach: None },
    Permit { name: "unfenced", unfenced: true, reach: None },
    Permit { name: "ping, all reach it", unfenced: false, reach: Some(0b11) },
    Permit { name: "ping, a reaches it", unfenced: false, reach: Some(0b01) },
    Permit { name: "ping, b reaches it", unfenced: false, reach: Some(0b10) },
    Permit { name: "ping, nobody does", unfenced: false, reach: Some(0) },
];

fn members(nodes: usize, set: u32) -> Vec<usize> {
    (0..nodes).filter(|node| set & (1 << node) != 0).collect()
}

/// A cluster of which these are alone with themselves.
fn put(nodes: usize, before: Before, permit: Permit, set: u32) -> World {
    let mut layout = Layout::new(nodes);
    layout.links.truncate(1);
    layout.timing.keepalive = ms(100);
    layout.variants = vec![vec![group(&["a"], vec![address(IP)])]];
    (layout.unfenced, layout.tiebreaker) = (permit.unfenced, permit.reach.is_some());
    let mut world = World::new(layout, 1, None);
    let all: Vec<usize> = (0..nodes).collect();
    let reach = |world: &mut World| {
        for node in 0..nodes {
            let reaches = permit.reach.is_none_or(|bits| bits & (1 << node) != 0);
            world.act(&Act::Ping(node, reaches));
        }
    };
    if before == Before::First {
        reach(&mut world);
    } else {
        all.iter().for_each(|node| world.act(&Act::Start(*node)));
        world.run(ms(2000));
    }
    match before {
        Before::First => {}
        Before::Split => {
            reach(&mut world);
            world.act(&Act::Split(members(nodes, set)));
        }
        Before::Blackout => {
            all.iter().for_each(|node| world.act(&Act::PowerOff(*node)));
            reach(&mut world);
        }
        Before::AloneA | Before::AloneB => {
            let first = usize::from(before == Before::AloneB);
            world.act(&Act::PowerOff(1 - first));
            world.run(ms(2000));
            world.act(&Act::PowerOff(first));
            reach(&mut world);
        }
    }
    if before != Before::Split {
        world.run(ms(500));
        members(nodes, set).iter().for_each(|node| world.act(&Act::Start(*node)));
    }
    world.run(SETTLED);
    world
}

/// Whether any of them may change the record, and how many of them answer for the address.
fn judge(world: &World, set: &[usize]) -> (bool, usize) {
    let has = |node: &usize| world.site.status(*node).is_some_and(|status| status.quorum);
    let now = world.site.now;
    let answers = |node: &&usize| world.site.machines[**node].answers_until(&ResourceId::from(IP)) > now;
    (set.iter().any(has), set.iter().filter(answers).count())
}

fn outcome(world: &World, nodes: usize, set: u32) -> String {
    let set = members(nodes, set);
    let (quorum, serving) = judge(world, &set);
    assert!(serving <= 1, "{serving} of those that hear each other serve");
    // R-LEDGER-2: a majority has a quorum by itself, and nothing but a majority where no permit exists.
    if nodes > 2 {
        assert_eq!(quorum, quorum && 2 * set.len() > nodes, "a quorum without a majority");
        assert!(serving == 0 || quorum, "served without a quorum");
    }
    match (quorum, serving) {
        (true, 0) => "quorum, serves nothing",
        (true, _) => "quorum, serves",
        (false, 0) => "no quorum, serves nothing",
        (false, _) => "no quorum, serves",
    }
    .into()
}

type Key = (usize, Before, usize, usize, bool);
type Rows = BTreeMap<Key, BTreeMap<String, Vec<u32>>>;

/// Every situation of a cluster of that size.
fn of(nodes: usize) -> Rows {
    let mut rows = Rows::new();
    for (number, permit) in PERMITS.into_iter().enumerate() {
        let alike = nodes != 2 && number != 1 || nodes == 1 && permit.reach.is_some();
        if alike {
            continue;
        }
        let histories = [Before::Split, Before::Blackout, Before::First, Before::AloneA, Before::AloneB];
        for before in histories {
            let alone = matches!(before, Before::AloneA | Before::AloneB);
            // Without a permit nobody ever ran alone.
            if alone && (nodes != 2 || number == 0) {
                continue;
            }
            for set in 1..1_u32 << nodes {
                let rest = !set & ((1 << nodes) - 1);
                if before == Before::Split && set < rest {
                    continue;
                }
                let world = put(nodes, before, permit, set);
                let sides = if before == Before::Split { vec![set, rest] } else { vec![set] };
                for side in sides.into_iter().filter(|side| *side != 0) {
                    let key = (nodes, before, number, side.count_ones() as usize, side & 1 == 0);
                    let outcomes = rows.entry(key).or_default();
                    outcomes.entry(outcome(&world, nodes, side)).or_default().push(side);
                }
                assert!(world.complaints.is_empty(), "{nodes} {}: {:?}", before_name(before), world.complaints);
            }
        }
    }
    rows
}

/// R-LEDGER-2, R-LEDGER-4, R-JOIN-1, R-JOIN-2, R-MEM-8
#[test]
fn every_set_of_voters() {
    let mut rows = Rows::new();
    std::thread::scope(|scope| {
        let parts: Vec<_> = (1..=7).rev().map(|nodes| scope.spawn(move || of(nodes))).collect();
        parts.into_iter().for_each(|part| rows.extend(part.join().expect("no panic")));
    });
    compare("quorum.txt", HEAD, &print(&rows));
}

const HEAD: &str = "Who may change the record, and who serves: every set of voters that hear each other and nobody else.\n\
                    Whole clusters in virtual time, 3 s later. a owned the address before. Of a split both sides stand here.\n\
                    sets: how many there are of that size, with or without a, and all of them do the same.";

fn print(rows: &Rows) -> String {
    let head = ["voters", "before", "permit", "they are", "sets", "what they do"].map(String::from).to_vec();
    let mut lines = vec![head];
    let mut worlds = 0;
    for ((nodes, before, permit, size, without), outcomes) in rows {
        for (outcome, sets) in outcomes {
            worlds += sets.len();
            let names = |set: &u32| members(*nodes, *set).iter().map(|node| char::from(b'a' + *node as u8)).collect();
            let owner = if *without { "without a" } else { "with a" };
            let who = match (outcomes.len(), *nodes) {
                (1, 3..) => format!("{size} of {nodes}, {owner}"),
                _ => sets.iter().map(names).collect::<Vec<String>>().join(" "),
            };
            let permit = if *nodes > 2 { "-" } else { PERMITS[*permit].name };
            let cells = [before_name(*before), permit].map(String::from);
            let [before, permit] = cells;
            lines.push(vec![nodes.to_string(), before, permit, who, sets.len().to_string(), outcome.clone()]);
        }
    }
    format!("{worlds} sets\n\n{}", aligned(&lines))
}
