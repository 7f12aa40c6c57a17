//! ICMP echo to the ping targets, once each keepalive (R-MEM-9).

use crate::clock;
use crate::order::Post;
use crate::sys;
use hearth_agents::net::Pinger;
use hearth_config::PingTarget;
use hearth_controller::Input;
use hearth_types::Timestamp;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// An answer that comes later than this many rounds counts no more.
const ROUNDS: u32 = 64;

/// Asks for ever; does nothing where there is no target. To be dropped and made anew on a reload.
///
/// # Errors
/// Raw sockets are refused.
pub(crate) async fn run(targets: Vec<PingTarget>, every: Duration, post: Post) -> io::Result<()> {
    if targets.is_empty() {
        return std::future::pending().await;
    }
    let pinger = Pinger::new()?;
    let sockets: Vec<AsyncFd<OwnedFd>> =
        pinger.sockets().map(|socket| sys::readable(socket.try_clone_to_owned()?)).collect::<io::Result<_>>()?;
    let mut sent: BTreeMap<u64, (Timestamp, IpAddr, String)> = BTreeMap::new();
    let mut round = tokio::time::interval(every);
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = round.tick() => ask(&pinger, &targets, every, &mut sent),
            () = readable(&sockets) => {
                for (from, payload) in pinger.receive() {
                    let Some((sent_at, to, target)) = sent.remove(&payload) else { continue };
                    if to == from {
                        post.input(Input::PingAnswered { target, sent_at });
                    }
                }
            }
        }
    }
}

fn ask(
    pinger: &Pinger,
    targets: &[PingTarget],
    every: Duration,
    sent: &mut BTreeMap<u64, (Timestamp, IpAddr, String)>,
) {
    let now = clock::now();
    sent.retain(|_, (at, _, _)| now.since(*at) < every * ROUNDS);
    for target in targets {
        for address in &target.addresses {
            // A refused question is one that is not answered.
            if let Ok(payload) = pinger.send(*address) {
                sent.insert(payload, (now, *address, target.name.clone()));
            }
        }
    }
}

async fn readable(sockets: &[AsyncFd<OwnedFd>]) {
    let waits = sockets.iter().map(|socket| {
        Box::pin(async move {
            match socket.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => std::future::pending().await,
            }
        })
    });
    futures_util::future::select_all(waits).await;
}
