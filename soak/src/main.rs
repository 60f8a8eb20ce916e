//! `headframe-soak`: steady load on one engine for as long as you like, and the slope of everything that could grow.
//!
//! **Invariants:** a sample reads the process from outside, through `/proc/self`, and the engine as an embedder can. What
//! grows by design is named and not hidden; what must not be left at the end (actors, calls) fails the run.
#![expect(clippy::print_stderr, reason = "a program that says on stderr why it ends")]

mod load;
mod report;
mod sample;
mod slope;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Parser, value_parser};
use headframe::{Engine, clock::monotonic, durable::LongTurn};

use self::{
    load::{Last, Load},
    report::Report,
    sample::Sample,
};

/// Keep one engine under steady load, and watch what grows
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  headframe-soak --for 2m\n  headframe-soak --for 8h --concurrency 200 --sample 30s --dir /var/tmp\n\nExit codes: 0 fine (flags are for you to read), 1 a run went wrong or something was left over, 2 usage, 130 interrupted"
)]
struct Args {
    /// How long: `90s`, `2m`, `8h`
    #[arg(long = "for", value_name = "TIME", default_value = "2m", value_parser = at_least_a_second)]
    length: Duration,
    /// Runs in flight
    #[arg(long, short, default_value_t = 32, value_parser = value_parser!(u32).range(1..=100_000))]
    concurrency: u32,
    /// Time between two samples
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = at_least_a_second)]
    sample: Duration,
    /// Where to make the working folder; the system's place for temporary files unless given
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn at_least_a_second(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time < Duration::from_secs(1) { Err("at least a second".to_owned()) } else { Ok(time) }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let dir = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let folder = std::fs::create_dir_all(&dir)
        .and_then(|()| tempfile::Builder::new().prefix("headframe-soak-").tempdir_in(&dir))
        .with_context(|| format!("cannot make a folder in {}", dir.display()));
    let folder = match folder {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(2);
        }
    };
    soak(&args, folder.path()).unwrap_or_else(|error| {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            // Whoever read our output has seen enough.
            return ExitCode::SUCCESS;
        }
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn soak(args: &Args, folder: &std::path::Path) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exit = runtime.block_on(async {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => Ok(interrupted.map(|()| ExitCode::from(130))?),
            exit = watch(args, folder) => exit,
        }
    });
    // The folder goes next; nobody may write into it any more.
    runtime.shutdown_timeout(Duration::from_secs(2));
    exit
}

async fn watch(args: &Args, folder: &std::path::Path) -> anyhow::Result<ExitCode> {
    let engine = load::tools(Engine::builder().data(folder).long_turn(LongTurn::Abort)).start().await?;
    let mut load = Load::start(&engine, args.concurrency, args.length)?;
    let mut out = io::stdout();
    writeln!(out, "{}", sample::HEADER)?;
    let (began, mut last, mut samples) = (monotonic(), Last::now(), Vec::new());
    while began.elapsed() < args.length && !load.has_failed() {
        tokio::time::sleep(args.sample.min(args.length.saturating_sub(began.elapsed()))).await;
        let sample = Sample::take(&engine, folder, began.elapsed(), load.since_last(&mut last))?;
        writeln!(out, "{sample}")?;
        samples.push(sample);
    }
    load.end().await?;
    let left_over = engine.system().census().await?.actors + engine.system().figures().calls;
    engine.stop().await;
    writeln!(out, "\n{}", Report::new(&samples, left_over))?;
    Ok(if left_over == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Args::command().debug_assert();
        assert!(Args::try_parse_from(["soak", "--for", "soon"]).is_err());
        assert!(Args::try_parse_from(["soak", "--sample", "1ms"]).is_err());
    }
}
