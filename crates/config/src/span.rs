//! Spans of time as Heartbeat wrote them, and the units that people write.

use core::time::Duration;

/// A year: longer ones are slips, and sums of such spans must not overflow.
const LONGEST: u64 = 366 * 24 * 3600;

/// The span, and whether Heartbeat would have read it too. None: not a span.
pub(crate) fn parse(text: &str) -> Option<(Duration, bool)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let unit = rest.trim_start();
    let (nanos, old): (u64, bool) = match unit {
        "" => (1_000_000_000, true),
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => (1_000_000, unit.len() == rest.len()),
        "us" | "usec" | "usecs" => (1_000, unit.len() == rest.len()),
        "s" | "sec" | "secs" | "second" | "seconds" => (1_000_000_000, false),
        "m" | "min" | "minute" | "minutes" => (60_000_000_000, false),
        _ => return None,
    };
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = u128::from(whole) * u128::from(nanos);
    let mut scale = u128::from(nanos);
    for digit in fraction.bytes() {
        scale /= 10;
        total += u128::from(digit - b'0') * scale;
    }
    let total = u64::try_from(total).ok().filter(|total| *total <= LONGEST * 1_000_000_000)?;
    Some((Duration::from_nanos(total), old))
}
