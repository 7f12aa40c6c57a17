//! The thread that claims on the disk of `tiebreaker disk`, looks again, and gives back.
//!
//! A disk may hang for minutes. Nobody waits for this thread: what it finds it tells, and how old that is the controller
//! sees for itself. There is one for the whole life of the daemon, and it never has two accesses under way: a write that
//! comes about late must not fall upon one that was made after it.

use super::{SharedDisk, wall_ms};
use crate::clock;
use crate::order::Post;
use hearth_controller::{ClaimHolder, ClaimWant, Input, TiebreakerOrder, TiebreakerSeen};
use hearth_slots::{Claimant, Holder, Known, Want};
use hearth_types::NodeName;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// The main thread's end.
pub(crate) struct Claims {
    post: Post,
    local: NodeName,
    orders: Option<Sender<Option<TiebreakerOrder>>>,
}

impl Claims {
    pub(crate) fn new(post: Post, local: NodeName) -> Claims {
        Claims { post, local, orders: None }
    }

    /// What is wanted from now on.
    pub(crate) fn order(&mut self, order: Option<TiebreakerOrder>) {
        if let (None, Some(order)) = (&self.orders, &order) {
            match begin(self.local.clone(), order.clone(), self.post.clone()) {
                Ok(orders) => self.orders = Some(orders),
                Err(error) => {
                    let trouble = format!("no thread can be started for it ({error})");
                    return self.post.input(Input::TiebreakerSeen(Err(trouble)));
                }
            }
        }
        if let Some(orders) = &self.orders {
            // Fails only if the thread panicked: then no disk favours anybody here.
            let _ = orders.send(order);
        }
    }
}

fn begin(local: NodeName, first: TiebreakerOrder, post: Post) -> io::Result<Sender<Option<TiebreakerOrder>>> {
    let (orders, waiting) = mpsc::channel();
    std::thread::Builder::new().name("tiebreaker".into()).stack_size(crate::daemon::STACK).spawn(move || {
        let claimant = Claimant::new(local, first.other.clone());
        run(Claiming { path: PathBuf::from(&first.device), disk: None, claimant }, &waiting, &post);
    })?;
    Ok(orders)
}

fn run(mut claiming: Claiming, orders: &Receiver<Option<TiebreakerOrder>>, post: &Post) {
    let (mut order, mut next): (Option<TiebreakerOrder>, Instant) = (None, Instant::now());
    loop {
        let wait = match order {
            Some(_) => next.saturating_duration_since(Instant::now()),
            // Nothing is asked: until there is an order again.
            None => Duration::from_secs(3600),
        };
        match orders.recv_timeout(wait) {
            Ok(newer) => (order, next) = (newer, Instant::now()),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let Some(order) = &order else { continue };
                post.input(Input::TiebreakerSeen(claiming.attempt(order)));
                next = Instant::now() + order.every;
            }
        }
    }
}

/// What the thread knows.
struct Claiming {
    path: PathBuf,
    disk: Option<SharedDisk>,
    claimant: Claimant,
}

impl Claiming {
    /// One attempt, which takes as long as the disk likes.
    fn attempt(&mut self, order: &TiebreakerOrder) -> Result<TiebreakerSeen, String> {
        let want = match order.want {
            ClaimWant::Idle => Want::Idle,
            ClaimWant::Rest => Want::Rest,
            ClaimWant::Hold { epoch, other_is_off } => Want::Hold { epoch, other_is_off },
        };
        let known = self.ask(&want);
        if known.is_err() {
            // A path that came back is a new one.
            self.disk = None;
        }
        known.map(|Known { began_at, holder, .. }| {
            let holder = match holder {
                Holder::Nobody => ClaimHolder::Nobody,
                Holder::Ours => ClaimHolder::Ours,
                Holder::Theirs => ClaimHolder::Theirs,
            };
            TiebreakerSeen { number: order.number, began_at, holder }
        })
    }

    fn ask(&mut self, want: &Want) -> Result<Known, String> {
        let disk = match &mut self.disk {
            Some(disk) => disk,
            none => none.insert(SharedDisk::open(Path::new(&self.path))?),
        };
        loop {
            if let Some(known) = self.claimant.step(disk, want, wall_ms(), clock::now)? {
                return Ok(known);
            }
        }
    }
}
