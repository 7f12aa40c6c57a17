//! The watchdog's thread: it does what the heartbeat thread orders, and nothing by itself (R-LEASE-7).
//!
//! A driver may take seconds over a pet (one that talks to a management controller does), and the heartbeat thread waits
//! for nobody. So each pet is ordered with the end of the right to it, and the clock is read behind whatever held it up:
//! where no order comes, or only late ones, the machine is reset.

mod device;
#[cfg(test)]
mod table;

use crate::clock;
use crate::order::Post;
use device::Device;
use hearth_config::WatchdogDevice;
use hearth_controller::Input;
use hearth_types::Timestamp;
use hearth_wire::Watchdog;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

/// A device that cannot be opened is tried again after this.
const RETRY: Duration = Duration::from_secs(5);
/// How long an orderly end waits for the device to be closed.
const LAST: Duration = Duration::from_secs(1);

enum Order {
    Pet { device: WatchdogDevice, not_after: Timestamp },
    Close,
}

/// What resets the machine.
trait Hardware {
    /// Opens it, which arms it, and sets its time; nothing is opened that could never be closed again. The error is for
    /// people.
    fn arm(&mut self, wanted: &WatchdogDevice) -> Result<Watchdog, String>;
    fn pet(&mut self) -> io::Result<()>;
    /// Lets it go without a word: it resets the machine unless it is armed again.
    fn abandon(&mut self);
    /// Ends it.
    fn close(&mut self) -> Result<(), String>;
}

/// The heartbeat thread's end. The thread begins with the first order.
pub(crate) struct WatchdogThread {
    post: Post,
    realtime: Option<u8>,
    running: Option<(Sender<Order>, Receiver<()>)>,
}

impl WatchdogThread {
    pub(crate) fn new(post: Post, realtime: Option<u8>) -> WatchdogThread {
        WatchdogThread { post, realtime, running: None }
    }

    pub(crate) fn pet(&mut self, device: WatchdogDevice, not_after: Timestamp) {
        if self.running.is_none() {
            match begin(self.post.clone(), self.realtime) {
                Ok(running) => self.running = Some(running),
                Err(error) => {
                    let trouble = format!("no thread can be started for it ({error})");
                    return self.post.input(Input::WatchdogSeen(Err(trouble)));
                }
            }
        }
        self.order(Order::Pet { device, not_after });
    }

    pub(crate) fn close(&mut self) {
        self.order(Order::Close);
    }

    /// Waits a moment until what was ordered is done.
    pub(crate) fn finish(self) {
        if let Some((orders, ended)) = self.running {
            drop(orders);
            // A driver that hangs must not keep the daemon from its end.
            let _ = ended.recv_timeout(LAST);
        }
    }

    fn order(&self, order: Order) {
        if let Some((orders, _)) = &self.running {
            // Fails only if the thread panicked: then nothing pets, which is what it is for.
            let _ = orders.send(order);
        }
    }
}

fn begin(post: Post, realtime: Option<u8>) -> io::Result<(Sender<Order>, Receiver<()>)> {
    let (orders, ordered) = mpsc::channel();
    let (done, ended) = mpsc::channel();
    std::thread::Builder::new().name("watchdog".into()).stack_size(crate::daemon::STACK).spawn(move || {
        if let Some(priority) = realtime {
            // The heartbeat thread has warned already where this is not allowed.
            let _ = crate::sys::realtime(priority);
        }
        let mut keeper = Keeper::new(Device::default(), |seen| post.input(Input::WatchdogSeen(seen)));
        for order in ordered {
            keeper.take(order, clock::now);
        }
        // Nobody waits where the daemon ends otherwise.
        let _ = done.send(());
    })?;
    Ok((orders, ended))
}

/// What the thread knows.
struct Keeper<H, T> {
    hardware: H,
    tell: T,
    armed: bool,
    retry_at: Timestamp,
}

impl<H: Hardware, T: FnMut(Result<Watchdog, String>)> Keeper<H, T> {
    fn new(hardware: H, tell: T) -> Self {
        Keeper { hardware, tell, armed: false, retry_at: Timestamp::ZERO }
    }

    /// Does it. The clock is read when it is about to be done.
    fn take(&mut self, order: Order, clock: impl Fn() -> Timestamp) {
        match order {
            Order::Pet { device, not_after } => self.pet(&device, not_after, clock),
            Order::Close => {
                if std::mem::take(&mut self.armed)
                    && let Err(trouble) = self.hardware.close()
                {
                    tracing::error!("the watchdog cannot be closed and resets this machine: {trouble}");
                }
            }
        }
    }

    fn pet(&mut self, device: &WatchdogDevice, not_after: Timestamp, clock: impl Fn() -> Timestamp) {
        let now = clock();
        if now > not_after {
            // This process was held up, and the right that it was ordered under has ended meanwhile (R-LEASE-6).
            return;
        }
        if self.armed {
            if let Err(error) = self.hardware.pet() {
                self.armed = false;
                self.retry_at = now + RETRY;
                self.hardware.abandon();
                (self.tell)(Err(format!("it cannot be petted: {error}")));
            }
        } else if now >= self.retry_at {
            self.retry_at = now + RETRY;
            let seen = self.hardware.arm(device);
            self.armed = seen.is_ok();
            (self.tell)(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    /// A watchdog on paper: what was done to it, and whether it does it.
    #[derive(Clone, Default)]
    pub(super) struct Paper {
        pub(super) done: Rc<RefCell<Vec<&'static str>>>,
        pub(super) refuses: Rc<Cell<bool>>,
    }

    impl Paper {
        fn note(&self, what: &'static str) -> bool {
            self.done.borrow_mut().push(what);
            !self.refuses.get()
        }
    }

    impl Hardware for Paper {
        fn arm(&mut self, _: &WatchdogDevice) -> Result<Watchdog, String> {
            let armed = Watchdog { driver: "paper".into(), timeout_ms: 10_000, nowayout: false };
            self.note("arm").then_some(armed).ok_or_else(|| "busy".into())
        }

        fn pet(&mut self) -> io::Result<()> {
            self.note("pet").then_some(()).ok_or_else(|| io::Error::other("gone"))
        }

        fn abandon(&mut self) {
            self.note("abandon");
        }

        fn close(&mut self) -> Result<(), String> {
            self.note("close").then_some(()).ok_or_else(|| "stuck".into())
        }
    }

    pub(super) fn at(ms: u64) -> Timestamp {
        Timestamp(ms * 1_000_000)
    }

    pub(super) fn pet(not_after: u64) -> Order {
        let device = WatchdogDevice { device: "/dev/watchdog".into(), timeout: Duration::from_secs(10) };
        Order::Pet { device, not_after: at(not_after) }
    }

    #[test]
    fn a_pet_that_comes_after_the_end_of_its_right_is_none() {
        // R-LEASE-6, R-LEASE-7: the machine slept between decision and pet, and another may have started meanwhile.
        let paper = Paper::default();
        let mut keeper = Keeper::new(paper.clone(), |_| {});
        keeper.take(pet(1400), || at(1500));
        assert!(paper.done.borrow().is_empty());
        keeper.take(pet(1900), || at(1600));
        keeper.take(pet(1900), || at(1900));
        keeper.take(pet(1900), || at(1901));
        assert_eq!(*paper.done.borrow(), ["arm", "pet"]);
    }

    #[test]
    fn one_that_fails_is_told_let_go_and_armed_again_and_a_close_ends_only_what_is_armed() {
        let (paper, told) = (Paper::default(), RefCell::new(Vec::new()));
        let mut keeper = Keeper::new(paper.clone(), |seen| told.borrow_mut().push(seen.is_ok()));
        keeper.take(Order::Close, || at(0));
        keeper.take(pet(9000), || at(1000));
        paper.refuses.set(true);
        keeper.take(pet(9000), || at(1100));
        paper.refuses.set(false);
        keeper.take(pet(9000), || at(1200));
        keeper.take(pet(9000), || at(6100));
        keeper.take(Order::Close, || at(6200));
        assert_eq!(*paper.done.borrow(), ["arm", "pet", "abandon", "arm", "close"]);
        assert_eq!(*told.borrow(), [true, false, true]);
    }
}
