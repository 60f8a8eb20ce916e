//! How an engine starts.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use bytes::Bytes;
use headframe_actors::{
    clock::{Clock, Readings},
    durable::{
        Effect, Heir, LongTurn, Outcome, Recovery, Restored, StreamId, System,
        store::{self, Durability, Local, LocalOptions, Store},
    },
    json::Json,
    metrics::Instruments,
    phase::Phase,
    plan::{Checked, Digest, Effects, Evaluator, Plan, Plans, Sleeps, SleepsUntil},
    run::{self, Run},
    task::Task,
    tool::{AnyTool, Closure, Tool},
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::{
    Engine, Error, Inner, collect,
    keys::{self, Submissions},
    measure,
    reopen::{self, Condition, Reopen},
    retention::Retention,
    spill::Spilling,
};
use crate::{artifacts::Artifacts, spec::Expressions, tools};

type Hold = Arc<Mutex<dyn Fn(&run::Row) -> bool + Send>>;
/// Opens the store.
pub(super) type Stores = Box<dyn Fn() -> Result<Arc<dyn Store>, Error> + Send + Sync>;

/// How to start an engine.
#[derive(Default)]
pub struct EngineBuilder {
    data: Option<PathBuf>,
    launcher: Option<PathBuf>,
    clock: Option<Arc<dyn Clock>>,
    tools: Vec<(String, Arc<dyn AnyTool>)>,
    hold: Option<Hold>,
    long_turn: LongTurn,
    store_options: LocalOptions,
    checkpoint: Option<(Duration, u64)>,
    passivate: Option<(Duration, usize)>,
    scrub_every: Option<Duration>,
    confirm: Option<String>,
    keys_kept: Option<Duration>,
    retention: Retention,
    collect_every: Option<Duration>,
    readings: Option<Arc<dyn Readings>>,
    instruments: Instruments,
    reopen: Reopen,
}

impl EngineBuilder {
    /// Keep everything in this folder; `./.headframe` when not said.
    #[must_use]
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = Some(folder.into());
        self
    }

    /// Choose whether a record survives the loss of power (the default) or only of the process.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.store_options.durability = durability;
        self
    }

    /// Choose how the store works: how long its files are, and how often bases are made.
    #[must_use]
    pub fn store_options(mut self, options: LocalOptions) -> Self {
        self.store_options = options;
        self
    }

    /// Write rows that changed this often, and whenever so many bytes of records came since.
    #[must_use]
    pub fn checkpoint(mut self, every: Duration, bytes: u64) -> Self {
        self.checkpoint = Some((every, bytes));
        self
    }

    /// Let an actor that has had no message for so long (60 s when not said) leave memory; of more than `hosts_max`
    /// (100,000) in memory the least lately used leave, too. The next message, timer or answer brings it back.
    #[must_use]
    pub fn passivate(mut self, after: Duration, hosts_max: usize) -> Self {
        self.passivate = Some((after, hosts_max));
        self
    }

    /// Compare rows with base and journal this often while the engine works; an hour when not said. What is found is in
    /// [`System::scrubbed`].
    #[must_use]
    pub fn scrub_every(mut self, every: Duration) -> Self {
        self.scrub_every = Some(every);
        self
    }

    /// Let runs go on although records were lost, which somebody has looked at; says who.
    #[must_use]
    pub fn confirm_restored(mut self, by: impl Into<String>) -> Self {
        self.confirm = Some(by.into());
        self
    }

    /// Register a tool.
    #[must_use]
    pub fn tool(mut self, name: impl Into<String>, tool: impl Tool) -> Self {
        self.tools.push((name.into(), Arc::new(tool)));
        self
    }

    /// Register an async closure as a tool, with what it promises about repeats.
    #[must_use]
    pub fn closure<F, R>(self, name: impl Into<String>, effect: Effect, call: F) -> Self
    where
        F: Fn(Json) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        self.tool(name, Closure::new(effect, call))
    }

    /// Start subprocesses through this program, which must call [`crate::tools::launcher_main`] for its verb
    /// `__launch`. The `headframe` binary does; an embedder that does not set this still has groups killed.
    #[must_use]
    pub fn launcher(mut self, program: impl Into<PathBuf>) -> Self {
        self.launcher = Some(program.into());
        self
    }

    /// Use another clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Watch these clocks for jumps instead of the machine's. With a clock of one's own and without this, nothing is
    /// watched.
    #[must_use]
    pub fn readings(mut self, readings: Arc<dyn Readings>) -> Self {
        self.readings = Some(readings);
        self
    }

    /// Keep the key of a submission so long after its run has ended, and that of a message that is told once so long after
    /// it was told; 24 h when not said.
    #[must_use]
    pub fn keys_kept(mut self, kept: Duration) -> Self {
        self.keys_kept = Some(kept);
        self
    }

    /// Choose which runs are kept after they have ended; all of them when not said. What goes is removed in the background,
    /// every ten minutes: see [`Retention`].
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Collect artifacts that nothing names this often; once a day when not said. All there is is read for that.
    #[must_use]
    pub fn collect_every(mut self, every: Duration) -> Self {
        self.collect_every = Some(every.max(Duration::from_millis(1)));
        self
    }

    /// Choose what becomes of a turn, or of one poll of a call, that has not ended after 30 s. It is reported when not
    /// said, because a library does not end its process; a program of its own should abort, and start again.
    #[must_use]
    pub fn long_turn(mut self, policy: LongTurn) -> Self {
        self.long_turn = policy;
        self
    }

    /// Register what is measured here; with the recorder that is installed at the start, when not said. Two that share a
    /// recorder overwrite each other's figures: give each its own.
    #[must_use]
    pub fn instruments(mut self, instruments: Instruments) -> Self {
        self.instruments = instruments;
        self
    }

    /// Leave the unfinished runs for which this says `true` as they are: they wait for an engine that does not.
    #[must_use]
    pub fn hold(mut self, hold: impl Fn(&run::Row) -> bool + Send + 'static) -> Self {
        self.hold = Some(Arc::new(Mutex::new(hold)));
        self
    }

    /// Choose how often, and for how long, a store that failed is opened again; see [`Reopen`].
    #[must_use]
    pub fn reopen(mut self, reopen: Reopen) -> Self {
        self.reopen = reopen;
        self
    }

    /// Recover from the folder and start. Unfinished runs go on. If the store fails, it is opened again: see
    /// [`Engine::condition`].
    ///
    /// # Errors
    /// If the folder is in use, cannot be written, or is damaged.
    pub async fn start(self) -> Result<Engine, Error> {
        let folder = self.data.clone().unwrap_or_else(|| PathBuf::from(".headframe"));
        std::fs::create_dir_all(&folder).map_err(|source| Error::Folder { folder: folder.clone(), source })?;
        let options = self.store_options.clone();
        let at = folder.clone();
        let stores = move || Ok(Arc::new(Local::open(&at, options.clone())?) as Arc<dyn Store>);
        let store = stores()?;
        // The folder is ours, so whatever still runs under it belongs to an engine that died.
        tools::end_leftovers(&folder.join("processes"))
            .map_err(|source| Error::Folder { folder: folder.clone(), source })?;
        self.launch(store, Some(Box::new(stores)), &folder).await
    }

    /// Start on a store of the caller's choice; the folder holds artifacts and notes of running processes. If the store
    /// fails, the engine stays closed.
    ///
    /// # Errors
    /// If the store does not recover.
    pub async fn start_on(self, store: Arc<dyn Store>, folder: &Path) -> Result<Engine, Error> {
        self.launch(store, None, folder).await
    }

    /// The same on stores that this opens, each time anew on the same bytes: now, and again after a failure.
    ///
    /// # Errors
    /// If the store does not open or recover.
    pub async fn start_with(
        self,
        stores: impl Fn() -> Result<Arc<dyn Store>, store::Error> + Send + Sync + 'static,
        folder: &Path,
    ) -> Result<Engine, Error> {
        let store = stores()?;
        self.launch(store, Some(Box::new(move || Ok(stores()?))), folder).await
    }

    async fn launch(mut self, store: Arc<dyn Store>, stores: Option<Stores>, folder: &Path) -> Result<Engine, Error> {
        let artifacts = Artifacts::open(folder.join("artifacts"))?;
        let mut registered = tools::builtin(&artifacts, folder.join("processes"), self.launcher.take());
        // A tool of the embedder takes the place of a built-in one of its name.
        registered.retain(|(name, _)| !self.tools.iter().any(|(own, _)| own == name));
        registered.append(&mut self.tools);
        let stored = Arc::new(Mutex::new(HashSet::new()));
        let recipe = Recipe {
            expressions: Arc::new(Expressions::new()),
            plans: Arc::new(Plans::default()),
            stored: stored.clone(),
            tools: registered,
            artifacts,
            flight: folder.join("flight"),
            long_turn: self.long_turn,
            checkpoint: self.checkpoint,
            passivate: self.passivate,
            scrub_every: self.scrub_every,
            keys_kept: self.keys_kept,
            retention: self.retention,
            collect_every: self.collect_every,
            clock: self.clock.take(),
            readings: self.readings.take(),
            instruments: self.instruments.clone(),
            holds: Holds { asked: self.hold.take(), is_confirmed: self.confirm.is_some() },
        };
        let system = recipe.start(store, None).await?;
        let restored = restored(system.get(Restored::KEY).await?.as_ref());
        let restored = match (restored, self.confirm) {
            (Some(restored), Some(by)) => {
                confirm_restored(&system, restored, by).await?;
                None
            }
            (restored, _) => restored,
        };
        let inner = Arc::new(Inner {
            system: RwLock::new(system),
            condition: watch::channel(Condition::Open { incarnation: 1 }).0,
            is_stopping: AtomicBool::new(false),
            plans: recipe.plans.clone(),
            stored,
            restored,
            expressions: recipe.expressions.clone(),
            tools: recipe.tools.clone(),
            artifacts: recipe.artifacts.clone(),
            folder: folder.to_owned(),
            meters: measure::Meters::new(self.instruments),
        });
        reopen::keep_open(&inner, recipe, stores, self.reopen);
        Ok(Engine(inner))
    }
}

/// How each incarnation of an engine is started.
pub(super) struct Recipe {
    expressions: Arc<Expressions>,
    plans: Arc<Plans>,
    stored: Arc<Mutex<HashSet<Digest>>>,
    tools: Vec<(String, Arc<dyn AnyTool>)>,
    artifacts: Artifacts,
    flight: PathBuf,
    long_turn: LongTurn,
    checkpoint: Option<(Duration, u64)>,
    passivate: Option<(Duration, usize)>,
    scrub_every: Option<Duration>,
    keys_kept: Option<Duration>,
    retention: Retention,
    collect_every: Option<Duration>,
    clock: Option<Arc<dyn Clock>>,
    readings: Option<Arc<dyn Readings>>,
    instruments: Instruments,
    holds: Holds,
}

impl Recipe {
    /// Start on a store, with what outlived the incarnation before.
    pub(super) async fn start(&self, store: Arc<dyn Store>, heir: Option<Heir>) -> Result<System, store::Error> {
        let effects = self.tools.iter().map(|(name, tool)| (name.clone(), tool.effect())).collect();
        let sleeps = self.tools.iter().map(|(name, tool)| (name.clone(), sleeps_until(tool.clone()))).collect();
        let (plans, stored, expressions) = (self.plans.clone(), self.stored.clone(), self.expressions.clone());
        let mut builder = System::builder()
            .behavior::<Run>()
            .behavior::<Phase>()
            .behavior::<Task>()
            .extension(Arc::new(Evaluator(expressions.clone())))
            .extension(plans.clone())
            .extension(Arc::new(Effects(effects)))
            .extension(Arc::new(Sleeps(sleeps)))
            .flight_recorder(self.flight.clone())
            .long_turn(self.long_turn)
            .instruments(self.instruments.clone())
            .measures(run::MEASURES)
            .recovered(read_rows(plans, stored, expressions, self.holds.clone()));
        if let Some((every, bytes)) = self.checkpoint {
            builder = builder.checkpoint(every, bytes);
        }
        if let Some((after, hosts_max)) = self.passivate {
            builder = builder.passivate(after, hosts_max);
        }
        if let Some(every) = self.scrub_every {
            builder = builder.scrub_every(every);
        }
        if let Some(clock) = self.clock.clone() {
            builder = builder.clock(clock);
        }
        if let Some(readings) = self.readings.clone() {
            builder = builder.readings(readings);
        }
        if let Some(kept) = self.keys_kept {
            builder = builder.keys_kept(kept);
        }
        if let Some(heir) = heir {
            builder = builder.inherit(heir);
        }
        let (every, collected) = (self.collect_every.unwrap_or(collect::EVERY), self.artifacts.clone());
        builder = builder.service("artifacts", move |system| collect::run(system, collected.clone(), every));
        let keys_kept = self.keys_kept.unwrap_or(keys::KEPT);
        builder = builder.expiring(Arc::new(Submissions { kept: keys_kept }));
        if let Some(finished) = self.retention.finished(keys_kept) {
            builder = builder.expiring(Arc::new(finished));
        }
        for (name, tool) in &self.tools {
            let tool = Spilling { tool: tool.clone(), artifacts: self.artifacts.clone() };
            builder = builder.tool(name.clone(), Arc::new(tool));
        }
        builder.start(store).await
    }
}

fn sleeps_until(tool: Arc<dyn AnyTool>) -> SleepsUntil {
    Arc::new(move |input: &Json, now_ms: u64| tool.sleeps_until(input, now_ms))
}

/// The store goes on from older data, and nobody has said yet that runs may go on.
fn restored(row: Option<&Bytes>) -> Option<Restored> {
    row.and_then(|row| Restored::decode(row).ok()).filter(|restored| restored.confirmed_by.is_none())
}

async fn confirm_restored(system: &System, restored: Restored, by: String) -> Result<(), Error> {
    let confirmed = Restored { confirmed_by: Some(by), ..restored };
    Ok(system.put(vec![(Bytes::from_static(Restored::KEY), confirmed.encode())]).await?)
}

/// Which runs are not to go on, and why.
#[derive(Clone)]
struct Holds {
    asked: Option<Hold>,
    is_confirmed: bool,
}

/// Make the stored plans known before anything runs, and choose which runs are held.
fn read_rows(
    plans: Arc<Plans>,
    stored: Arc<Mutex<HashSet<Digest>>>,
    expressions: Arc<Expressions>,
    holds: Holds,
) -> impl FnOnce(&Recovery<'_>) -> Result<Vec<StreamId>, store::Error> + Send {
    move |found| {
        let mut unreadable = HashSet::new();
        let [from, to] = [&b"plan/"[..], b"plan0"].map(Bytes::from_static);
        for (key, row) in found.range(&from, &to)? {
            match Plan::decode(&row) {
                Ok(plan) => {
                    stored.lock().insert(plan.digest());
                    plans.add(Checked::stored(plan, &*expressions));
                }
                Err(error) => {
                    tracing::error!(?key, %error, "a stored plan cannot be read by this build; its runs are held");
                    unreadable.insert(key.slice(b"plan/".len()..));
                }
            }
        }
        let key = Bytes::from_static(Restored::KEY);
        let found_restored = found.range(&key, &Bytes::from([Restored::KEY, b"\0"].concat()))?;
        let is_restored = !holds.is_confirmed && restored(found_restored.get(&key)).is_some();
        if holds.asked.is_none() && unreadable.is_empty() && !is_restored {
            return Ok(Vec::new());
        }
        let [from, to] = [&b"run/"[..], b"run0"].map(Bytes::from_static);
        let runs = found.range(&from, &to)?;
        let rows = runs.values().filter_map(|row| run::Row::decode(row).ok());
        let is_held = |row: &run::Row| {
            let is_asked = holds.asked.as_ref().is_some_and(|hold| (hold.lock())(row));
            is_asked || is_restored || unreadable.contains(&row.plan.0[..])
        };
        Ok(rows.filter(|row| !row.has_ended() && is_held(row)).map(|row| StreamId(row.actor.0)).collect())
    }
}
