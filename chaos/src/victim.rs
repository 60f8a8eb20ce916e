//! The process that dies: an engine on a folder, told by its client over stdin what to submit.
//!
//! It says what it knows on stdout, one line each; a line is written at once or not at all, so that what the client has
//! read was true when the kill came.
//!
//! **Invariants:** an acknowledgement is printed after the engine gave it, never before. The victim keeps nothing between
//! its lives but the data folder.

mod operator;
mod saboteur;
mod tools;

use std::{io::Write as _, path::Path, process::ExitCode, sync::Arc, time::Duration};

use headframe::{Engine, RunHandle, durable::LongTurn, plan::Checked, run::Outcome};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    task::JoinSet,
};

pub(crate) use self::operator::decide_doubts;
use self::tools::Remote;
use crate::{args::VictimRole, random::Random, workload};

/// A life is short: rows are compared as often as that allows, and must be found well.
const SCRUB_EVERY: Duration = Duration::from_millis(300);

/// What a victim says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// The engine has recovered.
    Up,
    /// A submission is durable.
    Acknowledged { number: u64, run: String },
    /// A submission was refused, which never happens to a good client.
    Refused { number: u64, why: String },
    /// A run ended.
    Ended { number: u64, outcome: Outcome },
    /// Calls in doubt were decided.
    Decided { calls: u64 },
    /// Actors were killed.
    Killed { hosts: u64, tools: u64 },
    /// The store closed, which only a broken disk may cause.
    Closed { cause: String },
}

/// An engine with its plans, by the number of their shape.
pub(crate) struct Works {
    pub(crate) engine: Engine,
    pub(crate) plans: Vec<Arc<Checked>>,
    seed: u64,
}

impl Works {
    /// Recover from the folder.
    pub(crate) async fn open(data: &Path, socket: &Path, seed: u64, life: u32) -> anyhow::Result<Self> {
        let outside = Arc::new(tools::Outside { socket: socket.to_path_buf(), life });
        let builder = Engine::builder().data(data).long_turn(LongTurn::Abort).scrub_every(SCRUB_EVERY);
        let builder =
            tools::NAMES.iter().fold(builder, |builder, name| builder.tool(*name, Remote::new(name, &outside)));
        let engine = builder.start().await?;
        let plans = workload::SHAPES.iter().map(|shape| engine.check(shape.plan())).collect::<Result<_, _>>()?;
        Ok(Self { engine, plans, seed })
    }

    /// Submit a number, now or again.
    pub(crate) async fn submit(&self, number: u64) -> Result<RunHandle, headframe::Error> {
        let plan = &self.plans[workload::shape(self.seed, number)];
        self.engine.submit(plan, workload::submission(number)).await
    }
}

/// Work until killed.
pub(crate) fn main(role: VictimRole) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(live(role))
}

async fn live(role: VictimRole) -> anyhow::Result<ExitCode> {
    let works = Arc::new(Works::open(&role.data, &role.socket, role.seed, role.life).await?);
    say(&Said::Up);
    let mut tasks = JoinSet::new();
    tasks.spawn(watch(works.clone()));
    let random = |purpose| Random::of(role.seed, purpose | u64::from(role.life) << 16);
    tasks.spawn(operate(works.clone(), role.socket.clone(), random(3)));
    if role.actors {
        tasks.spawn(sabotage(works.clone(), random(4)));
    }
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        tasks.spawn(follow(works.clone(), order.trim().parse()?));
        while tasks.try_join_next().is_some() {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn follow(works: Arc<Works>, number: u64) {
    let run = match works.submit(number).await {
        Ok(run) => run,
        Err(error) => return say(&Said::Refused { number, why: error.to_string() }),
    };
    say(&Said::Acknowledged { number, run: run.id().to_string() });
    if let Some(after) = workload::cancels(works.seed, number) {
        tokio::time::sleep(after).await;
        // Fails when the run has ended or the store has closed, and both are told below.
        let _ = run.cancel("the client changed its mind").await;
    }
    if let Ok(outcome) = run.outcome().await {
        say(&Said::Ended { number, outcome });
    }
}

async fn watch(works: Arc<Works>) {
    let cause = works.engine.system().failed().await;
    say(&Said::Closed { cause: cause.to_string() });
}

async fn operate(works: Arc<Works>, socket: std::path::PathBuf, mut random: Random) {
    loop {
        tokio::time::sleep(random.between(Duration::from_millis(5), Duration::from_millis(120))).await;
        // A failure is that of a store that closed, and is told by `watch`.
        if let Ok(calls @ 1..) = decide_doubts(&works.engine, &socket, &mut random).await {
            say(&Said::Decided { calls });
        }
    }
}

async fn sabotage(works: Arc<Works>, mut random: Random) {
    loop {
        tokio::time::sleep(random.between(Duration::from_micros(200), Duration::from_millis(8))).await;
        let (hosts, tools) = saboteur::strike(&works.engine.system(), &mut random);
        if hosts + tools > 0 {
            say(&Said::Killed { hosts, tools });
        }
    }
}

fn say(said: &Said) {
    let Ok(mut line) = serde_json::to_string(said) else { return };
    line.push('\n');
    // A parent that does not listen any more is about to kill us.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}
