//! A start on a folder that nobody else has, with every run held and no tool: what it says, and what is there.
//!
//! **Invariants:** nothing is carried out: no call is made, no timer is due.

use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use headframe::{
    clock::{ManualClock, monotonic},
    durable::{
        Ledger, Live, Recovery, Registry, Sequence, StreamId, System, What,
        store::{self, Checked, Local, LocalOptions, Store},
    },
    phase::Phase,
    run::{Row, Run},
    task::Task,
};
use serde::{Deserialize, Serialize};

use super::Started;
use crate::args::StarterRole;

/// Where the rows of runs are.
const RUNS: (&[u8], &[u8]) = (b"run/", b"run0");

/// What there was before the damage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Was {
    pub(crate) content: Content,
    /// The last record.
    pub(crate) last: u64,
    /// The last record that is known to have been synced.
    pub(crate) vouched: u64,
}

/// What a store holds, by its sums.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    runs: u64,
    runs_sum: u64,
    events: u64,
    events_sum: u64,
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} runs ({:x}), {} events ({:x})", self.runs, self.runs_sum, self.events, self.events_sum)
    }
}

impl Content {
    /// The order in which they come says nothing.
    fn run(&mut self, row: &Row) {
        self.runs += 1;
        self.runs_sum = self.runs_sum.wrapping_add(sum(&format!("{} {:?}", row.run, row.outcome)));
    }

    fn ledger(&mut self, ledger: &Ledger) -> Result<(), store::Error> {
        ledger.all(&mut |item| {
            if matches!(item.what, What::Event(_)) {
                self.events += 1;
                let told = format!("{} {} {} {}", item.stream, item.number, item.kind, item.hash);
                self.events_sum = self.events_sum.wrapping_add(sum(&told));
            }
            true
        })
    }
}

fn sum(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// What a folder holds that nobody has damaged; changes nothing.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Was> {
    let Checked { last, vouched, .. } = Local::check(folder)?;
    Ok(Was { content: read_until(folder, None)?, last: last.0, vouched: vouched.0 })
}

/// What it held when a record was its last.
pub(crate) fn read_until(folder: &Path, last: Option<u64>) -> anyhow::Result<Content> {
    let cut_after = last.map(Sequence);
    let store = Local::open(folder, LocalOptions { read_only: true, cut_after, ..LocalOptions::default() })?;
    let (live, _) = Live::fold(&store)?;
    let mut content = Content::default();
    for (_, row) in live.index.range(Bytes::from_static(RUNS.0)..Bytes::from_static(RUNS.1)) {
        content.run(&Row::decode(row)?);
    }
    content.ledger(&Ledger::new(Arc::new(store), registry()))?;
    Ok(content)
}

fn registry() -> Registry {
    Registry::new().with::<Run>().with::<Phase>().with::<Task>()
}

/// The process that starts on a damaged folder: prints what became of it.
pub(crate) fn main(role: &StarterRole) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let began = monotonic();
    let mut started = runtime.block_on(start(&role.data));
    if started.refused.is_none() {
        at_rest(&role.data, &mut started);
    }
    started.micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    println!("{}", serde_json::to_string(&started)?);
    Ok(ExitCode::SUCCESS)
}

async fn start(folder: &Path) -> Started {
    let mut started = Started::default();
    let system = match open(folder).await {
        Ok(system) => system,
        Err(error) => {
            started.refused = Some(error.to_string());
            return started;
        }
    };
    started.repairs = system.repairs().to_vec();
    match content(&system).await {
        Ok((content, problems)) => (started.content, started.problems) = (Some(content), problems),
        Err(error) => started.problems.push(error),
    }
    system.stop(Duration::ZERO).await;
    started
}

async fn open(folder: &Path) -> Result<System, store::Error> {
    let store: Arc<dyn Store> = Arc::new(Local::open(folder, LocalOptions::default())?);
    System::builder()
        .behavior::<Run>()
        .behavior::<Phase>()
        .behavior::<Task>()
        .clock(Arc::new(ManualClock::at(0)))
        .recovered(hold)
        .start(store)
        .await
}

/// Every run that has not ended, also one that waits for a call or a timer and is not in memory.
fn hold(recovered: &Recovery<'_>) -> Result<Vec<StreamId>, store::Error> {
    let rows = recovered.range(&Bytes::from_static(RUNS.0), &Bytes::from_static(RUNS.1))?;
    // One that cannot be read is a problem that reading everything will name.
    let rows = rows.values().filter_map(|row| Row::decode(row).ok());
    Ok(rows.filter(|row| !row.has_ended()).map(|row| StreamId(row.actor.0)).collect())
}

async fn content(system: &System) -> Result<(Content, Vec<String>), String> {
    let mut content = Content::default();
    let rows = system.range(RUNS.0, RUNS.1).await.map_err(|error| error.to_string())?;
    for row in rows.values() {
        content.run(&Row::decode(row).map_err(|error| error.to_string())?);
    }
    let ledger = system.ledger();
    content.ledger(&ledger).map_err(|error| error.to_string())?;
    let verified = ledger.verify().map_err(|error| error.to_string())?;
    Ok((content, verified.problems))
}

/// Files and rows, as `headframe store verify` reads them.
fn at_rest(folder: &Path, Started { problems, last, .. }: &mut Started) {
    match Local::check(folder) {
        Ok(checked) => {
            *last = checked.last.0;
            problems.extend(checked.problems);
        }
        Err(error) => problems.push(error.to_string()),
    }
    match Local::check_rows(folder) {
        Ok(checked) => problems.extend(checked.problems),
        Err(error) => problems.push(error.to_string()),
    }
}
