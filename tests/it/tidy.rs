//! What is kept for a while, and then goes: keys of submissions, and artifacts that nothing names.

use std::{
    fs::File,
    path::Path,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use headframe::{
    Engine, Error, Submission,
    artifacts::Digest,
    clock::{ManualClock, ManualReadings, Reading},
    durable::{
        Effect, Outcome,
        store::{Local, LocalOptions},
    },
    engine::{EngineBuilder, Retention},
    json::Json,
    plan::{Checked, InputKind, Plan},
};
use serde_json::json;
use tokio::sync::Semaphore;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const DAY_MS: u64 = 86_400_000;
const NOON_MS: u64 = 1_700_000_000_000;

/// A run that goes on when the gate lets it.
fn gated(clock: &Arc<ManualClock>, gate: &Arc<Semaphore>) -> EngineBuilder {
    let gate = gate.clone();
    let wait = move |_| {
        let gate = gate.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Outcome::Done(Json::NULL)
        }
    };
    Engine::builder().clock(clock.clone()).closure("gate", Effect::IDEMPOTENT, wait)
}

fn plan(engine: &Engine, tool: &str) -> Arc<Checked> {
    let plan = Plan::builder("w").input_or("n", InputKind::Number, 0);
    engine.check(plan.phase("a", |phase| phase.task("t", tool, |task| task)).build()).unwrap()
}

fn submission(n: u64) -> Submission {
    Submission { input: json!({ "n": n }), key: Some("order-7".to_owned()), ..Submission::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_a_submission_lives_until_its_run_has_ended_and_then_for_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, gate) = (Arc::new(ManualClock::at(NOON_MS)), Arc::new(Semaphore::new(0)));
    let engine = gated(&clock, &gate).data(folder.path()).start().await.unwrap();
    let workflow = plan(&engine, "gate");
    let first = engine.submit(&workflow, submission(1)).await.unwrap();
    clock.advance(30 * DAY_MS);
    assert_eq!(engine.sweep_keys().await.unwrap().removed, 0, "its run has not ended");
    assert_eq!(engine.submit(&workflow, submission(1)).await.unwrap().id(), first.id());
    assert!(matches!(engine.submit(&workflow, submission(2)).await, Err(Error::KeyConflict { .. })));
    gate.add_permits(1);
    first.outcome().await.unwrap();
    clock.advance(DAY_MS - 1);
    engine.stop().await;
    let engine = gated(&clock, &gate).data(folder.path()).start().await.unwrap();
    assert_eq!(engine.sweep_keys().await.unwrap().removed, 0, "a day has not passed");
    assert_eq!(engine.submit(&workflow, submission(1)).await.unwrap().id(), first.id());
    assert_eq!(engine.run_by_key("order-7").await.unwrap().id(), first.id());
    clock.advance(1);
    assert_eq!(engine.sweep_keys().await.unwrap().removed, 1);
    let figures = engine.keys().await.unwrap();
    assert_eq!((figures.kept, figures.removed, figures.hits), (0, 1, 1));
    assert!(matches!(engine.run_by_key("order-7").await, Err(Error::NoRun(_))));
    assert_ne!(engine.submit(&workflow, submission(2)).await.unwrap().id(), first.id(), "it is a key like any other");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_artifact_that_nothing_durable_names_is_collected() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let large = |_| async { Outcome::Done(Json::of(&"x".repeat(100_000)).unwrap()) };
        // So that history has left the journal.
        let options = LocalOptions {
            segment_bytes: 64 * 1024,
            base_bytes: 64 * 1024,
            base_every: Duration::from_millis(5),
            ..LocalOptions::default()
        };
        let builder = Engine::builder().data(folder.path()).store_options(options);
        builder.closure("large", Effect::IDEMPOTENT, large).start()
    };
    let engine = start().await.unwrap();
    let put = |bytes: &[u8]| engine.artifacts().put(bytes).unwrap();
    // Named by the event of a task, by the input of a run, by the content of that, by nothing.
    let made = engine.submit(&plan(&engine, "large"), json!({})).await.unwrap().output().await.unwrap();
    assert!(made.is_null(), "the plan has no output, and the events name the artifact");
    let inner = put(b"inner");
    let list = put(json!([[0, inner.to_value()]]).to_string().as_bytes());
    let taken = Plan::builder("takes").input_or("file", InputKind::Any, json!(null));
    let taken = engine.check(taken.phase("a", |phase| phase.task("t", "echo", |task| task)).build()).unwrap();
    engine.submit(&taken, json!({ "file": list.to_value() })).await.unwrap().outcome().await.unwrap();
    let [left, young] = [put(b"left over"), put(b"young")];
    while Local::check(folder.path()).unwrap().ledger.files == 0 {
        for number in 0..20 {
            let input = json!({ "file": "y".repeat(1_000 + number) });
            engine.submit(&taken, input).await.unwrap().outcome().await.unwrap();
        }
    }
    age(&engine, |digest| digest != young.digest);
    let unfinished = folder.path().join("artifacts/tmp/1-1");
    File::create(&unfinished).unwrap().set_modified(UNIX_EPOCH).unwrap();
    let found = engine.unnamed_artifacts().await.unwrap();
    let expected = vec![(left.digest.hex(), 9)];
    assert_eq!((found.stored, found.young, &found.unnamed), (5, 1, &expected), "{found:?}");
    let done = engine.collect_artifacts().await.unwrap();
    assert_eq!((done.removed, done.removed_bytes, done.abandoned), (1, 9, 1), "{done:?}");
    assert!(!engine.artifacts().contains(left.digest) && !unfinished.exists());
    engine.stop().await;
    let engine = start().await.unwrap();
    assert_eq!(engine.collect_artifacts().await.unwrap().removed, 0);
    assert_eq!(engine.artifacts().list().unwrap().len(), 4);
    engine.stop().await;
}

/// A damaged list once named nothing: its parts were collected, and storing the list again did not bring them back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_collected_while_an_artifact_that_is_named_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::builder().data(folder.path()).start().await.unwrap();
    let put = |bytes: &[u8]| engine.artifacts().put(bytes).unwrap();
    let inner = put(b"inner");
    let whole = json!([[0, inner.to_value()]]).to_string();
    let list = put(whole.as_bytes());
    let taken = Plan::builder("takes").input_or("file", InputKind::Any, json!(null));
    let taken = engine.check(taken.phase("a", |phase| phase.task("t", "echo", |task| task)).build()).unwrap();
    engine.submit(&taken, json!({ "file": list.to_value() })).await.unwrap().outcome().await.unwrap();
    std::fs::write(engine.artifacts().path(list.digest), "[[0, null]]").unwrap();
    age(&engine, |_| true);
    let done = engine.collect_artifacts().await.unwrap();
    assert!(done.removed == 0 && done.held.as_ref().is_some_and(|held| held.contains(&list.digest.hex())), "{done:?}");
    put(whole.as_bytes());
    age(&engine, |_| true);
    let done = engine.collect_artifacts().await.unwrap();
    assert_eq!((done.removed, done.held), (0, None));
    assert!(engine.artifacts().contains(inner.digest));
    engine.stop().await;
}

/// What a call put aside is named by its answer only, which may come later than any time to live.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_a_call_under_way_may_name_is_collected() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, gate) = (Arc::new(ManualClock::at(NOON_MS)), Arc::new(Semaphore::new(0)));
    let engine = gated(&clock, &gate).data(folder.path()).start().await.unwrap();
    let run = engine.submit(&plan(&engine, "gate"), json!({})).await.unwrap();
    let begins = async {
        while engine.system().read(|live| live.calls.is_empty()).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), begins).await.expect("its call begins");
    let put = engine.artifacts().put(b"of the call").unwrap();
    // Touched after the call began, and long ago.
    let touched = UNIX_EPOCH + Duration::from_millis(NOON_MS + 1);
    File::open(engine.artifacts().path(put.digest)).unwrap().set_modified(touched).unwrap();
    assert!(headframe::clock::Clock::now_ms(&headframe::clock::SystemClock) > NOON_MS + 2 * DAY_MS);
    assert_eq!(engine.collect_artifacts().await.unwrap().removed, 0);
    gate.add_permits(1);
    run.outcome().await.unwrap();
    assert_eq!(engine.collect_artifacts().await.unwrap().removed, 1, "its answer did not name it");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_forgotten_or_collected_for_ten_minutes_after_the_wall_clock_jumped() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, gate) = (Arc::new(ManualClock::at(NOON_MS)), Arc::new(Semaphore::new(1)));
    let engine = gated(&clock, &gate).data(folder.path()).start().await.unwrap();
    let run = engine.submit(&plan(&engine, "gate"), submission(1)).await.unwrap();
    run.outcome().await.unwrap();
    engine.artifacts().put(b"left over").unwrap();
    age(&engine, |_| true);
    engine.stop().await;
    // Nine days after the last record: a machine that rested, or a clock that is wrong.
    clock.advance(9 * DAY_MS);
    let readings = Arc::new(ManualReadings::at(Reading { wall_ms: NOON_MS + 9 * DAY_MS, boot_ms: 1 }));
    let builder = gated(&clock, &gate).readings(readings.clone()).data(folder.path());
    let engine = builder.start().await.unwrap();
    let (keys, artifacts) = (engine.sweep_keys().await.unwrap(), engine.collect_artifacts().await.unwrap());
    assert_eq!((keys.held, keys.removed), (true, 0));
    assert_eq!((artifacts.held.is_some(), artifacts.removed), (true, 0));
    readings.advance(600_000);
    let (keys, artifacts) = (engine.sweep_keys().await.unwrap(), engine.collect_artifacts().await.unwrap());
    assert_eq!((keys.held, keys.removed, artifacts.held, artifacts.removed), (false, 1, None, 1));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_tidies_up_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let builder = Engine::builder().data(folder.path()).collect_every(Duration::from_millis(1));
    let engine = builder.start().await.unwrap();
    let left = engine.artifacts().put(b"left over").unwrap();
    age(&engine, |_| true);
    let gone = async {
        while engine.artifacts().contains(left.digest) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("it goes");
    engine.stop().await;
}

/// Runs whose rows are there, and whether nothing is wrong with the history that is left.
async fn left(engine: &Engine) -> usize {
    assert_eq!(engine.system().ledger().verify().unwrap().problems, Vec::<String>::new());
    engine.runs().await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_when_its_time_is_over_with_its_history_and_what_only_that_named() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, gate) = (Arc::new(ManualClock::at(NOON_MS)), Arc::new(Semaphore::new(0)));
    let start = || {
        let large = |_| async { Outcome::Done(Json::of(&"x".repeat(100_000)).unwrap()) };
        let options = LocalOptions {
            segment_bytes: 64 * 1024,
            base_bytes: 64 * 1024,
            base_every: Duration::from_millis(5),
            ..LocalOptions::default()
        };
        let retention = Retention { age: Some(3 * DAY), runs: None };
        let builder = gated(&clock, &gate).retention(retention).data(folder.path()).store_options(options);
        builder.closure("large", Effect::IDEMPOTENT, large).start()
    };
    let engine = start().await.unwrap();
    let files = || Local::check(folder.path()).unwrap().ledger.files;
    engine.submit(&plan(&engine, "large"), json!({})).await.unwrap().outcome().await.unwrap();
    let named = engine.artifacts().list().unwrap();
    assert_eq!(named.len(), 1);
    fill(&engine, || files() >= 2).await;
    let old = left(&engine).await;
    clock.advance(3 * DAY_MS - 1);
    assert_eq!(engine.sweep_keys().await.unwrap().removed, 0, "their time is not over");
    clock.advance(1);
    let waiting = engine.submit(&plan(&engine, "gate"), json!({})).await.unwrap();
    let before = files();
    fill(&engine, || files() >= before + 2).await;
    let all = left(&engine).await;
    assert_eq!(engine.sweep_keys().await.unwrap().removed, old as u64);
    assert_eq!(left(&engine).await, all - old);
    let is_gone =
        || Local::check(folder.path()).unwrap().notes.iter().any(|note| note.contains("is gone with its runs"));
    let gone = async {
        while !is_gone() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("history goes");
    engine.stop().await;
    let engine = start().await.unwrap();
    assert_eq!(left(&engine).await, all - old);
    age(&engine, |_| true);
    assert_eq!(engine.collect_artifacts().await.unwrap().removed, 0, "a call is under way, which may name it");
    gate.add_permits(1);
    engine.run(waiting.id()).await.unwrap().outcome().await.unwrap();
    assert_eq!(engine.collect_artifacts().await.unwrap().removed, 1, "only what is gone named it");
    assert!(!engine.artifacts().contains(named[0].digest));
    let checked = Local::check(folder.path()).unwrap();
    assert_eq!(checked.problems, Vec::<String>::new());
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_runs_that_have_ended_so_many_stay_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, gate) = (Arc::new(ManualClock::at(NOON_MS)), Arc::new(Semaphore::new(0)));
    let builder = gated(&clock, &gate).retention(Retention { age: None, runs: Some(3) });
    let engine = builder.data(folder.path()).start().await.unwrap();
    let waiting = engine.submit(&plan(&engine, "gate"), json!({})).await.unwrap();
    let (mut ended, mut handles) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        clock.advance(1_000);
        let run = engine.submit(&plan(&engine, "echo"), json!({})).await.unwrap();
        run.outcome().await.unwrap();
        ended.push(run.id());
        handles.push(run);
    }
    clock.advance(DAY_MS);
    assert_eq!(
        engine.sweep_keys().await.unwrap().removed,
        0,
        "their keys would still answer with them, or did a moment ago"
    );
    clock.advance(DAY_MS / 24);
    assert_eq!(engine.sweep_keys().await.unwrap().removed, 5);
    // Who still holds one that is gone is told, and does not wait for ever.
    let told = tokio::time::timeout(Duration::from_secs(30), handles[0].outcome()).await.expect("an answer");
    assert!(matches!(told, Err(Error::NoRun(_))), "{told:?}");
    assert!(handles[7].outcome().await.is_ok());
    let rows = engine.runs().await.unwrap();
    let mut expected: Vec<_> = ended[5..].iter().rev().copied().chain([waiting.id()]).collect();
    expected.sort();
    let mut there: Vec<_> = rows.iter().map(|row| row.run).collect();
    there.sort();
    assert_eq!(there, expected, "the newest, and one that has not ended");
    assert_eq!(engine.sweep_keys().await.unwrap().removed, 0);
    engine.stop().await;
}

/// Runs until something holds.
async fn fill(engine: &Engine, until: impl Fn() -> bool) {
    let takes = Plan::builder("takes").input_or("file", InputKind::Any, json!(null));
    let takes = engine.check(takes.phase("a", |phase| phase.task("t", "echo", |task| task)).build()).unwrap();
    while !until() {
        for number in 0..20 {
            let input = json!({ "file": "y".repeat(1_000 + number) });
            engine.submit(&takes, input).await.unwrap().outcome().await.unwrap();
        }
    }
}

/// Let artifacts look as if nobody had touched them for long.
fn age(engine: &Engine, whether: impl Fn(Digest) -> bool) {
    let artifacts = engine.artifacts();
    for entry in artifacts.list().unwrap().iter().filter(|entry| whether(entry.digest)) {
        make_old(&artifacts.path(entry.digest));
    }
}

fn make_old(path: &Path) {
    let long_ago = std::fs::metadata(path).unwrap().modified().unwrap() - 2 * DAY;
    File::open(path).unwrap().set_modified(long_ago).unwrap();
}
