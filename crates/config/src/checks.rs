//! Checks across the lines of ha.cf: nodes, media, times.

use crate::ha_cf::File;
use crate::report::{Report, error, nearest, note, warning};
use crate::{ALLOWANCE, Complaint, Medium, Permits, SERIAL_HEARTBEAT, budget, pet_period, serial_heartbeat, speed_for};
use alloc::format;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::Range;
use core::time::Duration;

/// Unless the file says otherwise, or a serial line is too slow for it.
const KEEPALIVE: Duration = Duration::from_millis(200);
pub(crate) const DEADTIME: Duration = Duration::from_secs(2);
const INITDEAD: Duration = Duration::from_secs(10);
const MEDIA: &[&str] = &["bcast", "udp", "mcast", "mcast6", "ucast", "ucast6", "serial"];
/// Nodes of a cluster: each votes (R-LEDGER-2), and a heartbeat that reports of more would not fit a packet.
const MOST_NODES: usize = 32;
/// Of these the first so many vote from the beginning (R-LEDGER-2).
const VOTERS: usize = 7;
/// Heartbeats, with each of which a watchdog may be petted, within its timeout.
const PETS_MIN: u32 = 4;
/// Least deadtime in keepalives (R-LEASE-10).
pub(crate) const RATIO: u32 = 8;

/// Completes the times and complains about what does not fit together.
pub(crate) fn check(file: &mut File, report: &mut Report) {
    nodes(file, report);
    witnesses(file, report);
    crate::fencing::check(file, report);
    of_a_pair(file, report);
    media(file, report);
    crate::outage::derive(file, report);
    times(file, report);
    watchdog(file, report);
    self_fence(file, report);
    crate::fencing::of_a_disk(file, report);
    crate::fencing::of_a_tiebreaker(file, report);
    serial(file, report);
}

fn nodes(file: &File, report: &mut Report) {
    let cluster = &file.cluster;
    let names: Vec<&str> = cluster.nodes.iter().map(|node| node.as_str()).collect();
    let Some(last) = file.nodes.last().cloned() else {
        let wrong = error("no-nodes", None, "there is no `node` line");
        report.push(wrong.help(format!("write: node {} OTHER", cluster.local)));
        return;
    };
    if !cluster.nodes.contains(&cluster.local) {
        let local = cluster.local.as_str();
        let title = format!("this machine is `{local}`, and no `node` line names it");
        let says = if file.from_nodeinfo { "nodeinfo says it" } else { "`uname -n` prints it" };
        let help = format!("write `{local}` there ({says}), or the name that is meant into nodeinfo");
        let short =
            names.iter().copied().find(|name| local.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
        let meant = short.or_else(|| nearest(local, names.iter().copied()));
        let place = meant.and_then(|meant| names.iter().position(|name| *name == meant));
        report.push(match place.and_then(|index| file.nodes.get(index)) {
            Some(span) => error("local-node-missing", span.clone(), title).help(help).fix(local),
            None => error("local-node-missing", last, title).label("the nodes end here").help(help),
        });
    }
    addresses(file, report);
    let mut different: Vec<&str> = Vec::new();
    for (name, span) in names.iter().zip(&file.nodes) {
        if different.contains(name) {
            let wrong = error("duplicate-node", span.clone(), format!("the node `{name}` stands twice"));
            report.push(wrong.label("again").help("remove one of the two"));
            continue;
        }
        different.push(name);
        if different.len() == MOST_NODES + 1 {
            let wrong = error("too-many-nodes", span.clone(), "more than 32 nodes").label("one more than 32");
            report.push(wrong.help(format!("keep 32: node {}", different[..MOST_NODES].join(" "))));
        }
    }
}

/// A machine says itself what it is called, and none is called by its address: nobody would ever hear of it.
fn addresses(file: &File, report: &mut Report) {
    let address = |name: &str| name.parse::<IpAddr>().ok();
    // Unless somebody went out of his way: then that is how they are called here.
    if address(file.cluster.local.as_str()).is_some() {
        return;
    }
    for (name, span) in file.cluster.nodes.iter().zip(&file.nodes) {
        let Some(address) = address(name.as_str()) else { continue };
        let medium = if address.is_ipv6() { "ucast6" } else { "ucast" };
        let title = format!("`{name}` is an address: a machine is named as `uname -n` prints it there");
        let wrong = error("address-as-name", span.clone(), title);
        report
            .push(wrong.help(format!("write its name here; its address belongs in a line: {medium} INTERFACE {name}")));
    }
}

/// A witness is worth its vote where it makes an odd number of voters of an even number of nodes, of which there are two at
/// least: of one and a witness each needs the other.
fn witnesses(file: &File, report: &mut Report) {
    let Some((name, span)) = file.witnesses.first() else { return };
    let nodes = &file.cluster.nodes;
    let able = nodes.iter().filter(|node| !file.witnesses.iter().any(|(witness, _)| witness == *node)).count();
    // One that stands twice is said to stand twice.
    if let Some((second, span)) = file.witnesses.iter().find(|(second, _)| second != name) {
        let wrong = error("second-witness", span.clone(), format!("`{second}` would be a second witness"));
        report.push(wrong.label("one too many").help(format!("keep one, `{name}`")));
    } else if able < 2 {
        let wrong = error("witness-alone", span.clone(), format!("the witness `{name}` needs two nodes besides"));
        report.push(wrong.help("write them into a line of their own: node NAME NAME"));
    } else if able % 2 == 1 {
        let text = format!("with the witness `{name}` the number of votes is even: it makes nothing safer");
        report
            .push(warning("witness-even", span.clone(), text).help(format!("{able} nodes vote well: remove the line")));
    } else if nodes.iter().take(VOTERS).all(|node| node != name) {
        let wrong =
            error("witness-without-vote", span.clone(), format!("`{name}` is not among the first {VOTERS} nodes"));
        report.push(wrong.help("only these vote first: put the line in front of the `node` lines"));
    }
}

/// R-LEDGER-4: among more than two machines no permit but a fence exists, or maintenance would turn three into an
/// unfenced pair; and a line joins two machines, not three.
fn of_a_pair(file: &mut File, report: &mut Report) {
    let nodes = &file.cluster.nodes;
    if (1..nodes.len()).filter(|at| !nodes[..*at].contains(&nodes[*at])).count() < 2 {
        return;
    }
    let mut refuse = |span: &Range<usize>, title: &str, help: &str| {
        report.push(error("only-of-two", span.clone(), title).help(help));
    };
    if let Some(span) = &file.tiebreaker {
        let title = "`tiebreaker` lets one machine of two go on alone; here a majority of the nodes decides";
        refuse(span, title, "remove the line");
    }
    if let Some(span) = file.unfenced.as_ref().filter(|_| file.cluster.permits.unfenced) {
        let title = "`unfenced_takeover` lets one machine of two go on alone; here a majority of the nodes decides";
        refuse(span, title, "remove the line, or write: unfenced_takeover no");
    }
    if let Some(span) = file.serial.first() {
        let title = "a serial line joins two machines; more than two cannot all hear each other over it";
        refuse(span, title, "remove the line; use ucast, bcast or mcast on two networks");
    }
    file.cluster.permits = Permits { tiebreaker_ping: false, unfenced: false };
    file.cluster.tiebreaker_disk = None;
}

fn media(file: &File, report: &mut Report) {
    let cluster = &file.cluster;
    if cluster.media.is_empty() && !report.complaints.iter().any(is_about_a_medium) {
        let wrong = error("no-media", file.nodes.last().cloned(), "there is no heartbeat medium")
            .label("a medium belongs in a line below");
        report.push(
            wrong.help("write one of: bcast eth0, ucast eth0 PEER, mcast eth0 239.0.0.1 694 1 0, serial /dev/ttyS0"),
        );
    }
    if let Some(span) =
        file.tiebreaker.clone().filter(|_| cluster.permits.tiebreaker_ping && cluster.ping_targets.is_empty())
    {
        let wrong = error("no-ping", span, "`tiebreaker ping` needs a `ping` line");
        report.push(wrong.help("write: ping ADDRESS-OF-THE-ROUTER"));
    }
}

/// Such a line is there and only has to be mended.
fn is_about_a_medium(complaint: &Complaint) -> bool {
    let misspelt = complaint.fix.as_deref().is_some_and(|fix| MEDIA.contains(&fix));
    misspelt || matches!(complaint.code, "bad-ucast" | "bad-mcast" | "unresolvable" | "bad-value")
}

fn times(file: &mut File, report: &mut Report) {
    let given = |name: &str| file.times.get(name).map(|(value, _)| *value);
    let at = |name: &str| file.times.get(name).map(|(_, span)| span.clone());
    let (keepalive, deadtime) = (given("keepalive"), given("deadtime"));
    let mut k = keepalive.unwrap_or_else(|| unwritten(file, deadtime, report));
    let d = deadtime.unwrap_or_else(|| DEADTIME.max(k * RATIO));
    let place: Option<Range<usize>> = at("deadtime").or(at("keepalive"));
    let short = keepalive.is_some() && d <= k * 2;
    if short {
        let title = format!("deadtime {d:?} is not more than twice the keepalive {k:?}");
        let wrong = error("deadtime-too-short", place.clone(), title);
        report.push(
            wrong.help(format!("write a deadtime of {:?} ({RATIO} keepalives), or a shorter keepalive", k * RATIO)),
        );
    } else if d < k * RATIO {
        k = d / RATIO;
        if keepalive.is_some() {
            let title = format!("keepalive is lowered to {k:?}, an eighth of the deadtime {d:?}");
            let told = note("keepalive-lowered", at("keepalive"), title);
            report.push(told.help("a node must miss several heartbeats before it is given up; nothing has to be done"));
        }
    }
    let timing = &mut file.cluster.timing;
    (timing.keepalive, timing.deadtime) = (k, d);
    // R-LEASE-10: a lease outlives two keepalives and every delay allowed for.
    if !short && budget(timing).spare().is_none() {
        let lease = timing.lease();
        let title = format!(
            "deadtime {d:?} leaves no room: its lease, {lease:?}, must exceed 2 x keepalive {k:?} + {ALLOWANCE:?}"
        );
        report.push(error("lease-too-short", place, title).help("write a deadtime of 200ms or more"));
    }
    timing.warntime = given("warntime").unwrap_or(d / 2);
    timing.initdead = given("initdead").unwrap_or(INITDEAD.max(d));
    timing.deadping = given("deadping").unwrap_or(d);
    let (warntime, initdead, deadping) = (timing.warntime, timing.initdead, timing.deadping);
    if warntime >= d {
        let title = format!("warntime {warntime:?} is not below deadtime {d:?}: nothing will be warned of");
        report.push(warning("warntime-too-long", at("warntime"), title).help(format!("write {:?}", d / 2)));
    }
    if initdead < d {
        let title = format!("initdead {initdead:?} is below deadtime {d:?}");
        report.push(error("initdead-too-short", at("initdead"), title).help(format!("write at least {d:?}")));
    }
    timing.failure_timeout = given("failure_timeout");
    if let Some((span, monitor)) =
        timing.failure_timeout.zip(file.defaults.monitor).filter(|(span, period)| span <= period)
    {
        let title = format!("failure_timeout {span:?} is not longer than the monitor's {monitor:?}");
        let told = warning("failure-timeout-short", at("failure_timeout"), title);
        report.push(
            told.label("each failure is forgotten before the next can be seen").help(format!(
                "write at least {:?}, or a resource that fails again and again never moves",
                monitor * 4
            )),
        );
    }
    if deadping <= k * 2 && at("deadping").is_some() {
        let title = format!("deadping {deadping:?} is not more than twice the keepalive {k:?}");
        report.push(error("deadping-too-short", at("deadping"), title).help(format!("write at least {:?}", k * 4)));
    }
}

/// R-LEASE-7: it is petted with the heartbeats, and one that is late must not reset a healthy machine; nor may a pause
/// that is said to happen, nor one that its lease outlives.
fn watchdog(file: &File, report: &mut Report) {
    let (Some(watchdog), Some(span)) = (&file.cluster.watchdog, &file.watchdog) else { return };
    let (timing, timeout) = (&file.cluster.timing, watchdog.timeout);
    let keepalive = timing.keepalive;
    let write = |least: Duration| {
        let seconds = least.as_millis().div_ceil(1000);
        format!("write: watchdog {} {seconds}s", watchdog.device)
    };
    let pause = file.times.get("worst_pause").map_or(Duration::ZERO, |(pause, _)| *pause);
    let survives = timeout.saturating_sub(pet_period(timeout, keepalive));
    if timeout < keepalive * PETS_MIN {
        let title = format!("the watchdog's {timeout:?} are less than {PETS_MIN} keepalives of {keepalive:?}");
        report.push(error("watchdog-too-short", span.clone(), title).help(write(keepalive * PETS_MIN)));
    } else if survives < pause {
        let title = format!("the watchdog resets a machine that stands still for `worst_pause` {pause:?}");
        let wrong = error("watchdog-too-short", span.clone(), title);
        let least = (pause + keepalive).max(pause + pause / 9 + Duration::from_millis(1));
        report.push(wrong.label(format!("it is petted up to {:?} before", timeout - survives)).help(write(least)));
    } else if timeout < timing.lease() {
        let (lease, deadtime) = (timing.lease(), timing.deadtime);
        let title =
            format!("the watchdog's {timeout:?} are less than the lease, {lease:?} of a deadtime of {deadtime:?}");
        let wrong = warning("watchdog-before-lease", span.clone(), title);
        let label = "resets a machine that stands still before anybody gives it up";
        report.push(wrong.label(label).help(format!("{}, or a shorter deadtime", write(lease))));
    }
}

/// R-LEASE-6: the watchdog is the stronger one, and it resets the machine in all that this is for.
fn self_fence(file: &File, report: &mut Report) {
    let (Some(span), Some(watchdog)) = (&file.self_fence, &file.cluster.watchdog) else { return };
    let title = "`self_fence` beside `watchdog`: the watchdog resets this machine in the same case, and in worse ones";
    let wrong = error("self-fence-beside-watchdog", span.clone(), title);
    let help = format!("remove the line; or, where this machine has no {}, remove `watchdog`", watchdog.device);
    report.push(wrong.label("for a machine without one").help(help));
}

/// The slowest serial line with its place.
fn slowest(file: &File) -> Option<(u32, Range<usize>)> {
    let speeds = file.cluster.media.iter().filter_map(|medium| match medium {
        Medium::Serial { baud, .. } => Some(*baud),
        _ => None,
    });
    speeds.zip(file.serial.iter().cloned()).min_by_key(|(baud, _)| *baud)
}

/// The keepalive that the slowest serial line needs, in tens of milliseconds.
pub(crate) fn needed_by_lines(file: &File) -> Option<Duration> {
    let needed = serial_heartbeat(slowest(file)?.0) * 2;
    Some(Duration::from_millis(10 * u64::try_from(needed.as_millis().div_ceil(10)).unwrap_or(u64::MAX / 10)))
}

/// The keepalive of a file that names none: raised where a serial line needs it, as far as a written deadtime allows.
fn unwritten(file: &File, deadtime: Option<Duration>, report: &mut Report) -> Duration {
    let Some((baud, span)) = slowest(file) else { return KEEPALIVE };
    let tens = needed_by_lines(file).unwrap_or_default();
    let raised = deadtime.map_or(tens, |deadtime| tens.min(deadtime / RATIO));
    if raised <= KEEPALIVE {
        return KEEPALIVE;
    }
    let title = format!("keepalive is raised from {KEEPALIVE:?} to {raised:?} for the serial line");
    let told = note("keepalive-raised", span, title).label(arithmetic(baud));
    report.push(told.help("a higher `baud` above this line keeps the faster keepalive"));
    raised
}

fn arithmetic(baud: u32) -> alloc::string::String {
    format!("a heartbeat: {SERIAL_HEARTBEAT} bytes x 10 bits / {baud} baud = {:?}", serial_heartbeat(baud))
}

/// R-WIRE-8: a line that cannot carry one heartbeat per keepalive is refused; beyond half of it, little is left for
/// messages.
fn serial(file: &File, report: &mut Report) {
    let speeds = file.cluster.media.iter().filter_map(|medium| match medium {
        Medium::Serial { baud, .. } => Some(*baud),
        _ => None,
    });
    let keepalive = file.cluster.timing.keepalive;
    for (baud, span) in speeds.zip(&file.serial) {
        let takes = serial_heartbeat(baud);
        let faster = speed_for(keepalive).map(|baud| format!("`baud {baud}` above the line, on both nodes, or "));
        let help = format!(
            "write {}keepalive {}ms and deadtime {}ms or more",
            faster.unwrap_or_default(),
            takes.as_millis() * 2,
            takes.as_millis() * 2 * u128::from(RATIO)
        );
        let complaint = if takes > keepalive {
            let title =
                format!("the serial line is too slow: one heartbeat takes {takes:?}, the keepalive is {keepalive:?}");
            error("serial-too-slow", span.clone(), title)
        } else if takes > keepalive / 2 {
            let title = format!("the serial line is busy with heartbeats: {takes:?} of each {keepalive:?}");
            warning("serial-busy", span.clone(), title)
        } else {
            continue;
        };
        report.push(complaint.label(arithmetic(baud)).help(help));
    }
}
