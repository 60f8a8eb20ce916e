//! Tools: what a task calls, and the actor that stands before each of them.
//!
//! A tool is registered under a name. Its actor takes call rows from the durable mailbox, gives each a permit, runs the
//! adapter under a time limit, and commits the answers in batches. A tool that is ready at once is
//! polled in place; nothing is spawned for it.

mod context;
mod host;
mod in_flight;

use std::{pin::Pin, sync::Arc};

pub use self::context::{CHECKPOINT_MAX, CallContext, CheckpointTooLarge, Progress};
pub(crate) use self::{host::ToolSlot, in_flight::InFlight};
use crate::{
    durable::{Effect, Outcome},
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

    /// Do it. Return [`Outcome::Failed`] only when it certainly had no effect, and [`Outcome::Unknown`] otherwise.
    /// Dropping the future, a panic, and the time limit all count as unknown.
    fn call(&self, cx: &CallContext, input: Json) -> impl Future<Output = Outcome> + Send;
}

/// A future that a tool is busy with.
pub type Calling = Pin<Box<dyn Future<Output = Outcome> + Send>>;

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
    /// See [`Tool::call`].
    fn start(self: Arc<Self>, cx: CallContext, input: Json) -> Calling;
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

    fn start(self: Arc<Self>, cx: CallContext, input: Json) -> Calling {
        Box::pin(async move { self.call(&cx, input).await })
    }
}

/// A closure as a tool.
pub struct Closure<F> {
    effect: Effect,
    call: F,
}

impl<F, R> Closure<F>
where
    F: Fn(Json) -> R + Send + Sync + 'static,
    R: Future<Output = Outcome> + Send + 'static,
{
    /// A tool from an async closure and what it promises about repeats.
    pub fn new(effect: Effect, call: F) -> Self {
        Self { effect, call }
    }
}

impl<F, R> Tool for Closure<F>
where
    F: Fn(Json) -> R + Send + Sync + 'static,
    R: Future<Output = Outcome> + Send + 'static,
{
    fn effect(&self) -> Effect {
        self.effect
    }

    async fn call(&self, _cx: &CallContext, input: Json) -> Outcome {
        (self.call)(input).await
    }
}
