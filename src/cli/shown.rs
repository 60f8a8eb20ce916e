//! Times, sizes and names as people read them.
//!
//! **Invariant:** pure; the same value is always shown the same way, but for the time zone.

use headframe::plan::text;
use jiff::{Timestamp, tz::TimeZone};

/// A point in time, local, to the second.
pub(crate) fn time(at_ms: u64) -> String {
    zoned(at_ms, "%Y-%m-%d %H:%M:%S")
}

/// A time of day, local, to the millisecond.
pub(crate) fn time_of_day(at_ms: u64) -> String {
    zoned(at_ms, "%H:%M:%S%.3f")
}

fn zoned(at_ms: u64, format: &str) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|at_ms| Timestamp::from_millisecond(at_ms).ok()).unwrap_or_default();
    at.to_zoned(TimeZone::system()).strftime(format).to_string()
}

/// A length of time, in two units at most.
pub(crate) fn length(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms} ms"),
        1..=59 => format!("{}.{} s", seconds, ms % 1_000 / 100),
        60..=3_599 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A number of bytes.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut shown = bytes as f64 / 1_024.0;
    let mut unit = 0;
    while shown >= 1_024.0 && unit + 1 < UNITS.len() {
        shown /= 1_024.0;
        unit += 1;
    }
    format!("{shown:.1} {}", UNITS[unit])
}

/// A number with its noun.
pub(crate) fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Text that may hold anything, on one line and not longer than so many characters.
pub(crate) fn cut(written: &str, most: usize) -> String {
    let shown = text::for_people(written);
    match shown.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &shown[..at]),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_sizes_are_short() {
        assert_eq!(
            [length(7), length(1_250), length(61_000), length(3_700_000)],
            ["7 ms", "1.2 s", "1m 01s", "1h 01m"]
        );
        assert_eq!([size(7), size(2_048), size(3 << 20)], ["7 B", "2.0 KiB", "3.0 MiB"]);
        assert_eq!([count(1, "task"), count(2, "task")], ["1 task", "2 tasks"]);
        assert_eq!([cut("ab\ncd", 3), cut("ab", 3)], ["ab\\…", "ab"]);
    }
}
