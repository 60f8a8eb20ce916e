//! What is noted in two files that no engine knows of: submissions that were acknowledged, and tasks that were done.
//!
//! **Invariant:** each note is one write of a short line to a file that is appended to, so that a kill leaves whole lines.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use headframe::{
    clock::monotonic,
    durable::{Effect, Outcome},
    json::Json,
    run::RunId,
    tool::{CallContext, Tool},
};
use parking_lot::Mutex;
use serde_json::json;

use super::super::{Failed, args::State};

/// What a task of a working run takes.
const TAKES: Duration = Duration::from_millis(50);

/// Where the child notes which submissions were acknowledged.
pub(in crate::cli::bench) fn acknowledged(folder: &Path) -> PathBuf {
    folder.join("acknowledged")
}

fn done(folder: &Path) -> PathBuf {
    folder.join("done")
}

pub(super) fn read_acknowledged(folder: &Path) -> Result<Vec<RunId>, Failed> {
    let text = fs::read_to_string(acknowledged(folder))?;
    Ok(text.lines().map(str::parse).collect::<Result<_, _>>()?)
}

/// What was done, as the tools of both processes noted it.
pub(super) struct Counted {
    pub(super) done: usize,
    pub(super) repeated: usize,
}

impl Counted {
    pub(super) fn of(folder: &Path) -> Result<Self, Failed> {
        let text = fs::read_to_string(done(folder))?;
        let (mut once, mut again) = (HashSet::new(), HashSet::new());
        for key in text.lines() {
            if !once.insert(key) {
                again.insert(key);
            }
        }
        Ok(Self { done: once.len(), repeated: again.len() })
    }
}

/// A tool that notes what it did.
#[derive(Clone)]
pub(in crate::cli::bench) struct Recorder(Arc<Recording>);

struct Recording {
    state: State,
    runs: u32,
    /// In the process that is killed.
    is_first: bool,
    file: File,
    done: AtomicU64,
    /// Runs that made a call in this process, and when the last of them did for the first time.
    resumed: Mutex<(HashSet<String>, Option<Instant>)>,
}

impl Recorder {
    pub(in crate::cli::bench) fn new(folder: &Path, state: State, runs: u32, is_first: bool) -> io::Result<Self> {
        let file = append(&done(folder))?;
        let resumed = Mutex::default();
        Ok(Self(Arc::new(Recording { state, runs, is_first, file, done: AtomicU64::new(0), resumed })))
    }

    /// Tasks that were done in this process.
    pub(super) fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// When the last run made its first call in this process.
    pub(super) fn resumed(&self) -> Option<Instant> {
        self.0.resumed.lock().1
    }

    fn note_run(&self, path: &str) {
        let run = path.split('/').next().unwrap_or(path);
        let mut resumed = self.0.resumed.lock();
        if !resumed.0.contains(run) {
            resumed.0.insert(run.to_owned());
            resumed.1 = Some(monotonic());
        }
    }

    fn note_done(&self, cx: &CallContext) -> Outcome {
        match (&self.0.file).write_all(format!("{}\n", cx.key()).as_bytes()) {
            Ok(()) => {
                self.0.done.fetch_add(1, Ordering::Relaxed);
                Outcome::Done(json!(null).into())
            }
            Err(error) => Outcome::failed("disk", error.to_string()),
        }
    }
}

impl Tool for Recorder {
    fn effect(&self) -> Effect {
        Effect::IDEMPOTENT
    }

    fn max_concurrent(&self) -> usize {
        self.0.runs as usize
    }

    async fn call(&self, cx: &CallContext, _: Json) -> Outcome {
        match (self.0.state, self.0.is_first) {
            (State::Begun, true) => std::future::pending().await,
            (_, true) => tokio::time::sleep(TAKES).await,
            (State::Working, false) => {
                self.note_run(cx.path());
                tokio::time::sleep(TAKES).await;
            }
            (_, false) => self.note_run(cx.path()),
        }
        self.note_done(cx)
    }
}

/// A file that is only appended to.
pub(in crate::cli::bench) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
