//! Contradictions on purpose, for the tests of whoever finds them: no operation can bring them about.

use super::{Live, Timer};
use crate::durable::id::{ActorId, CallId};

impl Live {
    /// An actor is gone, and nobody was told.
    pub(crate) fn lose_actor(&mut self, actor: ActorId) {
        let Some(row) = self.actors.remove(&actor) else { return };
        if let Some(parent) = self.actors.get_mut(&row.parent) {
            parent.keep.resident_children -= 1;
        }
        for Timer { name, due_ms, .. } in row.timers {
            self.timers.remove(&(due_ms, actor, name));
        }
    }

    /// A call is gone, and its caller still counts it.
    pub(crate) fn lose_call(&mut self, call: CallId) {
        self.calls.remove(&call);
    }

    /// A timer of an actor that never set it.
    pub(crate) fn stray_timer(&mut self, due_ms: u64, actor: ActorId, name: u32) {
        self.timers.insert((due_ms, actor, name), 1);
    }
}
