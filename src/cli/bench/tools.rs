//! The engine that is measured, and the tools in it.
//!
//! **Invariant:** the engine is that of `headframe run`; only the tools are ours.

use std::{path::Path, sync::Arc, time::Duration};

use headframe::{
    Engine, RunHandle,
    clock::monotonic,
    durable::{self, Outcome, Probe},
    engine::{EngineBuilder, Error},
    json::Json,
    plan::Checked,
    tool::{CallContext, Tool},
};
use serde_json::json;

use super::{super::folder, Failed, noise::noise, tenths::Tenths};

/// The engine of `headframe run`, on a folder of ours.
pub(super) fn engine(folder: &Path) -> EngineBuilder {
    folder::builder(folder)
}

/// Whoever was refused asks again so much later, and twice as much later each time he is refused again.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);
/// But never later than this.
const REFUSED_PAUSE_MAX: Duration = Duration::from_millis(320);
/// A minute without room is no matter of pace.
const REFUSED_MAX: Duration = Duration::from_secs(60);

/// Submit a run. While nothing more is taken in, ask again, for a minute; returns also how often that was.
pub(super) async fn submit(engine: &Engine, plan: &Arc<Checked>) -> Result<(RunHandle, u64), Failed> {
    let (mut refused, mut pause, began) = (0, REFUSED_PAUSE, monotonic());
    loop {
        match engine.submit(plan, json!({})).await {
            Err(Error::System(durable::Error::Busy { .. })) if began.elapsed() < REFUSED_MAX => refused += 1,
            submitted => return Ok((submitted?, refused)),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(REFUSED_PAUSE_MAX);
    }
}

/// A tool that gives back what it is given, or as much noise, at once or after a time.
#[derive(Clone, Debug)]
pub(super) struct Echo {
    effect: durable::Effect,
    gives: Option<u32>,
    permits: usize,
    takes: Option<Duration>,
    tenths: Option<Arc<Tenths>>,
}

impl Echo {
    /// At once.
    pub(super) fn new(effect: impl Into<durable::Effect>) -> Self {
        Self { effect: effect.into(), gives: None, permits: 64, takes: None, tenths: None }
    }

    /// So many calls at once.
    pub(super) fn permits(self, permits: u32) -> Self {
        Self { permits: permits as usize, ..self }
    }

    /// It gives so many bytes that nobody has seen before, and not what it is given.
    pub(super) fn gives(self, bytes: u32) -> Self {
        Self { gives: Some(bytes), ..self }
    }

    /// Each is counted.
    pub(super) fn counted(self, tenths: Arc<Tenths>) -> Self {
        Self { tenths: Some(tenths), ..self }
    }

    /// Each takes so long.
    pub(super) fn takes(self, takes: Duration) -> Self {
        Self { takes: Some(takes), ..self }
    }
}

impl Tool for Echo {
    fn effect(&self) -> durable::Effect {
        self.effect
    }

    fn max_concurrent(&self) -> usize {
        self.permits
    }

    fn can_probe(&self, _: &serde_json::Value) -> bool {
        true
    }

    async fn call(&self, _: &CallContext, input: Json) -> Outcome {
        if let Some(takes) = self.takes {
            tokio::time::sleep(takes).await;
        }
        if let Some(tenths) = &self.tenths {
            tenths.count();
        }
        Outcome::Done(self.gives.map_or(input, said))
    }

    async fn probe(&self, _: &CallContext, input: Json) -> Probe {
        Probe::Happened(self.gives.map_or(input, said))
    }
}

/// Noise as a value, of so many bytes with its quotes.
fn said(bytes: u32) -> Json {
    Json::from(&json!(noise(bytes.saturating_sub(2))))
}
