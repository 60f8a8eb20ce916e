//! The process that dies: an engine on a folder, told by its client over stdin what to submit.
//!
//! It says what it knows on stdout, one line each; a line is written at once or not at all, so that what the client has
//! read was true when the kill came.
//!
//! **Invariants:** an acknowledgement is printed after the engine gave it, never before. The victim keeps nothing between
//! its lives but the data folder.

pub(crate) mod clock;
mod healing;
mod operator;
mod orders;
mod saboteur;
mod tools;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use headframe::{
    Engine, RunHandle,
    durable::{self, LongTurn, store::LocalOptions},
    plan::Checked,
    run::Outcome,
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    task::JoinSet,
};

use self::{
    clock::Wrong,
    saboteur::Saboteur,
    tools::{Outside, Program, Remote},
};
pub(crate) use self::{operator::decide_doubts, orders::Order};
use crate::{
    args::{Birth, VictimRole},
    fault::Fault,
    random::Dice,
    workload::{self, Programs},
};

/// A life is short: rows are compared as often as that allows, and must be found well.
const SCRUB_EVERY: Duration = Duration::from_millis(300);
/// Longer than any clock jumps: a key that was used names its run for as long as anybody asks.
const KEYS_KEPT: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// What was refused because the disk is full is sent again so soon.
const AGAIN: Duration = Duration::from_millis(20);
/// Small files: several are made in a short life.
const SEGMENT: u64 = 256 << 10;
const BASE: u64 = 1 << 20;
const CHECKPOINT: (Duration, u64) = (Duration::from_millis(40), 128 << 10);

/// What a victim logs.
const LOGS: tracing_subscriber::filter::LevelFilter = tracing_subscriber::filter::LevelFilter::WARN;

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
    /// Something was struck from within.
    Struck { fault: Fault, what: String },
    /// Something that was struck is over it.
    Healed { fault: Fault, micros: u64 },
    /// A submission was not taken in for now, and is sent again until it is.
    Waits { number: u64, why: String },
    /// The store closed, which only a disk that is broken or full may cause.
    Closed { cause: String },
}

impl Said {
    fn healed(fault: Fault, after: Duration) -> Self {
        Self::Healed { fault, micros: u64::try_from(after.as_micros()).unwrap_or(u64::MAX) }
    }
}

/// Where an engine works, and what it needs to know of the outside.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) data: PathBuf,
    pub(crate) programs: Programs,
}

/// Where it goes what happens inside.
#[derive(Debug)]
pub(crate) enum Teller {
    /// To whoever reads what this process says.
    Says,
    /// To whoever asks later: this process says other things.
    Keeps(Mutex<Vec<Said>>),
}

impl Teller {
    fn tell(&self, said: Said) {
        match self {
            Self::Says => say(&said),
            Self::Keeps(kept) => kept.lock().expect("nobody panics while keeping what is said").push(said),
        }
    }
}

/// An engine with its plans, by the number of their shape.
pub(crate) struct Works {
    pub(crate) engine: Engine,
    pub(crate) plans: Vec<Arc<Checked>>,
    outside: Arc<Outside>,
    wrong: Arc<Wrong>,
    seed: u64,
}

impl Works {
    /// Recover from the folder.
    pub(crate) async fn open(place: &Place, seed: u64, birth: &Birth, teller: Teller) -> anyhow::Result<Self> {
        let wrong = Wrong::ahead(birth.ahead_ms);
        let outside = Arc::new(Outside {
            socket: place.programs.socket.clone(),
            life: birth.life,
            clock: clock::of_engine(&wrong, birth.latest_ms),
            teller,
            hangs: birth.faults.contains(&Fault::Hangs),
            killed: healing::Wounds::default(),
            hanging: healing::Wounds::default(),
        });
        let builder = engine(&place.data, birth).readings(wrong.clone());
        let remote = tools::NAMES.iter().filter(|name| **name != tools::PROGRAM);
        let builder = remote.fold(builder, |builder, name| builder.tool(*name, Remote::new(name, &outside)));
        let program = Program::new(&place.data, place.programs.exe.clone(), &outside);
        let engine = builder.tool(tools::PROGRAM, program).start().await?;
        let plans = workload::SHAPES.iter().map(|shape| engine.check(shape.plan(&place.programs)));
        let plans = plans.collect::<Result<_, _>>()?;
        Ok(Self { engine, plans, outside, wrong, seed })
    }

    /// What was kept of what happened inside.
    pub(crate) fn said(&self) -> Vec<Said> {
        match &self.outside.teller {
            Teller::Says => Vec::new(),
            Teller::Keeps(kept) => kept.lock().expect("nobody panics while keeping what is said").clone(),
        }
    }

    /// Submit a number, now or again.
    pub(crate) async fn submit(&self, number: u64) -> Result<RunHandle, headframe::Error> {
        let plan = &self.plans[workload::shape(self.seed, number)];
        self.engine.submit(plan, workload::submission(number)).await
    }
}

fn engine(data: &Path, birth: &Birth) -> headframe::engine::EngineBuilder {
    let builder = Engine::builder().data(data).long_turn(LongTurn::Abort);
    let builder = builder.scrub_every(SCRUB_EVERY).keys_kept(KEYS_KEPT);
    if !birth.small_files {
        return builder;
    }
    let options = LocalOptions {
        segment_bytes: SEGMENT,
        base_bytes: BASE,
        base_every: Duration::from_millis(20),
        ..LocalOptions::default()
    };
    builder.store_options(options).checkpoint(CHECKPOINT.0, CHECKPOINT.1)
}

/// Work until killed. What the engine warns of is kept beside the folder: `--keep` shows it.
pub(crate) fn main(role: VictimRole) -> anyhow::Result<ExitCode> {
    let log = tracing_subscriber::fmt().with_max_level(LOGS).with_ansi(false).with_writer(std::io::stderr);
    // Nobody else in this process has one.
    let _ = log.try_init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(live(role))
}

async fn live(role: VictimRole) -> anyhow::Result<ExitCode> {
    let place = Place { data: role.data, programs: Programs::of(role.parent, role.socket) };
    let (seed, birth) = (role.seed, role.birth);
    let works = Arc::new(Works::open(&place, seed, &birth, Teller::Says).await?);
    say(&Said::Up);
    let mut tasks = JoinSet::new();
    tasks.spawn(watch(works.clone()));
    let random = |purpose| Dice::of(seed, purpose | u64::from(birth.life) << 16);
    tasks.spawn(operate(works.clone(), place.programs.socket.clone(), random(3)));
    if birth.faults.contains(&Fault::Actors) {
        tasks.spawn(sabotage(works.clone(), random(4)));
    }
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        match serde_json::from_str(&order)? {
            Order::Submit(number) => _ = tasks.spawn(follow(works.clone(), number, birth.patient)),
            Order::SetClock(ahead_ms) => works.wrong.set(ahead_ms),
        }
        while tasks.try_join_next().is_some() {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn follow(works: Arc<Works>, number: u64, is_patient: bool) {
    let run = loop {
        let error = match works.submit(number).await {
            Ok(run) => break run,
            Err(error) => error,
        };
        if !is_patient || !is_for_now(&error) {
            return say(&Said::Refused { number, why: error.to_string() });
        }
        say(&Said::Waits { number, why: error.to_string() });
        tokio::time::sleep(AGAIN).await;
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

/// Whether it is only to be repeated later: there is no room, or the store closed and is opened again.
fn is_for_now(error: &headframe::Error) -> bool {
    use durable::Error::{Busy, OutcomeUnknown};
    matches!(error, headframe::Error::System(Busy { .. } | OutcomeUnknown { .. }))
}

async fn watch(works: Arc<Works>) {
    loop {
        let system = works.engine.system();
        let cause = system.failed().await;
        say(&Said::Closed { cause: cause.to_string() });
        // The engine opens it again, as another system.
        while works.engine.system().is_same(&system) {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

async fn operate(works: Arc<Works>, socket: PathBuf, mut random: Dice) {
    loop {
        tokio::time::sleep(random.between(Duration::from_millis(5), Duration::from_millis(120))).await;
        // A failure is that of a store that closed, and is told by `watch`.
        let _ = decide_doubts(&works.engine, &socket, &mut random).await;
    }
}

async fn sabotage(works: Arc<Works>, mut random: Dice) {
    let mut saboteur = Saboteur::default();
    loop {
        tokio::time::sleep(random.between(Duration::from_micros(200), Duration::from_millis(8))).await;
        let system = works.engine.system();
        if let Some(struck) = saboteur.strike(&system, &works.outside, &mut random).await {
            say(&struck);
        }
        for after in saboteur.healed(&system).await {
            say(&Said::healed(Fault::Actors, after));
        }
    }
}

fn say(said: &Said) {
    let Ok(mut line) = serde_json::to_string(said) else { return };
    line.push('\n');
    // A parent that does not listen any more is about to kill us.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}
