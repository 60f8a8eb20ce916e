//! What a log says of a call: whose it is, and how it ended.
//!
//! **Invariant:** nothing is looked up or written down for a log that nobody listens to.

use std::time::Duration;

use tracing::{Level, Span};

use super::context::CallContext;
use crate::durable::{Failure, Outcome, Place};

/// How much of a failure is logged, in bytes.
const REASON_MAX: usize = 512;

/// The span of a call, at level `info`: what a tool logs inside it says whose call it is.
pub(super) fn span(cx: &CallContext, tool: &str) -> Span {
    if !tracing::enabled!(Level::INFO) {
        return Span::none();
    }
    let Place { run, phase, task } = Place::of(&cx.path);
    tracing::info_span!("call", run, phase, task, attempt = cx.attempt, tool, call = %cx.call)
}

/// Say how an attempt, or a probe, ended.
pub(super) fn tell(cx: &CallContext, is_probe: bool, tool: &str, outcome: &Outcome, took: Duration) {
    let is_told = match outcome {
        Outcome::Done(_) => tracing::enabled!(Level::DEBUG),
        Outcome::Failed(_) | Outcome::Unknown(_) => tracing::enabled!(Level::INFO),
    };
    if !is_told {
        return;
    }
    let Place { run, phase, task } = Place::of(&cx.path);
    let (attempt, call, took_ms) = (cx.attempt, cx.call, u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let what = if is_probe { "probe" } else { "attempt" };
    match outcome {
        Outcome::Done(_) => tracing::debug!(run, phase, task, attempt, tool, %call, took_ms, "the {what} succeeded"),
        Outcome::Failed(failure) => {
            let said = if is_probe { "is sure that it did not happen" } else { "failed, and surely had no effect" };
            let (class, reason) = (&*failure.class, beginning(failure));
            tracing::info!(run, phase, task, attempt, tool, %call, took_ms, class, reason, "the {what} {said}");
        }
        Outcome::Unknown(failure) => {
            let (class, reason) = (&*failure.class, beginning(failure));
            let said = "ended, and nobody knows whether it happened";
            tracing::info!(run, phase, task, attempt, tool, %call, took_ms, class, reason, "the {what} {said}");
        }
    }
}

/// The beginning of what a failure says.
fn beginning(failure: &Failure) -> &str {
    let end = (0..=failure.message.len().min(REASON_MAX)).rev().find(|at| failure.message.is_char_boundary(*at));
    &failure.message[..end.unwrap_or(0)]
}
