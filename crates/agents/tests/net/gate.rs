//! R-LEASE-8 and R-LEASE-13.

use crate::space::{NEAR, Peer, enter, pair, run};
use hearth_agents::net::{Gate, GateError, Pinger, Snapshot, Ticked};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

const LEASE: Duration = Duration::from_millis(400);
/// The longest mark that ends within a whole lease: a sixteenth of it is what a mark may be late.
const HOLD: Duration = Duration::from_millis(375);
const V4: &str = "10.77.0.50";
const V6: &str = "fd77::50";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn interfaces() -> Vec<String> {
    Snapshot::read().unwrap().gate_interfaces()
}

fn gate() -> Gate {
    let mut gate = Gate::open(LEASE).unwrap();
    let report = gate.guard(&[ip(V4), ip(V6)], &interfaces()).unwrap();
    assert!(report.built);
    assert_eq!(report.notes, Vec::<String>::new());
    gate
}

/// Puts the addresses onto eth0, and tells the peer where they are: it would repeat its own question once a second only.
fn serve(peer: &Peer) {
    run(&format!("ip addr add {V4}/24 dev eth0"));
    run(&format!("ip addr add {V6}/64 dev eth0 nodad"));
    peer.there(|| {
        for address in [V4, V6] {
            run(&format!("ip neigh replace {address} lladdr {NEAR} dev far nud permanent"));
        }
    });
}

/// Asks every 2 ms for that long; the moments at which the questions were sent that were answered.
fn ask(address: IpAddr, span: Duration) -> Vec<Instant> {
    let pinger = Pinger::new().unwrap();
    let start = Instant::now();
    let (mut sent, mut answered) = (BTreeMap::new(), Vec::new());
    while start.elapsed() < span {
        let now = Instant::now();
        // A neighbour that is not resolved refuses some; that is no answer.
        if let Ok(payload) = pinger.send(address) {
            sent.insert(payload, now);
        }
        let next = now + Duration::from_millis(2);
        while Instant::now() < next {
            answered.extend(pinger.receive().iter().filter_map(|(_, payload)| sent.remove(payload)));
            std::thread::yield_now();
        }
    }
    answered
}

#[test]
fn an_address_answers_until_its_time_ends_and_not_before_the_first_tick() {
    let peer = pair();
    for address in [ip(V4), ip(V6)] {
        peer.there(move || {
            // Neighbours are found in their own time.
            let begin = Instant::now();
            while ask(ip(if address.is_ipv4() { "10.77.0.1" } else { "fd77::1" }), LEASE).is_empty() {
                assert!(begin.elapsed() < Duration::from_secs(10), "the other end does not answer");
            }
        });
    }
    let gate = gate();
    assert!(gate.is_owned());
    serve(&peer);
    for address in [ip(V4), ip(V6)] {
        assert_eq!(peer.there(move || ask(address, Duration::from_millis(60))), [], "{address} answered untouched");
        // Nothing but a mark renews: packets to the address over lo do not.
        let udp = std::net::UdpSocket::bind((if address.is_ipv4() { "0.0.0.0" } else { "::" }, 0)).unwrap();
        udp.send_to(b"x", (address, 9)).unwrap();
        assert_eq!(peer.there(move || ask(address, Duration::from_millis(60))), [], "{address} renewed without a mark");

        let answers = peer.begin(move || ask(address, 3 * LEASE));
        let ticked = Instant::now();
        assert_eq!(gate.tick(address, &|| LEASE).unwrap(), Ticked::For(HOLD));
        let ticked_at_latest = Instant::now();
        let last = answers.recv().unwrap().into_iter().max().expect("it answers after a tick");
        assert!(last <= ticked_at_latest + HOLD, "{address} answered {:?} after the tick", last - ticked);
        assert!(last >= ticked + LEASE / 2, "{address} fell silent {:?} after the tick", last - ticked);
    }
    gate.close().unwrap();
    assert!(!peer.there(|| ask(ip(V4), Duration::from_millis(60))).is_empty(), "a closed gate is no gate");
}

#[test]
fn the_longest_mark_within_the_hold_is_taken() {
    enter();
    let mut gate = gate_on_nothing();
    let address = ip(V4);
    for (left, taken) in [(49, None), (50, Some(25)), (199, Some(150)), (9000, Some(375))] {
        let taken = taken.map_or(Ticked::Short, |span| Ticked::For(Duration::from_millis(span)));
        assert_eq!(gate.tick(address, &|| Duration::from_millis(left)).unwrap(), taken, "{left} ms are left");
    }
    let ticker = gate.ticker();
    gate.set_lease(Duration::from_millis(800)).unwrap();
    let taken = ticker.tick(address, &|| Duration::from_millis(450)).unwrap();
    assert_eq!(taken, Ticked::For(Duration::from_millis(400)));
}

/// The kernel counts in ticks of up to 10 ms: what is shorter than one would never end.
#[test]
fn no_mark_of_a_short_lease_lasts_for_ever() {
    enter();
    let lease = Duration::from_millis(80);
    let mut gate = Gate::open(lease).unwrap();
    gate.guard(&[ip(V4)], &[]).unwrap();
    assert_eq!(gate.tick(ip(V4), &|| Duration::from_millis(19)).unwrap(), Ticked::Short);
    assert_eq!(gate.tick(ip(V4), &|| Duration::from_millis(20)).unwrap(), Ticked::For(Duration::from_millis(10)));
}

/// R-LEASE-13: the machine stands still behind its look at the clock.
#[test]
fn a_machine_that_slept_between_deciding_and_marking_opens_nothing() {
    let peer = pair();
    let gate = gate();
    serve(&peer);
    for address in [ip(V4), ip(V6)] {
        let sleeps = || {
            let read = Instant::now();
            crate::space::until("the machine goes on", || read.elapsed() > LEASE / 8);
            LEASE
        };
        assert_eq!(gate.tick(address, &sleeps).unwrap(), Ticked::Late);
        assert_eq!(peer.there(move || ask(address, Duration::from_millis(60))), [], "{address} answers");

        // What is open goes on to its end, and no longer.
        let answers = peer.begin(move || ask(address, 3 * LEASE));
        assert_eq!(gate.tick(address, &|| LEASE).unwrap(), Ticked::For(HOLD));
        let ticked = Instant::now();
        assert_eq!(gate.tick(address, &sleeps).unwrap(), Ticked::Late);
        let last = answers.recv().unwrap().into_iter().max().expect("it answers after a tick");
        assert!(last <= ticked + HOLD, "{address} answered {:?} after the tick", last - ticked);
    }
}

fn gate_on_nothing() -> Gate {
    let mut gate = Gate::open(LEASE).unwrap();
    gate.guard(&[ip(V4)], &[]).unwrap();
    gate
}

#[test]
fn a_tick_without_a_gate_is_an_error_and_a_shut_address_is_silent_at_once() {
    let peer = pair();
    let bare = Gate::open(LEASE).unwrap();
    assert!(bare.tick(ip(V4), &|| LEASE).unwrap_err().to_string().contains("table is not there"));
    drop(bare);
    let gate = gate();
    serve(&peer);
    for address in [ip(V4), ip(V6)] {
        gate.tick(address, &|| LEASE).unwrap();
        gate.shut(address).unwrap();
        gate.shut(address).unwrap();
        assert_eq!(peer.there(move || ask(address, Duration::from_millis(100))), []);
    }
}

#[test]
fn a_flush_of_all_rules_neither_opens_nor_breaks_the_gate() {
    let peer = pair();
    let mut gate = gate();
    serve(&peer);
    run("nft flush ruleset");
    assert_eq!(peer.there(|| ask(ip(V4), Duration::from_millis(60))), []);
    assert_eq!(gate.seen_whole(), Ok(()));
    let answers = peer.begin(|| ask(ip(V4), Duration::from_millis(200)));
    gate.tick(ip(V4), &|| LEASE).unwrap();
    run("nft flush ruleset");
    assert!(!answers.recv().unwrap().is_empty());
    let refused = std::process::Command::new("nft").args(["delete", "table", "netdev", "hearth"]).output().unwrap();
    assert!(!refused.status.success());
    assert_eq!(gate.seen_whole(), Ok(()));
}

#[test]
fn the_gate_outlives_its_owner_and_the_next_one_takes_it_over_without_a_gap() {
    let peer = pair();
    let first = gate();
    serve(&peer);
    assert!(matches!(Gate::open(LEASE).unwrap().guard(&[ip(V4)], &interfaces()), Err(GateError::Owned)));
    // The kernel learns of a dead owner by its closed socket, however it died.
    drop(first);
    assert_eq!(peer.there(|| ask(ip(V4), Duration::from_millis(60))), [], "a gate without owner shuts");

    // With another lease the marks of the old table would mean something else: they are not taken.
    assert!(Gate::open(LEASE / 2).unwrap().tick(ip(V4), &|| LEASE).is_err());
    let mut second = Gate::open(LEASE).unwrap();
    assert!(second.seen_whole().unwrap_err().contains("does not stand"));
    second.tick(ip(V4), &|| LEASE).expect("ticks reach the table that was left behind");
    let answers = peer.begin(|| ask(ip(V4), Duration::from_millis(250)));
    assert!(second.guard(&[ip(V4), ip(V6)], &interfaces()).unwrap().built);
    let answers = answers.recv().unwrap();
    assert!(answers.len() > 50, "{} answers while the table was taken over", answers.len());
    assert_eq!(peer.there(|| ask(ip(V6), Duration::from_millis(60))), []);
    assert!(!second.guard(&[ip(V4), ip(V6)], &interfaces()).unwrap().built, "nothing to do twice");
}

#[test]
fn new_interfaces_get_chains_and_vanished_ones_do_no_harm() {
    enter();
    run("ip link add one type veth peer name two");
    let mut gate = gate();
    run("ip link del one");
    let _ = gate.seen_whole();
    assert_eq!(gate.seen_whole(), Ok(()));
    gate.tick(ip(V4), &|| LEASE).unwrap();
    run("ip link add three type veth peer name four");
    assert!(gate.guard(&[ip(V4), ip(V6)], &interfaces()).unwrap().built);
    run("ip link add one type veth peer name two");
    assert!(gate.guard(&[ip(V4), ip(V6)], &interfaces()).unwrap().built);
    let listed = std::process::Command::new("nft").args(["list", "table", "netdev", "hearth"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for chain in ["in-one", "out-one", "in-two", "in-three", "out-four", "tick"] {
        assert!(listed.contains(&format!("chain {chain} ")), "{chain} is missing in {listed}");
    }
    // The thread's own view: /proc/sys/net is that of the caller's namespace.
    assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/conf/one/arp_ignore").unwrap(), "1\n");
}

const OWNER: &str = "HEARTH_TEST_OWNER";

/// Not a test by itself: the process that [`a_killed_owner_is_silent_by_the_end_of_its_lease`] starts and kills.
#[test]
fn owner_process() {
    if std::env::var_os(OWNER).is_none() {
        return;
    }
    let mut gate = gate();
    while gate.seen_whole() == Ok(()) {
        gate.tick(ip(V4), &|| LEASE).unwrap();
        let mut fds = [PollFd::new(gate.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::try_from(LEASE / 8).unwrap()).unwrap();
    }
}

const RIGHT: Duration = Duration::from_millis(150);

/// Not a test by itself: the process that [`an_owner_that_thaws_behind_its_right_opens_nothing`] starts and freezes. For
/// each line that it is told it has a right for a while, which it says, and does nothing but tick until that is long over;
/// it dawdles where a freeze must not hurt.
#[test]
fn ticking_process() {
    if std::env::var_os(OWNER).is_none() {
        return;
    }
    let gate = gate();
    for line in std::io::stdin().lines() {
        line.unwrap();
        let end = monotonic() + RIGHT;
        println!("\nright {}", end.as_nanos());
        while monotonic() < end + RIGHT {
            let left = || {
                let read = monotonic();
                while monotonic() < read + Duration::from_micros(25) {
                    std::hint::spin_loop();
                }
                end.saturating_sub(read)
            };
            gate.tick(ip(V4), &left).unwrap();
        }
        println!("\nrest");
    }
}

/// The clock that all processes share.
fn monotonic() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap().into()
}

struct Owner(std::process::Child);

impl Owner {
    /// Runs one of the tests above that are none by themselves.
    fn start(name: &str) -> Owner {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--nocapture"]).env(OWNER, "1");
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        Owner(command.spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_killed_owner_is_silent_by_the_end_of_its_lease() {
    let peer = pair();
    serve(&peer);
    let mut owner = Owner::start("gate::owner_process");
    crate::space::until("the owner's gate stands", || {
        let list =
            std::process::Command::new("nft").args(["list", "set", "netdev", "hearth", "alive4"]).output().unwrap();
        String::from_utf8(list.stdout).unwrap().contains(V4)
    });
    let answers = peer.begin(|| ask(ip(V4), 4 * LEASE));
    assert!(answers.recv_timeout(LEASE).is_err(), "it is asked for longer");
    owner.0.kill().unwrap();
    let killed = Instant::now();
    let answers = answers.recv().unwrap();
    let after = answers.iter().max().unwrap().saturating_duration_since(killed);
    assert!(after <= LEASE, "it answered {after:?} after the kill");
    assert!(answers.iter().any(|sent| *sent < killed), "it never answered");
    // The address is still there: only the gate is silent.
    assert!(Snapshot::read().unwrap().holders(ip(V4)).next().is_some());
}

/// R-LEASE-13: wherever a freeze meets it, also between its look at the clock and its mark.
#[test]
fn an_owner_that_thaws_behind_its_right_opens_nothing() {
    let peer = pair();
    serve(&peer);
    let mut owner = Owner::start("gate::ticking_process");
    let (mut tell, told) = (owner.0.stdin.take().unwrap(), owner.0.stdout.take().unwrap());
    let mut told = BufReader::new(told).lines().map(Result::unwrap);
    let mut answered = false;
    for _ in 0..8 {
        writeln!(tell, "go").unwrap();
        let end = told.find_map(|line| line.strip_prefix("right ").map(str::to_owned)).unwrap();
        let end = Duration::from_nanos(end.parse().unwrap());
        let answers = peer.begin(move || ask(ip(V4), 4 * RIGHT));
        // Anywhere: it is at its ticks all the time.
        let begun = Instant::now();
        while begun.elapsed() < RIGHT / 4 {
            std::hint::spin_loop();
        }
        owner.signal(Signal::SIGSTOP);
        let frozen_at = monotonic();
        assert!(frozen_at < end, "this machine stood still for longer than the right");
        crate::space::until("the right is over", || monotonic() > end);
        let over = Instant::now();
        owner.signal(Signal::SIGCONT);
        assert!(told.any(|line| line == "rest"));
        let answers = answers.recv().unwrap();
        answered |= answers.iter().any(|sent| *sent < over);
        let late = answers.iter().max().filter(|sent| **sent > over);
        assert_eq!(late.map(|sent| *sent - over), None, "it answered behind the end of its right");
    }
    assert!(answered, "it never answered");
}
