//! Text on its way to a terminal or a file.

use crate::trouble::{Exit, Trouble};
use jiff::tz::TimeZone;
use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write};

/// How to show things.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// With colours.
    pub(crate) colour: bool,
    /// stdout is a terminal.
    pub(crate) terminal: bool,
    /// For times of day.
    pub(crate) zone: TimeZone,
}

impl Look {
    /// As stdout and the environment want it: colour on a terminal only, and never with NO_COLOR.
    pub(crate) fn of_stdout() -> Look {
        let terminal = std::io::stdout().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Look { colour: terminal && !refused && !dumb, terminal, zone: TimeZone::system() }
    }
}

/// What a piece of text says about the cluster's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// To be looked at.
    Warn,
    /// The service is in danger.
    Bad,
    /// A heading.
    Head,
    /// Less important.
    Dim,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "1;31",
            Tone::Head => "1",
            Tone::Dim => "2",
        }
    }
}

/// Text being put together.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    colour: bool,
}

impl Page {
    pub(crate) fn new(look: &Look) -> Page {
        Page { text: String::new(), colour: look.colour }
    }

    /// Plain text.
    pub(crate) fn put(&mut self, text: &str) -> &mut Page {
        self.text.push_str(&clean(text));
        self
    }

    /// Text with a tone.
    pub(crate) fn tone(&mut self, tone: Tone, text: &str) -> &mut Page {
        if !self.colour || text.is_empty() {
            return self.put(text);
        }
        self.text.push_str("\x1b[");
        self.text.push_str(tone.code());
        self.text.push('m');
        self.text.push_str(&clean(text));
        self.text.push_str("\x1b[0m");
        self
    }

    /// Ends the line.
    pub(crate) fn end(&mut self) {
        self.text.push('\n');
    }

    /// A line of one tone.
    pub(crate) fn line(&mut self, tone: Tone, text: &str) {
        self.tone(tone, text).end();
    }

    /// A heading, after an empty line if something stands before it.
    pub(crate) fn heading(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.line(Tone::Head, text);
    }

    /// All of it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// Without control characters: agents' output and peers' words must not steer a terminal.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let harmless =
        |c: char| c == '\t' || !(c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if harmless(c) { c } else { ' ' }).collect())
}

/// The same for text of several lines, which stay lines.
pub(crate) fn clean_lines(text: &str) -> String {
    text.trim_end().lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// Writes to stdout. Returns false once the reader has gone, which is no failure.
pub(crate) fn write_out(text: &str) -> Result<bool, Trouble> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Trouble::new(Exit::Error, format!("cannot write to stdout: {error}"))),
    }
}
