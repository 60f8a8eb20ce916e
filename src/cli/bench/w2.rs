//! W2: fan-out. A task makes a list, and a phase does one no-op task for each of its items.
//!
//! A list of more than 64 KiB goes by way of an artifact, as everybody's does.

use std::{fmt, path::Path, sync::Arc};

use headframe::{
    clock::monotonic,
    durable::{Effect, Outcome},
    plan::Plan,
};
use serde::Serialize;
use serde_json::json;

use super::{
    Args, Failed, args,
    lanes::{Times, Until, lanes},
    limit::{self, Limits},
    process::cpu_time,
    tenths::Tenths,
    tools::{self, Echo},
    w1::{difference, one_run},
};

/// What was measured, each figure in this run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Items of each run.
    items: u32,
    /// Tasks in flight.
    concurrency: u32,
    /// What the tool promises about repeats.
    effect: args::Effect,
    /// For how long it was measured.
    seconds: f64,
    /// Runs that ended well, one after the other.
    runs: u64,
    /// From submission to durable end.
    #[serde(flatten)]
    times: Times,
    /// Tasks finished per second.
    tasks_per_s: f64,
    /// Syncs that were waited for, per task.
    syncs_per_task: f64,
    /// Bytes written to the journal, per task.
    bytes_per_task: f64,
    /// Processor time per task, all in.
    cpu_us_per_task: f64,
    /// Processor time per task in the last tenth of each run, of that in its first; of runs of 1,000 items and more.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_tenth_over_first: Option<f64>,
    /// Tasks per second, of the limit.
    of_limit: f64,
    #[serde(flatten)]
    limits: Limits,
}

pub(super) async fn measure(scratch: &Path, args: &Args) -> Result<Report, Failed> {
    let (items, at_once) = (args.items(), args.concurrency());
    let before = limit::measure(scratch, at_once, limit::GUESS_BYTES).await?;
    let list = move |_| std::future::ready(Outcome::Done(json!((0..items).collect::<Vec<_>>()).into()));
    let builder = tools::engine(&scratch.join("store")).closure("list", Effect::IDEMPOTENT, list);
    let tenths = Arc::new(Tenths::new(items));
    let echo = Echo::new(args.effect()).permits(at_once).counted(tenths.clone());
    let engine = builder.tool("noop", echo).start().await?;
    let plan = engine.check(plan(items, at_once))?;
    let lap = |length| lanes(1, Until::after(length), one_run(&engine, &plan));
    if let Some(length) = args.warmup() {
        lap(length).await?;
    }
    let store = engine.system().figures().store;
    let (cpu, began) = (cpu_time(), monotonic());
    let times = lap(args.length()).await?;
    let (elapsed, cpu) = (began.elapsed(), cpu_time().saturating_sub(cpu));
    let store = difference(engine.system().figures().store, store);
    engine.stop().await;
    let tasks = times.len() as f64 * f64::from(items);
    let bytes_per_task = store.written_bytes as f64 / tasks;
    let after = limit::measure(scratch, at_once, bytes_per_task).await?;
    let (limits, tasks_per_s) = (Limits::new(before, after, at_once), tasks / elapsed.as_secs_f64());
    Ok(Report {
        items,
        concurrency: at_once,
        effect: args.effect(),
        seconds: elapsed.as_secs_f64(),
        runs: times.len(),
        times: Times::from(&times),
        tasks_per_s,
        syncs_per_task: store.syncs as f64 / tasks,
        bytes_per_task,
        cpu_us_per_task: cpu.as_secs_f64() * 1e6 / tasks,
        last_tenth_over_first: tenths.ratio(),
        of_limit: tasks_per_s / limits.limit_per_s,
        limits,
    })
}

fn plan(items: u32, at_once: u32) -> Plan {
    let builder = Plan::builder("w2").phase("list", |phase| phase.task("make", "list", |task| task));
    let each = builder.phase("each", |phase| {
        phase.needs(["list"]).max_parallel(at_once).task("do", "noop", |task| {
            task.for_each("{{ outputs.list.make }}").max_items(items).with(json!({"item": "{{ item }}"}))
        })
    });
    each.build()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, items, concurrency, seconds, times: Times { p50_ms, p95_ms, p99_ms }, .. } = self;
        writeln!(f, "w2: {runs} runs over {items} items, {concurrency} tasks in flight, {seconds:.1} s")?;
        writeln!(f, "  run p50, p95, p99  {p50_ms:>12.2} ms  {p95_ms:.2} ms  {p99_ms:.2} ms")?;
        writeln!(f, "  tasks/s            {:>12.0}", self.tasks_per_s)?;
        writeln!(f, "  syncs per task     {:>12.3}", self.syncs_per_task)?;
        writeln!(f, "  journal per task   {:>12.0} B", self.bytes_per_task)?;
        writeln!(f, "  CPU per task       {:>12.1} us", self.cpu_us_per_task)?;
        if let Some(ratio) = self.last_tenth_over_first {
            writeln!(f, "  last tenth         {ratio:>12.2}  of the CPU of the first")?;
        }
        writeln!(f, "  of the limit       {:>12.1} %", self.of_limit * 100.0)?;
        self.limits.fmt(f)
    }
}
