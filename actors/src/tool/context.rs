//! What a tool is told about the call it is doing.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::in_flight::Home;
use crate::durable::{CallId, Epoch, Key};

/// The largest save of a running call: 64 KiB.
pub const CHECKPOINT_MAX: usize = 64 * 1024;

/// A save was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a checkpoint of {bytes} bytes is larger than {CHECKPOINT_MAX}: save it as an artifact, and its digest here")]
pub struct CheckpointTooLarge {
    /// How large it is.
    pub bytes: usize,
}

/// What a running call last said of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Done so far, from 0 to 1, where the tool knows.
    pub fraction: Option<f32>,
    /// What it is doing, for people.
    pub note: String,
}

/// Where a running call and the runtime meet.
pub(crate) struct Shared {
    pub(crate) cancel: CancellationToken,
    pub(crate) progress: Mutex<Progress>,
    /// Heartbeats so far.
    pub(crate) beats: AtomicU64,
    /// What is promised of them, if anything.
    pub(crate) pulse: Option<Pulse>,
    pub(crate) checkpoint: Mutex<Option<Bytes>>,
    /// Where saves go; none for a call outside any engine.
    pub(crate) system: Option<Arc<Home>>,
}

/// A promise of heartbeats.
pub(crate) struct Pulse {
    /// The longest silence.
    pub(crate) within: Duration,
    /// Set once it was silent for longer: the attempt is given up.
    pub(crate) lost: CancellationToken,
}

impl Pulse {
    pub(crate) fn new(within: Duration) -> Self {
        Self { within, lost: CancellationToken::new() }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("progress", &*self.progress.lock()).finish_non_exhaustive()
    }
}

/// One attempt at one call: its key, its limits, and how to speak while it runs.
#[derive(Clone, Debug)]
pub struct CallContext {
    pub(crate) call: CallId,
    pub(crate) path: Arc<str>,
    pub(crate) key: Key,
    pub(crate) attempt: u32,
    pub(crate) deadline: Instant,
    pub(crate) epoch: Epoch,
    pub(crate) last_checkpoint: Option<Bytes>,
    pub(crate) shared: Arc<Shared>,
}

impl CallContext {
    /// A context for a call outside any engine: for the tests of a tool.
    #[must_use]
    pub fn detached(path: &str, key: Key, timeout: Duration) -> Self {
        Self {
            call: CallId(0),
            path: path.into(),
            key,
            attempt: 1,
            deadline: crate::clock::monotonic() + timeout,
            epoch: Epoch(1),
            last_checkpoint: None,
            shared: Arc::new(Shared {
                cancel: CancellationToken::new(),
                progress: Mutex::default(),
                beats: AtomicU64::new(0),
                pulse: None,
                checkpoint: Mutex::new(None),
                system: None,
            }),
        }
    }

    /// Which call this is.
    #[must_use]
    pub fn call_id(&self) -> CallId {
        self.call
    }

    /// Run, phase and task, for logs and people.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The idempotency key: the same for every attempt at the same thing.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// Which attempt this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When the attempt is given up.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Grows with each life of the engine: a tool that remembers the highest can refuse a late caller.
    #[must_use]
    pub fn fencing_token(&self) -> u64 {
        self.epoch.0
    }

    /// Whether the caller no longer wants it. Stop as soon as it is safe.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancel.is_cancelled()
    }

    /// Completes when the caller no longer wants it.
    pub async fn cancelled(&self) {
        self.shared.cancel.cancelled().await;
    }

    /// Ask the call to stop, as a cancel or the time limit does.
    pub fn cancel(&self) {
        self.shared.cancel.cancel();
    }

    /// The longest silence between two heartbeats that this call promises, if any: beat more often.
    #[must_use]
    pub fn heartbeat_within(&self) -> Option<Duration> {
        self.shared.pulse.as_ref().map(|pulse| pulse.within)
    }

    /// Say that the call is alive and how far it is.
    pub fn heartbeat(&self, progress: Progress) {
        self.beat();
        self.say(progress);
    }

    /// Say that the call is alive.
    pub fn beat(&self) {
        self.shared.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Say how far the call is, which does not count as a heartbeat: for what is known without hearing from whatever does
    /// the work.
    pub fn say(&self, progress: Progress) {
        *self.shared.progress.lock() = progress;
    }

    /// Save something for the next attempt, should this one not end well, or die with the process. The last save counts;
    /// it is durable within a few milliseconds.
    ///
    /// # Errors
    /// If it is larger than [`CHECKPOINT_MAX`]: save it as an artifact, and its digest here.
    pub fn checkpoint(&self, bytes: impl Into<Bytes>) -> Result<(), CheckpointTooLarge> {
        let bytes = bytes.into();
        if bytes.len() > CHECKPOINT_MAX {
            return Err(CheckpointTooLarge { bytes: bytes.len() });
        }
        if let Some(inner) = self.shared.system.as_ref().and_then(|home| home.get()) {
            inner.save_checkpoint(self.call, bytes.clone());
        }
        *self.shared.checkpoint.lock() = Some(bytes);
        Ok(())
    }

    /// What the former attempt saved.
    #[must_use]
    pub fn last_checkpoint(&self) -> Option<&Bytes> {
        self.last_checkpoint.as_ref()
    }
}
