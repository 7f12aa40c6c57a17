//! A way through the model, told in the words of the protocol.

use crate::record::{A, Entry, NODES, Node, Voters};
use crate::state::{State, Ticks};
use crate::steps::Step;
use std::fmt::Write;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// The way, a step a line, with what has come of it behind.
pub fn story(way: &[(State, Option<Step>)]) -> String {
    let mut told = String::new();
    let Some((first, _)) = way.first() else { return told };
    let mut line = |text: String| {
        let _ = writeln!(told, "      {text}");
    };
    line(format!("a serves, b and c have just vouched for it, all vote. {}", gate(first.gate)));
    let mut waited = 0;
    for (at, (before, step)) in way.iter().enumerate() {
        let (Some(step), Some((after, _))) = (step, way.get(at + 1)) else { continue };
        if *step == Step::Tick {
            waited += 1;
            if way.get(at + 1).is_some_and(|(_, next)| *next == Some(Step::Tick)) {
                continue;
            }
        }
        let mut text = tell(*step, before, after, waited);
        if *step == Step::Tick {
            waited = 0;
        }
        let news = stated(before, after);
        if !news.is_empty() {
            let _ = write!(text, " {news}");
        }
        if before.gate != after.gate || *step == Step::Tick {
            let _ = write!(text, " {}", gate(after.gate));
        }
        line(text);
        if after.log != before.log
            && let Some(entry) = after.log.at(before.log.len())
        {
            line(format!("= decided: {}", what(entry)));
        }
    }
    line("=> Another starts it, as the record allows, and a still answers: two owners.".to_owned());
    told
}

fn gate(ticks: Ticks) -> String {
    match ticks {
        0 => "[a is silent]".to_owned(),
        1 => "[a answers for 1 more tick]".to_owned(),
        ticks => format!("[a answers for {ticks} more ticks]"),
    }
}

fn list(voters: Voters) -> String {
    voters.nodes().map(|node| NAMES[node]).collect::<Vec<_>>().join(", ")
}

fn what(entry: Entry) -> String {
    match entry {
        Entry::Lost(admission) => format!("a is lost (admission {admission})"),
        Entry::Renew => "a goes on under its next admission".to_owned(),
        Entry::Admit => "a, which was lost, takes part again under its next admission".to_owned(),
        Entry::Proven => "a's lease has ended beyond doubt, what it held is free".to_owned(),
        Entry::Switch(voters) => format!("the epoch ends; {} vote next", list(voters)),
        Entry::Other => "something else".to_owned(),
    }
}

fn accepted(before: &State, voter: Node, round: u8) -> String {
    let entry = before.rounds[usize::from(round) - 1].and_then(|round| round.proposed).unwrap_or(Entry::Other);
    let name = NAMES[voter];
    let overwritten = before.machines[voter]
        .accepted
        .map_or(String::new(), |(_, old)| format!(", which overwrites \"{}\"", what(old)));
    format!("{name} accepts \"{}\"{overwritten}", what(entry))
}

fn tell(step: Step, before: &State, after: &State, ticks: Ticks) -> String {
    match step {
        Step::Tick if ticks == 1 => "One tick passes.".to_owned(),
        Step::Tick => format!("{ticks} ticks pass."),
        Step::Vouch(voter) => {
            let named = after.vouches[voter].and_then(|vouch| vouch.next);
            let named = named.map_or(String::new(), |next| format!(" It says that {} vote next.", list(next)));
            format!("{} hears a and vouches for it.{named}", NAMES[voter])
        }
        Step::ActLate => "a wakes from a pause and does what it had decided before: it opens its gate.".to_owned(),
        Step::Elect(one, other) => {
            let round = after.rounds.iter().flatten().count();
            let (one, other) = (NAMES[one], NAMES[other]);
            let proposed = after.rounds[round - 1].and_then(|round| round.proposed);
            let proposed = proposed.map_or(String::new(), |entry| format!(" It must propose \"{}\".", what(entry)));
            format!("A new leader has the promises of {one} and {other} (round {round}).{proposed}")
        }
        Step::Propose(entry) => format!("The DC proposes: {}.", what(entry)),
        Step::Accept(voter, round) => format!("{}.", accepted(before, voter, round)),
        Step::AcceptAndForget(voter, round) => {
            format!("{}, but is killed before that is on its disk, and starts again.", accepted(before, voter, round))
        }
        Step::Learn(node) => {
            let from = usize::from(before.machines[node].applied);
            let upto = usize::from(after.machines[node].applied).max(from + 1);
            let entries: Vec<String> = (from..upto).filter_map(|at| before.log.at(at)).map(what).collect();
            format!("{} learns: {}.", NAMES[node], entries.join("; "))
        }
        Step::Crash(A) => "The daemon of a is killed and started again; its gate stays as it is.".to_owned(),
        Step::Crash(node) => format!("The daemon of {} is killed and started again.", NAMES[node]),
    }
}

/// What was stated in this step.
fn stated(before: &State, after: &State) -> String {
    let says = |node: &Node| {
        let stated = after.stated[*node]?;
        let known = before.stated[*node].is_some_and(|known| known.admission == stated.admission);
        let age = match stated.age {
            0 => "a moment ago".to_owned(),
            1 => "1 tick ago or more".to_owned(),
            age => format!("{age} ticks ago or more"),
        };
        (!known).then(|| {
            format!("{} states that it vouches for admission {} no more, last {age}.", NAMES[*node], stated.admission)
        })
    };
    NODES.iter().filter_map(says).collect::<Vec<_>>().join(" ")
}
