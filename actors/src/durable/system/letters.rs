//! What a person does about messages and actors that were given up.
//!
//! **Invariant:** what was decided is durable before anybody hears that it is done.

use bytes::Bytes;

use super::{Error, System};
use crate::durable::{
    accepted::{Below, Fix, Fixed, Found, Pruned},
    entry::Body,
    id::ActorId,
    live::{self, DeadLetter},
};

/// A tree that was the same so often, and still does not add up, is one in which an actor is missing.
const LOOKS_MAX: u32 = 3;

impl System {
    /// Deliver a dead letter again, at the end of the mailbox of the actor that it was for, and in the same commit tell
    /// others something. A suspended actor gets it too, and takes it once it runs again.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no such letter; [`Error::LetterStays`] if its actor has finished.
    pub async fn retry_dead_letter(&self, number: u64, by: &str, also: Vec<(ActorId, Body)>) -> Result<(), Error> {
        self.fix_letter(number, &Fix::Retry(also), by).await
    }

    /// Forget a dead letter. Whatever waits for it waits for ever, unless it is ended.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no such letter.
    pub async fn drop_dead_letter(&self, number: u64, by: &str) -> Result<(), Error> {
        self.fix_letter(number, &Fix::Drop, by).await
    }

    async fn fix_letter(&self, number: u64, fix: &Fix, by: &str) -> Result<(), Error> {
        loop {
            let found = self.find_letter(number).await?;
            let also: &[_] = if let Fix::Retry(also) = fix { also } else { &[] };
            let needed = also.iter().map(|(to, _)| *to).chain([found.letter.to]).collect();
            self.inner.bring(needed).await?;
            match self.inner.with_accepted(|accepted, now_ms| accepted.fix_letter(now_ms, &found, fix, by))? {
                Fixed::Done(receipt) => {
                    self.inner.ring_all(&receipt, None);
                    return self.durable(receipt.sequence).await;
                }
                Fixed::Gone => return Err(Error::LetterStays { number, to: found.letter.to }),
                Fixed::LookAgain => {}
            }
        }
    }

    async fn find_letter(&self, number: u64) -> Result<Found, Error> {
        let (sealed, evictions) = self.inner.lookup(&live::dead_letter_key(number)).await?;
        let sealed: Bytes = sealed.ok_or_else(|| Error::Missing(format!("dead letter {number}")))?;
        Ok(Found { number, letter: DeadLetter::open(&sealed)?, sealed, evictions })
    }

    /// Let a suspended actor run again; one that still cannot be loaded is suspended again.
    ///
    /// # Errors
    /// [`Error::Missing`] if no such actor is suspended.
    pub async fn resume_actor(&self, actor: ActorId) -> Result<(), Error> {
        let receipt = loop {
            let resumed = self.inner.with_accepted(|accepted, now_ms| {
                accepted.all_here([actor].into_iter())?;
                Ok(accepted.resume(now_ms, actor))
            })?;
            match resumed {
                Ok(receipt) => break receipt.ok_or_else(|| Error::Missing(format!("suspended actor {actor}")))?,
                Err(cold) => self.inner.bring(cold).await?,
            }
        };
        self.inner.ring_all(&receipt, None);
        self.durable(receipt.sequence).await
    }

    /// End everything below a root actor, and tell the root so, in one commit. For a root that waits for what cannot come:
    /// calls are outside this, so there must be none.
    ///
    /// # Errors
    /// [`Error::OpenCalls`] if one of them has a call without an outcome; [`Error::Missing`] if the root has finished.
    pub async fn prune(&self, root: ActorId, told: Body, by: &str) -> Result<(), Error> {
        let mut former = (Vec::new(), 0);
        loop {
            let stream = live_stream(self, root).await?;
            let below = move |actor, row: &live::Actor| (row.stream == stream && actor != root).then_some(actor);
            let mut members = self.actors(below).await?;
            members.sort_unstable();
            former.1 = if former.0 == members { former.1 + 1 } else { 0 };
            let is_all = former.1 >= LOOKS_MAX;
            self.inner.bring(members.iter().copied().chain([root]).collect()).await?;
            let below = Below { members: &members, told: &told, is_all };
            let pruned = self.inner.with_accepted(|accepted, now_ms| accepted.prune(now_ms, root, &below, by))?;
            match pruned {
                Pruned::Done(receipt) => {
                    self.inner.ring_all(&receipt, None);
                    return self.durable(receipt.sequence).await;
                }
                Pruned::Busy { calls } => return Err(Error::OpenCalls { root, calls }),
                Pruned::LookAgain => tokio::task::yield_now().await,
            }
            former.0 = members;
        }
    }
}

async fn live_stream(system: &System, root: ActorId) -> Result<crate::durable::id::StreamId, Error> {
    let row = system.actor(root).await?;
    row.map(|row| row.stream).ok_or_else(|| Error::Missing(format!("live actor {root}")))
}
