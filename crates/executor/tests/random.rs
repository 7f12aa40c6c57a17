//! Random worlds: what must hold at every step, and that it comes to rest where the record wants it.
//!
//! At every step the world itself checks that no two operations run on one resource, and that nothing is started
//! without right, assignment, wire check, or before what stands before it in its group ([`world::World`]).

mod world;

use hearth_cib::Entry;
use hearth_executor::{AddressChange, ExecutorInput, Rights};
use hearth_types::*;
use proptest::prelude::*;
use std::time::Duration;
use world::{ALL, ME, NOTHING, World, model};

const GROUPS: [&str; 3] = ["10.0.0.1 /srv web", "10.0.0.2 db", "mail"];
const ADDRESSES: [&str; 2] = ["10.0.0.1", "10.0.0.2"];

#[derive(Clone, Debug)]
enum Step {
    Assign(usize),
    Unassign(usize),
    Finish(usize),
    Fail(usize, u8),
    Rights(u8),
    Disturb(usize, u8),
    Wire(usize, bool),
    Die(usize),
    Deliver,
    Show,
    Pass(u16),
    Configure(u8),
    Restart,
    Admit,
    StopAllOnLoss,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3usize).prop_map(Step::Assign),
        2 => (0..3usize).prop_map(Step::Unassign),
        12 => any::<usize>().prop_map(Step::Finish),
        4 => (any::<usize>(), 0..3u8).prop_map(|(at, how)| Step::Fail(at, how)),
        2 => (0..5u8).prop_map(Step::Rights),
        2 => (0..2usize, 0..4u8).prop_map(|(at, what)| Step::Disturb(at, what)),
        2 => (0..2usize, any::<bool>()).prop_map(|(at, clear)| Step::Wire(at, clear)),
        2 => any::<usize>().prop_map(Step::Die),
        4 => Just(Step::Deliver),
        4 => Just(Step::Show),
        3 => (0..15_000u16).prop_map(Step::Pass),
        1 => (0..6u8).prop_map(Step::Configure),
        1 => Just(Step::Restart),
        2 => Just(Step::Admit),
        1 => Just(Step::StopAllOnLoss),
    ]
}

/// A file as somebody might change it: members added, removed, moved, other parameters.
fn changed(which: u8) -> ResourceModel {
    let mut model = match which {
        0 => model(&["10.0.0.1 web", "10.0.0.2 db", "mail"]),
        1 => model(&["/srv 10.0.0.1 web", "10.0.0.2 db", "mail"]),
        2 => model(&["10.0.0.1 /srv", "10.0.0.2 web db", "mail"]),
        3 => model(&["10.0.0.1 /srv web", "mail"]),
        _ => model(&GROUPS),
    };
    if which == 5 {
        model.groups[0].resources[2].args = vec!["-x".into()];
    }
    model
}

fn take(world: &mut World, step: &Step) {
    match step {
        Step::Assign(at) => {
            let group = world.record.model.groups.get(*at).map(|group| group.id.clone());
            if let Some(group) = group {
                world.try_decide(Entry::Assign { group, node: ME.into(), reason: String::new() });
            }
        }
        Step::Unassign(at) => {
            let group = world.record.model.groups.get(*at).map(|group| group.id.clone());
            if let Some(group) = group {
                world.try_decide(Entry::Unassign { group, reason: String::new() });
            }
        }
        Step::Finish(at) if !world.ops.is_empty() => {
            world.finish_at(at % world.ops.len(), None);
        }
        Step::Fail(at, how) if !world.ops.is_empty() => {
            let outcome = match how {
                0 => OpOutcome::Failed { code: Some(1), message: "no".into() },
                1 => OpOutcome::TimedOut { message: String::new() },
                _ => OpOutcome::NotRunning,
            };
            let at = at % world.ops.len();
            let op = &world.ops[at];
            let looks = matches!(op.action, OpAction::Probe | OpAction::Monitor);
            // An agent may not know, but it does not call dead what runs.
            let lies = looks && *how == 2 && world.runs.contains_key(&op.resource.id);
            world.finish_at(at, (!lies).then_some(outcome));
        }
        Step::Rights(which) => world.rights(match which {
            0 => NOTHING,
            1 => Rights { keep: true, start: false, not_after: None },
            2 => Rights { keep: true, start: true, not_after: Some(world.now + Duration::from_secs(2)) },
            _ => ALL,
        }),
        Step::Disturb(at, what) => {
            let changes = [
                AddressChange::Removed,
                AddressChange::Expired,
                AddressChange::LifetimeChanged,
                AddressChange::InterfaceGone,
            ];
            world.disturb(ADDRESSES[*at], changes[usize::from(*what)]);
        }
        Step::Wire(at, clear) => world.wire(ADDRESSES[*at], (!clear).then_some("aa:bb")),
        Step::Die(at) => {
            let scripts = ["web", "db", "mail", "/srv"];
            world.runs.remove(&ResourceId::from(scripts[at % scripts.len()]));
        }
        Step::Deliver => world.deliver(),
        Step::Show => world.show(),
        Step::Pass(span) => world.pass(Duration::from_millis(u64::from(*span))),
        Step::Configure(which) => {
            let model = changed(*which);
            let nodes = world.record.node_order.clone();
            world.try_decide(Entry::Configure { model, digest: u64::from(*which), nodes });
        }
        Step::Restart => world.restart(),
        Step::Admit if world.record.nodes[&NodeName::from(ME)].incarnation != world.incarnation => world.admit(),
        Step::StopAllOnLoss => world.stop_all_on_loss(),
        _ => {}
    }
}

/// Faults have ceased.
fn heal(world: &mut World) {
    world.rights(ALL);
    if world.record.nodes[&NodeName::from(ME)].incarnation != world.incarnation {
        world.admit();
    }
    for address in ADDRESSES {
        world.handle(ExecutorInput::AddressHome { resource: address.into(), present: true });
    }
    for _ in 0..60 {
        world.run();
        for address in ADDRESSES {
            if world.need_wire.contains(&ResourceId::from(address)) {
                world.wire(address, None);
            }
        }
        world.run();
        world.pass(Duration::from_secs(6));
    }
    world.run();
}

/// Protocol section 8, 8: what the record wants here runs, with the parameters it wants; nothing else does.
fn check_rest(world: &World) {
    let me = NodeName::from(ME);
    for (_, spec) in world.record.model.resources() {
        let wanted = world.record.wants(&spec.id, &me).is_some();
        let group = world.record.model.resource(&spec.id).map(|(group, _)| group).expect("in the model");
        let mut before = group.resources.iter().take_while(|member| member.id != spec.id);
        let startable = before.all(|member| world.record.wants(&member.id, &me).is_some());
        match world.runs.get(&spec.id) {
            Some(running) => {
                assert!(wanted, "{} runs and is not wanted", spec.id);
                assert_eq!(running.args, spec.args, "{} runs with other parameters", spec.id);
            }
            None => assert!(
                !wanted || !startable,
                "{} is wanted and does not run: {:?}",
                spec.id,
                world.waits(spec.id.as_str())
            ),
        }
        assert_eq!(wanted, world.record.flag(&spec.id, &me).is_some(), "{} is flagged for nothing", spec.id);
    }
    assert!(world.record.orphans.is_empty(), "an orphan stays: {:?}", world.record.orphans.keys());
    assert_eq!(world.executor.unconfirmed_reports().count(), 0);
    let known = |id: &&ResourceId| world.record.model.resource(id).is_some();
    assert!(world.runs.keys().all(|id| known(&id)), "something runs that nobody knows: {:?}", world.runs.keys());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn comes_to_rest_where_the_record_wants_it(steps in proptest::collection::vec(step(), 1..80)) {
        let mut world = World::ready(&GROUPS);
        for step in &steps {
            take(&mut world, step);
        }
        heal(&mut world);
        check_rest(&world);
    }
}
