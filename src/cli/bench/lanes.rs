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
use parking_lot::Mutex;
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

/// Times that a lane holds before it hands them in: a distribution of its own in each lane would be more memory than the
/// work that is measured.
const HELD: usize = 64;

/// Take steps in so many lanes; a step that fails ends all of them. Returns how long each took, in microseconds.
pub(super) async fn lanes<F, R>(lanes: u32, until: Until, step: F) -> Result<Histogram<u64>, Failed>
where
    F: Fn(u64) -> R + Clone + Send + 'static,
    R: Future<Output = Result<(), Failed>> + Send + 'static,
{
    let mut set = tokio::task::JoinSet::new();
    let failed = Arc::new(AtomicBool::new(false));
    let all = Arc::new(Mutex::new(Histogram::new(3)?));
    for _ in 0..lanes {
        set.spawn(lane(until.clone(), failed.clone(), all.clone(), step.clone()));
    }
    while let Some(done) = set.join_next().await {
        done??;
    }
    let all = std::mem::replace(&mut *all.lock(), Histogram::new(3)?);
    Ok(all)
}

async fn lane<F, R>(
    until: Until,
    failed: Arc<AtomicBool>,
    all: Arc<Mutex<Histogram<u64>>>,
    step: F,
) -> Result<(), Failed>
where
    F: Fn(u64) -> R,
    R: Future<Output = Result<(), Failed>>,
{
    let (mut begun, mut times) = (0, Vec::with_capacity(HELD));
    while let Some(number) = until.next(begun).filter(|_| !failed.load(Ordering::Relaxed)) {
        begun += 1;
        let began = monotonic();
        step(number).await.inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        times.push(u64::try_from(began.elapsed().as_micros())?);
        if times.len() == HELD {
            hand_in(&mut times, &all)?;
        }
    }
    hand_in(&mut times, &all)
}

fn hand_in(times: &mut Vec<u64>, all: &Mutex<Histogram<u64>>) -> Result<(), Failed> {
    let mut all = all.lock();
    times.drain(..).try_for_each(|time| all.record(time))?;
    Ok(())
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
