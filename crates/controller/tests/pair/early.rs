//! A stop that is asked for before the daemon has looked what runs.

use crate::world::*;
use hearth_controller::Input;
use hearth_types::ResourceId;

const SERVICE: &str = "web";

/// Something runs on A that no daemon of this boot has started.
fn left_over(world: &mut World) {
    world.machines[A].running.insert(ResourceId::from(SERVICE), script(SERVICE));
}

fn stopped_in_order(world: &mut World, case: &str) {
    world.feed(A, Input::Shutdown { by: "SIGTERM".into() });
    world.run_to(ms(20_000), case, |world| world.machines[A].halted);
    assert!(world.has_event(A, "stopped"), "{case}\n{}", world.story());
    let left: Vec<_> = world.machines[A].running.keys().collect();
    assert!(left.is_empty(), "{case}: stopped in order while {left:?} run\n{}", world.story());
}

#[test]
fn r_leave_1_a_daemon_says_stopped_only_after_it_has_looked_what_runs() {
    for with_peer in [false, true] {
        for known in [false, true] {
            for moment in [0, 1, 3, 10, 30, 100, 300, 1000, 3000] {
                let mut world = World::new(vec![group("a", vec![script(SERVICE)])], false);
                if known {
                    world.start(A);
                    world.start(B);
                    world.run(ms(3000));
                    world.power_off(A);
                    world.power_off(B);
                }
                left_over(&mut world);
                if with_peer {
                    world.start(B);
                    world.run(ms(1));
                }
                world.start(A);
                world.run(ms(moment));
                let case = format!("stop {moment} ms after the start, peer {with_peer}, state known {known}");
                stopped_in_order(&mut world, &case);
            }
        }
    }
}

#[test]
fn r_leave_1_a_stop_that_fails_is_never_called_in_order() {
    let mut world = World::new(vec![group("a", vec![script(SERVICE)])], false);
    left_over(&mut world);
    world.machines[A].fail.insert((hearth_types::OpAction::Stop, ResourceId::from(SERVICE)));
    world.start(A);
    world.feed(A, Input::Shutdown { by: "SIGTERM".into() });
    world.run(ms(20_000));
    let machine = &world.machines[A];
    assert!(!machine.halted || machine.running.is_empty(), "{}", world.story());
}
