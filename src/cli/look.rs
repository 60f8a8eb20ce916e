//! What a store holds, read without an engine: for commands that only look.
//!
//! **Invariant:** takes no lock and writes nothing, so that it works beside a running process. Everything it tells is of
//! one moment: what was durable when it was opened.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use headframe::{
    durable::{
        ActorId, CallId, DeadLetter, Ledger, Live, Registry, Restored, Row as Call, RowState, StreamId,
        store::{Local, LocalOptions, Store as _},
    },
    phase::Phase,
    plan::Plan,
    run::{self, Row, Run},
    task::Task,
};

use super::{exit::Error, folder};

/// A store at one moment.
pub(crate) struct Look {
    live: Live,
    ledger: Ledger,
    /// All runs, newest first.
    pub(crate) runs: Vec<Row>,
}

impl Look {
    /// Read all there is.
    pub(crate) fn at(folder: &Path) -> Result<Self, Error> {
        folder::must_exist(folder)?;
        let store = read_only(folder)?;
        let (live, _) = Live::fold(&store)?;
        let runs = rows(&live)?;
        Ok(Self { live, ledger: ledger_of(store), runs })
    }

    /// A run by its id, the beginning of one, or `last`.
    pub(crate) fn find(&self, wanted: &str) -> Result<&Row, Error> {
        folder::find(&self.runs, wanted)
    }

    /// The plan of a run, for its names.
    pub(crate) fn plan(&self, row: &Row) -> Option<Plan> {
        // Names are a comfort: without them phases are shown by number.
        self.live.index.get(&run::plan_key(row.plan)).and_then(|sealed| Plan::decode(sealed).ok())
    }

    /// What happened.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What is live: actors, calls, index rows.
    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    /// The records that were lost, if nobody has said yet that runs may go on without them.
    pub(crate) fn restored(&self) -> Option<Restored> {
        let row = self.live.index.get(Restored::KEY)?;
        Restored::decode(row).ok().filter(|restored| restored.confirmed_by.is_none())
    }

    /// The calls that wait for a decision, oldest first.
    pub(crate) fn doubts(&self) -> impl Iterator<Item = (CallId, &Call)> {
        let calls = self.live.calls.iter().map(|(call, row)| (*call, &**row));
        calls.filter(|(_, row)| matches!(row.state, RowState::InDoubt(_)))
    }

    /// How many calls were under way that may not be repeated: the next start doubts them, should their process be gone.
    pub(crate) fn unrepeatable(&self) -> usize {
        self.live.calls.values().filter(|row| matches!(row.state, RowState::Started)).count()
    }

    /// Whether a call of this run waits for a decision.
    pub(crate) fn is_held(&self, row: &Row) -> bool {
        let stream = StreamId(row.actor.0);
        row.held.is_some()
            || (!row.has_ended() && self.has_lost_something(stream))
            || self
                .doubts()
                .any(|(_, call)| self.live.actors.get(&call.caller).is_some_and(|actor| actor.stream == stream))
    }
}

impl Look {
    /// Messages that were given up, oldest first.
    pub(crate) fn letters(&self) -> impl Iterator<Item = (u64, DeadLetter)> {
        self.live.dead_letters()
    }

    /// The storage name of an actor's behaviour, if it lives.
    pub(crate) fn kind(&self, actor: ActorId) -> Option<&'static str> {
        self.live.actors.get(&actor).map(|row| registry().name(row.kind))
    }

    /// Whether an actor of the stream waits for a message that was given up, or is suspended.
    fn has_lost_something(&self, stream: StreamId) -> bool {
        let of_stream = |actor: &ActorId| self.live.actors.get(actor).is_some_and(|row| row.stream == stream);
        self.live.actors.values().any(|row| row.stream == stream && row.suspended.is_some())
            || self.live.dead_letters().any(|(_, letter)| of_stream(&letter.to))
    }
}

/// The behaviours that runs are made of.
pub(crate) fn registry() -> Registry {
    Registry::new().with::<Run>().with::<Phase>().with::<Task>()
}

/// The ledger alone, also of a store that does not fold.
pub(crate) fn ledger(folder: &Path) -> Result<Ledger, Error> {
    folder::must_exist(folder)?;
    let store = read_only(folder)?;
    // From which record the journal is needed, and how far its records go.
    store.open()?;
    store.recover(&mut |_, _| Ok(()))?;
    Ok(ledger_of(store))
}

fn read_only(folder: &Path) -> Result<Local, Error> {
    Ok(Local::open(folder, LocalOptions { read_only: true, ..LocalOptions::default() })?)
}

fn ledger_of(store: Local) -> Ledger {
    Ledger::new(Arc::new(store), registry())
}

fn rows(live: &Live) -> Result<Vec<Row>, Error> {
    let rows = live.index.range(Bytes::from_static(b"run/")..Bytes::from_static(b"run0")).rev();
    rows.map(|(_, row)| Ok(Row::decode(row).map_err(headframe::Error::from)?)).collect()
}
