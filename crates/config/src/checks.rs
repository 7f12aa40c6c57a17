//! Checks across the lines of ha.cf: nodes, media, times.

use crate::Medium;
use crate::ha_cf::File;
use crate::report::{Report, error, note, warning};
use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

/// What a loaded machine may add between two steps of the heartbeat thread, three round trips included (R-LEASE-10).
const ALLOWANCE: Duration = Duration::from_millis(100);
/// Bytes of one heartbeat of two nodes on a serial line, framing included.
const SERIAL_HEARTBEAT: u64 = 400;

/// Completes the times and complains about what does not fit together.
pub(crate) fn check(file: &mut File, report: &mut Report) {
    nodes(file, report);
    times(file, report);
    serial(file, report);
}

fn nodes(file: &File, report: &mut Report) {
    let cluster = &file.cluster;
    let names: Vec<&str> = cluster.nodes.iter().map(|node| node.as_str()).collect();
    if names.is_empty() {
        report.push(
            error("no-nodes", None, "there is no `node` line").help(format!("write: node {} OTHER", cluster.local)),
        );
    } else if !cluster.nodes.contains(&cluster.local) {
        let wrong = error(
            "local-node-missing",
            None,
            format!("this machine is `{}`, and no `node` line says so", cluster.local),
        );
        report.push(wrong.help(format!("ha.cf has: {}; write the name that `uname -n` prints", names.join(", "))));
    }
    if names.len() > 2 {
        report.push(error(
            "later-release",
            None,
            format!("{} nodes: more than two comes in a later release", names.len()),
        ));
    }
    if names.len() == 2 && names[0] == names[1] {
        report.push(error("duplicate-node", None, format!("the node `{}` stands twice", names[0])));
    }
    if cluster.media.is_empty() {
        report.push(
            error("no-media", None, "there is no heartbeat medium").help("write one of: ucast, bcast, mcast, serial"),
        );
    }
    if cluster.permits.tiebreaker_ping && cluster.ping_targets.is_empty() {
        report.push(
            error("no-ping", None, "`tiebreaker ping` needs a `ping` line").help("write: ping ADDRESS-OF-THE-ROUTER"),
        );
    }
}

fn times(file: &mut File, report: &mut Report) {
    let given = |name: &str| file.times.get(name).map(|(value, _)| *value);
    let at = |name: &str| file.times.get(name).map(|(_, span)| span.clone());
    let keepalive = given("keepalive");
    let mut k = keepalive.unwrap_or(Duration::from_millis(200));
    let d = given("deadtime").unwrap_or_else(|| Duration::from_secs(2).max(k * 8));
    let place: Option<Range<usize>> = at("deadtime").or(at("keepalive"));
    if keepalive.is_some() && d <= k * 2 {
        let wrong = error(
            "deadtime-too-short",
            place.clone(),
            format!("deadtime {d:?} is not more than twice the keepalive {k:?}"),
        );
        report.push(wrong.help(format!("write a deadtime of at least {:?}", k * 8)));
    } else {
        if d < k * 8 {
            k = d / 8;
            report.push(note(
                "keepalive-lowered",
                at("keepalive").or(at("deadtime")),
                format!("keepalive is lowered to {k:?}: an eighth of the deadtime {d:?}"),
            ));
        }
        // R-LEASE-10: a lease outlives two keepalives and every delay allowed for.
        if d * 4 / 5 <= k * 2 + ALLOWANCE {
            let title = format!(
                "deadtime {d:?} leaves no room: lease {:?} must exceed 2 x keepalive {k:?} + {ALLOWANCE:?}",
                d * 4 / 5
            );
            report.push(error("lease-too-short", place, title).help("write a deadtime of 200ms or more"));
        }
    }
    let warntime = given("warntime").unwrap_or(d / 2);
    if warntime >= d {
        report.push(warning(
            "warntime-too-long",
            at("warntime"),
            format!("warntime {warntime:?} is not below deadtime {d:?}: nothing will be warned of"),
        ));
    }
    let initdead = given("initdead").unwrap_or(Duration::from_secs(10).max(d));
    if initdead < d {
        report.push(error(
            "initdead-too-short",
            at("initdead"),
            format!("initdead {initdead:?} is below deadtime {d:?}"),
        ));
    }
    let deadping = given("deadping").unwrap_or(d);
    if deadping <= k * 2 {
        report.push(error(
            "deadping-too-short",
            at("deadping"),
            format!("deadping {deadping:?} is not more than twice the keepalive {k:?}"),
        ));
    }
    let timing = &mut file.cluster.timing;
    (timing.keepalive, timing.deadtime, timing.warntime) = (k, d, warntime);
    (timing.initdead, timing.deadping) = (initdead, deadping);
}

/// R-WIRE-8: a heartbeat takes at most half a keepalive, so that the rest of the line is left for messages.
fn serial(file: &File, report: &mut Report) {
    let lines = file.cluster.media.iter().filter_map(|medium| match medium {
        Medium::Serial { baud, .. } => Some(*baud),
        _ => None,
    });
    for (baud, span) in lines.zip(&file.serial) {
        let (bits, room) = (SERIAL_HEARTBEAT * 10, file.cluster.timing.keepalive / 2);
        let takes = Duration::from_millis((bits * 1000).div_ceil(u64::from(baud)));
        if takes > room {
            let title = format!(
                "the line is too slow: {SERIAL_HEARTBEAT} bytes x 10 bits / {baud} baud = {takes:?}, more than half a keepalive ({room:?})"
            );
            report.push(
                error("serial-too-slow", span.clone(), title)
                    .help(format!("raise `baud` above the line, or write keepalive {}ms", takes.as_millis() * 2)),
            );
        }
    }
}
