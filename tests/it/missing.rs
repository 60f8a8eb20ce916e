//! A tool that is not there when a run wants it: the run waits, somebody is told, and it goes on once the tool is back.

use std::{path::Path, sync::Arc, time::Duration};

use headframe::{
    Engine,
    durable::{Effect, Outcome, Reason},
    engine::Reopen,
    json::Json,
    plan::Plan,
};
use serde_json::json;
use tokio::sync::Notify;

/// How long a test waits before it fails instead of hanging.
const SOON: Duration = Duration::from_secs(20);

/// An engine whose tool `mine` says that it began, and never answers.
async fn start_hanging(folder: &Path, begun: &Arc<Notify>) -> Engine {
    let begun = begun.clone();
    let hangs = move |_: Json| {
        begun.notify_one();
        std::future::pending::<Outcome>()
    };
    let builder = Engine::builder().data(folder).closure("mine", Effect::IDEMPOTENT, hangs).reopen(Reopen::NEVER);
    builder.start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_tool_is_missing_after_a_restart_waits_is_named_and_goes_on_when_it_is_back() {
    let (folder, begun) = (tempfile::tempdir().unwrap(), Arc::new(Notify::new()));
    let engine = start_hanging(folder.path(), &begun).await;
    let plan = Plan::builder("one").phase("only", |phase| phase.task("t", "mine", |task| task)).build();
    let run = engine.submit(&engine.check(plan).unwrap(), json!({})).await.unwrap().id();
    tokio::time::timeout(SOON, begun.notified()).await.expect("the call begins");
    // Nothing is stopped in order: the call is cut off.
    drop(engine.system().abandon());
    drop(engine);

    let without = Engine::builder().data(folder.path()).start().await.unwrap();
    let named = async {
        loop {
            let stuck = without.waiting().await.unwrap();
            if let Some(found) = stuck.into_iter().find(|found| found.reason == Reason::NoTool) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    let named = tokio::time::timeout(SOON, named).await.expect("it is named");
    assert!(named.sentence.contains("waits for the tool `mine`, which is not registered here"), "{}", named.sentence);
    assert!(!without.run(run).await.unwrap().row().await.unwrap().has_ended());
    without.stop().await;

    let answers = |_: Json| async { Outcome::Done(Json::from(json!("done"))) };
    let with =
        Engine::builder().data(folder.path()).closure("mine", Effect::IDEMPOTENT, answers).start().await.unwrap();
    let outcome = tokio::time::timeout(SOON, with.run(run).await.unwrap().outcome()).await.expect("it ends in time");
    assert!(matches!(outcome.unwrap(), headframe::run::Outcome::Succeeded(_)));
    with.stop().await;
}
