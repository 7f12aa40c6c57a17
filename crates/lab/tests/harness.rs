//! The lab proves itself: owners that are made by hand, faults with a known effect, and what is then measured.
//!
//! Needs root and namespaces, and fails without them.

use hearth_lab::{
    AddressWatch, ChangeKind, Client, Direction, Flood, Helper, Lab, Net, Observer, Options, StallMeter, Verdict,
    judge, millis, now, wait_until,
};
use nix::sys::signal::Signal;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 50);
const UDP: u16 = 7777;
const STEP: u64 = 4_000_000;

/// What is measured shares the machine with nothing else of this file.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn helper() -> Helper {
    Helper { program: env!("CARGO_BIN_EXE_hearth-labhost").into(), words: Vec::new() }
}

fn lab() -> Lab {
    let disk = Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned();
    let lab = Lab::new(&Options { helper: helper(), disk, machines: vec!["a".into(), "b".into()] }).unwrap();
    for name in ["a", "b"] {
        serve(&lab, name);
    }
    lab
}

fn serve(lab: &Lab, name: &str) {
    let mut command = lab.machine(name).unwrap().command(helper().program);
    command.args(["serve", "--udp", "7777", "--http", "80", "--daemon", "--pidfile", "/run/s.pid"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn own(lab: &Lab, name: &str) {
    let card = "eth0";
    lab.machine(name).unwrap().run(&["ip", "addr", "add", "10.77.0.50/24", "dev", card]).unwrap();
    lab.machine(name).unwrap().run(&["arping", "-q", "-c", "1", "-U", "-I", card, "10.77.0.50"]).unwrap();
}

fn disown(lab: &Lab, name: &str) {
    lab.machine(name).unwrap().run(&["ip", "addr", "del", "10.77.0.50/24", "dev", "eth0"]).unwrap();
}

fn client(lab: &Lab) -> Client {
    Client::start(lab.client(), SocketAddrV4::new(ADDRESS, UDP), 2_000_000).unwrap()
}

fn until<T>(what: &str, holds: impl FnMut() -> Option<T>) -> T {
    wait_until(Duration::from_secs(5), Duration::from_millis(2), holds).unwrap_or_else(|| panic!("not in 5 s: {what}"))
}

fn answered_by(client: &Client, name: &str) -> u64 {
    until(name, || (client.answered_by(now() - 10_000_000)? == name).then(now))
}

#[test]
fn a_gap_is_as_long_as_the_address_was_away_and_says_who_answered() {
    let _alone = alone();
    let stalls = StallMeter::start().unwrap();
    let lab = lab();
    own(&lab, "a");
    let (client, observer) = (client(&lab), Observer::start(&lab, ADDRESS, UDP, STEP).unwrap());
    let from = answered_by(&client, "a");
    // What is judged begins behind `from`: without an answer there, nothing shows that a ever had the address.
    until("an answer to a question behind it", || client.answered_by(from + 10_000_000));
    disown(&lab, "a");
    let away = now();
    until("300 ms", || (now() > away + 300_000_000).then_some(()));
    own(&lab, "b");
    let to = answered_by(&client, "b");
    let felt = client.felt(from, to);
    let owners = observer.owners(from, to);
    let stalled = stalls.total(from, to);
    assert!(felt.gap > 295_000_000, "{felt:?}");
    assert!(felt.gap < 400_000_000 + stalled, "{} ms, stalled {} ms", millis(felt.gap), millis(stalled));
    assert!(felt.lost > 100 && felt.by.len() == 2, "{felt:?}");
    assert_eq!(owners.order(), ["a", "b"]);
    assert_eq!(owners.two, 0, "{owners:?}");
}

#[test]
fn two_machines_that_answer_are_seen_even_if_the_client_hears_only_one() {
    let _alone = alone();
    let lab = lab();
    own(&lab, "a");
    let (client, observer) = (client(&lab), Observer::start(&lab, ADDRESS, UDP, STEP).unwrap());
    let from = answered_by(&client, "a");
    // b is cut off from all others, and the observer asks it all the same.
    lab.silence("b", &Net::ALL, &Direction::BOTH).unwrap();
    let begin = now();
    lab.machine("b").unwrap().run(&["ip", "addr", "add", "10.77.0.50/24", "dev", "eth0"]).unwrap();
    until("both answer", || (observer.answering().len() == 2).then_some(()));
    until("200 ms", || (now() > begin + 200_000_000).then_some(()));
    disown(&lab, "b");
    let end = now();
    until("one answers", || (observer.answering() == ["a"]).then_some(()));
    let owners = observer.owners(from, now());
    assert!(owners.two > 150_000_000 && owners.two <= end - begin + STEP, "{owners:?}");
    assert!(client.felt(from, now()).by.keys().eq(["a"]), "the client heard only a");
}

#[test]
fn power_takes_everything_but_the_folder_and_comes_back_with_a_new_boot_id() {
    let _alone = alone();
    let mut lab = lab();
    let boot_id = ["cat", "/proc/sys/kernel/random/boot_id"];
    let before = lab.machine("a").unwrap().run(&boot_id).unwrap();
    assert_eq!(lab.machine("a").unwrap().run(&boot_id).unwrap(), before);
    lab.machine("a").unwrap().run(&["sh", "-c", "echo kept > /mnt/state/x; echo lost > /run/x"]).unwrap();
    own(&lab, "a");
    let (client, observer) = (client(&lab), Observer::start(&lab, ADDRESS, UDP, STEP).unwrap());
    answered_by(&client, "a");
    let off = lab.power_off("a").unwrap();
    until("nobody answers", || observer.answering().is_empty().then_some(()));
    lab.power_on("a").unwrap();
    observer.attach(&lab, "a").unwrap();
    let a = lab.machine("a").unwrap();
    assert_ne!(a.run(&boot_id).unwrap(), before);
    assert_eq!(a.run(&["cat", "/mnt/state/x"]).unwrap(), "kept\n");
    assert!(a.run(&["cat", "/run/x"]).is_err());
    assert_eq!(a.run(&["hostname"]).unwrap(), "a\n");
    serve(&lab, "a");
    own(&lab, "a");
    let on = answered_by(&client, "a");
    assert!(client.felt(off, on).lost > 0);
    until("the observer hears it again", || (observer.answering() == ["a"]).then_some(()));
}

#[test]
fn cables_take_carrier_and_silence_does_not() {
    let _alone = alone();
    let lab = lab();
    let carrier = |name: &str, card: &str| {
        lab.machine(name).unwrap().run(&["cat", &format!("/sys/class/net/{card}/carrier")]).unwrap().trim().to_owned()
    };
    let reached = |word: &str| {
        let from = lab.machine("a").unwrap();
        from.run(&["ping", "-q", "-c", "1", "-W", "0.2", word]).is_ok()
    };
    assert_eq!((carrier("a", "eth0"), carrier("a", "eth1")), ("1".into(), "1".into()));
    assert!(reached("10.77.0.11") && reached("10.78.0.11") && reached("10.77.0.1"));
    lab.pull("a", &[Net::Service]).unwrap();
    assert_eq!((carrier("a", "eth0"), carrier("a", "eth1")), ("0".into(), "1".into()));
    assert!(!reached("10.77.0.11") && reached("10.78.0.11"));
    lab.put("a", &[Net::Service]).unwrap();
    until("back", || reached("10.77.0.11").then_some(()));
    lab.silence("a", &[Net::Heartbeat], &[Direction::In]).unwrap();
    assert_eq!(carrier("a", "eth1"), "1");
    assert!(!reached("10.78.0.11") && reached("10.77.0.11"));
    lab.heal().unwrap();
    until("healed", || reached("10.78.0.11").then_some(()));
}

#[test]
fn frozen_processes_answer_nothing_and_the_kernel_still_does() {
    let _alone = alone();
    let lab = lab();
    own(&lab, "a");
    let (client, observer) = (client(&lab), Observer::start(&lab, ADDRESS, UDP, STEP).unwrap());
    answered_by(&client, "a");
    let frozen = lab.freeze("a").unwrap();
    assert!(lab.machine("a").unwrap().processes().iter().all(|process| process.state == 'T'));
    until("the client hears nothing", || client.answered_by(now() - 100_000_000).is_none().then_some(()));
    assert_eq!(observer.answering(), ["a"], "ARP is the kernel's");
    lab.thaw("a").unwrap();
    let thawed = answered_by(&client, "a");
    assert!(client.felt(frozen, thawed).gap > 90_000_000);
}

#[test]
fn address_events_are_read_and_a_card_can_be_taken_out() {
    let _alone = alone();
    let lab = lab();
    let a = lab.machine("a").unwrap();
    let watch = AddressWatch::start(a).unwrap();
    own(&lab, "a");
    disown(&lab, "a");
    let kinds = until("two events", || {
        let all = watch.changes(0);
        let ours: Vec<_> = all.iter().filter(|change| change.address == ADDRESS).map(|change| change.kind).collect();
        (ours.len() == 2).then_some(ours)
    });
    assert_eq!(kinds, [ChangeKind::Present, ChangeKind::Gone]);
    a.run(&["ip", "link", "del", "eth1"]).unwrap();
    lab.plug_new_card("a", Net::Heartbeat).unwrap();
    until("it works again", || a.run(&["ping", "-q", "-c", "1", "-W", "0.2", "10.78.0.11"]).ok());
}

#[test]
fn a_flood_arrives_at_its_rate() {
    let _alone = alone();
    let lab = lab();
    let b = lab.machine("b").unwrap();
    // Something to forge: b is asked over the heartbeat network all the time.
    let talk = "while :; do echo x > /dev/udp/10.78.0.11/7777; sleep 0.02; done";
    lab.machine("a").unwrap().detach(&["bash", "-c", talk], &[], &lab.room("a").join("log/talk")).unwrap();
    let count = || {
        let text = b.run(&["cat", "/sys/class/net/eth1/statistics/rx_packets"]).unwrap();
        text.trim().parse::<u64>().unwrap()
    };
    let before = count();
    let flood = Flood::start(&lab, "b", Net::Heartbeat, 20_000, Duration::from_millis(500)).unwrap();
    let flooded = flood.finish();
    assert!(flooded.packets() > 8_000, "{flooded:?}");
    assert!(flooded.forged > 1000 && flooded.truncated > 1000 && flooded.replayed > 1000, "{flooded:?}");
    until("they arrive", || (count() - before >= flooded.packets() * 9 / 10).then_some(()));
}

#[test]
fn nothing_is_left_when_the_maker_dies() {
    let _alone = alone();
    let lab = lab();
    let (first, disk) = (lab.machine("a").unwrap().pid(), lab.disk().to_owned());
    let others: Vec<i32> = lab.machine("a").unwrap().processes().iter().map(|process| process.pid).collect();
    assert!(!others.is_empty() && disk.exists());
    drop(lab);
    let gone = |pid: &i32| !Path::new(&format!("/proc/{pid}")).exists();
    until("processes are gone", || (gone(&first) && others.iter().all(gone)).then_some(()));
    assert!(!disk.exists());
}

#[test]
fn a_stopped_machine_can_be_killed_process_by_process() {
    let _alone = alone();
    let lab = lab();
    let a = lab.machine("a").unwrap();
    for process in a.processes() {
        a.signal(&process, Signal::SIGKILL).unwrap();
    }
    until("none is left", || a.processes().is_empty().then_some(()));
}

#[test]
fn a_stalled_run_is_no_success_and_no_failure() {
    assert_eq!(judge(10, 10, 0), Verdict::Held);
    assert_eq!(judge(30, 10, 5), Verdict::Broken);
    assert_eq!(judge(30, 10, 25), Verdict::CannotJudge(25));
}
