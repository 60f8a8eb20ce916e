//! `sleep`: lets time pass. To wait for days, use a timer of the plan: this one holds a permit while it waits.
//!
//! **Invariant:** a sleep has no effect, so it never ends unknown.

use std::time::Duration;

use headframe_actors::{
    clock,
    durable::{Effect, Outcome},
    json::Json,
    tool::{CallContext, Progress, Tool},
};
use serde_json::{Value, json};
use tokio::time::{sleep, sleep_until};

use super::arguments::{self, Arguments};

const KEYS: &[&str] = &["ms", "for"];
const BEAT: Duration = Duration::from_secs(1);

/// The tool `sleep`: `{ms: 250}` or `{for: 1m 30s}`.
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
        arguments::check(with, KEYS, length)
    }

    async fn call(&self, cx: &CallContext, input: Json) -> Outcome {
        let length = match length(&input.value()) {
            Ok(length) => length,
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

fn length(with: &Value) -> Result<Duration, String> {
    let arguments = Arguments::of(with, KEYS)?;
    match (arguments.number("ms")?, arguments.text("for")?) {
        (Some(ms), None) => Ok(Duration::from_millis(ms)),
        (None, Some(written)) => {
            humantime::parse_duration(written).map_err(|error| format!("`for` must be a time like `1m 30s`: {error}"))
        }
        _ => Err("give either `ms` (a number) or `for` (a time like `1m 30s`)".to_owned()),
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
