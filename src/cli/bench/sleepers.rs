//! Runs that sleep, and that they leave memory.

use std::time::Duration;

use headframe::{Engine, clock::monotonic, engine::EngineBuilder, plan::Plan};
use serde_json::json;

use super::Failed;

/// An actor that has had no message for so long leaves memory. Headframe waits for a minute when it is not told otherwise.
const IDLE: Duration = Duration::from_secs(1);
/// As many hosts as Headframe has when it is not told otherwise.
const HOSTS_MAX: usize = 16_384;
/// Whoever is in memory after so long stays there.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// How often it is looked whether all are asleep.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Actors of this engine leave memory soon.
pub(super) fn drowsy(builder: EngineBuilder) -> EngineBuilder {
    builder.passivate(IDLE, HOSTS_MAX)
}

/// One task that sleeps, for a time like `1m 30s`.
pub(super) fn plan(length: &str) -> Plan {
    Plan::builder("sleeper")
        .phase("wait", |phase| phase.task("sleep", "sleep", |task| task.with(json!({"for": length}))))
        .build()
}

/// Wait until nobody is in memory.
pub(super) async fn all_asleep(engine: &Engine) -> Result<(), Failed> {
    let (system, began) = (engine.system(), monotonic());
    loop {
        let left = PATIENCE.saturating_sub(began.elapsed());
        system.checkpoint(left).await?;
        let figures = system.figures();
        if (figures.actors, figures.hosted) == (0, 0) {
            return Ok(());
        }
        if left.is_zero() {
            let minutes = PATIENCE.as_secs() / 60;
            return Err(format!("{} actors are still in memory after {minutes} minutes", figures.actors).into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
