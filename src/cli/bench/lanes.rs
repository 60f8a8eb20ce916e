//! Doing the same thing again and again, in so many lanes at once, and how long each time takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use headframe::clock::monotonic;
use serde::Serialize;

use super::Failed;

/// When lanes end.
#[derive(Clone)]
pub(super) enum Until {
    /// No step begins after this time, but every lane takes one.
    Over(Instant),
    /// So many steps are left to begin, for all lanes together.
    Left(Arc<AtomicU64>),
}

impl Until {
    pub(super) fn after(length: Duration) -> Self {
        Self::Over(monotonic() + length)
    }

    pub(super) fn steps(count: u32) -> Self {
        Self::Left(Arc::new(AtomicU64::new(count.into())))
    }

    /// Whether there is to be another step, and its number: how many its lane took before, or, where steps are counted,
    /// how many are left with it, down to 1.
    fn next(&self, begun: u64) -> Option<u64> {
        match self {
            Self::Over(end) => (begun == 0 || monotonic() < *end).then_some(begun),
            Self::Left(left) => {
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok()
            }
        }
    }
}

/// Take steps in so many lanes; a step that fails ends all of them. Returns how long each took, in microseconds.
pub(super) async fn lanes<F, R>(lanes: u32, until: Until, step: F) -> Result<Histogram<u64>, Failed>
where
    F: Fn(u64) -> R + Clone + Send + 'static,
    R: Future<Output = Result<(), Failed>> + Send + 'static,
{
    let mut set = tokio::task::JoinSet::new();
    let failed = Arc::new(AtomicBool::new(false));
    for _ in 0..lanes {
        set.spawn(lane(until.clone(), failed.clone(), step.clone()));
    }
    let mut all = Histogram::new(3)?;
    while let Some(times) = set.join_next().await {
        all.add(times??)?;
    }
    Ok(all)
}

async fn lane<F, R>(until: Until, failed: Arc<AtomicBool>, step: F) -> Result<Histogram<u64>, Failed>
where
    F: Fn(u64) -> R,
    R: Future<Output = Result<(), Failed>>,
{
    let mut times = Histogram::new(3)?;
    while let Some(number) = until.next(times.len()).filter(|_| !failed.load(Ordering::Relaxed)) {
        let began = monotonic();
        step(number).await.inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        times.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    Ok(times)
}

/// How long something took, as a distribution.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Times {
    /// Half took no longer.
    pub(super) p50_ms: f64,
    /// 95 % took no longer.
    pub(super) p95_ms: f64,
    /// 99 % took no longer.
    pub(super) p99_ms: f64,
}

impl From<&Histogram<u64>> for Times {
    fn from(times: &Histogram<u64>) -> Self {
        let at = |quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
        Self { p50_ms: at(0.50), p95_ms: at(0.95), p99_ms: at(0.99) }
    }
}
