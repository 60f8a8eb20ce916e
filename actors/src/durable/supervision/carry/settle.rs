//! What a supervisor does while its actor hears no message: starting its first children, and ending the last ones.

use ractor::ActorCell;

use super::Carried;
use crate::durable::supervision::{
    child::{Key, Status},
    error::Error,
    event::{Cause, Event},
    exit::Exit,
};

impl Carried {
    /// Start the children.
    ///
    /// # Errors
    /// When one did not start; those that did have been ended.
    pub(in crate::durable::supervision) async fn start_children(&mut self) -> Result<(), Error> {
        self.is_settling = true;
        self.feed(Event::Woke).await;
        let failed = match self.state.cause() {
            None => {
                self.is_settling = false;
                return Ok(());
            }
            Some(Cause::StartFailed { child, reason }) => {
                Error::StartFailed { child: child.clone(), reason: reason.clone() }
            }
            Some(_) => Error::Ended,
        };
        self.end_children().await;
        Err(failed)
    }

    /// End the children as the strategy wants it, and return when none is left.
    pub(in crate::durable::supervision) async fn end_children(&mut self) {
        self.is_settling = true;
        self.feed(Event::Shutdown).await;
        while self.hear_failure().await {}
        self.await_told();
        while !self.state.has_ended() {
            let event = match self.next_end().await {
                Waited::Ended(key) => {
                    self.forget(key);
                    // Why is not known here: it did what it was told, or was killed, which the state knows.
                    Event::Exited(key, Exit::Asked)
                }
                Waited::Alarm => Event::Woke,
                Waited::Nothing => break,
            };
            self.feed(event).await;
        }
    }

    pub(super) fn await_end(&mut self, key: Key, cell: ActorCell) {
        self.endings.spawn(async move {
            let _ = cell.wait(None).await;
            key
        });
    }

    /// Await those that were told to end while there were still messages.
    fn await_told(&mut self) {
        let told = self.state.children().filter(|(_, child)| child.life.status() == Status::Ending);
        let told: Vec<_> = told.filter_map(|(slot, _)| self.cells.get(&slot).cloned()).collect();
        for (key, cell) in told {
            self.await_end(key, cell);
        }
    }

    async fn next_end(&mut self) -> Waited {
        let ended = self.endings.join_next();
        let alarm = self.state.next_alarm().and_then(|at| self.origin.after(at));
        let ended = match alarm {
            None => ended.await,
            Some(at) => match tokio::time::timeout_at(at, ended).await {
                Ok(ended) => ended,
                Err(_) => return Waited::Alarm,
            },
        };
        match ended {
            Some(Ok(key)) => Waited::Ended(key),
            // No child is told to end, so no end will be heard.
            Some(Err(_)) | None => Waited::Nothing,
        }
    }
}

enum Waited {
    Ended(Key),
    Alarm,
    Nothing,
}
