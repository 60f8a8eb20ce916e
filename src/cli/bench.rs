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

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;

use self::report::Report;
use super::{
    exit::{Error, Exit},
    out::{Format, Out},
    watch::Signals,
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
    let mut signals = Signals::new()?;
    let scratch = Scratch::new(&args.dir)?;
    let measured = tokio::select! {
        measured = measure(&args, &scratch.0) => Some(measured),
        () = signals.next() => None,
    };
    if let Err(error) = scratch.remove() {
        out.note(error);
    }
    let Some(measured) = measured else {
        out.note("interrupted; nothing was measured");
        return Ok(Exit::Interrupted);
    };
    let report = measured.map_err(|error| Error::Bench(error.to_string()))?;
    match out.format {
        Format::Table => out.line(report)?,
        Format::Json | Format::Jsonl => out.json(&report)?,
    }
    Ok(Exit::Ok)
}

async fn measure(args: &Args, scratch: &Path) -> Result<Report, Failed> {
    let seconds = Duration::from_secs(1);
    // The limit needs the bytes of a task, which only the workload tells; a first guess serves for the run before.
    let before = limit::measure(&scratch.join("limit-before"), args.concurrency, 400, seconds).await?;
    let work = w1::measure(&scratch.join("store"), args).await?;
    let bytes = usize::try_from(work.bytes_per_task().max(1.0) as u64)?;
    let after = limit::measure(&scratch.join("limit-after"), args.concurrency, bytes, seconds).await?;
    Ok(Report::new(args, &work, before, after))
}

/// A folder of our own that goes with us.
struct Scratch(PathBuf);

impl Scratch {
    fn new(dir: &Path) -> Result<Self, Error> {
        let folder = dir.join(format!(".headframe-bench-{}", std::process::id()));
        match std::fs::create_dir(&folder) {
            Ok(()) => Ok(Self(folder)),
            Err(error) => {
                let help = "choose a folder that is there and can be written with --dir";
                Err(Error::Usage(format!("cannot measure in {}: {error}; {help}", dir.display())))
            }
        }
    }

    /// What was interrupted may still be writing: removing begins again while files appear.
    fn remove(self) -> Result<(), String> {
        let removed = (0..100).find_map(|_| match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => None,
            removed => Some(removed),
        });
        match removed {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(format!("{} is left behind: {error}", self.0.display())),
            None => Err(format!("{} is left behind: it is still written to", self.0.display())),
        }
    }
}
