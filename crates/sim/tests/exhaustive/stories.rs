//! What goes well by itself: a takeover, a heal, a standby, a join.

use hearth_sim::layout::{Layout, address, group, ms, script};
use hearth_sim::swarm::{Run, Step};
use hearth_sim::{Act, World};
use std::time::Duration;

/// A run in which nothing is wrong but what its name says, and from when on its steps count.
pub struct Story {
    /// What it is, and under which permit.
    pub name: String,
    /// All of it.
    pub run: Run,
    /// When what it is named for begins, since the beginning of the run.
    pub from: Duration,
}

/// Both machines are up and rest after this long.
const RESTED: Duration = ms(2500);
/// A takeover without fencing is over after this long: deadtime, the wait for the lease, starts.
const ALONE: Duration = ms(1500);

/// Two machines, a group for each, and what permits one to go on alone.
pub fn layout(tiebreaker: bool) -> Layout {
    let mut layout = Layout::new(2);
    layout.tiebreaker = tiebreaker;
    layout.unfenced = !tiebreaker;
    layout.variants =
        vec![vec![group(&["a"], vec![address("10.0.0.50"), script("web")]), group(&["b"], vec![address("10.0.0.51")])]];
    layout
}

/// Acts before the story, and acts of the story, each with the time that passes after it.
type Acts = Vec<(Act, Duration)>;

fn told(name: &str) -> (Acts, Acts) {
    let off = || vec![(Act::PowerOff(1), ALONE)];
    match name {
        "takeover after power-off" => (Vec::new(), vec![(Act::PowerOff(0), ALONE)]),
        "takeover after kill" => (Vec::new(), vec![(Act::Kill(0), ALONE)]),
        "heal" => (vec![(Act::Split(vec![0]), ALONE)], vec![(Act::Heal, ms(1000))]),
        "standby" => (Vec::new(), vec![(Act::Standby(0), ms(800))]),
        "join" => (off(), vec![(Act::Start(1), ms(1000))]),
        _ => ([off(), vec![(Act::LoseState(1), ms(10))]].concat(), vec![(Act::Start(1), ms(1000))]),
    }
}

const NAMES: [&str; 6] =
    ["takeover after power-off", "takeover after kill", "heal", "standby", "join", "join of an empty node"];

/// All of them under each permit.
pub fn all() -> Vec<Story> {
    let mut stories = Vec::new();
    for (tiebreaker, permit) in [(false, "unfenced"), (true, "tiebreaker ping")] {
        // A machine whose daemon was killed answers its own pings, and the tiebreaker does not speak against it.
        for name in NAMES.into_iter().filter(|name| !(tiebreaker && *name == "takeover after kill")) {
            let (before, acts) = told(name);
            let mut steps = vec![(Act::Start(0), Duration::ZERO), (Act::Start(1), RESTED)];
            steps.extend(before);
            let from = steps.iter().map(|(_, then)| *then).sum();
            steps.extend(acts);
            let steps = steps.into_iter().map(|(act, then)| Step { act, then }).collect();
            let run = Run { seed: 1, layout: layout(tiebreaker), steps, lost: Vec::new(), list: None };
            stories.push(Story { name: format!("{name}, {permit}"), run, from });
        }
    }
    stories
}

/// What the story is named for has happened at its end, so that its steps are those of a takeover, a heal and so on.
fn must_hold(name: &str, world: &World) -> bool {
    let runs = |node: usize| world.site.machines[node].kernel.running.len();
    let voters = |node: usize| world.site.machines[node].stated.as_ref().map(|it| it.voters);
    if name.starts_with("takeover") {
        runs(1) == 3 && voters(1) == Some(1)
    } else {
        voters(0) == Some(2) && voters(1) == Some(2) && runs(0) + runs(1) == 3
    }
}

#[test]
fn the_stories_are_what_their_names_say() {
    for story in all() {
        let mut world = World::new(story.run.layout.clone(), story.run.seed, None);
        for step in &story.run.steps {
            world.act(&step.act);
            world.run(step.then);
        }
        let now = hearth_sim::story::now(&world.site);
        assert!(must_hold(&story.name, &world), "{}\n{now}", story.name);
        assert!(world.complaints.is_empty(), "{}: {:?}", story.name, world.complaints);
    }
}
