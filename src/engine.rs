//! The engine people embed: submit runs, wait for them, decide what is in doubt.
//!
//! ```
//! use headframe::{Engine, plan::Plan};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("headframe-doc-{}", std::process::id()));
//! let engine = Engine::builder().data(&folder).start().await?;
//! let plan = Plan::builder("greet")
//!     .input_or("name", headframe::plan::InputKind::String, "world")
//!     .phase("say", |phase| phase.task("hello", "echo", |task| task.with(json!({"text": "Hello, {{ input.name }}!"}))))
//!     .output(json!("{{ outputs.say.hello.text }}"));
//! let run = engine.submit(&engine.check(plan.build())?, json!({"name": "Ada"})).await?;
//! assert_eq!(run.output().await?, "Hello, Ada!");
//! engine.stop().await;
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! When the store fails, what was to happen is unknown, and the engine opens the store again by itself (`reopen.rs`).
//!
//! **Invariants:** a submission that was acknowledged is durable; nothing is global, so two engines live in one process.

mod builder;
mod catalog;
mod collect;
mod error;
mod events;
mod handle;
mod keys;
mod measure;
mod operator;
mod reopen;
mod retention;
mod spill;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use headframe_actors::{
    durable::{ActorId, CallId, Decision, Existing, KeyFigures, Restored, Row as CallRow, Swept, System},
    json::Json,
    metrics::Instruments,
    plan::{Checked, Digest, Plan, Plans},
    run::{self, Run, RunId},
};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::sync::watch;

use self::keys::KeyRow;
pub(crate) use self::measure::FAMILIES;
pub use self::{
    builder::EngineBuilder,
    collect::{Collected, Unnamed},
    error::Error,
    events::Events,
    handle::{Cancel, RunHandle},
    reopen::{Condition, Reopen},
    retention::Retention,
};
use crate::{
    artifacts::Artifacts,
    spec::{self, Expressions, Registered, ToolCatalog, with_room},
};

/// The longest key, and the longest name or value of a label, in bytes.
const NAME_MAX: usize = 256;
/// Most labels of a run.
const LABELS_MAX: usize = 64;
/// How long a stopping engine waits for running calls.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// How far a page of runs looks back at first, in milliseconds.
const PAGE_SPAN_MS: u64 = 10_000;

/// A running engine. Cloning gives another handle to the same one.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

pub(crate) struct Inner {
    /// The system of this incarnation.
    system: RwLock<System>,
    condition: watch::Sender<Condition>,
    /// Nobody wants it to be opened again.
    is_stopping: AtomicBool,
    plans: Arc<Plans>,
    /// Plans whose rows are in the store.
    stored: Arc<Mutex<HashSet<Digest>>>,
    /// What was lost, if nobody has said yet that work may go on.
    restored: Option<Restored>,
    expressions: Arc<Expressions>,
    tools: Registered,
    artifacts: Artifacts,
    /// Where artifacts lie, and whatever else the store puts there.
    folder: PathBuf,
    meters: measure::Meters,
}

/// What a run is submitted with, beside its plan.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// Values for the plan's inputs.
    pub input: Value,
    /// A second submission with this key returns the first run; another input under it is refused. A key lives until its
    /// run has ended, and then for 24 h, or as long as [`EngineBuilder::keys_kept`] says.
    pub key: Option<String>,
    /// What people call the run by.
    pub labels: Vec<(String, String)>,
}

impl From<Value> for Submission {
    fn from(input: Value) -> Self {
        Self { input, ..Self::default() }
    }
}

impl Engine {
    /// Describe an engine to start.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Check a plan built in code: its graph, its names, its tools and what they say of their arguments.
    ///
    /// # Errors
    /// Every problem found.
    pub fn check(&self, plan: Plan) -> Result<Arc<Checked>, Error> {
        let checked = with_room(|| plan.check(&*self.0.expressions)).map_err(Error::Plan)?;
        let mut tasks = checked.phases.iter().flat_map(|phase| &phase.tasks);
        let missing = tasks.find_map(|task| task.all_means().find(|means| !self.0.tools.knows(&means.tool)));
        if let Some(task) = missing {
            return Err(Error::NoTool { name: task.tool.clone(), known: self.0.tools.names() });
        }
        let unkept = catalog::cannot_keep(&self.0.tools, &checked);
        if unkept.is_empty() { Ok(checked) } else { Err(Error::Plan(unkept)) }
    }

    /// Read and check a workflow from a YAML file.
    ///
    /// # Errors
    /// Every problem found, each with its line and column.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Arc<Checked>, Error> {
        Ok(spec::load_with(path.as_ref(), &self.0.tools)?)
    }

    /// Read and check a workflow from YAML text.
    ///
    /// # Errors
    /// Every problem found, each with its line and column.
    pub fn parse(&self, name: &str, text: &str) -> Result<Arc<Checked>, Error> {
        Ok(spec::parse_with(name, text, &self.0.tools)?)
    }

    /// Submit a run; returns once it is durable, and from then on it ends, whatever crashes.
    ///
    /// # Errors
    /// If the input does not fit the plan, the key was used with another input, or the store closed.
    /// [`Error::Restored`] after a loss of records that nobody has confirmed: a key may have been among them.
    pub async fn submit(&self, plan: &Arc<Checked>, submission: impl Into<Submission>) -> Result<RunHandle, Error> {
        Ok(self.submit_once(plan, submission.into()).await?.0)
    }

    /// The same, and whether this submission made the run; `false` if an earlier one with its key did.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub async fn submit_once(&self, plan: &Arc<Checked>, submission: Submission) -> Result<(RunHandle, bool), Error> {
        if let Some(Restored { from, to, .. }) = self.0.restored {
            return Err(Error::Restored { from, to });
        }
        let given =
            if submission.input.is_null() { Json::from(serde_json::json!({})) } else { Json::from(&submission.input) };
        let input = plan.take_input(&given).map_err(Error::Input)?;
        check_sizes(&input, &submission)?;
        let run = RunId(*uuid::Uuid::now_v7().as_bytes());
        let key = submission.key.as_ref().map(|key| KeyRow::new(key, run, plan.digest(), &input));
        let begin = run::Begin { run, plan: plan.digest(), input, labels: submission.labels };
        self.0.plans.add(plan.clone());
        let known = self.0.stored.lock().contains(&plan.digest());
        let rows = |actor| rows(plan, &begin, key.as_ref(), known, actor);
        let unless = key.as_ref().map(KeyRow::index_key);
        let spawned = self.system().spawn_root::<Run>(unless, rows, &run::Message::Start(begin.clone())).await?;
        match (spawned, key) {
            (Ok(_), _) => {
                self.0.stored.lock().insert(plan.digest());
                self.0.meters.submitted.increment(1);
                Ok((RunHandle::new(self.0.clone(), run), true))
            }
            (Err(Existing(row)), Some(key)) => Ok((RunHandle::new(self.0.clone(), key.same_as(&row)?), false)),
            (Err(_), None) => unreachable!("without a key nothing can exist"),
        }
    }

    /// A run by its id.
    ///
    /// # Errors
    /// [`Error::NoRun`] if there is none.
    pub async fn run(&self, run: RunId) -> Result<RunHandle, Error> {
        let handle = RunHandle::new(self.0.clone(), run);
        handle.row().await?;
        Ok(handle)
    }

    /// The run that was submitted with an idempotency key.
    ///
    /// # Errors
    /// [`Error::NoRun`] if there is none.
    pub async fn run_by_key(&self, key: &str) -> Result<RunHandle, Error> {
        match self.system().get(&keys::index_key(key)).await? {
            Some(row) => Ok(RunHandle::new(self.0.clone(), keys::read(&row)?.run)),
            None => Err(Error::NoRun(format!("key `{key}`"))),
        }
    }

    /// Figures of the keys of submissions.
    ///
    /// # Errors
    /// If the store closed.
    pub async fn keys(&self) -> Result<KeyFigures, Error> {
        Ok(self.system().keys(keys::PREFIX).await?)
    }

    /// Remove the keys and runs whose time is over, now: the engine does so every ten minutes by itself.
    ///
    /// # Errors
    /// If the store closed; what went has gone.
    pub async fn sweep_keys(&self) -> Result<Swept, Error> {
        Ok(self.system().sweep().await?)
    }

    /// All runs, newest first.
    ///
    /// # Errors
    /// If the store closed, or a row cannot be read.
    pub async fn runs(&self) -> Result<Vec<run::Row>, Error> {
        let rows = self.system().range(b"run/", b"run0").await?;
        rows.values().rev().map(|row| Ok(run::Row::decode(row)?)).collect()
    }

    /// At most so many runs, newest first, of those that were submitted before one.
    ///
    /// # Errors
    /// If the store closed, or a row cannot be read.
    pub async fn runs_before(&self, before: Option<RunId>, most: usize) -> Result<Vec<run::Row>, Error> {
        let to = before.map_or_else(|| bytes::Bytes::from_static(b"run0"), run::index_key);
        let to_ms = before.map_or(u64::MAX, |run| run.submitted_at_ms());
        let mut span_ms = PAGE_SPAN_MS;
        // Rows are read from the older to the newer: look back a little, and further as long as that is not enough.
        loop {
            let from_ms = to_ms.min(now_ms()).saturating_sub(span_ms);
            let from = run::index_key(first_of(from_ms));
            let rows = self.system().last(&from, &to, most).await?;
            if rows.len() == most || from_ms == 0 {
                return rows.values().rev().map(|row| Ok(run::Row::decode(row)?)).collect();
            }
            span_ms = span_ms.saturating_mul(8);
        }
    }

    /// Calls in doubt: nobody knows whether they happened, and a person decides.
    ///
    /// # Errors
    /// If the store closed.
    pub async fn doubts(&self) -> Result<Vec<(CallId, CallRow)>, Error> {
        Ok(self.system().doubts().await?)
    }

    /// Decide a call in doubt.
    ///
    /// # Errors
    /// If no such call is in doubt, or the store closed.
    pub async fn resolve(&self, call: CallId, decision: Decision, by: &str) -> Result<(), Error> {
        Ok(self.system().decide(call, decision, by).await?)
    }

    /// The actor system underneath, as it is now: after a failed store another takes its place.
    #[must_use]
    pub fn system(&self) -> System {
        self.0.system()
    }

    /// Whether the store is open, and what is done about it when it is not: as it is now, and as it changes.
    #[must_use]
    pub fn condition(&self) -> watch::Receiver<Condition> {
        self.0.condition.subscribe()
    }

    /// Whether the store is open now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(*self.0.condition.borrow(), Condition::Open { .. }) && self.system().failure().is_none()
    }

    /// Completes when the store is closed and will not be opened again, with the cause. Waiting for that does not keep the
    /// engine.
    pub fn closed(&self) -> impl Future<Output = Arc<str>> + Send + use<> {
        let mut condition = self.condition();
        async move {
            match condition.wait_for(|condition| matches!(condition, Condition::Closed { .. })).await.as_deref() {
                Ok(Condition::Closed { cause }) => cause.clone(),
                _ => "the engine is gone".into(),
            }
        }
    }

    /// Where this engine registers what it measures.
    #[must_use]
    pub fn instruments(&self) -> &Instruments {
        &self.0.meters.instruments
    }

    /// The artifacts of this engine.
    #[must_use]
    pub fn artifacts(&self) -> &Artifacts {
        &self.0.artifacts
    }

    /// Stop: running calls are asked to stop, what was accepted becomes durable, and what is unfinished goes on at the
    /// next start.
    pub async fn stop(&self) {
        self.0.is_stopping.store(true, Ordering::SeqCst);
        self.system().stop(STOP_GRACE).await;
    }
}

impl Inner {
    pub(crate) fn system(&self) -> System {
        self.system.read().clone()
    }
}

fn now_ms() -> u64 {
    crate::clock::Clock::now_ms(&crate::clock::SystemClock)
}

/// The first id that a run submitted at this time can have.
fn first_of(at_ms: u64) -> RunId {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&at_ms.to_be_bytes()[2..]);
    RunId(id)
}

/// Everything that enters has a size limit at the door.
fn check_sizes(input: &Json, submission: &Submission) -> Result<(), Error> {
    let mut wrong = Vec::new();
    if input.len() > run::INPUT_MAX {
        wrong.push(format!("it is {} bytes, and {} are allowed: pass an artifact", input.len(), run::INPUT_MAX));
    }
    if submission.key.as_ref().is_some_and(|key| key.is_empty() || key.len() > NAME_MAX) {
        wrong.push(format!("an idempotency key has 1 to {NAME_MAX} bytes"));
    }
    if submission.labels.len() > LABELS_MAX {
        wrong.push(format!("there are {} labels, and {LABELS_MAX} are allowed", submission.labels.len()));
    }
    let long = submission.labels.iter().find(|(name, value)| name.len().max(value.len()) > NAME_MAX);
    wrong.extend(long.map(|(name, _)| format!("label `{name:.32}` is longer than {NAME_MAX} bytes")));
    if wrong.is_empty() { Ok(()) } else { Err(Error::Input(wrong)) }
}

/// The index rows of a submission.
fn rows(
    plan: &Checked,
    begin: &run::Begin,
    key: Option<&KeyRow>,
    known: bool,
    actor: ActorId,
) -> Vec<(bytes::Bytes, bytes::Bytes)> {
    let row = run::Row {
        run: begin.run,
        actor,
        namespace: "default".to_owned(),
        workflow: plan.name.clone(),
        plan: begin.plan,
        labels: begin.labels.clone(),
        submitted_at: begin.run.submitted_at_ms(),
        ended_at: None,
        outcome: None,
        held: None,
        cancelled: None,
    };
    let mut rows = vec![(run::index_key(begin.run), row.encode())];
    if !known {
        rows.push((run::plan_key(begin.plan), plan.plan().encode()));
    }
    rows.extend(key.map(KeyRow::row));
    rows
}
