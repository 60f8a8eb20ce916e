//! What a log says of an actor or a call, beside its number.
//!
//! **Invariant:** whatever costs more than a look at a flag is done only when somebody listens, or when something has gone
//! wrong.

use std::panic::AssertUnwindSafe;

use tracing::Span;

use super::inner::Inner;
use crate::durable::{
    about::{About, Place},
    hosted::Hosted,
    id::ActorId,
};

/// How far up it is looked for an actor that knows where it belongs.
const UP_MAX: usize = 3;

impl Inner {
    /// The span of a turn, at level `debug`; what is logged inside it says whose turn it is.
    pub(crate) fn turn_span(&self, actor: ActorId, active: &Hosted) -> Span {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return Span::none();
        }
        let About { path, attempt } = active.about(&self.extensions).unwrap_or_default();
        let (kind, Place { run, phase, task }) = (self.registry.name(active.kind()), Place::of(&path));
        tracing::debug_span!("turn", %actor, kind, run, phase, task, attempt)
    }

    /// Where an actor belongs, also one that dies of what it is told; as far as its parent knows, if it does not know itself.
    pub(crate) fn about(&self, actor: ActorId) -> About {
        let mut next = Some(actor);
        for _ in 0..UP_MAX {
            let row = next.and_then(|actor| self.core.lock().accepted.live().actors.get(&actor).cloned());
            let Some(row) = row else { break };
            let load = || {
                let instance = self.registry.get(row.kind)?.load(row.snapshot.as_ref(), &row.events).ok()?;
                instance.about(&self.extensions)
            };
            // It may be its loading that it dies of.
            if let Ok(Some(about)) = std::panic::catch_unwind(AssertUnwindSafe(load)) {
                return about;
            }
            next = Some(row.parent);
        }
        About::default()
    }
}
