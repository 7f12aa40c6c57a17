//! Scenarios: a cluster's misfortune as a small script that answers with its own story.
//!
//! A line is a comment (`#`), a command, or what the command before it led to (`| ...`). [`play`] drops the answers, does
//! the commands and writes the answers anew, so a file that is right comes out as it went in. The words of
//! [`crate::act`] are commands; besides them there are those of `setup` (what the cluster is), of `expect`
//! (what must hold), and `begin`, `run`, `watch`, `status`, `why` and `unwatched`, which are here.

mod expect;
mod setup;

use crate::act::{self, NotAnAct};
use crate::check;
use crate::layout::Layout;
use crate::mutant::Mutant;
use crate::world::World;
use hearth_control::{Reply, Request, Status};
use hearth_controller::Severity;
use hearth_types::{ResourceId, Timestamp};
use setup::Setup;
use std::fmt::Write as _;
use std::time::Duration;

/// Within this span a cluster that nothing befalls must run everything.
const BEGINS_WITHIN: Duration = Duration::from_secs(20);

/// After so much time everybody has heard of everything.
const SETTLES_IN: Duration = Duration::from_secs(1);

/// What came of a scenario.
pub struct Played {
    /// The whole file with the answers of this run.
    pub text: String,
    /// What was not as it must be, with the number of the line; empty: all is well.
    pub failures: Vec<String>,
}

/// Plays a file from its first line to its last. With a mutant, something in it is broken on purpose.
pub fn play(source: &str, mutant: Option<Mutant>) -> Played {
    let (setup, cursor) = (Setup::default(), Cursor::default());
    let mut player = Player { setup, mutant, watched: false, world: None, cursor, failures: Vec::new() };
    let mut text = String::new();
    for (number, line) in source.lines().enumerate() {
        if line.starts_with('|') {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        let words = line.trim();
        if words.is_empty() || words.starts_with('#') {
            continue;
        }
        match player.command(words) {
            Ok(answer) => answer.lines().for_each(|line| push(&mut text, line)),
            Err(NotAnAct(why)) => {
                push(&mut text, &format!("!! {why}"));
                player.failures.push(format!("line {}: `{words}`: {why}", number + 1));
            }
        }
    }
    player.end(&mut text);
    Played { text, failures: player.failures }
}

fn push(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", format!("| {line}").trim_end());
}

/// What was told already.
#[derive(Default)]
struct Cursor {
    story: usize,
    events: Vec<usize>,
    replies: u64,
    complaints: usize,
}

struct Player {
    setup: Setup,
    mutant: Option<Mutant>,
    /// An address is measured.
    watched: bool,
    world: Option<World>,
    cursor: Cursor,
    failures: Vec<String>,
}

impl Player {
    fn command(&mut self, line: &str) -> Result<String, NotAnAct> {
        if self.world.is_none() && self.setup.read(line)? {
            return Ok(String::new());
        }
        let refused = |why: &str| NotAnAct(why.to_owned());
        if self.world.is_none() {
            let layout = self.setup.layout.clone().ok_or_else(|| refused("first comes `cluster NAMES`"))?;
            self.cursor.events = vec![0; layout.names.len()];
            self.world = Some(World::new(layout, self.setup.seed, self.mutant));
        }
        let Some(world) = self.world.as_mut() else { return Err(refused("no world")) };
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "begin" => {
                begin(world)?;
                self.cursor.pass(world);
                Ok(owners(world))
            }
            "run" => {
                let holds = run(world, rest)?;
                let told = self.cursor.told(world);
                if holds {
                    return Ok(told);
                }
                self.failures.push(format!("`{line}` did not come about: {}", why_not(world)));
                Ok(format!("{told}!! it did not come about: {}\n", why_not(world)))
            }
            "unwatched" => {
                run(world, rest)?;
                self.cursor.pass(world);
                Ok(String::new())
            }
            "watch" => {
                world.watch(rest);
                self.watched = true;
                Ok(String::new())
            }
            "status" => status(world, rest),
            "why" => why(world, rest),
            "expect" if rest.starts_with("gap") && !self.watched => Err(refused("first comes `watch ADDRESS`")),
            "expect" => expect::holds(world, rest).map(|()| String::new()),
            _ => {
                let act = act::parse(&world.site.layout, line)?;
                let known = world.site.story.len() == self.cursor.story;
                world.act(&act);
                // The line itself says it.
                self.cursor.story += usize::from(known);
                Ok(String::new())
            }
        }
    }

    fn end(&mut self, text: &mut String) {
        let Some(world) = self.world.as_mut() else {
            self.failures.push("nothing is played".to_owned());
            return;
        };
        // What is said of a moment ago is no lie yet.
        world.run(SETTLES_IN);
        self.cursor.pass(world);
        world.close();
        for line in self.cursor.told(world).lines() {
            push(text, line);
        }
        for it in &world.complaints {
            self.failures.push(format!("{} {}: {}", it.at, it.checker, it.text));
        }
    }
}

impl Cursor {
    /// Everything up to now counts as told.
    fn pass(&mut self, world: &World) {
        self.story = world.site.story.len();
        self.events = world.site.machines.iter().map(|machine| machine.events.len()).collect();
        self.replies = world.site.orders.keys().next_back().map_or(self.replies, |last| last + 1);
    }

    /// What has happened since this was last asked, in true time.
    fn told(&mut self, world: &World) -> String {
        let site = &world.site;
        let mut lines: Vec<(Timestamp, usize, String)> = Vec::new();
        for (at, text) in &site.story[self.story..] {
            lines.push((*at, 0, format!("==== {text}")));
        }
        for (node, machine) in site.machines.iter().enumerate() {
            for told in &machine.events[self.events[node]..] {
                if told.event.severity > Severity::Debug {
                    lines.push((told.at, node + 1, format!("{}: {}", site.name(node), told.event.text)));
                }
            }
        }
        for it in &world.complaints[self.complaints..] {
            lines.push((it.at, usize::MAX, format!("!! {}: {}", it.checker, it.text)));
        }
        lines.sort_by_key(|(at, node, _)| (*at, *node));
        let mut text: String = lines.iter().map(|(at, _, line)| format!("{at} {line}\n")).collect();
        text.push_str(&self.answers(world));
        self.story = site.story.len();
        self.events = site.machines.iter().map(|machine| machine.events.len()).collect();
        self.complaints = world.complaints.len();
        text
    }

    /// What people were answered since this was last asked.
    fn answers(&mut self, world: &World) -> String {
        let site = &world.site;
        let mut text = String::new();
        let mut open = None;
        for (token, order) in site.orders.range(self.replies..) {
            if !order.done {
                open = open.or(Some(*token));
                continue;
            }
            let reply = site.machines[order.node].replies.get(token);
            if let Some(reply) = reply.and_then(plain).filter(|_| open.is_none()) {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{} answers: {reply}", site.name(order.node));
            }
        }
        let next = site.orders.keys().next_back().map_or(self.replies, |last| last + 1);
        self.replies = open.unwrap_or(next);
        text
    }
}

fn plain(reply: &Reply) -> Option<String> {
    Some(match reply {
        Reply::Done { text, took_ms, .. } => format!("{text} ({took_ms} ms)"),
        Reply::Refused { reason, .. } => format!("refused: {reason}"),
        Reply::Failed { reason, .. } => format!("failed: {reason}"),
        Reply::Status { .. } | Reply::Timeline { .. } | Reply::Why { .. } => return None,
    })
}

/// All machines start, and time passes until everything runs.
fn begin(world: &mut World) -> Result<(), NotAnAct> {
    for node in world.site.nodes() {
        world.act(&act::Act::Start(node));
    }
    let end = world.site.now + BEGINS_WITHIN;
    if world.run_until(end, |site| check::unwell(site).is_none()) {
        world.run(SETTLES_IN);
        return Ok(());
    }
    Err(NotAnAct(why_not(world)))
}

fn why_not(world: &World) -> String {
    check::unwell(&world.site).unwrap_or_else(|| "all else is well".to_owned())
}

/// Who runs what, by group.
fn owners(world: &World) -> String {
    let mut text = format!("{} all runs:", world.site.now);
    for group in &world.site.layout.variants[0] {
        let on = world.site.running_on(&group.resources[0].id);
        let on: Vec<&str> = on.into_iter().map(|node| world.site.name(node)).collect();
        // Writing to a string cannot fail.
        let _ = write!(text, " {} on {},", group.id, on.join(" and "));
    }
    text.trim_end_matches([',', ':']).to_owned()
}

/// `SPAN`, or `until CONDITION within SPAN`. False if the condition did not come about.
fn run(world: &mut World, words: &str) -> Result<bool, NotAnAct> {
    let Some(until) = words.strip_prefix("until ") else {
        world.run(act::span(words)?);
        return Ok(true);
    };
    let refused = || NotAnAct(format!("`{words}`: until CONDITION within SPAN"));
    let (condition, span) = until.rsplit_once(" within ").ok_or_else(refused)?;
    let end = world.site.now + act::span(span)?;
    let words: Vec<&str> = condition.split_whitespace().collect();
    match words[..] {
        ["well"] => Ok(world.run_until(end, |site| check::unwell(site).is_none())),
        [resource, "on", name] => {
            let node = node(&world.site.layout, name)?;
            let id = ResourceId::from(resource);
            Ok(world.run_until(end, |site| expect::serves(site, node, &id)))
        }
        [event] | [event, "of", _] => {
            let of = words.get(2).copied();
            let from = world.site.now;
            Ok(world.run_until(end, |site| {
                let mut told = site.machines.iter().flat_map(|machine| machine.events.iter().rev());
                told.any(|told| {
                    let subject = of.is_none_or(|of| told.event.subject == of);
                    told.at >= from && subject && told.event.name == event
                })
            }))
        }
        _ => Err(refused()),
    }
}

fn node(layout: &Layout, name: &str) -> Result<usize, NotAnAct> {
    layout.node(name).ok_or_else(|| NotAnAct(format!("no machine `{name}`")))
}

/// What machines say (all, or one), beside what they really run.
fn status(world: &World, of: &str) -> Result<String, NotAnAct> {
    let site = &world.site;
    let nodes = if of.is_empty() { site.nodes().collect() } else { vec![node(&site.layout, of)?] };
    let mut text = String::new();
    for node in nodes {
        let machine = &site.machines[node];
        let runs: Vec<&str> = machine.kernel.running.keys().map(|id| id.as_str()).collect();
        let runs = if runs.is_empty() { "nothing".to_owned() } else { runs.join(", ") };
        let runs = if machine.powered { format!("really runs {runs}") } else { "has no power".to_owned() };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {runs}", site.name(node));
        if let Some(status) = site.status(node) {
            text.push_str(&said(&status));
        }
    }
    Ok(text)
}

fn said(status: &Status) -> String {
    let mut text = format!("   says: {}\n", status.summary);
    for view in &status.nodes {
        let reason = view.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        text.push_str(&format!("   {} {}{reason}\n", view.name, view.state));
    }
    for view in &status.groups {
        let on = view.node.as_ref().map_or_else(String::new, |node| format!(" on {node}"));
        text.push_str(&format!("   {} {}{on}: {}\n", view.id, view.state, view.reason));
    }
    for view in &status.resources {
        let away = |node: &&String| view.node.as_ref() != Some(*node);
        let others: Vec<&str> = view.may_be_active.iter().filter(away).map(String::as_str).collect();
        if !others.is_empty() {
            text.push_str(&format!("   {} may be active on {}\n", view.id, others.join(", ")));
        }
    }
    for view in &status.failures {
        let ends = view.forgotten_in_ms.map_or_else(String::new, |ms| format!(", forgotten in {ms} ms"));
        text.push_str(&format!(
            "   {} of {} failed on {}: {}{ends}\n",
            view.action, view.resource, view.node, view.message
        ));
    }
    for note in &status.notes {
        text.push_str(&format!("   note: {note}\n"));
    }
    text
}

/// `NODE RESOURCE`: why it is where it is, in the words of that machine.
fn why(world: &mut World, words: &str) -> Result<String, NotAnAct> {
    let refused = || NotAnAct("why NODE RESOURCE".to_owned());
    let (name, resource) = words.split_once(' ').ok_or_else(refused)?;
    let node = node(&world.site.layout, name)?;
    let token = world.request(node, Request::Why { resource: resource.to_owned() });
    match world.site.machines[node].replies.get(&token) {
        Some(Reply::Why { why }) => {
            let nodes = why.nodes.iter().map(|it| format!("   {}: {}\n", it.node, it.reason));
            Ok(format!("{}\n{}", why.answer, nodes.collect::<String>()))
        }
        Some(reply) => Ok(plain(reply).unwrap_or_default()),
        None => Err(NotAnAct("no answer".to_owned())),
    }
}
