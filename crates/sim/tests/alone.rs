//! Going alone and meeting again (crates/controller/src/alone) as a table: every state that one of two machines can be
//! in with it, everything that can befall it there, and what has become of it a while later. Whole simulated pairs.

#[path = "../../../tests/tables/table.rs"]
mod table;

use hearth_sim::act::SwitchMode;
use hearth_sim::agent::Flaw;
use hearth_sim::layout::{Layout, address, group, ms, script};
use hearth_sim::{Act, Site, World};
use std::collections::BTreeSet;
use std::time::Duration;
use table::{Cells, compare};

const A: usize = 0;
const B: usize = 1;
/// Longer than a takeover with its fence, a comparison of rivals, a reset and what follows.
const SETTLED: Duration = ms(3000);
/// For a state on the way to another one.
const SOON: Duration = ms(2500);

/// What ha.cf permits one machine of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permit {
    Unfenced,
    Ping,
    Fenced,
}

const PERMITS: [(Permit, &str); 3] =
    [(Permit::Unfenced, "unfenced"), (Permit::Ping, "tiebreaker ping"), (Permit::Fenced, "fence devices")];

/// What the table is about: the words of [`name`], without who is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    FirstStart,
    Together,
    Late,
    Waits,
    Wiped,
    Alone,
    LetsIn,
    Listens,
    Rival,
    Lost,
    Out,
}

const STATES: [State; 11] = [
    State::FirstStart,
    State::Together,
    State::Late,
    State::Waits,
    State::Wiped,
    State::Alone,
    State::LetsIn,
    State::Listens,
    State::Rival,
    State::Lost,
    State::Out,
];

/// In words, complete by the compiler.
fn state_name(state: State) -> &'static str {
    match state {
        State::FirstStart => "first start: no epoch, nobody was heard",
        State::Together => "of two, b is heard",
        State::Late => "of two, b is late",
        State::Waits => "of two, b is dead, no permit",
        State::Wiped => "of two, b came up without its state",
        State::Alone => "alone, b is off",
        State::LetsIn => "alone, b asks to be let in",
        State::Listens => "was alone before, and listens",
        State::Rival => "alone, and so is b: who goes on is being settled",
        State::Lost => "gave up its epoch, and something does not stop",
        State::Out => "gave up its epoch, and b does not let it in",
    }
}

fn act(world: &mut World, acts: &[Act]) {
    acts.iter().for_each(|act| world.act(act));
}

fn state_of(site: &Site) -> Option<serde_json::Value> {
    site.machines[A].controller.as_ref()?.state().ok()
}

/// A pair in that state; none: these files never lead there.
fn put(permit: Permit, state: State) -> Option<World> {
    let mut layout = Layout::new(2);
    layout.timing.keepalive = ms(100);
    layout.variants = vec![vec![group(&["a"], vec![address("10.0.0.50"), script("web")])]];
    layout.unfenced = permit == Permit::Unfenced;
    layout.tiebreaker = permit == Permit::Ping;
    layout.stonith = permit == Permit::Fenced;
    let mut world = World::new(layout, 1, None);
    if state == State::FirstStart {
        world.act(&Act::Start(A));
        world.run(ms(300));
        return Some(world);
    }
    act(&mut world, &[Act::Start(A), Act::Start(B)]);
    world.run(ms(2500));
    let end = |world: &World| world.site.now + SOON;
    match state {
        State::FirstStart | State::Together => {}
        State::Late => {
            world.act(&Act::Split(vec![A]));
            world.run(ms(300));
        }
        // Without anything stronger there is nothing to wait for.
        State::Waits if permit == Permit::Unfenced => return None,
        State::Waits => {
            act(&mut world, &[Act::Ping(A, false), Act::Switch(B, SwitchMode::Fails), Act::PowerOff(B)]);
            world.run(ms(1500));
        }
        State::Wiped => {
            act(&mut world, &[Act::LoseState(B), Act::Start(B)]);
            let until = end(&world);
            let resigned = |site: &Site| state_of(site).is_some_and(|it| !it["alone"]["resigned"].is_null());
            world.run_until(until, resigned).then_some(())?;
        }
        State::Alone | State::LetsIn | State::Listens => {
            world.act(&Act::PowerOff(B));
            world.run(ms(1800));
            if state == State::LetsIn {
                world.act(&Act::Start(B));
                let until = end(&world);
                let asked = |site: &Site| {
                    state_of(site).is_some_and(|it| it["alone"]["joins"].as_object().is_some_and(|it| !it.is_empty()))
                };
                world.run_until(until, asked).then_some(())?;
            } else if state == State::Listens {
                act(&mut world, &[Act::PowerOff(A), Act::Start(A)]);
                world.run(ms(200));
            }
        }
        State::Rival | State::Lost | State::Out => {
            // Who reaches less stops.
            act(&mut world, &[Act::Split(vec![A]), Act::Pull { node: A, link: 1 }]);
            if state == State::Lost {
                let flaw = Some(Flaw::HangStop);
                world.act(&Act::Agent { node: A, resource: "web".into(), flaw });
            }
            world.run(ms(1800));
            world.act(&Act::Heal);
            let until = end(&world);
            let wanted = |site: &Site| {
                let Some(it) = state_of(site) else { return false };
                match state {
                    State::Rival => !it["alone"]["rival"].is_null(),
                    State::Lost => !it["alone"]["split"].is_null(),
                    _ => site.machines[A].controller.as_ref().is_some_and(|it| it.record().is_none()),
                }
            };
            world.run_until(until, wanted).then_some(())?;
            if state == State::Out {
                act(&mut world, &[Act::Cut { from: A, to: B, link: 0 }, Act::Cut { from: A, to: B, link: 1 }]);
                world.run(ms(300));
            }
        }
    }
    Some(world)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Nothing,
    Heals,
    Splits,
    Pulled,
    PeerStarts,
    PeerOff,
    PeerKilled,
    PeerFrozen,
    PeerEmpty,
    Killed,
    PowerCycled,
    Frozen,
    Empty,
    NoPing,
    Ping,
    Stop,
    ConfirmOff,
}

const EVENTS: [Event; 17] = [
    Event::Nothing,
    Event::Heals,
    Event::Splits,
    Event::Pulled,
    Event::PeerStarts,
    Event::PeerOff,
    Event::PeerKilled,
    Event::PeerFrozen,
    Event::PeerEmpty,
    Event::Killed,
    Event::PowerCycled,
    Event::Frozen,
    Event::Empty,
    Event::NoPing,
    Event::Ping,
    Event::Stop,
    Event::ConfirmOff,
];

/// In words, complete by the compiler.
fn event_name(event: Event) -> &'static str {
    match event {
        Event::Nothing => "nothing: time",
        Event::Heals => "every link is good",
        Event::Splits => "every link is cut",
        Event::Pulled => "all its cables are pulled",
        Event::PeerStarts => "b starts",
        Event::PeerOff => "b loses its power",
        Event::PeerKilled => "b's daemon is killed",
        Event::PeerFrozen => "b is frozen",
        Event::PeerEmpty => "b loses its state, and starts",
        Event::Killed => "its daemon is killed, and starts",
        Event::PowerCycled => "it loses its power, and starts",
        Event::Frozen => "it is frozen for longer than deadtime",
        Event::Empty => "it loses its state, and starts",
        Event::NoPing => "it reaches no ping target",
        Event::Ping => "it reaches the ping target",
        Event::Stop => "`hearth stop` on it",
        Event::ConfirmOff => "`hearth node confirm-off b`",
    }
}

fn happen(world: &mut World, event: Event) {
    match event {
        Event::Nothing => {}
        Event::Heals => act(world, &[Act::Heal, Act::Plug { node: A, link: 1 }]),
        Event::Splits => world.act(&Act::Split(vec![A])),
        Event::Pulled => act(world, &[Act::Pull { node: A, link: 0 }, Act::Pull { node: A, link: 1 }]),
        Event::PeerStarts => world.act(&Act::Start(B)),
        Event::PeerOff => world.act(&Act::PowerOff(B)),
        Event::PeerKilled => world.act(&Act::Kill(B)),
        Event::PeerFrozen => world.act(&Act::Freeze(B)),
        Event::PeerEmpty => act(world, &[Act::LoseState(B), Act::Start(B)]),
        Event::Killed => act(world, &[Act::Kill(A), Act::Start(A)]),
        Event::PowerCycled => act(world, &[Act::PowerOff(A), Act::Start(A)]),
        Event::Frozen => {
            world.act(&Act::Freeze(A));
            world.run(ms(700));
            world.act(&Act::Thaw(A));
        }
        Event::Empty => act(world, &[Act::LoseState(A), Act::Start(A)]),
        Event::NoPing => world.act(&Act::Ping(A, false)),
        Event::Ping => world.act(&Act::Ping(A, true)),
        Event::Stop => world.act(&Act::Stop(A)),
        Event::ConfirmOff => world.act(&Act::ConfirmOff(A, B)),
    }
}

/// What is worth telling of what a node tells: that it goes on alone, and that it does not any more.
const TOLD: [&str; 10] = [
    "permit",
    "resumed-alone",
    "left-out",
    "superseded",
    "resigned",
    "split-found",
    "split-won",
    "split-lost",
    "two-owners-possible",
    "admitted",
];

/// How it stands with it now.
fn name(world: &World) -> String {
    let machine = &world.site.machines[A];
    if !machine.powered {
        return "off".into();
    }
    let Some(controller) = machine.controller.as_ref() else { return "no daemon".into() };
    let status = controller.status(machine.local(world.site.now));
    let epoch = match machine.stated.as_ref() {
        Some(stated) if stated.epoch.is_some() && stated.voters == 1 => "alone",
        Some(stated) if stated.epoch.is_some() => "of two",
        _ => "no epoch",
    };
    let decides = if status.quorum { "" } else { ", decides nothing" };
    let serves = match machine.kernel.running.len() {
        0 => ", runs nothing",
        2 => "",
        _ => ", runs part of it",
    };
    format!("{epoch}{decides}{serves}")
}

/// What has become of it. `since`: what it had told before, and for how long there had been two owners.
fn outcome(world: &World, since: (usize, Duration)) -> String {
    let told: BTreeSet<&str> = TOLD.into_iter().collect();
    let mut words: Vec<&str> = Vec::new();
    for event in world.site.machines[A].events[since.0..].iter().map(|told| told.event.name.as_str()) {
        if told.contains(event) && words.last() != Some(&event) {
            words.push(event);
        }
    }
    let mut text = name(world);
    if !words.is_empty() {
        text += &format!("  [{}]", words.join(", "));
    }
    if world.two_answered() > since.1 {
        text += "  (two owners)";
    }
    text
}

fn table(permit: Permit, title: &str) -> String {
    let mut cells = Cells::default();
    for state in STATES {
        let Some(before) = put(permit, state) else { continue };
        let from = format!("{}: {}", state_name(state), name(&before));
        for event in EVENTS {
            let mut world = put(permit, state).expect("the same way leads there again");
            let since = (world.site.machines[A].events.len(), world.two_answered());
            happen(&mut world, event);
            world.run(SETTLED);
            assert!(world.complaints.is_empty(), "{permit:?} {state:?} {event:?}: {:?}", world.complaints);
            cells.note(&from, event_name(event), outcome(&world, since));
        }
    }
    format!("Permitted by {title}: {}", cells.print(""))
}

#[test]
fn every_state_of_going_alone_and_every_event() {
    let texts: Vec<String> = std::thread::scope(|scope| {
        let tables: Vec<_> =
            PERMITS.map(|(permit, title)| scope.spawn(move || table(permit, title))).into_iter().collect();
        tables.into_iter().map(|table| table.join().expect("a table")).collect()
    });
    let head = "Going alone and meeting again (crates/controller/src/alone): one of two machines, a, in every state that it can be in\n\
                with the other one, b, and how it stands with it three seconds after everything that can befall it there.\n\
                of two, alone: voters of its epoch; [what it told on the way], (two owners): some time from then on.\n\
                What ha.cf permits decides; a state that it never leads to is left out.";
    compare("alone.txt", head, &texts.join("\n"));
}
