//! Two machines on one wire: the test's thread is the one, [`Peer`] the other.

use nix::sched::{CloneFlags, unshare};
use std::process::Command;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest wait for anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Gives this thread a network namespace with lo up.
pub fn enter() {
    unshare(CloneFlags::CLONE_NEWNET).expect(
        "this test needs to make network namespaces: run it as root, or in a user namespace (unshare --user --map-root-user)",
    );
    run("ip link set lo up");
}

/// Runs a command in this thread's namespace; it must succeed.
pub fn run(command: &str) {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().expect("a command")).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{command}: {error} (iproute2 and nftables are needed)"));
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until it is so.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for: {what}");
        std::thread::yield_now();
    }
}

/// Hardware address of `eth0`.
pub const NEAR: &str = "02:00:00:77:00:01";
/// Hardware address of the peer's `far`.
pub const FAR: &str = "02:00:00:77:00:02";

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a namespace of its own.
pub struct Peer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    id: i32,
}

impl Peer {
    pub fn new() -> Peer {
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

    /// Starts it there.
    pub fn begin<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
        let (done, result) = mpsc::channel();
        let job: Job = Box::new(move || drop(done.send(job())));
        self.jobs.as_ref().expect("open until dropped").send(job).expect("the peer runs");
        result
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

/// Enters a namespace and connects it with that of a peer: `eth0` 10.77.0.1/24 and fd77::1/64 here, .2 and ::2 there.
pub fn pair() -> Peer {
    enter();
    let peer = Peer::new();
    run(&format!("ip link add eth0 address {NEAR} type veth peer name far address {FAR}"));
    run(&format!("ip link set far netns {}", peer.id));
    plug("eth0", 1);
    peer.there(|| plug("far", 2));
    peer
}

fn plug(interface: &str, host: u32) {
    run(&format!("ip addr add 10.77.0.{host}/24 dev {interface}"));
    run(&format!("ip addr add fd77::{host}/64 dev {interface} nodad"));
    run(&format!("ip link set {interface} up"));
}
