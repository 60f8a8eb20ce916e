//! The parent: client, killer and judge's clerk.
//!
//! **Invariants:** whatever happens, children are dead and waited for before the folder goes, and the folder goes unless
//! it is to be kept. Children are spawned from the main thread only: their death signal is bound to the thread.

mod client;
mod killing;
mod stage;

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use self::{client::Client, killing::Tally};
use self::{killing::Killing, stage::Stage};
use crate::{
    args::Args,
    finish::{self, Place},
    oracle::{self, Violation},
    random,
    report::{self, Report},
    schedule,
};

/// What a shell shows for a program that an interrupt ended.
const INTERRUPTED: u8 = 130;

/// Kill, recover, judge, and say so.
pub(crate) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(random::fresh_seed);
    if args.json {
        eprintln!("seed {seed}");
    } else {
        say(&format!("seed {seed}"));
    }
    let mut stage = match Stage::new(args) {
        Ok(stage) => stage,
        Err(error) => {
            eprintln!("error: {error:#}");
            return Ok(ExitCode::from(2));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let played = runtime.block_on(async {
        let played = tokio::select! {
            biased;
            interrupted = interrupted() => interrupted.map(|()| None),
            played = play(args, seed, &mut stage) => played.map(Some),
        };
        stage.clear().await;
        played
    });
    runtime.shutdown_background();
    stage.leave(args.keep);
    match played {
        Ok(Some(report)) => Ok(tell(args, &report)),
        Ok(None) => Ok(ExitCode::from(INTERRUPTED)),
        Err(error) => {
            Err(error.context(format!("it did not come to a verdict; replay: {}", report::replay(args, seed))))
        }
    }
}

async fn interrupted() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn play(args: &Args, seed: u64, stage: &mut Stage) -> anyhow::Result<Report> {
    stage.start_recorder().await?;
    let mut killing = Killing::new(Client::new(seed, args.runs_in_flight));
    for (life, death) in (1..).zip(schedule::draw(seed, args.kills)) {
        stage.start_victim(seed, life, args.actors)?;
        killing.life(stage, death).await.with_context(|| format!("in life {life}, which was to end {death:?}"))?;
        progress(life, args.kills);
    }
    let (client, tally) = killing.done();
    let place = Place { data: stage.data().to_owned(), socket: stage.socket().to_owned() };
    let mut facts = finish::finish(&place, args.kills, client).await?;
    let panicked = |panic| Violation::wrong("I1", format!("a victim panicked: {panic}"));
    facts.complaints.extend(stage.panics().into_iter().map(panicked));
    Ok(Report::new(args, &facts, &tally, oracle::judge(&facts)))
}

/// For whoever watches a terminal.
fn progress(life: u32, kills: u32) {
    if std::io::stderr().is_terminal() {
        let end = if life == kills { "\r\x1b[K" } else { "" };
        eprint!("\rkill {life} of {kills}{end}");
    }
}

fn tell(args: &Args, report: &Report) -> ExitCode {
    if args.json {
        say(&serde_json::to_string_pretty(report).unwrap_or_default());
    } else {
        say(&report.to_string());
    }
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whoever reads only the beginning still gets the verdict, as the exit code.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
