//! ha.cf: one directive per line.

use crate::haresources::{Defaults, interface_missing};
use crate::lex::{Word, lines, place, uncommented, whole, words};
use crate::report::{Report, error, note, warning};
use crate::{ClusterConfig, Environment, Logging, Medium, Permits, PingTarget, Sources, Timing, span};
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::Range;
use core::time::Duration;
use hearth_types::{AutoFailback, NodeName, OpTimeouts};

/// What the file says before the checks across lines.
pub(crate) struct File {
    pub(crate) cluster: ClusterConfig,
    pub(crate) defaults: Defaults,
    pub(crate) auto_failback: AutoFailback,
    pub(crate) unchecked: Vec<(String, bool, Range<usize>)>,
    pub(crate) times: BTreeMap<&'static str, (Duration, Range<usize>)>,
    pub(crate) serial: Vec<Range<usize>>,
    port: u16,
    baud: u32,
}

const DIRECTIVES: &[&str] = &[
    "node",
    "keepalive",
    "deadtime",
    "warntime",
    "initdead",
    "deadping",
    "hopfudge",
    "udpport",
    "bcast",
    "udp",
    "mcast",
    "mcast6",
    "ucast",
    "ucast6",
    "serial",
    "baud",
    "ping",
    "ping6",
    "ping_group",
    "hbaping",
    "watchdog",
    "auto_failback",
    "nice_failback",
    "stonith",
    "stonith_host",
    "respawn",
    "failfast",
    "apiauth",
    "autojoin",
    "cluster",
    "crm",
    "pacemaker",
    "crm_daemon_dir",
    "crmd_spawns_pengine",
    "record_config_changes",
    "record_pengine_inputs",
    "enable_config_writes",
    "quorum_server",
    "uuidfrom",
    "hbgenmethod",
    "msgfmt",
    "compression",
    "compression_threshold",
    "traditional_compression",
    "max_rexmit_delay",
    "rtprio",
    "realtime",
    "memreserve",
    "debug",
    "logfile",
    "debugfile",
    "logfacility",
    "use_logd",
    "conn_logd_time",
    "syslogmsgfmt",
    "log_badpack",
    "coredumps",
    "coreroot",
    "use_apphbd",
    "env",
    "normalpoll",
    "monitor",
    "gate",
    "tiebreaker",
    "unfenced_takeover",
    "carrier_grace",
    "wire_check",
    "timeout",
];
const REPEATED: &[&str] = &[
    "node",
    "bcast",
    "udp",
    "mcast",
    "mcast6",
    "ucast",
    "ucast6",
    "serial",
    "ping",
    "ping6",
    "ping_group",
    "respawn",
    "failfast",
    "apiauth",
    "env",
    "wire_check",
    "timeout",
    "stonith_host",
];
const FACILITIES: &[&str] = &[
    "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp", "local0",
    "local1", "local2", "local3", "local4", "local5", "local6", "local7", "none",
];

struct Reader<'a> {
    file: File,
    environment: &'a dyn Environment,
    report: &'a mut Report,
}

/// Reads the file.
pub(crate) fn parse(sources: &Sources, environment: &dyn Environment, report: &mut Report) -> File {
    let host = sources.nodeinfo.clone().unwrap_or_else(|| environment.host_name());
    let file = blank(NodeName::new(host.trim()));
    let Some(text) = &sources.ha_cf else {
        let title = format!("{}/ha.cf does not exist", sources.directory);
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
    };
    let cluster = ClusterConfig {
        name: "linux-ha".to_owned(),
        local,
        nodes: Vec::new(),
        media: Vec::new(),
        ping_targets: Vec::new(),
        timing,
        permits: Permits { tiebreaker_ping: false, unfenced: true },
        gate: true,
        realtime: true,
        rtprio: 1,
        logging: Logging::default(),
        env: BTreeMap::new(),
    };
    let defaults = Defaults { timeouts: OpTimeouts::default(), monitor: Some(second * 10), wire_check: true };
    File {
        cluster,
        defaults,
        auto_failback: AutoFailback::Off,
        unchecked: Vec::new(),
        times: BTreeMap::new(),
        serial: Vec::new(),
        port: 694,
        baud: 19200,
    }
}

impl Reader<'_> {
    fn directive(&mut self, name: &Word<'_>, list: &[Word<'_>], rest: &[Word<'_>]) {
        let span = name.span.clone();
        if !DIRECTIVES.contains(&name.text) {
            let wrong = error("unknown-directive", span, format!("there is no directive `{}`", name.text));
            self.report.push(wrong.label("no such directive").nearest(name.text, DIRECTIVES.iter().copied()));
            return;
        }
        let Some(value) = list.first() else {
            let wrong = error("empty-value", span, format!("`{}` has no value", name.text));
            self.report.push(wrong.help("write the value behind it or remove the line"));
            return;
        };
        match name.text {
            "node" => self.file.cluster.nodes.extend(list.iter().map(|word| NodeName::new(word.text))),
            "keepalive" | "deadtime" | "warntime" | "initdead" | "deadping" | "carrier_grace" | "timeout"
            | "monitor" => {
                self.time(name, rest);
            }
            "bcast" | "udp" | "mcast" | "mcast6" | "ucast" | "ucast6" | "serial" | "ping" | "ping6" | "ping_group" => {
                self.medium(name, list);
            }
            "udpport" => match value.text.parse::<u16>() {
                Ok(port) if port > 0 => self.file.port = port,
                _ => self.bad(value, "a port is 1 to 65535"),
            },
            "baud" => match value.text.parse::<u32>() {
                Ok(baud @ (9600 | 19200 | 38400 | 57600 | 115200 | 230400 | 460800)) => self.file.baud = baud,
                _ => self.bad(value, "speeds are 9600 19200 38400 57600 115200 230400 460800"),
            },
            "auto_failback" if value.text.eq_ignore_ascii_case("legacy") => {
                self.file.auto_failback = AutoFailback::On;
                self.report.push(note("legacy", value.span.clone(), "`auto_failback legacy` is read as `on`"));
            }
            "auto_failback" | "gate" | "unfenced_takeover" | "realtime" | "wire_check" => {
                self.switch(name, value, list)
            }
            "tiebreaker" if value.text == "ping" => self.file.cluster.permits.tiebreaker_ping = true,
            "tiebreaker" => self.bad(value, "the only tiebreaker is `ping`"),
            "rtprio" | "debug" => match (name.text, value.text.parse::<u8>()) {
                ("rtprio", Ok(number)) if (1..=99).contains(&number) => self.file.cluster.rtprio = number,
                ("debug", Ok(number)) => self.file.cluster.logging.debug = number,
                _ => self.bad(value, "rtprio is 1 to 99, debug 0 to 255"),
            },
            "cluster" => self.file.cluster.name = value.text.to_owned(),
            "logfile" => self.file.cluster.logging.logfile = Some(value.text.to_owned()),
            "debugfile" => self.file.cluster.logging.debugfile = Some(value.text.to_owned()),
            "logfacility" if FACILITIES.contains(&value.text) => {
                self.file.cluster.logging.facility = (value.text != "none").then(|| value.text.to_owned());
            }
            "logfacility" => {
                let wrong =
                    error("bad-facility", value.span.clone(), format!("syslog has no facility `{}`", value.text));
                self.report.push(
                    wrong
                        .help("facilities: daemon, user, local0 to local7, none")
                        .nearest(value.text, FACILITIES.iter().copied()),
                );
            }
            "env" => match value.text.split_once('=') {
                Some((key, _)) if !key.is_empty() => {
                    let text = rest[0].text.split_once('=').map_or("", |(_, text)| text);
                    self.file.cluster.env.insert(key.to_owned(), text.to_owned());
                }
                _ => self.bad(value, "write: env NAME=VALUE"),
            },
            _ => self.old(name, value, rest),
        }
    }

    fn bad(&mut self, value: &Word<'_>, help: &str) {
        self.report
            .push(error("bad-value", value.span.clone(), format!("`{}` does not fit here", value.text)).help(help));
    }

    /// Directives that are refused, or accepted with a word about what replaces them.
    fn old(&mut self, name: &Word<'_>, value: &Word<'_>, rest: &[Word<'_>]) {
        let (span, low) = (name.span.clone(), value.text.to_lowercase());
        let off = matches!(low.as_str(), "off" | "no" | "n" | "0" | "false" | "none");
        let ipfail = rest.get(1).is_some_and(|word| word.text.ends_with("/ipfail"));
        let why = match name.text {
            "crm" | "pacemaker" | "autojoin" | "use_apphbd" if off => return,
            "crm" | "pacemaker" | "autojoin" | "stonith" | "stonith_host" | "watchdog" => {
                self.report.push(
                    error("later-release", span, format!("`{}` comes in a later release", name.text))
                        .help("remove the line"),
                );
                return;
            }
            "respawn" if ipfail => "built in: ping nodes are weighed by the daemon itself",
            "respawn" | "failfast" => {
                let wrong = error(
                    "no-children",
                    span,
                    format!("`{}` is refused: this daemon starts no companion programs", name.text),
                );
                self.report.push(wrong.help("let the init system start it, or make it a resource in haresources"));
                return;
            }
            "hbaping" | "normalpoll" | "quorum_server" | "use_apphbd" => {
                self.report.push(
                    error("unsupported", span, format!("`{}` is not supported", name.text)).help("remove the line"),
                );
                return;
            }
            "nice_failback" => "obsolete and ignored: write `auto_failback on` or `off`",
            "apiauth" => "not needed: the control socket's owner and group decide",
            "use_logd" | "conn_logd_time" | "syslogmsgfmt" | "log_badpack" => {
                "not needed: the daemon logs by itself and bounds repeated lines"
            }
            "hopfudge"
            | "msgfmt"
            | "compression"
            | "compression_threshold"
            | "traditional_compression"
            | "max_rexmit_delay" => "not needed: the wire protocol is a new one",
            "uuidfrom" | "hbgenmethod" => "not needed: identity and incarnation are drawn at random",
            "memreserve" | "coredumps" | "coreroot" => {
                "not needed: memory and core files are left to the system's limits"
            }
            _ => "of use only with a cluster manager on top; ignored",
        };
        self.report.push(note("replaced", span, format!("`{}`: {why}", name.text)));
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
            ("unfenced_takeover", _) => self.file.cluster.permits.unfenced = on,
            _ => self.file.auto_failback = if on { AutoFailback::On } else { AutoFailback::Off },
        }
    }

    fn time(&mut self, name: &Word<'_>, rest: &[Word<'_>]) {
        if name.text == "monitor" && matches!(rest[0].text, "off" | "no") {
            self.file.defaults.monitor = None;
            return;
        }
        let values = if name.text == "timeout" { &rest[1..] } else { rest };
        let text = values.iter().map(|word| word.text).collect::<Vec<_>>().join(" ");
        let at = whole(values, name);
        let Some((value, old)) = span::parse(&text).filter(|(value, _)| !value.is_zero()) else {
            let wrong = error("bad-time", at, format!("`{text}` is not a span of time"));
            self.report.push(wrong.help("write 2 (seconds), 0.5, 200ms, 2s or 1m; more than zero, at most a year"));
            return;
        };
        if !old {
            self.report.push(note("time-unit", at.clone(), format!("`{text}` is understood; Heartbeat refused it")));
        }
        let timeouts = &mut self.file.defaults.timeouts;
        let key = match (name.text, rest[0].text) {
            ("timeout", "start") => return timeouts.start = value,
            ("timeout", "stop") => return timeouts.stop = value,
            ("timeout", "monitor") => return timeouts.monitor = value,
            ("timeout", _) => return self.bad(&rest[0], "write: timeout start|stop|monitor TIME"),
            ("monitor", _) => return self.file.defaults.monitor = Some(value),
            ("carrier_grace", _) => return self.file.cluster.timing.carrier_grace = value,
            ("keepalive", _) => "keepalive",
            ("deadtime", _) => "deadtime",
            ("warntime", _) => "warntime",
            ("initdead", _) => "initdead",
            _ => "deadping",
        };
        self.file.times.insert(key, (value, at));
    }

    fn medium(&mut self, name: &Word<'_>, list: &[Word<'_>]) {
        let port = self.file.port;
        match name.text {
            "bcast" | "udp" => {
                for word in list {
                    let facts = self.interface(word);
                    if facts.is_some_and(|facts| !facts.has_broadcast) {
                        let wrong = error(
                            "no-broadcast",
                            word.span.clone(),
                            format!("`{}` has no IPv4 broadcast address", word.text),
                        );
                        self.report.push(wrong.help("use ucast, or give the interface an IPv4 address"));
                    }
                    self.file.cluster.media.push(Medium::Bcast { interface: word.text.to_owned(), port });
                }
            }
            "ucast" | "ucast6" => self.ucast(name, list),
            "mcast" | "mcast6" => self.mcast(name, list),
            "serial" => {
                for word in list {
                    if !self.environment.is_character_device(word.text) {
                        let wrong =
                            error("no-device", word.span.clone(), format!("`{}` is not a character device", word.text));
                        self.report.push(wrong.help("write the full path, such as /dev/ttyS0"));
                    }
                    self.file.serial.push(word.span.clone());
                    self.file.cluster.media.push(Medium::Serial { device: word.text.to_owned(), baud: self.file.baud });
                }
            }
            "ping_group" => {
                let addresses: Vec<IpAddr> = list[1..].iter().flat_map(|word| self.resolve(word)).collect();
                if list.len() < 2 {
                    self.report.push(
                        error("empty-value", list[0].span.clone(), "the group has no host")
                            .help("write: ping_group NAME HOST..."),
                    );
                }
                self.file.cluster.ping_targets.push(PingTarget { name: list[0].text.to_lowercase(), addresses });
            }
            _ => {
                for word in list {
                    let addresses = self.resolve(word);
                    self.file.cluster.ping_targets.push(PingTarget { name: word.text.to_lowercase(), addresses });
                }
            }
        }
    }

    fn interface(&mut self, word: &Word<'_>) -> Option<crate::InterfaceFacts> {
        let facts = self.environment.interface(word.text);
        if facts.is_none() {
            self.report.push(interface_missing(word.span.clone(), word.text, self.environment));
        }
        facts
    }

    fn resolve(&mut self, word: &Word<'_>) -> Vec<IpAddr> {
        let (why, found) = match self.environment.resolve(word.text) {
            Ok(found) if !found.is_empty() => return found,
            Ok(found) => (String::from("no address"), found),
            Err(why) => (why, Vec::new()),
        };
        let wrong = error("unresolvable", word.span.clone(), format!("`{}` cannot be resolved: {why}", word.text));
        self.report.push(wrong.help("write the address itself: names may be gone when they are needed most"));
        found
    }

    fn ucast(&mut self, name: &Word<'_>, list: &[Word<'_>]) {
        let [interface, host, ..] = list else {
            self.report.push(
                error("empty-value", whole(list, name), "`ucast` needs an interface and a peer")
                    .help("write: ucast eth0 192.168.0.2"),
            );
            return;
        };
        let facts = self.interface(interface);
        let bare = Word { text: host.text.split('%').next().unwrap_or(""), span: host.span.clone() };
        let found = self.resolve(&bare);
        let Some(peer) = found.iter().find(|ip| ip.is_ipv6() == (name.text == "ucast6")).or(found.first()).copied()
        else {
            return;
        };
        let own = NodeName::new(bare.text) == self.file.cluster.local || self.environment.is_local_address(peer);
        if peer.is_loopback() && NodeName::new(bare.text) != self.file.cluster.local {
            let wrong = error(
                "peer-is-loopback",
                host.span.clone(),
                format!("`{}` resolves to {peer}, which is this machine itself", host.text),
            );
            self.report.push(wrong.help("write the peer's address, or mend /etc/hosts"));
        } else if peer.is_loopback() {
            let wrong =
                warning("own-name-loopback", host.span.clone(), format!("this machine's name resolves to {peer}"));
            self.report.push(
                wrong
                    .label("the line carries nothing here")
                    .help("mend /etc/hosts: the name should stand at the address of the interface"),
            );
        } else if let Some(facts) = facts.filter(|facts| !own && !facts.addresses.iter().any(|net| holds(*net, peer))) {
            let nets =
                facts.addresses.iter().map(|(ip, length)| format!("{ip}/{length}")).collect::<Vec<_>>().join(", ");
            let wrong = warning(
                "peer-elsewhere",
                host.span.clone(),
                format!("{peer} is in no network of `{}`", interface.text),
            );
            self.report.push(wrong.help(format!("`{}` has: {nets}", interface.text)));
        }
        self.file.cluster.media.push(Medium::Ucast {
            interface: interface.text.to_owned(),
            peer,
            port: self.file.port,
        });
    }

    fn mcast(&mut self, name: &Word<'_>, list: &[Word<'_>]) {
        let [interface, group, port, ttl, own] = list else {
            self.report.push(
                error("bad-mcast", whole(list, name), format!("`{}` takes five values", name.text))
                    .help("write: mcast eth0 239.0.0.1 694 1 0"),
            );
            return;
        };
        self.interface(interface);
        let Some(port_number) = port.text.parse::<u16>().ok().filter(|port| *port > 0) else {
            return self.bad(port, "a port is 1 to 65535");
        };
        let Some(hops) = ttl.text.parse::<u8>().ok().filter(|ttl| *ttl <= 4) else { return self.bad(ttl, "0 to 4") };
        let loopback = match own.text {
            "0" => false,
            "1" => true,
            _ => return self.bad(own, "0 or 1"),
        };
        let (interface, port) = (interface.text.to_owned(), port_number);
        self.file.cluster.media.push(
            match (name.text, group.text.parse::<Ipv4Addr>(), group.text.parse::<Ipv6Addr>()) {
                ("mcast", Ok(group), _) if group.is_multicast() => {
                    Medium::Mcast { interface, group, port, ttl: hops, loopback }
                }
                ("mcast6", _, Ok(group)) if group.is_multicast() => {
                    Medium::Mcast6 { interface, group, port, hops, loopback }
                }
                _ => {
                    return self
                        .bad(group, "a multicast group is 224.0.0.0 to 239.255.255.255, or ff00::/8 for mcast6");
                }
            },
        );
    }
}

fn holds((ip, length): (IpAddr, u8), peer: IpAddr) -> bool {
    let shift = |bits: u128, width: u32| bits.checked_shr(width.saturating_sub(u32::from(length))).unwrap_or(0);
    match (ip, peer) {
        (IpAddr::V4(a), IpAddr::V4(b)) => shift(u32::from(a).into(), 32) == shift(u32::from(b).into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => shift(a.into(), 128) == shift(b.into(), 128),
        _ => false,
    }
}
