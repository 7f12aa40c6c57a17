//! `max_outage` and `worst_pause`: two numbers that people know, from which keepalive and deadtime follow (R-LEASE-10).

use crate::checks::{DEADTIME, RATIO, needed_by_lines};
use crate::ha_cf::File;
use crate::report::{Report, error, note};
use crate::{ALLOWANCE, REACTION, Timing, budget, fence_share};
use alloc::format;
use alloc::string::String;
use core::ops::Range;
use core::time::Duration;

/// Heartbeats more often than this cost more than they find.
const KEEPALIVE_MIN: Duration = Duration::from_millis(20);
/// Keepalives in a deadtime where nothing asks for more of them.
const USUAL: u32 = 10;

/// Writes keepalive and deadtime in their place: the longest deadtime that the outage leaves, and the usual keepalive or
/// the shorter one that the pause asks for.
pub(crate) fn derive(file: &mut File, report: &mut Report) {
    let given = |name: &str| file.times.get(name).cloned();
    let (outage, pause) = (given("max_outage"), given("worst_pause"));
    let Some((_, span)) = outage.clone().or(pause.clone()) else { return };
    let mut twice = ["keepalive", "deadtime"].into_iter().filter_map(|name| given(name).map(|(_, span)| (name, span)));
    if let Some((name, at)) = twice.next() {
        let wrong = error("time-twice", at, format!("`{name}` follows from `max_outage` and `worst_pause`"));
        return report.push(wrong.help("remove the line, or write keepalive and deadtime and neither of the two"));
    }
    let (outage, pause) = (outage.map(|(time, _)| time), pause.map_or(Duration::ZERO, |(time, _)| time));
    let (fences, deadtimes) = fence_share(&file.cluster);
    let Some(outage) = outage else { return write(file, report, span, DEADTIME.max(usual_for(pause)), pause) };
    let deadtime = outage.saturating_sub(fences + REACTION) / deadtimes;
    let most = room(file.cluster.timing, deadtime, KEEPALIVE_MIN);
    if most.is_none_or(|most| most < pause) {
        let lines = needed_by_lines(file).unwrap_or_default();
        let needed = usual_for(pause).max(lines * RATIO) * deadtimes + fences + REACTION;
        let asked = if pause.is_zero() { String::new() } else { format!(" for pauses of {pause:?}") };
        let title = format!("`max_outage` {outage:?} leaves a deadtime of {deadtime:?}: too short{asked}");
        let spent = format!("fence devices may take {fences:?} of it");
        let wrong = error("outage-too-short", span, title).label(if fences.is_zero() { String::new() } else { spent });
        let shorter = if fences.is_zero() { "" } else { ", or a `timeout fence` that the device really needs" };
        return report.push(wrong.help(format!("write: max_outage {}ms{shorter}", needed.as_millis())));
    }
    write(file, report, span, deadtime, pause);
}

/// How long a machine may stand still with those times and lose nothing; none: not at all.
fn room(timing: Timing, deadtime: Duration, keepalive: Duration) -> Option<Duration> {
    let timing = Timing { keepalive, deadtime, ..timing };
    (deadtime >= keepalive * RATIO).then(|| budget(&timing).pause()).flatten()
}

/// The least deadtime, in tens of milliseconds, that bears such a pause with the usual keepalive.
fn usual_for(pause: Duration) -> Duration {
    let tens = ((pause + ALLOWANCE) * 2).as_millis().div_ceil(10);
    Duration::from_millis(u64::try_from(tens * 10).unwrap_or(u64::MAX))
}

fn write(file: &mut File, report: &mut Report, span: Range<usize>, deadtime: Duration, pause: Duration) {
    let lines = needed_by_lines(file).unwrap_or_default();
    let usual = (deadtime / USUAL).max(lines).min(deadtime / RATIO);
    // What the pause leaves: room(deadtime, keepalive) >= pause, solved for the keepalive.
    let left = room(file.cluster.timing, deadtime, KEEPALIVE_MIN).unwrap_or_default().saturating_sub(pause);
    let keepalive = usual.min(KEEPALIVE_MIN + left / 2);
    let keepalive = Duration::from_millis(u64::try_from(keepalive.as_millis()).unwrap_or(u64::MAX));
    let title = format!("keepalive {keepalive:?} and deadtime {deadtime:?} follow from this");
    let told = note("times-derived", span.clone(), title);
    report.push(told.help("nothing has to be done; `hearth check` shows what they promise"));
    file.times.insert("keepalive", (keepalive, span.clone()));
    file.times.insert("deadtime", (deadtime, span));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bears(deadtime: Duration, pause: Duration) -> bool {
        let zero = Duration::ZERO;
        let timing = Timing {
            keepalive: zero,
            deadtime: zero,
            warntime: zero,
            initdead: zero,
            deadping: zero,
            carrier_grace: zero,
            failure_timeout: None,
        };
        room(timing, deadtime, deadtime / USUAL).is_some_and(|room| room >= pause)
    }

    #[test]
    fn a_pause_that_was_asked_for_is_borne_by_the_times_that_follow() {
        for pause in (0..5000).step_by(70).map(Duration::from_millis) {
            let deadtime = usual_for(pause);
            assert!(bears(deadtime, pause), "{pause:?} in {deadtime:?}");
            let shorter = deadtime - Duration::from_millis(20);
            assert!(!bears(shorter, pause), "{pause:?} in {shorter:?}");
        }
    }
}
