//! What a bench says: a table for people, JSON for machines.

use std::fmt;

use serde::Serialize;

use super::{Args, limit::Limit, w1::Work};

/// What was measured, each figure in this run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Which workload.
    pub(super) workload: String,
    /// Runs in flight.
    pub(super) concurrency: u32,
    /// Bytes that each task was given and gave back.
    pub(super) payload_bytes: u32,
    /// For how long it was measured.
    pub(super) seconds: f64,
    /// Runs that ended well.
    pub(super) runs: u64,
    /// Tasks finished per second.
    pub(super) tasks_per_s: f64,
    /// Half of the runs took no longer, from submission to durable end.
    pub(super) run_p50_ms: f64,
    /// 99 % of the runs took no longer.
    pub(super) run_p99_ms: f64,
    /// Syncs that were waited for, per task.
    pub(super) syncs_per_task: f64,
    /// Bytes written to the journal, per task.
    pub(super) bytes_per_task: f64,
    /// Processor time per task, all in.
    pub(super) cpu_us_per_task: f64,
    /// Appends per second that the disk allows with as many appenders: the lower of before and after.
    pub(super) limit_per_s: f64,
    /// The limit before.
    pub(super) limit_before_per_s: f64,
    /// The limit after, with the bytes of a task.
    pub(super) limit_after_per_s: f64,
    /// Tasks per second, of the limit.
    pub(super) of_limit: f64,
    /// Half of the syncs took no longer, before and after.
    pub(super) fdatasync_p50_us: [f64; 2],
    /// Whether the limit stayed within half of itself: only then is the run to be trusted.
    pub(super) quiet: bool,
}

impl Report {
    pub(super) fn new(args: &Args, work: &Work, before: Limit, after: Limit) -> Self {
        let tasks = work.tasks().max(1) as f64;
        let tasks_per_s = work.tasks() as f64 / work.elapsed.as_secs_f64();
        let (low, high) =
            (before.appends_per_s.min(after.appends_per_s), before.appends_per_s.max(after.appends_per_s));
        Self {
            workload: "w1".to_owned(),
            concurrency: args.concurrency,
            payload_bytes: args.payload,
            seconds: work.elapsed.as_secs_f64(),
            runs: work.runs,
            tasks_per_s,
            run_p50_ms: work.run_times.value_at_quantile(0.50) as f64 / 1_000.0,
            run_p99_ms: work.run_times.value_at_quantile(0.99) as f64 / 1_000.0,
            syncs_per_task: work.store.syncs as f64 / tasks,
            bytes_per_task: work.bytes_per_task(),
            cpu_us_per_task: work.cpu.as_secs_f64() * 1e6 / tasks,
            limit_per_s: low,
            limit_before_per_s: before.appends_per_s,
            limit_after_per_s: after.appends_per_s,
            of_limit: tasks_per_s / low,
            fdatasync_p50_us: [before.fdatasync_p50_us, after.fdatasync_p50_us],
            quiet: high < low * 1.5,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { concurrency, runs, seconds, .. } = self;
        writeln!(f, "{}: {runs} runs of 10 tasks, {concurrency} in flight, {seconds:.1} s", self.workload)?;
        writeln!(f, "  tasks/s            {:>12.0}", self.tasks_per_s)?;
        writeln!(f, "  run p50, p99       {:>12.2} ms  {:.2} ms", self.run_p50_ms, self.run_p99_ms)?;
        writeln!(f, "  syncs per task     {:>12.3}", self.syncs_per_task)?;
        writeln!(f, "  journal per task   {:>12.0} B", self.bytes_per_task)?;
        writeln!(f, "  CPU per task       {:>12.1} us", self.cpu_us_per_task)?;
        let [before, after] = self.fdatasync_p50_us;
        writeln!(f, "  fdatasync p50      {before:>12.0} us before, {after:.0} us after")?;
        writeln!(f, "  limit of this disk {:>12.0} appends/s by {concurrency} appenders", self.limit_per_s)?;
        write!(f, "  of the limit       {:>12.1} %", self.of_limit * 100.0)?;
        if self.quiet { Ok(()) } else { write!(f, "\n  the limit moved during the run: the machine was not quiet") }
    }
}
