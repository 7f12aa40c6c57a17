//! How a command ends.

use std::fmt::Write as _;
use std::io::Write as _;

/// Exit codes of `hearth` (docs/cli.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It is done.
    Done = 0,
    /// The asked state is false; with `--exit-code`: degraded.
    False = 1,
    /// It went wrong; with `--exit-code`: failed.
    Error = 2,
    /// The command line is wrong.
    Usage = 3,
    /// No daemon answers.
    NoDaemon = 4,
    /// Refused for want of quorum or permit.
    NoQuorum = 5,
    /// The configuration is wrong.
    Configuration = 6,
}

/// What went wrong, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Exit code.
    pub(crate) exit: Exit,
    /// One sentence, with lines below it where it is about a text.
    pub(crate) text: String,
    /// The way out, a line each.
    pub(crate) help: Vec<String>,
    /// A daemon is there and says nothing.
    pub(crate) silent: bool,
}

impl Trouble {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Trouble {
        Trouble { exit, text: text.into(), help: Vec::new(), silent: false }
    }

    /// Marks it as silence of a daemon that is there.
    pub(crate) fn silent(mut self) -> Trouble {
        self.silent = true;
        self
    }

    /// Adds a line that says the way out.
    pub(crate) fn help(mut self, line: impl Into<String>) -> Trouble {
        self.help.push(line.into());
        self
    }

    /// Says it on stderr, `prog: text` first. A stderr that cannot be written is nobody's to hear of.
    pub(crate) fn print(&self, prog: &str) {
        let mut text = format!("{prog}: {}\n", crate::page::clean_lines(&self.text));
        for line in &self.help {
            let _ = writeln!(text, "  {}", crate::page::clean(line));
        }
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}
