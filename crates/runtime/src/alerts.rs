//! Scripts of alerts: one after the other for each recipient, beside everything else, and reported how they ended.
//!
//! A script that hangs holds up the next alert to its own recipient and nothing besides: no decision, no heartbeat, no
//! other script. What waits is bounded, and what does not fit is reported as not told at once.

use crate::clock;
use crate::order::Post;
use hearth_agents::{alert, script::Scripts};
use hearth_controller::{Alert, Input};
use hearth_types::AlertId;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinSet;

/// Alerts that wait for one recipient. With a script that hangs each takes its whole timeout: more would be old news.
const WAITING_MAX: usize = 64;

/// A script and its recipient.
type Receiver = (String, Option<String>);

struct Job {
    id: AlertId,
    environment: Vec<(OsString, OsString)>,
    timeout: Duration,
    ordered: Instant,
}

/// Everybody who is told.
pub(crate) struct Alerts {
    version: String,
    post: Post,
    /// What all scripts of this machine are told.
    surroundings: BTreeMap<String, OsString>,
    queues: BTreeMap<Receiver, mpsc::Sender<Job>>,
    attendants: JoinSet<()>,
}

impl Alerts {
    pub(crate) fn new(version: &str, scripts: &Scripts, post: Post) -> Alerts {
        Alerts {
            version: version.to_owned(),
            post,
            surroundings: scripts.surroundings(),
            queues: BTreeMap::new(),
            attendants: JoinSet::new(),
        }
    }

    /// The files were read again: whoever is not among these receivers is told what waits for him, and no more.
    pub(crate) fn reconfigure(&mut self, alerts: &hearth_config::Alerts, scripts: &Scripts) {
        self.surroundings = scripts.surroundings();
        self.queues.retain(|(program, recipient), _| {
            alerts.receivers().any(|known| known == (program.as_str(), recipient.as_deref()))
        });
    }

    /// Tells one recipient; the end is reported, whatever happens. Needs the tokio runtime.
    pub(crate) fn tell(&mut self, id: AlertId, alert: &Alert, receiver: Receiver, timeout: Duration) {
        let environment = self.environment(alert, receiver.1.as_deref());
        let job = Job { id, environment, timeout, ordered: Instant::now() };
        // Attendants of lines that were taken out of ha.cf have ended.
        while self.attendants.try_join_next().is_some() {}
        let (attendants, post) = (&mut self.attendants, &self.post);
        let queue = self.queues.entry(receiver).or_insert_with_key(|(program, _)| {
            let (queue, jobs) = mpsc::channel(WAITING_MAX);
            attendants.spawn(attend(program.clone(), jobs, post.clone()));
            queue
        });
        let refused = match queue.try_send(job) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => format!("{WAITING_MAX} alerts wait for it already: does it hang?"),
            Err(TrySendError::Closed(_)) => "nobody attends to it any more".to_owned(),
        };
        self.post.input(Input::AlertFinished { id, result: Err(refused), took: Duration::ZERO });
    }

    /// What was ordered may still come to its end within that time; what has not by then is ended and said in the log.
    pub(crate) async fn finish(mut self, within: Duration) {
        self.queues.clear();
        let ended = async { while self.attendants.join_next().await.is_some() {} };
        if tokio::time::timeout(within, ended).await.is_err() {
            tracing::warn!("hearthd ends before every alert was told: scripts that still run are ended");
        }
    }

    /// The whole environment of a script: nothing of the daemon's own.
    fn environment(&self, alert: &Alert, recipient: Option<&str>) -> Vec<(OsString, OsString)> {
        let mut all = self.surroundings.clone();
        let wall_us = clock::wall_us(alert.at);
        let more = [
            ("CRM_alert_version", self.version.clone()),
            ("CRM_alert_recipient", recipient.unwrap_or_default().to_owned()),
            ("CRM_alert_timestamp", local_time(wall_us)),
            ("CRM_alert_timestamp_epoch", (wall_us / 1_000_000).to_string()),
            ("CRM_alert_timestamp_usec", (wall_us % 1_000_000).to_string()),
        ];
        // A zero byte would end the text there, and a value that a script said may hold one.
        let clean = |value: String| OsString::from(value.replace('\0', ""));
        all.extend(alert.environment().into_iter().chain(more).map(|(name, value)| (name.to_owned(), clean(value))));
        all.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }
}

/// Tells one recipient one thing after the other.
async fn attend(program: String, mut jobs: mpsc::Receiver<Job>, post: Post) {
    while let Some(Job { id, environment, timeout, ordered }) = jobs.recv().await {
        let result = alert::run(Path::new(&program), environment, timeout).await;
        post.input(Input::AlertFinished { id, result, took: ordered.elapsed() });
    }
}

/// `2026-11-21T14:05:03.250000+01:00`, by this machine's zone.
fn local_time(wall_us: u64) -> String {
    let at = i64::try_from(wall_us).ok().and_then(|us| jiff::Timestamp::from_microsecond(us).ok()).unwrap_or_default();
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S.%6f%:z").to_string()
}
