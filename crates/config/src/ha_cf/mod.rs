//! ha.cf: one directive per line.

mod alert;
mod media;
mod names;
mod old;
mod stonith;

use crate::haresources::Defaults;
use crate::lex::{Word, lines, place, uncommented, whole, words};
use crate::report::{Report, error, note, unreadable, warning};
use crate::{
    Alerts, ClusterConfig, Environment, Fencing, Logging, Medium, Permits, SelfFence, Sources, Timing, WatchdogDevice,
    span,
};
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;
use hearth_types::{AutoFailback, NEWEST_WIRE_VERSION, NodeName, OLDEST_WIRE_VERSION, OpTimeouts};
use names::{DIRECTIVES, FACILITIES, REPEATED, SINGLE};
pub(crate) use stonith::{Param, WrittenDevice, fence_device, fence_program};

/// What the file says before the checks across lines.
pub(crate) struct File {
    pub(crate) cluster: ClusterConfig,
    pub(crate) defaults: Defaults,
    pub(crate) auto_failback: AutoFailback,
    pub(crate) unchecked: Vec<(String, bool, Range<usize>)>,
    pub(crate) times: BTreeMap<&'static str, (Duration, Range<usize>)>,
    /// Where each of the cluster's nodes stands, in the same order.
    pub(crate) nodes: Vec<Range<usize>>,
    /// Nodes that vote and run nothing, and where each stands.
    pub(crate) witnesses: Vec<(NodeName, Range<usize>)>,
    /// Whether nodeinfo named this machine.
    pub(crate) from_nodeinfo: bool,
    /// Where `tiebreaker` stands.
    pub(crate) tiebreaker: Option<Range<usize>>,
    /// Where `unfenced_takeover` stands.
    pub(crate) unfenced: Option<Range<usize>>,
    /// Where `watchdog` stands.
    pub(crate) watchdog: Option<Range<usize>>,
    /// Where `self_fence` stands.
    pub(crate) self_fence: Option<Range<usize>>,
    /// Where each serial line stands, in their order.
    pub(crate) serial: Vec<Range<usize>>,
    /// Where `stonith disk` names its disk.
    pub(crate) disk: Option<Range<usize>>,
    /// `timeout fence` stands in the file.
    pub(crate) fence_timeout: bool,
    /// Fence devices in their order.
    pub(crate) stonith: Vec<WrittenDevice>,
    port: u16,
    baud: u32,
}

struct Reader<'a> {
    file: File,
    environment: &'a dyn Environment,
    report: &'a mut Report,
}

/// Reads the file.
pub(crate) fn parse(sources: &Sources, environment: &dyn Environment, report: &mut Report) -> File {
    let host = sources.nodeinfo.clone().unwrap_or_else(|| environment.host_name());
    let file = File { from_nodeinfo: sources.nodeinfo.is_some(), ..blank(NodeName::new(host.trim())) };
    let Some(text) = &sources.ha_cf else {
        let title = format!("{} does not exist", sources.path("ha.cf"));
        report.push(
            error("missing-file", None, title)
                .help("least that is needed: node NAME NAME, and a medium such as bcast eth0"),
        );
        return file;
    };
    let mut reader = Reader { file, environment, report };
    let mut seen: BTreeMap<&str, Range<usize>> = BTreeMap::new();
    for (start, line) in lines(text) {
        let split = words(uncommented(line), start, false);
        let Some(name) = split.first() else { continue };
        if unreadable(&split, reader.report) {
            continue;
        }
        if let Some(first) = seen.get(name.text).filter(|_| !REPEATED.contains(&name.text)) {
            let (line, _) = place(text, first.start);
            let wrong = error("duplicate-directive", name.span.clone(), format!("`{}` stands twice", name.text));
            reader.report.push(wrong.label(format!("the first is in line {line}")).help("remove one of the two"));
            continue;
        }
        seen.insert(name.text, name.span.clone());
        let commas = words(uncommented(line), start, true);
        if commas.first().is_some_and(|word| word.text == name.text) {
            reader.directive(name, &commas[1..], &split[1..]);
        } else {
            reader.directive(name, &split[1..], &split[1..]);
        }
    }
    reader.file
}

fn blank(local: NodeName) -> File {
    let second = Duration::from_secs(1);
    let timing = Timing {
        keepalive: second / 5,
        deadtime: second * 2,
        warntime: second,
        initdead: second * 10,
        deadping: second * 2,
        carrier_grace: second / 20,
        failure_timeout: None,
    };
    let cluster = ClusterConfig {
        name: "linux-ha".to_owned(),
        local,
        nodes: Vec::new(),
        media: Vec::new(),
        ping_targets: Vec::new(),
        timing,
        permits: Permits { tiebreaker_ping: false, unfenced: true },
        tiebreaker_disk: None,
        gate: true,
        realtime: true,
        rtprio: 1,
        watchdog: None,
        self_fence: None,
        record: Some(RECORD_DEFAULT),
        wire_version: NEWEST_WIRE_VERSION,
        logging: Logging::default(),
        fencing: Fencing::default(),
        env: BTreeMap::new(),
        alerts: Alerts::default(),
    };
    let defaults = Defaults { timeouts: OpTimeouts::default(), monitor: Some(second * 10), wire_check: true };
    File {
        cluster,
        defaults,
        auto_failback: AutoFailback::Off,
        unchecked: Vec::new(),
        times: BTreeMap::new(),
        nodes: Vec::new(),
        witnesses: Vec::new(),
        from_nodeinfo: false,
        tiebreaker: None,
        unfenced: None,
        watchdog: None,
        self_fence: None,
        serial: Vec::new(),
        disk: None,
        fence_timeout: false,
        stonith: Vec::new(),
        port: 694,
        baud: 19200,
    }
}

/// Bytes kept of what this node is told, where nothing else is said: some hours at the usual keepalive.
const RECORD_DEFAULT: u64 = 8 << 20;

/// Time to stop in that most machines keep, and that no outage should be much longer than.
const WATCHDOG_DEFAULT: Duration = Duration::from_secs(10);
/// What all drivers take: the shortest leaves a second to a daemon that is started anew, several count in one byte.
const WATCHDOG_SECONDS: core::ops::RangeInclusive<u64> = 2..=255;

/// Times to stop in: no agent is quicker beyond doubt, and who waits for longer wants nothing to be reset.
const SELF_FENCE: core::ops::RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(3600);

/// `off`, or a size with the letter K, M or G; none: neither, or out of bounds.
fn size(text: &str) -> Option<Option<u64>> {
    if text.eq_ignore_ascii_case("off") {
        return Some(None);
    }
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "" => 0,
        _ => return None,
    };
    let size = digits.parse::<u64>().ok()?.checked_mul(1 << unit)?;
    (1 << 20..=1 << 30).contains(&size).then_some(Some(size))
}

impl Reader<'_> {
    fn directive(&mut self, name: &Word<'_>, list: &[Word<'_>], rest: &[Word<'_>]) {
        let span = name.span.clone();
        if !DIRECTIVES.contains(&name.text) {
            let wrong = error("unknown-directive", span, format!("there is no directive `{}`", name.text));
            let mut wrong = wrong.label("no such directive").nearest(name.text, DIRECTIVES.iter().copied());
            wrong.help.get_or_insert_with(|| "remove the line; docs/operations.md lists the directives".to_owned());
            self.report.push(wrong);
            return;
        }
        let Some(value) = list.first() else {
            let wrong = error("empty-value", span, format!("`{}` has no value", name.text));
            self.report.push(wrong.help("write the value behind it or remove the line"));
            return;
        };
        if SINGLE.contains(&name.text)
            && let Some(extra) = if name.text.contains("file") { rest.get(1) } else { list.get(1) }
        {
            let wrong = error("extra-word", extra.span.clone(), format!("`{}` takes one value", name.text));
            self.report.push(wrong.label("one too many").help("remove it, or put a # before it"));
            return;
        }
        match name.text {
            "node" | "witness" => {
                let named = list.iter().map(|word| (NodeName::new(word.text), word.span.clone()));
                if name.text == "witness" {
                    self.file.witnesses.extend(named);
                }
                self.file.cluster.nodes.extend(list.iter().map(|word| NodeName::new(word.text)));
                self.file.nodes.extend(list.iter().map(|word| word.span.clone()));
            }
            "keepalive" | "deadtime" | "warntime" | "initdead" | "deadping" | "carrier_grace" | "timeout"
            | "monitor" | "max_outage" | "worst_pause" | "failure_timeout" => {
                self.time(name, rest);
            }
            "bcast" | "udp" | "mcast" | "mcast6" | "ucast" | "ucast6" | "serial" | "ping" | "ping6" | "ping_group" => {
                self.medium(name, list);
            }
            "udpport" | "baud" => self.speed(name, value),
            "auto_failback" if value.text.eq_ignore_ascii_case("legacy") => {
                self.file.auto_failback = AutoFailback::On;
                self.report.push(note("legacy", value.span.clone(), "`auto_failback legacy` is read as `on`"));
            }
            "auto_failback" | "gate" | "unfenced_takeover" | "realtime" | "wire_check" => {
                self.switch(name, value, list)
            }
            "tiebreaker" => self.tiebreaker(value, rest),
            "rtprio" | "debug" => match (name.text, value.text.parse::<u8>()) {
                ("rtprio", Ok(number)) if (1..=99).contains(&number) => self.file.cluster.rtprio = number,
                ("debug", Ok(number)) => self.file.cluster.logging.debug = number,
                _ => self.bad(value, "rtprio is 1 to 99, debug 0 to 255"),
            },
            "record" => match size(value.text) {
                Some(size) => self.file.cluster.record = size,
                None => self.bad(value, "record is `off` or a size from 1M to 1G: 8M"),
            },
            "watchdog" => self.watchdog(value, &rest[1..]),
            "self_fence" => self.self_fence(value, &rest[1..]),
            "wire_version" => self.wire_version(value),
            "cluster" => self.file.cluster.name = value.text.to_owned(),
            "logfile" => self.file.cluster.logging.logfile = Some(value.text.to_owned()),
            "debugfile" => self.file.cluster.logging.debugfile = Some(value.text.to_owned()),
            "logfacility" => self.facility(value),
            "env" => self.env(rest),
            "alert" => self.alert(name, rest),
            "stonith_host" => self.stonith_host(name, rest),
            "stonith" => self.stonith(name, rest),
            _ => self.old(name, value, rest),
        }
    }

    /// R-PAIR-1: one kind, or what the one refuses the other would grant.
    fn tiebreaker(&mut self, kind: &Word<'_>, rest: &[Word<'_>]) {
        let expected = if kind.text == "disk" { 2 } else { 1 };
        if let Some(extra) = rest.get(expected) {
            let title = format!("`tiebreaker {}` takes no more words", kind.text);
            let wrong = error("extra-word", extra.span.clone(), title).label("one too many");
            return self.report.push(wrong.help("remove it, or put a # before it"));
        }
        match (kind.text, rest.get(1)) {
            ("ping", _) => self.file.cluster.permits.tiebreaker_ping = true,
            ("disk", Some(path)) if path.text.starts_with('/') => {
                self.file.cluster.tiebreaker_disk = Some(path.text.to_owned());
            }
            ("disk", at) => {
                return self.bad(at.unwrap_or(kind), "write the path of the disk: tiebreaker disk /dev/disk/by-id/...");
            }
            _ => return self.bad(kind, "write: tiebreaker ping, or tiebreaker disk /dev/disk/by-id/..."),
        }
        self.file.tiebreaker = Some(kind.span.clone());
    }

    /// R-LEASE-7. Heartbeat took a device alone, and what it asked for was deadtime.
    fn watchdog(&mut self, device: &Word<'_>, rest: &[Word<'_>]) {
        if !device.text.starts_with('/') {
            return self.bad(device, "write the path of the device: watchdog /dev/watchdog");
        }
        let text = rest.iter().map(|word| word.text).collect::<Vec<_>>().join(" ");
        let timeout = if text.is_empty() { Some(WATCHDOG_DEFAULT) } else { span::parse(&text).map(|(span, _)| span) };
        let seconds = timeout.map(|span| span.as_millis().div_ceil(1000) as u64);
        let Some(seconds) = seconds.filter(|seconds| WATCHDOG_SECONDS.contains(seconds)) else {
            let at = whole(rest, device);
            let wrong = error("bad-time", at, format!("`{text}` is no time for a watchdog"));
            return self.report.push(wrong.help("write 2s to 255s behind the device, or nothing: 10s"));
        };
        let timeout = Duration::from_secs(seconds);
        self.file.cluster.watchdog = Some(WatchdogDevice { device: device.text.to_owned(), timeout });
        self.file.watchdog = Some(device.span.clone());
    }

    /// R-LEASE-6, without a watchdog.
    fn self_fence(&mut self, how: &Word<'_>, rest: &[Word<'_>]) {
        if how.text != "reboot" {
            return self.bad(how, "write: self_fence reboot, and behind it how long stopping may take: 30s");
        }
        let text = rest.iter().map(|word| word.text).collect::<Vec<_>>().join(" ");
        let within = match span::parse(&text) {
            _ if text.is_empty() => None,
            Some((within, _)) if SELF_FENCE.contains(&within) => Some(within),
            _ => {
                let wrong = error("bad-time", whole(rest, how), format!("`{text}` is no time to stop in"));
                return self.report.push(wrong.help("write 2s to 60m, or nothing: as the timeouts of the agents say"));
            }
        };
        self.file.cluster.self_fence = Some(SelfFence { within });
        self.file.self_fence = Some(how.span.clone());
    }

    /// R-WIRE-6: a node that is held back is said, because nothing newer is used before the line is gone.
    fn wire_version(&mut self, value: &Word<'_>) {
        let (oldest, newest) = (OLDEST_WIRE_VERSION, NEWEST_WIRE_VERSION);
        match value.text.parse::<u8>() {
            Ok(version) if (oldest..=newest).contains(&version) => {
                self.file.cluster.wire_version = version;
                if version < newest {
                    let title = format!("`wire_version {version}` holds the cluster at wire version {version}");
                    let help = format!("this hearthd speaks {newest}; remove the line when no package is to go back");
                    self.report.push(note("wire-version", value.span.clone(), title).help(help));
                }
            }
            _ => self.bad(value, &format!("this hearthd speaks wire versions {oldest} to {newest}")),
        }
    }

    fn facility(&mut self, value: &Word<'_>) {
        if FACILITIES.contains(&value.text) {
            self.file.cluster.logging.facility = (value.text != "none").then(|| value.text.to_owned());
            if value.text != "none" {
                let title = format!("`logfacility {}` is handed to scripts as HA_LOGFACILITY", value.text);
                let told = note("log-facility", value.span.clone(), title);
                self.report
                    .push(told.help("hearthd itself writes to the journal, else to standard error, and to `logfile`"));
            }
            return;
        }
        let wrong = error("bad-facility", value.span.clone(), format!("syslog has no facility `{}`", value.text));
        let wrong = wrong.help("facilities: daemon, user, local0 to local7, none");
        self.report.push(wrong.nearest(value.text, FACILITIES.iter().copied()));
    }

    /// Each word of its own, as Heartbeat read it; the value may hold anything but blanks and `#`.
    fn env(&mut self, words: &[Word<'_>]) {
        for word in words {
            match word.text.split_once('=') {
                Some((key, text)) if !key.is_empty() => {
                    self.file.cluster.env.insert(key.to_owned(), text.to_owned());
                }
                _ => self.bad(word, "write: env NAME=VALUE, without blanks in VALUE"),
            }
        }
    }

    /// `udpport` and `baud`, which count for the media below them.
    fn speed(&mut self, name: &Word<'_>, value: &Word<'_>) {
        let (number, media) = (value.text.parse::<u32>().unwrap_or(0), &self.file.cluster.media);
        let above = if name.text == "baud" {
            if !crate::budget::SPEEDS.contains(&number) {
                return self.bad(value, "speeds are 9600 19200 38400 57600 115200 230400 460800");
            }
            self.file.baud = number;
            media.iter().any(|medium| matches!(medium, Medium::Serial { .. }))
        } else {
            let Some(port) = u16::try_from(number).ok().filter(|port| *port > 0) else {
                return self.bad(value, "a port is 1 to 65535");
            };
            self.file.port = port;
            media.iter().any(|medium| matches!(medium, Medium::Ucast { .. } | Medium::Bcast { .. }))
        };
        if above {
            let title = format!("`{}` stands below media, which do not see it", name.text);
            let wrong = warning("late-setting", name.span.clone(), title).label("counts only for lines below it");
            self.report.push(wrong.help("move the line above the first medium"));
        }
    }

    fn bad(&mut self, value: &Word<'_>, help: &str) {
        self.report
            .push(error("bad-value", value.span.clone(), format!("`{}` does not fit here", value.text)).help(help));
    }

    fn switch(&mut self, name: &Word<'_>, value: &Word<'_>, list: &[Word<'_>]) {
        let on = match value.text.to_lowercase().as_str() {
            "true" | "on" | "yes" | "y" | "1" => true,
            "false" | "off" | "no" | "n" | "0" => false,
            _ => return self.bad(value, "write yes or no"),
        };
        match (name.text, list.get(1)) {
            ("wire_check", Some(id)) => self.file.unchecked.push((id.text.to_owned(), on, id.span.clone())),
            ("wire_check", None) => self.file.defaults.wire_check = on,
            ("gate", _) => self.file.cluster.gate = on,
            ("realtime", _) => self.file.cluster.realtime = on,
            ("unfenced_takeover", _) => {
                self.file.cluster.permits.unfenced = on;
                self.file.unfenced = Some(value.span.clone());
            }
            _ => self.file.auto_failback = if on { AutoFailback::On } else { AutoFailback::Off },
        }
    }

    fn time(&mut self, name: &Word<'_>, rest: &[Word<'_>]) {
        if name.text == "monitor" && matches!(rest[0].text, "off" | "no") {
            self.file.defaults.monitor = None;
            return;
        }
        if name.text == "failure_timeout" && matches!(rest[0].text, "off" | "no") {
            return;
        }
        let values = if name.text == "timeout" { &rest[1..] } else { rest };
        let text = values.iter().map(|word| word.text).collect::<Vec<_>>().join(" ");
        let at = whole(values, name);
        let Some((value, old)) = span::parse(&text).filter(|(value, _)| !value.is_zero()) else {
            if text.is_empty() {
                let wrong = error("empty-value", at, "`timeout` needs an operation and a time");
                return self.report.push(wrong.help("write: timeout start|stop|monitor|fence|alert TIME"));
            }
            let wrong = error("bad-time", at, format!("`{text}` is not a span of time"));
            self.report.push(wrong.help("write 2 (seconds), 0.5, 200ms, 2s or 1m; more than zero, at most a year"));
            return;
        };
        if !old {
            self.report.push(note(
                "time-unit",
                at.clone(),
                format!("`{text}` is read as {value:?}; Heartbeat refused it"),
            ));
        }
        let timeouts = &mut self.file.defaults.timeouts;
        let key = match (name.text, rest[0].text) {
            ("timeout", "start") => return timeouts.start = value,
            ("timeout", "stop") => return timeouts.stop = value,
            ("timeout", "monitor") => return timeouts.monitor = value,
            ("timeout", "fence") => {
                self.file.fence_timeout = true;
                return self.file.cluster.fencing.timeout = value;
            }
            ("timeout", "alert") => return self.file.cluster.alerts.timeout = value,
            ("timeout", _) => return self.bad(&rest[0], "write: timeout start|stop|monitor|fence|alert TIME"),
            ("monitor", _) => return self.file.defaults.monitor = Some(value),
            ("carrier_grace", _) => return self.file.cluster.timing.carrier_grace = value,
            ("failure_timeout", _) => "failure_timeout",
            ("keepalive", _) => "keepalive",
            ("deadtime", _) => "deadtime",
            ("warntime", _) => "warntime",
            ("initdead", _) => "initdead",
            ("max_outage", _) => "max_outage",
            ("worst_pause", _) => "worst_pause",
            _ => "deadping",
        };
        self.file.times.insert(key, (value, at));
    }
}
