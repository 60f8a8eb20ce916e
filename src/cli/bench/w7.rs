//! W7: a tool with so many permits, whose call takes 100 ms: how close the work comes to what so many workers can do.
//!
//! Twice as many runs of one task are in flight as there are workers, so that the next task is always there.

use std::{fmt, path::Path, time::Duration};

use headframe::{clock::monotonic, durable::Effect};
use serde::Serialize;

use super::{
    Args, Failed,
    lanes::{Times, Until, lanes},
    tools::{self, Echo},
    w1::{one_run, plan},
};

/// What a call takes.
const TAKES: Duration = Duration::from_millis(100);

/// What was measured, each figure in this run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// One for each number of workers.
    steps: Vec<Step>,
}

/// What so many workers did.
#[derive(Clone, Debug, Serialize)]
struct Step {
    workers: u32,
    /// For how long it was measured.
    seconds: f64,
    /// Tasks finished per second.
    tasks_per_s: f64,
    /// Tasks finished, of those that so many workers can finish at most in this time.
    efficiency: f64,
    /// From submission to durable end; half of the runs in flight wait for a worker.
    #[serde(flatten)]
    times: Times,
}

pub(super) async fn measure(scratch: &Path, args: &Args) -> Result<Report, Failed> {
    let mut steps = Vec::new();
    for workers in args.workers() {
        steps.push(step(&scratch.join(format!("store-{workers}")), args, workers).await?);
    }
    Ok(Report { steps })
}

async fn step(folder: &Path, args: &Args, workers: u32) -> Result<Step, Failed> {
    let tool = Echo::new(Effect::IDEMPOTENT).permits(workers).takes(TAKES);
    let engine = tools::engine(folder).tool("noop", tool).start().await?;
    let plan = engine.check(plan("w7", 1, args.payload()))?;
    let lap = |length| lanes(2 * workers, Until::after(length), one_run(&engine, &plan));
    if let Some(length) = args.warmup() {
        lap(length).await?;
    }
    let began = monotonic();
    let times = lap(args.length()).await?;
    let seconds = began.elapsed().as_secs_f64();
    engine.stop().await;
    let tasks_per_s = times.len() as f64 / seconds;
    let most = f64::from(workers) / TAKES.as_secs_f64();
    Ok(Step { workers, seconds, tasks_per_s, efficiency: tasks_per_s / most, times: Times::from(&times) })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "w7: a call takes {} ms\n  workers     tasks/s  efficiency     run p50         p95         p99",
            TAKES.as_millis()
        )?;
        self.steps.iter().try_for_each(|step| {
            let Step { workers, tasks_per_s, efficiency, times: Times { p50_ms, p95_ms, p99_ms }, .. } = step;
            write!(f, "\n  {workers:>7}  {tasks_per_s:>10.1}  {efficiency:>10.3}")?;
            [p50_ms, p95_ms, p99_ms].into_iter().try_for_each(|time| write!(f, "  {time:>7.1} ms"))
        })
    }
}
