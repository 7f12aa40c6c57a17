//! Who may change the record and who serves, by the wire versions that the programs of the machines speak (R-WIRE-6): whole
//! clusters, every mix of two versions, judged by what machines really do.

#[path = "../../../tests/tables/table.rs"]
mod table;

use hearth_sim::layout::{Layout, address, group, ms};
use hearth_sim::{Act, World};
use hearth_types::ResourceId;
use hearth_wire::NEWEST_VERSION;
use table::{aligned, compare};

const IP: &str = "10.0.0.50";
/// Longer than initdead, and than anything that must follow a start.
const SETTLED: std::time::Duration = ms(4000);

/// The version before the newest one, and the newest one.
const VERSIONS: [u8; 2] = [NEWEST_VERSION - 1, NEWEST_VERSION];

/// Installs on each machine what its bit says.
fn install(world: &mut World, nodes: usize, newer: u32) {
    for node in 0..nodes {
        world.act(&Act::Package(node, VERSIONS[usize::from(newer & (1 << node) != 0)]));
    }
}

/// All run by `before`; if there is an `after`, they lose power and come up with that.
fn put(nodes: usize, before: u32, after: Option<u32>) -> World {
    let mut layout = Layout::new(nodes);
    layout.links.truncate(1);
    layout.timing.keepalive = ms(100);
    layout.variants = vec![vec![group(&["a"], vec![address(IP)])]];
    (layout.unfenced, layout.tiebreaker) = (nodes == 2, false);
    let mut world = World::new(layout, 1, None);
    install(&mut world, nodes, before);
    (0..nodes).for_each(|node| world.act(&Act::Start(node)));
    world.run(SETTLED);
    if let Some(after) = after {
        (0..nodes).for_each(|node| world.act(&Act::PowerOff(node)));
        install(&mut world, nodes, after);
        world.run(ms(500));
        (0..nodes).for_each(|node| world.act(&Act::Start(node)));
        world.run(SETTLED);
    }
    world
}

fn name(node: usize) -> String {
    char::from(b'a' + node as u8).to_string()
}

fn names(nodes: impl Iterator<Item = usize>) -> String {
    let names: Vec<String> = nodes.map(name).collect();
    if names.is_empty() { "nobody".into() } else { names.join(" ") }
}

/// Which version is in use, who has a quorum, who takes part by the word of those, and who serves.
fn judge(world: &World, nodes: usize) -> [String; 4] {
    let statuses: Vec<_> = (0..nodes).map(|node| world.site.status(node)).collect();
    let with_quorum = |node: &usize| statuses[*node].as_ref().is_some_and(|status| status.quorum);
    let asked = (0..nodes).find(with_quorum).and_then(|node| statuses[node].as_ref());
    let online = |node: &usize| asked.is_some_and(|status| status.nodes[*node].online);
    let answers = |node: &usize| world.site.machines[*node].answers_until(&ResourceId::from(IP)) > world.site.now;
    let serving: Vec<usize> = (0..nodes).filter(answers).collect();
    assert!(serving.len() <= 1, "{serving:?} serve");
    let wire = asked.and_then(|status| status.wire).map_or("-".into(), |wire| wire.to_string());
    [wire, names((0..nodes).filter(with_quorum)), names((0..nodes).filter(online)), names(serving.into_iter())]
}

/// R-WIRE-6: one version is crossed at a time, all together, and never back by itself.
#[test]
fn every_mix_of_two_wire_versions() {
    let head = ["machines", "before", "newer program", "wire", "quorum", "take part", "serves"];
    let mut lines = vec![head.map(String::from).to_vec()];
    let mut mixes = 0;
    for nodes in [2, 3] {
        let all = (1 << nodes) - 1;
        let situations =
            [("the first start", None), ("all older, blackout", Some(0)), ("all newer, blackout", Some(all))];
        for (before, earlier) in situations {
            for newer in 0..=all {
                let world = match earlier {
                    None => put(nodes, newer, None),
                    Some(earlier) => put(nodes, earlier, Some(newer)),
                };
                assert!(world.complaints.is_empty(), "{nodes}, {before}, {newer:b}: {:?}", world.complaints);
                mixes += 1;
                let newer = names((0..nodes).filter(|node| newer & (1 << node) != 0));
                lines.push([[nodes.to_string(), before.into(), newer].as_slice(), &judge(&world, nodes)].concat());
            }
        }
    }
    compare("versions.txt", HEAD, &format!("{mixes} mixes\n\n{}", aligned(&lines)));
}

const HEAD: &str = "Who may change the record, and who serves, by who has the newer of two programs, one wire version apart. Whole\n\
                    clusters in virtual time, 4 s later, all links whole. a is preferred; two machines are under permit unfenced.";
