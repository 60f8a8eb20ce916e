//! An engine whose store failed opens it again.
//!
//! ```text
//! open ── the store fails ─► reopening ─ wait, try, wait longer, try ─► open, as the next incarnation
//!                                └─ tried too often, or it fails again and again ─► closed
//! ```
//! Callers in between hear that the outcome is unknown (HF0010), and repeat with the same key. Calls that run go on, and
//! belong to the next incarnation.
//!
//! **Invariants:** nothing is tried again on the store that failed; each try recovers from what is on disk. A store that
//! opens and fails again at once is given up, too. An engine that nobody has any more, or that was stopped, is not opened.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use headframe_actors::{
    clock::monotonic,
    durable::{Heir, System},
};
use tokio::sync::watch;

use super::{
    Error, Inner,
    builder::{Recipe, Stores},
};

/// How a store that failed is opened again. The default tries 15 times, for about a minute, and gives a store up that
/// fails more than 5 times in 10 minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reopen {
    /// Tries after one failure; with 0 the engine stays closed.
    pub tries: u32,
    /// The wait before the first try; each further one is twice as long, up to 5 s.
    pub wait: Duration,
    /// Failures within `period` after which the store is given up: one more than this.
    pub failures_max: usize,
    /// See `failures_max`.
    pub period: Duration,
}

/// No wait between two tries is longer.
const WAIT_MAX: Duration = Duration::from_secs(5);

impl Default for Reopen {
    fn default() -> Self {
        Self { tries: 15, wait: Duration::from_millis(100), failures_max: 5, period: Duration::from_secs(600) }
    }
}

impl Reopen {
    /// Stay closed after a failure.
    pub const NEVER: Self = Self { tries: 0, wait: Duration::ZERO, failures_max: 0, period: Duration::ZERO };

    fn wait(&self, attempt: u32) -> Duration {
        self.wait.saturating_mul(1 << attempt.min(16)).min(WAIT_MAX)
    }
}

/// How an engine stands to its store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// It is open.
    Open {
        /// From 1; grows each time it is opened again.
        incarnation: u64,
    },
    /// It failed, and is being opened again.
    Reopening {
        /// What closed it, or why the last try failed.
        cause: Arc<str>,
        /// Tries so far.
        tries: u32,
    },
    /// It is closed for good: by a stop, or because it could not be opened again.
    Closed {
        /// Why.
        cause: Arc<str>,
    },
}

/// Open the store again whenever it fails, for as long as somebody has the engine.
pub(super) fn keep_open(engine: &Arc<Inner>, recipe: Recipe, stores: Option<Stores>, reopen: Reopen) {
    let failed = engine.system().failed();
    let keeper = Keeper { engine: Arc::downgrade(engine), recipe, stores, reopen, failures: VecDeque::new() };
    #[expect(clippy::disallowed_methods, reason = "whoever opens the store again outlives the actors that need it")]
    tokio::spawn(async move { keeper.run(failed.await).await });
}

/// Waits for failures, without keeping the engine alive.
struct Keeper {
    engine: Weak<Inner>,
    recipe: Recipe,
    stores: Option<Stores>,
    reopen: Reopen,
    failures: VecDeque<std::time::Instant>,
}

impl Keeper {
    async fn run(mut self, mut cause: Arc<str>) {
        let mut incarnation = 1;
        loop {
            match self.open_again(cause).await {
                Ok(None) => return,
                Ok(Some(system)) => {
                    let Some(engine) = self.engine.upgrade() else { return };
                    let failed = system.failed();
                    *engine.system.write() = system;
                    incarnation += 1;
                    engine.condition.send_replace(Condition::Open { incarnation });
                    if engine.is_stopping.load(Ordering::SeqCst) {
                        engine.system().stop(Duration::ZERO).await;
                    }
                    drop(engine);
                    cause = failed.await;
                }
                Err(cause) => {
                    if let Some(engine) = self.engine.upgrade() {
                        engine.condition.send_replace(Condition::Closed { cause });
                    }
                    return;
                }
            }
        }
    }

    /// The next incarnation; nothing if nobody has the engine any more.
    ///
    /// # Errors
    /// Why it stays closed.
    async fn open_again(&mut self, mut cause: Arc<str>) -> Result<Option<System>, Arc<str>> {
        let Some(engine) = self.engine.upgrade() else { return Ok(None) };
        let is_stopped = engine.is_stopping.load(Ordering::SeqCst) || engine.system().is_stopping();
        let gives_up = is_stopped || self.fails_too_often();
        if !is_stopped && (gives_up || self.stores.is_none()) {
            tracing::error!(cause = &*cause, "the store failed and stays closed");
        }
        let stores = self.stores.as_ref().filter(|_| !gives_up).ok_or_else(|| cause.clone())?;
        let heir = engine.system().abandon();
        drop(engine);
        for tries in 0..self.reopen.tries {
            let Some(engine) = self.engine.upgrade() else { return Ok(None) };
            engine.condition.send_replace(Condition::Reopening { cause: cause.clone(), tries });
            drop(engine);
            tokio::time::sleep(self.reopen.wait(tries)).await;
            match self.open(stores, heir.clone()).await {
                Ok(system) => {
                    tracing::warn!(cause = &*cause, "the store failed and was opened again");
                    return Ok(Some(system));
                }
                Err(error) => {
                    tracing::warn!(%error, "the store that failed cannot be opened again yet");
                    cause = error.to_string().into();
                }
            }
        }
        tracing::error!(cause = &*cause, "the store that failed could not be opened again, and stays closed");
        Err(cause)
    }

    async fn open(&self, stores: &Stores, heir: Heir) -> Result<System, Error> {
        Ok(self.recipe.start(stores()?, Some(heir)).await?)
    }

    fn fails_too_often(&mut self) -> bool {
        let now = monotonic();
        let period = self.reopen.period;
        self.failures.retain(|at| now.duration_since(*at) < period);
        self.failures.push_back(now);
        self.failures.len() > self.reopen.failures_max
    }
}

impl Inner {
    /// Wait until another system has taken the place of this one; `false` if none will.
    pub(crate) async fn until_reopened(&self, former: &System) -> bool {
        let mut condition: watch::Receiver<Condition> = self.condition.subscribe();
        loop {
            // First what is told, then what is there: the system takes its place before that is told.
            let told = condition.borrow_and_update().clone();
            match told {
                Condition::Open { .. } if !self.system().is_same(former) => return true,
                Condition::Closed { .. } => return false,
                // The failure itself may be heard of a moment earlier here than by whoever opens the store again.
                Condition::Open { .. } | Condition::Reopening { .. } => {}
            }
            if condition.changed().await.is_err() {
                return false;
            }
        }
    }
}
