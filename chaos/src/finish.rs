//! After the last kill: faults off, a quiet time, and then everything is read that can be read.
//!
//! **Invariant:** nothing is judged here. What is found goes to the oracle as facts, or as findings about what the
//! engine itself says is wrong.

mod examine;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use headframe::{clock::monotonic, run::Outcome};
use tokio::task::JoinSet;

use crate::{
    look,
    oracle::{Facts, Findings, Invariant::I1, Submission, Violation},
    parent::Client,
    random::Random,
    recorder,
    victim::{Works, decide_doubts},
    workload,
};

/// Which stream of the seed the last operator draws from.
const PURPOSE: u64 = 5;
/// Nothing ended for so long: what has not ended is stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the operator looks.
const LOOK: Duration = Duration::from_millis(20);

/// Where the victim's folder and the recorder are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) data: PathBuf,
    pub(crate) socket: PathBuf,
}

/// Recover for the last time, let everything end, and gather the facts. `findings` are those so far.
pub(crate) async fn finish(place: &Place, kills: u32, mut client: Client, findings: Findings) -> anyhow::Result<Facts> {
    let works = open(place, client.seed, kills + 1).await.context("the last recovery failed")?;
    let mut facts = Facts { seed: client.seed, kills, findings, ..Facts::default() };
    facts.submissions = find(&works, &client).await?;
    settle(&works, place, &mut client, &mut facts.submissions).await?;
    client.complaints.drain(..).for_each(|complaint| facts.findings.found(complaint));
    examine::key_conflict(&works, &facts.submissions, &mut facts.findings).await;
    examine::at_rest(&works, &mut facts.findings).await?;
    let before = examine::stop(works).await?;
    let (data, known) = (place.data.clone(), look::known(&client));
    let (findings, told) = tokio::task::spawn_blocking(move || look::at_rest(&data, &known)).await??;
    facts.findings.add(findings);
    facts.told = told;
    examine::restart(before, place, kills + 2, &mut facts.findings).await?;
    facts.entries = recorder::read_books(&place.socket).await?;
    Ok(facts)
}

async fn open(place: &Place, seed: u64, life: u32) -> anyhow::Result<Arc<Works>> {
    Works::open(&place.data, &place.socket, seed, life).await.map(Arc::new)
}

/// What the last recovery knows, before anybody submits again.
async fn find(works: &Works, client: &Client) -> anyhow::Result<Vec<Submission>> {
    let mut submissions = Vec::with_capacity(client.submitted.len());
    for (&number, known) in &client.submitted {
        let found = match works.engine.run_by_key(&workload::key(number)).await {
            Ok(run) => Some(run.id().to_string()),
            Err(headframe::Error::NoRun(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let acknowledged = known.run.clone();
        submissions.push(Submission { number, acknowledged, found, ..Submission::default() });
    }
    Ok(submissions)
}

/// Submit everything again, decide what is in doubt, and wait until nothing ends any more.
async fn settle(
    works: &Arc<Works>,
    place: &Place,
    client: &mut Client,
    submissions: &mut [Submission],
) -> anyhow::Result<()> {
    let mut waiting = JoinSet::new();
    for (at, submission) in submissions.iter().enumerate() {
        waiting.spawn(wait_for(works.clone(), at, submission.number));
    }
    let mut random = Random::of(client.seed, PURPOSE);
    let (mut last_end, mut look) = (monotonic(), tokio::time::interval(LOOK));
    while !waiting.is_empty() && !is_stuck(last_end) {
        tokio::select! {
            Some(ended) = waiting.join_next() => {
                last_end = monotonic();
                let (at, again, outcome) = ended??;
                let submission = &mut submissions[at];
                client.ended(submission.number, &outcome);
                (submission.again, submission.outcome) = (Some(again), Some(outcome));
            }
            _ = look.tick() => decide_doubts(&works.engine, &place.socket, &mut random).await?,
        }
    }
    if !waiting.is_empty() {
        client.complain(Violation::lost(I1, examine::stuck(works, waiting.len()).await));
    }
    Ok(())
}

fn is_stuck(last_end: Instant) -> bool {
    last_end.elapsed() > PATIENCE
}

async fn wait_for(works: Arc<Works>, at: usize, number: u64) -> Result<(usize, String, Outcome), headframe::Error> {
    let run = works.submit(number).await?;
    Ok((at, run.id().to_string(), run.outcome().await?))
}
