//! `headframe-soak`: steady load on one engine for as long as you like, and the slope of everything that could grow.
//!
//! ```text
//! lanes (closed loop) ──► engine ◄── probes (open loop: availability)
//! sample, every few seconds ──► samples (bounded) ──► report: slopes, bounds, verdict
//! ```
//! **Invariants:** a sample reads the process from outside, through `/proc/self`, and the engine as an embedder can. What
//! grows by design is named and not hidden; what must not be left at the end (actors, calls) fails the run. Whatever ends
//! it, what was seen so far is reported, and the folder goes.
#![expect(clippy::print_stderr, reason = "a program that says on stderr why it ends")]

mod args;
mod load;
mod probe;
mod report;
mod sample;
mod samples;
mod slope;
mod stage;

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser as _;
use headframe::{Engine, clock::monotonic, durable::LongTurn};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    args::{Args, Format},
    load::{Last, Load},
    probe::{Answered, Probes},
    report::{End, Report},
    sample::Sample,
    samples::Samples,
};

/// That of the program `headframe`, for which this stands: memory that comes back, or does not, is the allocator's too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs that are under way when it ends have so long.
const GRACE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let args = Args::parse();
    let folder = match stage::folder(args.dir.as_deref()) {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(2);
        }
    };
    let exit = soak(&args, folder.path());
    stage::leave(folder);
    exit.unwrap_or_else(|error| {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            // Whoever read our output has seen enough.
            return ExitCode::SUCCESS;
        }
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn soak(args: &Args, folder: &Path) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exit = runtime.block_on(watch(args, folder));
    // The folder goes next; nobody may write into it any more.
    runtime.shutdown_timeout(Duration::from_secs(2));
    exit
}

async fn watch(args: &Args, folder: &Path) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let engine = load::tools(Engine::builder().data(folder).long_turn(LongTurn::Abort)).start().await?;
    let mut load = Load::start(&engine, args.concurrency, args.length)?;
    let probes = Probes::start(&engine, args.bounds.within)?;
    let mut samples = Samples::new();
    let interrupted = sample(args, folder, (&engine, &load, &probes), &mut samples, &mut signals).await?;
    load.stop();
    let answered = probes.end().await;
    let (end, left_over) = tokio::select! {
        ended = tokio::time::timeout(GRACE, load.end()) => match (ended, interrupted) {
            (Err(_), _) => (End::Failed(format!("runs did not end within {GRACE:?}")), None),
            (Ok(Err(error)), _) => (End::Failed(format!("{error:#}")), None),
            (Ok(Ok(())), Some(signal)) => (End::Interrupted(signal), Some(rest(&engine).await?)),
            (Ok(Ok(())), None) => (End::Over, Some(rest(&engine).await?)),
        },
        // Whoever interrupts twice does not wait.
        signal = signals.next() => (End::Interrupted(signal), None),
    };
    engine.stop().await;
    let exit = match end {
        End::Interrupted(signal) => Some(signal),
        End::Over | End::Failed(_) => None,
    };
    let report = Report::new(&samples, answered, left_over, &args.bounds, end);
    match args.output {
        Format::Table => writeln!(io::stdout(), "\n{report}")?,
        Format::Json => writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&report)?)?,
    }
    Ok(exit.map_or_else(|| if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }, ExitCode::from))
}

/// Look again and again until the time is over; the exit code of the signal that ended it before, if one did.
async fn sample(
    args: &Args,
    folder: &Path,
    (engine, load, probes): (&Engine, &Load, &Probes),
    samples: &mut Samples,
    signals: &mut Signals,
) -> anyhow::Result<Option<u8>> {
    let prints = args.output == Format::Table;
    if prints {
        writeln!(io::stdout(), "{}", sample::HEADER)?;
    }
    let (began, mut last, mut former) = (monotonic(), Last::now(), Answered::default());
    while began.elapsed() < args.length && !load.has_failed() {
        let wait = args.sample.min(args.length.saturating_sub(began.elapsed()));
        let interrupted = tokio::select! {
            () = tokio::time::sleep(wait) => None,
            signal = signals.next() => Some(signal),
        };
        let answered = probes.so_far();
        let taken = Sample::take(engine, folder, began.elapsed(), load.since_last(&mut last), answered.since(former))?;
        former = answered;
        if prints {
            writeln!(io::stdout(), "{taken}")?;
        }
        samples.push(taken);
        if interrupted.is_some() {
            return Ok(interrupted);
        }
    }
    Ok(None)
}

/// What is there when every run has ended. Probes that came too late are runs, too, and may still be on their way.
async fn rest(engine: &Engine) -> anyhow::Result<usize> {
    let began = monotonic();
    loop {
        let left = engine.system().census().await?.actors + engine.system().figures().calls;
        if left == 0 || began.elapsed() > GRACE {
            return Ok(left);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The signals that end it.
struct Signals([tokio::signal::unix::Signal; 3]);

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?]))
    }

    /// The exit code that a shell shows for the one that comes.
    async fn next(&mut self) -> u8 {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
            _ = hangup.recv() => 129,
        }
    }
}
