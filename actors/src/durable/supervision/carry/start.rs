//! Starting a child, whatever its start does.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

use ractor::{ActorCell, ActorId};

use super::Carried;
use crate::durable::supervision::{child::Key, event::Event, exit::Exit, host::HostMessage, spec::Start};

impl Carried {
    pub(super) async fn start(&mut self, key: Key, start: &Start) -> Option<Event> {
        match started(start, self.myself.get_cell()).await {
            Ok(cell) => {
                self.adopt(key, cell);
                Some(Event::Started(key))
            }
            Err(reason) if self.is_settling => Some(Event::StartFailed(key, reason)),
            Err(reason) => {
                self.failures.push_back((key, reason));
                // It can only be refused while the supervisor ends, which hears the failures itself.
                let _ = self.myself.send_message(HostMessage::StartFailed);
                None
            }
        }
    }

    /// An actor that is not linked was never heard of: it is no child.
    pub(in crate::durable::supervision) async fn hear_unlinked(&mut self, actor: ActorId) {
        let Some(key) = self.keys.get(&actor).copied() else { return };
        self.end(key, ActorCell::kill);
        self.forget(key);
        self.feed(Event::Exited(key, Exit::Failed("it was not linked to its supervisor".to_owned()))).await;
    }

    fn adopt(&mut self, key: Key, cell: ActorCell) {
        let supervisor = self.myself.get_cell();
        let is_linked = |cell: &ActorCell| cell.try_get_supervisor().is_some_and(|linked| linked == supervisor);
        if !is_linked(&cell) {
            cell.link(supervisor.clone());
        }
        if !is_linked(&cell) {
            // It ended already. If it was linked, its end is among the events, which are heard before any message.
            let _ = self.myself.send_message(HostMessage::Unlinked(cell.get_id()));
        }
        self.keys.insert(cell.get_id(), key);
        self.cells.insert(key.slot, (key, cell));
    }
}

/// Start a child; a panic on the way is a failure to start.
async fn started(start: &Start, supervisor: ActorCell) -> Result<ActorCell, String> {
    let panicked = |_| "its start panicked".to_owned();
    let mut starting = catch_unwind(AssertUnwindSafe(|| start(supervisor))).map_err(panicked)?;
    let polled = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| starting.as_mut().poll(cx))) {
        Ok(poll) => poll.map(|started| started.map_err(|failure| failure.to_string())),
        Err(panic) => Poll::Ready(Err(panicked(panic))),
    });
    polled.await
}
