//! Log lines: one table from event to level and fields; to the journal, a file, or stderr; bounded per second.

use hearth_config::Logging;
use hearth_controller::{Event, Severity};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Lines in one second; what is beyond is counted and told in one line.
const BURST: u32 = 200;

/// Sets the log up; to be called once. Returns what could not be honoured.
pub fn start(logging: &Logging) -> Vec<String> {
    let mut notes = Vec::new();
    let level = if logging.debug > 0 { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let mut layers: Vec<Box<dyn Layer<tracing_subscriber::Registry> + Send + Sync>> = Vec::new();
    if let Some(file) = open(logging.logfile.as_deref(), &mut notes) {
        layers.push(
            tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_target(false)
                .with_writer(Mutex::new(file))
                .with_filter(level)
                .boxed(),
        );
    }
    if let Some(file) = open(logging.debugfile.as_deref(), &mut notes) {
        let debug = LevelFilter::DEBUG;
        layers.push(
            tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_target(false)
                .with_writer(Mutex::new(file))
                .with_filter(debug)
                .boxed(),
        );
    }
    // With a file of its own the rest is for the journal only, as Heartbeat's logfile replaced its console.
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    match journal {
        Some(journal) => layers.push(journal.with_syslog_identifier("hearthd".into()).with_filter(level).boxed()),
        None => layers.push(
            tracing_subscriber::fmt::layer()
                .with_target(false)
                .with_ansi(false)
                .with_writer(std::io::stderr)
                .with_filter(level)
                .boxed(),
        ),
    }
    if tracing_subscriber::registry().with(layers).try_init().is_err() {
        notes.push("the log was set up before".into());
    }
    notes
}

fn open(path: Option<&str>, notes: &mut Vec<String>) -> Option<File> {
    let path = path?;
    match OpenOptions::new().create(true).append(true).mode(0o640).open(path) {
        Ok(file) => Some(file),
        Err(error) => {
            notes.push(format!("the log file {path} cannot be written: {error}"));
            None
        }
    }
}

/// Writes events down.
#[derive(Debug)]
pub(crate) struct EventLog {
    second: Instant,
    written: u32,
    suppressed: u64,
}

impl EventLog {
    pub(crate) fn new() -> EventLog {
        EventLog { second: Instant::now(), written: 0, suppressed: 0 }
    }

    /// One line. Errors are written whatever the rate: they are what somebody looks for afterwards.
    pub(crate) fn write(&mut self, event: &Event) {
        if self.second.elapsed() >= Duration::from_secs(1) {
            if self.suppressed > 0 {
                tracing::warn!(suppressed = self.suppressed, "lines of the last second were left out");
            }
            (self.second, self.written, self.suppressed) = (Instant::now(), 0, 0);
        }
        if self.written >= BURST && event.severity != Severity::Error {
            self.suppressed += 1;
            return;
        }
        self.written += 1;
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
