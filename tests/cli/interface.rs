//! What scripts rely on: the JSON members, the exit codes, a closed pipe, a daemon that says nothing.

use crate::daemon::{Daemon, Script, load, replies};
use hearth_control::{Reply, Status};
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

fn hearth(socket: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.env_clear().env("TZ", "UTC0").env("HEARTH_SOCKET", socket);
    command
}

fn documentation() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md")).unwrap()
}

/// Where each struct of the status appears in the JSON.
const PREFIXES: [(&str, &str); 14] = [
    ("Status", ""),
    ("EpochStatus", "epoch."),
    ("LastChange", "last_change."),
    ("NodeView", "nodes[]."),
    ("LinkView", "nodes[].links[]."),
    ("GroupView", "groups[]."),
    ("ResourceView", "resources[]."),
    ("PingView", "pings[]."),
    ("FailureView", "failures[]."),
    ("WaitView", "waiting[]."),
    ("FencingView", "fencing."),
    ("DeviceView", "fencing.devices[]."),
    ("FenceView", "fencing.history[]."),
    ("TimelineEvent", "event."),
];

#[test]
fn every_json_member_is_documented() {
    let documentation = documentation();
    let mut missing = Vec::new();
    let mut checked = 0;
    for source in ["status.rs", "reply.rs"] {
        let path = format!("{}/crates/control/src/{source}", env!("CARGO_MANIFEST_DIR"));
        let mut prefix = None;
        for line in std::fs::read_to_string(path).unwrap().lines() {
            if let Some(name) = line.strip_prefix("pub struct ").and_then(|rest| rest.split_whitespace().next()) {
                prefix = PREFIXES.iter().find(|(known, _)| *known == name).map(|(_, prefix)| *prefix);
                let elsewhere = ["Why", "WhyNode"].contains(&name);
                assert!(
                    prefix.is_some() || elsewhere,
                    "{name} is new: say where it stands in the JSON, and document it"
                );
            } else if let (Some(prefix), Some(rest)) = (prefix, line.strip_prefix("    pub ")) {
                let key = format!("`{prefix}{}`", rest.split(':').next().unwrap());
                checked += 1;
                if !documentation.contains(&key) {
                    missing.push(key);
                }
            }
        }
    }
    assert!(checked > 50, "only {checked} members were found");
    assert!(missing.is_empty(), "not in docs/cli.md: {}", missing.join(", "));
}

#[test]
fn every_json_member_on_the_list_exists() {
    let status: Status = match serde_json::from_value(load("full")).unwrap() {
        Reply::Status { status } => *status,
        other => panic!("{other:?}"),
    };
    let json = serde_json::to_value(&status).unwrap();
    let documentation = documentation();
    let table = documentation.split("## JSON").nth(1).unwrap().split("\n## ").next().unwrap();
    for line in table.lines() {
        let Some(path) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) else { continue };
        if path.starts_with("event.") || path.starts_with("why.") {
            continue;
        }
        let pointer = format!("/{}", path.replace("[]", "/0").replace('.', "/"));
        assert!(json.pointer(&pointer).is_some(), "`{path}` is documented and not there");
    }
}

#[test]
fn json_status_reads_back_as_it_was_sent() {
    let daemon = Daemon::start(Script::Answers(replies("full")));
    let output = hearth(&daemon.socket()).args(["status", "--json"]).output().unwrap();
    let shown: Status = serde_json::from_slice(&output.stdout).unwrap();
    let sent: Reply = serde_json::from_value(load("full")).unwrap();
    assert_eq!(Reply::Status { status: Box::new(shown) }, sent);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    for arguments in [&["status"][..], &["status", "--watch"], &["timeline"], &["completions", "bash"], &["--help"]] {
        let reply = if arguments[0] == "timeline" { "timeline" } else { "full" };
        let daemon = Daemon::start(Script::Answers(replies(reply)));
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = hearth(&daemon.socket()).args(arguments).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn a_daemon_that_says_nothing_is_not_waited_for_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control");
    // It is never accepted: the kernel takes the connection, nobody answers.
    let _listener = UnixListener::bind(&socket).unwrap();
    let waited = std::time::Instant::now();
    let output = hearth(&socket).args(["standby", "--timeout", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("not finished within 1 s; the order stands"), "{said}");
    assert!(waited.elapsed().as_secs() < 8);
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let output = hearth(folder.path()).arg("man").arg(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let mut help = String::new();
    let mut child = hearth(folder.path()).arg("--help").stdout(Stdio::piped()).spawn().unwrap();
    child.stdout.take().unwrap().read_to_string(&mut help).unwrap();
    assert!(child.wait().unwrap().success());
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let mut pages = 0;
    for name in commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = name.split_whitespace().next().unwrap();
        if name == "help" {
            continue;
        }
        assert!(folder.path().join(format!("man1/hearth-{name}.1")).is_file(), "no page for {name}");
        assert!(documentation().contains(&format!("hearth {name}")), "`hearth {name}` is not in docs/cli.md");
        pages += 1;
    }
    assert!(pages >= 11, "{help}");
    for (page, said) in [
        ("man8/hearthd.8", "Stay as parent"),
        ("man1/cl_status.1", "what ha.cf says of NAME"),
        ("man1/hb_standby.1", "what prefers this node"),
        ("man1/hb_takeover.1", "what prefers another node"),
        ("man8/crm_mon.8", "print the status once"),
    ] {
        let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(said), "{page}: {text}");
    }
}

#[test]
fn who_asks_hb_standby_for_help_reads_what_its_words_mean() {
    for name in ["hb_standby", "hb_takeover"] {
        let folder = tempfile::tempdir().unwrap();
        let output = hearth(&folder.path().join("nobody")).arg0(name).arg("--help").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.contains("foreign    what prefers another node"), "{text}");
    }
}
