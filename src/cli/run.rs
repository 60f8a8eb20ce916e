//! `headframe run FILE`: start a workflow, or continue one, and watch it.
//!
//! **Invariant:** a wrong spec or input is told before anything is created. Leaving early loses nothing: the run goes on
//! with `--resume`.

pub(crate) mod served;

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use headframe::{
    Engine, Submission,
    plan::Checked,
    run::{Row, RunId},
};

use super::{
    Common,
    exit::{Error, Exit},
    folder, inputs,
    look::Look,
    out::Out,
    remote, shown,
    summary::{self, Report},
    tools,
    view::view,
    watch::{Ending, Signals, Watched, watch},
};

/// Start a workflow and watch it to its end.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headframe run examples/repo-audit.yaml
  headframe run examples/repo-audit.yaml -i path=/usr/share/doc
  headframe run examples/repo-audit.yaml --resume          # after Ctrl-C, kill -9 or a power cut
  headframe run examples/repo-audit.yaml -o json | jq .status")]
pub(crate) struct Args {
    /// The workflow, a YAML file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A value for one input; JSON where the input is no text
    #[arg(short = 'i', value_name = "KEY=VALUE")]
    single: Vec<OsString>,
    /// Values for all inputs: a JSON map, or @FILE with one (@- reads stdin)
    #[arg(long, value_name = "@FILE|JSON")]
    input: Option<OsString>,
    /// An idempotency key: a second run with it is the first one
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A label to know the run by
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<OsString>,
    /// Continue the newest unfinished run of this very workflow, or start one
    #[arg(long)]
    resume: bool,
    /// Watch no longer than this (30s, 5m); the run stays unfinished then
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
}

pub(crate) async fn run(args: Args, common: &Common, out: Out) -> Result<Exit, Error> {
    let plan = tools::load(&args.file)?;
    let submission = submission(&args, &plan)?;
    if !args.resume {
        must_fit(&plan, &submission)?;
    }
    if let Some(client) = remote::server(&common.data).await {
        return served::run(&args, &plan, submission, &client, (common, out)).await;
    }
    let (mut signals, since_ms) = (Signals::new()?, super::now_ms());
    let known = known(&args, common, out, &plan).await?;
    let resumed = if args.resume { known } else { None };
    if resumed.is_none() {
        // Whoever continues a run need not repeat what it was given.
        must_fit(&plan, &submission)?;
    }
    let others = Arc::new(AtomicU64::new(0));
    let count = others.clone();
    let hold = move |row: &Row| {
        let is_other = Some(row.run) != known;
        count.fetch_add(is_other.into(), Ordering::Relaxed);
        is_other
    };
    let engine = folder::start(folder::builder(&common.data).hold(hold), out).await?;
    let handle = match resumed {
        Some(run) => engine.run(run).await?,
        None => engine.submit(&plan, submission).await?,
    };
    tell_start(out, handle.id(), resumed, others.load(Ordering::Relaxed), &common.flags());
    let mut runs = [Watched::new(handle, Some(&plan), String::new(), since_ms)];
    let mut view = view(out);
    let ending = watch(&engine, &mut runs, &mut *view, out, (&mut signals, args.timeout)).await;
    view.close();
    finish(&args, common, out, &engine, &runs[0], ending?, &mut signals).await
}

fn submission(args: &Args, plan: &Checked) -> Result<Submission, Error> {
    let input = inputs::read(plan, args.input.as_deref(), &args.single)?;
    Ok(Submission { input, key: args.key.clone(), labels: inputs::labels(&args.label)? })
}

fn must_fit(plan: &Checked, submission: &Submission) -> Result<(), Error> {
    plan.take_input(&(&submission.input).into()).map(drop).map_err(|problems| headframe::Error::Input(problems).into())
}

/// The run that this is about, if it is there already: the newest unfinished one of the plan, or the one with the key.
/// Which one it is must be known before the engine starts that lets it go on.
async fn known(args: &Args, common: &Common, out: Out, plan: &Checked) -> Result<Option<RunId>, Error> {
    let is_ours = |row: &&Row| !row.has_ended() && row.plan == plan.digest();
    if !(args.resume || args.key.is_some()) || folder::must_exist(&common.data).is_err() {
        return Ok(None);
    }
    if args.resume {
        let look = Look::at(&common.data)?;
        if let Some(restored) = look.restored() {
            return Err(Error::Restored { from: restored.from, to: restored.to });
        }
        return Ok(look.runs.iter().find(is_ours).map(|row| row.run));
    }
    let engine = folder::start_held(&common.data, out).await?;
    let keyed = match &args.key {
        Some(key) => engine.run_by_key(key).await.ok(),
        None => None,
    };
    let row = match keyed {
        Some(run) => Some(run.row().await?),
        None => None,
    };
    engine.stop().await;
    Ok(row.as_ref().filter(is_ours).map(|row| row.run))
}

fn tell_start(out: Out, run: RunId, resumed: Option<RunId>, others: u64, flags: &str) {
    let verb = if resumed.is_some() { "continues" } else { "started" };
    out.note(format_args!("{run} {verb}"));
    if others > 0 {
        let held = if others == 1 { "run is" } else { "runs are" };
        out.note(format_args!("{others} other unfinished {held} held; `headframe runs resume{flags}` continues them"));
    }
}

async fn finish(
    args: &Args,
    common: &Common,
    out: Out,
    engine: &Engine,
    watched: &Watched,
    ending: Ending,
    signals: &mut Signals,
) -> Result<Exit, Error> {
    let row = watched.handle.row().await?;
    let (open, doubts) = match &ending {
        Ending::Held(doubts) => ("held", doubts.as_slice()),
        _ => ("running", [].as_slice()),
    };
    let report = Report::new(&row, open, doubts);
    let again = format!("headframe run {} --resume{}", shown::cut(&args.file.to_string_lossy(), 500), common.flags());
    let exit = match ending {
        Ending::Ended => report.exit(),
        Ending::Held(_) => Exit::Conflict,
        Ending::Interrupted => return Ok(interrupted(engine, out, signals, &again).await),
        Ending::TimedOut => {
            out.note(format_args!("the time is over; finish it with: {again}"));
            Exit::TimedOut
        }
    };
    engine.stop().await;
    summary::tell(out, Some(engine), &watched.progress, &report);
    if exit == Exit::Conflict {
        summary::tell_doubts(out, doubts, &common.flags());
    }
    report.print(out)?;
    Ok(exit)
}

/// Stop in order, or at once when asked again.
pub(crate) async fn interrupted(engine: &Engine, out: Out, signals: &mut Signals, again: &str) -> Exit {
    out.note("stopping; once more ends it at once");
    tokio::select! {
        () = engine.stop() => {}
        () = signals.next() => {}
    }
    out.note(format_args!("interrupted; finish it with: {again}"));
    Exit::Interrupted
}
