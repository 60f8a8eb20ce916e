//! After the last kill: faults off, a quiet time, and then everything is read that can be read.
//!
//! **Invariant:** nothing is judged here. What is found goes to the oracle as facts, or as findings about what the
//! engine itself says is wrong.

mod books;
mod doubts;
mod examine;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use headframe::{clock::monotonic, run::Outcome};
use tokio::task::JoinSet;

use crate::{
    args::Birth,
    look,
    oracle::{Facts, Findings, Invariant::I1, Submission, Violation},
    parent::{Client, Tally},
    random::Dice,
    recorder,
    victim::{Place, Teller, Works, decide_doubts},
    workload,
};

/// Which stream of the seed the last operator draws from.
const PURPOSE: u64 = 5;
/// Nothing ended for so long: what has not ended is stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the operator looks.
const LOOK: Duration = Duration::from_millis(20);

/// Recover for the last time, let everything end, and gather the facts. `findings` are those so far.
pub(crate) async fn finish(
    place: &Place,
    birth: &Birth,
    mut client: Client,
    findings: Findings,
    tally: &mut Tally,
) -> anyhow::Result<Facts> {
    let works = open(place, client.seed, birth).await.context("the last recovery failed")?;
    let mut facts = Facts { seed: client.seed, kills: birth.life - 1, findings, ..Facts::default() };
    facts.submissions = find(&works, &client).await?;
    settle(&works, place, &mut client, &mut facts.submissions, tally).await?;
    client.complaints.drain(..).for_each(|complaint| facts.findings.found(complaint));
    works.said().iter().for_each(|said| tally.hear(said));
    examine::key_conflict(&works, &facts.submissions, &mut facts.findings).await;
    examine::at_rest(&works, birth, &mut facts.findings).await?;
    let before = examine::stop(works).await?;
    let (data, known) = (place.data.clone(), look::known(&client));
    let read = tokio::task::spawn_blocking(move || look::at_rest(&data, &known)).await?;
    let (findings, told) = read.context("cannot read the folder at rest")?;
    facts.findings.add(findings);
    facts.told = told;
    facts.entries = recorder::read_books(&place.programs.socket).await?;
    facts.kills = books::settle(&mut facts.entries, facts.kills, &tally.programs);
    let (data, entries) = (place.data.clone(), facts.entries.clone());
    facts.findings.add(tokio::task::spawn_blocking(move || doubts::examine(&data, &entries)).await??);
    let next = Birth { life: birth.life + 1, ..birth.clone() };
    examine::restart(before, place, &next, &mut facts.findings).await?;
    Ok(facts)
}

async fn open(place: &Place, seed: u64, birth: &Birth) -> anyhow::Result<Arc<Works>> {
    Works::open(place, seed, birth, Teller::Keeps(Mutex::default())).await.map(Arc::new)
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
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let mut waiting = JoinSet::new();
    for (at, submission) in submissions.iter().enumerate() {
        waiting.spawn(wait_for(works.clone(), at, submission.number));
    }
    let mut random = Dice::of(client.seed, PURPOSE);
    let (mut last_end, mut look) = (monotonic(), tokio::time::interval(LOOK));
    while !waiting.is_empty() && !is_stuck(last_end) {
        tokio::select! {
            Some(ended) = waiting.join_next() => {
                last_end = monotonic();
                let (at, again, outcome) = ended??;
                let submission = &mut submissions[at];
                client.ended(submission.number, &outcome);
                tally.ended(submission.number);
                (submission.again, submission.outcome) = (Some(again), Some(outcome));
            }
            _ = look.tick() => decide_doubts(&works.engine, &place.programs.socket, &mut random).await?,
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
