//! What all requests share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use super::{bucket::Bucket, limits::Limits, listen::ended, measure::Meters, problem::Problem, workflows::Workflows};
use crate::{clock::monotonic, engine::Engine};

/// Makes the text of the metrics.
pub(super) type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What the handlers work with.
pub(super) struct Shared {
    pub(super) engine: Engine,
    pub(super) workflows: Workflows,
    pub(super) limits: Limits,
    pub(super) metrics: Metrics,
    pub(super) meters: Meters,
    /// Tells this server from every other one, also after it is gone.
    pub(super) instance: String,
    /// `true` from the moment on at which nothing new is taken in.
    pub(super) drain: watch::Receiver<bool>,
    /// One permit per event stream.
    pub(super) streams: Arc<Semaphore>,
    changes: Mutex<Bucket>,
    /// When a worker of the runtime last showed itself, in milliseconds of this server.
    beat_ms: AtomicU64,
    began: std::time::Instant,
}

impl Shared {
    pub(super) fn new(
        engine: Engine,
        workflows: Workflows,
        limits: Limits,
        metrics: Metrics,
        drain: watch::Receiver<bool>,
    ) -> Self {
        Self {
            meters: Meters::new(engine.instruments().clone()),
            engine,
            workflows,
            metrics,
            instance: uuid::Uuid::now_v7().simple().to_string(),
            drain,
            streams: Arc::new(Semaphore::new(limits.streams)),
            changes: Mutex::new(Bucket::full(limits.changes_per_second)),
            limits,
            beat_ms: AtomicU64::new(0),
            began: monotonic(),
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        *self.drain.borrow()
    }

    /// Completes when nothing new is taken in any more.
    pub(super) async fn drained(&self) {
        ended(self.drain.clone()).await;
    }

    /// Take one from the changes that may come now.
    pub(super) fn admit_change(&self) -> Result<(), Problem> {
        self.changes.lock().take(self.began.elapsed()).map_err(|wait| {
            let detail = format!("more than {} changes a second; try again", self.limits.changes_per_second);
            let too_many = axum::http::StatusCode::TOO_MANY_REQUESTS;
            Problem::new(too_many, "HF0310", detail).retry_after(wait.as_secs() + 1)
        })
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A worker shows itself.
    pub(super) fn beat(&self) {
        self.beat_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// For how long no worker showed itself, in milliseconds.
    pub(super) fn silent_ms(&self) -> u64 {
        self.now_ms().saturating_sub(self.beat_ms.load(Ordering::Relaxed))
    }
}
