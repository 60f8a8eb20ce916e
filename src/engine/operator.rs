//! What an operator does about runs that cannot go on: retry what they lost, or end them.
//!
//! **Invariants:** a run is no longer held once nothing of what it lost is left with the dead letters and none of its
//! actors is suspended; if it dies of the message again, it is held again. Only a held run is given up.

use std::collections::HashSet;

use headframe_actors::{
    durable::{ActorId, Body, CallId, DeadLetter, Reason, Row, RowState, StreamId, Waiting},
    run::{self, Outcome, Run, RunId},
};

use super::{Engine, Error, RunHandle};
use crate::spec::ToolCatalog as _;

impl Engine {
    /// Messages that were given up, oldest first, each with its number.
    ///
    /// # Errors
    /// If the store closed, or one cannot be read.
    pub async fn dead_letters(&self) -> Result<Vec<(u64, DeadLetter)>, Error> {
        Ok(self.system().dead_letters().await?)
    }

    /// Deliver a dead letter again, to the end of its actor's mailbox. Its run is no longer held, if this was the last
    /// thing that it was held for.
    ///
    /// # Errors
    /// If there is no such letter, its actor has finished, or the store closed.
    pub async fn retry_dead_letter(&self, number: u64, by: &str) -> Result<(), Error> {
        let also = self.release(number).await?;
        Ok(self.system().retry_dead_letter(number, by, also).await?)
    }

    /// Forget a dead letter. A run that is held for it stays held.
    ///
    /// # Errors
    /// If there is no such letter, or the store closed.
    pub async fn drop_dead_letter(&self, number: u64, by: &str) -> Result<(), Error> {
        Ok(self.system().drop_dead_letter(number, by).await?)
    }

    /// End a held run as failed: what is below it is given up, and the reason is in its ledger.
    ///
    /// # Errors
    /// [`Error::NotHeld`] if nothing holds it: cancel it instead. If a call of it has no outcome, or the store closed.
    pub async fn end_run(&self, run: RunId, reason: &str, by: &str) -> Result<Outcome, Error> {
        let handle = RunHandle::new(self.0.clone(), run);
        let row = handle.row().await?;
        if row.outcome.is_none() {
            if row.held.is_none() && !self.trouble(row.actor, None).await? {
                return Err(Error::NotHeld { run });
            }
            let told = Body::message::<Run>(&run::Message::GiveUp { reason: reason.to_owned() });
            self.system().prune(row.actor, told, by).await?;
        }
        handle.outcome().await
    }

    /// What waits for a person: calls in doubt, calls to tools that are not registered here, messages that were given up, and
    /// actors that are suspended. What cures itself is not told.
    ///
    /// # Errors
    /// If the store closed, or a row cannot be read.
    pub async fn waiting(&self) -> Result<Vec<Waiting>, Error> {
        let calls = |live: &headframe_actors::durable::Live| {
            let calls = live.calls.iter().filter_map(|(call, row)| self.call_waits(*call, row));
            calls.collect::<Vec<_>>()
        };
        let mut found = self.system().read(calls).await?;
        found.extend(self.dead_letters().await?.into_iter().map(|(number, letter)| Waiting {
            actor: letter.to,
            call: None,
            reason: Reason::Poison,
            sentence: format!("{} lost a message, dead letter {number}: {}", letter.to, letter.reason),
            since_ms: Some(letter.at_ms),
        }));
        let suspended = self.system().actors(|actor, row| row.suspended.clone().map(|reason| (actor, reason))).await?;
        found.extend(suspended.into_iter().map(|(actor, reason)| Waiting {
            actor,
            call: None,
            reason: Reason::Suspended,
            sentence: format!("{actor} is suspended: {reason}"),
            since_ms: None,
        }));
        found.sort_by_key(|waiting| (waiting.reason, waiting.actor, waiting.call));
        Ok(found)
    }

    fn call_waits(&self, call: CallId, row: &Row) -> Option<Waiting> {
        let (path, tool) = (&row.request.path, &row.request.tool);
        let (reason, sentence) = match &row.state {
            RowState::InDoubt(failure) => {
                (Reason::InDoubt, format!("{path} waits for a decision about {call} ({tool}): {}", failure.message))
            }
            RowState::Intended | RowState::Started | RowState::Probing(_) if !self.0.tools.knows(tool) => {
                (Reason::NoTool, format!("{path} waits for the tool `{tool}`, which is not registered here"))
            }
            RowState::Intended | RowState::Started | RowState::Probing(_) => return None,
        };
        Some(Waiting { actor: row.caller, call: Some(call), reason, sentence, since_ms: Some(row.intended_at) })
    }

    /// What releases the run that a letter belongs to, if nothing else holds it.
    async fn release(&self, number: u64) -> Result<Vec<(ActorId, Body)>, Error> {
        let letters = self.dead_letters().await?;
        let Some((_, letter)) = letters.iter().find(|(known, _)| *known == number) else { return Ok(Vec::new()) };
        let Some(actor) = self.system().actor(letter.to).await? else { return Ok(Vec::new()) };
        let root = ActorId(actor.stream.0);
        let held = self.runs().await?.into_iter().find(|row| row.actor == root).and_then(|row| row.held);
        match held {
            Some(reason) if !self.trouble(root, Some(number)).await? => {
                Ok(vec![(root, Body::message::<Run>(&run::Message::Released { reason }))])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Whether something else than a letter stands in a run's way: another letter, or an actor that is suspended.
    async fn trouble(&self, root: ActorId, but: Option<u64>) -> Result<bool, Error> {
        let stream = StreamId(root.0);
        let system = self.system();
        let members =
            system.actors(move |actor, row| (row.stream == stream).then_some((actor, row.suspended.is_some())));
        let members = members.await?;
        let is_suspended = members.iter().any(|(_, suspended)| *suspended);
        let members: HashSet<_> = members.into_iter().map(|(actor, _)| actor).collect();
        let letters = self.dead_letters().await?;
        Ok(is_suspended || letters.iter().any(|(number, letter)| Some(*number) != but && members.contains(&letter.to)))
    }
}
