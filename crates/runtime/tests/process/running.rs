//! A daemon that runs: who may ask it, what it takes over, how small it is.

use crate::machine::{DEADLINE, HA_CF, Machine, wait};
use hearth_control::{Reply, Request};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

pub fn foreign_user() {
    let mut machine = Machine::new(HA_CF, "");
    machine.start("daemon");
    machine.up();
    let request = serde_json::to_string(&Request::Status).unwrap();
    let mut asks = Command::new(std::env::current_exe().unwrap());
    asks.args(["role", "nobody"]).arg(machine.socket()).arg(request);
    let output = asks.output().unwrap();
    let Ok(Reply::Refused { reason, help, .. }) = serde_json::from_slice(&output.stdout) else {
        panic!("{output:?}");
    };
    assert_eq!(reason, "this user may not ask the daemon");
    assert_eq!(help.as_deref(), Some("ask as root or as a member of group haclient"));
    // A crowd of them keeps nobody else out.
    let mut crowd: Vec<_> = (0..20).map(|_| asks.stdout(std::process::Stdio::null()).spawn().unwrap()).collect();
    assert!(machine.status().is_some());
    for one in &mut crowd {
        assert!(one.wait().unwrap().success());
    }
}

pub fn reload() {
    let mut machine = Machine::new(HA_CF, "");
    machine.start("daemon");
    machine.up();
    let refused = |machine: &Machine, word: &str| match machine.ask(&Request::Reload) {
        Some(Reply::Refused { reason, .. }) => assert!(reason.contains(word), "{reason}"),
        other => panic!("not refused: {other:?}"),
    };
    machine.write("ha.cf", &HA_CF.replace("50ms", "soon"));
    refused(&machine, "soon");
    machine.write("ha.cf", &HA_CF.replace("alpha beta", "alpha gamma"));
    refused(&machine, "a pair is not made smaller while it runs");
    machine.write("ha.cf", &format!("{HA_CF}cluster other\n"));
    refused(&machine, "the cluster's name changes");
    // A time that is good takes effect: a hundred heartbeats come at the new pace or not at all within the deadline.
    machine.write("ha.cf", &HA_CF.replace("keepalive 50ms", "keepalive 10ms"));
    machine.signal(Signal::SIGHUP);
    wait("the files are read", || machine.log().contains("The files were read again").then_some(()));
    let (before, start) = (machine.sent(), Instant::now());
    wait("two hundred heartbeats", || (machine.sent() >= before + 200).then_some(()));
    let span = start.elapsed();
    assert!(span.as_millis() < 200 * 50 / 2, "the old pace still: {span:?}");
    // So does a key: the next packets are signed with it, and the old one is still good for those of the other node.
    machine.write("authkeys", "auth 2\n1 sha256 a-key-that-only-this-test-knows\n2 sha256 another-key-of-this-test\n");
    match machine.ask(&Request::Reload) {
        Some(Reply::Done { text, .. }) => assert!(text.contains("authkeys"), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// A service that writes down which colour it was told, each time that it is looked at.
const PAINTER: &str = "#!/bin/sh\nhere=$(dirname \"$0\")\n[ \"$1\" = status ] && echo \"$HA_colour $HA_debug\" >> \"$here/seen\"\n\
    case $1 in start) touch \"$here/on\";; stop) rm -f \"$here/on\";; status) [ -e \"$here/on\" ] && echo running || echo stopped;; esac\n";

/// Policy of the heartbeat thread (0 ordinary, 2 round robin) and its real-time priority.
fn policy(machine: &Machine) -> (u32, u32) {
    let tasks = fs::read_dir(format!("/proc/{}/task", machine.pid())).unwrap();
    let stat = tasks
        .map(|task| fs::read_to_string(task.unwrap().path().join("stat")).unwrap())
        .find(|stat| stat.contains("(heartbeat)"))
        .expect("the heartbeat thread");
    // Fields 41 and 40 of proc_pid_stat(5); the third is the first behind the name.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[41 - 3].parse().unwrap(), fields[40 - 3].parse().unwrap())
}

pub fn reload_of_what_surrounds() {
    let quiet = format!("{HA_CF}monitor 50ms\nrealtime no\nenv colour=red\n");
    let mut machine = Machine::new(&quiet, "alpha painter\n");
    fs::create_dir(machine.path("ha.d/resource.d")).unwrap();
    machine.write("resource.d/painter", PAINTER);
    let painter = machine.path("ha.d/resource.d/painter");
    fs::set_permissions(&painter, fs::Permissions::from_mode(0o755)).unwrap();
    machine.start("daemon");
    let seen = |machine: &Machine| fs::read_to_string(machine.path("ha.d/resource.d/seen")).unwrap_or_default();
    wait("it is looked at", || seen(&machine).contains("red 0").then_some(()));
    assert_eq!(policy(&machine).0, 0);
    let (log, other) = (machine.path("new.log"), machine.path("debug.log"));
    let logging = format!("debug 1\nlogfile {}\ndebugfile {}\n", log.display(), other.display());
    // A log file that cannot be written refuses the reload whole: the colour stays.
    let bad = format!("logfile {}/nowhere/log\n", machine.path("").display());
    machine.write("ha.cf", &format!("{}{bad}", quiet.replace("red", "green")));
    match machine.ask(&Request::Reload) {
        Some(Reply::Refused { reason, help, .. }) => {
            assert!(reason.contains("nowhere/log cannot be written"), "{reason}");
            assert!(help.is_some_and(|help| help.contains("nothing was changed")));
        }
        other => panic!("not refused: {other:?}"),
    }
    let so_far = seen(&machine).len();
    wait("it is looked at again", || (seen(&machine).len() > so_far + 20).then_some(()));
    assert!(!seen(&machine).contains("green"), "a refused reload told the script");

    machine.write("ha.cf", &format!("{}{logging}", quiet.replace("red", "blue")));
    match machine.ask(&Request::Reload) {
        Some(Reply::Done { text, .. }) => {
            assert!(text.contains("ha.cf: log") && text.contains("ha.cf: env"), "{text}");
            assert!(!text.contains("realtime") && !text.contains("times"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    wait("it is told the new colour", || seen(&machine).contains("blue 1").then_some(()));
    wait("the new log is written", || {
        fs::read_to_string(&log).unwrap().contains("The files were read again").then_some(())
    });
    wait("so is the other", || fs::read_to_string(&other).unwrap().contains("The files were read again").then_some(()));
    // Whoever moves a log file away gets a fresh one by SIGHUP, as from every other daemon.
    fs::rename(&log, machine.path("old.log")).unwrap();
    machine.signal(Signal::SIGHUP);
    wait("the log is opened anew", || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("nothing differs")).then_some(())
    });

    for (line, wanted) in
        [("realtime yes\nrtprio 3", (2, 3)), ("realtime yes\nrtprio 5", (2, 5)), ("realtime no", (0, 0))]
    {
        machine.write("ha.cf", &quiet.replace("realtime no", line));
        match machine.ask(&Request::Reload) {
            Some(Reply::Done { text, .. }) => assert!(text.contains("realtime"), "{text}"),
            // A machine that does not allow it says so, and the daemon stays as it is.
            Some(Reply::Refused { reason, .. }) if wanted.0 == 2 => {
                assert!(reason.contains("write `realtime no`"), "{reason}");
                assert_eq!(policy(&machine).0, 0);
                break;
            }
            other => panic!("{other:?}"),
        }
        wait("the heartbeat thread has its priority", || (policy(&machine) == wanted).then_some(()));
    }
}

/// What a reload is answered that was taken over.
fn taken_over(machine: &Machine) -> String {
    match machine.ask(&Request::Reload) {
        Some(Reply::Done { text, .. }) => text,
        other => panic!("not taken over: {other:?}"),
    }
}

/// Why a reload was refused.
fn refused(machine: &Machine) -> String {
    match machine.ask(&Request::Reload) {
        Some(Reply::Refused { reason, .. }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// A gate is put before an address that is served, and media come and go; the address is not touched.
pub fn reload_of_media_and_gate() {
    let bare = format!("{HA_CF}gate no\n");
    let mut machine = Machine::new(&bare, "alpha 10.77.0.50\n");
    machine.start("daemon");
    machine.up();
    let rules = || machine.run("nft list ruleset");
    wait("the address is served", || machine.run("ip addr show dev eth0").contains("10.77.0.50").then_some(()));
    assert_eq!(rules(), "");
    machine.write("ha.cf", HA_CF);
    let text = taken_over(&machine);
    assert!(text.contains("ha.cf: gate"), "{text}");
    wait("the gate stands, and lets the address answer", || {
        let rules = rules();
        (rules.contains("\"eth0\"") && rules.matches("10.77.0.50").count() >= 2).then_some(())
    });
    machine.write("ha.cf", &bare);
    assert!(refused(&machine).contains("without waiting for their lifetime"));

    machine.run("ip link add eth1 type veth peer name far1");
    machine.run("ip addr add 10.77.1.1/24 broadcast + dev eth1");
    machine.run("ip link set eth1 up");
    // The cable is not in yet.
    let moved = HA_CF.replace("bcast eth0", "bcast eth1");
    machine.write("ha.cf", &moved);
    wait("its carrier is known", || machine.log().contains("eth1 has no carrier").then_some(()));
    assert!(refused(&machine).contains("no interface of the new media has carrier"));
    let both = HA_CF.replace("bcast eth0", "bcast eth0 eth1");
    machine.write("ha.cf", &both);
    let text = taken_over(&machine);
    assert!(text.contains("bcast eth1 (port 694) is new") && !text.contains("gone"), "{text}");
    machine.run("ip link set far1 up");
    wait("heartbeats go out on eth1 too", || (machine.sent_on("eth1") > 20).then_some(()));
    machine.write("ha.cf", &moved);
    wait("its carrier is known", || machine.log().contains("eth1 has carrier").then_some(()));
    let text = taken_over(&machine);
    assert!(text.contains("bcast eth0 (port 694) is gone"), "{text}");
    let (before, other) = (machine.sent_on("eth1"), machine.sent_on("eth0"));
    wait("heartbeats go on on eth1", || (machine.sent_on("eth1") > before + 20).then_some(()));
    assert!(machine.sent_on("eth0") <= other + 10, "heartbeats go out on a medium that is gone");
    let log = machine.log();
    assert!(log.contains("Heartbeat media changed: bcast eth0 (port 694) is gone."), "{log}");
    assert!(!log.contains("gate-broken") && !log.contains("address-removed"), "{log}");
    assert!(machine.run("ip addr show dev eth0").contains("10.77.0.50"));
}

/// Memory that was touched is locked, so what is resident is what it costs.
pub fn small() {
    let mut machine = Machine::new(HA_CF, "alpha 10.77.0.50\n");
    machine.start("daemon");
    wait("the address is served", || machine.log().contains("10.77.0.50").then_some(()));
    machine.up();
    let before = machine.sent();
    wait("a hundred heartbeats", || (machine.sent() >= before + 100).then_some(()));
    let status = fs::read_to_string(format!("/proc/{}/status", machine.pid())).unwrap();
    let told: Vec<&str> = status
        .lines()
        .filter(|line| ["VmRSS", "VmLck", "VmHWM", "Rss", "Threads"].iter().any(|name| line.starts_with(name)))
        .collect();
    println!("{}", told.join("; ").replace('\t', " "));
    let resident = told.iter().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    let resident: u64 = resident.trim().trim_end_matches(" kB").parse().expect("kB");
    assert!(resident <= 16 << 10, "{resident} kB are resident");
}

/// A script whose stop waits until somebody says so.
const SLOW: &str = "#!/bin/sh
cd \"$(dirname \"$0\")\"
case $1 in
start) touch slow.runs ;;
stop) until [ -e slow.may-stop ]; do sleep 0.01; done; rm -f slow.runs ;;
status) [ -e slow.runs ] && echo running || echo stopped ;;
esac
";

/// READY once it answers, WATCHDOG for as long as it lives, STOPPING when it begins to stop and not when it is done.
pub fn told_to_systemd() {
    let mut machine = Machine::new(HA_CF, "alpha slow\n");
    let scripts = machine.path("ha.d/resource.d");
    fs::create_dir(&scripts).unwrap();
    machine.write("resource.d/slow", SLOW);
    fs::set_permissions(scripts.join("slow"), fs::Permissions::from_mode(0o755)).unwrap();
    let systemd = UnixDatagram::bind(machine.path("notify")).unwrap();
    systemd.set_read_timeout(Some(DEADLINE)).unwrap();
    let said = || {
        let mut text = [0; 256];
        let length = systemd.recv(&mut text).expect("it says something");
        String::from_utf8_lossy(&text[..length]).trim().to_owned()
    };
    machine.start_notifying(&machine.path("notify"), Duration::from_millis(300));
    assert_eq!(said(), "READY=1");
    assert!(machine.status().is_some(), "it is ready and does not answer");
    (0..4).for_each(|_| assert_eq!(said(), "WATCHDOG=1"));
    wait("the script runs", || scripts.join("slow.runs").exists().then_some(()));
    machine.signal(Signal::SIGTERM);
    while said() != "STOPPING=1" {}
    assert!(scripts.join("slow.runs").exists(), "it is said when everything has stopped");
    assert_eq!(said(), "WATCHDOG=1", "a long stop is no hang");
    fs::write(scripts.join("slow.may-stop"), "").unwrap();
    assert_eq!(machine.end().code(), Some(0), "{}", machine.log());
    systemd.set_nonblocking(true).unwrap();
    let mut rest = [0; 256];
    while let Ok(length) = systemd.recv(&mut rest) {
        assert_eq!(String::from_utf8_lossy(&rest[..length]).trim(), "WATCHDOG=1", "it stops once");
    }
}
