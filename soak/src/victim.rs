//! The process that dies: an engine on a folder, told by its parent over stdin what to do.
//!
//! **Invariants:** an acknowledgement is said after the engine gave it. Between its lives it keeps nothing but the folder.

mod stalls;
mod tools;

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use headframe::{Engine, RunHandle, clock::monotonic, durable::LongTurn, plan::Checked, run::Outcome};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    task::JoinSet,
};

use crate::{
    args::VictimRole,
    wire::{Ended, Looked, Order, Said},
    workload::{self, Kind},
};

/// Runs that have just ended may leave something behind for so long.
const GRACE: Duration = Duration::from_secs(30);
/// How often it is asked what the unsticker did.
const ASK: Duration = Duration::from_millis(250);

/// An engine and its plans.
struct Works {
    engine: Engine,
    plans: BTreeMap<Kind, Arc<Checked>>,
    /// The next call of the tool that may fall silent does.
    is_to_fall_silent: Arc<AtomicBool>,
    /// Acts of the unsticker that were told.
    told: Mutex<BTreeMap<&'static str, u64>>,
    /// Nothing is wrong any more with a store that closes.
    is_ending: AtomicBool,
}

impl Works {
    async fn open(data: &Path) -> anyhow::Result<Arc<Self>> {
        let is_to_fall_silent = Arc::new(AtomicBool::new(false));
        let builder = Engine::builder().data(data).long_turn(LongTurn::Abort);
        let engine = tools::all(builder, &is_to_fall_silent).start().await?;
        let plans = Kind::ALL.iter().map(|kind| Ok((*kind, engine.check(kind.plan())?)));
        let plans = plans.collect::<anyhow::Result<_>>()?;
        Ok(Arc::new(Self {
            engine,
            plans,
            is_to_fall_silent,
            told: Mutex::default(),
            is_ending: AtomicBool::new(false),
        }))
    }

    async fn submit(&self, number: u64, kind: Kind) -> Result<RunHandle, headframe::Error> {
        let run = self.engine.submit(&self.plans[&kind], workload::submission(number)).await?;
        say(&Said::Acknowledged { number, run: run.id().to_string() });
        Ok(run)
    }

    /// From the submission to the end.
    async fn follow(self: Arc<Self>, number: u64, kind: Kind) {
        let followed = async {
            let run = self.submit(number, kind).await?;
            if let Some(after) = kind.cancelled_after() {
                tokio::time::sleep(after).await;
                run.cancel("its client changed its mind").await?;
            }
            self.end(number, run).await
        };
        self.or_fail(followed.await);
    }

    async fn end(&self, number: u64, run: RunHandle) -> anyhow::Result<()> {
        let end = match run.outcome().await? {
            Outcome::Succeeded(_) => Ended::Succeeded,
            Outcome::Cancelled { .. } => Ended::Cancelled,
            Outcome::Failed { task, failure } => {
                Ended::Failed(format!("{task}: {}: {}", failure.class, failure.message))
            }
        };
        say(&Said::Ended { number, end });
        Ok(())
    }

    fn or_fail(&self, done: anyhow::Result<()>) {
        if let Err(error) = done
            && !self.is_ending.load(Ordering::SeqCst)
        {
            say(&Said::Failed { why: format!("{error:#}") });
        }
    }

    fn look(&self) -> Looked {
        let (system, time) = (self.engine.system(), rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime));
        let figures = system.figures();
        let cpu_us = time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000;
        let unstuck = system.unstuck().into_iter().map(|(reason, times)| (reason.to_owned(), times)).collect();
        Looked {
            actors: figures.actors as u64,
            hosted: figures.hosted as u64,
            calls: figures.calls as u64,
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks() as u64,
            cpu_us,
            unstuck,
        }
    }

    /// Tell of each act of the unsticker.
    async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(ASK).await;
            self.tell_acts();
        }
    }

    fn tell_acts(&self) {
        let mut told = self.told.lock().expect("nobody panics while telling");
        let now = self.engine.system().unstuck();
        for (reason, times) in &now {
            let before = told.get(reason).copied().unwrap_or(0);
            if *times > before {
                say(&Said::Acted { reason: (*reason).to_owned(), times: times - before });
            }
        }
        *told = now;
    }

    /// What is there when every run has ended.
    async fn rest(&self) -> anyhow::Result<Said> {
        let began = monotonic();
        loop {
            let left = self.engine.system().census().await?.actors + self.engine.system().figures().calls;
            if left == 0 || began.elapsed() > GRACE {
                let letters = self.engine.dead_letters().await?.into_iter().map(|(_, letter)| letter.reason);
                // What comes for an actor that has finished is late, and that is all right.
                let letters = letters.filter(|reason| !reason.starts_with("late")).take(5).collect();
                return Ok(Said::Rested { left, letters });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Work until killed, or until all has ended.
pub(crate) fn main(role: &VictimRole) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(live(role));
    runtime.shutdown_timeout(Duration::from_secs(2));
    done
}

async fn live(role: &VictimRole) -> anyhow::Result<ExitCode> {
    let works = Works::open(&role.data).await?;
    say(&Said::Up);
    let mut tasks = JoinSet::new();
    tasks.spawn(works.clone().watch());
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        match serde_json::from_str(&order)? {
            Order::Submit { number, kind } => _ = tasks.spawn(works.clone().follow(number, kind)),
            Order::Stall { number, kind } => _ = tasks.spawn(works.clone().stall(number, kind)),
            Order::Look => say(&Said::Looked(works.look())),
            Order::Rest => {
                let rested = works.rest().await?;
                works.tell_acts();
                works.is_ending.store(true, Ordering::SeqCst);
                works.engine.stop().await;
                say(&rested);
                break;
            }
        }
        while tasks.try_join_next().is_some() {}
    }
    Ok(ExitCode::SUCCESS)
}

fn say(said: &Said) {
    let Ok(mut line) = serde_json::to_string(said) else { return };
    line.push('\n');
    // A parent that does not listen any more is about to kill us.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}
