//! Ending everything below a root, because a person gave it up.
//!
//! **Invariant:** nobody with a call that has no outcome is ended, and a child is ended before its parent.

use super::{Accepted, Receipt};
use crate::durable::{
    entry::Body,
    id::{ActorId, CallId},
    record::{Note, Op},
};

/// What is below a root.
pub(crate) struct Below<'a> {
    pub(crate) members: &'a [ActorId],
    /// What the root is told.
    pub(crate) told: &'a Body,
    /// Whether these are all, whatever is counted.
    pub(crate) is_all: bool,
}

/// What came of it.
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
    /// End these actors, which are all that is below `root`, and tell the root. A suspended root runs again. A tree in which
    /// an actor is missing never adds up: `is_all` says that it was gone through often enough.
    pub(crate) fn prune(&mut self, now_ms: u64, root: ActorId, below: &Below<'_>, by: &str) -> Pruned {
        let Below { members, told, is_all } = *below;
        let all = || members.iter().copied().chain([root]);
        if all().any(|actor| self.is_cold(actor)) {
            return Pruned::LookAgain;
        }
        let rows = || all().filter_map(|actor| self.live.actors.get(&actor));
        let (counted, children): (u32, u32) =
            rows().fold((0, 0), |(calls, children), row| (calls + row.calls, children + row.children));
        // What is counted may be missing, and then nothing is waited for.
        let calls = if counted == 0 { 0 } else { self.calls_of(&all().collect::<Vec<_>>()).len() };
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        let living = members.iter().filter(|actor| self.live.actors.contains_key(actor)).count();
        let is_whole = self.live.actors.contains_key(&root) && (is_all || children as usize == living);
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
        self.forget_missing(root);
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
                // Whoever it counts is not there.
                self.forget_missing(left[0]);
            }
        }
    }

    /// An actor counts children and calls that are not there: take them off its count.
    fn forget_missing(&mut self, parent: ActorId) {
        let (children, calls) = self.live.actors.get(&parent).map_or((0, 0), |row| (row.children, row.calls));
        for _ in 0..children {
            // Of an actor that is nobody only the end of it is told, to the parent.
            self.push(Op::Ended { actor: ActorId::ENGINE, parent });
        }
        for _ in 0..calls {
            self.push(Op::CallEnded { call: CallId(0), caller: parent });
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
