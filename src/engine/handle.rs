//! A handle to one run.

use std::sync::Arc;

use headframe_actors::{
    durable::{self, Address, StreamId},
    run::{self, Outcome, Run, RunId},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Error, Events, Inner};

/// One run, wherever it stands.
#[derive(Clone)]
pub struct RunHandle {
    engine: Arc<Inner>,
    run: RunId,
}

/// What became of a wish to cancel a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// It is asked to end.
    Asked,
    /// It was asked to end before, and this changes nothing.
    Known {
        /// Why, by whoever was first.
        reason: String,
    },
    /// It has ended.
    Ended,
}

impl RunHandle {
    pub(super) fn new(engine: Arc<Inner>, run: RunId) -> Self {
        Self { engine, run }
    }

    /// The run's id.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.run
    }

    /// What is known of it now.
    ///
    /// # Errors
    /// [`Error::NoRun`] if there is no such run.
    pub async fn row(&self) -> Result<run::Row, Error> {
        match self.engine.system().get(&run::index_key(self.run)).await? {
            Some(row) => Ok(run::Row::decode(&row)?),
            None => Err(Error::NoRun(format!("id {}", self.run))),
        }
    }

    /// Wait until it has ended, and say how. May be called at any time, also long after. A store that fails meanwhile is
    /// waited for, too, if the engine opens it again.
    ///
    /// # Errors
    /// If the store closes for good, or the engine stops: the run goes on at the next start. [`Error::NoRun`] if it had ended
    /// and was not kept any longer ([`Retention`](super::Retention)).
    pub async fn outcome(&self) -> Result<Outcome, Error> {
        // A run has its row before it has a handle: where there is none any more, it has ended and is not kept.
        let ended =
            |row: Option<&bytes::Bytes>| row.is_none_or(|row| run::Row::decode(row).is_ok_and(|row| row.has_ended()));
        let row = loop {
            let system = self.engine.system();
            match system.wait_for(run::index_key(self.run), ended).await {
                Err(durable::Error::OutcomeUnknown { .. }) if self.engine.until_reopened(&system).await => {}
                waited => break waited?,
            }
        };
        let outcome = row.map(|row| run::Row::decode(&row)).transpose()?.and_then(|row| row.outcome);
        outcome.ok_or_else(|| Error::NoRun(format!("id {}", self.run)))
    }

    /// Wait for its output.
    ///
    /// # Errors
    /// [`Error::NotSucceeded`] if it failed or was cancelled.
    pub async fn output(&self) -> Result<Value, Error> {
        match self.outcome().await? {
            Outcome::Succeeded(output) => Ok(output.value()),
            Outcome::Failed { task, failure } => {
                let reason = format!("{task} failed ({}): {}", failure.class, failure.message);
                Err(Error::NotSucceeded { run: self.run, reason })
            }
            Outcome::Cancelled { reason } => {
                Err(Error::NotSucceeded { run: self.run, reason: format!("cancelled: {reason}") })
            }
        }
    }

    /// Wait for its output as a type.
    ///
    /// # Errors
    /// As [`RunHandle::output`], or if the output has another shape.
    pub async fn output_as<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(serde_json::from_value(self.output().await?)?)
    }

    /// Ask it to end as soon as what runs has an outcome. The first who asks counts: of two who ask in the same moment both
    /// may be told that they were the first.
    ///
    /// # Errors
    /// If there is no such run, or the store closed.
    pub async fn cancel(&self, reason: &str) -> Result<Cancel, Error> {
        let row = self.row().await?;
        if row.has_ended() {
            return Ok(Cancel::Ended);
        }
        if let Some(reason) = row.cancelled {
            return Ok(Cancel::Known { reason });
        }
        let cancel = run::Message::Cancel { reason: reason.to_owned() };
        self.engine.system().tell(Address::<Run>::new(row.actor), cancel).await.map_err(durable::Error::from)?;
        Ok(Cancel::Asked)
    }

    /// Its events, from the first on, as they become durable. A store that fails meanwhile is waited for, too, if the engine
    /// opens it again.
    ///
    /// # Errors
    /// [`Error::NoRun`] if there is no such run.
    pub async fn events(&self) -> Result<Events, Error> {
        Ok(Events::new(self.engine.clone(), StreamId(self.row().await?.actor.0)))
    }
}
