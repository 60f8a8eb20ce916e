//! The service that compares rows with base and journal while the system works (`scrub.rs`).
//!
//! It reads on threads that may block, a piece at a time, and rests nine times as long as a piece took: so it has a tenth of
//! one processor and of one disk, at most. It can be killed anywhere, and begins anew.
//!
//! **Invariant:** rows that are found to be wrong are condemned before that is told: the next start builds them again. They are
//! told of once in a life, because nothing more is learnt from them.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{System, inner::Inner};
use crate::durable::{
    scrub::{Round, Step},
    store::Error,
};

/// It rests so many times as long as it works.
const RESTS: u32 = 9;
/// And never longer than this at once, nor than between two rounds.
const REST_MAX: Duration = Duration::from_secs(1);

/// What comparing rows with base and journal came to in this life.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Scrubbed {
    /// How often all rows were compared.
    pub rounds: u64,
    /// How many there were the last time.
    pub rows: u64,
    /// When that ended, in milliseconds since 1970.
    pub at_ms: Option<u64>,
    /// What is wrong, in sentences; empty when all is well. The next start builds the rows again.
    pub problems: Vec<String>,
    /// Why the last round did not come to its end, if it did not.
    pub trouble: Option<String>,
}

/// When it works, and what it found.
#[derive(Debug)]
pub(crate) struct Scrubs {
    every: Duration,
    found: Mutex<Scrubbed>,
}

impl Scrubs {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, found: Mutex::default() }
    }
}

impl Inner {
    /// Compare all rows now and then, until the life ends or something is found.
    pub(super) async fn run_scrubber(self: Arc<Self>) {
        let mut closed = self.failure.subscribe();
        while tokio::time::timeout(self.scrubs.every, closed.wait_for(Option::is_some)).await.is_err() {
            let is_known = !self.scrubs.found.lock().problems.is_empty();
            if !is_known && self.rows.is_some() {
                self.scrub().await;
            }
        }
    }

    /// Compare all rows once.
    async fn scrub(self: &Arc<Self>) {
        let mut round = Round::new(self.store.clone());
        loop {
            let began = crate::clock::monotonic();
            let stepped = self.blocking(move || {
                let step = round.step();
                (round, step)
            });
            // A panic in there is told by the panic hook, and the next round begins anew.
            let Ok((next, step)) = stepped.await else { return };
            round = next;
            match step {
                Ok(Step::More | Step::Overtaken) => {
                    let rest = (began.elapsed() * RESTS).min(REST_MAX).min(self.scrubs.every);
                    if tokio::time::timeout(rest, self.until_failure()).await.is_ok() {
                        return;
                    }
                }
                Ok(Step::Done) => return self.scrubbed(&round),
                Ok(Step::NoRows) => return,
                Err(error) => return self.not_scrubbed(&error),
            }
        }
    }

    async fn until_failure(&self) {
        // An error says that nobody can close it any more.
        let _ = self.failure.subscribe().wait_for(Option::is_some).await;
    }

    fn scrubbed(&self, round: &Round) {
        let problems = round.wrong();
        if !problems.is_empty() {
            self.store.condemn(&problems.join("; "));
            for problem in &problems {
                tracing::error!("HF0022: {problem}; restart soon: the rows are then built again from base and journal");
            }
        }
        let mut found = self.scrubs.found.lock();
        *found = Scrubbed {
            rounds: found.rounds + 1,
            rows: round.rows(),
            at_ms: Some(self.clock.now_ms()),
            problems,
            trouble: None,
        };
    }

    fn not_scrubbed(&self, error: &Error) {
        if self.core.lock().closed.is_some() {
            return;
        }
        let mut found = self.scrubs.found.lock();
        found.trouble = Some(error.to_string());
        if matches!(error, Error::Rows { .. } | Error::BadRow { .. }) {
            // The store has noted it already, for the next start.
            found.problems = vec![error.to_string()];
            tracing::error!("HF0022: {error}; restart soon: the rows are then built again from base and journal");
        } else {
            tracing::error!(%error, "rows could not be compared with base and journal; it will be tried again");
        }
    }
}

impl System {
    /// What comparing rows with base and journal came to in this life.
    #[must_use]
    pub fn scrubbed(&self) -> Scrubbed {
        self.inner.scrubs.found.lock().clone()
    }
}
