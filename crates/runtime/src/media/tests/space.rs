//! Two machines on two wires: the test's thread is the one, [`Peer`] the other.

use super::DEADLINE;
use nix::sched::{CloneFlags, unshare};
use std::process::Command;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

/// Gives this thread a network namespace with lo up.
fn enter() {
    unshare(CloneFlags::CLONE_NEWNET).expect(
        "this test needs to make network namespaces: run it as root, or in a user namespace (unshare --user --map-root-user)",
    );
    run("ip link set lo up");
}

/// Runs a command in this thread's namespace; it must succeed.
pub fn run(command: &str) {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().expect("a command")).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{command}: {error} (iproute2 is needed)"));
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until the kernel has seen the carrier and can reach groups: it does that on its own time.
fn ready(number: u8) {
    let start = Instant::now();
    let words = format!("-6 route show table local dev eth{number}");
    let routed = || {
        let output = Command::new("ip").args(words.split(' ')).output().expect("iproute2 is needed");
        String::from_utf8_lossy(&output.stdout).contains("ff00::/8")
    };
    while !routed() {
        assert!(start.elapsed() < DEADLINE, "eth{number} reaches no group");
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a namespace of its own.
pub struct Peer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    id: i32,
}

impl Peer {
    fn new() -> Peer {
        let (jobs, orders) = mpsc::channel::<Job>();
        let (ready, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            enter();
            ready.send(nix::unistd::gettid().as_raw()).expect("the test waits");
            for job in orders {
                job();
            }
        });
        Peer { id: told.recv().expect("a namespace"), jobs: Some(jobs), thread: Some(thread) }
    }

    /// Does it there, and waits for the result.
    pub fn there<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let job: Job = Box::new(move || drop(done.send(job())));
        self.jobs.as_ref().expect("open until dropped").send(job).expect("the peer runs");
        result.recv().expect("the peer's job panicked")
    }

    /// Lays a wire: `eth<N>` on both sides, 10.77.N.1 and fd77:N::1 here, .2 and ::2 there.
    pub fn wire(&self, number: u8) {
        run(&format!("ip link add eth{number} type veth peer name far{number}"));
        run(&format!("ip link set far{number} netns {} name eth{number}", self.id));
        plug(number, 1);
        self.there(move || plug(number, 2));
        ready(number);
        self.there(move || ready(number));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Enters a namespace and lays wire 0 to a peer.
pub fn pair() -> Peer {
    enter();
    let peer = Peer::new();
    peer.wire(0);
    peer
}

/// Addresses without duplicate detection, so that they may be used at once.
fn plug(number: u8, host: u32) {
    run(&format!("ip link set eth{number} addrgenmode none"));
    run(&format!("ip addr add 10.77.{number}.{host}/24 broadcast + dev eth{number}"));
    run(&format!("ip addr add fd77:{number}::{host}/64 dev eth{number} nodad"));
    run(&format!("ip addr add fe80::{host}/64 dev eth{number} nodad"));
    run(&format!("ip link set eth{number} up"));
}
