//! Sending alerts: which node tells, how often at most, and what became of it (decision 0046).
//!
//! What was decided together, the DC tells. The others keep it for as long as a script may take, and whoever is DC next
//! tells what the one before may have taken with it: rather twice than never. What one node alone knows, that one tells.

use crate::alert::{Alert, AlertKind};
use crate::alert_facts::Facts;
use crate::node::Node;
use crate::orders::{refused, reply};
use crate::{Output, Severity};
use hearth_cib::Record;
use hearth_control::Reply;
use hearth_types::{AlertId, Incarnation, NodeName, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What is kept: more than one fault brings forth on a machine of the usual size.
const KEPT_MAX: usize = 64;
/// So many of one series go out at once within [`WINDOW`]; of the rest the newest does when that is over.
const BURST: usize = 3;
const WINDOW: Duration = Duration::from_secs(600);

/// Something that another node tells, as long as it lives.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    alert: Alert,
    /// The DC of then, and its run; none: there was none.
    by: Option<(NodeName, Option<Incarnation>)>,
}

/// Alerts of one series.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Series {
    sent: VecDeque<Timestamp>,
    waiting: Option<Alert>,
    left_out: u32,
}

impl Series {
    fn expire(&mut self, now: Timestamp) {
        while self.sent.front().is_some_and(|at| now.since(*at) >= WINDOW) {
            self.sent.pop_front();
        }
    }

    /// The alert, if it goes out now.
    fn pass(&mut self, now: Timestamp, alert: Alert) -> Option<Alert> {
        self.expire(now);
        if self.waiting.is_none() && self.sent.len() < BURST {
            self.sent.push_back(now);
            return Some(alert);
        }
        self.left_out += u32::from(self.waiting.is_some());
        self.waiting = Some(alert);
        None
    }

    fn due_at(&self) -> Option<Timestamp> {
        self.waiting.as_ref()?;
        Some(self.sent.front().map_or(Timestamp::ZERO, |at| *at + WINDOW))
    }

    /// What has waited long enough.
    fn release(&mut self, now: Timestamp) -> Option<Alert> {
        self.due_at().filter(|due| *due <= now)?;
        self.expire(now);
        self.sent.push_back(now);
        let left_out = std::mem::take(&mut self.left_out);
        self.waiting.take().map(|alert| Alert { left_out, ..alert })
    }
}

/// A script that was told something and has not ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    receiver: String,
    name: String,
    subject: String,
}

/// Somebody who tries whether alerts arrive.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Trial {
    token: u64,
    since: Timestamp,
    waits: BTreeSet<AlertId>,
    good: Vec<String>,
    bad: Vec<String>,
}

/// State of all that.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Alerts {
    number: u64,
    sequence: u64,
    /// Goes out with this input.
    ready: Vec<Alert>,
    kept: VecDeque<Kept>,
    series: BTreeMap<String, Series>,
    told: BTreeMap<AlertId, Told>,
    trials: Vec<Trial>,
    pub facts: Facts,
}

impl Alerts {
    /// At the start of a daemon, with the record that it has read back.
    pub(crate) fn begin(record: Option<&Record>) -> Alerts {
        let mut alerts = Alerts::default();
        record.into_iter().for_each(|record| alerts.facts.begin(record));
        alerts
    }

    fn offer(&mut self, now: Timestamp, alert: Alert) {
        let passed = self.series.entry(alert.series()).or_default().pass(now, alert);
        self.ready.extend(passed);
    }

    fn keep(&mut self, alert: Alert, by: Option<(NodeName, Option<Incarnation>)>) {
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept { alert, by });
    }

    /// What waited for its turn, and series that nobody needs any more.
    fn release(&mut self, now: Timestamp) {
        let due = self.series.values_mut().filter_map(|series| series.release(now));
        self.ready.extend(due);
        self.series.retain(|_, series| {
            series.expire(now);
            series.waiting.is_some() || !series.sent.is_empty()
        });
    }

    pub(crate) fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let waiting = self.series.values().filter_map(Series::due_at);
        waiting.chain(self.facts.next_deadline()).filter(|at| *at > now).min()
    }

    /// Whether nobody is to be told anything.
    pub(crate) fn rests(&self) -> bool {
        self.ready.is_empty() && self.kept.is_empty() && self.trials.is_empty() && self.facts.next_deadline().is_none()
    }

    /// Whoever waited for an answer is gone.
    pub(crate) fn forget_request(&mut self, token: u64) {
        self.trials.retain(|trial| trial.token != token);
    }
}

impl Node {
    pub(crate) fn has_alerts(&self) -> bool {
        !self.config.cluster.alerts.scripts.is_empty()
    }

    fn alert(&self, now: Timestamp, what: AlertKind, node: &NodeName, text: String) -> Alert {
        let place = self.config.cluster.nodes.iter().position(|name| name == node);
        Alert {
            sequence: 0,
            at: now,
            what,
            node: node.clone(),
            node_id: place.map_or(0, |place| place as u32 + 1),
            from: self.local.clone(),
            text,
            left_out: 0,
            again: false,
        }
    }

    /// Something that only this node knows, or that nobody decides.
    pub(crate) fn alert_alone(&mut self, now: Timestamp, what: AlertKind, node: &NodeName, text: String) {
        if self.has_alerts() {
            let alert = self.alert(now, what, node, text);
            self.alerts.offer(now, alert);
        }
    }

    /// Something that was decided: the DC tells it.
    pub(crate) fn alert_decided(&mut self, now: Timestamp, what: AlertKind, node: &NodeName, text: String) {
        if !self.has_alerts() {
            return;
        }
        let alert = self.alert(now, what, node, text);
        let dc = self.known_dc();
        if dc.as_ref() == Some(&self.local) {
            return self.alerts.offer(now, alert);
        }
        let run = |dc: NodeName| {
            let incarnation = self.members.peer(&dc).and_then(|peer| peer.incarnation);
            (dc, incarnation)
        };
        let by = dc.map(run);
        self.alerts.keep(alert, by);
    }

    /// As the DC: what the one before may not have told, because it is gone.
    fn take_over_alerts(&mut self, now: Timestamp) {
        if self.alerts.kept.is_empty() {
            return;
        }
        // By then its scripts had all the time they get, and its loss would be known.
        let cluster = &self.config.cluster;
        let kept_for = cluster.alerts.timeout.saturating_add(cluster.timing.deadtime * 2);
        if !self.ledger.is_dc() {
            self.alerts.kept.retain(|kept| now.since(kept.alert.at) < kept_for);
            return;
        }
        for Kept { alert, by } in std::mem::take(&mut self.alerts.kept) {
            let lives = by.is_some_and(|(dc, incarnation)| {
                self.members.peer(&dc).is_some_and(|peer| peer.is_alive() && peer.incarnation == incarnation)
            });
            if !lives && now.since(alert.at) < kept_for {
                self.alerts.offer(now, Alert { again: true, ..alert });
            }
        }
    }

    /// Hands out what is to be told. Stands behind everything else that an input brings, and so behind its writes.
    pub(crate) fn send_alerts(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        self.judge_deaths(now);
        self.take_over_alerts(now);
        self.alerts.release(now);
        for alert in std::mem::take(&mut self.alerts.ready) {
            self.send_alert(now, alert, out);
        }
        for trial in std::mem::take(&mut self.alerts.trials) {
            match trial.waits.is_empty() {
                true => reply(out, trial.token, tried(now, &trial), false),
                false => self.alerts.trials.push(trial),
            }
        }
    }

    /// One alert to everybody; the numbers of the runs.
    fn send_alert(&mut self, now: Timestamp, alert: Alert, out: &mut Vec<Output>) -> BTreeSet<AlertId> {
        self.alerts.sequence += 1;
        let alert = Alert { sequence: self.alerts.sequence, ..alert };
        let (name, subject, timeout) = (alert.name(), alert.node.to_string(), self.config.cluster.alerts.timeout);
        let mut runs = BTreeSet::new();
        for (program, recipient) in self.config.cluster.alerts.receivers() {
            self.alerts.number += 1;
            let id = AlertId(self.alerts.number);
            let receiver = recipient.map_or_else(|| program.to_owned(), |recipient| format!("{program} {recipient}"));
            self.alerts.told.insert(id, Told { receiver, name: name.to_owned(), subject: subject.clone() });
            runs.insert(id);
            let (program, recipient) = (program.to_owned(), recipient.map(str::to_owned));
            out.push(Output::Alert { id, alert: Box::new(alert.clone()), program, recipient, timeout });
        }
        let again = if alert.again { " again, for the DC that should have told it is gone" } else { "" };
        let text = format!("Alert {name}{again}: {}", alert.text);
        self.chronicle.note(now, Severity::Info, "alerted", &subject, text);
        runs
    }

    /// A script ended, or was ended.
    pub(crate) fn take_alert(&mut self, now: Timestamp, id: AlertId, result: Result<String, String>, took: Duration) {
        let Some(told) = self.alerts.told.remove(&id) else { return };
        let Told { receiver, name, subject } = told;
        let (severity, event, text) = match &result {
            Ok(_) => (Severity::Debug, "alert-done", format!("{receiver} was told of {name}.")),
            Err(why) => (Severity::Warning, "alert-failed", format!("{receiver} was not told of {name}: {why}.")),
        };
        self.chronicle.note(now, severity, event, subject, text);
        for trial in self.alerts.trials.iter_mut().filter(|trial| trial.waits.contains(&id)) {
            trial.waits.remove(&id);
            match &result {
                Ok(said) if said.is_empty() => trial.good.push(format!("{receiver}: ended with 0 in {took:.0?}")),
                Ok(said) => trial.good.push(format!("{receiver}: ended with 0 in {took:.0?}; it said: {said}")),
                Err(why) => trial.bad.push(format!("{receiver}: {why}")),
            }
        }
    }

    /// `hearth alert test`.
    pub(crate) fn order_trial(&mut self, now: Timestamp, token: u64, by: &str, out: &mut Vec<Output>) {
        if !self.has_alerts() {
            let help = "write: alert /PATH/OF/A/SCRIPT [RECIPIENT...], or: alert MailTo ADDRESS; then `hearth reload`";
            let reason = "there is no `alert` line in ha.cf of this machine: nobody is told anything".to_owned();
            return reply(out, token, refused(reason, Some(help), false), false);
        }
        let text = format!("This is a trial, by {by}: nothing has happened.");
        let alert = self.alert(now, AlertKind::Test, &self.local.clone(), text);
        let waits = self.send_alert(now, alert, out);
        self.alerts.trials.push(Trial { token, since: now, waits, good: Vec::new(), bad: Vec::new() });
    }
}

fn tried(now: Timestamp, trial: &Trial) -> Reply {
    let took_ms = now.since(trial.since).as_millis() as u64;
    let count = |number: usize| if number == 1 { "one script".to_owned() } else { format!("{number} scripts") };
    if trial.bad.is_empty() {
        let text = format!("a trial was sent to {}\n  {}", count(trial.good.len()), trial.good.join("\n  "));
        return Reply::Done { text, took_ms, notes: Vec::new() };
    }
    let arrived = if trial.good.is_empty() { "nobody was told" } else { "not everybody was told" };
    let reason = format!("{arrived}: {}", [&trial.bad[..], &trial.good[..]].concat().join("; "));
    let help = "run the script by hand as root, with CRM_alert_kind=node and the like in its environment".to_owned();
    Reply::Failed { reason, help: Some(help) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(text: &str) -> Alert {
        Alert {
            sequence: 0,
            at: Timestamp::ZERO,
            what: AlertKind::NodeLost,
            node: "a".into(),
            node_id: 1,
            from: "b".into(),
            text: text.into(),
            left_out: 0,
            again: false,
        }
    }

    /// Harm: a machine that comes and goes sends a mail a second; or the last word is lost, and it is believed to be back.
    #[test]
    fn a_node_that_flaps_does_not_flood_and_its_last_state_is_told() {
        let (mut alerts, second) = (Alerts::default(), Duration::from_secs(1));
        let mut now = Timestamp::ZERO + second;
        let began = now;
        for number in 0..100 {
            alerts.offer(now, alert(&format!("{number}")));
            now = now + second;
        }
        let texts = |alerts: &mut Alerts| -> Vec<(String, u32)> {
            std::mem::take(&mut alerts.ready).into_iter().map(|alert| (alert.text, alert.left_out)).collect()
        };
        assert_eq!(texts(&mut alerts), [("0".into(), 0), ("1".into(), 0), ("2".into(), 0)]);
        assert_eq!(alerts.next_deadline(now), Some(began + WINDOW));
        alerts.release(began + WINDOW);
        assert_eq!(texts(&mut alerts), [("99".into(), 96)]);
        alerts.release(began + WINDOW * 3);
        assert!(alerts.series.is_empty(), "what nobody needs any more is kept for ever");
        alerts.offer(began + WINDOW * 3, alert("again"));
        assert_eq!(texts(&mut alerts), [("again".into(), 0)]);
    }

    /// Harm: what others should tell piles up for ever.
    #[test]
    fn what_others_tell_is_bounded() {
        let mut alerts = Alerts::default();
        (0..1000).for_each(|number| alerts.keep(alert(&format!("{number}")), None));
        assert_eq!(alerts.kept.len(), KEPT_MAX);
        assert_eq!(alerts.kept[0].alert.text, (1000 - KEPT_MAX).to_string());
    }
}
