//! `hearth timeline`: what happened, when, and what led to it.

use crate::args::TimelineOptions;
use crate::clock;
use crate::connection::{Connection, PATIENCE, closed, misplaced};
use crate::page::{Look, Page, Tone, write_out};
use crate::trouble::{Exit, Trouble};
use hearth_control::{Reply, Request, TimelineEvent};
use jiff::Zoned;
use jiff::civil::Date;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

/// Shows events, oldest first.
pub(crate) fn run(socket: &Path, options: &TimelineOptions, look: &Look) -> Result<Exit, Trouble> {
    let since = match &options.since {
        None => 0,
        Some(text) => clock::since(text, &Zoned::now().with_time_zone(look.zone.clone())).map_err(|reason| {
            Trouble::new(Exit::Usage, format!("--since: {reason}"))
                .help("write 10m, 2h 30m, 14:05, 2026-11-21 or 2026-11-21T14:05")
        })?,
    };
    let request = Request::Timeline { last: options.last, subject: options.subject.clone(), follow: options.follow };
    let mut connection = Connection::open(socket, &request)?;
    let mut drawing = Drawing::default();
    let mut within = Some(PATIENCE);
    while let Some(reply) = connection.reply(within)? {
        let Reply::Timeline { events, dropped } = reply else { return Err(misplaced(&reply)) };
        let events: Vec<_> = events.into_iter().filter(|event| event.wall_ms >= since).collect();
        let text = if options.json {
            json_lines(&events)?
        } else {
            // Only who asked for all of them misses those.
            let all = options.last.is_none() && options.since.is_none() && within.is_some();
            let dropped = if all { dropped } else { 0 };
            drawing.draw(&events, dropped, look)
        };
        if !write_out(&text)? || !options.follow {
            return Ok(Exit::Done);
        }
        within = None;
    }
    Err(closed(socket))
}

pub(crate) fn json_lines(events: &[TimelineEvent]) -> Result<String, Trouble> {
    let mut text = String::new();
    for event in events {
        let line = serde_json::to_string(event)
            .map_err(|error| Trouble::new(Exit::Error, format!("cannot be written as JSON: {error}")))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

/// Deeper chains are drawn at this depth: a line must still fit a terminal.
const DEEPEST: usize = 8;
/// Events whose depth is remembered while following; a cause is seldom further back.
const REMEMBERED: usize = 10_000;

/// What has been drawn so far, as far as the next event's line depends on it.
#[derive(Debug, Default)]
pub(crate) struct Drawing {
    day: Option<Date>,
    last_ns: Option<u64>,
    depths: BTreeMap<u64, usize>,
    order: VecDeque<u64>,
}

impl Drawing {
    /// Lines for `events`, continuing what was drawn before: time, time since the event above, severity, and the
    /// sentence, indented under its cause. `dropped` older ones were not kept.
    pub(crate) fn draw(&mut self, events: &[TimelineEvent], dropped: u64, look: &Look) -> String {
        let mut page = Page::new(look);
        if dropped > 0 {
            page.line(Tone::Dim, &format!("({dropped} older events were not kept)"));
        }
        for event in events {
            self.one(&mut page, event, look);
        }
        page.text().to_owned()
    }

    fn one(&mut self, page: &mut Page, event: &TimelineEvent, look: &Look) {
        let at = clock::local(event.wall_ms, &look.zone);
        if self.day != Some(at.date()) {
            self.day = Some(at.date());
            page.line(Tone::Head, &at.strftime("%a %b %e %Y (%Z)").to_string());
        }
        // On the node's own clock: a step of the wall clock is no span. A new incarnation may count anew.
        let delta = match self.last_ns.and_then(|before| event.at_ns.checked_sub(before)) {
            Some(span) => format!("+{}", clock::span(span)),
            None => String::new(),
        };
        self.last_ns = Some(event.at_ns);
        let cause = event.cause.and_then(|cause| self.depths.get(&cause).copied());
        let depth = cause.map_or(0, |depth| (depth + 1).min(DEEPEST));
        self.remember(event.id, depth);

        let (tone, mark) = match event.severity.as_str() {
            "error" => (Some(Tone::Bad), "E"),
            "warning" => (Some(Tone::Warn), "W"),
            _ => (None, " "),
        };
        page.put(&at.strftime("%H:%M:%S.%3f").to_string());
        page.tone(Tone::Dim, &format!(" {delta:>14}")).put(&format!(" {mark} "));
        page.put(&"   ".repeat(depth.saturating_sub(1))).put(if depth > 0 { "-> " } else { "" });
        let named = event.subject.is_empty() || event.text.contains(&event.subject);
        let sentence = if named { event.text.clone() } else { format!("{}: {}", event.subject, event.text) };
        match tone {
            Some(tone) => page.tone(tone, &sentence),
            None => page.put(&sentence),
        };
        page.end();
    }

    fn remember(&mut self, id: u64, depth: usize) {
        if self.depths.insert(id, depth).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.depths.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn event(id: u64, cause: Option<u64>) -> TimelineEvent {
        TimelineEvent {
            id,
            wall_ms: id,
            at_ns: id * 1_000_000,
            cause,
            severity: "info".to_owned(),
            name: "x".to_owned(),
            subject: "web".to_owned(),
            text: "web moved".to_owned(),
        }
    }

    #[test]
    fn following_for_ever_keeps_a_bounded_memory() {
        let look = Look { colour: false, terminal: false, zone: TimeZone::UTC };
        let mut drawing = Drawing::default();
        for id in 0..3 * REMEMBERED as u64 {
            drawing.draw(&[event(id, id.checked_sub(1))], 0, &look);
        }
        assert_eq!(drawing.depths.len(), REMEMBERED);
        assert_eq!(drawing.order.len(), REMEMBERED);
    }

    #[test]
    fn a_control_character_never_reaches_the_terminal() {
        let look = Look { colour: true, terminal: true, zone: TimeZone::UTC };
        let mut hostile = event(1, None);
        hostile.text = "web \x1b]0;owned\x07 \u{202e}moved\n".to_owned();
        let text = Drawing::default().draw(&[hostile], 0, &look);
        assert!(!text.contains("\x1b]") && !text.contains('\x07') && !text.contains('\u{202e}'), "{text:?}");
    }
}
