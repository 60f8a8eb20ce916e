//! Tools: what a task calls, and the actor that stands before each of them.
//!
//! A tool is registered under a name. Its actor takes call rows from the durable mailbox, gives each a permit, runs the
//! adapter under a time limit, and commits the answers in batches. A tool that is ready at once is
//! polled in place; nothing is spawned for it. A call with an unknown outcome whose effect is declared `verify` stays in the
//! mailbox, and the same actor asks the tool's probe.

mod closure;
mod context;
mod host;
mod in_flight;
mod limits;
mod told;

use std::{pin::Pin, sync::Arc, time::Duration};

pub use self::{
    closure::{Closure, ContextClosure},
    context::{CHECKPOINT_MAX, CallContext, CheckpointTooLarge, Progress},
};
pub(crate) use self::{host::ToolSlot, in_flight::InFlight};
use crate::{
    durable::{Effect, Failure, Outcome, Probe},
    json::Json,
};

/// Does work outside the engine. Implement this and register it: that is all a tool needs.
///
/// ```
/// use headframe_actors::{durable::{Effect, Outcome}, json::Json, tool::{CallContext, Tool}};
///
/// struct Shout;
///
/// impl Tool for Shout {
///     fn effect(&self) -> Effect {
///         Effect::IDEMPOTENT
///     }
///
///     async fn call(&self, _cx: &CallContext, input: Json) -> Outcome {
///         match input.parse::<String>() {
///             Ok(text) => Outcome::Done(Json::from(serde_json::Value::from(text.to_uppercase()))),
///             Err(error) => Outcome::failed("input", format!("expected text: {error}")),
///         }
///     }
/// }
/// ```
pub trait Tool: Send + Sync + 'static {
    /// What the tool promises about repeats, unless a task says otherwise. At most once when undeclared.
    fn effect(&self) -> Effect {
        Effect::AtMostOnce
    }

    /// Most calls that run at once.
    fn max_concurrent(&self) -> usize {
        64
    }

    /// Say what is wrong with arguments before a run starts, where it can be known; templates are still unrendered.
    fn check(&self, _with: &serde_json::Value) -> Result<(), String> {
        Ok(())
    }

    /// Whether [`Tool::probe`] can tell what became of calls with these arguments, whose templates are still unrendered.
    /// A task may declare `verify` only where it can.
    fn can_probe(&self, _with: &serde_json::Value) -> bool {
        false
    }

    /// The longest silence between two heartbeats ([`CallContext::heartbeat`], [`CallContext::beat`]) that every call
    /// promises, unless its task says otherwise; nothing is promised when undeclared. A call that is silent for longer is
    /// asked to stop, and its outcome is unknown. Silence is counted in the looks of the unsticker, a few seconds apart, so
    /// that a process that stood still accuses nobody. Asked once, when a system starts.
    fn heartbeat(&self) -> Option<Duration> {
        None
    }

    /// Whether calls beat at all: only then may a task promise heartbeats.
    fn can_beat(&self) -> bool {
        self.heartbeat().is_some()
    }

    /// For a tool that does nothing but let time pass: until when, in milliseconds since 1970, given these arguments and
    /// the time now. A task then waits by itself, with a durable timer, and makes no call. Must be pure: it is asked again
    /// whenever the decision is taken again. `None`, also for arguments that are wrong, makes the call.
    fn sleeps_until(&self, _input: &Json, _now_ms: u64) -> Option<u64> {
        None
    }

    /// Do it. Return [`Outcome::Failed`] only when it certainly had no effect, and [`Outcome::Unknown`] otherwise.
    /// Dropping the future, a panic, and the time limit all count as unknown. A call that is asked to stop
    /// ([`CallContext::cancelled`]) and does not answer within five seconds is dropped.
    fn call(&self, cx: &CallContext, input: Json) -> impl Future<Output = Outcome> + Send;

    /// Say whether the call with this key and these arguments happened. Asked after an attempt with an unknown outcome, when
    /// the call's effect is [`Effect::Verify`]; the former attempt's future is gone by then, and what it saved is in
    /// [`CallContext::last_checkpoint`]. It must only read, because it may be asked more than once, and it has the call's
    /// time limit. Dropping the future, a panic and the time limit all count as [`Probe::CannotTell`].
    fn probe(&self, _cx: &CallContext, _input: Json) -> impl Future<Output = Probe> + Send {
        std::future::ready(cannot_probe())
    }
}

fn cannot_probe() -> Probe {
    Probe::CannotTell(Failure::new("probe", "the tool has no probe"))
}

/// A future that a tool is busy with.
pub type Calling = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A future that finds out what became of a call.
pub type Asking = Pin<Box<dyn Future<Output = Probe> + Send>>;

/// Any tool, whatever its type.
pub trait AnyTool: Send + Sync + 'static {
    /// See [`Tool::effect`].
    fn effect(&self) -> Effect;
    /// See [`Tool::max_concurrent`].
    fn max_concurrent(&self) -> usize;
    /// See [`Tool::check`].
    ///
    /// # Errors
    /// What is wrong, in one sentence.
    fn check(&self, with: &serde_json::Value) -> Result<(), String>;
    /// See [`Tool::can_probe`].
    fn can_probe(&self, with: &serde_json::Value) -> bool;
    /// See [`Tool::heartbeat`].
    fn heartbeat(&self) -> Option<Duration>;
    /// See [`Tool::can_beat`].
    fn can_beat(&self) -> bool;
    /// See [`Tool::sleeps_until`].
    fn sleeps_until(&self, input: &Json, now_ms: u64) -> Option<u64>;
    /// See [`Tool::call`].
    fn start(self: Arc<Self>, cx: CallContext, input: Json) -> Calling;
    /// See [`Tool::probe`].
    fn ask(self: Arc<Self>, cx: CallContext, input: Json) -> Asking;
}

impl<T: Tool> AnyTool for T {
    fn effect(&self) -> Effect {
        Tool::effect(self)
    }

    fn max_concurrent(&self) -> usize {
        Tool::max_concurrent(self)
    }

    fn check(&self, with: &serde_json::Value) -> Result<(), String> {
        Tool::check(self, with)
    }

    fn can_probe(&self, with: &serde_json::Value) -> bool {
        Tool::can_probe(self, with)
    }

    fn heartbeat(&self) -> Option<Duration> {
        Tool::heartbeat(self)
    }

    fn can_beat(&self) -> bool {
        Tool::can_beat(self)
    }

    fn sleeps_until(&self, input: &Json, now_ms: u64) -> Option<u64> {
        Tool::sleeps_until(self, input, now_ms)
    }

    fn start(self: Arc<Self>, cx: CallContext, input: Json) -> Calling {
        Box::pin(async move { self.call(&cx, input).await })
    }

    fn ask(self: Arc<Self>, cx: CallContext, input: Json) -> Asking {
        Box::pin(async move { self.probe(&cx, input).await })
    }
}
