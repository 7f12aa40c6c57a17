//! What a configuration promises: what its permits do not protect from, and how long a takeover takes with its times.

use crate::clock;
use hearth_config::{ClusterConfig, Config, Medium, REACTION, fenced_within};
use hearth_fencer::Policy;
use hearth_types::NodeName;
use std::time::Duration;

/// One sentence, the one that `hearth status` says: what the permits do not protect from (R-PAIR-4).
pub(crate) fn protection(cluster: &ClusterConfig) -> String {
    let permits = &cluster.permits;
    let fencing = cluster.fencing.is_configured();
    let tiebreaker_disk = cluster.tiebreaker_disk.is_some();
    let policy =
        Policy { fencing, tiebreaker_ping: permits.tiebreaker_ping, tiebreaker_disk, unfenced: permits.unfenced };
    hearth_fencer::protection(policy, cluster.nodes.len())
}

/// How a lease is spent at worst, what a takeover takes, what there is to stop in, and each serial line, a line of text
/// each (R-LEASE-10, R-LEASE-6, R-WIRE-8).
pub(crate) fn budget(config: &Config) -> Vec<String> {
    let cluster = &config.cluster;
    let budget = hearth_config::budget(&cluster.timing);
    let spare = budget.spare().unwrap_or_default();
    let mut lines = vec![format!(
        "lease {:?} - 2 x keepalive {:?} - {:?} for round trips and scheduling = {spare:?} to spare",
        budget.lease, cluster.timing.keepalive, budget.allowance
    )];
    if let Some(pause) = budget.pause().filter(|pause| !pause.is_zero()) {
        let text = "a machine that stands still for up to this keeps what it has, and answers as before";
        lines.push(format!("pause: {}: {text}", span(pause)));
    }
    if let Some(takeover) = takeover(config) {
        lines.push(takeover);
    }
    lines.extend(by_watchdog(config));
    lines.extend(by_itself(config));
    lines.extend(pill(cluster));
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
    let way = |position: &usize| {
        let device = fencing.devices.get(*position)?;
        let user = device.user.as_ref().map(|user| format!(" (from {user})")).unwrap_or_default();
        Some(format!("{}{user}", device.name))
    };
    let level = |level: Vec<usize>| {
        let all = level.iter().filter_map(way).collect::<Vec<_>>().join(" and ");
        if level.len() > 1 { format!("{all} (all of them: off, then on again)") } else { all }
    };
    let line = |target: &NodeName| {
        let ways: Vec<String> = fencing.written(target).into_iter().map(level).collect();
        match ways.is_empty() {
            true => format!(
                "{target}: nothing turns it off; if it is lost, a person says `hearth node confirm-off {target}`"
            ),
            false => format!("{target}: {}", ways.join(", then ")),
        }
    };
    targets.map(line).collect()
}

/// The steps from a death to a service; none: nobody would take over.
fn takeover(config: &Config) -> Option<String> {
    let cluster = &config.cluster;
    let claim = cluster.tiebreaker_disk.is_some();
    let alone = cluster.permits.tiebreaker_ping || cluster.permits.unfenced || claim;
    let fencing = cluster.fencing.is_configured();
    if cluster.nodes.len() < 2 || (cluster.nodes.len() == 2 && !alone && !fencing) {
        return None;
    }
    let slowest = config.resources.groups.iter().map(|group| {
        let timed = group.resources.iter().filter(|spec| spec.address().is_none());
        timed.map(|spec| spec.timeouts.start).sum::<Duration>()
    });
    let start = match slowest.max().filter(|longest| !longest.is_zero()) {
        Some(longest) => {
            format!("what the agents of its group take to start, by their timeouts at most {}", span(longest))
        }
        None => "milliseconds to start an address".to_owned(),
    };
    let detect = cluster.timing.deadtime;
    let fence = match (fencing, fenced_within(cluster).saturating_sub(detect + REACTION)) {
        (false, _) if claim => {
            let wait = cluster.timing.lease() * 21 / 20;
            format!("{} for a claim on the disk, and what that takes to answer", span(wait))
        }
        (false, _) => "nothing to fence with".to_owned(),
        (true, longest) if cluster.nodes.len() == 2 => format!("at most {} to fence", span(longest)),
        (true, longest) => format!("at most {} to fence (addresses do not wait for it)", span(longest)),
    };
    Some(format!(
        "takeover: {} to detect (deadtime) + at most {} to agree + {fence} + {start}",
        span(detect),
        span(REACTION)
    ))
}

/// What happens to an owner that has lost its right and does not stop.
fn by_watchdog(config: &Config) -> Vec<String> {
    let cluster = &config.cluster;
    let (Some(watchdog), Some(budget)) = (&cluster.watchdog, hearth_config::stop_budget(cluster)) else {
        return Vec::new();
    };
    let period = watchdog.timeout - budget;
    let mut lines = vec![format!(
        "self-fence: {} resets this machine {} after its last pet; pets come every {} while the lease holds, so what it \
         may keep no more has {} to stop",
        watchdog.device,
        span(watchdog.timeout),
        span(period),
        span(budget)
    )];
    lines.extend(cut_off(config, budget));
    lines
}

/// That the reset comes before a group has had its time to stop.
fn cut_off(config: &Config, budget: Duration) -> Option<String> {
    let longest = Some(hearth_config::longest_stop(&config.resources)).filter(|longest| *longest > budget)?;
    Some(format!(
        "self-fence: a group may take {} to stop by its timeouts; one that takes longer than {} is ended by the reset",
        span(longest),
        span(budget)
    ))
}

/// The same without a watchdog, what it is not for, and whether it could be done on this machine.
fn by_itself(config: &Config) -> Vec<String> {
    let (Some(it), Some(budget)) = (&config.cluster.self_fence, hearth_config::self_fence_budget(config)) else {
        return Vec::new();
    };
    let longest = hearth_config::longest_stop(&config.resources);
    let from = match it.within {
        Some(_) => String::new(),
        None if longest.is_zero() => " (nothing but addresses is to stop)".to_owned(),
        None => {
            format!(
                " ({} by the timeouts of its slowest group + {} for TERM and KILL)",
                span(longest),
                span(budget - longest)
            )
        }
    };
    let mut lines = vec![
        format!(
            "self-fence: this machine resets itself {}{from} after it has lost the right to something that is not confirmed \
             stopped by then",
            span(budget)
        ),
        "self-fence: that is for a stop that fails. If the kernel crashes, or hearthd dies, hangs or is frozen, nothing is \
         reset (a watchdog does that), and no other machine takes anything over because of it"
            .to_owned(),
    ];
    lines.extend(cut_off(config, budget));
    if let Some(why) = hearth_runtime::self_fence_refusal() {
        lines.push(format!(
            "self-fence: NOT on the machine where this check runs: {why}; hearthd would reset nothing here"
        ));
    }
    lines
}

/// What a slot on a shared disk asks of this machine, and when a pill there proves anything.
fn pill(cluster: &ClusterConfig) -> Option<String> {
    let (disk, watchdog) = (cluster.fencing.disk()?, cluster.watchdog.as_ref()?);
    let (patience, proof) = (hearth_config::slot_patience(cluster)?, hearth_config::slot_proof(cluster)?);
    Some(format!(
        "disk: {} is looked at every {}; without a look this machine goes on for {} while nobody vouches for it. A pill \
         proves after 1.05 x ({} + watchdog {}) + {} = {} that it was reset, within timeout fence {}",
        disk.program,
        span(hearth_config::SLOT_EVERY),
        span(patience),
        span(patience),
        span(watchdog.timeout),
        span(hearth_config::SLOT_MARGIN),
        span(proof),
        span(cluster.fencing.timeout)
    ))
}

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
    if cluster.nodes.len() == 2 && cluster.tiebreaker_disk.is_some() {
        let gap = format!("{}, and what the disk takes", within(hearth_config::claimed_within(timing)));
        lines.push(("owner powered off, frozen or cut off", gap));
        lines.push(("owner's service cable pulled", within(timing.carrier_grace + REACTION)));
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
