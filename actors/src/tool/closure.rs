//! Closures as tools.
//!
//! **Invariant:** a closure says that it can probe exactly when it was given a probe, and that it can beat exactly when it
//! is given the call's context.

use std::time::Duration;

use super::{Asking, CallContext, Tool, cannot_probe};
use crate::{
    durable::{Effect, Outcome, Probe},
    json::Json,
};

/// A closure as a tool.
pub struct Closure<F> {
    effect: Effect,
    call: F,
    probe: Option<Box<dyn Fn(Json) -> Asking + Send + Sync>>,
}

impl<F, R> Closure<F>
where
    F: Fn(Json) -> R + Send + Sync + 'static,
    R: Future<Output = Outcome> + Send + 'static,
{
    /// A tool from an async closure and what it promises about repeats.
    pub fn new(effect: Effect, call: F) -> Self {
        Self { effect, call, probe: None }
    }

    /// The same with an async closure that is asked, with the call's arguments, whether a call happened: see
    /// [`Tool::probe`].
    #[must_use]
    pub fn with_probe<P, A>(mut self, probe: P) -> Self
    where
        P: Fn(Json) -> A + Send + Sync + 'static,
        A: Future<Output = Probe> + Send + 'static,
    {
        self.probe = Some(Box::new(move |input| Box::pin(probe(input))));
        self
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

    fn can_probe(&self, _with: &serde_json::Value) -> bool {
        self.probe.is_some()
    }

    async fn call(&self, _cx: &CallContext, input: Json) -> Outcome {
        (self.call)(input).await
    }

    async fn probe(&self, _cx: &CallContext, input: Json) -> Probe {
        match &self.probe {
            Some(probe) => probe(input).await,
            None => cannot_probe(),
        }
    }
}

/// A closure as a tool that is given the call's context: it can beat, save, and hear that it is no longer wanted.
pub struct ContextClosure<F> {
    effect: Effect,
    heartbeat: Option<Duration>,
    call: F,
}

impl<F, R> ContextClosure<F>
where
    F: Fn(CallContext, Json) -> R + Send + Sync + 'static,
    R: Future<Output = Outcome> + Send + 'static,
{
    /// A tool from an async closure and what it promises about repeats.
    pub fn new(effect: Effect, call: F) -> Self {
        Self { effect, heartbeat: None, call }
    }

    /// The same with a promise of heartbeats: see [`Tool::heartbeat`].
    #[must_use]
    pub fn with_heartbeat(mut self, within: Duration) -> Self {
        self.heartbeat = Some(within);
        self
    }
}

impl<F, R> Tool for ContextClosure<F>
where
    F: Fn(CallContext, Json) -> R + Send + Sync + 'static,
    R: Future<Output = Outcome> + Send + 'static,
{
    fn effect(&self) -> Effect {
        self.effect
    }

    fn heartbeat(&self) -> Option<Duration> {
        self.heartbeat
    }

    fn can_beat(&self) -> bool {
        true
    }

    async fn call(&self, cx: &CallContext, input: Json) -> Outcome {
        (self.call)(cx.clone(), input).await
    }
}
