//! W1: runs of ten sequential no-op tasks, so many in flight.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use headframe::{
    Engine,
    clock::monotonic,
    durable::{Effect, Outcome, store::Stats},
    plan::{Checked, Plan},
};
use serde_json::json;

use super::{Args, Failed};

/// Tasks of one run.
const TASKS: u64 = 10;

/// What was measured.
pub(super) struct Work {
    pub(super) runs: u64,
    pub(super) elapsed: Duration,
    pub(super) run_times: Histogram<u64>,
    pub(super) store: Stats,
    pub(super) cpu: Duration,
}

impl Work {
    pub(super) fn tasks(&self) -> u64 {
        self.runs * TASKS
    }

    pub(super) fn bytes_per_task(&self) -> f64 {
        self.store.written_bytes as f64 / self.tasks().max(1) as f64
    }
}

pub(super) async fn measure(folder: &Path, args: &Args) -> Result<Work, Failed> {
    let echo = |input| std::future::ready(Outcome::Done(input));
    let engine = Engine::builder().data(folder).closure("noop", Effect::IDEMPOTENT, echo).start().await?;
    let plan = engine.check(plan(args.payload))?;
    if args.warmup > 0 {
        phase(&engine, &plan, args.concurrency, Duration::from_secs(args.warmup.into())).await?;
    }
    let before = engine.system().figures().store;
    let cpu = cpu_time();
    let began = monotonic();
    let run_times = phase(&engine, &plan, args.concurrency, Duration::from_secs(args.seconds.into())).await?;
    let elapsed = began.elapsed();
    let after = engine.system().figures().store;
    let work = Work {
        runs: run_times.len(),
        elapsed,
        run_times,
        store: difference(after, before),
        cpu: cpu_time().saturating_sub(cpu),
    };
    engine.stop().await;
    Ok(work)
}

/// One sequential phase of ten tasks that give back what they are given.
fn plan(payload: u32) -> Plan {
    let payload = "x".repeat(payload.saturating_sub(2) as usize);
    let tasks = |phase: headframe::plan::PhaseBuilder| {
        (0..TASKS).fold(phase.sequential(), |phase, task| {
            phase.task(format!("t{task}"), "noop", |task| task.with(json!(payload)))
        })
    };
    Plan::builder("w1").phase("steps", tasks).build()
}

async fn phase(engine: &Engine, plan: &Arc<Checked>, lanes: u32, length: Duration) -> Result<Histogram<u64>, Failed> {
    let end = monotonic() + length;
    let mut set = tokio::task::JoinSet::new();
    let failed = Arc::new(AtomicBool::new(false));
    let submitted = Arc::new(AtomicU64::new(0));
    for _ in 0..lanes {
        set.spawn(lane(engine.clone(), plan.clone(), end, failed.clone(), submitted.clone()));
    }
    let mut all = Histogram::new(3)?;
    while let Some(times) = set.join_next().await {
        all.add(times??)?;
    }
    Ok(all)
}

/// One run after the other, until the time is over.
async fn lane(
    engine: Engine,
    plan: Arc<Checked>,
    end: Instant,
    failed: Arc<AtomicBool>,
    submitted: Arc<AtomicU64>,
) -> Result<Histogram<u64>, Failed> {
    let mut times = Histogram::new(3)?;
    while monotonic() < end && !failed.load(Ordering::Relaxed) {
        let began = monotonic();
        submitted.fetch_add(1, Ordering::Relaxed);
        let run = engine.submit(&plan, json!({})).await?;
        if let Err(error) = run.output().await {
            failed.store(true, Ordering::Relaxed);
            return Err(error.into());
        }
        times.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    Ok(times)
}

fn difference(after: Stats, before: Stats) -> Stats {
    Stats {
        records: after.records - before.records,
        payload_bytes: after.payload_bytes - before.payload_bytes,
        written_bytes: after.written_bytes - before.written_bytes,
        syncs: after.syncs - before.syncs,
    }
}

/// Time that this process has spent on a processor.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
