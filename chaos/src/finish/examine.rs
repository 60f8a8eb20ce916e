//! What the engine itself must say when it has come to rest: nothing left, no message given up, and the same again after
//! one more start.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use headframe::{Engine, Submission as Given, durable::RowState, run::Row};
use serde_json::json;

use super::open;
use crate::{
    args::Birth,
    fault::Fault,
    oracle::{
        Findings,
        Invariant::{I2, I3, I5, I12},
        Submission, Violation,
    },
    victim::{Place, Works},
    workload,
};

/// What can be said of runs that do not end.
pub(super) async fn stuck(works: &Works, runs: usize) -> String {
    let system = works.engine.system();
    let calls = system.read(|live| {
        let in_doubt = live.calls.values().filter(|row| matches!(row.state, RowState::InDoubt(_))).count();
        let calls = live.calls.values().take(5).map(|row| format!("{} {:?}", row.request.path, row.state));
        let idle = live.actors.values().filter(|actor| actor.mailbox.is_empty()).count();
        let suspended = live.actors.values().filter(|actor| actor.suspended.is_some()).count();
        format!(
            "{} actors ({idle} without mail, {suspended} suspended), {} calls ({in_doubt} in doubt), for example {:?}",
            live.actors.len(),
            live.calls.len(),
            calls.collect::<Vec<_>>()
        )
    });
    format!("{runs} runs are stuck: {}", calls.await.unwrap_or_else(|error| error.to_string()))
}

/// As the unsticker calls a call that is silent.
const LOST_HEARTBEAT: &str = "lost-heartbeat";

/// A key that was used is refused for anything else.
pub(super) async fn key_conflict(works: &Works, submissions: &[Submission], findings: &mut Findings) {
    let Some(first) = submissions.iter().find(|submission| submission.found.is_some()) else { return };
    let given = Given { input: json!({"key": "another"}), key: Some(workload::key(first.number)), labels: Vec::new() };
    findings.tested(I5, 1);
    let what = match works.engine.submit(&works.plans[0], given).await {
        Err(headframe::Error::KeyConflict { .. }) => return,
        Err(error) => format!("a used key with another input gave `{error}`"),
        Ok(run) => format!("a used key with another input gave {}", run.id()),
    };
    findings.found(Violation::wrong(I5, what).of(first.number));
}

/// I2, I3: nothing is left of runs that have ended, and no message was given up. Calls that hang on purpose are the
/// unsticker's to give up.
pub(super) async fn at_rest(works: &Works, birth: &Birth, findings: &mut Findings) -> anyhow::Result<()> {
    let system = works.engine.system();
    let (actors, calls) = (system.census().await?.actors, system.figures().calls);
    findings.tested(I3, 1);
    if actors + calls > 0 {
        findings.found(Violation::wrong(I3, format!("{actors} actors and {calls} calls are left")));
    }
    let mut unstuck = system.unstick_now().await;
    if birth.faults.contains(&Fault::Hangs) {
        unstuck.remove(LOST_HEARTBEAT);
    }
    if !unstuck.is_empty() {
        let what = format!("the unsticker acted where recovery alone should have sufficed: {unstuck:?}; expected 0");
        findings.found(Violation::wrong(I3, what));
    }
    // What comes for an actor that has finished is late, and that is all right.
    let dead = system.dead_letters().await?;
    let given_up = dead.iter().map(|(_, letter)| letter).filter(|letter| !letter.reason.starts_with("late"));
    for letter in given_up.take(5) {
        let what = format!("a message to {} was given up: {}", letter.to, letter.reason);
        findings.found(Violation::wrong(I2, what));
    }
    Ok(())
}

/// Stop in order; returns what is known of the runs.
pub(super) async fn stop(works: Arc<Works>) -> anyhow::Result<Vec<Row>> {
    let rows = rows(&works.engine).await?;
    works.engine.stop().await;
    Ok(rows)
}

/// I12: one more start knows the same, and wakes nobody.
pub(super) async fn restart(
    before: Vec<Row>,
    place: &Place,
    birth: &Birth,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let works = reopen(place, birth).await?;
    let after = rows(&works.engine).await?;
    findings.tested(I12, after.len());
    if before != after {
        let (had, has) = (before.len(), after.len());
        let what = format!("a clean restart changed what is known of the runs ({had} rows, then {has})");
        findings.found(Violation::wrong(I12, what));
    }
    let (actors, calls) = (works.engine.system().census().await?.actors, works.engine.system().figures().calls);
    if actors + calls > 0 {
        findings.found(Violation::wrong(I12, format!("a clean restart brought {actors} actors back to life")));
    }
    works.engine.stop().await;
    Ok(())
}

/// The engine that stopped lets go of the folder when its last task has ended.
async fn reopen(place: &Place, birth: &Birth) -> anyhow::Result<Arc<Works>> {
    for _ in 0..100 {
        match open(place, 0, birth).await {
            Ok(works) => return Ok(works),
            Err(error) if format!("{error:#}").contains("HF0001") => {
                tokio::time::sleep(Duration::from_millis(50)).await
            }
            Err(error) => return Err(error).context("the restart after a clean stop failed"),
        }
    }
    anyhow::bail!("an engine that stopped still holds its folder after five seconds")
}

async fn rows(engine: &Engine) -> anyhow::Result<Vec<Row>> {
    Ok(engine.runs().await?)
}
