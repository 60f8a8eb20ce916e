//! Bringing actors into memory, and letting them leave it.
//!
//! A host that has been idle for long ends, and of too many the one that was rung least lately (`directory/recency.rs`);
//! once its actor's row is written, the row leaves memory too, children before their parents. Rows are written before
//! their time when too many wait for that. The next message brings both back, ancestors first.
//!
//! **Invariant:** rows are read on threads that may block, never on one that others wait for.

use std::{sync::Arc, time::Duration};

use super::{Error, inner::Inner};
#[cfg(test)]
use crate::durable::faults::{Site, Who};
use crate::durable::{
    id::ActorId,
    live,
    store::{self, Rows},
};

/// When hosts end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    /// A host whose bell has not rung for so long ends.
    pub(crate) after: Duration,
    /// Of more hosts than this the least lately rung end.
    pub(crate) hosts_max: usize,
}

/// Actors are brought into memory by so many threads at once: more of them would wait for the lock, and for each other.
pub(super) const READERS: usize = 8;
/// Rows of so many actors are read before memory hears of them.
const READ_AT_ONCE: usize = 64;

/// An actor's row takes about an eighth of the memory of its host.
const ROWS_PER_HOST: usize = 8;

impl Default for Idle {
    fn default() -> Self {
        Self { after: Duration::from_secs(60), hosts_max: 16_384 }
    }
}

impl Idle {
    /// When so many actors are in memory, their rows are written, so that those who are idle can leave.
    pub(crate) fn actors_max(&self) -> usize {
        self.hosts_max.saturating_mul(ROWS_PER_HOST)
    }
}

impl Inner {
    /// Have these actors in memory, or know that they are gone.
    pub(crate) async fn bring(self: &Arc<Self>, actors: Vec<ActorId>) -> Result<(), Error> {
        // Nobody closes it, and then there would be no need to wait.
        let _permit = self.readers.acquire().await;
        let inner = self.clone();
        self.blocking(move || inner.bring_here(actors)).await.unwrap_or_else(|_| Err(self.unknown()))
    }

    /// The same, on a thread that may block.
    pub(crate) fn bring_here(&self, actors: Vec<ActorId>) -> Result<(), Error> {
        actors.chunks(READ_AT_ONCE).try_for_each(|actors| self.bring_some(actors.to_vec())).map_err(|error| {
            // Without its rows the system cannot go on; the next start builds them again.
            self.close(&error.to_string());
            self.unknown()
        })
    }

    /// The lock is taken twice for all of them, not for each: a crowd that wakes up would wait for little else.
    fn bring_some(&self, mut actors: Vec<ActorId>) -> Result<(), store::Error> {
        let Some(rows) = &self.rows else { return Ok(()) };
        while !actors.is_empty() {
            let cold = self.with_accepted(|accepted, _| {
                let cold = actors.iter().filter(|actor| accepted.is_cold(**actor));
                cold.map(|actor| (*actor, accepted.evictions(*actor))).collect::<Vec<_>>()
            });
            // Of a closed store whoever wants them hears by itself.
            let Ok(cold) = cold else { return Ok(()) };
            let fetch = |(actor, evictions)| Ok((actor, evictions, live::fetch(&**rows, actor)?));
            let chains = cold.into_iter().map(fetch).collect::<Result<Vec<_>, store::Error>>()?;
            let again = self.with_accepted(|accepted, _| {
                let mut again = Vec::new();
                for (actor, evictions, chain) in chains {
                    if !accepted.bring(actor, evictions, chain) {
                        again.push(actor);
                    }
                }
                again
            });
            let Ok(again) = again else { return Ok(()) };
            actors = again;
        }
        Ok(())
    }

    /// Read from the rows, on a thread that may block.
    pub(crate) async fn from_rows<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&dyn Rows) -> Result<T, store::Error> + Send + 'static,
    ) -> Result<Option<T>, Error> {
        let Some(rows) = self.rows.clone() else { return Ok(None) };
        match self.blocking(move || read(&*rows)).await {
            Ok(Ok(value)) => Ok(Some(value)),
            Ok(Err(error)) => {
                self.close(&error.to_string());
                Err(self.unknown())
            }
            Err(_) => Err(self.unknown()),
        }
    }

    pub(crate) fn may_passivate(&self, actor: ActorId) -> bool {
        let core = self.core.lock();
        core.closed.is_some() || core.accepted.has_no_mail(actor)
    }

    /// An actor's host is gone: its row may leave memory, unless there is a new host.
    pub(crate) fn release(&self, actor: ActorId) {
        // A closed store needs no room.
        let _ = self.with_accepted(|accepted, _| {
            if !self.directory.has_host(actor) {
                accepted.release(actor);
            }
        });
    }

    /// End hosts that are idle, now and then, while the system lives.
    pub(super) async fn run_passivation(self: Arc<Self>) {
        let mut closed = self.failure.subscribe();
        let pause = (self.idle.after / 4).clamp(Duration::from_millis(10), Duration::from_secs(15));
        while tokio::time::timeout(pause, closed.wait_for(Option::is_some)).await.is_err() {
            #[cfg(test)]
            self.fault(Site::Passivates, Who::Service("passivation")).await;
            self.directory.passivate(self.idle.after);
        }
    }
}
