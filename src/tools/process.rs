//! `process`: starts a program, gives it input, takes its output, and sees to it that nothing of it is left.
//!
//! ```text
//! call ── thread: wait for the key's former attempt ─► end what a dead engine left ─► start ─► watch ─► bury ─► answer
//!                                                                                                │
//!                         exit ──────────── drain pipes, at most 250 ms ───────────────────────► │
//!                         time limit, cancel ── SIGTERM, SIGKILL after 2 s ────────────────────► │
//!                         output over its cap ── SIGKILL ──────────────────────────────────────► │
//! ```
//! One thread per running program starts it, watches it and buries it. The kernel sends a parent-death signal when the
//! *thread* that forked ends, so this thread outlives its program, whatever becomes of the runtime that called.
//!
//! **Invariant:** a call answers only after its process group is gone, and a program of the same key is started only
//! then, also after a crash of the engine (see [`group`]). **Invariant:** a process id is signalled only while it
//! cannot have been given to someone else. **Absent on purpose:** a shell, a terminal, signal handlers, unsafe code.
//!
//! A task may name a second program, its `probe`, which is asked whether a call with an unknown outcome happened. It is run
//! like the first, under the same key, so it too starts only when nothing is left of the former attempt. It ends with 0
//! (it happened, and what the probe prints is its output), with 1 (it did not) or with anything else (it cannot tell).
//!
//! A program that makes its own session *and* closes its pipes has said that it wants to stay (an agent, a build
//! daemon): it is left alone when its starter ends by itself, and ended when the call is.

mod capture;
mod command;
mod group;
mod launcher;
mod table;
mod told;
mod turnstile;
mod watch;

use std::{fs, io, path::PathBuf, sync::Arc, thread};

use headframe_actors::{
    durable::{Failure, Key, Outcome, Probe},
    json::Json,
    tool::{CallContext, Tool},
};
use serde_json::Value;
use tokio::sync::oneshot;

pub use self::{
    group::end_leftovers,
    launcher::{LAUNCH, launcher_main},
};
use self::{
    group::{Group, Record},
    told::{KEYS, Told},
    turnstile::Turnstile,
    watch::{Leash, Watch},
};
use super::arguments;
use crate::artifacts::Artifacts;

/// The tool `process`.
#[derive(Clone, Debug)]
pub struct Process {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    artifacts: Artifacts,
    run_dir: PathBuf,
    launcher: Option<PathBuf>,
    turnstile: Turnstile,
}

impl Process {
    /// The tool; see [`super::builtin`] for its parts.
    #[must_use]
    pub fn new(artifacts: Artifacts, run_dir: PathBuf, launcher: Option<PathBuf>) -> Self {
        // Programs start in folders of their own, where a relative path would lead elsewhere.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let (run_dir, launcher) = (absolute(run_dir), launcher.map(absolute));
        Self { shared: Arc::new(Shared { artifacts, run_dir, launcher, turnstile: Turnstile::default() }) }
    }
}

impl Tool for Process {
    fn check(&self, with: &Value) -> Result<(), String> {
        arguments::check(with, KEYS, Told::read)
    }

    /// Arguments that a template makes are known only when they are rendered.
    fn can_probe(&self, with: &Value) -> bool {
        with.is_string() || with.get("probe").is_some_and(|probe| !probe.is_null())
    }

    /// A program's heartbeat is its output, on either stream: that it has not ended is known anyway.
    fn can_beat(&self) -> bool {
        true
    }

    async fn call(&self, cx: &CallContext, input: Json) -> Outcome {
        match Told::read(&input.value()) {
            Ok(told) => self.run(cx, told).await,
            Err(error) => Outcome::failed("input", error),
        }
    }

    async fn probe(&self, cx: &CallContext, input: Json) -> Probe {
        match Told::read(&input.value()).map(Told::for_probe) {
            Ok(Some(told)) => said(self.run(cx, told).await),
            Ok(None) => Probe::CannotTell(Failure::new("probe", "the task names no `probe`")),
            Err(error) => Probe::CannotTell(Failure::new("input", error)),
        }
    }
}

/// What a probe said by its exit code. One that could not be started or was ended said nothing.
fn said(outcome: Outcome) -> Probe {
    match outcome {
        Outcome::Done(output) => Probe::Happened(output),
        Outcome::Failed(why) if why.class == "exit" && why.details.value()["exit"] == 1 => Probe::DidNot(why.message),
        Outcome::Failed(why) | Outcome::Unknown(why) => Probe::CannotTell(why),
    }
}

impl Process {
    async fn run(&self, cx: &CallContext, told: Told) -> Outcome {
        // Dropping `held` (with this future, or on a cancel) is what the thread sees.
        let (held, mut answer) = match start(&self.shared, cx, told) {
            Ok(started) => started,
            Err(error) => return Outcome::failed("spawn", format!("cannot start a thread for the program: {error}")),
        };
        let early = tokio::select! {
            outcome = &mut answer => Some(outcome),
            () = cx.cancelled() => None,
        };
        drop(held);
        let outcome = match early {
            Some(outcome) => outcome,
            None => answer.await,
        };
        outcome.unwrap_or_else(|_| Outcome::unknown("crash", "the thread that watched the program panicked"))
    }
}

type Started = (io::PipeWriter, oneshot::Receiver<Outcome>);

fn start(shared: &Arc<Shared>, cx: &CallContext, told: Told) -> io::Result<Started> {
    let (leash, held) = io::pipe()?;
    let (send, answer) = oneshot::channel();
    let call = Call { shared: Arc::clone(shared), cx: cx.clone(), told, leash: Leash::new(leash) };
    #[expect(clippy::disallowed_methods, reason = "the thread that forks must outlive its program")]
    thread::Builder::new().name("headframe-process".into()).spawn(move || call.run(send))?;
    Ok((held, answer))
}

/// One attempt, on its thread.
struct Call {
    shared: Arc<Shared>,
    cx: CallContext,
    told: Told,
    leash: Leash,
}

impl Call {
    fn run(self, answer: oneshot::Sender<Outcome>) {
        let (outcome, undead) = match self.begin() {
            Ok(watch) => watch.until_buried(),
            Err(failure) => (Outcome::Failed(failure), None),
        };
        // The caller may be gone; what matters then is that the program is, too.
        let _ = answer.send(outcome);
        drop(undead);
    }

    /// Everything up to the start. A failure here is definite: no program ran.
    fn begin(&self) -> Result<Watch<'_>, Failure> {
        let turn = self.shared.turnstile.enter(self.cx.key(), &|| self.given_up())?;
        let record = self.record(self.cx.key())?;
        group::end_former(&record)?;
        let mut command = command::prepare(&self.told, &self.cx, self.shared.launcher.as_deref(), &record)?;
        let stdin = command::stdin(&self.told.stdin, &self.shared.artifacts)?;
        if let Some(failure) = self.given_up() {
            return Err(failure);
        }
        let group = Group::start(&mut command, stdin.stdio, record, self.shared.launcher.is_some())
            .map_err(|error| command::refused(&self.told, &error))?;
        Ok(Watch::new(self, turn, group, stdin.bytes))
    }

    fn record(&self, key: Key) -> Result<Record, Failure> {
        fs::create_dir_all(&self.shared.run_dir).map_err(|error| {
            Failure::new("spawn", format!("cannot create {}: {error}", self.shared.run_dir.display()))
        })?;
        Ok(Record::of(&self.shared.run_dir, key))
    }

    /// Why not even to begin.
    fn given_up(&self) -> Option<Failure> {
        if self.leash.is_cut() || self.cx.is_cancelled() {
            Some(Failure::new("cancelled", "cancelled before the program was started"))
        } else if headframe_actors::clock::monotonic() >= self.cx.deadline() {
            Some(Failure::new("timeout", "the time limit passed before the program could be started"))
        } else {
            None
        }
    }
}
