//! The supervisor and its daemon.

use crate::machine::{HA_CF, Machine, wait};
use hearth_runtime::storage::Storage;
use nix::sys::signal::{Signal, kill};
use std::fs;
use std::time::{Duration, Instant};

/// R-LEAVE-2
pub fn killed() {
    let mut machine = Machine::new(HA_CF, "");
    machine.start("supervised");
    machine.up();
    let first = machine.daemon().unwrap();
    let at = Instant::now();
    kill(first, Signal::SIGKILL).unwrap();
    let second = wait("a new daemon", || machine.daemon().filter(|pid| *pid != first));
    let (started, answered) = (at.elapsed(), {
        wait("an answer", || machine.status());
        at.elapsed()
    });
    println!("killed; a new process after {started:?}, it answers after {answered:?}");
    assert!(started <= Duration::from_millis(200), "{started:?}");
    // TERM is passed on, the daemon stops in order, and so does its supervisor.
    machine.signal(Signal::SIGTERM);
    assert_eq!(machine.end().code(), Some(0), "{}", machine.log());
    assert!(machine.log().contains("alpha has stopped in order (SIGTERM)"), "{}", machine.log());
    assert!(kill(second, None).is_err(), "the daemon outlives an orderly stop");
}

/// R-LEASE-8: a gate that a killed daemon left goes on shutting what nobody ticks.
pub fn killed_under_a_gate_that_is_not_wanted_any_more() {
    let mut machine = Machine::new(HA_CF, "alpha 10.77.0.50\n");
    machine.start("supervised");
    let answers = |machine: &Machine| machine.run("nft list ruleset").matches("10.77.0.50").count() >= 2;
    wait("the gate lets the address answer", || {
        machine.daemon().filter(|_| machine.log().contains("event=resource-started") && answers(&machine))
    });
    machine.write("ha.cf", &format!("{HA_CF}gate no\n"));
    let first = machine.daemon().unwrap();
    kill(first, Signal::SIGKILL).unwrap();
    wait("a new daemon", || machine.daemon().filter(|pid| *pid != first));
    machine.up();
    // Several leases later it still answers.
    let before = machine.sent();
    wait("forty heartbeats", || (machine.sent() >= before + 40).then_some(()));
    assert!(answers(&machine), "it is served and does not answer:\n{}", machine.run("nft list ruleset"));
    // Wanted again, it is the one that stands.
    machine.write("ha.cf", HA_CF);
    machine.signal(Signal::SIGHUP);
    wait("the files are read", || machine.log().contains("The files were read again").then_some(()));
    let before = machine.sent();
    wait("forty heartbeats", || (machine.sent() >= before + 40).then_some(()));
    assert!(answers(&machine) && !machine.log().contains("gate-broken"), "{}", machine.log());
}

pub fn wrong_configuration() {
    let mut machine = Machine::new("keepalive soon\n", "");
    machine.start("supervised");
    assert_eq!(machine.end().code(), Some(6), "{}", machine.log());
    let log = machine.log();
    assert_eq!(log.matches("keepalive soon").count(), 1, "tried once:\n{log}");
    assert!(!log.contains("started again"), "{log}");
}

/// R-LEAVE-1: TERM as soon as there is a process, again and again a little later.
pub fn stopped_at_once() {
    for round in 0..4 {
        let mut machine = Machine::new(HA_CF, "alpha 10.77.0.50\n");
        machine.start("supervised");
        wait("a daemon", || machine.daemon());
        if round > 0 {
            // Its socket is there, and not much else yet.
            wait("a socket", || machine.socket().exists().then_some(()));
        }
        if round > 1 {
            machine.up();
        }
        machine.signal(Signal::SIGTERM);
        let code = machine.end().code();
        let log = machine.log();
        assert!(code == Some(0) && log.contains("has stopped in order"), "round {round}, {code:?}\n{log}");
    }
}

/// A folder that is a file: as one that may not be read, or that is on a disk which is not there yet.
pub fn state_folder_that_is_none() {
    let mut machine = Machine::new(HA_CF, "");
    fs::write(machine.path("state"), "").unwrap();
    for _ in 0..2 {
        let at = Instant::now();
        machine.start("daemon");
        assert_eq!(machine.end().code(), Some(2), "{}", machine.log());
        assert!(at.elapsed() >= Duration::from_secs(1), "systemd would start it again after {:?}", at.elapsed());
    }
    let state = machine.path("state").display().to_string();
    assert!(machine.log().contains(&state), "it is said which:\n{}", machine.log());
    // The supervisor tries five times at once, then after longer and longer pauses; and goes on once there is a folder.
    let at = Instant::now();
    machine.start("supervised");
    wait("eight tries", || (machine.log().matches("it is started again").count() >= 8).then_some(()));
    assert!(at.elapsed() >= Duration::from_millis(300), "{:?}", at.elapsed());
    fs::remove_file(machine.path("state")).unwrap();
    machine.up();
}

/// Whole on disk, and nothing that this program wrote.
pub fn state_of_another_program() {
    for mode in ["daemon", "supervised"] {
        let mut machine = Machine::new(HA_CF, "");
        let (mut storage, _) = Storage::open(&machine.path("state")).unwrap();
        storage.persist(Some("{\"of\":\"another\"}"), &[]).unwrap();
        drop(storage);
        machine.start(mode);
        assert_eq!(machine.end().code(), Some(7), "{}", machine.log());
        let log = machine.log();
        assert!(log.matches("cannot be used").count() == 1 && !log.contains("started again"), "tried once:\n{log}");
        assert!(log.contains("it is left as it is"), "{log}");
    }
}
