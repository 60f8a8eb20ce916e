//! Large outputs: what does not fit a message goes to the artifact store, before the commit that names it.

use std::sync::Arc;

use headframe_actors::{
    durable::{Effect, Outcome},
    json::Json,
    tool::{AnyTool, CallContext, Calling},
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

    fn start(self: Arc<Self>, cx: CallContext, input: Json) -> Calling {
        let calling = self.tool.clone().start(cx, input);
        Box::pin(async move {
            match calling.await {
                Outcome::Done(output) if output.len() > INLINE_MAX => self.spill(output).await,
                outcome => outcome,
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
