//! Going through a recording by hand: forwards, backwards, to a moment, with the state at each.

use super::{Until, diff, events, timeline, words};
use crate::clock;
use crate::page::{Look, Page, Tone, clean, write_out};
use crate::timeline::Drawing;
use crate::trouble::{Exit, Trouble};
use crate::view::{Part, status_text};
use crate::why::drawn;
use hearth_control::{Reply, Request};
use hearth_controller::{Controller, Input, Output};
use hearth_recording::{Place, Replay, ReplayError, Step};
use serde_json::Value;
use std::io::{BufRead, IsTerminal};

/// Inputs between two places that are kept to go back to.
const EVERY: u64 = 500;
/// Places that are kept; every second one is dropped beyond it, so that the first part stays within reach.
const PLACES: usize = 64;
/// Lines of a difference.
const LINES: usize = 60;

const HELP: &str = "\
next [N]        the next input, or the next N; an empty line does the same
event           on to the next input from which an event followed
back [N]        one input back, or N
goto N          to the moment behind input N
until WHEN      on to a time (14:05:03.250) or to an event by its number
status          what the node believed then, as hearth status shows it
why RESOURCE    why it was where it was, as hearth why says it
state [PATH]    the node's whole state as JSON, or what a path of it holds: keeping.keep
diff [N [M]]    what changed in the state since the input before, since input N, or between N and M
quit            end
";

type Refused<'a> = &'a dyn Fn(ReplayError) -> Trouble;

struct Session<'a> {
    replay: Replay<'a>,
    /// Where it can go back to, by number.
    places: Vec<Place<'a>>,
    every: u64,
    /// The first input at which it is not what the node did.
    differs: Option<u64>,
    drawing: Drawing,
    look: &'a Look,
    refused: Refused<'a>,
}

/// Reads commands from stdin until its end.
pub(crate) fn run<'a>(replay: Replay<'a>, until: Until, look: &'a Look, refused: Refused<'a>) -> Result<Exit, Trouble> {
    let asked = std::io::stdin().is_terminal();
    let (places, drawing) = (Vec::new(), Drawing::default());
    let mut session = Session { replay, places, every: EVERY, differs: None, drawing, look, refused };
    session.keep_place();
    let mut text = session.beginning();
    if !matches!(until, Until::End) {
        text.push_str(&session.on(|step, _| until.is_reached_by(step), |replay| until.is_passed(replay))?);
    }
    if asked {
        text.push_str("(help lists the commands)\n");
    }
    let mut lines = std::io::stdin().lock().lines();
    loop {
        if asked {
            text.push_str("replay> ");
        }
        if !write_out(&text)? {
            return Ok(Exit::Done);
        }
        let Some(Ok(line)) = lines.next() else { return Ok(Exit::Done) };
        let words: Vec<&str> = line.split_whitespace().collect();
        if matches!(words[..], ["quit" | "q" | "exit"]) {
            return Ok(Exit::Done);
        }
        text = match session.command(&words) {
            Ok(text) => text,
            Err(trouble) if trouble.exit == Exit::Usage => format!("{}\n", clean(&trouble.text)),
            Err(trouble) => return Err(trouble),
        };
    }
}

fn usage(text: impl Into<String>) -> Trouble {
    Trouble::new(Exit::Usage, text)
}

fn number(word: &str) -> Result<u64, Trouble> {
    word.parse().map_err(|_| usage(format!("`{word}` is no number")))
}

impl<'a> Session<'a> {
    fn command(&mut self, words: &[&str]) -> Result<String, Trouble> {
        match words {
            [] | ["next" | "n"] => self.forward(1),
            ["next" | "n", count] => self.forward(number(count)?),
            ["event" | "e"] => self.on(|step, _| events(step).next().is_some(), |_| false),
            ["back" | "b"] => self.go_to(self.replay.number().saturating_sub(1)),
            ["back" | "b", count] => self.go_to(self.replay.number().saturating_sub(number(count)?)),
            ["goto" | "g", to] => self.go_to(number(to)?),
            ["until" | "u", when] => {
                let until = Until::parse(when, &self.replay, self.look).map_err(usage)?;
                self.on(|step, _| until.is_reached_by(step), |replay| until.is_passed(replay))
            }
            ["status" | "s"] => self.status(),
            ["why" | "w", resource] => self.why(resource),
            ["state"] => self.state_text(""),
            ["state", path] => self.state_text(path),
            ["diff" | "d"] => self.difference(self.replay.number().saturating_sub(1), self.replay.number()),
            ["diff" | "d", from] => self.difference(number(from)?, self.replay.number()),
            ["diff" | "d", from, to] => self.difference(number(from)?, number(to)?),
            ["help" | "h" | "?"] => Ok(HELP.to_owned()),
            _ => Err(usage(format!("there is no command `{}`; help lists them", words.join(" ")))),
        }
    }

    fn beginning(&self) -> String {
        let Some(head) = self.replay.head() else { return String::new() };
        let date = clock::date(head.wall_ms, &self.look.zone);
        format!("{}, hearth {}, from {date}, behind input {}\n", head.node, head.version, self.replay.number())
    }

    fn step(&mut self) -> Result<Option<Step>, Trouble> {
        let step = self.replay.step().map_err(self.refused)?;
        if let Some(step) = step.as_ref().filter(|step| !step.agrees) {
            self.differs.get_or_insert(step.number);
        }
        if self.places.last().is_none_or(|last| self.replay.number() >= last.number() + self.every) {
            self.keep_place();
        }
        Ok(step)
    }

    fn keep_place(&mut self) {
        self.places.extend(self.replay.place());
        if self.places.len() > PLACES {
            let mut keep = false;
            self.places.retain(|_| {
                keep = !keep;
                keep
            });
            self.every *= 2;
        }
    }

    fn forward(&mut self, count: u64) -> Result<String, Trouble> {
        let end = self.replay.number().saturating_add(count);
        self.on(|step, _| step.number >= end, |_| false)
    }

    /// On until a step is the one, or until it is time before one; tells the events on the way and the last input.
    fn on(
        &mut self,
        is_it: impl Fn(&Step, &Replay<'a>) -> bool,
        is_time: impl Fn(&Replay<'a>) -> bool,
    ) -> Result<String, Trouble> {
        let (mut text, mut last) = (String::new(), None);
        while !is_time(&self.replay) {
            let Some(step) = self.step()? else {
                text.push_str(&last.map_or_else(String::new, |step| self.told(&step)));
                return Ok(text + "(the recording ends here)\n");
            };
            let told: Vec<_> = events(&step).map(|event| timeline(event, &self.replay)).collect();
            let found = is_it(&step, &self.replay);
            if found {
                text.push_str(&self.told(&step));
            }
            text.push_str(&self.drawing.draw(&told, 0, self.look));
            last = (!found).then_some(step);
            if found {
                break;
            }
        }
        Ok(text + &last.map_or_else(String::new, |step| self.told(&step)))
    }

    fn told(&self, step: &Step) -> String {
        let mut page = Page::new(self.look);
        let at = clock::local(self.replay.wall_ms(step.at), &self.look.zone).strftime("%H:%M:%S.%3f").to_string();
        page.line(Tone::Head, &format!("input {} at {at}: {}", step.number, words::input(&step.input)));
        let orders = words::orders(&step.outputs);
        if !orders.is_empty() {
            page.line(Tone::Dim, &format!("  orders: {}", orders.join(", ")));
        }
        match self.differs {
            Some(first) if first == step.number => page.line(Tone::Bad, "  from here on this is not what the node did"),
            Some(first) if !step.agrees => page.line(Tone::Dim, &format!("  (not as the node since input {first})")),
            _ => {}
        }
        page.text().to_owned()
    }

    /// To the moment behind input `to`, without telling the way.
    fn seek(&mut self, to: u64) -> Result<Option<Step>, Trouble> {
        if to < self.replay.number() {
            let place = self.places.iter().rev().find(|place| place.number() <= to).cloned();
            let place = place.ok_or_else(|| usage("the recording begins behind that input"))?;
            self.replay.return_to(&place).map_err(self.refused)?;
            self.drawing = Drawing::default();
        }
        let mut last = None;
        while self.replay.number() < to {
            match self.step()? {
                Some(step) => last = Some(step),
                None => return Err(usage("the recording ends before that input")),
            }
        }
        Ok(last)
    }

    fn go_to(&mut self, to: u64) -> Result<String, Trouble> {
        let step = self.seek(to)?;
        Ok(step.map_or_else(|| self.beginning(), |step| self.told(&step)))
    }

    fn controller(&self) -> Result<&Controller, Trouble> {
        self.replay.controller().ok_or_else(|| usage("inputs are missing here: nothing is known until the next part"))
    }

    fn status(&self) -> Result<String, Trouble> {
        let now = self.replay.now();
        let mut status = self.controller()?.status(now);
        let of_boot = |ms: u64| self.replay.wall_ms(hearth_types::Timestamp(ms.saturating_mul(1_000_000)));
        status.wall_ms = self.replay.wall_ms(now);
        status.failures.iter_mut().for_each(|failure| failure.wall_ms = of_boot(failure.wall_ms));
        if let Some(change) = &mut status.last_change {
            change.wall_ms = of_boot(change.wall_ms);
        }
        Ok(status_text(&status, Part::All, self.look))
    }

    /// Asks a copy: the node itself was not asked.
    fn why(&self, resource: &str) -> Result<String, Trouble> {
        let place = self.replay.place().ok_or_else(at_work)?;
        let mut copy = Controller::resume(place.checkpoint()).map_err(usage)?;
        let (token, mut outputs) = (u64::MAX, Vec::new());
        let request = Request::Why { resource: resource.to_owned() };
        copy.handle(self.replay.now(), Input::Request { token, request, by: "replay".into() }, &mut outputs);
        for output in outputs {
            let Output::Reply { token: u64::MAX, reply, .. } = output else { continue };
            match *reply {
                Reply::Why { mut why } => {
                    for event in &mut why.history {
                        event.wall_ms = self.replay.wall_ms(hearth_types::Timestamp(event.at_ns));
                    }
                    return Ok(drawn(&why, self.look));
                }
                Reply::Refused { reason, .. } | Reply::Failed { reason, .. } => return Err(usage(reason)),
                _ => {}
            }
        }
        Err(usage("the node gives no reason"))
    }

    fn state(&self) -> Result<Value, Trouble> {
        self.controller()?.state().map_err(|_| at_work())
    }

    fn state_text(&self, path: &str) -> Result<String, Trouble> {
        let state = self.state()?;
        let found = diff::at(&state, path).ok_or_else(|| usage(format!("the state has no `{path}`")))?;
        serde_json::to_string_pretty(found).map(|text| text + "\n").map_err(|error| usage(error.to_string()))
    }

    fn difference(&mut self, from: u64, to: u64) -> Result<String, Trouble> {
        let here = self.replay.number();
        let states = (|| {
            self.seek(from)?;
            let before = self.state()?;
            self.seek(to)?;
            Ok((before, self.state()?))
        })();
        self.seek(here)?;
        let (before, after) = states?;
        let (lines, more) = diff::lines(&before, &after, LINES);
        let mut page = Page::new(self.look);
        page.line(Tone::Head, &format!("input {from} -> {to}"));
        for line in &lines {
            page.put("  ").put(line).end();
        }
        if lines.is_empty() {
            page.line(Tone::Dim, "  (nothing changed)");
        } else if more > 0 {
            page.line(Tone::Dim, &format!("  ({more} more)"));
        }
        Ok(page.text().to_owned())
    }
}

fn at_work() -> Trouble {
    usage("the node is in the middle of something here: go one input on")
}
