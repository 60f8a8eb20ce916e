//! What an engine measures beside its system: submissions, keys, artifacts, and the room that it takes.
//!
//! **Invariant:** what has to be looked for is looked for by [`Engine::survey`], which repeats itself only so often that it
//! takes a small part of one processor.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use headframe_actors::{
    durable::{KeyFigures, Survey},
    metrics::{Family, Growing, Instruments},
    run::Run,
};
use metrics::{Counter, Gauge};
use parking_lot::Mutex;

use super::{Engine, Error, keys};
use crate::{clock::monotonic, durable::Behavior as _};

/// How often it is surveyed, at most.
const EVERY: Duration = Duration::from_secs(10);
/// A survey that took so long is not repeated before so many times as much has passed.
const PAUSES: u32 = 50;

/// The keys of messages that are told once.
const MESSAGES: &str = "once/";
/// The parts of a data folder, and the folders that they lie in.
const PARTS: [(&str, &str); 5] =
    [("journal", "journal"), ("rows", "live"), ("bases", "base"), ("ledger", "ledger"), ("artifacts", "artifacts")];

const SUBMITTED: Family = Family::counter(
    "headframe_runs_submitted_total",
    &[],
    "Runs that were submitted and acknowledged; a repeat with the same key is none.",
);
const LIVE: Family = Family::gauge("headframe_runs_live", &[], "Runs that have not ended, as of the last survey.");
const RUNS_REMOVED: Family = Family::counter(
    "headframe_runs_removed_total",
    &[],
    "Runs that had ended and were not to be kept any longer, as of the last survey; over all lives of the store.",
);
const KEYS: Family = Family::gauge("headframe_keys", &["of"], "Idempotency keys that are kept, as of the last survey.");
const KEYS_REMOVED: Family = Family::counter(
    "headframe_keys_removed_total",
    &["of"],
    "Idempotency keys whose time was over, as of the last survey; over all lives of the store.",
);
const KEY_HITS: Family = Family::counter(
    "headframe_key_hits_total",
    &["of"],
    "Repeats that were recognised by their idempotency key, as of the last survey.",
);
const ARTIFACTS: Family = Family::gauge("headframe_artifacts", &[], "Artifacts that are kept, as of the last survey.");
const STORE: Family = Family::gauge(
    "headframe_store_bytes",
    &["part"],
    "Bytes that the data folder takes on disk, as of the last survey.",
);
const DISK_FREE: Family = Family::gauge(
    "headframe_disk_free_bytes",
    &[],
    "Bytes that are free on the disk of the data folder, as of the last survey.",
);
const DISK_SIZE: Family =
    Family::gauge("headframe_disk_size_bytes", &[], "Bytes that the disk of the data folder holds.");
const SURVEY: Family =
    Family::gauge("headframe_survey_duration_seconds", &[], "How long the last survey of the engine took.");
const BUILD: Family = Family::gauge("headframe_build_info", &["version"], "Always 1; which build this is.");

/// All of them.
pub(crate) const FAMILIES: &[Family] = &[
    SUBMITTED,
    LIVE,
    RUNS_REMOVED,
    KEYS,
    KEYS_REMOVED,
    KEY_HITS,
    ARTIFACTS,
    STORE,
    DISK_FREE,
    DISK_SIZE,
    SURVEY,
    BUILD,
];

/// What an engine counts and sets.
pub(super) struct Meters {
    pub(super) submitted: Counter,
    pub(super) instruments: Instruments,
    live: Gauge,
    runs_removed: Counter,
    keys: [KeyMeters; 2],
    artifacts: Gauge,
    store: [Gauge; PARTS.len() + 1],
    disk: [Gauge; 2],
    survey: Gauge,
}

struct KeyMeters {
    kept: Gauge,
    removed: Counter,
    hits: Mutex<Growing>,
}

impl KeyMeters {
    fn new(to: &Instruments, of: &str) -> Self {
        let (removed, hits) = (to.counter(&KEYS_REMOVED, &[of]), Growing::new(to.counter(&KEY_HITS, &[of])).into());
        Self { kept: to.gauge(&KEYS, &[of]), removed, hits }
    }

    fn set(&self, KeyFigures { kept, removed, hits }: KeyFigures) {
        self.kept.set(kept as f64);
        self.removed.absolute(removed);
        self.hits.lock().grow_to(hits);
    }
}

impl Meters {
    pub(super) fn new(instruments: Instruments) -> Self {
        let to = &instruments;
        to.describe(FAMILIES);
        to.gauge(&BUILD, &[env!("CARGO_PKG_VERSION")]).set(1.0);
        let part = |at: usize| to.gauge(&STORE, &[PARTS.get(at).map_or("other", |(name, _)| name)]);
        Self {
            submitted: to.counter(&SUBMITTED, &[]),
            live: to.gauge(&LIVE, &[]),
            runs_removed: to.counter(&RUNS_REMOVED, &[]),
            keys: ["submissions", "messages"].map(|of| KeyMeters::new(to, of)),
            artifacts: to.gauge(&ARTIFACTS, &[]),
            store: std::array::from_fn(part),
            disk: [&DISK_FREE, &DISK_SIZE].map(|family| to.gauge(family, &[])),
            survey: to.gauge(&SURVEY, &[]),
            instruments,
        }
    }
}

impl Engine {
    /// Hand the figures that can be had at once to the recorder: to be called right before it is read. Waits for nobody.
    pub fn record_metrics(&self) {
        self.system().record_metrics();
    }

    /// Look for figures that have to be looked for, hand them to the recorder, and return them. All rows are read.
    ///
    /// # Errors
    /// If the store closed.
    pub async fn survey(&self) -> Result<Survey, Error> {
        let began = monotonic();
        let (meters, survey) = (&self.0.meters, self.system().survey().await?);
        meters.live.set(survey.roots.get(Run::KIND).copied().unwrap_or_default() as f64);
        meters.runs_removed.absolute(self.system().removed("run/").await?);
        for (meters, prefix) in meters.keys.iter().zip([keys::PREFIX, MESSAGES]) {
            meters.set(self.system().keys(prefix).await?);
        }
        let folder = self.0.folder.clone();
        // A runtime that is ending surveys nothing.
        if let Ok(room) = tokio::task::spawn_blocking(move || Room::of(&folder)).await {
            meters.artifacts.set(room.artifacts as f64);
            meters.store.iter().zip(room.parts).for_each(|(gauge, bytes)| gauge.set(bytes as f64));
            meters.disk.iter().zip(room.disk).for_each(|(gauge, bytes)| gauge.set(bytes as f64));
        }
        meters.survey.set(began.elapsed().as_secs_f64());
        Ok(survey)
    }

    /// Survey again and again, until the store is closed for good: every ten seconds, or less often if that takes long.
    pub async fn keep_surveying(&self) {
        let closed = self.closed();
        tokio::pin!(closed);
        loop {
            let began = monotonic();
            // While the store is being opened again there is nothing to see.
            let _ = self.survey().await;
            tokio::select! {
                _ = &mut closed => return,
                () = tokio::time::sleep(EVERY.max(began.elapsed() * PAUSES)) => {}
            }
        }
    }
}

/// The room that a data folder takes, and that there is.
#[derive(Default)]
struct Room {
    parts: [u64; PARTS.len() + 1],
    artifacts: u64,
    /// Free, and in all.
    disk: [u64; 2],
}

impl Room {
    fn of(folder: &Path) -> Self {
        let mut room = Self::default();
        for (sum, (_, part)) in room.parts.iter_mut().zip(PARTS) {
            let (bytes, files) = taken(&folder.join(part));
            *sum = bytes;
            if part == "artifacts" {
                // Beside the content lie a lock and what is being written.
                room.artifacts = files.saturating_sub(1);
            }
        }
        let known: u64 = room.parts.iter().sum();
        room.parts[PARTS.len()] = taken(folder).0.saturating_sub(known);
        if let Ok(stat) = rustix::fs::statvfs(folder) {
            room.disk = [stat.f_bavail, stat.f_blocks].map(|blocks| blocks.saturating_mul(stat.f_frsize));
        }
        room
    }
}

/// Bytes on disk, and how many files; those that go meanwhile take nothing.
fn taken(folder: &Path) -> (u64, u64) {
    let mut sum = (0, 0);
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(data) if data.is_dir() => folders.push(entry.path()),
                Ok(data) => sum = (sum.0 + data.blocks() * 512, sum.1 + 1),
                Err(_) => {}
            }
        }
    }
    sum
}
