//! What ends a call: its answer, its time limit, silence, or that nobody wants it any more.
//!
//! ```text
//! running ─ answer ──────────────────────────────────────────► its outcome
//!    │ time limit, silence, cancel: asked to stop
//!    └─► stopping ─ an answer that is certain, within 5 s ───► its outcome
//!            └──── anything else ────────────────────────────► dropped, unknown
//! ```
//! **Invariant:** every call ends, whatever its adapter does between two polls; what turns out done is known.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use super::{Calling, context::CallContext};
use crate::{durable::Outcome, mutant::Mutant};

/// How long an adapter may take to stop once it was asked to.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(5);

pub(super) fn poll_caught(
    calling: Pin<&mut (dyn Future<Output = Outcome> + Send)>,
    cx: &mut Context<'_>,
) -> Poll<Outcome> {
    match std::panic::catch_unwind(AssertUnwindSafe(|| calling.poll(cx))) {
        Ok(poll) => poll,
        Err(panic) => Poll::Ready(panicked(&*panic)),
    }
}

pub(super) fn panicked(panic: &(dyn std::any::Any + Send)) -> Outcome {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let said = format!("the tool panicked: {}", said.unwrap_or("without a message"));
    if Mutant::UnknownTakenForFailed.is_chosen() {
        return Outcome::failed("panic", said);
    }
    Outcome::unknown("panic", said)
}

/// Run a call within its time, while it keeps what it promised, and while it is wanted. When that is over it is asked to
/// stop, and after a grace it is dropped; what turns out done is known.
pub(super) async fn within(calling: &mut Calling, cx: &CallContext, timeout: Duration) -> Outcome {
    let mut caught = std::future::poll_fn(|context| poll_caught(calling.as_mut(), context));
    let given_up = tokio::select! {
        biased;
        outcome = &mut caught => return outcome,
        () = cx.cancelled() => None,
        silence = silent(cx) => Some(Outcome::unknown("heartbeat", format!("no heartbeat within {silence:?}"))),
        () = tokio::time::sleep(timeout) => Some(Outcome::unknown("timeout", format!("no answer within {timeout:?}"))),
    };
    cx.cancel();
    let answer = tokio::time::timeout(STOP_GRACE, &mut caught).await.ok();
    match (answer, given_up) {
        (Some(_), None) if Mutant::CancelThrowsResultAway.is_chosen() => {
            Outcome::failed("cancelled", "it was cancelled")
        }
        (Some(outcome @ (Outcome::Done(_) | Outcome::Failed(_))), _) => outcome,
        (_, Some(given_up)) => given_up,
        // Of what nobody wants, the tool itself says best why it ended.
        (Some(outcome), None) => outcome,
        (None, None) => Outcome::unknown("cancelled", format!("asked to stop, and did not within {STOP_GRACE:?}")),
    }
}

/// Completes when the unsticker has found it silent for longer than it promised; never, if it promised nothing.
async fn silent(cx: &CallContext) -> Duration {
    match &cx.shared.pulse {
        None => std::future::pending().await,
        Some(pulse) => {
            pulse.lost.cancelled().await;
            pulse.within
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{durable::Key, json::Json};

    const LIMIT: Duration = Duration::from_secs(60);

    /// How a call ends that answers so long after it was asked to stop, if at all; and how long that takes.
    async fn stopped(cancelled: bool, answers: Option<(Duration, Outcome)>) -> (Outcome, Duration) {
        let cx = CallContext::detached("test", Key([7; 32]), LIMIT);
        let (heard, began) = (cx.clone(), tokio::time::Instant::now());
        let mut calling: Calling = Box::pin(async move {
            heard.cancelled().await;
            match answers {
                Some((after, outcome)) => {
                    tokio::time::sleep(after).await;
                    outcome
                }
                None => std::future::pending().await,
            }
        });
        if cancelled {
            cx.cancel();
        }
        let outcome = within(&mut calling, &cx, LIMIT).await;
        (outcome, began.elapsed())
    }

    fn class(outcome: &Outcome) -> &str {
        match outcome {
            Outcome::Done(_) => "done",
            Outcome::Failed(failure) | Outcome::Unknown(failure) => &failure.class,
        }
    }

    /// It once ran on until its time limit, and with it a run that had long been cancelled.
    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_cancelled_and_does_not_stop_is_dropped_after_the_grace() {
        let (outcome, took) = stopped(true, None).await;
        assert_eq!((class(&outcome), took.as_secs()), ("cancelled", STOP_GRACE.as_secs()));
        assert!(matches!(outcome, Outcome::Unknown(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_late_and_does_not_stop_is_dropped_after_the_grace() {
        let (outcome, took) = stopped(false, None).await;
        assert_eq!((class(&outcome), took.as_secs()), ("timeout", (LIMIT + STOP_GRACE).as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_turns_out_done_within_the_grace_is_done_and_what_failed_is_failed() {
        let soon = Duration::from_secs(3);
        for cancelled in [true, false] {
            let (outcome, _) = stopped(cancelled, Some((soon, Outcome::Done(Json::NULL)))).await;
            assert_eq!(class(&outcome), "done");
            let (outcome, _) = stopped(cancelled, Some((soon, Outcome::failed("exit", "no")))).await;
            assert!(matches!(&outcome, Outcome::Failed(failure) if failure.class == "exit"), "{outcome:?}");
        }
    }
}
