//! Availability: now and then a small run is submitted, whatever became of the one before, and must end in time.
//!
//! **Invariant:** an open loop. A probe that is late does not keep the next one from being sent, up to a bound; beyond it
//! a probe counts as not answered without being sent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use headframe::{
    Engine,
    clock::monotonic,
    plan::{Checked, Plan},
};
use serde_json::json;
use tokio::task::JoinSet;

/// Time between two probes.
const EVERY: Duration = Duration::from_millis(250);
/// No more are on their way.
const OPEN_MAX: usize = 256;

/// What came of the probes so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) sent: u64,
    pub(crate) in_time: u64,
}

impl Answered {
    /// In percent; all of none.
    pub(crate) fn share(self) -> f64 {
        if self.sent == 0 { 100.0 } else { self.in_time as f64 * 100.0 / self.sent as f64 }
    }

    pub(crate) fn since(self, former: Self) -> Self {
        Self { sent: self.sent - former.sent, in_time: self.in_time - former.in_time }
    }
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    in_time: AtomicU64,
}

/// Sends probes while it lives.
pub(crate) struct Probes {
    tasks: JoinSet<()>,
    counts: Arc<Counts>,
}

impl Probes {
    pub(crate) fn start(engine: &Engine, within: Duration) -> anyhow::Result<Self> {
        let plan =
            Plan::builder("probe").phase("only", |phase| phase.task("once", "noop", |task| task.with(json!({}))));
        let plan = engine.check(plan.build())?;
        let (mut tasks, counts) = (JoinSet::new(), Arc::new(Counts::default()));
        tasks.spawn(send(engine.clone(), plan, within, counts.clone()));
        Ok(Self { tasks, counts })
    }

    pub(crate) fn so_far(&self) -> Answered {
        // In this order, so that no more are answered than were sent.
        let in_time = self.counts.in_time.load(Relaxed);
        Answered { sent: self.counts.sent.load(Relaxed).max(in_time), in_time }
    }

    /// Send no more. Those on their way are runs like all others, and end.
    pub(crate) async fn end(mut self) -> Answered {
        self.tasks.shutdown().await;
        self.so_far()
    }
}

async fn send(engine: Engine, plan: Arc<Checked>, within: Duration, counts: Arc<Counts>) {
    let (mut open, mut next) = (JoinSet::new(), tokio::time::interval(EVERY));
    loop {
        tokio::select! {
            _ = next.tick() => {
                if open.len() < OPEN_MAX {
                    open.spawn(one(engine.clone(), plan.clone(), within));
                } else {
                    counts.sent.fetch_add(1, Relaxed);
                }
            }
            Some(answered) = open.join_next() => {
                counts.sent.fetch_add(1, Relaxed);
                counts.in_time.fetch_add(u64::from(answered.unwrap_or(false)), Relaxed);
            }
        }
    }
}

async fn one(engine: Engine, plan: Arc<Checked>, within: Duration) -> bool {
    let began = monotonic();
    let answered = async { engine.submit(&plan, json!({})).await?.output().await };
    // A timeout asks for the answer once more when the time is over.
    matches!(tokio::time::timeout(within, answered).await, Ok(Ok(_))) && began.elapsed() <= within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_those_that_were_sent() {
        let former = Answered { sent: 100, in_time: 100 };
        let now = Answered { sent: 104, in_time: 103 };
        assert_eq!(now.since(former).share(), 75.0);
        assert_eq!(Answered::default().share(), 100.0);
    }
}
