//! W3: restart. A process with so many runs in flight is killed, and this one takes over.
//!
//! What was acknowledged and what was done is noted by whoever saw it, in two files that no engine knows of; at the end
//! they are compared with what the engine says.

mod notes;

use std::{
    collections::HashSet,
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use headframe::{
    Engine,
    clock::monotonic,
    engine::EngineBuilder,
    plan::{PhaseBuilder, Plan},
    run::RunId,
};
use serde::Serialize;
use serde_json::json;

use self::notes::{Counted, read_acknowledged};
pub(super) use self::notes::{Recorder, acknowledged, append};
use super::{
    super::out::Out,
    Args, Failed,
    args::State,
    child::Child,
    lanes::{Until, lanes},
    process::{Disk, memory_bytes},
    sleepers, tools,
    w1::TASKS,
};

/// How often it is looked whether the runs are where they are to be.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Waiting for runs to end in so many lanes.
const WAITING: u32 = 64;

/// What was measured, each figure in this run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Runs whose submission was acknowledged before the kill.
    runs: usize,
    /// What they did.
    state: State,
    /// Whether the rows were removed before the start.
    rebuild: bool,
    /// From the start of the engine until it took work.
    open_s: f64,
    /// From the start of the engine until every run that could go on had made a call again; none can that sleeps.
    resumed_s: Option<f64>,
    /// From the start of the engine until the last run had ended; none ends that sleeps.
    done_s: Option<f64>,
    /// From the start of the engine until all rows were on disk, where they were removed.
    rebuilt_s: Option<f64>,
    /// Rows on disk at the end of that, or after the start.
    rows: u64,
    /// Rows that were read, or built again, per second.
    rows_per_s: f64,
    /// Memory of the process after the start.
    memory_bytes: u64,
    /// The data folder after the kill, by what it is for.
    disk_bytes: Disk,
    /// Runs that were acknowledged and are not there, or did not end well.
    lost: usize,
    /// Tasks that were not done by the end.
    tasks_lost: usize,
    /// Tasks that were done more than once.
    tasks_repeated: usize,
}

pub(super) async fn measure(scratch: &Path, args: &Args, out: Out) -> Result<Report, Failed> {
    let (runs, state) = (args.runs(), args.state());
    let mut child = Child::start(scratch, runs, args.concurrency().min(runs), state)?;
    child.ready().await?;
    child.kill()?;
    let acknowledged = read_acknowledged(scratch)?;
    let disk = Disk::of(&store(scratch));
    if args.rebuild {
        fs::remove_dir_all(store(scratch).join("live"))?;
    }
    let recorder = Recorder::new(scratch, state, runs, false)?;
    let began = monotonic();
    let engine = engine(scratch, recorder.clone()).start().await?;
    let open = began.elapsed();
    for repair in engine.system().repairs() {
        out.note(format_args!("mended: {repair}"));
    }
    let memory = memory_bytes();
    let (resumed, done) = match state {
        State::Asleep => (None, None),
        State::Begun | State::Working => {
            let lost = until_ended(&engine, &acknowledged).await?;
            (recorder.resumed().map(|at| at.duration_since(began)), Some((began.elapsed(), lost)))
        }
    };
    let rebuilt = match (args.rebuild, state) {
        (true, State::Asleep) => {
            engine.system().checkpoint(Duration::from_secs(600)).await?;
            Some(began.elapsed())
        }
        _ => None,
    };
    let rows = engine.system().figures().store.rows;
    let lost = match done {
        Some((_, lost)) => lost,
        None => not_asleep(&engine, &acknowledged).await?,
    };
    engine.stop().await;
    let Counted { done: tasks_done, repeated } = Counted::of(scratch)?;
    Ok(Report {
        runs: acknowledged.len(),
        state,
        rebuild: args.rebuild,
        open_s: open.as_secs_f64(),
        resumed_s: resumed.map(|resumed| resumed.as_secs_f64()),
        done_s: done.map(|(done, _)| done.as_secs_f64()),
        rebuilt_s: rebuilt.map(|rebuilt| rebuilt.as_secs_f64()),
        rows,
        rows_per_s: rows as f64 / rebuilt.unwrap_or(open).as_secs_f64(),
        memory_bytes: memory,
        disk_bytes: disk,
        lost,
        tasks_lost: (acknowledged.len() * tasks(state) as usize).saturating_sub(tasks_done),
        tasks_repeated: repeated,
    })
}

/// The engine of both processes.
pub(super) fn engine(folder: &Path, recorder: Recorder) -> EngineBuilder {
    sleepers::drowsy(tools::engine(&store(folder)).tool("step", recorder))
}

pub(super) fn plan(state: State) -> Plan {
    let steps = |phase: PhaseBuilder| {
        (0..tasks(state))
            .fold(phase.sequential(), |phase, task| phase.task(format!("t{task}"), "step", |task| task.with(json!({}))))
    };
    match state {
        State::Asleep => sleepers::plan("30d"),
        State::Begun | State::Working => Plan::builder("w3").phase("steps", steps).build(),
    }
}

/// Calls of one run.
fn tasks(state: State) -> u32 {
    match state {
        State::Asleep => 0,
        State::Begun => 1,
        State::Working => TASKS,
    }
}

/// Wait until the runs of a child are where they are to be killed.
pub(super) async fn until_ready(engine: &Engine, recorder: &Recorder, state: State, runs: u32) -> Result<(), Failed> {
    let is_ready = || match state {
        State::Asleep => true,
        State::Begun => engine.system().figures().calls == runs as usize,
        State::Working => recorder.done() >= u64::from(runs) * u64::from(TASKS) / 2,
    };
    if state == State::Asleep {
        sleepers::all_asleep(engine).await?;
    }
    while !is_ready() {
        if let Some(cause) = engine.system().failure() {
            return Err(cause.to_string().into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Wait until runs have ended; returns how many did not end well, or are not there.
async fn until_ended(engine: &Engine, runs: &[RunId]) -> Result<usize, Failed> {
    let (engine, runs) = (engine.clone(), Arc::new(runs.to_vec()));
    let (count, lost) = (u32::try_from(runs.len())?, Arc::new(AtomicU64::new(0)));
    let counted = lost.clone();
    let waited = lanes(WAITING, Until::steps(count), move |left| {
        let (engine, runs, lost) = (engine.clone(), runs.clone(), counted.clone());
        async move {
            let ended = match engine.run(runs[runs.len() - usize::try_from(left)?]).await {
                Ok(run) => run.output().await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(_) => Ok(()),
                Err(headframe::Error::NoRun(_) | headframe::Error::NotSucceeded { .. }) => {
                    lost.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                }
                Err(error) => Err(error.into()),
            }
        }
    });
    waited.await?;
    Ok(usize::try_from(lost.load(Ordering::Relaxed))?)
}

/// How many of these runs are not there, or have ended.
async fn not_asleep(engine: &Engine, runs: &[RunId]) -> Result<usize, Failed> {
    let rows = engine.runs().await?;
    let asleep: HashSet<_> = rows.iter().filter(|row| !row.has_ended()).map(|row| row.run).collect();
    Ok(runs.iter().filter(|run| !asleep.contains(run)).count())
}

fn store(folder: &Path) -> PathBuf {
    folder.join("store")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let rows = if self.rebuild { ", rows removed" } else { "" };
        writeln!(f, "w3: {} runs, {} when their process was killed{rows}", self.runs, self.state.name())?;
        writeln!(f, "  open               {:>12.3} s", self.open_s)?;
        let later = [
            ("all resumed after  ", self.resumed_s),
            ("all done after     ", self.done_s),
            ("rows rebuilt after ", self.rebuilt_s),
        ];
        for (what, time) in later {
            time.map_or(Ok(()), |time| writeln!(f, "  {what}{time:>12.3} s"))?;
        }
        writeln!(f, "  rows               {:>12}    {:.0} a second", self.rows, self.rows_per_s)?;
        writeln!(f, "  memory             {:>12.1} MiB after the start", mib(self.memory_bytes))?;
        let Disk { journal, live, base, .. } = self.disk_bytes;
        let [journal, live, base] = [journal, live, base].map(mib);
        writeln!(
            f,
            "  disk               {:>12.1} MiB: journal {journal:.1}, live {live:.1}, base {base:.1}",
            mib(self.disk_bytes.total())
        )?;
        writeln!(f, "  runs lost          {:>12}", self.lost)?;
        writeln!(f, "  tasks lost         {:>12}", self.tasks_lost)?;
        write!(f, "  tasks repeated     {:>12}", self.tasks_repeated)
    }
}
