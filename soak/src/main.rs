//! `headframe-soak`: steady load on one engine for as long as you like, and the slope of everything that could grow.
//!
//! ```text
//! parent: load (so many at once, so many a second), probes (open loop) ──stdin──► victim (an engine on a folder, killed
//!   │  now and then)
//!   │ ◄──stdout: acknowledgements, ends, figures──┘
//!   └── every few seconds: /proc/VICTIM, the folder ──► samples (bounded) ──► slopes, bounds, verdict: table, JSON, page
//! ```
//! **Invariants:** the engine's process is read from outside, and the engine as an embedder can. What grows by design is
//! named and not hidden; what must not be left at the end (actors, calls) fails the run. Whatever ends it, what was seen so
//! far is reported, the victim is dead, and the folder goes, unless a run went wrong in it.
#![expect(clippy::print_stderr, reason = "a program that says on stderr why it ends")]

mod args;
mod client;
mod disk;
mod report;
mod rest;
mod sample;
mod samples;
mod slope;
mod stage;
mod victim;
mod watch;
mod wire;
mod workload;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser as _;

use self::{
    args::{Args, Format, Role},
    report::{End, Report},
    stage::Stage,
};

/// That of the program `headframe`, for which the victim stands: memory that comes back, or does not, is the allocator's too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.role {
        None => soak(&args),
        Some(Role::Victim(role)) => headframe_stage::bound_to(role.parent).and_then(|()| victim::main(role)),
    };
    done.unwrap_or_else(|error| {
        if watch::is_broken_pipe(&error) {
            // Whoever read our output has seen enough.
            return ExitCode::SUCCESS;
        }
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn soak(args: &Args) -> anyhow::Result<ExitCode> {
    let (mut stage, page) = match Stage::new(args.dir.as_deref()).and_then(|stage| Ok((stage, page(args)?))) {
        Ok(ready) => ready,
        Err(error) => {
            eprintln!("error: {error:#}");
            return Ok(ExitCode::from(2));
        }
    };
    disk::foretell(args, &stage)?;
    // One thread: a victim is bound to the thread that started it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let report = watch::watch(args, &mut stage).await;
        stage.clear().await;
        report
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    let is_evidence = match &report {
        Ok(report) => report.went_wrong(),
        Err(error) => !watch::is_broken_pipe(error),
    };
    stage.leave(args.keep || is_evidence);
    tell(args, page, &report?)
}

/// Made before anything else: an hour whose page cannot be written is lost.
fn page(args: &Args) -> anyhow::Result<Option<std::fs::File>> {
    let Some(path) = &args.html else { return Ok(None) };
    Ok(Some(std::fs::File::create(path).with_context(|| format!("cannot write --html {}", path.display()))?))
}

fn tell(args: &Args, page: Option<std::fs::File>, report: &Report) -> anyhow::Result<ExitCode> {
    if let Some(mut page) = page {
        page.write_all(report.page().as_bytes()).context("cannot write the page")?;
    }
    report.note();
    match args.output {
        Format::Table => writeln!(io::stdout(), "\n{report}")?,
        Format::Json => writeln!(io::stdout(), "{}", serde_json::to_string_pretty(report)?)?,
    }
    Ok(match report.end() {
        End::Interrupted(signal) => ExitCode::from(*signal),
        End::Over | End::Failed(_) | End::NoRoom(_) if report.is_good() => ExitCode::SUCCESS,
        End::Over | End::Failed(_) | End::NoRoom(_) => ExitCode::FAILURE,
    })
}
