//! What an engine inside a program measures, with a recorder of the program's choice.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use headframe::{
    Engine, RunHandle,
    durable::{Behavior, Effect, Outcome, Rejection, System, Turn, meters::Measure, store::Memory},
    engine::EngineBuilder,
    metrics::{Family, Prometheus},
    plan::Plan,
};
use serde_json::json;

use crate::scrape::Scrape;

#[tokio::test]
async fn trouble_is_counted() {
    let (folder, prometheus) = (tempfile::tempdir().unwrap(), Prometheus::new());
    let engine = engine(folder.path()).instruments(prometheus.instruments()).start().await.unwrap();
    assert_eq!(submit(&engine, "flaky").await.output().await.unwrap(), json!(null));
    let held = submit(&engine, "lost").await;
    while engine.doubts().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(engine.system().kill_tool("flaky"));
    let restarted = "headframe_restarts_total{of=\"service\"}";
    while scrape(&engine, &prometheus).await.series[restarted] < 1.0 {
        tokio::task::yield_now().await;
    }
    let scraped = scrape(&engine, &prometheus).await;
    let expect = [
        ("headframe_calls_ended_total{tool=\"flaky\",outcome=\"unknown\"}", 1.0),
        ("headframe_calls_ended_total{tool=\"flaky\",outcome=\"done\"}", 1.0),
        ("headframe_calls_ended_total{tool=\"lost\",outcome=\"unknown\"}", 1.0),
        ("headframe_task_retries_total", 1.0),
        ("headframe_calls_open", 1.0),
        ("headframe_calls_in_doubt", 1.0),
        ("headframe_stuck{reason=\"in-doubt\"}", 1.0),
        ("headframe_stuck{reason=\"lost-call\"}", 0.0),
        ("headframe_runs_live", 1.0),
        ("headframe_actors{kind=\"run\"}", 1.0),
        ("headframe_actors{kind=\"task\"}", 1.0),
        (restarted, 1.0),
    ];
    for (series, value) in expect {
        assert_eq!(scraped.series.get(series), Some(&value), "{series}: {}", scraped.text);
    }
    held.cancel("not needed").await.unwrap();
    engine.stop().await;
}

#[tokio::test]
async fn two_engines_of_one_process_do_not_count_for_each_other() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let recorders = [Prometheus::new(), Prometheus::new()];
    let mut ended = Vec::new();
    for (at, (folder, prometheus)) in folders.iter().zip(&recorders).enumerate() {
        let engine = engine(folder.path()).instruments(prometheus.instruments()).start().await.unwrap();
        for _ in 0..=at {
            submit(&engine, "flaky").await.output().await.unwrap();
        }
        ended.push(engine);
    }
    for (at, (engine, prometheus)) in ended.iter().zip(&recorders).enumerate() {
        let scraped = scrape(engine, prometheus).await;
        assert_eq!(scraped.series["headframe_runs_ended_total{outcome=\"succeeded\"}"], at as f64 + 1.0);
        engine.stop().await;
    }
}

/// Without a word about it an engine takes what is installed, and installs nothing itself.
#[test]
fn an_engine_counts_with_the_recorder_that_is_installed_when_it_starts() {
    let (folder, prometheus) = (tempfile::tempdir().unwrap(), Prometheus::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let recorder = prometheus.recorder();
    let start = || runtime.block_on(engine(folder.path()).start()).unwrap();
    let engine = metrics::with_local_recorder(&recorder, start);
    runtime.block_on(async {
        submit(&engine, "flaky").await.output().await.unwrap();
        let scraped = scrape(&engine, &prometheus).await;
        assert_eq!(scraped.series["headframe_runs_submitted_total"], 1.0, "{}", scraped.text);
        engine.stop().await;
    });
}

const COINS: Family = Family::counter("coins_total", &["side"], "Coins that were taken.");
const COIN: Measure = Measure { counter: &COINS, values: &["heads", "tails"], lasted: None };

/// Takes coins, and counts them before it does anything else.
struct Till;

#[derive(serde::Serialize, serde::Deserialize)]
enum Coin {
    Good,
    Refused,
    Deadly,
}

impl Behavior for Till {
    const KIND: &'static str = "till";
    const VERSION: u16 = 1;
    type State = u32;
    type Message = Coin;
    type Event = ();
    type Reply = u32;

    fn decide(turn: &mut Turn<'_, Self>, coin: Coin) -> Result<(), Rejection> {
        turn.count(&COIN, "heads", 1);
        match coin {
            Coin::Good => turn.emit(&()),
            Coin::Refused => return Err(Rejection::new("it is bent")),
            Coin::Deadly => panic!("it is too hot"),
        }
        let taken = *turn.state();
        turn.reply(&taken);
        Ok(())
    }

    fn apply(taken: &mut u32, (): &()) {
        *taken += 1;
    }
}

/// A decision may be taken more than once, and refused: what it counts is counted when it is accepted.
#[tokio::test]
async fn a_turn_that_is_refused_or_dies_counts_nothing() {
    let prometheus = Prometheus::new();
    let system = System::builder().behavior::<Till>().measures(&[COIN]).instruments(prometheus.instruments());
    let system = system.start(Arc::new(Memory::new())).await.unwrap();
    let till = system.spawn::<Till>("till", &Coin::Good).await.unwrap();
    let within = Duration::from_secs(60);
    assert!(system.ask(till, Coin::Refused, within).await.is_err());
    assert_eq!(system.ask(till, Coin::Good, within).await.unwrap(), 2);
    system.tell(till, Coin::Deadly).await.unwrap();
    while system.figures().buried == 0 {
        tokio::task::yield_now().await;
    }
    system.record_metrics();
    let scraped = Scrape::read(&prometheus.render());
    assert_eq!(scraped.series["coins_total{side=\"heads\"}"], 2.0, "{}", scraped.text);
    assert_eq!(scraped.series["coins_total{side=\"tails\"}"], 0.0);
    assert_eq!(scraped.series["headframe_dead_letters_total"], 1.0, "the one that it dies of");
    assert_eq!(scraped.series["headframe_restarts_total{of=\"actor\"}"], 4.0, "the fifth death is its last");
    system.stop(within).await;
}

/// A tool whose first outcome is unknown, and one of which nobody ever knows.
fn engine(folder: &Path) -> EngineBuilder {
    let tried = AtomicBool::new(false);
    let flaky = move |_| {
        let is_first = !tried.swap(true, Ordering::SeqCst);
        async move { if is_first { Outcome::unknown("lost", "no luck") } else { Outcome::Done(json!(null).into()) } }
    };
    let lost = |_| async { Outcome::unknown("lost", "nobody knows") };
    Engine::builder().data(folder).closure("flaky", Effect::IDEMPOTENT, flaky).closure("lost", Effect::AtMostOnce, lost)
}

async fn submit(engine: &Engine, tool: &str) -> RunHandle {
    let again = |task: headframe::plan::TaskBuilder| task.retry(2).backoff(Duration::from_millis(1));
    let plan = Plan::builder("w").phase("a", |phase| phase.task("t", tool, again));
    engine.submit(&engine.check(plan.build()).unwrap(), json!({})).await.unwrap()
}

async fn scrape(engine: &Engine, prometheus: &Prometheus) -> Scrape {
    engine.survey().await.unwrap();
    engine.record_metrics();
    Scrape::read(&prometheus.render())
}
