//! W1: runs of ten sequential no-op tasks, so many in flight.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use headframe::{
    Engine,
    clock::monotonic,
    durable::store::Stats,
    plan::{Checked, PhaseBuilder, Plan},
};
use serde::Serialize;
use serde_json::json;

use super::{
    Args, Failed,
    args::Effect,
    lanes::{Times, Until, lanes},
    limit::{self, Limits},
    process::{Shares, Threads, cpu_time},
    tools::{self, Echo},
};

/// Tasks of one run.
pub(super) const TASKS: u32 = 10;

/// What was measured, each figure in this run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Runs in flight.
    concurrency: u32,
    /// What the tool promises about repeats.
    effect: Effect,
    /// Bytes that each task was given and gave back.
    payload_bytes: u32,
    /// For how long it was measured.
    seconds: f64,
    /// Runs that ended well.
    runs: u64,
    /// Tasks finished per second.
    tasks_per_s: f64,
    /// Half of the runs took no longer, from submission to durable end.
    run_p50_ms: f64,
    /// 95 % of the runs took no longer.
    run_p95_ms: f64,
    /// 99 % of the runs took no longer.
    run_p99_ms: f64,
    /// Syncs that were waited for, per task.
    syncs_per_task: f64,
    /// Bytes written to the journal, per task.
    bytes_per_task: f64,
    /// Processor time per task, all in.
    cpu_us_per_task: f64,
    /// Whose time that was.
    cpu_shares: Shares,
    /// Tasks per second, of the limit.
    of_limit: f64,
    #[serde(flatten)]
    limits: Limits,
}

pub(super) async fn measure(scratch: &Path, args: &Args) -> Result<Report, Failed> {
    let before = limit::measure(scratch, args.concurrency(), limit::GUESS_BYTES).await?;
    let work = work(&scratch.join("store"), args).await?;
    let tasks = (work.runs * u64::from(TASKS)).max(1) as f64;
    let bytes_per_task = work.store.written_bytes as f64 / tasks;
    let after = limit::measure(scratch, args.concurrency(), bytes_per_task).await?;
    let limits = Limits::new(before, after, args.concurrency());
    let tasks_per_s = tasks / work.elapsed.as_secs_f64();
    Ok(Report {
        concurrency: args.concurrency(),
        effect: args.effect(),
        payload_bytes: args.payload(),
        seconds: work.elapsed.as_secs_f64(),
        runs: work.runs,
        tasks_per_s,
        run_p50_ms: work.times.p50_ms,
        run_p95_ms: work.times.p95_ms,
        run_p99_ms: work.times.p99_ms,
        syncs_per_task: work.store.syncs as f64 / tasks,
        bytes_per_task,
        cpu_us_per_task: work.cpu.as_secs_f64() * 1e6 / tasks,
        cpu_shares: work.shares,
        of_limit: tasks_per_s / limits.limit_per_s,
        limits,
    })
}

/// What the work took.
struct Work {
    runs: u64,
    elapsed: Duration,
    times: Times,
    store: Stats,
    cpu: Duration,
    shares: Shares,
}

async fn work(folder: &Path, args: &Args) -> Result<Work, Failed> {
    let engine = tools::engine(folder).tool("noop", Echo::new(args.effect())).start().await?;
    let plan = engine.check(plan("w1", TASKS, args.payload()))?;
    let lap = |length| lanes(args.concurrency(), Until::after(length), one_run(&engine, &plan));
    if let Some(length) = args.warmup() {
        lap(length).await?;
    }
    let (store, threads) = (engine.system().figures().store, Threads::now());
    let (cpu, began) = (cpu_time(), monotonic());
    let times = lap(args.length()).await?;
    let elapsed = began.elapsed();
    let work = Work {
        runs: times.len(),
        elapsed,
        times: Times::from(&times),
        store: difference(engine.system().figures().store, store),
        cpu: cpu_time().saturating_sub(cpu),
        shares: Threads::now().since(&threads),
    };
    engine.stop().await;
    Ok(work)
}

/// One sequential phase of tasks that give back what they are given.
pub(super) fn plan(name: &str, tasks: u32, payload: u32) -> Plan {
    let payload = "x".repeat(payload.saturating_sub(2) as usize);
    let steps = |phase: PhaseBuilder| {
        (0..tasks).fold(phase.sequential(), |phase, task| {
            phase.task(format!("t{task}"), "noop", |task| task.with(json!(payload)))
        })
    };
    Plan::builder(name).phase("steps", steps).build()
}

/// A step for [`lanes`]: submit a run, and wait for its end.
pub(super) fn one_run(
    engine: &Engine,
    plan: &Arc<Checked>,
) -> impl Fn(u64) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Failed>> + Send>> + Clone + Send + 'static {
    let (engine, plan) = (engine.clone(), plan.clone());
    move |_| {
        let (engine, plan) = (engine.clone(), plan.clone());
        Box::pin(async move {
            engine.submit(&plan, json!({})).await?.output().await?;
            Ok(())
        })
    }
}

/// What a store did between two looks.
pub(super) fn difference(after: Stats, before: Stats) -> Stats {
    Stats {
        records: after.records - before.records,
        payload_bytes: after.payload_bytes - before.payload_bytes,
        written_bytes: after.written_bytes - before.written_bytes,
        syncs: after.syncs - before.syncs,
        rows: after.rows,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { concurrency, runs, seconds, .. } = self;
        writeln!(f, "w1: {runs} runs of {TASKS} tasks, {concurrency} in flight, {seconds:.1} s")?;
        writeln!(f, "  tasks/s            {:>12.0}", self.tasks_per_s)?;
        let [p50, p95, p99] = [self.run_p50_ms, self.run_p95_ms, self.run_p99_ms];
        writeln!(f, "  run p50, p95, p99  {p50:>12.2} ms  {p95:.2} ms  {p99:.2} ms")?;
        writeln!(f, "  syncs per task     {:>12.3}", self.syncs_per_task)?;
        writeln!(f, "  journal per task   {:>12.0} B", self.bytes_per_task)?;
        writeln!(f, "  CPU per task       {:>12.1} us", self.cpu_us_per_task)?;
        writeln!(f, "  of which           {}", self.cpu_shares)?;
        writeln!(f, "  of the limit       {:>12.1} %", self.of_limit * 100.0)?;
        self.limits.fmt(f)
    }
}
