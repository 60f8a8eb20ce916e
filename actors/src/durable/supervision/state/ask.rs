//! What can be wanted of a supervisor by hand: OTP's `start_child`, `terminate_child`, `restart_child`, `delete_child`.

use std::time::Duration;

use super::State;
use crate::durable::supervision::{
    child::{ChildId, Life, Slot, Starter},
    error::Error,
    event::{Action, Command, Ticket},
    policy::Strategy,
    spec::ChildSpec,
};

impl State {
    pub(super) fn ask(&mut self, ticket: Ticket, command: Command, now: Duration) {
        let done = match command {
            _ if self.cause().is_some() => Err(Error::Ended),
            Command::Start(spec) => self.add(ticket, spec),
            Command::Terminate(id) => self.terminate(ticket, &id, now),
            Command::Restart(id) => self.restart(ticket, &id),
            Command::Delete(id) => self.delete(ticket, &id),
        };
        if let Err(error) = done {
            self.actions.push(Action::Reply(ticket, Err(error)));
        }
    }

    fn add(&mut self, ticket: Ticket, spec: ChildSpec) -> Result<(), Error> {
        spec.check(&self.policy)?;
        let slot = self.book.add(spec, Life::Down)?;
        self.start(slot, Starter::Added(ticket));
        Ok(())
    }

    fn terminate(&mut self, ticket: Ticket, id: &ChildId, now: Duration) -> Result<(), Error> {
        let slot = self.book.find(id)?;
        let child = self.book.child_mut(slot);
        child.tickets.push(ticket);
        match child.life {
            Life::Down | Life::Due { .. } => self.put_down(slot),
            // Its turn to be told comes, and then it stays down.
            Life::Starting { .. } | Life::Ending { .. } | Life::Up { leaves: true, .. } => child.stays_down = true,
            Life::Up { leaves: false, .. } => {
                child.stays_down = true;
                self.stop(slot, now);
            }
        }
        Ok(())
    }

    fn restart(&mut self, ticket: Ticket, id: &ChildId) -> Result<(), Error> {
        let slot = self.down(id)?;
        self.start(slot, Starter::Restarted(ticket));
        Ok(())
    }

    fn delete(&mut self, ticket: Ticket, id: &ChildId) -> Result<(), Error> {
        let slot = self.down(id)?;
        self.book.remove(slot);
        self.actions.push(Action::Reply(ticket, Ok(slot)));
        Ok(())
    }

    /// A child that is kept, and down.
    fn down(&self, id: &ChildId) -> Result<Slot, Error> {
        if self.policy.strategy == Strategy::Dynamic {
            return Err(Error::Dynamic);
        }
        let slot = self.book.find(id)?;
        match self.book.child(slot).life {
            Life::Down => Ok(slot),
            Life::Due { .. } | Life::Starting { .. } => Err(Error::Restarting(id.clone())),
            Life::Up { .. } | Life::Ending { .. } => Err(Error::Running(id.clone())),
        }
    }
}
