//! Wires between the guests: a network of all, and a null-modem line of the first two, through the harness, which can cut
//! them.

use super::event::{NAMES, Who};
use nix::sys::socket::{MsgFlags, send};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longest frame of the network.
const FRAME: usize = 2048;
/// A thread looks at least so often whether its guest is gone.
const LOOK: Duration = Duration::from_millis(200);

/// Both of them, with the ends of the guests that have power.
#[derive(Default)]
pub struct Wires {
    network_cut: AtomicBool,
    muted: [AtomicBool; NAMES.len()],
    frames: [Mutex<Option<Arc<UnixDatagram>>>; NAMES.len()],
    lines: [Mutex<Option<Arc<UnixStream>>>; 2],
}

impl Wires {
    /// Cuts the network in both directions, carriers stay; or mends it.
    pub fn cut_network(&self, cut: bool) {
        self.network_cut.store(cut, Ordering::SeqCst);
    }

    /// Loses what a guest sends to the network, carriers stay, and it hears all others; or mends it.
    pub fn mute(&self, who: Who, muted: bool) {
        self.muted[who].store(muted, Ordering::SeqCst);
    }

    /// Plugs the ends of a guest that was switched on, and carries what it sends until it is `gone`.
    ///
    /// # Errors
    /// When a socket cannot be set up.
    pub fn plug(
        self: &Arc<Self>,
        who: Who,
        network: UnixDatagram,
        line: UnixStream,
        gone: Arc<AtomicBool>,
    ) -> std::io::Result<()> {
        network.set_read_timeout(Some(LOOK))?;
        let (network, line) = (Arc::new(network), Arc::new(line));
        put(&self.frames[who], &network);
        if let Some(end) = self.lines.get(who) {
            put(end, &line);
        }
        let wires = self.clone();
        std::thread::spawn(move || {
            let mut frame = [0; FRAME];
            while !gone.load(Ordering::SeqCst) {
                let Ok(length) = network.recv(&mut frame) else { continue };
                if wires.network_cut.load(Ordering::SeqCst) || wires.muted[who].load(Ordering::SeqCst) {
                    continue;
                }
                let others = wires.frames.iter().enumerate().filter(|(other, _)| *other != who);
                for other in others.filter_map(|(_, end)| look(end)) {
                    // A guest that does not read loses it, as on any wire.
                    let _ = send(other.as_raw_fd(), &frame[..length], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
                }
            }
        });
        let wires = self.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 256];
            while let Ok(length @ 1..) = (&*line).read(&mut bytes) {
                let others =
                    wires.lines.iter().enumerate().filter(|(other, _)| *other != who && who < wires.lines.len());
                for other in others.filter_map(|(_, end)| look(end)) {
                    let _ = send(other.as_raw_fd(), &bytes[..length], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
                }
            }
        });
        Ok(())
    }
}

fn put<T>(place: &Mutex<Option<Arc<T>>>, end: &Arc<T>) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(end.clone());
}

fn look<T>(place: &Mutex<Option<Arc<T>>>) -> Option<Arc<T>> {
    place.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
