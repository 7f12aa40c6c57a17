//! Somebody who uses the service all the time, and what it felt like.

use crate::clock::from_wall;
use crate::{now, space::Space};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt::ReceiveTimestampns};
use nix::sys::time::TimeSpec;
use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// An answer that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When it was asked for.
    pub asked_at: u64,
    /// When it came.
    pub at: u64,
    /// The machine that gave it.
    pub machine: String,
}

/// What a client felt in a span.
#[derive(Clone, Debug, Default)]
pub struct Felt {
    /// Longest time from one answer to the next, in nanoseconds. About the asking period where nothing happened.
    pub gap: u64,
    /// When that began.
    pub gap_at: u64,
    /// Questions.
    pub asked: usize,
    /// Those that were never answered.
    pub lost: usize,
    /// Answers by machine.
    pub by: BTreeMap<String, usize>,
    /// Machine of the last answer.
    pub last: Option<String>,
}

/// Asks until it is dropped.
pub struct Client {
    talk: Arc<Talk>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Talk {
    ends: AtomicBool,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    asks: Vec<u64>,
    answers: Vec<Answer>,
}

impl Client {
    /// Asks the UDP service at `service` from the network of `space` every `period` nanoseconds.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn start(space: &Space, service: impl Into<SocketAddr>, period: u64) -> anyhow::Result<Self> {
        let service = service.into();
        let here: SocketAddr = match service {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = space.in_network(|| Ok(UdpSocket::bind(here)?))?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        let talk = Arc::new(Talk::default());
        let shared = talk.clone();
        let run = move || ask(&socket, service, period, &shared);
        let thread = Some(std::thread::Builder::new().name("client".into()).spawn(run)?);
        Ok(Self { talk, thread })
    }

    /// What it felt from `from` to `to`. The answer before `from` counts as the begin of a gap, and a gap that has not
    /// ended at `to` counts up to there.
    pub fn felt(&self, from: u64, to: u64) -> Felt {
        let log = self.talk.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut felt = Felt::default();
        let mut last = from;
        let mut answered = std::collections::BTreeSet::new();
        for answer in &log.answers {
            if answer.asked_at >= from && answer.asked_at <= to {
                answered.insert(answer.asked_at);
            }
            if answer.at < from {
                last = answer.at;
                continue;
            }
            if answer.at > to {
                continue;
            }
            if answer.at.saturating_sub(last) > felt.gap {
                (felt.gap, felt.gap_at) = (answer.at - last, last);
            }
            last = last.max(answer.at);
            *felt.by.entry(answer.machine.clone()).or_default() += 1;
            felt.last = Some(answer.machine.clone());
        }
        if to.saturating_sub(last) > felt.gap {
            (felt.gap, felt.gap_at) = (to - last, last);
        }
        let asked = log.asks.iter().filter(|at| **at >= from && **at <= to);
        felt.asked = asked.clone().count();
        felt.lost = asked.filter(|at| !answered.contains(*at)).count();
        felt
    }

    /// The machine whose answer was the newest after `since`.
    pub fn answered_by(&self, since: u64) -> Option<String> {
        let log = self.talk.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.answers.last().filter(|answer| answer.at >= since).map(|answer| answer.machine.clone())
    }

    /// Every answer from `from` on.
    pub fn answers(&self, from: u64) -> Vec<Answer> {
        let log = self.talk.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.answers.iter().filter(|answer| answer.at >= from).cloned().collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.talk.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to clean up.
            let _ = thread.join();
        }
    }
}

fn ask(socket: &UdpSocket, service: SocketAddr, period: u64, talk: &Talk) {
    let mut due = now();
    while !talk.ends.load(Ordering::Relaxed) {
        let at = now();
        if at >= due {
            // A network that is away refuses it: the question counts as asked and is never answered.
            let _ = socket.send_to(&at.to_be_bytes(), service);
            talk.log.lock().unwrap_or_else(PoisonError::into_inner).asks.push(at);
            due = if at - due > period { at + period } else { due + period };
        }
        let rest = due.saturating_sub(now());
        let mut waiting = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let limit = TimeSpec::new((rest / 1_000_000_000) as i64, (rest % 1_000_000_000) as i64);
        if rest > 0 {
            let _ = ppoll(&mut waiting, Some(limit), None);
        }
        while let Some(answer) = answer(socket) {
            talk.log.lock().unwrap_or_else(PoisonError::into_inner).answers.push(answer);
        }
    }
}

fn answer(socket: &UdpSocket) -> Option<Answer> {
    let mut buffer = [0; 256];
    let mut space = nix::cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_DONTWAIT).ok()?;
    let stamp = message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(time) => Some(time),
        _ => None,
    });
    let length = message.bytes;
    let at = stamp.map_or_else(now, |time| {
        let wall = i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec());
        u64::try_from(wall + from_wall()).unwrap_or_else(|_| now())
    });
    let (question, machine) = buffer[..length].split_first_chunk::<8>()?;
    let machine = String::from_utf8_lossy(machine).into_owned();
    Some(Answer { asked_at: u64::from_be_bytes(*question), at, machine })
}
