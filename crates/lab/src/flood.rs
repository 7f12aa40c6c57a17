//! Packets that nobody should believe, many a second: forged, truncated and replayed copies of the machine's own traffic.

use crate::frames::{PAYLOAD_AT, is_udp, settle_lengths};
use crate::lab::{Lab, Net};
use crate::now;
use crate::observer::packet_socket;
use anyhow::bail;
use socket2::Socket;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flooded {
    /// With changed bytes.
    pub forged: u64,
    /// Cut off somewhere.
    pub truncated: u64,
    /// As they were.
    pub replayed: u64,
    /// How long it took, in nanoseconds.
    pub took: u64,
}

impl Flooded {
    /// All packets.
    pub fn packets(&self) -> u64 {
        self.forged + self.truncated + self.replayed
    }
}

/// Runs until it has sent all, or is dropped.
pub struct Flood {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<Flooded>>,
}

impl Flood {
    /// Collects packets that the machine is sent on a network (at most two seconds long), then sends it variations of
    /// them, `rate` a second for `span`.
    ///
    /// # Errors
    /// When no packet passes.
    pub fn start(lab: &Lab, machine: &str, net: Net, rate: u64, span: Duration) -> anyhow::Result<Self> {
        let (port, card) = (lab.port(machine, net)?, lab.hardware(machine, net)?);
        let socket = lab.switch().in_network(|| packet_socket(&port))?;
        let mut models: Vec<Vec<u8>> = Vec::new();
        crate::wait_until(Duration::from_secs(2), Duration::from_millis(5), || {
            let mut buffer = [0; 2048];
            let mut source = &socket;
            while let Ok(length) = source.read(&mut buffer) {
                let frame = &buffer[..length];
                if frame[..6] == card && is_udp(frame) {
                    models.push(frame.to_vec());
                }
            }
            (models.len() >= 32).then_some(())
        });
        if models.is_empty() {
            bail!("nothing passes on {port} that could be replayed");
        }
        let ends = Arc::new(AtomicBool::new(false));
        let over = ends.clone();
        let run = move || send(&socket, &models, rate, span, &over);
        let thread = Some(std::thread::Builder::new().name("flood".into()).spawn(run)?);
        Ok(Self { ends, thread })
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Flooded {
        let thread = self.thread.take();
        thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to clean up.
            let _ = thread.join();
        }
    }
}

fn send(socket: &Socket, models: &[Vec<u8>], rate: u64, span: Duration, ends: &AtomicBool) -> Flooded {
    let (start, span) = (now(), span.as_nanos() as u64);
    let mut flooded = Flooded::default();
    let mut random = start | 1;
    while !ends.load(Ordering::Relaxed) && now() - start < span {
        let owed = (now() - start) * rate / 1_000_000_000;
        while flooded.packets() < owed {
            // xorshift: what is sent need not be unpredictable, only varied.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let mut frame = models[(random % models.len() as u64) as usize].clone();
            let payload = frame.len() - PAYLOAD_AT;
            match random >> 32 & 3 {
                0 | 3 => {
                    for _ in 0..1 + (random >> 40 & 7) {
                        random = random.rotate_left(11).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                        frame[PAYLOAD_AT + (random >> 8) as usize % payload] ^= 1 + (random & 0x7f) as u8;
                    }
                    flooded.forged += 1;
                }
                1 => {
                    frame.truncate(PAYLOAD_AT + (random >> 40) as usize % payload);
                    flooded.truncated += 1;
                }
                _ => flooded.replayed += 1,
            }
            settle_lengths(&mut frame);
            // A full queue loses packets, as a wire does.
            let _ = socket.send(&frame);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    flooded.took = now() - start;
    flooded
}
