//! A supervisor as others hold it.

use std::time::Duration;

use ractor::{Actor, ActorCell, ActorRef, RactorErr, RpcReplyPort, rpc::CallResult};

use super::{
    child::{ChildId, Status},
    error::Error,
    event::Command,
    host::{Host, HostMessage},
    policy::{Kind, Restart},
    spec::{ChildSpec, Setup, StartFailure},
};

/// A running supervisor. Clones mean the same one; dropping them does not end it.
#[derive(Clone, Debug)]
pub struct Supervisor {
    actor: ActorRef<HostMessage>,
}

/// A child as [`Supervisor::which_children`] tells it.
#[derive(Clone, Debug)]
pub struct ChildInfo {
    /// What it is called.
    pub id: ChildId,
    /// What it is.
    pub kind: Kind,
    /// When it is started again.
    pub restart: Restart,
    /// Where it is.
    pub status: Status,
    /// How often it failed and was restarted.
    pub restarts: u64,
    /// Its actor, if it has one now.
    pub cell: Option<ActorCell>,
}

/// How many children there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All that are known, also those that are down.
    pub specs: usize,
    /// Those that run.
    pub active: usize,
    /// Of all: those that are supervisors.
    pub supervisors: usize,
    /// Of all: those that are not.
    pub workers: usize,
}

impl Supervisor {
    /// Start it and its children, in order.
    ///
    /// # Errors
    /// When a specification is invalid or a child does not start; those started before it have been ended.
    pub async fn start(setup: Setup) -> Result<Self, StartFailure> {
        let (actor, _) = Actor::spawn(None, Host, setup).await?;
        Ok(Self { actor })
    }

    /// Start it as a child of another actor. See [`Setup::into_child`] for a child of another supervisor.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_linked(setup: Setup, parent: ActorCell) -> Result<Self, StartFailure> {
        let (actor, _) = Actor::spawn_linked(None, Host, setup, parent).await?;
        Ok(Self { actor })
    }

    /// The supervisor that this actor is, if it is one: for nested ones, whose cells their supervisor knows.
    #[must_use]
    pub fn of(cell: ActorCell) -> Option<Self> {
        (cell.is_message_type_of::<HostMessage>() == Some(true)).then(|| Self { actor: cell.into() })
    }

    /// Its actor.
    #[must_use]
    pub fn cell(&self) -> ActorCell {
        self.actor.get_cell()
    }

    /// Its children, in the order of their start.
    ///
    /// # Errors
    /// When the supervisor has ended.
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, Error> {
        self.call(HostMessage::Which).await
    }

    /// How many children it has.
    ///
    /// # Errors
    /// When the supervisor has ended.
    pub async fn count(&self) -> Result<Count, Error> {
        Ok(self.which_children().await?.iter().fold(Count::default(), Count::with))
    }

    /// Add a child and start it.
    ///
    /// # Errors
    /// When the specification is invalid or there is such a child; when it does not start, and it is forgotten then.
    pub async fn start_child(&self, spec: ChildSpec) -> Result<ActorCell, Error> {
        self.started(Command::Start(spec)).await
    }

    /// End a child, and answer when it has ended. It stays down, until it is restarted by hand or with others by a
    /// sibling's failure; a temporary one and one of a dynamic supervisor is forgotten. One that is down is left so.
    ///
    /// # Errors
    /// When there is no such child.
    pub async fn terminate_child(&self, id: &str) -> Result<(), Error> {
        self.ask(Command::Terminate(id.into())).await.map(|_| ())
    }

    /// Start a child that is down.
    ///
    /// # Errors
    /// When there is no such child, or it is not down; when it does not start, and it stays down then.
    pub async fn restart_child(&self, id: &str) -> Result<ActorCell, Error> {
        self.started(Command::Restart(id.into())).await
    }

    /// Forget a child that is down.
    ///
    /// # Errors
    /// When there is no such child, or it is not down.
    pub async fn delete_child(&self, id: &str) -> Result<(), Error> {
        self.ask(Command::Delete(id.into())).await.map(|_| ())
    }

    /// End the children in reverse order, each within its own time, and then the supervisor; answer when it has ended.
    /// When the deadline is over it is killed with whatever is left.
    ///
    /// # Errors
    /// When it had to be killed: a child that never yields may still be running.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), Error> {
        self.actor.stop(Some(super::SHUTDOWN.to_owned()));
        if self.actor.get_cell().wait(Some(deadline)).await.is_ok() {
            return Ok(());
        }
        // It waits for its children at each step, so a kill reaches it at once.
        let _ = self.actor.kill_and_wait(None).await;
        Err(Error::Killed)
    }

    async fn started(&self, command: Command) -> Result<ActorCell, Error> {
        // A child that was told to end as soon as it was up is gone again.
        self.ask(command).await?.ok_or(Error::Ended)
    }

    async fn ask(&self, command: Command) -> Result<Option<ActorCell>, Error> {
        self.call(|port| HostMessage::Asked(command, port)).await?
    }

    async fn call<T: Send + 'static>(&self, message: impl FnOnce(RpcReplyPort<T>) -> HostMessage) -> Result<T, Error> {
        let answer: Result<CallResult<T>, RactorErr<HostMessage>> =
            self.actor.call(message, None).await.map_err(Into::into);
        match answer {
            Ok(CallResult::Success(answer)) => Ok(answer),
            Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => Err(Error::Ended),
        }
    }
}

impl Count {
    fn with(self, child: &ChildInfo) -> Self {
        Self {
            specs: self.specs + 1,
            active: self.active + usize::from(matches!(child.status, Status::Up | Status::Ending)),
            supervisors: self.supervisors + usize::from(child.kind == Kind::Supervisor),
            workers: self.workers + usize::from(child.kind == Kind::Worker),
        }
    }
}
