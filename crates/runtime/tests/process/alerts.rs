//! Scripts of alerts: what they are told, what they inherit, and what becomes of those that hang.

use crate::machine::{HA_CF, Machine, wait};
use hearth_control::{Reply, Request};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Writes down what it is told and what it has.
const SCRIBE: &str = "#!/bin/sh\nhere=$(dirname \"$0\")\nn=$HEARTH_alert_name\n{ env | sort; for fd in /proc/$$/fd/*; do echo \"fd $(readlink $fd)\"; done; \
    echo \"stat $(cat /proc/$$/stat)\"; echo \"args $#\"; } > \"$here/$n.new\"\nmv \"$here/$n.new\" \"$here/$n.told\"\necho \"noted $n\"\n";
/// Never ends, and neither does what it leaves in its group.
const HANGS: &str = "#!/bin/sh\nhere=$(dirname \"$0\")\necho $$ >> \"$here/hangs\"\ntrap '' TERM\nsleep 1000 &\nwhile :; do wait; done\n";

fn script(machine: &Machine, name: &str, text: &str) -> PathBuf {
    machine.write(name, text);
    let path = machine.path("ha.d").join(name);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The machine alone of two: the other one is lost as soon as it begins.
fn machine(lines: impl Fn(&Machine) -> String) -> Machine {
    let mut machine = Machine::new(HA_CF, "");
    let more = lines(&machine);
    machine.write("ha.cf", &format!("{HA_CF}{more}"));
    machine.start("daemon");
    machine.up();
    machine
}

fn told(machine: &Machine, name: &str) -> Vec<String> {
    let file = machine.path("ha.d").join(format!("{name}.told"));
    let text = wait(name, || fs::read_to_string(&file).ok());
    text.lines().map(str::to_owned).collect()
}

pub fn told_in_full() {
    let machine = machine(|machine| format!("alert {} root\n", script(machine, "scribe", SCRIBE).display()));
    let lines = told(&machine, "node-lost");
    let has = |line: &str| assert!(lines.iter().any(|known| known == line), "{line} is not among {lines:#?}");
    for line in [
        "CRM_alert_kind=node",
        "CRM_alert_node=beta",
        "CRM_alert_nodeid=2",
        "CRM_alert_desc=lost",
        "CRM_alert_node_sequence=1",
        "CRM_alert_recipient=root",
        "HEARTH_alert_name=node-lost",
        "HEARTH_alert_from=alpha",
        "HEARTH_alert_left_out=0",
        "args 0",
    ] {
        has(line);
    }
    let value = |name: &str| {
        let found = lines.iter().find_map(|line| line.strip_prefix(&format!("{name}=")));
        found.unwrap_or_else(|| panic!("{name} is not among {lines:#?}")).to_owned()
    };
    assert!(value("HEARTH_alert_text").contains("beta is lost"));
    assert!(!value("CRM_alert_version").is_empty());
    let epoch: u64 = value("CRM_alert_timestamp_epoch").parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((now - 60..=now).contains(&epoch), "{epoch} is not now, {now}");
    let at = value("CRM_alert_timestamp");
    assert!(at.len() == "2026-11-21T14:05:03.250000+01:00".len() && at.as_bytes()[10] == b'T', "{at}");
    // Nothing of what this daemon was started with, and not its priority.
    let foreign = lines.iter().find(|line| line.starts_with("CARGO") || line.starts_with("NOTIFY_SOCKET"));
    assert_eq!(foreign, None, "it inherited the daemon's environment");
    let sockets = lines.iter().find(|line| line.starts_with("fd socket") || line.starts_with("fd anon_inode"));
    assert_eq!(sockets, None, "it inherited what the daemon had open: {lines:#?}");
    let stat = lines.iter().find(|line| line.starts_with("stat ")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!(fields[41 - 3], "0", "it runs with the priority of heartbeats");
    assert_eq!(fields[5 - 3], stat.split_whitespace().nth(1).unwrap(), "it leads no process group of its own");
    // A trial says what each answered.
    match machine.ask(&Request::AlertTest) {
        Some(Reply::Done { text, .. }) => assert!(text.contains("it said: noted test"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert!(told(&machine, "test").iter().any(|line| line == "CRM_alert_desc=test"));
}

/// A script that hangs is ended with everything that it began, is told of, and holds up nobody else.
pub fn one_that_hangs() {
    let machine = machine(|machine| {
        let (hangs, scribe) = (script(machine, "hangs", HANGS), script(machine, "scribe", SCRIBE));
        format!("alert {}\nalert {}\ntimeout alert 300ms\n", hangs.display(), scribe.display())
    });
    told(&machine, "node-lost");
    let reply = machine.ask(&Request::AlertTest);
    let Some(Reply::Failed { reason, .. }) = reply else { panic!("{reply:?}") };
    assert!(reason.contains("hangs: it did not end within 300 ms") && reason.contains("noted test"), "{reason}");
    let log = machine.log();
    assert!(log.contains("alert-failed"), "nobody is told that it failed: {log}");
    let began = fs::read_to_string(machine.path("ha.d/hangs")).unwrap();
    for leader in began.lines() {
        wait("its group is ended", || {
            let alive = fs::read_dir("/proc").unwrap().flatten().any(|entry| {
                let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
                let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
                fields.get(2) == Some(&leader) && fields.first() != Some(&"Z")
            });
            (!alive).then_some(())
        });
    }
}

/// What `hearth alert test` says where nobody would be told, or the script is gone.
pub fn nobody_to_tell() {
    let machine = machine(|_| String::new());
    let reply = machine.ask(&Request::AlertTest);
    assert!(matches!(&reply, Some(Reply::Refused { reason, .. }) if reason.contains("no `alert` line")), "{reply:?}");
    let path = script(&machine, "scribe", SCRIBE);
    machine.write("ha.cf", &format!("{HA_CF}alert {}\n", path.display()));
    let reply = machine.ask(&Request::Reload);
    assert!(matches!(&reply, Some(Reply::Done { text, .. }) if text.contains("ha.cf: alerts")), "{reply:?}");
    fs::remove_file(&path).unwrap();
    let reply = machine.ask(&Request::AlertTest);
    assert!(matches!(&reply, Some(Reply::Failed { reason, .. }) if reason.contains("cannot run")), "{reply:?}");
}
