//! The ractor actor that carries out what a supervisor decides.
//!
//! A supervisor's children end while it still lives, because ractor kills the children of an actor that stopped, without
//! their `post_stop`: so every way to end leads through `post_stop`, where the children are ended first.
//!
//! **Invariants:** an end is heard for the incarnation whose actor ended, never by name. A start is awaited here, so
//! nothing is heard meanwhile. A panic of a start or of the observer does not end the supervisor.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};

use super::{carry::Carried, error::Error, event::Command, exit::Exit, handle::ChildInfo, spec::Setup};

/// The actor behind a supervisor.
pub(super) struct Host;

/// What it can be told.
#[derive(Debug)]
pub(super) enum HostMessage {
    /// Somebody wants something, and waits for it to be done.
    Asked(Command, RpcReplyPort<Result<Option<ractor::ActorCell>, Error>>),
    /// Somebody wants to know its children.
    Which(RpcReplyPort<Vec<ChildInfo>>),
    /// Time has passed.
    Woke,
    /// A start failed a moment ago. It is heard as a message, so that a child which always fails to start cannot keep
    /// its supervisor from hearing anything else.
    StartFailed,
    /// A child could not be linked: it had ended before, or it will never be heard of.
    Unlinked(ractor::ActorId),
}

impl Actor for Host {
    type Msg = HostMessage;
    type State = Carried;
    type Arguments = Setup;

    /// A supervisor has started when its children have, as in OTP: so this one is not short.
    async fn pre_start(&self, myself: ActorRef<HostMessage>, setup: Setup) -> Result<Carried, ActorProcessingErr> {
        let mut carried = Carried::new(myself, setup)?;
        carried.start_children().await?;
        Ok(carried)
    }

    async fn handle(
        &self,
        _: ActorRef<HostMessage>,
        message: HostMessage,
        carried: &mut Carried,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            HostMessage::Asked(command, port) => carried.ask(command, port).await,
            // Whoever asked may be gone.
            HostMessage::Which(port) => _ = port.send(carried.children()),
            HostMessage::Woke => carried.wake().await,
            HostMessage::StartFailed => _ = carried.hear_failure().await,
            HostMessage::Unlinked(actor) => carried.hear_unlinked(actor).await,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<HostMessage>,
        event: SupervisionEvent,
        carried: &mut Carried,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, exit) = match event {
            SupervisionEvent::ActorFailed(cell, error) => (cell, Exit::Failed(error.to_string())),
            SupervisionEvent::ActorTerminated(cell, state, reason) => {
                // After a kill it may be half changed: nobody looks at it. It goes before the next incarnation comes.
                drop(state);
                (cell, Exit::from_reason(reason.as_deref()))
            }
            _ => return Ok(()),
        };
        carried.hear_exit(cell.get_id(), exit).await;
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<HostMessage>, carried: &mut Carried) -> Result<(), ActorProcessingErr> {
        carried.end_children().await;
        Ok(())
    }
}

/// Time since a supervisor started, on a clock that tests can stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin(tokio::time::Instant);

impl Origin {
    pub(super) fn now() -> Self {
        Self(tokio::time::Instant::now())
    }

    pub(super) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// The instant that is so long after it; none if no clock gets there.
    pub(super) fn after(self, time: Duration) -> Option<tokio::time::Instant> {
        self.0.checked_add(time)
    }
}
