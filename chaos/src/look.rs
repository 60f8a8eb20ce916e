//! A look into the folder of a victim that is dead: what its next life will find, read without an engine.
//!
//! **Invariants:** changes nothing. After a kill it says what is wrong with what is there; at rest it reads all of the
//! ledger, too.

#[cfg(test)]
mod tests;

use std::path::Path;

pub(crate) use headframe::testing::oracle::Known;
use headframe::testing::oracle::{Findings, Look, Told, Violation, files};

use crate::parent::Client;

/// All that a client was ever told of.
pub(crate) fn known(client: &Client) -> Vec<Known> {
    let acknowledged = client.submitted.iter().filter_map(|(number, known)| Some((*number, known, known.run.clone()?)));
    acknowledged.map(|(number, known, run)| Known { number, run, outcome: known.outcome.clone() }).collect()
}

/// After a kill: what is live hangs together and is what the events come to, and what was acknowledged is there.
pub(crate) fn after_a_kill(folder: &Path, known: &[Known]) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    Look::into_folder(folder)?.after_a_death(known, &mut findings)?;
    Ok(findings)
}

/// At rest: all that, the files, the chains, and everything that ever happened.
pub(crate) fn at_rest(folder: &Path, known: &[Known]) -> anyhow::Result<(Findings, Told)> {
    let mut findings = after_a_kill(folder, known)?;
    files(folder, &mut findings)?;
    let told = Look::into_folder(folder)?.at_rest(&mut findings)?;
    Ok((findings, told))
}

/// Add to violations what the ledger says of their runs.
pub(crate) fn add_evidence(folder: &Path, told: &Told, violations: &mut [Violation]) -> anyhow::Result<()> {
    if !violations.is_empty() {
        Look::into_folder(folder)?.add_evidence(told, violations)?;
    }
    Ok(())
}
