//! Worlds that have a beginning in common live it once.

use crate::faults::{Fault, Plan};
use crate::stories::Story;
use hearth_sim::swarm::{self, Run};
use hearth_sim::{Act, World};
use hearth_types::Timestamp;
use std::time::Duration;

/// A world on its way through a plan.
pub struct Walk {
    /// As it is now.
    pub world: World,
    began: Timestamp,
    /// So many acts of the plan have been done.
    played: usize,
}

impl Walk {
    /// At the beginning of a story.
    pub fn begin(story: &Story) -> Walk {
        let world = World::new(story.run.layout.clone(), story.run.seed, None);
        Walk { began: world.site.now, world, played: 0 }
    }

    /// Goes on until just before what fault `by` does at a moment.
    pub fn until(&mut self, plan: &Plan, at: Duration, by: usize) {
        while let Some((when, act)) = plan.before(self.played, at, by) {
            self.act(when, act);
        }
        self.world.run_before(self.began + at);
    }

    fn act(&mut self, at: Duration, act: &Act) {
        self.wait(at);
        self.world.act(act);
        self.played += 1;
    }

    fn wait(&mut self, at: Duration) {
        self.world.run((self.began + at).since(self.world.site.now));
    }

    /// A second one that goes its own way from here on; its story begins here.
    pub fn fork(&mut self) -> Walk {
        self.world.site.story.clear();
        for machine in &mut self.world.site.machines {
            machine.events.clear();
        }
        let world = self.world.fork().expect("epochs of small worlds are short, and nothing is recorded");
        Walk { world, ..*self }
    }

    /// Goes on to the end of a plan whose beginning is behind it; then all heals as at the end of that run, and is believed
    /// to be well when it has been for as long as the swarm demands, or has been quiet for so long.
    pub fn end(mut self, plan: &Plan, run: &Run, quiet: Option<Duration>) -> World {
        for (at, act) in plan.rest(self.played) {
            self.act(at, act);
        }
        self.wait(plan.end());
        swarm::conclude(&mut self.world, run, quiet);
        self.world
    }

    /// What of a fault is left without all that would do nothing at this moment. Of what comes later nothing is known, but
    /// for the second fault of a world: where its freeze does nothing, nothing is frozen any more when its thaw comes.
    /// For either no daemon runs there, or the first fault has frozen it, and thaws it no later.
    pub fn effect(&self, fault: &Fault, is_second: bool) -> Fault {
        let does_nothing = |(after, act): &(Duration, Act)| match act {
            Act::Thaw(node) => is_second && self.world.ignores(&Act::Freeze(*node)),
            _ => after.is_zero() && self.world.ignores(act),
        };
        fault.iter().filter(|part| !does_nothing(part)).cloned().collect()
    }
}
