//! One call of an adapter, made ready and looked at once, and what is kept of its end.
//!
//! **Invariant:** whatever an adapter does when it is called, also before it gives a future, becomes an outcome of a bounded
//! size.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::monotonic,
    durable::{CallId, Ended, Inner, Outcome, Row, RowState},
    json::Json,
    tool::{
        AnyTool, Calling,
        context::{CallContext, Pulse, Shared},
        limits::{panicked, poll_caught},
    },
};

/// The largest output of a call: larger ones belong into the artifact store.
const OUTPUT_MAX: usize = 256 * 1024;

/// One call, ready to run.
pub(super) struct Prepared {
    pub(super) call: CallId,
    pub(super) is_probe: bool,
    pub(super) calling: Calling,
    pub(super) cx: CallContext,
    pub(super) timeout: Duration,
    pub(super) began: Instant,
}

impl Prepared {
    /// The outcome, if there is one at once. A call that was cancelled before this did not begin; of a probe that says
    /// nothing about the call.
    pub(super) fn poll_once(&mut self) -> Option<Outcome> {
        if self.cx.is_cancelled() && self.is_probe {
            return Some(Outcome::unknown("cancelled", "the probe was cancelled before it began"));
        }
        if self.cx.is_cancelled() {
            return Some(Outcome::failed("cancelled", "cancelled before it began"));
        }
        match poll_caught(self.calling.as_mut(), &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }
}

pub(super) fn is_probe(row: &Row) -> bool {
    matches!(row.state, RowState::Probing(_))
}

pub(super) fn context(call: CallId, row: &Row, inner: &Arc<Inner>, heartbeat: Option<Duration>) -> CallContext {
    let now = monotonic();
    let promised = row.request.heartbeat_ms.map(Duration::from_millis).or(heartbeat);
    CallContext {
        call,
        path: row.request.path.as_str().into(),
        key: row.request.key,
        attempt: row.request.attempt,
        deadline: now + Duration::from_millis(row.request.timeout_ms),
        epoch: inner.fence.epoch,
        last_checkpoint: row.request.checkpoint.clone(),
        shared: Arc::new(Shared {
            cancel: CancellationToken::new(),
            progress: Mutex::default(),
            beats: AtomicU64::new(0),
            // A probe only reads, and has its time limit.
            pulse: promised.filter(|_| !is_probe(row)).map(Pulse::new),
            checkpoint: Mutex::new(None),
            // A probe only reads: what it would save would take the place of what the attempt did.
            system: (!is_probe(row)).then(|| inner.in_flight.home()),
        }),
    }
}

/// A tool may panic before it gives a future.
pub(super) fn start(tool: Arc<dyn AnyTool>, cx: CallContext, input: Json) -> Calling {
    match std::panic::catch_unwind(AssertUnwindSafe(|| tool.start(cx, input))) {
        Ok(calling) => calling,
        Err(panic) => Box::pin(std::future::ready(panicked(&*panic))),
    }
}

pub(super) fn ask(tool: Arc<dyn AnyTool>, cx: CallContext, input: Json) -> Calling {
    match std::panic::catch_unwind(AssertUnwindSafe(|| tool.ask(cx, input))) {
        Ok(asking) => Box::pin(async move { asking.await.into() }),
        Err(panic) => Box::pin(std::future::ready(panicked(&*panic))),
    }
}

pub(super) fn finished(cx: &CallContext, is_probe: bool, outcome: Outcome) -> Ended {
    let outcome = match outcome {
        Outcome::Done(output) if output.len() > OUTPUT_MAX => {
            Outcome::unknown("output", format!("it gave {} bytes, and {OUTPUT_MAX} can be kept", output.len()))
        }
        Outcome::Done(output) => Outcome::Done(output),
        Outcome::Failed(failure) => Outcome::Failed(failure.trimmed()),
        Outcome::Unknown(failure) => Outcome::Unknown(failure.trimmed()),
    };
    let checkpoint = match outcome {
        Outcome::Done(_) => None,
        Outcome::Failed(_) | Outcome::Unknown(_) if is_probe => cx.last_checkpoint.clone(),
        // An attempt that saved nothing leaves what the one before it saved.
        Outcome::Failed(_) | Outcome::Unknown(_) => {
            cx.shared.checkpoint.lock().take().or_else(|| cx.last_checkpoint.clone())
        }
    };
    (cx.call, outcome, checkpoint)
}
