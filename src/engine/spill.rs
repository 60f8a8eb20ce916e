//! Large outputs: what does not fit a message goes to the artifact store, before the commit that names it.

use std::{sync::Arc, time::Duration};

use headframe_actors::{
    durable::{Effect, Outcome, Probe},
    json::Json,
    tool::{AnyTool, Asking, CallContext, Calling},
};
use serde_json::Value;

use crate::artifacts::Artifacts;

/// The largest output that travels in messages.
const INLINE_MAX: usize = 64 * 1024;

/// A tool whose large outputs become artifacts.
pub(super) struct Spilling {
    pub(super) tool: Arc<dyn AnyTool>,
    pub(super) artifacts: Artifacts,
}

impl AnyTool for Spilling {
    fn effect(&self) -> Effect {
        self.tool.effect()
    }

    fn max_concurrent(&self) -> usize {
        self.tool.max_concurrent()
    }

    fn check(&self, with: &Value) -> Result<(), String> {
        self.tool.check(with)
    }

    fn can_probe(&self, with: &Value) -> bool {
        self.tool.can_probe(with)
    }

    fn heartbeat(&self) -> Option<Duration> {
        self.tool.heartbeat()
    }

    fn can_beat(&self) -> bool {
        self.tool.can_beat()
    }

    fn sleeps_until(&self, input: &Json, now_ms: u64) -> Option<u64> {
        self.tool.sleeps_until(input, now_ms)
    }

    fn start(self: Arc<Self>, cx: CallContext, input: Json) -> Calling {
        let calling = self.tool.clone().start(cx, input);
        Box::pin(async move {
            match calling.await {
                Outcome::Done(output) if output.len() > INLINE_MAX => self.spill(output).await,
                outcome => outcome,
            }
        })
    }

    fn ask(self: Arc<Self>, cx: CallContext, input: Json) -> Asking {
        let asking = self.tool.clone().ask(cx, input);
        Box::pin(async move {
            match asking.await {
                Probe::Happened(output) if output.len() > INLINE_MAX => match self.spill(output).await {
                    Outcome::Done(reference) => Probe::Happened(reference),
                    Outcome::Failed(failure) | Outcome::Unknown(failure) => Probe::CannotTell(failure),
                },
                probe => probe,
            }
        })
    }
}

impl Spilling {
    async fn spill(&self, output: Json) -> Outcome {
        let artifacts = self.artifacts.clone();
        let stored = tokio::task::spawn_blocking(move || artifacts.put(output.as_bytes())).await;
        match stored {
            Ok(Ok(reference)) => Outcome::Done(reference.as_json().to_value().into()),
            // It happened, but what it gave cannot be kept.
            Ok(Err(error)) => Outcome::unknown("artifact", error.to_string()),
            Err(error) => Outcome::unknown("artifact", error.to_string()),
        }
    }
}
