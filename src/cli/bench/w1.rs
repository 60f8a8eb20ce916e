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
    commits::{Commits, Waited},
    device,
    lanes::{Times, Until, lanes},
    limit::{self, Limits},
    noise::noise,
    process::{Disk, Shares, Threads, cpu_time, memory_bytes},
    tools::{self, Echo},
};

/// Tasks of one run.
pub(super) const TASKS: u32 = 10;
/// Runs in flight while a store is aged.
const AGING_LANES: u32 = 1_000;

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
    /// From the first commit of a record until the record is durable: the queue, and the sync.
    commit: Waited,
    /// Syncs that were waited for, per task.
    syncs_per_task: f64,
    /// Bytes written to the journal, per task.
    bytes_per_task: f64,
    /// Bytes that the disk's device wrote meanwhile, per task, whoever asked it to; none where it has no counter.
    device_bytes_per_task: Option<f64>,
    /// Processor time per task, all in.
    cpu_us_per_task: f64,
    /// Whose time that was.
    cpu_shares: Shares,
    /// Tasks per second, of the limit.
    of_limit: f64,
    /// What it took before the store was aged, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    aged: Option<Aged>,
    /// Runs that were finished before it was measured, if the store was aged.
    #[serde(skip_serializing_if = "Option::is_none")]
    aged_runs: Option<u32>,
    #[serde(flatten)]
    limits: Limits,
}

/// The same work on a store that is new, and what became of it with age.
#[derive(Clone, Debug, Serialize)]
struct Aged {
    /// Runs of one task that were finished between the two measurements.
    runs: u32,
    /// Tasks finished per second, when it was new.
    fresh_tasks_per_s: f64,
    /// Processor time per task, when it was new.
    fresh_cpu_us_per_task: f64,
    /// Whose time that was.
    fresh_cpu_shares: Shares,
    /// Commits, when it was new.
    fresh_commit: Waited,
    /// Processor time per task, of that of the new store.
    cpu_ratio: f64,
    /// Tasks per second, of those of the new store.
    tasks_ratio: f64,
    /// How long it took to finish them.
    aging_s: f64,
    /// Processor time for each of them.
    aging_cpu_us_per_run: f64,
    /// Memory of the process that is in RAM, afterwards.
    memory_bytes: u64,
    /// What the folder takes, afterwards.
    disk_bytes: Disk,
}

pub(super) async fn measure(scratch: &Path, args: &Args) -> Result<Report, Failed> {
    let before = limit::measure(scratch, args.concurrency(), limit::GUESS_BYTES).await?;
    let (work, aged) = work(&scratch.join("store"), args).await?;
    let bytes_per_task = work.store.written_bytes as f64 / work.tasks();
    let after = limit::measure(scratch, args.concurrency(), bytes_per_task).await?;
    let limits = Limits::new(before, after, args.concurrency());
    Ok(Report {
        concurrency: args.concurrency(),
        effect: args.effect(),
        payload_bytes: args.payload(),
        seconds: work.elapsed.as_secs_f64(),
        runs: work.runs,
        tasks_per_s: work.tasks_per_s(),
        run_p50_ms: work.times.p50_ms,
        run_p95_ms: work.times.p95_ms,
        run_p99_ms: work.times.p99_ms,
        commit: work.commit,
        syncs_per_task: work.store.syncs as f64 / work.tasks(),
        bytes_per_task,
        device_bytes_per_task: work.device_bytes.map(|bytes| bytes as f64 / work.tasks()),
        cpu_us_per_task: work.cpu_us_per_task(),
        of_limit: work.tasks_per_s() / limits.limit_per_s,
        cpu_shares: work.shares,
        aged_runs: args.aged(),
        aged,
        limits,
    })
}

/// What the work took.
struct Work {
    runs: u64,
    elapsed: Duration,
    times: Times,
    commit: Waited,
    store: Stats,
    device_bytes: Option<u64>,
    cpu: Duration,
    shares: Shares,
}

impl Work {
    fn tasks(&self) -> f64 {
        (self.runs * u64::from(TASKS)).max(1) as f64
    }

    fn tasks_per_s(&self) -> f64 {
        self.tasks() / self.elapsed.as_secs_f64()
    }

    fn cpu_us_per_task(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.tasks()
    }
}

async fn work(folder: &Path, args: &Args) -> Result<(Work, Option<Aged>), Failed> {
    let commits = Commits::new()?;
    let builder = tools::engine(folder).instruments(commits.instruments());
    let engine = builder.tool("noop", Echo::new(args.effect()).gives(args.payload())).start().await?;
    let whole = engine.check(plan("w1", TASKS, args.payload()))?;
    if let Some(length) = args.warmup() {
        lanes(args.concurrency(), Until::after(length), one_run(&engine, &whole)).await?;
    }
    let mut work = lap(&engine, folder, &whole, args, &commits).await?;
    let mut aged = None;
    if let Some(runs) = args.aged() {
        let (fresh, cpu, began) = (work, cpu_time(), monotonic());
        let short = engine.check(plan("age", 1, args.payload()))?;
        lanes(AGING_LANES, Until::steps(runs), one_run(&engine, &short)).await?;
        let (aging, cpu) = (began.elapsed(), cpu_time().saturating_sub(cpu));
        work = lap(&engine, folder, &whole, args, &commits).await?;
        aged = Some(Aged {
            runs,
            fresh_tasks_per_s: fresh.tasks_per_s(),
            fresh_cpu_us_per_task: fresh.cpu_us_per_task(),
            cpu_ratio: work.cpu_us_per_task() / fresh.cpu_us_per_task(),
            tasks_ratio: work.tasks_per_s() / fresh.tasks_per_s(),
            fresh_cpu_shares: fresh.shares,
            fresh_commit: fresh.commit,
            aging_s: aging.as_secs_f64(),
            aging_cpu_us_per_run: cpu.as_secs_f64() * 1e6 / f64::from(runs),
            memory_bytes: memory_bytes(),
            disk_bytes: Disk::of(folder),
        });
    }
    engine.stop().await;
    Ok((work, aged))
}

/// Do the work for as long as was asked.
async fn lap(
    engine: &Engine,
    folder: &Path,
    plan: &Arc<Checked>,
    args: &Args,
    commits: &Commits,
) -> Result<Work, Failed> {
    commits.reset();
    let device = device::written_bytes(folder);
    let (store, threads) = (engine.system().figures().store, Threads::now());
    let (cpu, began) = (cpu_time(), monotonic());
    let times = lanes(args.concurrency(), Until::after(args.length()), one_run(engine, plan)).await?;
    Ok(Work {
        runs: times.len(),
        elapsed: began.elapsed(),
        times: Times::from(&times),
        commit: commits.waited(),
        store: difference(engine.system().figures().store, store),
        device_bytes: device::written_bytes(folder).zip(device).map(|(after, before)| after.saturating_sub(before)),
        cpu: cpu_time().saturating_sub(cpu),
        shares: Threads::now().since(&threads),
    })
}

/// One sequential phase of tasks that are given so many bytes.
pub(super) fn plan(name: &str, tasks: u32, payload: u32) -> Plan {
    let payload = noise(payload.saturating_sub(2));
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
            let (run, _) = tools::submit(&engine, &plan).await?;
            run.output().await?;
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
        writeln!(f, "  commit p50, p99    {}", self.commit)?;
        writeln!(f, "  syncs per task     {:>12.3}", self.syncs_per_task)?;
        writeln!(f, "  journal per task   {:>12.0} B", self.bytes_per_task)?;
        if let Some(bytes) = self.device_bytes_per_task {
            writeln!(f, "  device per task    {bytes:>12.0} B")?;
        }
        writeln!(f, "  CPU per task       {:>12.1} us", self.cpu_us_per_task)?;
        writeln!(f, "  of which           {}", self.cpu_shares)?;
        writeln!(f, "  of the limit       {:>12.1} %", self.of_limit * 100.0)?;
        self.aged.iter().try_for_each(|aged| aged.fmt(f))?;
        self.limits.fmt(f)
    }
}

impl fmt::Display for Aged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, cpu_ratio, tasks_ratio, disk_bytes, .. } = self;
        writeln!(f, "  with {runs} runs finished before, of what it was without them:")?;
        writeln!(f, "  CPU per task       {cpu_ratio:>12.2}  (was {:.1} us)", self.fresh_cpu_us_per_task)?;
        writeln!(f, "  tasks/s            {tasks_ratio:>12.2}  (was {:.0})", self.fresh_tasks_per_s)?;
        writeln!(f, "  commit was         {}", self.fresh_commit)?;
        writeln!(f, "  CPU was            {}", self.fresh_cpu_shares)?;
        writeln!(f, "  finishing them     {:>12.1} s  {:.1} us of CPU each", self.aging_s, self.aging_cpu_us_per_run)?;
        let [memory, all] = [self.memory_bytes, disk_bytes.total()].map(|bytes| bytes >> 20);
        let Disk { journal, live, base, ledger, .. } = disk_bytes;
        let [journal, live, base, ledger] = [journal, live, base, ledger].map(|bytes| bytes >> 20);
        writeln!(f, "  memory, disk       {memory:>12} MiB  {all} MiB")?;
        writeln!(
            f,
            "  of which           journal {journal} MiB, rows {live} MiB, bases {base} MiB, ledger {ledger} MiB"
        )
    }
}
