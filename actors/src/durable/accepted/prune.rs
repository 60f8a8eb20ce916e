//! Ending everything below a root, because a person gave it up.
//!
//! **Invariant:** nobody with a call that has no outcome is ended, and a child is ended before its parent.

use super::{Accepted, Receipt};
use crate::durable::{
    entry::Body,
    id::ActorId,
    record::{Note, Op},
};

/// What came of it.
#[expect(clippy::large_enum_variant, reason = "it lives for a moment, on the stack")]
#[derive(Debug)]
pub(crate) enum Pruned {
    Done(Receipt),
    /// So many calls have no outcome yet.
    Busy {
        calls: u32,
    },
    /// The tree changed, or left memory: look again.
    LookAgain,
}

impl Accepted {
    /// End these actors, which are all that is below `root`, and tell the root. A suspended root runs again.
    pub(crate) fn prune(&mut self, now_ms: u64, root: ActorId, members: &[ActorId], told: &Body, by: &str) -> Pruned {
        let all = || members.iter().copied().chain([root]);
        if all().any(|actor| self.is_cold(actor)) {
            return Pruned::LookAgain;
        }
        let rows = || all().filter_map(|actor| self.live.actors.get(&actor));
        let (calls, children): (u32, u32) =
            rows().fold((0, 0), |(calls, children), row| (calls + row.calls, children + row.children));
        let living = members.iter().filter(|actor| self.live.actors.contains_key(actor)).count();
        let is_whole = self.live.actors.contains_key(&root) && children as usize == living;
        match (calls, is_whole) {
            (0, true) => Pruned::Done(self.cut_off(now_ms, root, members, told, by)),
            (0, false) => Pruned::LookAgain,
            (calls, _) => Pruned::Busy { calls },
        }
    }

    fn cut_off(&mut self, now_ms: u64, root: ActorId, members: &[ActorId], told: &Body, by: &str) -> Receipt {
        let at = self.begin(now_ms, 1_024 + 24 * members.len());
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        self.write_note(root, at, Note::GivenUp { actors: members.len() as u64, by: by.to_owned() });
        self.end_leaves(members);
        if self.live.actors.get(&root).is_some_and(|row| row.suspended.is_some() && !row.supervised.is_ending) {
            self.push(Op::Resume { actor: root });
            receipt.ring.push(root);
        }
        self.deliver(root, at, told.clone(), None, &mut receipt);
        receipt
    }

    /// End actors, each before its parent.
    pub(super) fn end_leaves(&mut self, members: &[ActorId]) {
        // A child's number is higher than its parent's, so one pass is enough.
        let mut left: Vec<_> = members.to_vec();
        left.sort_unstable_by_key(|actor| std::cmp::Reverse(*actor));
        while !left.is_empty() {
            let before = left.len();
            left.retain(|actor| !self.end_leaf(*actor));
            if left.len() == before {
                break;
            }
        }
    }

    /// Whether the actor is gone now: one that has children stays for a while.
    fn end_leaf(&mut self, actor: ActorId) -> bool {
        let Some(row) = self.live.actors.get(&actor) else { return true };
        if row.children > 0 {
            return false;
        }
        let parent = row.parent;
        self.push(Op::Ended { actor, parent });
        self.activations.remove(&actor);
        true
    }
}
