//! One machine that must be turned off, as a table: every state of it, and what comes of every event.

#[path = "../../../tests/tables/table.rs"]
mod table;

use hearth_fencer::Fence;
use hearth_types::{FenceId, Timestamp};
use std::time::Duration;
use table::{Cells, compare};

/// The order that runs, where one does, and the next one.
const OURS: FenceId = FenceId(7);
const NEXT: FenceId = FenceId(8);

/// A machine that two devices can turn off, each alone or only both, and the moment.
struct World {
    fence: Fence,
    now: Timestamp,
}

impl World {
    /// Devices 0, 1, ...; the first order after a delay of so many seconds.
    fn new(devices: usize, delay: u64) -> World {
        let now = Timestamp(100_000_000_000);
        let levels = (0..devices).map(|device| vec![device]).collect();
        World { fence: Fence::new(now, "b".into(), levels, Duration::from_secs(delay)), now }
    }

    /// Two devices that must both work.
    fn both() -> World {
        let now = Timestamp(100_000_000_000);
        World { fence: Fence::new(now, "b".into(), vec![vec![0, 1]], Duration::ZERO), now }
    }

    /// The next device is ordered as soon as it is due.
    fn order(mut self) -> World {
        self.now = self.fence.next_deadline(self.now).unwrap_or(self.now);
        self.fence.ordered(self.now, OURS);
        assert!(self.fence.is_running());
        self
    }

    /// So many orders have failed.
    fn failed(mut self, times: usize) -> World {
        for _ in 0..times {
            self = self.order();
            assert!(self.fence.finished(self.now, OURS, &Err("no power".into())).is_some());
        }
        self
    }

    fn said(mut self) -> World {
        assert!(self.fence.finished(self.now, OURS, &Ok(String::new())).is_some());
        self
    }

    /// Both are to switch on again, and the first one is told to.
    fn order_on(mut self) -> World {
        self.fence.switch_on(vec![0, 1]);
        self.fence.ordered_on(self.now, OURS);
        self
    }

    /// What it asks for, in words.
    fn tell(&self) -> String {
        let device = |number: usize| ["the first device", "the second device"][number];
        if self.fence.confirmed().is_some() {
            let names: Vec<&str> = self.fence.level().iter().map(|at| device(*at)).collect();
            let on = match (self.fence.device(), self.fence.due_on()) {
                (Some(at_it), None) => format!("; {} switches on again", device(at_it)),
                (None, Some(due)) => format!("; {} is due to switch on again", device(due)),
                (None, None) => String::new(),
                other => panic!("two things at once: {other:?}"),
            };
            return format!("{} said that it is off{on}", names.join(" and "));
        }
        assert_eq!(self.fence.due_on(), None, "nothing is switched on before all have confirmed");
        match (self.fence.device(), self.fence.due(self.now), self.fence.next_deadline(self.now)) {
            (Some(at_it), None, None) => format!("{} is at it", device(at_it)),
            (None, Some(due), None) => format!("{} is due", device(due.device)),
            (None, None, Some(at)) => {
                let due = self.fence.due(at).expect("what a deadline is for");
                format!("{} in {} s", device(due.device), at.since(self.now).as_secs())
            }
            (None, None, None) => "nothing can be done".into(),
            other => panic!("two things at once: {other:?}"),
        }
    }
}

type Happens = fn(&mut World) -> Option<bool>;

const EVENTS: [(&str, Happens); 10] = [
    ("a second passes", |world| {
        world.now = world.now + Duration::from_secs(1);
        None
    }),
    ("a minute passes", |world| {
        world.now = world.now + Duration::from_secs(60);
        None
    }),
    ("(an order to what is due)", |world| {
        world.fence.ordered(world.now, NEXT);
        None
    }),
    ("(an order to switch on again)", |world| {
        world.fence.ordered_on(world.now, NEXT);
        None
    }),
    ("its order: done", |world| Some(world.fence.finished(world.now, OURS, &Ok(String::new())).is_some())),
    ("its order: failed", |world| Some(world.fence.finished(world.now, OURS, &Err("no power".into())).is_some())),
    ("an older order: done", |world| Some(world.fence.finished(world.now, FenceId(3), &Ok(String::new())).is_some())),
    ("an older order: failed", |world| {
        Some(world.fence.finished(world.now, FenceId(3), &Err("late".into())).is_some())
    }),
    ("a person wants it now", |world| {
        let levels = if world.fence.level().len() == 2 { vec![vec![0, 1]] } else { vec![vec![0], vec![1]] };
        world.fence.hurry(world.now, levels);
        None
    }),
    ("not before 30 s (loop limit)", |world| {
        world.fence.put_off(world.now + Duration::from_secs(30));
        None
    }),
];

/// R-PAIR-1, R-PAIR-2, R-PAIR-3
#[test]
fn every_state_of_a_fence_and_every_event() {
    let states: [(&str, World); 16] = [
        ("01 no device that this node can use", World::new(0, 0)),
        ("02 waits 20 s for its turn", World::new(2, 20)),
        ("03 its turn", World::new(2, 0)),
        ("04 the first device is at it", World::new(2, 0).order()),
        ("05 the first device has failed", World::new(2, 0).failed(1)),
        ("06 the second device is at it", World::new(2, 0).failed(1).order()),
        ("07 both have failed", World::new(2, 0).failed(2)),
        ("08 both have failed, and at it again", World::new(2, 0).failed(2).order()),
        ("09 both have failed ten times", World::new(2, 0).failed(20)),
        ("10 confirmed", World::new(2, 0).order().said()),
        ("11 only both count: the first device is at it", World::both().order()),
        ("12 only both count: the first device has confirmed", World::both().order().said()),
        ("13 only both count: the second device is at it", World::both().order().said().order()),
        ("14 only both count: the second device has failed", World::both().order().said().failed(1)),
        ("15 only both count: both have confirmed", World::both().order().said().order().said()),
        (
            "16 only both count: the first device switches on again",
            World::both().order().said().order().said().order_on(),
        ),
    ];
    let mut cells = Cells::default();
    for (state, world) in &states {
        for (event, happens) in EVENTS {
            let mut after = World { fence: world.fence.clone(), now: world.now };
            let taken = happens(&mut after);
            // Only the word on its own order says that it is off.
            let new = after.fence.confirmed().is_some() && world.fence.confirmed().is_none();
            assert!(!new || event == "its order: done", "{state}, {event}");
            let same = after.fence == world.fence && after.tell() == world.tell();
            let outcome = if same || taken == Some(false) { "-".to_owned() } else { after.tell() };
            cells.note(state, event, outcome);
        }
    }
    let head = "One machine that must be turned off, by two devices (crates/fencer/src/fence.rs).";
    compare("fence.txt", head, &cells.print("-"));
}
