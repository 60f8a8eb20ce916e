//! A store that fails under a living engine: it is opened again, and what was to happen happens once.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use headframe::{
    Engine, Error, Submission,
    durable::{
        self, Effect, Outcome, Probe,
        store::{Memory, Tail},
    },
    engine::{Condition, Reopen},
    json::Json,
    plan::{Checked, Plan},
};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;

/// How long a test waits before it fails instead of hanging.
const SOON: Duration = Duration::from_secs(20);
const QUICK: Reopen =
    Reopen { tries: 3, wait: Duration::from_millis(1), failures_max: 5, period: Duration::from_secs(60) };

/// Bytes that outlive their stores, and the store that is open now.
#[derive(Clone)]
struct Disk {
    now: Arc<Mutex<Arc<Memory>>>,
    /// Opening it fails so often.
    refusals: Arc<AtomicU32>,
}

impl Disk {
    fn new(with_rows: bool) -> Self {
        let memory = if with_rows { Memory::with_rows() } else { Memory::new() };
        Self { now: Arc::new(Mutex::new(Arc::new(memory))), refusals: Arc::default() }
    }

    fn open(&self) -> Result<Arc<dyn durable::store::Store>, durable::store::Error> {
        let refused = self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if refused.is_ok() {
            return Err(durable::store::Error::Closed { cause: "the disk is still full".to_owned() });
        }
        let mut now = self.now.lock();
        *now = Arc::new(now.reopen());
        Ok(now.clone())
    }

    fn fail_at(&self, append: u64, tail: Tail) {
        self.now.lock().fail_at(append, tail);
    }
}

async fn start(disk: &Disk, folder: &Path, effect: Effect, calls: &Arc<AtomicU32>) -> Engine {
    let (disk, calls) = (disk.clone(), calls.clone());
    let count = move |input: Json| {
        calls.fetch_add(1, Ordering::SeqCst);
        async move { Outcome::Done(input) }
    };
    let builder = Engine::builder().closure("count", effect, count).reopen(QUICK);
    builder.start_with(move || disk.open(), folder).await.unwrap()
}

/// Three tasks, one after the other.
fn plan(engine: &Engine) -> Arc<Checked> {
    let plan = Plan::builder("three").phase("only", |phase| {
        let phase = phase.sequential();
        ["a", "b", "c"].into_iter().fold(phase, |phase, name| phase.task(name, "count", |task| task.with(json!(1))))
    });
    engine.check(plan.build()).unwrap()
}

fn keyed() -> Submission {
    Submission { input: json!({}), key: Some("order-7".to_owned()), labels: Vec::new() }
}

/// As a client does: submit, and after an unknown outcome again with the same key, once the engine is open.
async fn submit(engine: &Engine, plan: &Arc<Checked>) -> headframe::RunHandle {
    loop {
        match engine.submit(plan, keyed()).await {
            Ok(run) => return run,
            Err(Error::System(durable::Error::OutcomeUnknown { .. })) => open_again(engine).await,
            Err(error) => panic!("neither taken nor unknown: {error}"),
        }
    }
}

/// Wait for the second incarnation.
async fn open_again(engine: &Engine) {
    let mut condition = engine.condition();
    let open = condition.wait_for(|condition| *condition == Condition::Open { incarnation: 2 });
    tokio::time::timeout(SOON, open).await.expect("it is opened again in time").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_once_is_opened_again_and_everything_finishes_once_whichever_write_it_was() {
    for effect in [Effect::IDEMPOTENT, Effect::AtMostOnce] {
        for tail in [Tail::Lost, Tail::Kept, Tail::Partial(9)] {
            for (append, with_rows) in (1..=6).flat_map(|append| [(append, false), (append, true)]) {
                let what = format!("{effect:?}, {tail:?}, append {append}, rows {with_rows}");
                let (disk, calls, folder) = (Disk::new(with_rows), Arc::default(), tempfile::tempdir().unwrap());
                let engine = start(&disk, folder.path(), effect, &calls).await;
                let plan = plan(&engine);
                disk.fail_at(append, tail);
                let run = submit(&engine, &plan).await;
                let outcome = tokio::time::timeout(SOON, run.outcome()).await;
                let outcome = outcome.unwrap_or_else(|_| panic!("{what}: it ends in time")).unwrap();
                assert!(matches!(outcome, headframe::run::Outcome::Succeeded(_)), "{what}: {outcome:?}");
                // Of an idempotent call whose outcome went with the store, another is made, with the same key.
                let most = if effect == Effect::AtMostOnce { 3 } else { 4 };
                assert!((3..=most).contains(&calls.load(Ordering::SeqCst)), "{what}: {calls:?} calls of three tasks");
                assert_eq!(submit(&engine, &plan).await.id(), run.id(), "{what}");
                assert_eq!(engine.runs().await.unwrap().len(), 1, "{what}");
                assert_eq!(engine.doubts().await.unwrap().len(), 0, "{what}");
                let verified = engine.system().ledger().verify().unwrap();
                assert_eq!(verified.problems, Vec::<String>::new(), "{what}");
                engine.stop().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_runs_while_the_store_fails_is_not_begun_again_and_its_outcome_counts() {
    for effect in [Effect::IDEMPOTENT, Effect::AtMostOnce, Effect::VERIFY] {
        let (calls, begun, go_on) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (counted, begins, waits) = (calls.clone(), begun.clone(), go_on.clone());
        let tool = headframe::tool::Closure::new(effect, move |_: Json| {
            counted.fetch_add(1, Ordering::SeqCst);
            begins.notify_one();
            let waits = waits.clone();
            async move {
                waits.notified().await;
                Outcome::Done(Json::from(json!("done")))
            }
        });
        let tool = tool.with_probe(|_: Json| async { unwanted() });
        let (disk, folder) = (Disk::new(false), tempfile::tempdir().unwrap());
        let opens = disk.clone();
        let builder = Engine::builder().tool("slow", tool).reopen(QUICK);
        let engine = builder.start_with(move || opens.open(), folder.path()).await.unwrap();
        let one = |tool| Plan::builder("one").phase("only", |phase| phase.task("t", tool, |task| task)).build();
        let run = engine.submit(&engine.check(one("slow")).unwrap(), keyed()).await.unwrap();
        begun.notified().await;
        disk.fail_at(1, Tail::Lost);
        let other = engine.check(one("echo")).unwrap();
        let unknown = engine.submit(&other, json!({})).await;
        assert!(matches!(unknown, Err(Error::System(durable::Error::OutcomeUnknown { .. }))), "{effect:?}");
        open_again(&engine).await;
        go_on.notify_one();
        let outcome = tokio::time::timeout(SOON, run.outcome()).await.expect("it ends in time").unwrap();
        assert!(matches!(outcome, headframe::run::Outcome::Succeeded(_)), "{effect:?}: {outcome:?}");
        assert_eq!(calls.load(Ordering::SeqCst), 1, "{effect:?}");
        engine.stop().await;
    }
}

/// Whoever followed a run once heard nothing more of it when its store was opened again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_follows_a_run_hears_each_event_once_across_a_store_that_fails() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, waits) = (begun.clone(), go_on.clone());
    let tool = headframe::tool::Closure::new(Effect::IDEMPOTENT, move |_: Json| {
        begins.notify_one();
        let waits = waits.clone();
        async move {
            waits.notified().await;
            Outcome::Done(Json::from(json!("done")))
        }
    });
    let (disk, folder) = (Disk::new(false), tempfile::tempdir().unwrap());
    let opens = disk.clone();
    let builder = Engine::builder().tool("slow", tool).reopen(QUICK);
    let engine = builder.start_with(move || opens.open(), folder.path()).await.unwrap();
    let plan = Plan::builder("one").phase("only", |phase| phase.task("t", "slow", |task| task)).build();
    let run = engine.submit(&engine.check(plan).unwrap(), keyed()).await.unwrap();
    begun.notified().await;
    let mut events = run.events().await.unwrap();
    let mut numbers: Vec<_> = events.next().await.unwrap().unwrap().iter().map(|item| item.number).collect();
    disk.fail_at(1, Tail::Lost);
    let other = engine.check(Plan::builder("two").phase("only", |phase| phase.task("t", "echo", |task| task)).build());
    assert!(engine.submit(&other.unwrap(), json!({})).await.is_err());
    open_again(&engine).await;
    go_on.notify_one();
    let told = async {
        let mut has_ended = false;
        while !has_ended {
            let items = events.next().await.unwrap().expect("it goes on in the next incarnation");
            numbers.extend(items.iter().map(|item| item.number));
            has_ended = items.iter().any(|item| item.kind == "run" && format!("{:?}", item.what).contains("Ended"));
        }
    };
    tokio::time::timeout(SOON, told).await.expect("it is told in time");
    assert_eq!(numbers, (numbers[0]..numbers[0] + numbers.len() as u64).collect::<Vec<_>>());
    engine.stop().await;
    assert!(events.next().await.unwrap().is_none(), "a stopped engine has no more to tell");
}

fn unwanted() -> Probe {
    panic!("what runs in this process is not probed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_does_not_open_is_tried_a_few_times_and_then_stays_closed() {
    for (refusals, opens) in [(2, true), (3, false)] {
        let (disk, calls, folder) = (Disk::new(false), Arc::default(), tempfile::tempdir().unwrap());
        let engine = start(&disk, folder.path(), Effect::IDEMPOTENT, &calls).await;
        let plan = plan(&engine);
        disk.refusals.store(refusals, Ordering::SeqCst);
        disk.fail_at(1, Tail::Lost);
        assert!(engine.submit(&plan, keyed()).await.is_err());
        let mut condition = engine.condition();
        let is_settled =
            |now: &Condition| !matches!(now, Condition::Reopening { .. } | Condition::Open { incarnation: 1 });
        let settled = condition.wait_for(is_settled);
        let settled = tokio::time::timeout(SOON, settled).await.expect("it is settled in time").unwrap().clone();
        match settled {
            Condition::Closed { cause } => assert!(!opens && cause.contains("still full"), "{cause}"),
            settled => assert!(opens, "{settled:?}"),
        }
        assert_eq!(engine.submit(&plan, keyed()).await.is_ok(), opens, "{refusals} refusals");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_was_stopped_is_not_opened_again() {
    let (disk, calls, folder) = (Disk::new(false), Arc::default(), tempfile::tempdir().unwrap());
    let engine = start(&disk, folder.path(), Effect::IDEMPOTENT, &calls).await;
    engine.stop().await;
    let mut condition = engine.condition();
    let closed = condition.wait_for(|condition| matches!(condition, Condition::Closed { .. }));
    tokio::time::timeout(SOON, closed).await.expect("it is closed in time").unwrap();
}
