//! When all is at rest: the oracle reads everything in the folder, and holds it against what the client was told.
//!
//! **Invariant:** changes nothing, and starts no engine.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use bytes::Bytes;
use headframe::{
    durable::{
        Live,
        store::{Local, LocalOptions},
    },
    run::Row,
    testing::oracle::{
        Findings,
        Invariant::{self, I1, I5},
        Look, Violation, files,
    },
};
use serde::Serialize;

use crate::client::Runs;

/// Violations that are told one by one.
const SHOWN: usize = 3;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Found {
    /// Runs on disk.
    pub(crate) runs: u64,
    /// How often each invariant was put to the test; one that is not here was not.
    pub(crate) tested: BTreeMap<String, u64>,
    /// How many are broken.
    pub(crate) violations: usize,
    /// The first of them, in sentences, each with its invariant; none is good.
    pub(crate) problems: Vec<String>,
}

/// Read all of it.
pub(crate) fn read(folder: &Path, told: Runs) -> anyhow::Result<Found> {
    let mut findings = Findings::default();
    let look = Look::into_folder(folder).context("the folder cannot be opened")?;
    look.after_a_death(&[], &mut findings)?;
    let seen = look.at_rest(&mut findings)?;
    files(folder, &mut findings)?;
    let runs = ends(folder, told, &mut findings)?;
    let violations = findings.violations.len();
    findings.violations.truncate(SHOWN);
    look.add_evidence(&seen, &mut findings.violations)?;
    let tested = Invariant::ALL.iter().map(|invariant| (invariant.to_string(), findings.times(*invariant)));
    Ok(Found {
        runs,
        tested: tested.filter(|(_, times)| *times > 0).collect(),
        violations,
        problems: findings.violations.iter().map(|violation| violation.to_string().trim().to_owned()).collect(),
    })
}

/// What waits in a folder whose engine was killed, and why: the first of them, in sentences.
pub(crate) fn waiting(folder: &Path) -> anyhow::Result<Vec<String>> {
    let look = Look::into_folder(folder).context("the folder cannot be opened")?;
    Ok(look.waiting().into_iter().take(SHOWN).map(|waiting| waiting.sentence).collect())
}

/// I1 and I5: each run that was acknowledged is there, and has ended. Counted, because an hour has too many to remember.
fn ends(folder: &Path, told: Runs, findings: &mut Findings) -> anyhow::Result<u64> {
    let store = Local::open(folder, LocalOptions { read_only: true, ..LocalOptions::default() })?;
    let (live, _) = Live::fold(&store)?;
    let mut runs = 0_u64;
    for (_, row) in live.index.range(Bytes::from_static(b"run/")..Bytes::from_static(b"run0")) {
        let row = Row::decode(row).context("a run's row cannot be read")?;
        runs += 1;
        if row.outcome.is_none() {
            findings.found(Violation::lost(I1, format!("{} has not ended", row.run)));
        }
    }
    let Runs { acknowledged, submitted, .. } = told;
    findings.tested(I1, usize::try_from(runs)?);
    findings.tested(I5, usize::try_from(acknowledged)?);
    if !(acknowledged..=submitted).contains(&runs) {
        let what = format!("{submitted} runs were submitted, {acknowledged} acknowledged, and {runs} are on disk");
        findings.found(Violation::lost(I5, what));
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use headframe::{
        Engine, Submission,
        durable::{Effect, Outcome},
        plan::Plan,
    };

    use super::*;

    /// A run without an end was told by its number alone, and its folder was gone.
    #[tokio::test]
    async fn who_waits_is_read_from_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let lost = |_| std::future::ready(Outcome::unknown("lost", "nobody heard"));
        let builder = Engine::builder().data(folder.path()).closure("bank", Effect::AtMostOnce, lost);
        let engine = builder.start().await.unwrap();
        let plan = Plan::builder("pay").phase("pay", |phase| phase.task("charge", "bank", |task| task)).build();
        let run = engine.submit(&engine.check(plan).unwrap(), Submission::default()).await.unwrap();
        while engine.doubts().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        engine.stop().await;
        let waiting = waiting(folder.path()).unwrap();
        assert_eq!(waiting.len(), 1, "{waiting:?}");
        let wanted = format!("{}/pay/charge to tool bank waits for a decision: lost: nobody heard", run.id());
        assert!(waiting[0].ends_with(&wanted), "{waiting:?}");
    }
}
