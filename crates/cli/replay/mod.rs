//! `hearth replay`: a recording run through the same controller, offline.

mod diff;
mod load;
mod step;
mod words;

use crate::args::ReplayOptions;
use crate::clock;
use crate::page::{Look, Page, Tone, write_out};
use crate::timeline::{Drawing, json_lines};
use crate::trouble::{Exit, Trouble};
use hearth_control::TimelineEvent;
use hearth_controller::{Event, Output, Severity};
use hearth_recording::{Replay, Step};
use jiff::civil::{DateTime, Time};
use serde_json::json;

/// Runs the recording through and tells it.
pub(crate) fn run(options: &ReplayOptions, look: &Look) -> Result<Exit, Trouble> {
    let bytes = load::bytes(&options.file)?;
    let trouble = |error| load::refused(&options.file, error);
    let replay = Replay::new(&bytes).map_err(trouble)?;
    let until = match &options.until {
        None => Until::End,
        Some(text) => Until::parse(text, &replay, look).map_err(|text| {
            Trouble::new(Exit::Usage, text).help("write 14:05:03.250, 2026-11-21T14:05:03 or the number of an event")
        })?,
    };
    if options.step {
        return step::run(replay, until, look, &trouble);
    }
    let mut telling = Telling { replay, drawing: Drawing::default(), differs: None, inputs: 0, is_over: false, look };
    while !until.is_passed(&telling.replay) {
        let Some(step) = telling.replay.step().map_err(trouble)? else {
            telling.is_over = !matches!(until, Until::End);
            break;
        };
        let reached = until.is_reached_by(&step);
        let text = telling.tell(&step, options)?;
        if !options.compare && !write_out(&text)? {
            return Ok(Exit::Done);
        }
        if reached {
            break;
        }
    }
    if options.compare && telling.inputs == 0 {
        return Err(Trouble::new(Exit::Error, format!("{}: it holds no input to compare", options.file.display()))
            .help("other parts of the same run may hold some: name the folder"));
    }
    write_out(&telling.verdict(options)?)?;
    Ok(if telling.differs.is_some() { Exit::False } else { Exit::Done })
}

/// Where to stop.
enum Until {
    End,
    /// Before the first input after that wall time.
    Wall(u64),
    /// Behind the input that led to that event.
    Event(u64),
}

impl Until {
    fn parse(text: &str, replay: &Replay<'_>, look: &Look) -> Result<Until, String> {
        let text = text.trim();
        if let Ok(event) = text.trim_start_matches('#').parse() {
            return Ok(Until::Event(event));
        }
        let began = clock::local(replay.wall_ms(replay.now()), &look.zone);
        let at = |at: DateTime| at.to_zoned(look.zone.clone()).map_err(|error| error.to_string());
        let moment = if let Ok(moment) = text.parse::<DateTime>() {
            at(moment)?
        } else {
            let time: Time = text.parse().map_err(|_| format!("--until: `{text}` is neither a time nor an event"))?;
            let same_day = at(began.date().to_datetime(time))?;
            if same_day >= began {
                same_day
            } else {
                at(began.date().tomorrow().map_err(|error| error.to_string())?.to_datetime(time))?
            }
        };
        Ok(Until::Wall(u64::try_from(moment.timestamp().as_millisecond()).unwrap_or(0)))
    }

    fn is_reached_by(&self, step: &Step) -> bool {
        matches!(self, Until::Event(id) if events(step).any(|event| event.id.0 == *id))
    }

    fn is_passed(&self, replay: &Replay<'_>) -> bool {
        let Until::Wall(wall) = self else { return false };
        replay.next_at().is_some_and(|at| replay.wall_ms(at) > *wall)
    }
}

struct Telling<'a> {
    replay: Replay<'a>,
    drawing: Drawing,
    /// The first input at which it is not what the node did.
    differs: Option<Step>,
    inputs: u64,
    /// Whether it ended before it was to stop.
    is_over: bool,
    look: &'a Look,
}

impl Telling<'_> {
    fn tell(&mut self, step: &Step, options: &ReplayOptions) -> Result<String, Trouble> {
        self.inputs += 1;
        let mut text = String::new();
        if !step.agrees && self.differs.is_none() {
            if !options.json && !options.compare {
                let mut page = Page::new(self.look);
                page.line(
                    Tone::Bad,
                    &format!(
                        "From here on, input {}, this version does not do what the node did: what follows need not have happened.",
                        step.number
                    ),
                );
                text.push_str(page.text());
            }
            self.differs = Some(Step { outputs: step.outputs.clone(), input: step.input.clone(), ..*step });
        }
        let told: Vec<TimelineEvent> = events(step).map(|event| timeline(event, &self.replay)).collect();
        text.push_str(&if options.json { json_lines(&told)? } else { self.drawing.draw(&told, 0, self.look) });
        Ok(text)
    }

    fn verdict(&self, options: &ReplayOptions) -> Result<String, Trouble> {
        let (replay, look) = (&self.replay, self.look);
        let Some(head) = replay.head() else { return Ok(String::new()) };
        if options.json {
            if !options.compare {
                return Ok(String::new());
            }
            let differs = self.differs.as_ref().map(|step| {
                json!({ "input": step.number, "at_ns": step.at.0, "wall_ms": replay.wall_ms(step.at),
                        "told": words::input(&step.input), "orders": words::orders(&step.outputs) })
            });
            let value = json!({
                "schema": 1, "node": head.node.as_str(), "incarnation": head.incarnation.to_string(),
                "version": head.version, "inputs": self.inputs, "missing": replay.missing(), "cut": replay.is_cut(),
                "ended": replay.has_ended(), "agrees": self.differs.is_none(), "differs_at": differs,
            });
            return Ok(format!("{value}\n"));
        }
        let mut page = Page::new(look);
        let node = head.node.as_str();
        if options.compare {
            match &self.differs {
                None => {
                    page.line(Tone::Good, &format!("The same: {}, and all that {node} ordered.", inputs(self.inputs)))
                }
                Some(step) => page.line(Tone::Bad, &self.difference(step)),
            };
        } else {
            let last = clock::local(replay.wall_ms(replay.now()), &look.zone).strftime("%H:%M:%S.%3f").to_string();
            page.line(Tone::Dim, &format!("({} of {node}, the last at {last})", inputs(self.inputs)));
            if self.is_over {
                page.line(Tone::Warn, "The recording ends before the moment that --until names.");
            }
        }
        if replay.missing() > 0 {
            let missing = inputs(replay.missing());
            page.line(Tone::Warn, &format!("Missing: {missing}. The disk did not keep up, or a file is not there."));
        }
        if replay.is_cut() {
            page.line(Tone::Dim, "(cut off in the middle of a write: the daemon was killed, or still runs)");
        }
        Ok(page.text().to_owned())
    }

    fn difference(&self, step: &Step) -> String {
        let at = clock::local(self.replay.wall_ms(step.at), &self.look.zone).strftime("%H:%M:%S.%3f").to_string();
        let version = self.replay.head().map_or("", |head| head.version.as_str());
        let orders = words::orders(&step.outputs);
        format!(
            "Not the same from input {} on, at {at}: {}. This version orders {}; the node, hearth {version}, was told or \
             ordered something else.",
            step.number,
            words::input(&step.input),
            if orders.is_empty() { "nothing".to_owned() } else { orders.join(", ") },
        )
    }
}

fn inputs(count: u64) -> String {
    if count == 1 { "1 input".to_owned() } else { format!("{count} inputs") }
}

fn events(step: &Step) -> impl Iterator<Item = &Event> {
    step.outputs.iter().filter_map(|output| match output {
        Output::Event(event) => Some(event),
        _ => None,
    })
}

fn timeline(event: &Event, replay: &Replay<'_>) -> TimelineEvent {
    let severity = match event.severity {
        Severity::Debug => "debug",
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    TimelineEvent {
        id: event.id.0,
        wall_ms: replay.wall_ms(event.at),
        at_ns: event.at.0,
        cause: event.cause.map(|cause| cause.0),
        severity: severity.to_owned(),
        name: event.name.clone(),
        subject: event.subject.clone(),
        text: event.text.clone(),
    }
}
