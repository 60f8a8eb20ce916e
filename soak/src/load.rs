//! Lanes, each with one run after the other: steps, a fan-out, retries, a call that may happen once.
//!
//! **Invariant:** every run of this load succeeds; the first that does not ends the soak with its reason.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use headframe::{
    Engine,
    clock::monotonic,
    durable::{Effect, Outcome},
    engine::EngineBuilder,
    json::Json,
    plan::{Checked, Plan},
};
use serde_json::json;
use tokio::task::JoinSet;

/// Runs that ended since the last look, with their times in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) runs: u64,
    pub(crate) per_s: f64,
    /// Processor time of the whole process for each of them: the figure that a busy machine does not move.
    pub(crate) cpu_us_per_run: f64,
    pub(crate) times: Histogram<u64>,
}

/// When somebody last looked, and how much processor time had been used by then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Last {
    at: Instant,
    cpu: Duration,
}

impl Last {
    pub(crate) fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
        Self { at: monotonic(), cpu: Duration::new(seconds, nanos) }
    }
}

/// Shared by the lanes.
struct Shared {
    runs: AtomicU64,
    failed: AtomicBool,
    stopped: AtomicBool,
    times: Mutex<Histogram<u64>>,
    ends: Instant,
}

/// The lanes.
pub(crate) struct Load {
    lanes: JoinSet<anyhow::Result<()>>,
    shared: Arc<Shared>,
}

/// Tools of every kind: ready at once, slow, failing now and then, at most once.
pub(crate) fn tools(builder: EngineBuilder) -> EngineBuilder {
    let calls = Arc::new(AtomicU64::new(0));
    let noop = |input| std::future::ready(Outcome::Done(input));
    let slow = |input| async {
        tokio::time::sleep(Duration::from_millis(2)).await;
        Outcome::Done(input)
    };
    let flaky = move |input: Json| {
        let refused = calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
        std::future::ready(if refused { Outcome::failed("refused", "not now") } else { Outcome::Done(input) })
    };
    builder
        .closure("noop", Effect::IDEMPOTENT, noop)
        .closure("slow", Effect::IDEMPOTENT, slow)
        .closure("flaky", Effect::IDEMPOTENT, flaky)
        .closure("once", Effect::AtMostOnce, noop)
}

fn plan() -> Plan {
    let text = json!({"text": "{{ input.text }}"});
    Plan::builder("soak")
        .input_or("text", headframe::plan::InputKind::String, "steady")
        .phase("steps", |phase| {
            phase
                .sequential()
                .task("first", "noop", |task| task.with(text.clone()))
                .task("second", "slow", |task| task.with(json!({"after": "{{ outputs.steps.first }}"})))
        })
        .phase("fan", |phase| {
            let over = json!([1, 2, 3, 4, 5, 6]);
            phase.max_parallel(4).task("each", "noop", |task| task.for_each(over).with(json!("{{ item }}")))
        })
        .phase("close", |phase| {
            let wait = Duration::from_millis(5);
            phase.task("try", "flaky", |task| task.with(json!({})).retry(50).backoff(wait).backoff_factor(1.0)).task(
                "pay",
                "once",
                |task| task.with(text.clone()),
            )
        })
        .output(json!({"each": "{{ outputs.fan.each }}", "pay": "{{ outputs.close.pay }}"}))
        .build()
}

impl Load {
    /// Start the lanes; they end by themselves after `length`.
    pub(crate) fn start(engine: &Engine, lanes: u32, length: Duration) -> anyhow::Result<Self> {
        let plan = engine.check(plan())?;
        let shared = Arc::new(Shared {
            runs: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            times: Mutex::new(empty()),
            ends: monotonic() + length,
        });
        let mut set = JoinSet::new();
        for _ in 0..lanes {
            set.spawn(lane(engine.clone(), plan.clone(), shared.clone()));
        }
        Ok(Self { lanes: set, shared })
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Let the lanes end with the runs that they are at.
    pub(crate) fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }

    /// What ended since `last`, which moves on.
    pub(crate) fn since_last(&self, last: &mut Last) -> Ended {
        let now = Last::now();
        let times = std::mem::replace(&mut *lock(&self.shared.times), empty());
        let per_s = times.len() as f64 / now.at.duration_since(last.at).as_secs_f64();
        let cpu_us_per_run = now.cpu.saturating_sub(last.cpu).as_secs_f64() * 1e6 / times.len().max(1) as f64;
        *last = now;
        Ended { runs: self.shared.runs.load(Ordering::Relaxed), per_s, cpu_us_per_run, times }
    }

    /// Wait until the lanes have ended.
    pub(crate) async fn end(&mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.lanes.join_next().await {
            ended??;
        }
        Ok(())
    }
}

async fn lane(engine: Engine, plan: Arc<Checked>, shared: Arc<Shared>) -> anyhow::Result<()> {
    let goes_on = |flag: &AtomicBool| !flag.load(Ordering::Relaxed);
    while monotonic() < shared.ends && goes_on(&shared.failed) && goes_on(&shared.stopped) {
        let began = monotonic();
        if let Err(error) = one(&engine, &plan).await {
            shared.failed.store(true, Ordering::Relaxed);
            return Err(error);
        }
        shared.runs.fetch_add(1, Ordering::Relaxed);
        lock(&shared.times).saturating_record(u64::try_from(began.elapsed().as_micros())?);
    }
    Ok(())
}

async fn one(engine: &Engine, plan: &Arc<Checked>) -> anyhow::Result<()> {
    let run = engine.submit(plan, json!({})).await.context("a submission was refused")?;
    run.output().await.map(|_| ()).context("a run of the load did not succeed")
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("an hour in microseconds, to three digits")
}

fn lock(times: &Mutex<Histogram<u64>>) -> std::sync::MutexGuard<'_, Histogram<u64>> {
    times.lock().expect("nobody panics while recording a time")
}
