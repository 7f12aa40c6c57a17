//! What must come of a scene, from what was seen.

use super::event::{Event, NAMES, What, Who};
use super::files::{DEADTIME_S, FENCE_S, WATCHDOG_S};
use super::stage::Stage;
use anyhow::{bail, ensure};
use std::time::{Duration, Instant};

/// A reset and everything until the group runs again, or two turns of fencing: far beyond what either takes.
pub const LIMIT: Duration = Duration::from_secs(90);
/// How much earlier than its timeout a watchdog fires at most: since the last pet (a tenth of it, or a keepalive), and
/// what the emulation's clock is wrong by.
const EARLY: Duration = Duration::from_millis(1500);
/// How much later: what a busy machine adds.
pub const LATE: Duration = Duration::from_millis(2500);

/// What was measured of it, from the moment of the blow.
#[derive(Clone, Debug)]
pub struct Row {
    /// The blow.
    pub at: Instant,
    /// Who had the file system then.
    pub owner: Who,
    /// Until its watchdog had reset it.
    pub reset: Option<Duration>,
    /// Until a switch had turned it off.
    pub off: Option<Duration>,
    /// Who mounted it next, and until then.
    pub mounted: Option<(Who, Duration)>,
}

pub fn order(stage: &Stage, row: &mut Row, line: &str) -> anyhow::Result<()> {
    row.at = Instant::now();
    let (code, said) = stage.machines[row.owner].order(line, Duration::from_secs(10))?;
    ensure!(code == 0, "{line}: {code} {said}");
    Ok(())
}

pub fn find(seen: &[Event], since: Instant, is: impl Fn(&Event) -> bool) -> Option<&Event> {
    seen.iter().find(|event| event.at > since && is(event))
}

/// R-PAIR-1, R-TAKE-1: the switch has confirmed that the owner is off before the other one mounts what it had.
pub fn fenced(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    let (at, other) = (row.at, 1 - row.owner);
    let is_off = |event: &Event| matches!(&event.what, What::Asked(_, said) if said == "ok") && event.who == other;
    let off =
        stage.until("the switch turns the owner off", LIMIT, |_, seen| find(seen, at, is_off).map(|event| event.at))?;
    let (_, mounted) = stage.until("the other one mounts it", LIMIT, |judge, _| judge.mounted(Some(other), at))?;
    ensure!(mounted > off, "it was mounted before the switch had answered");
    stage.until("the other one writes", LIMIT, |judge, _| judge.has_written(other, mounted).then_some(()))?;
    row.off = Some(off - at);
    row.mounted = Some((other, mounted - at));
    let least = Duration::from_secs(DEADTIME_S) - Duration::from_millis(500);
    ensure!(off - at >= least, "the owner was fenced after {:?}, before its deadtime", off - at);
    let most = Duration::from_secs(2 * DEADTIME_S + 2 * FENCE_S + 4);
    ensure!(off - at <= most, "fencing took {:?}", off - at);
    Ok(())
}

/// R-TAKE-2: the other one mounts what the owner had when its watchdog must have reset it, and not before.
pub fn proven(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    let (at, other) = (row.at, 1 - row.owner);
    let (_, mounted) = stage.until("the other one mounts it", LIMIT, |judge, _| judge.mounted(Some(other), at))?;
    stage.until("the other one writes", LIMIT, |judge, _| judge.has_written(other, mounted).then_some(()))?;
    row.mounted = Some((other, mounted - at));
    let least = Duration::from_secs(WATCHDOG_S + 1);
    ensure!(mounted - at >= least, "it was mounted after {:?}, when nothing was proven", mounted - at);
    let most = Duration::from_secs(DEADTIME_S + WATCHDOG_S) * 21 / 20 + Duration::from_secs(1) + 2 * LATE;
    ensure!(mounted - at <= most, "it took {:?}", mounted - at);
    Ok(())
}

/// No machine was reset or turned off.
pub fn unharmed(stage: &Stage, row: &Row) -> anyhow::Result<()> {
    let harm = find(stage.seen(), row.at, |event| matches!(event.what, What::Reset | What::Watchdog | What::Gone));
    match harm {
        Some(event) => bail!("{} {}", NAMES[event.who], event.what),
        None => Ok(()),
    }
}

/// Nobody wanted a machine off.
pub fn unasked(stage: &Stage, row: &Row) -> anyhow::Result<()> {
    let asked = |event: &Event| matches!(&event.what, What::Asked(action, _) if action != "monitor");
    ensure!(find(stage.seen(), row.at, asked).is_none(), "a switch was asked");
    Ok(())
}

/// Nor did anything move.
pub fn untouched(stage: &Stage, row: &Row) -> anyhow::Result<()> {
    let moved = find(stage.seen(), row.at, |event| matches!(event.what, What::Mounted | What::Unmounted));
    match moved {
        Some(event) => bail!("{} {}", NAMES[event.who], event.what),
        None => unharmed(stage, row),
    }
}

/// The hardware resets the owner in time, and nothing is mounted anywhere before that: no switch works.
pub fn reset(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    let (at, owner) = (row.at, row.owner);
    let reset = stage.until("the watchdog resets the owner", LIMIT, |_, seen| {
        find(seen, at, |event| event.who == owner && event.what == What::Reset).map(|event| event.at)
    })?;
    row.reset = Some(reset - at);
    if let Some((who, early)) = stage.judge.mounted(None, at)
        && early < reset
    {
        bail!("{} mounted it {:?} before the reset", NAMES[who], reset - early);
    }
    let timeout = Duration::from_secs(WATCHDOG_S);
    ensure!(reset - at + EARLY >= timeout, "it was reset after {:?}, too early", reset - at);
    ensure!(reset - at <= timeout + LATE, "it was reset after {:?}, too late", reset - at);
    let (who, mounted) = stage.until("one of them mounts it", LIMIT, |judge, _| judge.mounted(None, at))?;
    stage.until("and writes", LIMIT, |judge, _| judge.has_written(who, mounted).then_some(()))?;
    row.mounted = Some((who, mounted - at));
    Ok(())
}
