//! The client's end of the control socket: one request a line, answered by one or more lines.

use crate::trouble::{Exit, Trouble};
use hearth_control::{Reply, Request};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The daemon answers at all times; one that does not within this span is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// A longer answer is not the daemon's: 10,000 events of 1 KB each are 10 MB.
const LONGEST_LINE: usize = 16 << 20;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    path: PathBuf,
    pending: Vec<u8>,
}

impl Connection {
    /// Connects, and sends the request.
    ///
    /// # Errors
    /// Nobody answers, or may not be asked by this user.
    pub(crate) fn open(path: &Path, request: &Request) -> Result<Connection, Trouble> {
        let stream = connect(path)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(|error| broken(path, &error))?;
        let mut line = serde_json::to_string(request)
            .map_err(|error| Trouble::new(Exit::Error, format!("the request cannot be written down: {error}")))?;
        line.push('\n');
        let mut connection = Connection { stream, path: path.to_owned(), pending: Vec::new() };
        match connection.stream.write_all(line.as_bytes()) {
            Ok(()) => Ok(connection),
            // A daemon that refuses this user says so and closes at once: its word may be there to read.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(connection),
            Err(error) => Err(broken(path, &error)),
        }
    }

    /// The next reply; `None` when the daemon has closed the connection. Waits forever without `within`.
    ///
    /// # Errors
    /// No answer in time, a broken connection, or an answer that is none.
    pub(crate) fn reply(&mut self, within: Option<Duration>) -> Result<Option<Reply>, Trouble> {
        match self.hear(within)? {
            Heard::Reply(reply) => Ok(Some(reply)),
            Heard::Closed => Ok(None),
            Heard::Nothing => Err(self.no_answer(within.unwrap_or_default())),
        }
    }

    /// The next reply, or what came instead. Waits forever without `within`.
    ///
    /// # Errors
    /// A broken connection, or an answer that is none.
    pub(crate) fn hear(&mut self, within: Option<Duration>) -> Result<Heard, Trouble> {
        let line = match self.line(within)? {
            Line::Whole(line) => line,
            Line::Closed => return Ok(Heard::Closed),
            Line::Nothing => return Ok(Heard::Nothing),
        };
        serde_json::from_slice(&line).map(Heard::Reply).map_err(|error| {
            Trouble::new(Exit::Error, format!("the daemon's answer is not understood: {error}"))
                .help("hearth and hearthd are of different versions, or something else listens there:")
                .help(format!("compare `hearth --version` with `hearthd --version`; socket {}", self.path.display()))
        })
    }

    fn line(&mut self, within: Option<Duration>) -> Result<Line, Trouble> {
        let deadline = within.map(|span| Instant::now() + span);
        let mut searched = 0;
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some(end) = self.pending[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.pending.split_off(searched + end + 1);
                return Ok(Line::Whole(std::mem::replace(&mut self.pending, rest)));
            }
            searched = self.pending.len();
            if searched > LONGEST_LINE {
                return Err(Trouble::new(Exit::Error, format!("the answer on {} never ends", self.path.display())));
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(Line::Nothing);
            }
            self.stream.set_read_timeout(left).map_err(|error| broken(&self.path, &error))?;
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(Line::Closed),
                Ok(length) => self.pending.extend_from_slice(&chunk[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A daemon that is killed resets instead of closing.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(Line::Closed),
                Err(error) => return Err(broken(&self.path, &error)),
            }
        }
    }

    fn no_answer(&self, waited: Duration) -> Trouble {
        Trouble::new(
            Exit::NoDaemon,
            format!("no daemon answers on {}: nothing came within {} s", self.path.display(), waited.as_secs()),
        )
        .help("hearthd is stopped, frozen or overloaded: look at its process and its log")
        .silent()
    }
}

/// What came of waiting for a reply.
#[derive(Debug)]
pub(crate) enum Heard {
    /// One.
    Reply(Reply),
    /// The daemon closed the connection.
    Closed,
    /// Nothing within the span.
    Nothing,
}

enum Line {
    Whole(Vec<u8>),
    Closed,
    Nothing,
}

/// One question, one answer.
///
/// # Errors
/// As [`Connection::open`] and [`Connection::reply`]; also when the daemon closes without an answer.
pub(crate) fn ask(path: &Path, request: &Request, within: Duration) -> Result<Reply, Trouble> {
    Connection::open(path, request)?.reply(Some(within))?.ok_or_else(|| closed(path))
}

/// The daemon went away.
pub(crate) fn closed(path: &Path) -> Trouble {
    Trouble::new(Exit::NoDaemon, format!("the daemon closed the connection on {}", path.display()))
        .help("it was stopped or restarted, or refused this user (root and members of haclient may ask)")
}

/// An answer that does not belong to the question.
pub(crate) fn misplaced(reply: &Reply) -> Trouble {
    match reply {
        Reply::Refused { reason, help, quorum } => {
            let exit = if *quorum { Exit::NoQuorum } else { Exit::Error };
            let trouble = Trouble::new(exit, format!("refused: {reason}"));
            help.iter().fold(trouble, |trouble, line| trouble.help(line.as_str()))
        }
        Reply::Failed { reason, help } => {
            let trouble = Trouble::new(Exit::Error, format!("failed: {reason}"));
            help.iter().fold(trouble, |trouble, line| trouble.help(line.as_str()))
        }
        _ => Trouble::new(Exit::Error, "the daemon answered another question than was asked")
            .help("hearth and hearthd are of different versions"),
    }
}

fn connect(path: &Path) -> Result<UnixStream, Trouble> {
    // connect(2) on a unix socket has no time limit of its own and blocks while the listener's backlog is full.
    let (sender, receiver) = mpsc::channel();
    let target = path.to_owned();
    std::thread::spawn(move || sender.send(UnixStream::connect(target)));
    match receiver.recv_timeout(PATIENCE) {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(unreachable(path, &error)),
        Err(_) => Err(Trouble::new(
            Exit::NoDaemon,
            format!("no daemon answers on {}: it accepts no connection", path.display()),
        )
        .help("hearthd is stopped, frozen or overloaded: look at its process and its log")
        .silent()),
    }
}

fn unreachable(path: &Path, error: &std::io::Error) -> Trouble {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound => {
            Trouble::new(Exit::NoDaemon, format!("no daemon answers on {path}: there is no such socket")).help(
                "start it with `systemctl start hearthd`; if it uses another socket: --socket PATH or HEARTH_SOCKET",
            )
        }
        ErrorKind::ConnectionRefused => {
            Trouble::new(Exit::NoDaemon, format!("no daemon answers on {path}: nothing listens on this socket"))
                .help("hearthd has died and nothing restarted it: see its log, then `systemctl start hearthd`")
        }
        ErrorKind::PermissionDenied => Trouble::new(Exit::Error, format!("{path} may not be opened by this user"))
            .help("only root and members of the group haclient may ask: use sudo, or join the group"),
        _ => Trouble::new(Exit::NoDaemon, format!("no daemon answers on {path}: {error}"))
            .help("if it uses another socket: --socket PATH or HEARTH_SOCKET"),
    }
}

fn broken(path: &Path, error: &std::io::Error) -> Trouble {
    Trouble::new(Exit::NoDaemon, format!("the connection to the daemon on {} broke: {error}", path.display()))
        .help("it was stopped or restarted; ask again")
}
