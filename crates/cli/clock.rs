//! Points in time and spans for people.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

/// Local time of a wall clock reading in milliseconds since 1970; out of range: the end of the range.
pub(crate) fn local(wall_ms: u64, zone: &TimeZone) -> Zoned {
    let limited = i64::try_from(wall_ms).unwrap_or(i64::MAX);
    // The latest instant is short of what a zone east of Greenwich may add to it, so a day is left free.
    let end = Timestamp::MAX.as_millisecond() - 86_400_000;
    Timestamp::from_millisecond(limited.min(end)).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone())
}

/// `Sat Nov 21 00:41:50 2026`, as `crm status` writes it.
pub(crate) fn date(wall_ms: u64, zone: &TimeZone) -> String {
    local(wall_ms, zone).strftime("%a %b %e %H:%M:%S %Y").to_string()
}

/// `850 us`, `12 ms`, `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn span(nanoseconds: u64) -> String {
    let us = nanoseconds / 1_000;
    let ms = us / 1_000;
    let seconds = ms / 1_000;
    match seconds {
        0 if ms == 0 => format!("{us} us"),
        0 => format!("{ms} ms"),
        1..=99 => format!("{seconds}.{} s", ms % 1_000 / 100),
        100..=3_599 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// The same for milliseconds.
pub(crate) fn span_ms(milliseconds: u64) -> String {
    if milliseconds == 0 { "less than 1 ms".to_owned() } else { span(milliseconds.saturating_mul(1_000_000)) }
}

/// Milliseconds since 1970 that `--since` names: a span back from `now`, a time of day not after `now`, or a date.
pub(crate) fn since(text: &str, now: &Zoned) -> Result<u64, String> {
    let text = text.trim();
    let millis = |at: &Zoned| u64::try_from(at.timestamp().as_millisecond()).unwrap_or(0);
    if let Ok(back) = text.parse::<SignedDuration>() {
        let back = u64::try_from(back.abs().as_millis()).unwrap_or(u64::MAX);
        return Ok(millis(now).saturating_sub(back));
    }
    let zoned = |at: DateTime| at.to_zoned(now.time_zone().clone()).map_err(|error| error.to_string());
    if let Ok(at) = text.parse::<DateTime>() {
        return zoned(at).map(|at| millis(&at));
    }
    match text.parse::<Time>() {
        Ok(time) => {
            let today = zoned(now.date().to_datetime(time))?;
            if today <= *now {
                return Ok(millis(&today));
            }
            let yesterday = now.date().yesterday().map_err(|error| error.to_string())?;
            zoned(yesterday.to_datetime(time)).map(|at| millis(&at))
        }
        Err(_) => Err(format!("`{text}` is no time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_say_them() {
        let cases = [
            (0, "0 us"),
            (850_000, "850 us"),
            (12_000_000, "12 ms"),
            (3_250_000_000, "3.2 s"),
            (250_000_000_000, "4 min 10 s"),
            (7_500_000_000_000, "2 h 5 min"),
            (273_600_000_000_000, "3 d 4 h"),
        ];
        for (nanoseconds, words) in cases {
            assert_eq!(span(nanoseconds), words);
        }
    }

    #[test]
    fn no_clock_reading_is_too_large_to_show() {
        let east = TimeZone::fixed(jiff::tz::offset(23));
        assert!(!date(u64::MAX, &east).is_empty());
        assert_eq!(date(0, &TimeZone::UTC), "Thu Jan  1 00:00:00 1970");
    }

    #[test]
    fn since_takes_spans_times_and_dates() {
        let now: Zoned = "2026-11-21T12:00:00[UTC]".parse().unwrap();
        let at = |text: &str| u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap();
        assert_eq!(since("10m", &now), Ok(at("2026-11-21T11:50:00Z")));
        assert_eq!(since("2h 30m", &now), Ok(at("2026-11-21T09:30:00Z")));
        assert_eq!(since("11:05", &now), Ok(at("2026-11-21T11:05:00Z")));
        assert_eq!(since("14:05", &now), Ok(at("2026-11-20T14:05:00Z")));
        assert_eq!(since("2026-11-01T08:00", &now), Ok(at("2026-11-01T08:00:00Z")));
        assert_eq!(since("2026-11-01", &now), Ok(at("2026-11-01T00:00:00Z")));
        assert!(since("yesterday", &now).is_err());
    }
}
