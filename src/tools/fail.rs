//! `fail`: fails as it is told, to try out retries, optional tasks and compensation.
//!
//! ```yaml
//! with: { message: no luck, class: refused, outcome: failed, times: 2 }   # succeeds from the third attempt on
//! ```

use headframe_actors::{
    durable::{Effect, Outcome},
    json::Json,
    tool::{CallContext, Tool},
};
use serde_json::{Value, json};

use super::arguments::{self, Arguments};

const KEYS: &[&str] = &["message", "class", "outcome", "times"];

/// The tool `fail`: the first `times` attempts (all of them when absent) end as `outcome`, `failed` or `unknown`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fail;

struct Told {
    message: String,
    class: String,
    unknown: bool,
    times: u64,
}

impl Tool for Fail {
    fn effect(&self) -> Effect {
        Effect::IDEMPOTENT
    }

    fn check(&self, with: &Value) -> Result<(), String> {
        arguments::check(with, KEYS, told)
    }

    async fn call(&self, cx: &CallContext, input: Json) -> Outcome {
        match told(&input.value()) {
            Err(error) => Outcome::failed("input", error),
            Ok(told) if u64::from(cx.attempt()) > told.times => Outcome::Done(json!({"attempt": cx.attempt()}).into()),
            Ok(told) if told.unknown => Outcome::unknown(told.class, told.message),
            Ok(told) => Outcome::failed(told.class, told.message),
        }
    }
}

fn told(with: &Value) -> Result<Told, String> {
    let arguments = Arguments::of(with, KEYS)?;
    Ok(Told {
        message: arguments.text("message")?.unwrap_or("told to fail").to_owned(),
        class: arguments.text("class")?.unwrap_or("fail").to_owned(),
        unknown: arguments.choice("outcome", &[("failed", false), ("unknown", true)])?,
        times: arguments.number("times")?.unwrap_or(u64::MAX),
    })
}
