//! What becomes of tasks that fail for good, are late, or are no longer wanted: through the whole engine.

use std::{pin::Pin, sync::Arc, time::Duration};

use headframe::{
    Engine, RunHandle,
    clock::ManualClock,
    durable::{self, Effect, What},
    engine::Cancel,
    json::Json,
    plan::{Plan, TaskBuilder},
    run::Outcome,
    tool::{CallContext, ContextClosure},
};
use serde_json::{Value, json};
use tokio::sync::Notify;

const SOON: Duration = Duration::from_secs(30);

async fn engine() -> (Engine, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Engine::builder().data(folder.path().join("data")).start().await.unwrap(), folder)
}

async fn submit(engine: &Engine, text: &str) -> RunHandle {
    let plan = engine.parse("limits.yaml", text).unwrap_or_else(|error| panic!("{error}"));
    engine.submit(&plan, json!({})).await.unwrap()
}

async fn outcome(run: &RunHandle) -> Outcome {
    tokio::time::timeout(SOON, run.outcome()).await.expect("the run ends").unwrap()
}

/// The events of a run, by kind, as the ledger keeps them.
async fn events(run: &RunHandle, kind: &str) -> Vec<Value> {
    let mut tail = run.events().await.unwrap();
    let mut events = Vec::new();
    loop {
        let items = tokio::time::timeout(SOON, tail.next()).await.expect("the ledger has it").unwrap();
        for item in items.expect("the engine still works") {
            let What::Event(event) = item.what else { continue };
            if item.kind == "run" && event.get("Ended").is_some() {
                return events;
            }
            if item.kind == kind {
                events.push(event);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_output_of_a_task_is_that_of_the_tool_that_answered_and_the_ledger_says_which() {
    let (engine, _folder) = engine().await;
    let run = submit(
        &engine,
        r#"
headframe: 1
name: quote
phases:
  - name: quote
    tasks:
      - name: price
        tool: fail
        with: { message: no price }
        fallback:
          - { tool: fail, with: { class: closed } }
          - { tool: echo, with: { text: "{{ input.price }}" } }
input: { price: 100 }
output: "{{ outputs.quote.price.text }}"
"#,
    )
    .await;
    assert_eq!(outcome(&run).await, Outcome::Succeeded(json!(100).into()));
    let events = events(&run, "task").await;
    let fell: Vec<_> = events.iter().filter_map(|event| event.get("FellBack")).collect();
    let said = |at: usize| (&fell[at]["to"], &fell[at]["tool"], &fell[at]["failure"]["class"]);
    assert_eq!(fell.len(), 2);
    assert_eq!(said(0).1, "fail");
    assert_eq!(said(1), (&json!(2), &json!("echo"), &json!("closed")));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_optional_task_failed_to_give_is_null_to_whoever_reads_it() {
    let (engine, _folder) = engine().await;
    let run = submit(
        &engine,
        r#"
headframe: 1
name: degrade
phases:
  - name: try
    tasks:
      - { name: failed, tool: fail, optional: true }
      - { name: late, tool: sleep, with: { for: 1h }, deadline: 50ms, optional: true }
      - { name: fell, tool: fail, fallback: { tool: fail }, optional: true }
      - { name: good, tool: echo, with: 7 }
output: ["{{ outputs.try.failed }}", "{{ outputs.try.late }}", "{{ outputs.try.fell }}", "{{ outputs.try.good }}"]
"#,
    )
    .await;
    assert_eq!(outcome(&run).await, Outcome::Succeeded(json!([null, null, null, 7]).into()));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_late_is_ended_and_its_task_phase_or_run_says_so() {
    let (engine, _folder) = engine().await;
    for (deadline, at) in [("task", "work/hang"), ("phase", "work/hang"), ("run", "run")] {
        let of = |level: &str| if level == deadline { "deadline: 300ms" } else { "" };
        let text = format!(
            r#"
headframe: 1
name: late
{}
phases:
  - name: work
    {}
    tasks:
      - name: hang
        tool: process
        effect: idempotent
        in_doubt: fail
        with: {{ argv: [sleep, "1000"] }}
        {}
"#,
            of("run"),
            of("phase"),
            of("task")
        );
        let run = submit(&engine, &text).await;
        let Outcome::Failed { task, failure } = outcome(&run).await else { panic!("it is late") };
        assert_eq!((&*task, &*failure.class), (at, "deadline"), "{}", failure.message);
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_cancel_changes_nothing() {
    let (engine, _folder) = engine().await;
    let run = submit(
        &engine,
        r#"
headframe: 1
name: cancelled
phases:
  - name: work
    tasks: [{ name: hang, tool: process, effect: idempotent, with: { argv: [sleep, "1000"] } }]
"#,
    )
    .await;
    assert_eq!(run.cancel("the first").await.unwrap(), Cancel::Asked);
    let known = Cancel::Known { reason: "the first".to_owned() };
    // The run takes notice in its own time, and ends before long.
    let second = run.cancel("the second").await.unwrap();
    assert!([Cancel::Asked, known, Cancel::Ended].contains(&second), "{second:?}");
    assert_eq!(outcome(&run).await, Outcome::Cancelled { reason: "the first".to_owned() });
    assert_eq!(run.row().await.unwrap().cancelled.as_deref(), Some("the first"));
    assert_eq!(run.cancel("the third").await.unwrap(), Cancel::Ended);
    assert_eq!(outcome(&run).await, Outcome::Cancelled { reason: "the first".to_owned() });
    let events = events(&run, "run").await;
    assert_eq!(events.iter().filter(|event| event.get("Cancelled").is_some()).count(), 1);
    engine.stop().await;
}

/// A task that ended at its deadline without waiting for its call would report a failure of what was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_turns_out_done_after_its_deadline_is_done() {
    let (clock, begun) = (Arc::new(ManualClock::at(1_700_000_000_000)), Arc::new(Notify::new()));
    let begins = begun.clone();
    let stubborn = ContextClosure::new(Effect::AtMostOnce, move |cx: CallContext, _: Json| {
        let begins = begins.clone();
        Box::pin(async move {
            begins.notify_one();
            // It hears that its time is over when it has paid already.
            cx.cancelled().await;
            durable::Outcome::Done(Json::from(json!("paid")))
        }) as Pin<Box<dyn Future<Output = durable::Outcome> + Send>>
    });
    let folder = tempfile::tempdir().unwrap();
    let builder = Engine::builder().data(folder.path().join("data")).clock(clock.clone());
    let engine = builder.tool("bank", stubborn).start().await.unwrap();
    let task = |task: TaskBuilder| task.deadline(Duration::from_secs(60));
    let plan = Plan::builder("late").phase("pay", |phase| phase.task("charge", "bank", task)).build();
    let run = engine.submit(&engine.check(plan).unwrap(), json!({})).await.unwrap();
    tokio::time::timeout(SOON, begun.notified()).await.expect("the call begins");
    clock.advance(60_000);
    let ended = outcome(&run).await;
    assert!(matches!(ended, Outcome::Succeeded(_)), "{ended:?}");
    let told = events(&run, "task").await;
    assert!(
        told.iter().any(|event| event == "DeadlineOver") && told.iter().any(|event| event == "Succeeded"),
        "{told:?}"
    );
    engine.stop().await;
}
