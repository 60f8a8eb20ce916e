//! When all is at rest: everything in the folder is read, and held against what the client was told.
//!
//! **Invariant:** changes nothing, and starts no engine.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use bytes::Bytes;
use headframe::{
    durable::{
        Ledger, Live, Registry,
        store::{Local, LocalOptions},
    },
    phase::Phase,
    run::{Row, Run},
    task::Task,
};
use serde::Serialize;

use crate::client::Runs;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Found {
    /// Runs on disk.
    pub(crate) runs: u64,
    /// Events whose hashes were computed again.
    pub(crate) events: u64,
    /// Rows that were held against base and journal.
    pub(crate) rows: u64,
    /// In sentences, each with the invariant that it breaks; none is good.
    pub(crate) problems: Vec<String>,
}

/// Read all of it.
pub(crate) fn read(folder: &Path, told: Runs) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let store = Local::open(folder, LocalOptions { read_only: true, ..LocalOptions::default() })?;
    let (live, _) = Live::fold(&store)?;
    let registry = Registry::new().with::<Run>().with::<Phase>().with::<Task>();
    let ledger = Ledger::new(Arc::new(store), registry);
    found.say("I3", live.loose_ends());
    found.say("I12", ledger.refold(&live).context("the ledger cannot be read")?.problems);
    ends(&live, told, &mut found)?;
    found.say("I7", Local::check(folder)?.problems);
    let rows = Local::check_rows(folder)?;
    found.rows = rows.rows;
    found.say("I12", rows.problems);
    let verified = ledger.verify().context("the ledger cannot be read")?;
    found.events = verified.events;
    found.say("I7", verified.problems);
    Ok(found)
}

impl Found {
    fn say(&mut self, invariant: &str, problems: Vec<String>) {
        self.problems.extend(problems.into_iter().map(|problem| format!("{invariant}: {problem}")));
    }
}

/// I1 and I5: each run that was acknowledged is there, and has ended.
fn ends(live: &Live, told: Runs, found: &mut Found) -> anyhow::Result<()> {
    let mut open = Vec::new();
    for (_, row) in live.index.range(Bytes::from_static(b"run/")..Bytes::from_static(b"run0")) {
        let row = Row::decode(row).context("a run's row cannot be read")?;
        found.runs += 1;
        if row.outcome.is_none() {
            open.push(format!("{} has not ended", row.run));
        }
    }
    found.say("I1", open);
    if !(told.acknowledged..=told.submitted).contains(&found.runs) {
        let Runs { acknowledged, submitted, .. } = told;
        let what =
            format!("{submitted} runs were submitted, {acknowledged} acknowledged, and {} are on disk", found.runs);
        found.say("I5", vec![what]);
    }
    Ok(())
}
