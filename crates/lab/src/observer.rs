//! Who answers for an address, asked of each machine by itself.
//!
//! The observer sits in the switch and puts its questions on one port after the other, below the switch's own
//! forwarding: a machine that is cut off from all others is asked all the same.  A question is an ARP request (for
//! IPv6 a neighbour solicitation) and a UDP ask, to that machine's card; either answer counts.  Times are those of the kernel's receive stamps.

use crate::clock::from_wall;
use crate::frames::{Ends, Heard, heard, udp, who_has};
use crate::frames6::{self, Ends6};
use crate::lab::{Lab, Net, OBSERVER, OBSERVER_6, OBSERVER_CARD};
use crate::{now, sys};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt::ReceiveTimestampns};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A span in which one machine answered all the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Machine.
    pub machine: String,
    /// First answer.
    pub from: u64,
    /// Last answer.
    pub to: u64,
}

/// Who answered.
#[derive(Clone, Debug)]
pub struct Owners {
    /// By start.
    pub runs: Vec<Run>,
    /// For how long two machines answered, in nanoseconds.
    pub two: u64,
    /// Time between two questions to a machine: an overlap shorter than that can be missed.
    pub step: u64,
}

impl Owners {
    /// The machines in order of their runs, repetitions left out.
    pub fn order(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.runs.iter().map(|run| run.machine.as_str()).collect();
        names.dedup();
        names
    }
}

/// Asks until it is dropped.
pub struct Observer {
    asked: Arc<Asked>,
    address: IpAddr,
    udp_port: u16,
    step: u64,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Asked {
    ends: AtomicBool,
    ports: Mutex<Vec<Port>>,
    times: Mutex<Times>,
}

#[derive(Default)]
struct Times {
    asks: Vec<u64>,
    answers: BTreeMap<String, Vec<u64>>,
}

struct Port {
    machine: String,
    socket: Socket,
    frames: [Vec<u8>; 2],
}

impl Observer {
    /// Begins to ask all machines that are on for `address` (and the UDP service on it), every `step` nanoseconds.
    ///
    /// # Errors
    /// When no packet socket can be had.
    pub fn start(lab: &Lab, address: impl Into<IpAddr>, udp_port: u16, step: u64) -> anyhow::Result<Self> {
        let address = address.into();
        let asked = Arc::new(Asked::default());
        let mut observer = Self { asked, address, udp_port, step, thread: None };
        for name in lab.names() {
            if lab.is_on(&name) {
                observer.attach(lab, &name)?;
            }
        }
        let asked = observer.asked.clone();
        let run = move || ask(&asked, address, step);
        observer.thread = Some(std::thread::Builder::new().name("observer".into()).spawn(run)?);
        Ok(observer)
    }

    /// Goes on with a machine that has a new interface on the service network (it was off, or its card was taken out).
    ///
    /// # Errors
    /// When there is no such machine or port.
    pub fn attach(&self, lab: &Lab, machine: &str) -> anyhow::Result<()> {
        let name = lab.port(machine, Net::Service)?;
        let socket = lab.switch().in_network(|| packet_socket(&name))?;
        socket.attach_filter(&for_us())?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        let to_card = lab.hardware(machine, Net::Service)?;
        let (from_card, question) = (OBSERVER_CARD, b"who are you? ");
        let frames = match self.address {
            IpAddr::V4(to) => {
                let ends = Ends { from_card, from: OBSERVER, to_card, to };
                [who_has(&ends), udp(&ends, 7, self.udp_port, question)]
            }
            IpAddr::V6(to) => {
                let ends = Ends6 { from_card, from: OBSERVER_6, to_card, to };
                [frames6::solicitation(&ends), frames6::udp(&ends, 7, self.udp_port, question)]
            }
        };
        let mut ports = self.asked.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.retain(|port| port.machine != machine);
        ports.push(Port { machine: machine.to_owned(), socket, frames });
        Ok(())
    }

    /// Who answered from `from` to `to`, and for how long two did.
    pub fn owners(&self, from: u64, to: u64) -> Owners {
        let times = self.asked.times.lock().unwrap_or_else(PoisonError::into_inner);
        let asks = within(&times.asks, from, to);
        let mut runs = Vec::new();
        for (machine, answers) in &times.answers {
            let others = times.answers.iter().filter(|(name, _)| *name != machine).flat_map(|(_, answers)| answers);
            let mut others: Vec<u64> = others.filter(|at| (from..=to).contains(*at)).copied().collect();
            others.sort_unstable();
            runs.extend(runs_of(machine, asks, within(answers, from, to), &others));
        }
        runs.sort_by_key(|run| run.from);
        let two = overlap(&runs, self.step);
        Owners { runs, two, step: self.step }
    }

    /// The machines that answered within the last 25 ms.
    pub fn answering(&self) -> Vec<String> {
        let since = now().saturating_sub(25_000_000);
        let times = self.asked.times.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = times.answers.iter().filter(|(_, answers)| answers.last().is_some_and(|at| *at >= since));
        recent.map(|(machine, _)| machine.clone()).collect()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.asked.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to clean up.
            let _ = thread.join();
        }
    }
}

/// A socket that sends and hears frames on one interface of the network that the thread is in.
pub(crate) fn packet_socket(interface: &str) -> anyhow::Result<Socket> {
    let index = nix::net::if_::if_nametoindex(interface)?;
    // No protocol until it is bound: else it hears every interface for a moment.
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    socket.bind(&sys::link_address(index))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Passes frames to the observer's card only: a flood on the port is not copied to us.
fn for_us() -> [SockFilter; 6] {
    let card = OBSERVER_CARD;
    let high = u32::from_be_bytes([card[0], card[1], card[2], card[3]]);
    let low = u32::from(u16::from_be_bytes([card[4], card[5]]));
    [
        SockFilter::new(0x20, 0, 0, 0),
        SockFilter::new(0x15, 0, 3, high),
        SockFilter::new(0x28, 0, 0, 4),
        SockFilter::new(0x15, 0, 1, low),
        SockFilter::new(0x06, 0, 0, 0xffff),
        SockFilter::new(0x06, 0, 0, 0),
    ]
}

fn ask(asked: &Asked, address: IpAddr, step: u64) {
    let mut due = now();
    while !asked.ends.load(Ordering::Relaxed) {
        let ports = asked.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let at = now();
        if at >= due {
            for port in ports.iter() {
                for frame in &port.frames {
                    // A port without cable or machine takes nothing: that is an answer too.
                    let _ = port.socket.send(frame);
                }
            }
            asked.times.lock().unwrap_or_else(PoisonError::into_inner).asks.push(at);
            due = at.max(due + step - step.min(at - due));
            due = if due <= at { at + step } else { due };
        }
        let mut waiting: Vec<PollFd> =
            ports.iter().map(|port| PollFd::new(port.socket.as_fd(), PollFlags::POLLIN)).collect();
        // At most a step, so that the lock is free for new ports between.
        let limit = (due.saturating_sub(now()) / 1_000_000) as u16;
        let _ = poll(&mut waiting, PollTimeout::from(limit.min(10)));
        for port in ports.iter() {
            while let Some(at) = answer(port, address) {
                let mut times = asked.times.lock().unwrap_or_else(PoisonError::into_inner);
                times.answers.entry(port.machine.clone()).or_default().push(at);
            }
        }
        drop(ports);
        let rest = due.saturating_sub(now());
        std::thread::sleep(std::time::Duration::from_nanos(rest.min(1_000_000)));
    }
}

/// The time of the next answer that waits on a port; frames that are none are passed over.
fn answer(port: &Port, address: IpAddr) -> Option<u64> {
    loop {
        let mut buffer = [0; 256];
        let mut space = nix::cmsg_space!(nix::sys::time::TimeSpec);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let message = recvmsg::<()>(port.socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_DONTWAIT);
        let message = match message {
            Ok(message) => message,
            // A cable that was pulled is told once, and then there may still be frames.
            Err(nix::errno::Errno::ENETDOWN) => continue,
            Err(_) => return None,
        };
        let stamp = message.cmsgs().ok()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(time) => Some(time),
            _ => None,
        });
        let length = message.bytes;
        let at = stamp.map_or_else(now, |time| {
            let wall = i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec());
            u64::try_from(wall + from_wall()).unwrap_or_else(|_| now())
        });
        match heard(&buffer[..length]) {
            Some(Heard::Has(owner) | Heard::Udp(owner)) if owner == address => return Some(at),
            _ => {}
        }
    }
}

fn within(sorted: &[u64], from: u64, to: u64) -> &[u64] {
    let start = sorted.partition_point(|at| *at < from);
    let end = sorted.partition_point(|at| *at <= to);
    sorted.get(start..end).unwrap_or(&[])
}

/// A run ends where more than two questions in a row were not answered; a time in which nothing was asked ends none.
/// It ends at the first unanswered question where another machine answered meanwhile: all are asked at the same time,
/// so this one did not have the address then.  [A start that fails gives an address back within two questions.]
fn runs_of(machine: &str, asks: &[u64], answers: &[u64], of_others: &[u64]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for at in answers {
        match runs.last_mut() {
            Some(run) if goes_on(run.to, *at, asks, of_others) => run.to = *at,
            _ => runs.push(Run { machine: machine.to_owned(), from: *at, to: *at }),
        }
    }
    runs
}

/// Whether two answers of one machine belong to one run.
fn goes_on(before: u64, after: u64, asks: &[u64], of_others: &[u64]) -> bool {
    let asked = within(asks, before + 1, after).len();
    let taken = !within(of_others, before, after).is_empty();
    asked <= if taken { 1 } else { 3 }
}

/// Sum of the spans in which runs of different machines overlap; each counts for one step at least.
fn overlap(runs: &[Run], step: u64) -> u64 {
    let mut sum = 0;
    for (number, first) in runs.iter().enumerate() {
        for second in &runs[number + 1..] {
            let (from, to) = (first.from.max(second.from), first.to.min(second.to));
            if first.machine != second.machine && from <= to {
                sum += (to - from).max(step);
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(machine: &str, from: u64, to: u64) -> Run {
        Run { machine: machine.into(), from, to }
    }

    #[test]
    fn a_hand_over_is_no_overlap_and_one_answer_inside_is_a_step() {
        assert_eq!(overlap(&[run("a", 0, 100), run("b", 101, 200)], 4), 0);
        assert_eq!(overlap(&[run("a", 0, 100), run("b", 50, 50)], 4), 4);
        assert_eq!(overlap(&[run("a", 0, 100), run("b", 40, 200)], 4), 60);
    }

    #[test]
    fn a_run_ends_after_three_unanswered_questions_but_not_in_a_pause_of_the_observer() {
        let asks = [0, 4, 8, 12, 16, 20, 120, 124];
        assert_eq!(runs_of("a", &asks, &[1, 5, 21, 121], &[]), [run("a", 1, 5), run("a", 21, 121)]);
    }

    #[test]
    fn an_address_given_back_between_two_questions_has_no_two_owners() {
        let asks = [0, 4, 8, 12, 16, 20];
        let (b, a) = ([1, 5, 13, 17], [9]);
        let mut runs = runs_of("b", &asks, &b, &a);
        runs.extend(runs_of("a", &asks, &a, &b));
        assert_eq!(runs, [run("b", 1, 5), run("b", 13, 17), run("a", 9, 9)]);
        assert_eq!(overlap(&runs, 4), 0);
    }

    #[test]
    fn two_machines_that_answer_one_question_are_two_owners() {
        let asks = [0, 4, 8, 12];
        let (b, a) = ([1, 5, 9, 13], [6]);
        let mut runs = runs_of("b", &asks, &b, &a);
        runs.extend(runs_of("a", &asks, &a, &b));
        assert_eq!(overlap(&runs, 4), 4);
    }
}
