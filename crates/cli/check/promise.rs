//! What a configuration promises: what its permits do not protect from, and how long a takeover takes with its times.

use crate::clock;
use hearth_config::{ClusterConfig, FenceDevice, Medium};
use hearth_fencer::Policy;
use hearth_types::NodeName;
use std::time::Duration;

/// One sentence, the one that `hearth status` says: what the permits do not protect from (R-PAIR-4).
pub(crate) fn protection(cluster: &ClusterConfig) -> String {
    let permits = &cluster.permits;
    let fencing = cluster.fencing.is_configured();
    let policy = Policy { fencing, tiebreaker_ping: permits.tiebreaker_ping, unfenced: permits.unfenced };
    hearth_fencer::protection(policy, cluster.nodes.len())
}

/// How a lease is spent at worst, and each serial line, a line of text each (R-LEASE-10, R-WIRE-8).
pub(crate) fn budget(cluster: &ClusterConfig) -> Vec<String> {
    let budget = hearth_config::budget(&cluster.timing);
    let spare = budget.spare().unwrap_or_default();
    let mut lines = vec![format!(
        "lease {:?} - 2 x keepalive {:?} - {:?} for round trips and scheduling = {spare:?} to spare",
        budget.lease, cluster.timing.keepalive, budget.allowance
    )];
    for medium in &cluster.media {
        if let Medium::Serial { device, baud } = medium {
            let takes = hearth_config::serial_heartbeat(*baud);
            let bytes = hearth_config::SERIAL_HEARTBEAT;
            lines.push(format!(
                "{device}: {bytes} bytes x 10 bits / {baud} baud = {takes:?} of each keepalive {:?}",
                cluster.timing.keepalive
            ));
        }
    }
    lines
}

/// Who is turned off by what, first choice first, and from where, a line each machine.
pub(crate) fn fencing(cluster: &ClusterConfig) -> Vec<String> {
    let fencing = &cluster.fencing;
    let targets = cluster.nodes.iter().filter(|_| fencing.is_configured());
    let line = |target: &NodeName| {
        let users =
            |device: &FenceDevice| device.user.as_ref().map(|user| format!(" (from {user})")).unwrap_or_default();
        let usable = fencing.devices.iter().filter(|device| device.targets.contains_key(target));
        let ways: Vec<String> = usable.map(|device| format!("{}{}", device.name, users(device))).collect();
        match ways.is_empty() {
            true => format!(
                "{target}: nothing turns it off; if it is lost, a person says `hearth node confirm-off {target}`"
            ),
            false => format!("{target}: {}", ways.join(", then ")),
        }
    };
    targets.map(line).collect()
}

/// How long a lost owner's groups wait at most: until it is silent long enough, for the other one's turn (R-PAIR-2), and
/// for every device to take its time.
fn fenced_within(cluster: &ClusterConfig) -> Duration {
    let (timing, fencing) = (&cluster.timing, &cluster.fencing);
    let levels = |target: &NodeName| {
        let counts = cluster.nodes.iter().map(|user| fencing.levels(user, target).len());
        counts.max().unwrap_or(0) as u32
    };
    let most = cluster.nodes.iter().map(levels).max().unwrap_or(0);
    let fence = fencing.timeout.saturating_mul(most);
    let turn = if cluster.nodes.len() == 2 { fence + timing.deadtime } else { Duration::ZERO };
    timing.deadtime + turn + fence + REACTION
}

/// What decides and announces a takeover once it may be decided.
const REACTION: Duration = Duration::from_millis(100);

const LONGER_WITHOUT_GATE: &str = "until the kernel takes the address away, seconds longer (gate no)";

/// Name and longest gap that a client should feel, a line each.
pub(crate) fn gaps(cluster: &ClusterConfig) -> Vec<(&'static str, String)> {
    let timing = &cluster.timing;
    let lease = timing.lease();
    let planned = match hearth_config::serial_move(&cluster.media, timing) {
        Some(gap) => format!("about {} for one group: it is agreed over the serial line", span(gap)),
        None => "a few milliseconds for an address".to_owned(),
    };
    let mut lines = vec![("standby, takeover, failback, orderly stop", planned)];
    let many = cluster.nodes.len() > 2;
    if cluster.fencing.is_configured() {
        let whose = if many { "owner of more than addresses lost" } else { "owner powered off, frozen or cut off" };
        let text = format!("{}: silence, its turn, and every fence device", within(fenced_within(cluster)));
        lines.push((whose, text));
    }
    if many || (cluster.nodes.len() > 1 && (cluster.permits.tiebreaker_ping || cluster.permits.unfenced)) {
        lines.push(("owner powered off or cut off", within(timing.deadtime + REACTION)));
        // Without the gate a frozen owner answers until the kernel itself takes the address away (R-LEASE-11).
        let frozen = if cluster.gate { within(timing.deadtime + REACTION) } else { LONGER_WITHOUT_GATE.to_owned() };
        lines.push(("owner frozen, or its hearthd killed for good", frozen));
        lines.push(("owner's service cable pulled", within(timing.carrier_grace + REACTION)));
    }
    if cluster.nodes.len() > 1 && !cluster.ping_targets.is_empty() {
        lines.push(("owner loses its ping nodes", within(timing.deadping + lease + REACTION)));
    }
    let bridged = lease.saturating_sub(timing.keepalive).saturating_sub(lease / 8);
    lines.push(("hearthd killed and restarted", format!("none if it is back within {}", span(bridged))));
    lines.push(match many {
        true => {
            ("start without all machines", format!("{} until a majority goes on (initdead)", span(timing.initdead)))
        }
        false => ("lone start", format!("{} until the peer is given up (initdead)", span(timing.initdead))),
    });
    lines
}

fn within(gap: Duration) -> String {
    format!("at most {}", span(gap))
}

/// A span as people say it.
pub(crate) fn span(length: Duration) -> String {
    clock::span(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX))
}
