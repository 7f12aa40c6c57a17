//! Whether the times leave room: the arithmetic that the checks use and that `hearth check` shows.

use crate::{ClusterConfig, Config, Medium, Timing};
use core::time::Duration;
use hearth_types::{NodeName, ResourceModel};

/// What a loaded machine may add between two steps of the heartbeat thread, three round trips included (R-LEASE-10).
pub const ALLOWANCE: Duration = Duration::from_millis(100);

/// What decides and announces a takeover once it may be decided.
pub const REACTION: Duration = Duration::from_millis(100);

/// Bytes of one heartbeat of two nodes on a serial line: a sealed packet of 261 bytes (HMAC-SHA-256, short names, one
/// peer, a few epochs of lineage) in five frames of at most 58 bytes of it, each with five bytes of its own.
pub const SERIAL_HEARTBEAT: u32 = 261 + 5 * 5;

/// Start bit, eight bits, stop bit.
const BITS_PER_BYTE: u64 = 10;

/// Bytes that go over the line, one after the other, between the stop of an address on one node and its start on the
/// other: the report, its agreement, the order that follows, and what goes along with them.
const SERIAL_MOVE: u64 = 2500;

/// Speeds that `baud` knows, slowest first.
pub(crate) const SPEEDS: [u32; 7] = [9600, 19200, 38400, 57600, 115_200, 230_400, 460_800];

/// How a lease is spent at worst (R-LEASE-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// What there is: 4/5 of deadtime.
    pub lease: Duration,
    /// Two keepalives: one heartbeat may be lost.
    pub keepalives: Duration,
    /// Round trips and scheduling.
    pub allowance: Duration,
}

impl Budget {
    /// What is left for bad days; none: the times do not fit.
    pub fn spare(&self) -> Option<Duration> {
        self.lease.checked_sub(self.keepalives + self.allowance).filter(|spare| !spare.is_zero())
    }

    /// How long a machine may stand still and neither lose its lease nor fall silent: the gate's holds come in sixteenths
    /// of a lease, and end one before it (R-LEASE-8). None: not at all.
    pub fn pause(&self) -> Option<Duration> {
        self.spare()?.checked_sub(self.lease / 8)
    }
}

/// The budget of those times.
pub fn budget(timing: &Timing) -> Budget {
    Budget { lease: timing.lease(), keepalives: timing.keepalive * 2, allowance: ALLOWANCE }
}

/// How long one heartbeat takes on a line of `baud` bits per second (R-WIRE-8), in whole milliseconds, rounded up.
pub fn serial_heartbeat(baud: u32) -> Duration {
    let bits = u64::from(SERIAL_HEARTBEAT) * BITS_PER_BYTE;
    Duration::from_millis((bits * 1000).div_ceil(u64::from(baud.max(1))))
}

/// About how long nobody serves an address that is moved as planned where serial lines are the only media, the heartbeats
/// in between counted in; none: there is a network, which takes milliseconds.
pub fn serial_move(media: &[Medium], timing: &Timing) -> Option<Duration> {
    let mut fastest = None;
    for medium in media {
        let Medium::Serial { baud, .. } = medium else { return None };
        fastest = fastest.max(Some(*baud));
    }
    let baud = fastest?;
    let keepalive = timing.keepalive.as_micros().max(2);
    // Heartbeats never take more than every other frame.
    let left = keepalive - serial_heartbeat(baud).as_micros().min(keepalive / 2);
    let bare = u128::from(SERIAL_MOVE * BITS_PER_BYTE * 1_000_000 / u64::from(baud.max(1)));
    Some(Duration::from_micros(u64::try_from(bare * keepalive / left).unwrap_or(u64::MAX)))
}

/// The slowest speed of a serial line at which heartbeats take no more than half of it; none: this keepalive is too short
/// for every speed.
pub fn speed_for(keepalive: Duration) -> Option<u32> {
    SPEEDS.into_iter().find(|baud| serial_heartbeat(*baud) * 2 <= keepalive)
}

/// What fencing adds to a takeover: the time of all fence devices that may be tried one after the other, the other one's
/// turn included (R-PAIR-2), and the number of deadtimes that pass, at least one.
pub fn fence_share(cluster: &ClusterConfig) -> (Duration, u32) {
    let fencing = &cluster.fencing;
    let orders = |target: &NodeName| cluster.nodes.iter().map(|user| fencing.orders(user, target)).max().unwrap_or(0);
    let fence = fencing.timeout.saturating_mul(cluster.nodes.iter().map(orders).max().unwrap_or(0));
    let turns = if fencing.is_configured() && cluster.nodes.len() == 2 { 2 } else { 1 };
    (fence.saturating_mul(turns), turns)
}

/// How long a lost owner's groups wait at most: until it is silent long enough, for the other one's turn, and for every
/// device to take its time.
pub fn fenced_within(cluster: &ClusterConfig) -> Duration {
    let (fences, deadtimes) = fence_share(cluster);
    (cluster.timing.deadtime * deadtimes).saturating_add(fences).saturating_add(REACTION)
}

/// How long an address of a lost owner waits at most under `tiebreaker disk`, besides what the disk takes to answer: until
/// the owner is silent long enough, and until the claim has been complete for more than a lease.
pub fn claimed_within(timing: &Timing) -> Duration {
    timing.deadtime + timing.lease() * 21 / 20 + REACTION
}

/// Most pets within a watchdog's timeout, and so the part of it that an owner may lose before its lease has ended.
const PETS: u32 = 10;

/// How often a watchdog of that timeout is petted while nothing forbids it.
pub fn pet_period(timeout: Duration, keepalive: Duration) -> Duration {
    (timeout / PETS).max(keepalive)
}

/// What a node has to stop in when it has lost the right to what it holds, before its watchdog resets the machine
/// (R-LEASE-6); none: it has no watchdog.
pub fn stop_budget(cluster: &ClusterConfig) -> Option<Duration> {
    let watchdog = cluster.watchdog.as_ref()?;
    Some(watchdog.timeout.saturating_sub(pet_period(watchdog.timeout, cluster.timing.keepalive)))
}

/// What a stop may take beyond its timeout: the end of a script that hangs, TERM, KILL, and the last look.
pub const STOP_AFTERMATH: Duration = Duration::from_secs(27);
/// The least that `self_fence` leaves to stop in where no time is written: addresses alone take milliseconds.
const SELF_FENCE_MIN: Duration = Duration::from_secs(10);

/// What the slowest group may take to stop by its timeouts, what a failing stop takes beyond them left out. Zero: addresses
/// alone, which have none.
pub fn longest_stop(model: &ResourceModel) -> Duration {
    let groups = model.groups.iter().map(|group| {
        let timed = group.resources.iter().filter(|spec| spec.address().is_none());
        timed.map(|spec| spec.timeouts.stop).sum::<Duration>()
    });
    groups.max().unwrap_or_default()
}

/// How long after the end of its right `self_fence` resets a machine that has not stopped everything (R-LEASE-6); none: it
/// does not. Where nothing is written, every stop has its own time: only one that fails is ended.
pub fn self_fence_budget(config: &Config) -> Option<Duration> {
    let written = config.cluster.self_fence.as_ref()?.within;
    Some(written.unwrap_or_else(|| {
        let longest = longest_stop(&config.resources);
        if longest.is_zero() { SELF_FENCE_MIN } else { longest + STOP_AFTERMATH }
    }))
}

/// Between two looks of a machine at its slot on a shared disk.
pub const SLOT_EVERY: Duration = Duration::from_secs(1);
/// The shortest time without a good look that a machine bears: one look may fail, and one be slow.
pub const SLOT_PATIENCE_MIN: Duration = Duration::from_secs(3);
/// What an order may take to read, write and read again.
pub const SLOT_IO: Duration = Duration::from_secs(2);
/// Margin of a pill besides the drift of two clocks.
pub const SLOT_MARGIN: Duration = Duration::from_secs(1);
/// Longest name of a node that has a slot.
pub const SLOT_NAME: usize = 64;

/// The shortest lease within half of which a disk, by what is usual, answers so often as a claim needs.
pub const TIEBREAKER_LEASE_MIN: Duration = Duration::from_millis(400);
/// Between two tries whether the disk of a tiebreaker works, while nothing is claimed.
pub const TIEBREAKER_TRY: Duration = Duration::from_secs(5);

/// How often a claim on a disk is looked at while it is wanted: an answer lasts a lease, and one may be slow.
pub fn tiebreaker_every(timing: &Timing) -> Duration {
    timing.lease() / 4
}

/// The least `timeout fence` with which a pill proves anything of a machine with that watchdog.
pub(crate) fn slot_needs(watchdog: Duration) -> Duration {
    let span = SLOT_PATIENCE_MIN + watchdog;
    span + span / 20 + SLOT_MARGIN + SLOT_IO
}

/// How long a machine bears to be without a good look at its slot while it holds anything: all that `timeout fence` leaves
/// beside its watchdog, in whole milliseconds. None: it has no slot, or no watchdog, or the times do not fit.
pub fn slot_patience(cluster: &ClusterConfig) -> Option<Duration> {
    let (watchdog, _) = (cluster.watchdog.as_ref()?, cluster.fencing.disk()?);
    let left = cluster.fencing.timeout.checked_sub(SLOT_MARGIN + SLOT_IO)?;
    let patience = (left * 20 / 21).checked_sub(watchdog.timeout)?;
    let millis = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    Some(Duration::from_millis(millis)).filter(|patience| *patience >= SLOT_PATIENCE_MIN)
}

/// How long a pill takes to prove that a machine with that watchdog runs nothing any more, by those times.
pub fn slot_proof(cluster: &ClusterConfig) -> Option<Duration> {
    let span = slot_patience(cluster)? + cluster.watchdog.as_ref()?.timeout;
    Some(span + span / 20 + SLOT_MARGIN)
}
