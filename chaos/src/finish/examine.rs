//! What the engine itself must say when it has come to rest: nothing left, chains that verify, streams that end once,
//! and the same again after one more start.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use headframe::{
    Engine, Submission as Given,
    durable::{Item, Ledger, RowState, StreamId, What, store::Local},
    run::Row,
};
use serde_json::{Value, json};

use super::{Place, open};
use crate::{
    oracle::{Submission, Violation},
    parent::Client,
    victim::Works,
    workload,
};

/// Streams that are read event by event: each costs a walk through the journal.
const STREAMS: usize = 16;

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

/// A key that was used is refused for anything else.
pub(super) async fn key_conflict(works: &Works, submissions: &[Submission]) -> Option<Violation> {
    let first = submissions.iter().find(|submission| submission.found.is_some())?;
    let given = Given { input: json!({"key": "another"}), key: Some(workload::key(first.number)), labels: Vec::new() };
    match works.engine.submit(&works.plans[0], given).await {
        Err(headframe::Error::KeyConflict { .. }) => None,
        Err(error) => Some(Violation::wrong("I5", format!("a used key with another input gave `{error}`"))),
        Ok(run) => Some(Violation::wrong("I5", format!("a used key with another input gave {}", run.id()))),
    }
}

/// I2, I3: nothing is left of runs that have ended, and no message was given up.
pub(super) async fn at_rest(works: &Works) -> anyhow::Result<Vec<Violation>> {
    let system = works.engine.system();
    let mut complaints = Vec::new();
    let (actors, calls) = (system.census().await?.actors, system.figures().calls);
    if actors + calls > 0 {
        complaints.push(Violation::wrong("I3", format!("{actors} actors and {calls} calls are left")));
    }
    // What comes for an actor that has finished is late, and that is all right.
    let dead = system.dead_letters().await?;
    let given_up = dead.iter().map(|(_, letter)| letter).filter(|letter| !letter.reason.starts_with("late"));
    for letter in given_up.take(5) {
        complaints.push(Violation::wrong("I2", format!("a message to {} was given up: {}", letter.to, letter.reason)));
    }
    Ok(complaints)
}

/// I7, and I1 and I4 in the streams of the runs that lived through most deaths.
pub(super) async fn ledger(works: &Arc<Works>, client: &Client) -> anyhow::Result<Vec<Violation>> {
    let mut tried: Vec<_> = client.submitted.iter().map(|(number, known)| (known.lives, *number)).collect();
    // A run that did not end has been told of already.
    tried.retain(|(_, number)| client.submitted.get(number).is_some_and(|known| known.outcome.is_some()));
    tried.sort_unstable_by(|a, b| b.cmp(a));
    let mut streams = Vec::new();
    for (_, number) in tried.into_iter().take(STREAMS) {
        let row = works.engine.run_by_key(&workload::key(number)).await?.row().await?;
        streams.push((number, StreamId(row.actor.0)));
    }
    let ledger = works.engine.system().ledger();
    tokio::task::spawn_blocking(move || read(&ledger, &streams)).await?
}

fn read(ledger: &Ledger, streams: &[(u64, StreamId)]) -> anyhow::Result<Vec<Violation>> {
    let verified = ledger.verify().context("the ledger cannot be read")?;
    let mut complaints: Vec<_> = verified.problems.into_iter().map(|problem| Violation::wrong("I7", problem)).collect();
    for (number, stream) in streams {
        let mut items = Vec::new();
        ledger.stream(*stream, &mut |item| {
            items.push(item);
            true
        })?;
        let named = |wrong: Violation| Violation { what: format!("submission {number}: {}", wrong.what), ..wrong };
        complaints.extend(ends(&items).into_iter().map(named));
    }
    Ok(complaints)
}

/// Every actor of a stream ends once, the run last; the stream is dense.
fn ends(items: &[Item]) -> Vec<Violation> {
    let mut complaints = Vec::new();
    let mut ends: BTreeMap<_, u32> = BTreeMap::new();
    for (item, number) in items.iter().zip(1..) {
        if item.number != number {
            complaints.push(Violation::wrong(
                "I7",
                format!("event {} of its stream stands where {number} should", item.number),
            ));
        }
        *ends.entry((item.actor, item.kind)).or_default() += u32::from(is_end(item));
    }
    for ((actor, kind), ends) in ends.into_iter().filter(|(_, ends)| *ends != 1) {
        let rule = if kind == "task" { "I4" } else { "I1" };
        let what = format!("its {kind} {actor} ended {ends} times");
        complaints.push(if ends == 0 { Violation::lost(rule, what) } else { Violation::duplicated(rule, what) });
    }
    if items.last().is_none_or(|last| last.kind != "run" || !is_end(last)) {
        complaints.push(Violation::wrong("I1", "its stream does not close with the end of the run".to_owned()));
    }
    complaints
}

fn is_end(item: &Item) -> bool {
    let What::Event(event) = &item.what else { return false };
    let name = match event {
        Value::String(name) => Some(name),
        Value::Object(map) => map.keys().next(),
        _ => None,
    };
    name.is_some_and(|name| matches!(name.as_str(), "Ended" | "Succeeded" | "Failed" | "Stopped"))
}

/// I12: the files are sound, and one more start knows the same.
pub(super) async fn restart(works: Arc<Works>, place: &Place, life: u32) -> anyhow::Result<Vec<Violation>> {
    let before = rows(&works.engine).await?;
    works.engine.stop().await;
    drop(works);
    let checked = Local::check(&place.data)?;
    let mut complaints: Vec<_> = checked.problems.into_iter().map(|problem| Violation::wrong("I12", problem)).collect();
    let works = reopen(place, life).await?;
    let after = rows(&works.engine).await?;
    if before != after {
        let (had, has) = (before.len(), after.len());
        complaints.push(Violation::wrong(
            "I12",
            format!("a clean restart changed what is known of the runs ({had} rows, then {has})"),
        ));
    }
    let (actors, calls) = (works.engine.system().census().await?.actors, works.engine.system().figures().calls);
    if actors + calls > 0 {
        complaints.push(Violation::wrong("I12", format!("a clean restart brought {actors} actors back to life")));
    }
    works.engine.stop().await;
    Ok(complaints)
}

/// The engine that stopped lets go of the folder when its last task has ended.
async fn reopen(place: &Place, life: u32) -> anyhow::Result<Arc<Works>> {
    for _ in 0..100 {
        match open(place, 0, life).await {
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

#[cfg(test)]
mod tests {
    use headframe::durable::ActorId;

    use super::*;

    #[test]
    fn a_stream_that_ends_once_is_fine() {
        let items = [item(1, 7, "task", json!("Succeeded")), item(2, 1, "run", json!({"Ended": {}}))];
        assert_eq!(ends(&items), []);
    }

    #[test]
    fn a_second_result_is_seen() {
        let result = |number| item(number, 7, "task", json!("Succeeded"));
        let items = [result(1), result(2), item(3, 1, "run", json!({"Ended": {}}))];
        assert_eq!(ends(&items)[0].rule, "I4");
    }

    #[test]
    fn a_hole_and_an_open_end_are_seen() {
        let items = [item(1, 1, "run", json!({"Submitted": {}})), item(3, 1, "run", json!({"Cancelled": {}}))];
        let rules: Vec<_> = ends(&items).into_iter().map(|violation| violation.rule).collect();
        assert_eq!(rules, ["I7", "I1", "I1"]);
    }

    fn item(number: u64, actor: u64, kind: &'static str, event: Value) -> Item {
        let (actor, what) = (ActorId(actor), What::Event(event));
        Item { record: 1, stream: StreamId(1), number, at_ms: 0, actor, kind, what, hash: String::new() }
    }
}
