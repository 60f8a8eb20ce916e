//! The process that `bench --workload w3` kills: our own program, under a hidden verb.
//!
//! ```text
//! bench ── starts ──► child: submits its runs, notes each that was acknowledged, brings them where they are to be
//!       ◄─ "ready" ──
//!       ── SIGKILL ─►
//! ```
//! **Invariant:** the child dies with the bench, however that ends: it is killed when the bench lets go of it, and by the
//! kernel when the bench is gone.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use headframe::Engine;

use super::{
    super::exit::{Error, Exit},
    Failed,
    args::State,
    lanes::{Until, lanes},
    tools,
    w3::{self, Recorder},
};

/// The hidden verb.
pub(crate) const CHILD: &str = "__bench";
/// What the child says once its runs are where they are to be.
const READY: &str = "ready";

/// Be the process that `bench --workload w3` kills
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the bench
    #[arg(long)]
    folder: PathBuf,
    /// Runs to submit
    #[arg(long)]
    runs: u32,
    /// Submissions at once
    #[arg(long)]
    concurrency: u32,
    /// What the runs do
    #[arg(long, value_enum)]
    state: State,
}

/// A child that runs. Dropping it kills it, and waits until it is gone.
pub(super) struct Child(std::process::Child);

impl Child {
    /// Start ourselves as a child. To be called on a thread that lives as long as this process does.
    pub(super) fn start(folder: &Path, runs: u32, concurrency: u32, state: State) -> io::Result<Self> {
        let program =
            if Path::new("/proc/self/exe").exists() { "/proc/self/exe".into() } else { std::env::current_exe()? };
        let mut command = Command::new(program);
        command.arg(CHILD).arg("--folder").arg(folder);
        command.args(["--runs", &runs.to_string(), "--concurrency", &concurrency.to_string()]);
        command.args(["--state", state.name()]);
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?))
    }

    /// Wait until its runs are where they are to be.
    pub(super) async fn ready(&mut self) -> Result<(), Failed> {
        let stdout = self.0.stdout.take().ok_or("the child was waited for before")?;
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        match line.await??.trim() {
            READY => Ok(()),
            _ => Err("the process that was to be killed ended by itself; what it said is above".into()),
        }
    }

    /// SIGKILL, and wait until it is gone.
    pub(super) fn kill(mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // One that is gone already needs neither.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bring runs where they are to be, say so, and wait to be killed.
pub(crate) async fn run(args: Args) -> Result<Exit, Error> {
    match bring(&args).await {
        Ok(_engine) => std::future::pending().await,
        Err(error) => Err(Error::Bench(error.to_string())),
    }
}

async fn bring(args: &Args) -> Result<Engine, Failed> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let recorder = Recorder::new(&args.folder, args.state, args.runs, true)?;
    let engine = w3::engine(&args.folder, recorder.clone()).start().await?;
    let plan = engine.check(w3::plan(args.state))?;
    let acknowledged = Arc::new(w3::append(&w3::acknowledged(&args.folder))?);
    let submitting = engine.clone();
    let submitted = lanes(args.concurrency, Until::steps(args.runs), move |_| {
        let (engine, plan, acknowledged) = (submitting.clone(), plan.clone(), acknowledged.clone());
        async move {
            let (run, _) = tools::submit(&engine, &plan).await?;
            (&*acknowledged).write_all(format!("{}\n", run.id()).as_bytes())?;
            Ok(())
        }
    });
    submitted.await?;
    w3::until_ready(&engine, &recorder, args.state, args.runs).await?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{READY}")?;
    stdout.flush()?;
    Ok(engine)
}
