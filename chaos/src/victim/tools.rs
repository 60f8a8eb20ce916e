//! The victim's tools: each asks the recorder to do something, and says what it answered.

use std::{path::PathBuf, sync::Arc, time::Duration};

use headframe::{
    durable::{Effect, Outcome},
    json::Json,
    tool::{CallContext, Tool},
};
use serde::Deserialize;

use crate::{random, recorder};

/// All of them. `swift` answers when it is first polled; the others go on in tasks of their own.
pub(super) const NAMES: &[&str] = &["swift", "idem", "lossy", "slow", "flaky", "deny", "once"];

/// Where the outside world is, and who calls it.
pub(super) struct Outside {
    pub(super) socket: PathBuf,
    pub(super) life: u32,
}

/// A tool of the outside world.
pub(super) struct Remote {
    name: &'static str,
    outside: Arc<Outside>,
}

#[derive(Deserialize)]
struct Input {
    label: String,
}

impl Remote {
    pub(super) fn new(name: &'static str, outside: &Arc<Outside>) -> Self {
        Self { name, outside: outside.clone() }
    }

    fn call(&self, cx: &CallContext, label: String) -> recorder::Call {
        recorder::Call {
            tool: self.name.to_owned(),
            key: cx.key().to_string(),
            call: cx.call_id().to_string(),
            label,
            attempt: cx.attempt(),
            life: self.outside.life,
            epoch: cx.fencing_token(),
            deaf: self.name == "lossy"
                && cx.attempt() == 1
                && random::number_of(&cx.key().to_string()).is_multiple_of(7),
        }
    }

    /// Between the start of a call and its effect lies time in which the victim can die.
    fn delay(&self, key: &str) -> Duration {
        let drawn = random::number_of(key) >> 32;
        match self.name {
            "once" => Duration::from_micros(drawn % 6_000),
            _ if drawn.is_multiple_of(4) => Duration::from_micros(drawn % 3_000),
            _ => Duration::ZERO,
        }
    }
}

impl Tool for Remote {
    fn effect(&self) -> Effect {
        if self.name == "once" { Effect::AtMostOnce } else { Effect::IDEMPOTENT }
    }

    fn max_concurrent(&self) -> usize {
        16
    }

    async fn call(&self, cx: &CallContext, input: Json) -> Outcome {
        let label = match input.parse::<Input>() {
            Ok(input) => input.label,
            Err(error) => return Outcome::failed("input", error.to_string()),
        };
        let call = self.call(cx, label);
        if self.name == "swift" {
            return recorder::call_at_once(&self.outside.socket, call);
        }
        let delay = self.delay(&call.key);
        if delay > Duration::ZERO {
            tokio::time::sleep(delay).await;
        }
        if cx.is_cancelled() {
            return Outcome::failed("cancelled", "cancelled before the outside world heard of it");
        }
        let deaf = call.deaf;
        let outcome = tokio::select! {
            biased;
            outcome = recorder::call(&self.outside.socket, call) => outcome,
            // Only the slow one lets go of what it has asked for.
            () = cx.cancelled(), if self.name == "slow" => Outcome::unknown("cancelled", "did not wait for the answer"),
        };
        if deaf {
            // A panic without a word on stderr: that file is searched for panics nobody asked for.
            std::panic::resume_unwind(Box::new("the caller broke down"));
        }
        outcome
    }
}
