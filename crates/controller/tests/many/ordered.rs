//! `hearth node add` and `hearth node remove` (decision 0059): one order on one machine, the same files on all.

use crate::list::{all_is_well, begun, list, restart};
use crate::world::*;
use hearth_control::{Reply, Request};
use hearth_types::{NodeName, ResourceId};

const IP: &str = "10.0.0.50";

fn add(name: &str) -> Request {
    Request::NodeAdd { node: name.into(), ucast: Vec::new() }
}

fn remove(name: &str) -> Request {
    Request::NodeRemove { node: name.into() }
}

fn ordered(world: &mut World, node: usize, request: Request) -> Reply {
    let token = world.request(node, request);
    world.run_to(ms(8000), "an answer", |world| world.answered(token).is_some());
    world.answered(token).cloned().expect("an answer")
}

fn done(world: &mut World, node: usize, request: Request) -> String {
    match ordered(world, node, request) {
        Reply::Done { text, .. } => text,
        other => panic!("{other:?}\n{}", world.story()),
    }
}

fn refused(world: &mut World, node: usize, request: Request, words: &str) {
    match ordered(world, node, request) {
        Reply::Refused { reason, .. } => assert!(reason.contains(words), "{words}: {reason}"),
        other => panic!("{words}: {other:?}"),
    }
}

fn named(world: &World, node: usize) -> Vec<NodeName> {
    world.machines[node].config.cluster.nodes.clone()
}

fn names(count: usize) -> Vec<NodeName> {
    NAMES[..count].iter().copied().map(NodeName::new).collect()
}

/// R-JOIN-3, R-LEAVE-2: the new one is started with the files of the others, and waits for admission as any other.
#[test]
fn a_machine_is_named_on_one_node_only() {
    for (from, by) in [(2, B), (3, A), (3, C)] {
        let mut world = begun(4, from);
        let text = done(&mut world, by, add(NAMES[from]));
        assert!(text.contains(&format!("{} stands in the ha.cf of a, b", NAMES[from])), "{text}");
        for node in 0..from {
            assert_eq!(named(&world, node), names(from + 1), "{from} {node}");
        }
        list(&mut world, from + 1);
        world.start(from);
        all_is_well(&mut world, from + 1);
        assert_eq!(world.longest_gap, ms(0), "{from}: a gap\n{}", world.story());
    }
}

/// R-LEAVE-1, R-LEDGER-4: it stops in order first, whatever it is; what ran there moves, nothing else is touched.
#[test]
fn a_machine_is_taken_out_while_it_runs_something() {
    for (gone, serves, leads) in [(3, false, false), (3, true, false), (A, false, true), (A, true, true)] {
        let mut world = begun(4, 4);
        if world.owner() != Some(if serves { gone } else { B }) {
            world.move_to(if serves { gone } else { B });
        }
        assert_eq!(world.dc() == gone, leads, "{}", world.story());
        world.watch(IP);
        let by = if gone == A { B } else { A };
        let text = done(&mut world, by, remove(NAMES[gone]));
        assert!(text.starts_with(&format!("{} is out; the nodes are ", NAMES[gone])), "{text}");
        world.run(ms(2000));
        let stay: Vec<usize> = (0..4).filter(|node| *node != gone).collect();
        for node in stay {
            assert!(!named(&world, node).contains(&NodeName::new(NAMES[gone])));
            let status = world.status(node);
            let votes = status.epoch.map(|epoch| epoch.voters.len());
            assert_eq!((status.health.as_str(), votes), ("ok", Some(3)), "{}\n{}", status.summary, world.story());
        }
        assert!(world.machines[gone].halted && world.machines[gone].running.is_empty());
        // A planned move of an address, or nothing.
        let bound = if serves { ms(20) } else { ms(0) };
        assert!(world.longest_gap <= bound, "{gone} {serves}: {:?}\n{}", world.longest_gap, world.story());
        assert!(world.faults.is_empty(), "{:?}", world.faults);
    }
}

/// R-LEDGER-4, R-TAKE-1. Harm: an order leaves a pair of three, nobody, or two lists behind.
#[test]
fn an_order_that_would_harm_is_carried_out() {
    let mut world = begun(3, 3);
    refused(&mut world, A, remove("c"), "from three to two is a change from votes to permits");
    refused(&mut world, A, remove("a"), "a is this node itself");
    refused(&mut world, A, remove("x"), "there is no node x; there are: a, b, c");
    let mut world = begun(2, 2);
    refused(&mut world, A, remove("b"), "a pair is not made smaller while it runs");
    let mut world = begun(1, 1);
    refused(&mut world, A, remove("a"), "a is this node itself");
    // Another machine is off: its file would go on saying something else.
    let mut world = begun(5, 4);
    world.power_off(C);
    world.run(ms(2000));
    refused(&mut world, A, remove("d"), "c does not take part");
    refused(&mut world, A, add("e"), "c does not take part");
    assert!((0..2).all(|node| named(&world, node) == names(4)));
    done(&mut world, A, remove("c"));
    // What is lost and may still run something.
    let mut world = World::new(4, vec![group("d", vec![address(IP), script("web")])]);
    (0..4).for_each(|node| world.start(node));
    world.run_to(ms(4000), "d serves", |world| world.machines[3].running.contains_key(&ResourceId::from("web")));
    world.run(ms(1500));
    world.split(&[3]);
    world.run(ms(3000));
    refused(&mut world, A, remove("d"), "d is taken out, and web may still run there");
    assert!((0..3).all(|node| named(&world, node) == names(4)));
}

/// R-WIRE-6. Harm: a daemon that drops what it does not know is waited for, and half a minute later nobody knows why nothing
/// was done.
#[test]
fn an_order_waits_for_a_daemon_that_does_not_know_it() {
    for (count, old, request) in [(3, C, add("d")), (4, C, remove("d")), (4, 3, remove("d"))] {
        let mut world = World::new(4, vec![group("a", vec![address(IP)])]);
        list(&mut world, count);
        world.machines[old].config.cluster.wire_version = 3;
        (0..count).for_each(|node| world.start(node));
        world.run(ms(3000));
        let token = world.request(A, request);
        world.run(ms(20));
        match world.answered(token) {
            Some(Reply::Refused { reason, help, .. }) => {
                assert!(reason.contains(&format!("{} speaks wire version 3", NAMES[old])), "{reason}");
                assert!(help.as_deref().is_some_and(|way| way.contains("upgrade hearthd")), "{help:?}");
            }
            other => panic!("{other:?}\n{}", world.story()),
        }
        assert!((0..count).all(|node| named(&world, node) == names(count)));
    }
}

/// Harm: a daemon that is killed in the middle of the change, or the one that ordered it, comes back to a list of its own.
#[test]
fn a_daemon_is_killed_in_the_middle_of_an_order() {
    for dies in [A, B] {
        for after in [0, 1, 2, 4, 5, 6, 7, 8, 100, 600, 800, 840, 850, 852, 854, 856, 858, 860, 864, 900] {
            for more in [true, false] {
                let mut world = if more { begun(4, 3) } else { begun(4, 4) };
                let request = || if more { add("d") } else { remove("d") };
                world.request(A, request());
                world.run(ms(after));
                restart(&mut world, dies);
                world.run(ms(3000));
                let lists = [names(3), names(4)];
                assert!((0..3).all(|node| lists.contains(&named(&world, node))), "{dies} {after} {more}");
                // The same order again brings the rest after.
                match ordered(&mut world, C, request()) {
                    Reply::Done { .. } => {}
                    Reply::Refused { reason, .. } if reason.contains("there is no node d") => {}
                    other => panic!("{dies} {after} {more}: {other:?}\n{}", world.story()),
                }
                let count = if more { 4 } else { 3 };
                assert!((0..3).all(|node| named(&world, node) == names(count)), "{dies} {after} {more}");
                if more {
                    list(&mut world, 4);
                    world.start(3);
                }
                all_is_well(&mut world, count);
                assert!(world.longest_gap <= ms(20), "{dies} {after}: {:?}\n{}", world.longest_gap, world.story());
            }
        }
    }
}
