//! A look into the folder of a victim that is dead: what its next life will find, read without an engine.
//!
//! **Invariants:** changes nothing. After a kill it says what is wrong with what is there; at rest it reads all of the
//! ledger, too.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use anyhow::Context as _;
use bytes::Bytes;
use headframe::{
    durable::{
        Ledger, Live, Registry, StreamId,
        store::{Local, LocalOptions},
    },
    phase::Phase,
    run::{Outcome, Row, Run},
    task::Task,
};

use crate::{
    oracle::{
        Findings, History,
        Invariant::{I1, I3, I5, I7, I12},
        Told, Violation,
    },
    parent::Client,
};

/// Lines of the ledger that are shown before and after the event that is wrong.
const LINES: (u64, u64) = (6, 2);
/// No line is longer.
const LINE_MAX: usize = 240;

/// What a client knows of a run that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) number: u64,
    pub(crate) run: String,
    pub(crate) outcome: Option<Outcome>,
}

impl Known {
    /// All that a client was ever told of.
    pub(crate) fn all(client: &Client) -> Vec<Self> {
        let acknowledged =
            client.submitted.iter().filter_map(|(number, known)| Some((*number, known, known.run.clone()?)));
        acknowledged.map(|(number, known, run)| Self { number, run, outcome: known.outcome.clone() }).collect()
    }
}

/// After a kill: what is live hangs together and is what the events come to, and what was acknowledged is there.
pub(crate) fn after_a_kill(folder: &Path, known: &[Known]) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let (live, ledger) = open(folder)?;
    agree(&live, &ledger, &mut findings)?;
    acknowledged(&live, known, &mut findings)?;
    Ok(findings)
}

/// At rest: all that, the files, the chains, and everything that ever happened.
pub(crate) fn at_rest(folder: &Path, known: &[Known]) -> anyhow::Result<(Findings, Told)> {
    let mut findings = after_a_kill(folder, known)?;
    let checked = Local::check(folder)?;
    checked.problems.into_iter().for_each(|problem| findings.found(Violation::wrong(I7, problem)));
    let rows = Local::check_rows(folder)?;
    findings.tested(I12, usize::try_from(rows.rows).unwrap_or(usize::MAX));
    rows.problems.into_iter().for_each(|problem| findings.found(Violation::wrong(I12, problem)));
    let (_, ledger) = open(folder)?;
    let verified = ledger.verify().context("the ledger cannot be read")?;
    verified.problems.into_iter().for_each(|problem| findings.found(Violation::wrong(I7, problem)));
    let mut history = History::default();
    ledger.all(&mut |item| {
        history.take(&item);
        true
    })?;
    let (told, more) = history.end();
    findings.add(more);
    Ok((findings, told))
}

/// I3 and I12: mailboxes, state and calls hang together, and state is what the events come to.
fn agree(live: &Live, ledger: &Ledger, findings: &mut Findings) -> anyhow::Result<()> {
    let mail: usize = live.actors.values().map(|actor| actor.mailbox.len()).sum();
    findings.tested(I3, live.actors.len() + mail + live.calls.len());
    let loose: BTreeSet<_> = live.loose_ends().into_iter().collect();
    let refolded = ledger.refold(live).context("the ledger cannot be read")?;
    findings.tested(I12, usize::try_from(refolded.actors).unwrap_or(usize::MAX));
    let folds = refolded.problems.into_iter().filter(|problem| !loose.contains(problem));
    folds.for_each(|problem| findings.found(Violation::wrong(I12, problem)));
    loose.iter().for_each(|problem| findings.found(Violation::wrong(I3, problem.clone())));
    Ok(())
}

/// I5 and I1: what the client was told of is on disk, and as it was told.
fn acknowledged(live: &Live, known: &[Known], findings: &mut Findings) -> anyhow::Result<()> {
    let rows = live.index.range(Bytes::from_static(b"run/")..Bytes::from_static(b"run0"));
    let rows: BTreeMap<_, _> = rows
        .map(|(_, row)| Row::decode(row).map(|row| (row.run.to_string(), row.outcome)))
        .collect::<Result<_, _>>()
        .context("a run's row cannot be read")?;
    findings.tested(I5, known.len());
    findings.tested(I1, known.iter().filter(|known| known.outcome.is_some()).count());
    for Known { number, run, outcome } in known {
        let told = |violation: Violation| violation.of(*number).of_run(Some(run.clone()));
        match rows.get(run) {
            None => {
                let what = format!("submission {number} was acknowledged, and after a kill its run is not there");
                findings.found(told(Violation::lost(I5, what)));
            }
            Some(stored) if outcome.is_some() && stored != outcome => {
                let what = format!("submission {number} ended as {outcome:?}, and after a kill as {stored:?}");
                findings.found(told(Violation::lost(I1, what)));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Add to violations what the ledger says of their runs.
pub(crate) fn add_evidence(folder: &Path, told: &Told, violations: &mut [Violation]) -> anyhow::Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    let (_, ledger) = open(folder)?;
    for violation in violations {
        if let Some(stream) = violation.run.as_ref().and_then(|run| told.streams.get(run)) {
            violation.evidence.extend(lines(&ledger, *stream, violation.event)?);
        }
    }
    Ok(())
}

/// The lines around an event, or the last.
fn lines(ledger: &Ledger, stream: StreamId, event: Option<u64>) -> anyhow::Result<Vec<String>> {
    let (before, after) = LINES;
    let mut lines = std::collections::VecDeque::new();
    ledger.stream(stream, &mut |item| {
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

fn open(folder: &Path) -> anyhow::Result<(Live, Ledger)> {
    let store = Local::open(folder, LocalOptions { read_only: true, ..LocalOptions::default() })?;
    let (live, _) = Live::fold(&store)?;
    let registry = Registry::new().with::<Run>().with::<Phase>().with::<Task>();
    Ok((live, Ledger::new(Arc::new(store), registry)))
}
