//! A look into a store whose process is dead, or at rest: what the next life will find, read without an engine.
//!
//! **Invariants:** changes nothing. After a death it says what is wrong with what is there; at rest it reads all of the
//! ledger, too.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;

use super::{
    Findings,
    Invariant::{I1, I3, I5, I7, I12},
    Told, Violation, Witness,
};
use crate::{
    durable::{
        Ledger, Live, Registry, StreamId, Waiting,
        store::{self, Local, LocalOptions, Store},
    },
    phase::Phase,
    run::{Outcome, Row, Run},
    task::Task,
};

/// Lines of the ledger that are shown before and after the event that is wrong.
const LINES: (u64, u64) = (6, 2);
/// No line is longer.
const LINE_MAX: usize = 240;

/// What a client knows of a run that was acknowledged.
#[derive(Clone, Debug)]
pub struct Known {
    /// Which submission it was.
    pub number: u64,
    /// The run that its client was told of.
    pub run: String,
    /// How it ended, if its client was told.
    pub outcome: Option<Outcome>,
}

/// What was in a store at one moment.
pub struct Look {
    live: Live,
    registry: Registry,
    ledger: Ledger,
}

impl Look {
    /// Into a folder that no process has open.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn into_folder(folder: &Path) -> Result<Self, store::Error> {
        let store = Local::open(folder, LocalOptions { read_only: true, ..LocalOptions::default() })?;
        let (live, _) = Live::fold(&store)?;
        Ok(Self::at(live, Arc::new(store)))
    }

    /// At what is live, and at the store that holds the ledger of the same moment.
    #[must_use]
    pub fn at(live: Live, store: Arc<dyn Store>) -> Self {
        let registry = Registry::new().with::<Run>().with::<Phase>().with::<Task>();
        Self { live, ledger: Ledger::new(store, registry.clone()), registry }
    }

    /// What waits for a person, or for what cannot come.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        self.live.waiting(&self.registry)
    }

    /// After a death: what is live hangs together and is what the events come to, and what was acknowledged is there.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn after_a_death(&self, known: &[Known], findings: &mut Findings) -> Result<(), store::Error> {
        self.agree(findings)?;
        self.acknowledged(known, findings);
        Ok(())
    }

    /// At rest: everything that ever happened, and the chains.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn at_rest(&self, findings: &mut Findings) -> Result<Told, store::Error> {
        let verified = self.ledger.verify()?;
        verified.problems.into_iter().for_each(|problem| findings.found(Violation::wrong(I7, problem)));
        let mut witness = Witness::default();
        self.ledger.all(&mut |item| {
            witness.take(&item);
            true
        })?;
        let (told, more) = witness.end();
        findings.add(more);
        Ok(told)
    }

    /// I3 and I12: mailboxes, state and calls hang together, and state is what the events come to.
    fn agree(&self, findings: &mut Findings) -> Result<(), store::Error> {
        let live = &self.live;
        let mail: usize = live.actors.values().map(|actor| actor.mailbox.len()).sum();
        findings.tested(I3, live.actors.len() + mail + live.calls.len());
        let loose: BTreeSet<_> = live.loose_ends().into_iter().collect();
        let refolded = self.ledger.refold(live)?;
        findings.tested(I12, usize::try_from(refolded.actors).unwrap_or(usize::MAX));
        let folds = refolded.problems.into_iter().filter(|problem| !loose.contains(problem));
        folds.for_each(|problem| findings.found(Violation::wrong(I12, problem)));
        loose.iter().for_each(|problem| findings.found(Violation::wrong(I3, problem.clone())));
        Ok(())
    }

    /// I5 and I1: what the client was told of is there, and as it was told.
    fn acknowledged(&self, known: &[Known], findings: &mut Findings) {
        let rows = self.rows(findings);
        findings.tested(I5, known.len());
        findings.tested(I1, known.iter().filter(|known| known.outcome.is_some()).count());
        for Known { number, run, outcome } in known {
            let told = |violation: Violation| violation.of(*number).of_run(Some(run.clone()));
            match rows.get(run) {
                None => {
                    let what = format!("submission {number} was acknowledged, and after a death its run is not there");
                    findings.found(told(Violation::lost(I5, what)));
                }
                Some(stored) if outcome.is_some() && stored != outcome => {
                    let what = format!("submission {number} ended as {outcome:?}, and after a death as {stored:?}");
                    findings.found(told(Violation::lost(I1, what)));
                }
                Some(_) => {}
            }
        }
    }

    /// How each run stands.
    fn rows(&self, findings: &mut Findings) -> BTreeMap<String, Option<Outcome>> {
        let mut rows = BTreeMap::new();
        for (_, row) in self.live.index.range(Bytes::from_static(b"run/")..Bytes::from_static(b"run0")) {
            match Row::decode(row) {
                Ok(row) => {
                    rows.insert(row.run.to_string(), row.outcome);
                }
                Err(error) => findings.found(Violation::wrong(I12, format!("a run's row cannot be read: {error}"))),
            }
        }
        rows
    }

    /// Add to violations what the ledger says of their runs.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn add_evidence(&self, told: &Told, violations: &mut [Violation]) -> Result<(), store::Error> {
        for violation in violations {
            if let Some(stream) = violation.run.as_ref().and_then(|run| told.streams.get(run)) {
                violation.evidence.extend(self.lines(*stream, violation.event)?);
            }
        }
        Ok(())
    }

    /// The lines around an event, or the last.
    fn lines(&self, stream: StreamId, event: Option<u64>) -> Result<Vec<String>, store::Error> {
        let (before, after) = LINES;
        let mut lines = VecDeque::new();
        self.ledger.stream(stream, &mut |item| {
            let mut line = format!("ledger: {} {} {} {} ", item.number, item.at_ms, item.kind, item.actor);
            line.push_str(&serde_json::to_string(&item.what).unwrap_or_default());
            if line.len() > LINE_MAX {
                line = line.chars().take(LINE_MAX).chain(" ...".chars()).collect();
            }
            lines.push_back(line);
            if lines.len() as u64 > before + after + 1 {
                lines.pop_front();
            }
            event.is_none_or(|event| item.number < event + after)
        })?;
        Ok(lines.into())
    }
}

/// At rest: what the files of a folder say of themselves, and its rows.
///
/// # Errors
/// If the folder cannot be read at all.
pub fn files(folder: &Path, findings: &mut Findings) -> Result<(), store::Error> {
    let checked = Local::check(folder)?;
    checked.problems.into_iter().for_each(|problem| findings.found(Violation::wrong(I7, problem)));
    let rows = Local::check_rows(folder)?;
    findings.tested(I12, usize::try_from(rows.rows).unwrap_or(usize::MAX));
    rows.problems.into_iter().for_each(|problem| findings.found(Violation::wrong(I12, problem)));
    Ok(())
}
