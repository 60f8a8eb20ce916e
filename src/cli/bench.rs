//! `headframe bench`: how fast, next to what the disk allows, measured in the same run.
//!
//! The workload goes the way of `headframe run`: the same plan, tools, ledger and store. The limit is measured before
//! and after, by as many appenders as there are runs in flight, with the bytes that the journal took per task; when the
//! two differ by more than half, the machine was not quiet and the report says so.
//!
//! **Invariant:** every figure is measured in this run; nothing is carried over.

mod limit;
mod report;
mod w1;

use std::{path::PathBuf, time::Duration};

use clap::ValueEnum;

use self::report::Report;
use super::{
    exit::{Error, Exit},
    out::{Format, Out},
};

/// Measure how fast runs go on this machine, next to what its disk allows
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headframe bench --workload w1 --concurrency 100 --seconds 5
  headframe bench -c 1 -s 3 -o json")]
pub(crate) struct Args {
    /// What to do: w1 is runs of 10 sequential no-op tasks
    #[arg(long, value_enum, default_value_t = Workload::W1)]
    pub(crate) workload: Workload,
    /// Runs in flight
    #[arg(long, short, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) concurrency: u32,
    /// Seconds to measure for
    #[arg(long, short, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: u32,
    /// Seconds of the same work before measuring
    #[arg(long, default_value_t = 0)]
    pub(crate) warmup: u32,
    /// Bytes that each task is given and gives back
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(2..=65_536))]
    pub(crate) payload: u32,
    /// Where to put the store that is measured: a folder inside this one, removed afterwards
    #[arg(long, default_value = ".")]
    pub(crate) dir: PathBuf,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Runs of 10 sequential no-op tasks.
    W1,
}

/// What can go wrong while measuring.
type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Measure, and say what was measured.
pub(crate) async fn run(args: Args, out: Out) -> Result<Exit, Error> {
    let report = measure(&args).await.map_err(|error| Error::Output(std::io::Error::other(error.to_string())))?;
    match out.format {
        Format::Table => out.line(report)?,
        Format::Json | Format::Jsonl => out.json(&report)?,
    }
    Ok(Exit::Ok)
}

async fn measure(args: &Args) -> Result<Report, Failed> {
    let scratch = Scratch::new(&args.dir)?;
    let seconds = Duration::from_secs(1);
    // The limit needs the bytes of a task, which only the workload tells; a first guess serves for the run before.
    let before = limit::measure(&scratch.0.join("limit-before"), args.concurrency, 400, seconds).await?;
    let work = w1::measure(&scratch.0.join("store"), args).await?;
    let bytes = usize::try_from(work.bytes_per_task().max(1.0) as u64)?;
    let after = limit::measure(&scratch.0.join("limit-after"), args.concurrency, bytes, seconds).await?;
    Ok(Report::new(args, &work, before, after))
}

/// A folder of our own that goes with us.
struct Scratch(PathBuf);

impl Scratch {
    fn new(dir: &std::path::Path) -> std::io::Result<Self> {
        let folder = dir.join(format!(".headframe-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left, under a name that says whose it is.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
