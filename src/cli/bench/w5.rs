//! W5: one run of one task, again and again: what a durable step takes when nobody else is there.

use std::{fmt, path::Path};

use headframe::clock::monotonic;
use serde::Serialize;

use super::{
    Args, Failed,
    args::Effect,
    lanes::{Times, Until, lanes},
    limit::{self, Limits},
    tools::{self, Echo},
    w1::{difference, one_run, plan},
};

/// What was measured, each figure in this run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// What the tool promises about repeats.
    effect: Effect,
    /// Bytes that the task was given and gave back.
    payload_bytes: u32,
    /// For how long it was measured.
    seconds: f64,
    /// Runs that ended well, one after the other.
    runs: u64,
    /// From submission to durable end.
    #[serde(flatten)]
    times: Times,
    /// Syncs that were waited for, per run.
    syncs_per_run: f64,
    /// What half of the runs took above two syncs of this disk, the slower of before and after.
    above_two_syncs_ms: f64,
    /// Two syncs of this disk, the slower of before and after, of what half of the runs took at most.
    of_limit: f64,
    #[serde(flatten)]
    limits: Limits,
}

pub(super) async fn measure(scratch: &Path, args: &Args) -> Result<Report, Failed> {
    let before = limit::measure(scratch, 1, limit::GUESS_BYTES).await?;
    let engine = tools::engine(&scratch.join("store"))
        .tool("noop", Echo::new(args.effect()).gives(args.payload()))
        .start()
        .await?;
    let plan = engine.check(plan("w5", 1, args.payload()))?;
    let lap = |length| lanes(1, Until::after(length), one_run(&engine, &plan));
    if let Some(length) = args.warmup() {
        lap(length).await?;
    }
    let (store, began) = (engine.system().figures().store, monotonic());
    let times = lap(args.length()).await?;
    let elapsed = began.elapsed();
    let store = difference(engine.system().figures().store, store);
    engine.stop().await;
    let runs = times.len() as f64;
    let after = limit::measure(scratch, 1, store.written_bytes as f64 / runs).await?;
    let (limits, times) = (Limits::new(before, after, 1), Times::from(&times));
    let [before, after] = limits.fdatasync_p50_us;
    let two_syncs_ms = 2.0 * before.max(after) / 1_000.0;
    Ok(Report {
        effect: args.effect(),
        payload_bytes: args.payload(),
        seconds: elapsed.as_secs_f64(),
        runs: runs as u64,
        times,
        syncs_per_run: store.syncs as f64 / runs,
        above_two_syncs_ms: times.p50_ms - two_syncs_ms,
        of_limit: two_syncs_ms / times.p50_ms,
        limits,
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, seconds, times: Times { p50_ms, p95_ms, p99_ms }, .. } = self;
        writeln!(f, "w5: {runs} runs of one task, one after the other, {seconds:.1} s")?;
        writeln!(f, "  run p50, p95, p99  {p50_ms:>12.2} ms  {p95_ms:.2} ms  {p99_ms:.2} ms")?;
        writeln!(f, "  syncs per run      {:>12.3}", self.syncs_per_run)?;
        writeln!(f, "  p50 above 2 syncs  {:>12.2} ms", self.above_two_syncs_ms)?;
        self.limits.fmt(f)
    }
}
