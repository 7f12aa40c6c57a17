//! Folders of tests/config: what is good is read as it stands in `expected.txt`, what is bad is refused in those words.
//!
//! Each folder holds the files (or not, where one is missing), `environment` with what the machine answers, and
//! `expected.txt`. `UPDATE_GOLDEN=1` writes that anew; read the difference before you commit it.

use hearth_config::{Config, Environment, InterfaceFacts, Level, Parsed, Sources};
use hearth_runtime::files;
use hearth_types::{AgentClass, LinkId};
use hearth_wire::{KeyRing, Message, Method, line_bytes, line_time};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[path = "../../wire/tests/samples/mod.rs"]
#[allow(dead_code, reason = "only the heartbeat is of use here")]
mod samples;

/// What stands in `environment`, a fact a line: `host NAME`, `interface NAME ADDRESS/LENGTH...`, `name NAME ADDRESS...`,
/// `script NAME CLASS`, `device PATH`, `fence TYPE`, `program PATH`, `no-program PATH WHY...`, `file PATH LINE...`, `mode OCTAL`, `nodeinfo NAME`.
#[derive(Debug, Default)]
struct Machine {
    host: String,
    interfaces: BTreeMap<String, InterfaceFacts>,
    names: BTreeMap<String, Vec<IpAddr>>,
    scripts: BTreeMap<String, AgentClass>,
    devices: Vec<String>,
    fences: Vec<String>,
    programs: BTreeMap<String, Option<String>>,
    files: BTreeMap<String, String>,
    mode: u32,
    nodeinfo: Option<String>,
}

impl Machine {
    fn read(text: &str) -> Machine {
        let mut machine = Machine { mode: 0o600, ..Machine::default() };
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["host", name] => machine.host = (*name).into(),
                ["interface", name, nets @ ..] => machine.interface_line(name, nets),
                ["name", name, addresses @ ..] => {
                    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
                    machine.names.insert((*name).into(), addresses);
                }
                ["script", name, class] => {
                    let class = if *class == "lsb" { AgentClass::Lsb } else { AgentClass::Heartbeat };
                    machine.scripts.insert((*name).into(), class);
                }
                ["program", path] => drop(machine.programs.insert((*path).into(), None)),
                ["no-program", path, why @ ..] => drop(machine.programs.insert((*path).into(), Some(why.join(" ")))),
                ["fence", kind] => machine.fences.push((*kind).into()),
                ["file", path, lines @ ..] => {
                    machine.files.insert((*path).into(), lines.join("\n"));
                }
                ["device", path] => machine.devices.push((*path).into()),
                ["mode", octal] => machine.mode = u32::from_str_radix(octal, 8).unwrap(),
                ["nodeinfo", name] => machine.nodeinfo = Some((*name).into()),
                [] => {}
                other => panic!("environment: {other:?}"),
            }
        }
        machine
    }

    fn interface_line(&mut self, name: &str, nets: &[&str]) {
        let addresses: Vec<(IpAddr, u8)> = nets
            .iter()
            .map(|net| net.split_once('/').unwrap())
            .map(|(ip, length)| (ip.parse().unwrap(), length.parse().unwrap()))
            .collect();
        let has_broadcast = addresses.iter().any(|(ip, _)| ip.is_ipv4());
        self.interfaces.insert(name.into(), InterfaceFacts { addresses, has_broadcast, is_up: true });
    }
}

impl Environment for Machine {
    fn host_name(&self) -> String {
        self.host.clone()
    }

    fn interface(&self, name: &str) -> Option<InterfaceFacts> {
        self.interfaces.get(name).cloned()
    }

    fn interfaces(&self) -> Vec<String> {
        self.interfaces.keys().cloned().collect()
    }

    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        self.names.get(host).cloned().ok_or_else(|| "Name or service not known".into())
    }

    fn script(&self, name: &str) -> Option<(AgentClass, String)> {
        self.scripts.get(name).map(|class| (*class, name.into()))
    }

    fn scripts(&self) -> Vec<String> {
        self.scripts.keys().cloned().collect()
    }

    fn is_character_device(&self, path: &str) -> bool {
        self.devices.iter().any(|device| device == path)
    }

    fn fence_program(&self, kind: &str) -> Option<String> {
        self.fences.iter().any(|known| known == kind).then(|| format!("/usr/sbin/{kind}"))
    }

    fn not_a_program(&self, path: &str) -> Option<String> {
        self.programs.get(path).cloned().unwrap_or_else(|| Some("does not exist".into()))
    }

    fn text(&self, path: &str) -> Result<String, String> {
        self.files.get(path).cloned().ok_or_else(|| "No such file or directory (os error 2)".into())
    }

    fn is_local_address(&self, address: IpAddr) -> bool {
        address.is_loopback()
            || self.interfaces.values().any(|facts| facts.addresses.iter().any(|(ip, _)| *ip == address))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folders(kind: &str) -> Vec<PathBuf> {
    let folder = root().join("tests/config").join(kind);
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() > 10, "{} is all but empty", folder.display());
    folders
}

/// What is said about a folder, and whether it may be started.
fn said(folder: &Path) -> (String, Parsed) {
    let machine = Machine::read(&std::fs::read_to_string(folder.join("environment")).unwrap());
    let read = files::read(folder).unwrap();
    let mode = read.authkeys.as_ref().map(|_| machine.mode);
    // The real folder and the mode in the work tree differ from machine to machine.
    let sources =
        Sources { directory: "/etc/ha.d".into(), authkeys_mode: mode, nodeinfo: machine.nodeinfo.clone(), ..read };
    let parsed = hearth_config::parse(&sources, &machine);
    let mut text = files::render(&sources, &parsed.complaints, false);
    if let Some(config) = &parsed.config {
        if !text.is_empty() {
            text.push('\n');
        }
        value(&mut text, config);
    }
    (text, parsed)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// Everything that was read, a fact a line, defaults included.
fn value(text: &mut String, config: &Config) {
    let cluster = &config.cluster;
    let names: Vec<&str> = cluster.nodes.iter().map(|node| node.as_str()).collect();
    writeln!(text, "cluster {}: nodes {}; this is {}", cluster.name, names.join(" "), cluster.local).unwrap();
    cluster.media.iter().for_each(|medium| writeln!(text, "medium {}", json(medium)).unwrap());
    cluster
        .ping_targets
        .iter()
        .for_each(|target| writeln!(text, "ping {} {:?}", target.name, target.addresses).unwrap());
    let timing = &cluster.timing;
    let (k, d, w, i) = (timing.keepalive, timing.deadtime, timing.warntime, timing.initdead);
    writeln!(text, "keepalive {k:?}, warntime {w:?}, deadtime {d:?}, initdead {i:?}").unwrap();
    if let Some(span) = timing.failure_timeout {
        writeln!(text, "failure_timeout {span:?}").unwrap();
    }
    writeln!(text, "deadping {:?}, carrier_grace {:?}", timing.deadping, timing.carrier_grace).unwrap();
    writeln!(text, "permits {}, gate {}", json(&cluster.permits), cluster.gate).unwrap();
    if let Some(path) = &cluster.tiebreaker_disk {
        writeln!(text, "tiebreaker disk {path}").unwrap();
    }
    for device in &cluster.fencing.devices {
        let user = device.user.as_ref().map_or("*", |user| user.as_str());
        let names: Vec<&str> = device.params.iter().map(|(name, _)| name.as_str()).collect();
        let after = if device.stays_off { "stays off" } else { "is started again" };
        let (name, targets, names) = (&device.name, json(&device.targets), names.join(" "));
        writeln!(text, "fence {name} by {user}: {targets}, {after}, told {names}").unwrap();
    }
    if cluster.fencing.is_configured() {
        writeln!(text, "fence timeout {:?}", cluster.fencing.timeout).unwrap();
        for (user, target) in cluster.nodes.iter().flat_map(|user| cluster.nodes.iter().map(move |it| (user, it))) {
            let order = cluster.fencing.levels(user, target);
            let name = |at: &usize| cluster.fencing.devices[*at].name.as_str();
            let level = |level: &Vec<usize>| level.iter().map(name).collect::<Vec<_>>().join("+");
            let names: Vec<String> = order.iter().map(level).collect();
            if user != target {
                writeln!(text, "{target} is fenced by {user}: {}", names.join(", ")).unwrap();
            }
        }
    }
    for (program, recipient) in cluster.alerts.receivers() {
        writeln!(text, "alert {program} to {}", recipient.unwrap_or("nobody by name")).unwrap();
    }
    if cluster.alerts != hearth_config::Alerts::default() {
        writeln!(text, "alert timeout {:?}", cluster.alerts.timeout).unwrap();
    }
    writeln!(text, "realtime {}, rtprio {}", cluster.realtime, cluster.rtprio).unwrap();
    if let Some(watchdog) = &cluster.watchdog {
        writeln!(text, "watchdog {} {:?}", watchdog.device, watchdog.timeout).unwrap();
    }
    if let Some(budget) = hearth_config::self_fence_budget(config) {
        writeln!(text, "self_fence {budget:?}").unwrap();
    }
    if cluster.wire_version != hearth_wire::NEWEST_VERSION {
        writeln!(text, "wire version {}", cluster.wire_version).unwrap();
    }
    writeln!(text, "logging {}", json(&cluster.logging)).unwrap();
    cluster.env.iter().for_each(|(name, value)| writeln!(text, "env {name}={value}").unwrap());
    writeln!(text, "auto_failback {}", json(&config.resources.auto_failback)).unwrap();
    for witness in &config.resources.witnesses {
        writeln!(text, "witness {witness}").unwrap();
    }
    for group in &config.resources.groups {
        let names: Vec<&str> = group.preferred.iter().map(|node| node.as_str()).collect();
        writeln!(text, "group {} on {}", group.id, names.join(" ")).unwrap();
        for resource in &group.resources {
            let (class, agent, args) = (resource.class, &resource.agent, &resource.args);
            writeln!(text, "  {}: {class} {agent} {args:?}", resource.id).unwrap();
            writeln!(
                text,
                "    owns {:?}, monitor {:?}, wire_check {}",
                resource.owns, resource.monitor, resource.wire_check
            )
            .unwrap();
            let times = &resource.timeouts;
            writeln!(text, "    start {:?}, stop {:?}, monitor {:?}", times.start, times.stop, times.monitor).unwrap();
        }
    }
    let methods: Vec<String> =
        config.keys.keys.iter().map(|(number, key)| format!("{number} {:?}", key.method)).collect();
    writeln!(text, "keys {}; signs with {}", methods.join(", "), config.keys.signing).unwrap();
}

fn compare(folder: &Path, text: &str, wrong: &mut Vec<String>) {
    let path = folder.join("expected.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected != text {
        wrong.push(format!("== {}\n-- expected\n{expected}\n-- is\n{text}", folder.display()));
    }
}

#[test]
fn bad_folders_are_refused_in_these_words() {
    let mut wrong = Vec::new();
    for folder in folders("bad") {
        let (text, parsed) = said(&folder);
        assert!(parsed.config.is_none(), "{} is accepted:\n{text}", folder.display());
        for complaint in parsed.complaints.iter().filter(|complaint| complaint.level == Level::Error) {
            if complaint.help.is_none() {
                wrong.push(format!("{}: `{}` names no way out", folder.display(), complaint.code));
            }
        }
        compare(&folder, &text, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn good_folders_are_read_as_this() {
    let mut wrong = Vec::new();
    for folder in folders("good") {
        let (text, parsed) = said(&folder);
        assert!(parsed.config.is_some(), "{} is refused:\n{text}", folder.display());
        compare(&folder, &text, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every key in these folders contains that word; complaints go to terminals and logs.
#[test]
fn no_key_is_ever_shown() {
    for folder in folders("bad").into_iter().chain(folders("good")) {
        let (text, _) = said(&folder);
        assert!(!text.contains("geheim"), "{}:\n{text}", folder.display());
    }
}

/// The samples are good as they are shipped, on a machine that they fit.
#[test]
fn the_samples_are_good() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ha.cf", "haresources", "authkeys"] {
        std::fs::copy(root().join("etc").join(name), folder.path().join(name)).unwrap();
    }
    let keys = folder.path().join("authkeys");
    std::fs::set_permissions(&keys, PermissionsExt::from_mode(0o640)).unwrap();
    let machine = Machine::read("host alpha\ninterface eth0 192.0.2.1/24\n");
    let open = hearth_config::parse(&files::read(folder.path()).unwrap(), &machine);
    assert!(open.config.is_none() && open.complaints[0].code == "keys-readable", "{:?}", open.complaints);
    std::fs::set_permissions(&keys, PermissionsExt::from_mode(0o600)).unwrap();
    let sources = files::read(folder.path()).unwrap();
    let parsed = hearth_config::parse(&sources, &machine);
    assert!(parsed.complaints.is_empty(), "{}", files::render(&sources, &parsed.complaints, false));
    assert!(parsed.config.is_some());
}

/// R-WIRE-8: what the checks reckon with is what a heartbeat of two nodes takes on the line, within a fifth.
#[test]
fn the_reckoned_serial_heartbeat_is_a_real_one() {
    let ring = KeyRing::new("linux-ha", 1, [(1, Method::Sha256, b"key".to_vec())]).unwrap();
    let mut packet = Vec::new();
    // The older version's: it is the longer one.
    let beat = Message::Heartbeat(samples::heartbeat().into());
    ring.seal(hearth_wire::OLDEST_VERSION, LinkId(0), &beat, &mut packet).unwrap();
    let (real, reckoned) = (line_bytes(packet.len()), hearth_config::SERIAL_HEARTBEAT as usize);
    assert!(real.abs_diff(reckoned) * 5 <= real, "{real} bytes on the line, {reckoned} reckoned with");
    let (takes, shown) = (line_time(reckoned, 19200), hearth_config::serial_heartbeat(19200));
    assert!(takes <= shown && shown - takes < Duration::from_millis(1), "{takes:?} {shown:?}");
}
