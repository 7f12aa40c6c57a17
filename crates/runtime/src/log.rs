//! Log lines: one table from event to level and fields; to the journal, a file, or stderr; bounded per second.

use hearth_config::Logging;
use hearth_controller::{Event, Severity};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Lines in one second; what is beyond is counted and told in one line.
const BURST: u32 = 200;
const SECOND: Duration = Duration::from_secs(1);

/// A file that lines go to, which may be another one from one line to the next.
#[derive(Clone, Default)]
struct Slot(Arc<Mutex<Option<File>>>);

impl Slot {
    fn file(&self) -> MutexGuard<'_, Option<File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Slot {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.file().as_mut().map_or(Ok(line.len()), |file| file.write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().as_mut().map_or(Ok(()), File::flush)
    }
}

impl MakeWriter<'_> for Slot {
    type Writer = Slot;

    fn make_writer(&self) -> Slot {
        self.clone()
    }
}

/// Files that are open for what ha.cf says about the log, before anything is written to them.
#[derive(Default)]
pub(crate) struct Opened {
    debug: bool,
    logfile: Option<File>,
    debugfile: Option<File>,
}

impl Opened {
    /// Opens both files; a path that leads to a slow disk or a pipe may make this wait.
    ///
    /// # Errors
    /// One line for people, with the path.
    pub(crate) fn open(logging: &Logging) -> Result<Opened, String> {
        Ok(Opened {
            debug: logging.debug > 0,
            logfile: open(logging.logfile.as_deref())?,
            debugfile: open(logging.debugfile.as_deref())?,
        })
    }
}

/// Where lines go now.
#[derive(Clone, Default)]
pub(crate) struct Log {
    debug: Arc<AtomicBool>,
    logfile: Slot,
    debugfile: Slot,
}

impl Log {
    /// Sets the log up; to be called once. Also returns what could not be honoured: a daemon starts without a log file.
    pub(crate) fn start(logging: &Logging) -> (Log, Vec<String>) {
        let mut notes = Vec::new();
        let mut or_note =
            |file: Result<Option<File>, String>| file.map_err(|note| notes.push(note)).unwrap_or_default();
        let log = Log::default();
        log.switch(Opened {
            debug: logging.debug > 0,
            logfile: or_note(open(logging.logfile.as_deref())),
            debugfile: or_note(open(logging.debugfile.as_deref())),
        });
        let mut layers: Vec<Box<dyn Layer<tracing_subscriber::Registry> + Send + Sync>> = Vec::new();
        for (slot, always) in [(&log.logfile, false), (&log.debugfile, true)] {
            let (writer, log, open) = (slot.clone(), log.clone(), slot.clone());
            let wanted = dynamic_filter_fn(move |line, _| (always || log.wants(line.level())) && open.file().is_some());
            layers.push(
                tracing_subscriber::fmt::layer()
                    .with_ansi(false)
                    .with_target(false)
                    .with_writer(writer)
                    .with_filter(wanted.with_max_level_hint(LevelFilter::DEBUG))
                    .boxed(),
            );
        }
        // With a file of its own the rest is for the journal only, as Heartbeat's logfile replaced its console.
        let rest = log.clone();
        let wanted = dynamic_filter_fn(move |line, _| rest.wants(line.level())).with_max_level_hint(LevelFilter::DEBUG);
        let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
        match journal {
            Some(journal) => layers.push(journal.with_syslog_identifier("hearthd".into()).with_filter(wanted).boxed()),
            None => layers.push(
                tracing_subscriber::fmt::layer()
                    .with_target(false)
                    .with_ansi(false)
                    .with_writer(std::io::stderr)
                    .with_filter(wanted)
                    .boxed(),
            ),
        }
        if tracing_subscriber::registry().with(layers).try_init().is_err() {
            notes.push("the log was set up before".into());
        }
        (log, notes)
    }

    /// The next line goes to these files.
    pub(crate) fn switch(&self, opened: Opened) {
        self.debug.store(opened.debug, Ordering::Relaxed);
        *self.logfile.file() = opened.logfile;
        *self.debugfile.file() = opened.debugfile;
    }

    fn wants(&self, level: &Level) -> bool {
        *level <= if self.debug.load(Ordering::Relaxed) { Level::DEBUG } else { Level::INFO }
    }
}

fn open(path: Option<&str>) -> Result<Option<File>, String> {
    let Some(path) = path else { return Ok(None) };
    let opened = OpenOptions::new().create(true).append(true).mode(0o640).open(path);
    opened.map(Some).map_err(|error| format!("the log file {path} cannot be written: {error}"))
}

/// How many lines were written in this second, and how many were not.
#[derive(Debug)]
struct Limit {
    second: Instant,
    written: u32,
    suppressed: u64,
}

impl Limit {
    /// Whether a line may be written. Errors are, whatever the rate: they are what somebody looks for afterwards.
    fn passes(&mut self, severity: Severity) -> bool {
        let passes = self.written < BURST || severity == Severity::Error;
        self.written += u32::from(passes);
        self.suppressed += u64::from(!passes);
        passes
    }

    /// When something that was left out has to be told.
    fn due(&self) -> Option<Instant> {
        (self.suppressed > 0).then(|| self.second + SECOND)
    }

    /// Begins a new second if the last one is over; how many lines that left out.
    fn renew(&mut self, now: Instant) -> u64 {
        if now < self.second + SECOND {
            return 0;
        }
        (self.second, self.written) = (now, 0);
        std::mem::take(&mut self.suppressed)
    }
}

/// Writes events down.
#[derive(Debug)]
pub(crate) struct EventLog {
    limit: Limit,
}

impl EventLog {
    pub(crate) fn new() -> EventLog {
        EventLog { limit: Limit { second: Instant::now(), written: 0, suppressed: 0 } }
    }

    /// Waits until [`EventLog::renew`] has something to tell; for ever where nothing was left out.
    pub(crate) async fn left_out(&self) {
        match self.limit.due() {
            Some(due) => tokio::time::sleep_until(due.into()).await,
            None => std::future::pending().await,
        }
    }

    /// Tells what the last second left out, if it is over.
    pub(crate) fn renew(&mut self) {
        let suppressed = self.limit.renew(Instant::now());
        if suppressed > 0 {
            tracing::warn!(suppressed, "{suppressed} lines of the last second were left out");
        }
    }

    /// One line, unless there were too many in this second.
    pub(crate) fn write(&mut self, event: &Event) {
        self.renew();
        if !self.limit.passes(event.severity) {
            return;
        }
        let (id, cause) = (event.id.0, event.cause.map_or(0, |cause| cause.0));
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(event = %event.name, subject = %event.subject, id, cause, "{}", event.text)
            };
        }
        match event.severity {
            Severity::Debug => line!(debug),
            Severity::Info => line!(info),
            Severity::Warning => line!(warn),
            Severity::Error => line!(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Harm: a flood of events fills the disk; or it hides the one error that matters, or that anything is missing.
    #[test]
    fn a_flood_of_lines_is_cut_and_told_and_hides_no_error() {
        let begin = Instant::now();
        let mut limit = Limit { second: begin, written: 0, suppressed: 0 };
        let written = (0..10_000).filter(|_| limit.passes(Severity::Warning)).count();
        assert_eq!(written, BURST as usize);
        assert!(limit.passes(Severity::Error));
        assert_eq!(limit.due(), Some(begin + SECOND), "it is told though nothing else happens");
        assert_eq!(limit.renew(begin + SECOND / 2), 0);
        assert_eq!(limit.renew(begin + SECOND), 10_000 - u64::from(BURST));
        assert_eq!(limit.due(), None);
        assert!(limit.passes(Severity::Debug));
    }
}
