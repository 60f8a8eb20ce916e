//! How long commits wait until they are durable, as the engine measures it of each record.
//!
//! **Invariant:** nothing else is counted, so that what is measured costs what it costs without a recorder.

use std::{fmt, sync::Arc};

use hdrhistogram::Histogram;
use headframe::metrics::Instruments;
use metrics::{Counter, Gauge, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;
use serde::Serialize;

use super::Failed;

/// From the first commit of a record until the record is durable: the queue, and the sync.
const FAMILY: &str = "headframe_commit_wait_seconds";

/// How long the oldest commit of each record waited, in microseconds.
#[derive(Clone)]
pub(super) struct Commits(Arc<Waits>);

struct Waits(Mutex<Histogram<u64>>);

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Waited {
    /// Half of the records took no longer.
    pub(super) p50_ms: f64,
    /// 99 % of the records took no longer.
    pub(super) p99_ms: f64,
    /// No record took longer.
    pub(super) max_ms: f64,
    /// The second of these over the first.
    pub(super) p99_over_p50: f64,
}

impl Commits {
    pub(super) fn new() -> Result<Self, Failed> {
        Ok(Self(Arc::new(Waits(Mutex::new(Histogram::new(3)?)))))
    }

    /// To be given to the engine that is measured.
    pub(super) fn instruments(&self) -> Instruments {
        Instruments::with(Arc::new(self.clone()))
    }

    /// Forget what came before.
    pub(super) fn reset(&self) {
        self.0.0.lock().reset();
    }

    /// What came since.
    pub(super) fn waited(&self) -> Waited {
        let waits = self.0.0.lock();
        let at = |quantile| waits.value_at_quantile(quantile) as f64 / 1_000.0;
        let (p50_ms, p99_ms) = (at(0.50), at(0.99));
        Waited { p50_ms, p99_ms, max_ms: at(1.0), p99_over_p50: p99_ms / p50_ms.max(0.001) }
    }
}

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50_ms, p99_ms, max_ms, p99_over_p50 } = self;
        write!(f, "{p50_ms:>12.2} ms  {p99_ms:.2} ms, at most {max_ms:.1} ms; p99 is {p99_over_p50:.1} times p50")
    }
}

impl HistogramFn for Waits {
    fn record(&self, seconds: f64) {
        // It grows with what it is given, and longer than an hour is an hour.
        let _ = self.0.lock().record((seconds * 1e6).min(3.6e9) as u64);
    }
}

impl Recorder for Commits {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        if key.name() == FAMILY { metrics::Histogram::from_arc(self.0.clone()) } else { metrics::Histogram::noop() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A family that was given another name would leave nothing but zeros.
    #[test]
    fn what_is_counted_is_a_family_of_the_engine() {
        assert!(headframe::metrics::families().iter().any(|family| family.name == FAMILY));
    }
}
