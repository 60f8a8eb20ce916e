//! How outcomes of calls are let in, and where they wait when the store is closed.
//!
//! **Invariants:** an outcome that was handed in while the store is open is accepted; one that comes later waits for the next
//! system of this process. While the system drains, only what counts is kept. One commit holds a bounded number of bytes.

use std::sync::Arc;

use bytes::Bytes;

use super::inner::{Core, Inner};
use crate::durable::{
    call::Outcome,
    id::{ActorId, CallId},
};

/// The most that answers of one commit hold.
const ANSWERS_MAX: usize = 4 * 1024 * 1024;

/// How a call ended: which, with what, and what it saved for its next attempt.
pub(crate) type Ended = (CallId, Outcome, Option<Bytes>);

impl Inner {
    /// Let outcomes in, in commits of a bounded size, and then do something. If that takes bringing their callers into
    /// memory, it is done in a task of its own, which nobody kills.
    pub(crate) fn answer(self: &Arc<Self>, mut outcomes: Vec<Ended>, then: impl FnOnce() + Send + 'static) {
        let cold = match self.try_answer(&mut outcomes) {
            Taken::All => return then(),
            Taken::Parked => return,
            Taken::Cold(cold) => cold,
        };
        let inner = self.clone();
        self.runtime.spawn(async move {
            let mut cold = cold;
            while inner.bring(cold).await.is_ok() {
                match inner.try_answer(&mut outcomes) {
                    Taken::All => return then(),
                    Taken::Parked => return,
                    Taken::Cold(still) => cold = still,
                }
            }
            inner.park(outcomes);
        });
    }

    /// Let in as many as can be.
    fn try_answer(self: &Arc<Self>, outcomes: &mut Vec<Ended>) -> Taken {
        while !outcomes.is_empty() {
            let rest = outcomes.split_off(batch_len(outcomes));
            let mut batch = std::mem::replace(outcomes, rest);
            let answered = self.with_core(|Core { accepted, draining, .. }, now_ms| {
                accepted.all_here(accepted.callers(&batch))?;
                if *draining {
                    accepted.keep_what_counts(now_ms, &mut batch, |call| self.in_flight.is_unwanted(call));
                }
                Ok(accepted.answer(now_ms, std::mem::take(&mut batch)))
            });
            match answered {
                Ok(Ok(receipt)) => self.ring_all(&receipt, None),
                Ok(Err(cold)) => {
                    batch.append(outcomes);
                    *outcomes = batch;
                    return Taken::Cold(cold);
                }
                // The rows of these calls are there for the next life, and in this process so are their outcomes.
                Err(_) => {
                    self.park(batch.drain(..).chain(outcomes.drain(..)));
                    return Taken::Parked;
                }
            }
        }
        Taken::All
    }

    /// The store is closed: outcomes wait for the next system in this process, and if that is there already it takes them
    /// now, because it has looked for what waits.
    pub(crate) fn park(&self, outcomes: impl IntoIterator<Item = Ended>) {
        self.in_flight.park(outcomes);
        if let Some(next) = self.in_flight.home().get().filter(|next| !std::ptr::eq(Arc::as_ptr(next), self)) {
            next.take_over();
        }
    }
}

/// What became of outcomes that were handed in.
enum Taken {
    /// They are accepted.
    All,
    /// These actors must be brought into memory for the rest.
    Cold(Vec<ActorId>),
    /// The store is closed: they wait for the next one.
    Parked,
}

/// How many of the first outcomes go into one commit.
fn batch_len(outcomes: &[Ended]) -> usize {
    let mut bytes = 0;
    let fits = |(_, outcome, _): &&Ended| {
        bytes += outcome.bytes();
        bytes <= ANSWERS_MAX
    };
    outcomes.iter().take_while(fits).count().max(1)
}
