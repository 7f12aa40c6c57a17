//! What a configuration promises: what its permits do not protect from, and how long a takeover takes with its times.

use crate::clock;
use hearth_config::ClusterConfig;
use std::time::Duration;

/// One sentence: what the permits do not protect from (R-PAIR-4).
pub(crate) fn protection(cluster: &ClusterConfig) -> String {
    if cluster.nodes.len() < 2 {
        return "Not protected: ha.cf names one node, and nothing takes over when it fails.".to_owned();
    }
    if cluster.permits.tiebreaker_ping {
        return "Not protected: if the nodes lose each other on every link while both reach the ping nodes, two owners are \
                possible until they meet again (permit tiebreaker ping)."
            .to_owned();
    }
    if cluster.permits.unfenced {
        return "Not protected: if every link between the nodes fails while both run, both own everything until they meet \
                again (permit unfenced)."
            .to_owned();
    }
    "Not protected: if a node fails without a word, the other takes nothing over (unfenced_takeover no, no tiebreaker)."
        .to_owned()
}

/// What decides and announces a takeover once it may be decided.
const REACTION: Duration = Duration::from_millis(100);

const LONGER_WITHOUT_GATE: &str = "until the kernel takes the address away, seconds longer (gate no)";

/// Name and longest gap that a client should feel, a line each.
pub(crate) fn gaps(cluster: &ClusterConfig) -> Vec<(&'static str, String)> {
    let timing = &cluster.timing;
    let lease = timing.lease();
    let mut lines = vec![("standby, takeover, failback, orderly stop", "a few milliseconds for an address".to_owned())];
    if cluster.nodes.len() > 1 && (cluster.permits.tiebreaker_ping || cluster.permits.unfenced) {
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
    lines.push(("lone start", format!("{} until the peer is given up (initdead)", span(timing.initdead))));
    lines
}

fn within(gap: Duration) -> String {
    format!("at most {}", span(gap))
}

/// A span as people say it.
pub(crate) fn span(length: Duration) -> String {
    clock::span(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX))
}
