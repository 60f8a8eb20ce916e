//! `sleep`: lets time pass. In a run it is no call: its task sleeps, with a durable timer that holds no permit and no
//! memory, and goes on across restarts.
//!
//! A call of it is made only for rows that an older build left, and for arguments that are wrong.
//!
//! **Invariant:** a sleep has no effect, so it never ends unknown.

use std::time::Duration;

use headframe_actors::{
    clock::{self, Clock, SystemClock},
    durable::{Effect, Outcome},
    json::Json,
    tool::{CallContext, Progress, Tool},
};
use serde_json::{Value, json};
use tokio::time::{sleep, sleep_until};

use super::arguments::{self, Arguments};

const KEYS: &[&str] = &["ms", "for", "until"];
const BEAT: Duration = Duration::from_secs(1);

/// The tool `sleep`: `{ms: 250}`, `{for: 1m 30s}` or `{until: "2026-12-24T18:00:00Z"}`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sleep;

impl Tool for Sleep {
    fn effect(&self) -> Effect {
        Effect::IDEMPOTENT
    }

    fn max_concurrent(&self) -> usize {
        10_000
    }

    fn check(&self, with: &Value) -> Result<(), String> {
        arguments::check(with, KEYS, wanted)
    }

    fn sleeps_until(&self, input: &Json, now_ms: u64) -> Option<u64> {
        wanted(&input.value()).ok().map(|wanted| wanted.end_ms(now_ms))
    }

    async fn call(&self, cx: &CallContext, input: Json) -> Outcome {
        let now_ms = SystemClock.now_ms();
        let length = match wanted(&input.value()) {
            Ok(wanted) => Duration::from_millis(wanted.end_ms(now_ms) - now_ms),
            Err(error) => return Outcome::failed("input", error),
        };
        tokio::select! {
            () = pass(cx, length) => Outcome::Done(json!({"slept_ms": millis(length)}).into()),
            () = cx.cancelled() => Outcome::failed("cancelled", "the sleep was cancelled"),
            () = sleep_until(cx.deadline().into()) => Outcome::failed("timeout", "the sleep is longer than its time limit"),
        }
    }
}

async fn pass(cx: &CallContext, length: Duration) {
    let start = clock::monotonic();
    while let Some(left) = length.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        sleep(left.min(BEAT)).await;
        cx.heartbeat(Progress::default());
    }
}

/// What is slept for.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// So many milliseconds.
    Length(u64),
    /// Until this wall time, in milliseconds since 1970.
    Until(u64),
}

impl Wanted {
    /// When it ends if it begins now; at once, if that is over already.
    fn end_ms(self, now_ms: u64) -> u64 {
        match self {
            Self::Length(ms) => now_ms.saturating_add(ms),
            Self::Until(at_ms) => at_ms.max(now_ms),
        }
    }
}

fn wanted(with: &Value) -> Result<Wanted, String> {
    let arguments = Arguments::of(with, KEYS)?;
    match (arguments.number("ms")?, arguments.text("for")?, arguments.text("until")?) {
        (Some(ms), None, None) => Ok(Wanted::Length(ms)),
        (None, Some(written), None) => humantime::parse_duration(written)
            .map(|length| Wanted::Length(millis(length)))
            .map_err(|error| format!("`for` must be a time like `1m 30s`: {error}")),
        (None, None, Some(written)) => instant_ms(written)
            .map(Wanted::Until)
            .ok_or_else(|| format!("`until` must be an instant like `2026-12-24T18:00:00Z` or `…+01:00`, not `{written}`")),
        _ => Err("give one of `ms` (a number), `for` (a time like `1m 30s`) and `until` (an instant like `2026-12-24T18:00:00Z`)".to_owned()),
    }
}

/// An instant of RFC 3339, in milliseconds since 1970; a fraction of one counts as whole, so that nothing ends early.
fn instant_ms(written: &str) -> Option<u64> {
    let instant: jiff::Timestamp = written.trim().parse().ok()?;
    u64::try_from(instant.as_nanosecond()).ok().map(|nanos| nanos.div_ceil(1_000_000))
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn ends(with: Value) -> Option<u64> {
        Sleep.sleeps_until(&Json::from(with), NOW_MS)
    }

    #[test]
    fn a_length_is_counted_from_now_and_an_instant_is_not() {
        assert_eq!(ends(json!({"for": "90s"})), Some(NOW_MS + 90_000));
        assert_eq!(ends(json!({"ms": 5})), Some(NOW_MS + 5));
        assert_eq!(ends(json!({"until": "2023-11-14T22:14:00Z"})), Some(1_700_000_040_000));
    }

    #[test]
    fn an_instant_may_be_written_anywhere_on_earth() {
        assert_eq!(ends(json!({"until": "2023-11-15T00:14:00+02:00"})), Some(1_700_000_040_000));
        assert_eq!(ends(json!({"until": "2023-11-14t17:14:00-05:00".to_uppercase()})), Some(1_700_000_040_000));
        assert_eq!(ends(json!({"until": "2023-11-14T22:14:00.0001Z"})), Some(1_700_000_040_001));
    }

    #[test]
    fn an_instant_that_is_over_ends_at_once() {
        assert_eq!(ends(json!({"until": "2001-01-01T00:00:00Z"})), Some(NOW_MS));
    }

    #[test]
    fn arguments_that_are_wrong_are_told_by_the_call() {
        for until in ["tomorrow", "2023-11-14T22:14:00", "2023-11-14T22:14:00+99:00", "Z", "é+01:00"] {
            assert_eq!(ends(json!({"until": until})), None, "{until}");
            assert!(Tool::check(&Sleep, &json!({"until": until})).unwrap_err().contains("`until`"), "{until}");
        }
        assert_eq!(ends(json!({"ms": 5, "for": "5ms"})), None);
        assert_eq!(ends(json!({})), None);
        Tool::check(&Sleep, &json!({"until": "{{ input.at }}"})).unwrap();
    }
}
