//! A recorder that is read as text, in the format of Prometheus.
//!
//! **Invariants:** it belongs to whoever made it, and is not installed anywhere. Every histogram has buckets.

use std::{fmt, sync::Arc, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::{Instruments, Kind, families, process};

/// How often samples are put into their buckets, when nobody reads.
const UPKEEP: Duration = Duration::from_secs(5);

/// Buckets of histograms that are not ours: 1 ms to 1 min.
const BUCKETS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

/// A recorder for one engine, or for a whole program that installs it: `metrics::set_global_recorder(it.recorder())`.
#[derive(Clone)]
pub struct Prometheus {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus").finish_non_exhaustive()
    }
}

impl Default for Prometheus {
    fn default() -> Self {
        Self::new()
    }
}

impl Prometheus {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        let mut builder = PrometheusBuilder::new().set_buckets(BUCKETS).expect("there are buckets");
        for family in families() {
            if let Kind::Histogram(buckets) = family.kind {
                let name = Matcher::Full(family.name.to_owned());
                builder = builder.set_buckets_for_metric(name, buckets).expect("a histogram has buckets");
            }
        }
        let recorder = Arc::new(builder.build_recorder());
        let handle = recorder.handle();
        Self { recorder, handle }
    }

    /// The recorder itself.
    #[must_use]
    pub fn recorder(&self) -> Arc<PrometheusRecorder> {
        self.recorder.clone()
    }

    /// For [`EngineBuilder::instruments`](crate::engine::EngineBuilder::instruments).
    #[must_use]
    pub fn instruments(&self) -> Instruments {
        Instruments::with(self.recorder.clone())
    }

    /// Everything, and what the process takes, as text in the exposition format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let text = self.handle.render();
        let mut families: Vec<_> = text.split("\n\n").map(str::trim).filter(|family| !family.is_empty()).collect();
        families.sort_unstable_by_key(|family| family.split(' ').nth(2));
        let mut text = families.join("\n");
        text.push('\n');
        process::write(&mut text);
        text
    }

    /// Put samples into their buckets every now and then, for ever: what nobody reads would otherwise pile up.
    pub async fn keep_up(&self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.handle.run_upkeep();
        }
    }
}
