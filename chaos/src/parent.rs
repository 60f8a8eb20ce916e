//! The parent: client, killer and judge's clerk.
//!
//! **Invariants:** whatever happens, children are dead and waited for before the folder goes, and the folder goes unless
//! it is to be kept. Children are spawned from the main thread only: their death signal is bound to the thread.

mod chronicle;
mod client;
mod disk;
mod killing;
mod programs;
mod progress;
mod stage;

use std::{io::Write as _, process::ExitCode, time::Duration};

use anyhow::Context as _;
use headframe::clock::monotonic;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use self::{
    chronicle::{Chronicle, Figures, Kind, Mark},
    client::Client,
    killing::Tally,
    programs::Attempt,
};
use self::{killing::Killing, progress::Progress, stage::Stage};
use crate::{
    args::{Args, Format, Until},
    fault::{Fault, Faults},
    finish, look, namespace,
    oracle::{self, Invariant::I1, Violation},
    random,
    report::{self, Page, Report},
    schedule,
};

/// Most looks into folders of dead victims: each reads all that ever happened.
const LOOKS: f64 = 24.0;
/// Whatever still runs when the folder is to go has so long.
const GRACE: Duration = Duration::from_secs(2);

/// Kill, recover, judge, and say so.
pub(crate) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(random::fresh_seed);
    let no_disk = if args.faults().has(Fault::FullDisk) { namespace::enter().err() } else { None };
    match args.output {
        Format::Table => say(&format!("seed {seed}")),
        Format::Json => eprintln!("seed {seed}"),
    }
    let prepared = Page::prepare(args.html.as_deref()).and_then(|page| Ok((page, Stage::new(args)?)));
    let (page, mut stage) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("error: {error:#}");
            return Ok(ExitCode::from(2));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let played = runtime.block_on(async {
        let played = tokio::select! {
            biased;
            interrupted = interrupted() => interrupted.map(Played::Interrupted),
            played = play(args, seed, no_disk, &mut stage) => played.map(Box::new).map(Played::Out),
        };
        stage.clear().await;
        played
    });
    runtime.shutdown_timeout(GRACE);
    stage.leave(args.keep);
    match played {
        Ok(Played::Out(played)) => {
            let (report, tally) = *played;
            page.write(&report, &tally)?;
            report::note(&report);
            Ok(tell(args, &report))
        }
        Ok(Played::Interrupted(signal)) => {
            eprintln!(
                "interrupted: no verdict, and nothing is left behind; again: {}",
                report::replay(args, seed, None)
            );
            Ok(ExitCode::from(signal))
        }
        Err(error) => {
            let again = report::replay(args, seed, None);
            Err(error.context(format!("it did not come to a verdict; seed {seed}; replay: {again}")))
        }
    }
}

/// How it ended.
enum Played {
    Out(Box<(Report, Tally)>),
    /// With the exit code that a shell shows for the signal.
    Interrupted(u8),
}

async fn interrupted() -> anyhow::Result<u8> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let [mut interrupt, mut terminate, mut hangup] =
        [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?];
    tokio::select! {
        _ = interrupt.recv() => Ok(130),
        _ = terminate.recv() => Ok(143),
        _ = hangup.recv() => Ok(129),
    }
}

async fn play(args: &Args, seed: u64, no_disk: Option<String>, stage: &mut Stage) -> anyhow::Result<(Report, Tally)> {
    stage.start_recorder(args.mutant).await?;
    let faults = if no_disk.is_some() { args.faults().without(Fault::FullDisk) } else { args.faults() };
    let mut killing = Killing::new(Client::new(seed, args.runs_in_flight), faults.clone());
    if let Some(why) = no_disk {
        killing.tally.chronicle.skipped(Fault::FullDisk, &why);
    }
    let progress = Progress::new(args.until());
    let kills = kill(args, seed, &faults, stage, &mut killing, &progress).await?;
    progress.finishing();
    let place = stage.place();
    let birth = killing.last_birth(kills + 1);
    let (client, mut tally, findings) = killing.done();
    let mut facts = finish::finish(&place, &birth, client, findings, &mut tally).await?;
    for panic in stage.panics() {
        facts.findings.found(Violation::wrong(I1, format!("a victim panicked: {panic}")));
    }
    let mut findings = oracle::judge(&facts);
    report::add_faults(args, &tally.chronicle, kills, &mut findings);
    let shown = findings.violations.len().min(report::SHOWN);
    look::add_evidence(&place.data, &facts.told, &mut findings.violations[..shown])?;
    Ok((Report::new(args, kills, &facts, &tally, findings), tally))
}

/// One life after the other; returns how many.
async fn kill(
    args: &Args,
    seed: u64,
    faults: &Faults,
    stage: &mut Stage,
    killing: &mut Killing,
    progress: &Progress,
) -> anyhow::Result<u32> {
    let (until, began, mut looks, mut kills) = (args.until(), monotonic(), 0.0, 0);
    for (number, life) in (1..).zip(schedule::draw(seed, until, faults, args.chooses())) {
        let ends = life.death;
        killing
            .life(stage, number, &life)
            .await
            .with_context(|| format!("in life {number}, which was to end {ends:?}"))?;
        kills = number;
        stage.has_room()?;
        let done = match until {
            Until::Kills(kills) => f64::from(number) / f64::from(kills),
            Until::Over(length) => began.elapsed().as_secs_f64() / length.as_secs_f64(),
        };
        if (done * LOOKS).floor() > looks {
            looks = (done * LOOKS).floor();
            killing.look(stage).await.with_context(|| format!("after life {number}, which ended {ends:?}"))?;
        }
        progress.killed(number, began.elapsed(), &killing.client);
        // Whole fives: so the same number of kills replays the same schedule.
        if matches!(until, Until::Over(_)) && done >= 1.0 && number % 5 == 0 {
            break;
        }
    }
    Ok(kills)
}

fn tell(args: &Args, report: &Report) -> ExitCode {
    match args.output {
        Format::Table => say(&report.to_string()),
        Format::Json => say(&serde_json::to_string_pretty(report).unwrap_or_default()),
    }
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whoever reads only the beginning still gets the verdict, as the exit code.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
