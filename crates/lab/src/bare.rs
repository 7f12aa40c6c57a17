//! What heartbeats cost a program that does nothing with them: the measure for what a daemon costs at rest.
//!
//! Time on a processor depends on the machine, its kernel, and on what others do to its caches meanwhile. Two threads in
//! a pair of machines of their own send and receive packets of the same size at the same pace with as few system calls
//! as that takes, at the same time as the daemons that are judged: of both, only the ratio is kept.

use crate::lab::{Lab, Net, Options};
use crate::now;
use crate::space::Helper;
use anyhow::Context;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::{Pid, gettid};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

const PORT: u16 = 694;
const MACHINES: [&str; 2] = ["a", "b"];

/// Two machines whose only programs are these two threads. Dropping it ends them.
pub struct BareLoop {
    ends: Arc<AtomicBool>,
    threads: Vec<(Pid, JoinHandle<anyhow::Result<()>>)>,
    _lab: Lab,
}

impl BareLoop {
    /// Starts with packets of `size` bytes every `period` over both networks, in machines of its own under `disk`.
    ///
    /// # Errors
    /// When machines, sockets or threads cannot be made.
    pub fn start(helper: &Helper, disk: &Path, size: usize, period: Duration) -> anyhow::Result<Self> {
        let machines = MACHINES.map(str::to_owned).to_vec();
        let lab = Lab::new(&Options { helper: helper.clone(), disk: disk.to_owned(), machines })?;
        let ends = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (name, peer) in [(MACHINES[0], MACHINES[1]), (MACHINES[1], MACHINES[0])] {
            let mut paths = Vec::new();
            for net in Net::ALL {
                let (own, to) = (lab.address(name, net)?, lab.address(peer, net)?);
                let socket = lab.machine(name)?.in_network(|| Ok(UdpSocket::bind((own, PORT))?))?;
                socket.set_nonblocking(true)?;
                paths.push((socket, SocketAddr::from((to, PORT))));
            }
            let (ends, (say, hear)) = (ends.clone(), mpsc::channel());
            let thread = std::thread::Builder::new().name("bare loop".into()).spawn(move || {
                // Whoever started it waits for this.
                let _ = say.send(gettid());
                run(&paths, &vec![0; size], period, &ends)
            })?;
            threads.push((hear.recv().context("the thread ended at once")?, thread));
        }
        Ok(Self { ends, threads, _lab: lab })
    }

    /// Time on a processor so far, in nanoseconds, of one loop: the mean of both.
    ///
    /// # Errors
    /// One of them has ended.
    pub fn cpu(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for (thread, _) in &self.threads {
            let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"))?;
            sum += text.split(' ').next().context("schedstat is empty")?.parse::<u64>()?;
        }
        Ok(sum / self.threads.len() as u64)
    }
}

impl Drop for BareLoop {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        for (_, thread) in self.threads.drain(..) {
            // What went wrong was seen by whoever asked for the cost.
            let _ = thread.join();
        }
    }
}

fn run(paths: &[(UdpSocket, SocketAddr)], packet: &[u8], period: Duration, ends: &AtomicBool) -> anyhow::Result<()> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
    let mut due = now();
    let mut buffer = [0; 2048];
    while !ends.load(Ordering::Relaxed) {
        due += period.as_nanos() as u64;
        let at = Expiration::OneShot(Duration::from_nanos(due).into());
        timer.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        for (socket, to) in paths {
            socket.send_to(packet, to)?;
        }
        loop {
            let sources = [timer.as_fd(), paths[0].0.as_fd(), paths[1].0.as_fd()];
            let mut sources = sources.map(|source| PollFd::new(source, PollFlags::POLLIN));
            poll(&mut sources, PollTimeout::NONE)?;
            let readable = sources.map(|source| source.any().unwrap_or(true));
            for ((socket, _), _) in paths.iter().zip(&readable[1..]).filter(|(_, readable)| **readable) {
                // A refusal while the other one is not there yet is none of our concern.
                let _ = socket.recv_from(&mut buffer);
            }
            if readable[0] {
                break;
            }
        }
    }
    Ok(())
}
