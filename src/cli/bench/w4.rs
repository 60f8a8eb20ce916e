//! W4: asleep. So many runs wait for a durable timer: how fast they start, what they cost in memory and on disk, and
//! that one that is told to ends.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use headframe::{Engine, RunHandle, clock::monotonic, run::Outcome};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;

use super::{
    Args, Failed,
    lanes::{Times, Until, lanes},
    limit::{self, Limits},
    process::{Disk, cpu_time, memory_bytes},
    sleepers::{LOOK_AGAIN, all_asleep, drowsy, plan},
    tools,
    w1::difference,
};

/// So many of the runs are cancelled at the end, one after the other.
const CANCELLED: usize = 10;
/// One more run sleeps so long, and has to end.
const NAP_MS: u64 = 3_000;

/// So long the allocator is given, to return what nobody uses any more.
const SETTLING: Duration = Duration::from_secs(15);

/// What was measured, each figure in this run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Runs that sleep.
    runs: u32,
    /// Submissions at once.
    concurrency: u32,
    /// Submissions acknowledged per second.
    starts_per_s: f64,
    /// How often a submission was refused because rows waited to be written, and was made again.
    refused: u64,
    /// From the call to the acknowledgement.
    start: Times,
    /// Processor time per start.
    cpu_us_per_start: f64,
    /// Bytes written to the journal per run, until all slept.
    journal_bytes_per_run: f64,
    /// From the last acknowledgement until nobody was in memory.
    asleep_after_s: f64,
    /// Memory of the process: before the first run, with all of them started, and the least within 15 s after all of them
    /// fell asleep.
    memory_bytes: [u64; 3],
    /// Memory for each run, started and asleep.
    memory_bytes_per_run: [f64; 2],
    /// Rows in the store.
    rows: u64,
    /// The data folder, by what it is for.
    disk_bytes: Disk,
    /// The data folder, for each run.
    disk_bytes_per_run: f64,
    /// The rows alone, for each run.
    live_bytes_per_run: f64,
    /// Sleeping runs that were cancelled and ended.
    cancelled: usize,
    /// How long that took, from the request to the durable end.
    cancel: Times,
    /// How long after its time a run ended that slept for three seconds and had left memory.
    woke_late_ms: f64,
    #[serde(flatten)]
    limits: Limits,
}

pub(super) async fn measure(scratch: &Path, args: &Args) -> Result<Report, Failed> {
    let (runs, at_once) = (args.runs(), args.concurrency().min(args.runs()));
    let before = limit::measure(scratch, at_once, limit::GUESS_BYTES).await?;
    let folder = scratch.join("store");
    let engine = drowsy(tools::engine(&folder)).start().await?;
    let store = engine.system().figures().store;
    let (empty, cpu, began) = (memory_bytes(), cpu_time(), monotonic());
    let (starts, refused, some) = start(&engine, runs, at_once).await?;
    let (started_s, cpu) = (began.elapsed().as_secs_f64(), cpu_time().saturating_sub(cpu));
    let (awake, began) = (memory_bytes(), monotonic());
    all_asleep(&engine).await?;
    let asleep_after_s = began.elapsed().as_secs_f64();
    let (asleep, disk) = (settled().await, Disk::of(&folder));
    let store = difference(engine.system().figures().store, store);
    let cancel = cancel(some).await?;
    let woke_late_ms = nap(&engine).await?;
    engine.stop().await;
    let each = |bytes: u64| bytes as f64 / f64::from(runs);
    let after = limit::measure(scratch, at_once, each(store.written_bytes)).await?;
    Ok(Report {
        runs,
        concurrency: at_once,
        starts_per_s: f64::from(runs) / started_s,
        refused,
        start: starts,
        cpu_us_per_start: cpu.as_secs_f64() * 1e6 / f64::from(runs),
        journal_bytes_per_run: each(store.written_bytes),
        asleep_after_s,
        memory_bytes: [empty, awake, asleep],
        memory_bytes_per_run: [each(awake.saturating_sub(empty)), each(asleep.saturating_sub(empty))],
        rows: store.rows,
        disk_bytes: disk,
        disk_bytes_per_run: each(disk.total()),
        live_bytes_per_run: each(disk.live),
        cancelled: CANCELLED.min(runs as usize),
        cancel,
        woke_late_ms,
        limits: Limits::new(before, after, at_once),
    })
}

/// Start so many runs that sleep for long; returns how often one was refused, and some of them.
async fn start(engine: &Engine, runs: u32, at_once: u32) -> Result<(Times, u64, Vec<RunHandle>), Failed> {
    let plan = engine.check(plan("30d"))?;
    let some = Arc::new(Mutex::new(Vec::new()));
    let refused = Arc::new(AtomicU64::new(0));
    let (engine, kept, refusals) = (engine.clone(), some.clone(), refused.clone());
    let times = lanes(at_once, Until::steps(runs), move |left| {
        let (engine, plan, kept, refusals) = (engine.clone(), plan.clone(), kept.clone(), refusals.clone());
        async move {
            let (run, refused) = tools::submit(&engine, &plan).await?;
            refusals.fetch_add(refused, Ordering::Relaxed);
            if left <= CANCELLED as u64 {
                kept.lock().push(run);
            }
            Ok(())
        }
    });
    let times = times.await?;
    let some = std::mem::take(&mut *some.lock());
    Ok((Times::from(&times), refused.load(Ordering::Relaxed), some))
}

/// Memory of this process, once the allocator has returned what nobody uses.
async fn settled() -> u64 {
    let (began, mut least) = (monotonic(), memory_bytes());
    while began.elapsed() < SETTLING {
        tokio::time::sleep(LOOK_AGAIN).await;
        least = least.min(memory_bytes());
    }
    least
}

/// Cancel runs that sleep, and see each of them end.
async fn cancel(runs: Vec<RunHandle>) -> Result<Times, Failed> {
    let count = u32::try_from(runs.len())?;
    let runs = Arc::new(runs);
    let times = lanes(1, Until::steps(count), move |left| {
        let runs = runs.clone();
        async move {
            let run = &runs[usize::try_from(left)? - 1];
            run.cancel("it has slept enough").await?;
            match run.outcome().await? {
                Outcome::Cancelled { .. } => Ok(()),
                other => Err(format!("{} was cancelled and ended otherwise: {other:?}", run.id()).into()),
            }
        }
    });
    Ok(Times::from(&times.await?))
}

/// Let one more run sleep, leave memory, and end by its timer; returns how late it ended.
async fn nap(engine: &Engine) -> Result<f64, Failed> {
    let plan = engine.check(plan(&format!("{NAP_MS}ms")))?;
    let began = monotonic();
    let run = engine.submit(&plan, json!({})).await?;
    all_asleep(engine).await?;
    run.output().await?;
    Ok(began.elapsed().as_secs_f64() * 1e3 - NAP_MS as f64)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let Self { runs, concurrency, start: Times { p50_ms, p95_ms, p99_ms }, .. } = self;
        writeln!(f, "w4: {runs} runs asleep, submitted {concurrency} at once")?;
        writeln!(f, "  starts/s           {:>12.0}", self.starts_per_s)?;
        if self.refused > 0 {
            writeln!(f, "  refused for a while {:>11} times: rows waited to be written", self.refused)?;
        }
        writeln!(f, "  start p50, p95, p99 {p50_ms:>11.2} ms  {p95_ms:.2} ms  {p99_ms:.2} ms")?;
        writeln!(f, "  CPU per start      {:>12.1} us", self.cpu_us_per_start)?;
        writeln!(f, "  journal per run    {:>12.0} B", self.journal_bytes_per_run)?;
        writeln!(f, "  all asleep after   {:>12.1} s", self.asleep_after_s)?;
        let [empty, awake, asleep] = self.memory_bytes.map(mib);
        let [awake_each, asleep_each] = self.memory_bytes_per_run;
        writeln!(f, "  memory             {empty:>12.1} MiB empty, {awake:.1} MiB started, {asleep:.1} MiB asleep")?;
        writeln!(f, "  memory per run     {awake_each:>12.0} B started, {asleep_each:.0} B asleep")?;
        let Disk { journal, live, base, ledger, other } = self.disk_bytes;
        let [journal, live, base, ledger, other] = [journal, live, base, ledger, other].map(mib);
        write!(
            f,
            "  disk               {:>12.1} MiB: journal {journal:.1}, live {live:.1}",
            mib(self.disk_bytes.total())
        )?;
        writeln!(f, ", base {base:.1}, ledger {ledger:.1}, other {other:.1}")?;
        writeln!(
            f,
            "  disk per run       {:>12.0} B, of it live {:.0} B",
            self.disk_bytes_per_run, self.live_bytes_per_run
        )?;
        writeln!(f, "  rows               {:>12}", self.rows)?;
        writeln!(f, "  cancelled, ended   {:>12} of them, p50 {:.1} ms", self.cancelled, self.cancel.p50_ms)?;
        writeln!(f, "  woke by its timer  {:>12.1} ms late", self.woke_late_ms)?;
        self.limits.fmt(f)
    }
}
