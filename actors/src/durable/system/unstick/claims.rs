//! Who says to wait for something, held against everything there is, a part at a time.
//!
//! An actor's row counts its calls and its children. That they are there is known only when all calls, or all rows, were
//! gone through; so claims are gathered, a round goes by, and whoever nobody spoke for lacks what it waits for.
//!
//! **Invariant:** a claim counts only for an actor that has not moved since it was made, because any call or child that
//! comes or goes moves it.

use rustc_hash::FxHashMap;

use crate::durable::id::ActorId;

/// How far an actor has come: its version, and the number of the message at its head.
pub(super) type Place = (u64, u64);

/// The most claims of one round.
const CLAIMS_MAX: usize = 131_072;

/// Claims of one kind.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Those of the next round.
    next: FxHashMap<ActorId, Place>,
    /// Those of this round that nobody spoke for so far.
    open: FxHashMap<ActorId, Place>,
    /// Those that nobody spoke for in the last round.
    lacking: FxHashMap<ActorId, Place>,
}

impl Claims {
    /// An actor says that it waits.
    pub(super) fn claim(&mut self, actor: ActorId, place: Place) {
        if self.next.len() < CLAIMS_MAX {
            self.next.insert(actor, place);
        }
    }

    /// Something is there that this actor may wait for.
    pub(super) fn speak_for(&mut self, actor: ActorId) {
        self.open.remove(&actor);
    }

    /// Everything was gone through: the next round begins.
    pub(super) fn end_round(&mut self) {
        self.lacking = std::mem::replace(&mut self.open, std::mem::take(&mut self.next));
    }

    /// Whether an actor that stands here lacks what it waits for.
    pub(super) fn is_lacking(&self, actor: ActorId, place: Place) -> bool {
        self.lacking.get(&actor) == Some(&place)
    }

    /// Those that lack something; at most so many.
    pub(super) fn lacking(&self, most: usize) -> impl Iterator<Item = ActorId> + '_ {
        self.lacking.keys().copied().take(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTOR: ActorId = ActorId(256);

    #[test]
    fn a_claim_that_nobody_speaks_for_in_a_whole_round_is_lacking() {
        let mut claims = Claims::default();
        claims.claim(ACTOR, (3, 0));
        assert!(!claims.is_lacking(ACTOR, (3, 0)), "no round began");
        claims.end_round();
        assert!(!claims.is_lacking(ACTOR, (3, 0)), "the round is under way");
        claims.end_round();
        assert!(claims.is_lacking(ACTOR, (3, 0)));
        assert!(!claims.is_lacking(ACTOR, (4, 0)), "it moved meanwhile");
        claims.end_round();
        assert!(!claims.is_lacking(ACTOR, (3, 0)), "it was not claimed again");
    }

    #[test]
    fn a_claim_that_somebody_speaks_for_is_not() {
        let mut claims = Claims::default();
        claims.claim(ACTOR, (3, 0));
        claims.end_round();
        claims.speak_for(ACTOR);
        claims.end_round();
        assert!(!claims.is_lacking(ACTOR, (3, 0)));
    }
}
