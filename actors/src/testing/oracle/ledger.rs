//! What the ledger tells, event by event: one pass over all streams, in the order of each.
//!
//! ```text
//! run ── Submitted, PhaseStarted ─► phase ── Began, Started ─► task ── Began, Called ..., an end
//!     ◄─ PhaseDone, PhaseUndone ──       ◄─ Done, Undone ─────
//! ```
//! Each arrow is a message between two actors: what its sender wrote down must come before what its receiver did, and
//! both once (I2). Ends and results come once (I1, I4), waits end when they should (I8), numbers are dense (I7).
//!
//! **Invariant:** what is kept of a run goes when it has ended, all but its length and its intents.

mod stream;
mod task;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize as _, de::DeserializeOwned};
use serde_json::Value;

use self::stream::Stream;
use super::{
    Findings, Violation,
    findings::Invariant::{I1, I7},
};
use crate::durable::{Item, Note, StreamId, What};

/// Times are whole milliseconds, and those of two processes are read from the clock one after the other.
pub(super) const SLACK_MS: u64 = 5;

/// What the ledger tells, beside what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Whether all of it was read.
    pub is_whole: bool,
    /// When each call was intended, in milliseconds since 1970.
    pub intents: BTreeMap<String, u64>,
    /// The stream of each run.
    pub streams: BTreeMap<String, StreamId>,
    /// Calls that were held for a decision.
    pub doubted: u64,
    /// Decisions.
    pub decided: u64,
}

/// Reads the ledger, event by event, and tells of it at the end.
#[derive(Default)]
pub struct Witness {
    streams: HashMap<StreamId, Stream>,
    /// How long each stream is.
    lengths: HashMap<StreamId, u64>,
    told: Told,
    findings: Findings,
}

impl Witness {
    /// The next event of its stream.
    pub fn take(&mut self, item: &Item) {
        self.findings.tested(I7, 1);
        self.is_dense(item);
        match &item.what {
            What::Event(event) => self.event(item, event),
            What::Runtime(note) => self.note(note),
            What::Unreadable { bytes } => self.unreadable(item, &format!("{bytes} bytes")),
        }
    }

    fn is_dense(&mut self, item: &Item) {
        let length = self.lengths.entry(item.stream).or_default();
        *length += 1;
        if *length != item.number {
            let what = format!("event {} of {} stands where {length} should", item.number, item.stream);
            let run = self.streams.get(&item.stream).and_then(|stream| stream.run.clone());
            self.findings.found(Violation::wrong(I7, what).of_run(run).at_event(item.number));
            *length = item.number;
        }
    }

    fn event(&mut self, item: &Item, event: &Value) {
        if !["run", "phase", "task"].contains(&item.kind) {
            return;
        }
        let stream = self.streams.entry(item.stream).or_default();
        match stream.take(item, event, &mut self.told, &mut self.findings) {
            Ok(false) => {}
            Ok(true) => {
                // A late event makes it anew, which finds that it does not begin with its submission.
                let ended = self.streams.remove(&item.stream);
                ended.into_iter().for_each(|stream| stream.close(&mut self.findings));
            }
            Err(error) => self.unreadable(item, &error.to_string()),
        }
    }

    fn note(&mut self, note: &Value) {
        if let Ok(Note::Decided { .. }) = Note::deserialize(note) {
            self.told.decided += 1;
        }
    }

    fn unreadable(&mut self, item: &Item, why: &str) {
        let what = format!("event {} of {} cannot be read: {why}", item.number, item.stream);
        self.findings.found(Violation::wrong(I7, what).at_event(item.number));
    }

    /// It was all; every run has ended.
    pub fn end(mut self) -> (Told, Findings) {
        for (id, stream) in self.streams {
            let what = format!("{id} does not close with the end of its run");
            self.findings.found(Violation::lost(I1, what).of_run(stream.run).at_event(self.lengths[&id]));
        }
        self.told.is_whole = true;
        (self.told, self.findings)
    }
}

fn read<T: DeserializeOwned>(event: &Value) -> Result<T, serde_json::Error> {
    T::deserialize(event)
}
