//! What a status proves, and how long a server wants to be left alone.

use reqwest::StatusCode;

/// The longest wait that a server may ask for: a day.
const RETRY_AFTER_MAX_MS: u64 = 24 * 60 * 60 * 1_000;
/// 4xx that do not prove that nothing happened: the request timed out, conflicts with what is there (perhaps with its own
/// former attempt), or came too often.
const OPEN: [u16; 3] = [408, 409, 429];

/// What an answer proves of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Done,
    /// It had no effect.
    Failed,
    Unknown,
}

/// Without statuses that were asked for, any 2xx is what was wanted.
pub(super) fn judge(status: u16, ok: &[u16], failed: &[u16]) -> Verdict {
    let is_ok = if ok.is_empty() { (200..300).contains(&status) } else { ok.contains(&status) };
    match status {
        _ if is_ok => Verdict::Done,
        _ if failed.contains(&status) => Verdict::Failed,
        400..=499 if !OPEN.contains(&status) => Verdict::Failed,
        _ => Verdict::Unknown,
    }
}

/// A status with its words: `404 Not Found`.
pub(super) fn named(status: u16) -> String {
    match StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()) {
        Some(words) => format!("{status} {words}"),
        None => status.to_string(),
    }
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date. What cannot be read asks for nothing.
pub(super) fn retry_after_ms(value: &str, now_ms: u64) -> Option<u64> {
    let value = value.trim();
    let wait_ms = match value.parse::<u64>() {
        Ok(seconds) => seconds.saturating_mul(1_000),
        Err(_) => {
            let at = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(value).ok()?;
            u64::try_from(at.as_millisecond()).ok()?.saturating_sub(now_ms)
        }
    };
    Some(wait_ms.min(RETRY_AFTER_MAX_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_proves_that_nothing_happened() {
        for (status, verdict) in [
            (200, Verdict::Done),
            (204, Verdict::Done),
            (299, Verdict::Done),
            (301, Verdict::Unknown),
            (400, Verdict::Failed),
            (404, Verdict::Failed),
            (408, Verdict::Unknown),
            (409, Verdict::Unknown),
            (422, Verdict::Failed),
            (429, Verdict::Unknown),
            (500, Verdict::Unknown),
            (503, Verdict::Unknown),
        ] {
            assert_eq!(judge(status, &[], &[]), verdict, "{status}");
        }
    }

    #[test]
    fn a_task_says_what_it_expects_and_what_proves_a_refusal() {
        assert_eq!(judge(404, &[404], &[]), Verdict::Done);
        assert_eq!(judge(202, &[201], &[]), Verdict::Unknown, "it was accepted, so something may happen");
        assert_eq!(judge(429, &[], &[429, 503]), Verdict::Failed);
        assert_eq!(judge(503, &[], &[429, 503]), Verdict::Failed);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let noon_ms = 784_111_777_000; // Sun, 06 Nov 1994 08:49:37 GMT
        assert_eq!(retry_after_ms("120", noon_ms), Some(120_000));
        assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:50:37 GMT", noon_ms), Some(60_000));
        assert_eq!(retry_after_ms("Sun, 06 Nov 1994 08:00:00 GMT", noon_ms), Some(0));
        assert_eq!(retry_after_ms("99999999999999999999", noon_ms), None);
        assert_eq!(retry_after_ms("999999999", noon_ms), Some(RETRY_AFTER_MAX_MS));
        assert_eq!(retry_after_ms("soon", noon_ms), None);
    }
}
