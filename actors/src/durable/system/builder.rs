//! How a system starts: recover, then hosts, tools, the committer, and whatever was unfinished.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, broadcast, watch};

use super::{
    Heir, System, drive,
    drive::{Drive, Signal},
    inner::{Core, Inner},
    janitor::{Expiring, Janitor},
    jumps::Clocks,
    life::{Ending, Life},
    once::{self, Once},
    passivation::Idle,
    restarts::Restarts,
    scrubber::Scrubs,
    tree::{self, Beside},
    unstick::Unstick,
};
use crate::{
    clock::{Clock, Readings, SteadyClock, SystemClock},
    durable::{
        accepted::Accepted,
        behavior::Behavior,
        codec,
        directory::Directory,
        flight::{Recorder, Suspect},
        hands::Hands,
        id::{Sequence, StreamId},
        kind::{Extensions, Ids, Registry},
        live::{self, Live},
        meters::{Measure, Meters, SYNC},
        room::{Pace, Unsaved},
        store::{self, Rows, Store},
        watch::{Limits, LongTurn},
    },
    metrics::Instruments,
    tool::{AnyTool, ToolSlot},
};

/// Looks at what was recovered, and says which streams are held.
type Look = Box<dyn FnOnce(&Recovery<'_>) -> Result<Vec<StreamId>, store::Error> + Send>;

/// What a start found, before anything runs.
pub struct Recovery<'a> {
    live: &'a Live,
    rows: Option<&'a dyn Rows>,
}

impl Recovery<'_> {
    /// The streams whose roots are in memory: all that have mail, and those that changed since the last checkpoint.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamId> {
        self.live.streams.keys().copied().collect()
    }

    /// The index rows of a range, in order.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn range(&self, from: &Bytes, to: &Bytes) -> Result<BTreeMap<Bytes, Bytes>, store::Error> {
        let overlay = self.live.index.overlay(from, to);
        super::view::merged(overlay, self.rows, from, to, usize::MAX)
    }
}

/// How to start a system.
pub struct SystemBuilder {
    registry: Registry,
    extensions: Extensions,
    clock: Option<Arc<dyn Clock>>,
    tools: Vec<(String, Arc<dyn AnyTool>)>,
    recovered: Option<Look>,
    pace: Pace,
    idle: Idle,
    flight_recorder: Option<PathBuf>,
    long_turn: LongTurn,
    limits: Limits,
    readings: Option<Arc<dyn Readings>>,
    unstick_every: Duration,
    scrub_every: Duration,
    janitor_every: Duration,
    keys_kept: Duration,
    expiring: Vec<Arc<dyn Expiring>>,
    services: Vec<Beside>,
    instruments: Instruments,
    measures: Vec<Measure>,
    #[cfg(test)]
    children: Vec<crate::durable::supervision::ChildSpec>,
    #[cfg(test)]
    sites: Arc<crate::durable::faults::Sites>,
    drive: Drive,
    heir: Option<Heir>,
}

impl Default for SystemBuilder {
    fn default() -> Self {
        Self {
            registry: Registry::new(),
            extensions: Extensions::default(),
            clock: None,
            tools: Vec::new(),
            recovered: None,
            pace: Pace::default(),
            idle: Idle::default(),
            flight_recorder: None,
            long_turn: LongTurn::default(),
            limits: Limits::default(),
            readings: None,
            unstick_every: Duration::from_secs(5),
            scrub_every: Duration::from_secs(60 * 60),
            janitor_every: Duration::from_secs(10 * 60),
            keys_kept: once::KEPT,
            expiring: Vec::new(),
            #[cfg(test)]
            children: Vec::new(),
            #[cfg(test)]
            sites: Arc::default(),
            drive: Drive::default(),
            services: Vec::new(),
            instruments: Instruments::default(),
            measures: Vec::new(),
            heir: None,
        }
    }
}

impl SystemBuilder {
    /// Let actors of this behaviour live here.
    #[must_use]
    pub fn behavior<B: Behavior>(mut self) -> Self {
        self.registry = self.registry.with::<B>();
        self
    }

    /// Give decisions something to use: a pure function or content-addressed data.
    #[must_use]
    pub fn extension<T: Send + Sync + 'static>(mut self, extension: Arc<T>) -> Self {
        self.extensions = self.extensions.with(extension);
        self
    }

    /// Use another clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Note in this file what every thread is at, so that a message or a call that kills the process is found by the next
    /// start, runs alone there, and is given up after three deaths. The folder must be there, and one process at a time
    /// may use the file. Without it nothing is recorded, and a message that kills the process does so at every start.
    #[must_use]
    pub fn flight_recorder(mut self, file: PathBuf) -> Self {
        self.flight_recorder = Some(file);
        self
    }

    /// Choose what becomes of a turn, or of one poll of a call, that has not ended after 30 s.
    #[must_use]
    pub fn long_turn(mut self, policy: LongTurn) -> Self {
        self.long_turn = policy;
        self
    }

    #[cfg(test)]
    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Do everything on one thread, and let these faults happen.
    #[cfg(test)]
    pub(crate) fn simulated(mut self, sites: Arc<crate::durable::faults::Sites>) -> Self {
        (self.drive, self.sites) = (Drive::Tasks, sites);
        self
    }

    /// Run one more service in the tree.
    #[cfg(test)]
    pub(crate) fn child(mut self, service: crate::durable::supervision::ChildSpec) -> Self {
        self.children.push(service);
        self
    }

    /// Read these clocks instead of the machine's: time goes on with the second, from what the first shows at the start, and
    /// they are watched for jumps. With a clock of one's own they are only watched, and without this nothing is.
    #[must_use]
    pub fn readings(mut self, readings: Arc<dyn Readings>) -> Self {
        self.readings = Some(readings);
        self
    }

    /// Register a tool under a name.
    #[must_use]
    pub fn tool(mut self, name: impl Into<String>, tool: Arc<dyn AnyTool>) -> Self {
        self.tools.push((name.into(), tool));
        self
    }

    /// Look at what was recovered before anything runs; streams that this returns are held: their actors do not run in
    /// this life, and what comes for them waits.
    #[must_use]
    pub fn recovered(
        mut self,
        look: impl FnOnce(&Recovery<'_>) -> Result<Vec<StreamId>, store::Error> + Send + 'static,
    ) -> Self {
        self.recovered = Some(Box::new(look));
        self
    }

    /// End the host of an actor that has had no message for so long; 60 s when not said. What it knows is in its row, and
    /// the next message makes a new host. Of more than `hosts_max` (16,384, of about 8 KB each) the least lately used end,
    /// too, unless they have something to do. Once eight times as many actors are in memory, rows that changed are written
    /// before their time, so that those who are idle can leave it.
    #[must_use]
    pub fn passivate(mut self, after: Duration, hosts_max: usize) -> Self {
        self.idle = Idle { after, hosts_max: hosts_max.max(1) };
        self
    }

    /// Look this often for what waits for something that does not exist, and do something about it; 5 s when not said.
    #[must_use]
    pub fn unstick_every(mut self, every: Duration) -> Self {
        self.unstick_every = every.max(Duration::from_millis(1));
        self
    }

    /// Remember the keys of messages that are told once so long from their first use; 24 h when not said.
    #[must_use]
    pub fn keys_kept(mut self, kept: Duration) -> Self {
        self.keys_kept = kept;
        self
    }

    /// Let the janitor look after these index rows, too.
    #[must_use]
    pub fn expiring(mut self, rows: Arc<dyn Expiring>) -> Self {
        self.expiring.push(rows);
        self
    }

    /// Run something beside the system's own services, under the same root: it is started again when it panics, and cut short
    /// when the store closes. The handle that it is given does not keep the system alive, and cannot stop it.
    #[must_use]
    pub fn service<F>(mut self, name: &'static str, run: impl Fn(System) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.services.push(Beside { name, run: Arc::new(move |system| Box::pin(run(system))) });
        self
    }

    /// Register what is measured here; with the recorder that is installed at the start, when not said. Two that share a
    /// recorder overwrite each other's figures: give each its own.
    #[must_use]
    pub fn instruments(mut self, instruments: Instruments) -> Self {
        self.instruments = instruments;
        self
    }

    /// Let turns count these.
    #[must_use]
    pub fn measures(mut self, measures: &[Measure]) -> Self {
        self.measures.extend(measures);
        self
    }

    /// Look this often for keys whose time is over; 10 minutes when not said.
    #[must_use]
    pub fn janitor_every(mut self, every: Duration) -> Self {
        self.janitor_every = every.max(Duration::from_millis(1));
        self
    }

    /// Compare all rows with what base and journal come to this often, with a tenth of a processor; an hour after the start
    /// and after the last time, when not said. What is found is in [`System::scrubbed`].
    #[must_use]
    pub fn scrub_every(mut self, every: Duration) -> Self {
        self.scrub_every = every.max(Duration::from_millis(1));
        self
    }

    /// Take over what outlived a system of this process whose store failed, which must be the store that this one is
    /// started on: calls that run are not begun again, and what they give is taken here.
    #[must_use]
    pub fn inherit(mut self, heir: Heir) -> Self {
        self.heir = Some(heir);
        self
    }

    /// Write rows that changed this often (5 s when not said), and whenever `bytes` of records (64 MiB) came since. Twice
    /// as many may wait for their rows, and as many again while those are written; then nothing more is let in. What was let
    /// in goes on until five times as many wait.
    #[must_use]
    pub fn checkpoint(mut self, every: Duration, bytes: u64) -> Self {
        self.pace = Pace { every, bytes };
        self
    }

    /// Recover from the store and start the hosts. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the store does not recover.
    pub async fn start(self, store: Arc<dyn Store>) -> Result<System, store::Error> {
        store.claim(self.registry.versions())?;
        let opened = store.open()?;
        let (live, recovered) = Live::start(&*store, &opened)?;
        for repair in opened.repairs.iter().chain(&recovered.repairs) {
            tracing::warn!("{repair}");
        }
        let ids = Ids::after(live.highest_id);
        let readings = self.readings.or_else(|| self.clock.is_none().then(|| Arc::new(SystemClock) as _));
        let last_record_ms = live.latest_ms;
        let (recorder, suspects) = open_recorder(self.flight_recorder.as_deref(), self.limits);
        let clock = self.clock.unwrap_or_else(|| {
            let readings = readings.clone().unwrap_or_else(|| Arc::new(SystemClock));
            Arc::new(SteadyClock::on(readings, live.latest_ms))
        });
        let clocks = Clocks::new(readings);
        let rows = opened.rows.as_deref();
        let held = self.recovered.map(|look| look(&Recovery { live: &live, rows })).transpose()?.unwrap_or_default();
        let mut accepted = Accepted::new(live, recovered.durable.next());
        let holds = !held.is_empty();
        accepted.hold(held);
        accepted.shut_down_by_kind(self.registry.auto_shutdowns());
        if let Some(rows) = rows {
            let waiting = accepted.callers_to_look_at(clock.now_ms(), holds);
            for actor in waiting.into_iter().filter(|actor| accepted.is_cold(*actor)).collect::<Vec<_>>() {
                let chain = live::fetch(rows, actor)?;
                accepted.bring(actor, 0, chain);
            }
            let (window_ms, timers) = super::resume::read_window(rows, 0, clock.now_ms())?;
            accepted.extend_window(window_ms, timers);
        }
        // Before any tool's actor is there to mistake a start of the former life for one of its own. Whom this tells is
        // rung with everyone else who has mail.
        let is_taken_over = self.heir.is_some();
        let in_flight = self.heir.map(|heir| heir.0).unwrap_or_default();
        let _ = if is_taken_over {
            accepted.take_over_calls(clock.now_ms(), |call| in_flight.holds(call))
        } else {
            accepted.doubt_calls_of_the_last_life(clock.now_ms())
        };
        accepted.resume_suspended(clock.now_ms());
        let names: Vec<_> = self.tools.iter().map(|(name, _)| name.clone()).collect();
        let meters = Meters::new(&self.instruments, &names, &self.registry, &self.measures);
        store.measure_syncs(self.instruments.histogram(&SYNC, &[]));
        let tools =
            self.tools.into_iter().map(|(name, tool)| (codec::fnv1a(&name), ToolSlot::new(name, tool))).collect();
        let once: Arc<dyn Expiring> = Arc::new(Once { kept: self.keys_kept });
        let expiring = std::iter::once(once).chain(self.expiring).collect();
        let inner = Arc::new(Inner {
            core: Mutex::new(Core {
                accepted,
                waiters: Vec::new(),
                asks: FxHashMap::default(),
                watches: FxHashMap::default(),
                closed: None,
                stopping: false,
                draining: false,
                committer_sleeps: None,
                unsealed: None,
                job: None,
                checkpoint_asked: false,
                checkpoint_runs: false,
                checkpoints: 0,
                checkpoint_trouble: None,
                shortage: None,
            }),
            work: Signal::default(),
            hands: Hands::default(),
            ids,
            registry: self.registry,
            extensions: self.extensions,
            clock,
            store,
            fence: recovered.fence,
            directory: Directory::default(),
            tools,
            in_flight,
            flight: Arc::new(recorder),
            meters,
            clocks,
            runtime: tokio::runtime::Handle::current(),
            drive: self.drive,
            durable: AtomicU64::new(recovered.durable.0),
            rows: opened.rows,
            pace: self.pace,
            idle: self.idle,
            readers: tokio::sync::Semaphore::new(super::passivation::READERS),
            captured: Signal::default(),
            unsaved: Unsaved::default(),
            room: Notify::new(),
            is_short: AtomicBool::new(false),
            unstick: Unstick::new(self.unstick_every),
            scrubs: Scrubs::new(self.scrub_every),
            restarts: Restarts::default(),
            janitor: Janitor::new(self.janitor_every, expiring),
            services: self.services,
            #[cfg(test)]
            faults: super::inner::Faults {
                sites: self.sites,
                services: Mutex::new(self.children),
                ..Default::default()
            },
            #[cfg(feature = "testing")]
            stalls: super::unstick::Stalls::default(),
            timer_set: Notify::new(),
            armed_ms: AtomicU64::new(u64::MAX),
            failure: watch::channel(None).0,
            observers: broadcast::channel(4_096).0,
        });
        inner.in_flight.come_home(&inner);
        let start =
            Start { suspects, last_record_ms, long_turn: self.long_turn, limits: self.limits, rows_at: opened.from };
        let repairs = opened.repairs.into_iter().chain(recovered.repairs).collect();
        launch(inner, start, repairs).await
    }
}

/// What a start finds, and how it is to go on.
struct Start {
    suspects: Vec<Suspect>,
    last_record_ms: u64,
    long_turn: LongTurn,
    limits: Limits,
    /// The rows hold every record up to this one.
    rows_at: Sequence,
}

/// A start that cannot record goes on without: nobody's work waits for it.
fn open_recorder(file: Option<&Path>, limits: Limits) -> (Recorder, Vec<Suspect>) {
    let Some(file) = file else { return (Recorder::in_memory(), Vec::new()) };
    let ended_well = !file.exists();
    let opened = Recorder::open(file).map(|(mut recorder, suspects)| {
        recorder.trust(ended_well && !limits.notes_always, limits.notes_for);
        (recorder, suspects)
    });
    opened.unwrap_or_else(|error| {
        tracing::warn!(%error, file = %file.display(), "the flight recorder cannot be opened");
        (Recorder::in_memory(), Vec::new())
    })
}

async fn launch(inner: Arc<Inner>, start: Start, repairs: Vec<String>) -> Result<System, store::Error> {
    let internal = |cause: String| store::Error::Closed { cause };
    // From here on, whatever goes wrong ends all of it.
    let ending = Ending::of(inner.clone());
    drive::start(&inner, start.rows_at, start.long_turn, start.limits).map_err(|error| internal(error.to_string()))?;
    inner.note_start(start.last_record_ms);
    inner.take_suspects(start.suspects).await;
    inner.permit_what_runs();
    let root = tree::start(&inner).await.map_err(|error| internal(error.to_string()))?;
    tree::close_when_it_ends(&inner, root.cell());
    inner.take_over();
    inner.resume_work();
    let life = Some(Arc::new(Life::new(root, ending)));
    Ok(System { inner, life, repairs: repairs.into() })
}
