//! Ending actors that are not loaded again, with everything below them.
//!
//! **Invariant:** what is done here can be cut short anywhere: the rows say how far it came, and the next start, or the
//! next answer that was waited for, goes on.

use std::sync::Arc;

use super::{Error, inner::Inner};
use crate::durable::{
    accepted::Ended,
    id::{ActorId, StreamId},
    live::Actor,
};

/// How often a tree that is to be ended is looked at in a row. Who is known makes no more children, so a tree that grows
/// is whole after a few looks; one that is never whole counts children that are not there.
const LOOKS_MAX: usize = 100;

impl Inner {
    /// The host of a temporary actor died, of the message `entry` if that is known.
    pub(crate) fn end_temporary(self: &Arc<Self>, actor: ActorId, entry: Option<u64>, reason: &str) {
        tracing::warn!(%actor, reason, "a temporary actor is ended");
        let reason = format!("it is temporary, and its host died: {reason}");
        let begun = self.with_accepted(|accepted, now_ms| accepted.begin_to_end(now_ms, actor, entry, &reason));
        if let Ok(receipt) = begun {
            self.ring_all(&receipt, None);
        }
    }

    /// Something is left to do of ending this actor, or those with whom it is ended.
    pub(crate) fn go_on_ending(self: &Arc<Self>, actor: ActorId) {
        let inner = self.clone();
        self.runtime.spawn(async move {
            for _ in 0..LOOKS_MAX {
                if !inner.end_from_the_top(actor).await.unwrap_or(false) {
                    return;
                }
            }
            tracing::error!(%actor, "what is below an actor that is to be ended cannot be found; the next start tries again");
        });
    }

    /// After a start: those whom the former life did not come to end.
    pub(super) fn resume_endings(self: &Arc<Self>) {
        for actor in self.with_accepted(|accepted, _| accepted.all_ending()).unwrap_or_default() {
            self.go_on_ending(actor);
        }
    }

    /// Says whether to try again.
    async fn end_from_the_top(self: &Arc<Self>, actor: ActorId) -> Result<bool, Error> {
        let Some((top, stream, has_children)) = self.with_accepted(|accepted, _| accepted.topmost_ending(actor))?
        else {
            return Ok(false);
        };
        let members = if has_children { self.below(top, stream).await? } else { Vec::new() };
        let all: Vec<_> = members.iter().copied().chain([top]).collect();
        self.bring(all.clone()).await?;
        match self.with_accepted(|accepted, now_ms| accepted.end(now_ms, top, &members))? {
            Ended::Done(receipt) => {
                self.directory.dismiss(&all);
                self.ring_all(&receipt, None);
                Ok(false)
            }
            Ended::LookAgain => {
                tokio::task::yield_now().await;
                Ok(true)
            }
        }
    }

    /// Everyone below an actor, in memory or not.
    async fn below(self: &Arc<Self>, top: ActorId, stream: StreamId) -> Result<Vec<ActorId>, Error> {
        let family = move |actor, row: &Actor| (row.stream == stream).then_some((actor, row.parent));
        let mut family = self.actors(family).await?;
        // Children have higher numbers than their parents.
        family.sort_unstable();
        let mut members = rustc_hash::FxHashSet::from_iter([top]);
        family.retain(|(actor, parent)| members.contains(parent) && members.insert(*actor));
        Ok(family.into_iter().map(|(actor, _)| actor).collect())
    }
}
