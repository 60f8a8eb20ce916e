//! `headframe runs`: list them, look at one, continue what is unfinished.
//!
//! **Invariant:** `list` and `show` only look: they work beside a running process. `cancel` and `watch` go through the server
//! that works on the folder. `resume` and `end` need the folder for themselves.

mod served;

use comfy_table::Table;
use headframe::{
    Engine,
    durable::StreamId,
    engine::Cancel,
    run::{Outcome, Row, RunId},
};
use serde_json::{Value, json};

use super::{
    Common,
    exit::{Error, Exit},
    folder,
    look::Look,
    out::{Format, Out, Style},
    progress::{Phase, Progress, Standing},
    remote,
    run::interrupted,
    shown,
    summary::{self, Report},
    table::{plain, print},
    view::{view, waits},
    watch::{Ending, Signals, Watched, watch},
    words,
};

/// Look at runs, and continue them
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// All runs, newest first
    List,
    /// One run: how far it is and what it waits for
    Show {
        /// An id, the beginning of one, or `last`
        run: String,
    },
    /// Watch a run that a server carries out
    Watch {
        /// An id, the beginning of one, or `last`
        run: String,
    },
    /// Ask a run to end as soon as what runs has an outcome
    Cancel {
        /// An id, the beginning of one, or `last`
        run: String,
        /// Why; it is in the ledger
        #[arg(long, value_name = "TEXT", default_value = "cancelled on the command line")]
        reason: String,
    },
    /// End a run that is held, as failed
    End {
        /// An id, the beginning of one, or `last`
        run: String,
        /// Why; it is in the ledger
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who decides
        #[arg(long, env = "USER", default_value = "unknown", value_name = "NAME", hide_env = true)]
        by: String,
    },
    /// Continue one unfinished run, or all, and watch
    Resume {
        /// An id, the beginning of one, or `last`; all unfinished runs if not given
        run: Option<String>,
    },
}

pub(crate) async fn run(command: Command, common: &Common, out: Out) -> Result<Exit, Error> {
    match command {
        Command::List => match remote::server(&common.data).await {
            Some(client) => served::list(&client, out).await,
            None => list(common, out),
        },
        Command::Watch { run } => match remote::server(&common.data).await {
            Some(client) => served::watch(&client, &run, (common, out)).await,
            None => Err(Error::NotFound(format!(
                "no server works on {}; `headframe runs resume{}` continues a run and watches it",
                common.data.display(),
                common.flags()
            ))),
        },
        Command::Cancel { run, reason } => match remote::server(&common.data).await {
            Some(client) => served::cancel(&client, &run, &reason, out).await,
            None => cancel(common, out, &run, &reason).await,
        },
        Command::Show { run } => show(common, out, &run),
        Command::End { run, reason, by } => end(common, out, &run, &reason, &by).await,
        Command::Resume { run } => resume(common, out, run.as_deref()).await,
    }
}

fn list(common: &Common, out: Out) -> Result<Exit, Error> {
    let look = Look::at(&common.data)?;
    let listed: Vec<_> = look.runs.iter().map(|row| (row, status(&look, row))).collect();
    match out.format {
        Format::Table if listed.is_empty() => out.note("there are no runs yet"),
        Format::Table => print(out, &mut table(&look.runs, &listed, out))?,
        Format::Json | Format::Jsonl => {
            out.rows(&listed.iter().map(|(row, status)| as_json(row, status)).collect::<Vec<_>>())?;
        }
    }
    Ok(Exit::Ok)
}

/// One word: an unfinished run is held if a call of it waits for a decision, or it waits for an operator.
fn status(look: &Look, row: &Row) -> &'static str {
    match &row.outcome {
        Some(outcome) => words::status(outcome),
        None if look.is_held(row) => "held",
        None => "running",
    }
}

fn table(rows: &[Row], listed: &[(&Row, &'static str)], out: Out) -> Table {
    let mut table = plain(["RUN", "WORKFLOW", "STATUS", "SUBMITTED", "TOOK", "LABELS"]);
    for (row, status) in listed {
        let labels: Vec<_> = row.labels.iter().map(|(key, value)| shown::cut(&format!("{key}={value}"), 60)).collect();
        table.add_row([
            folder::short(rows, row.run),
            row.workflow.clone(),
            painted(status).paint(out.color, status),
            shown::time(row.submitted_at),
            row.ended_at.map_or_else(|| "-".to_owned(), |at| shown::length(at.saturating_sub(row.submitted_at))),
            labels.join(" "),
        ]);
    }
    table
}

fn painted(status: &str) -> Style {
    match status {
        "succeeded" | "done" => Style::Good,
        "failed" => Style::Bad,
        "running" => Style::Bold,
        "skipped" | "waiting" => Style::Dim,
        _ => Style::Warn,
    }
}

fn as_json(row: &Row, status: &str) -> Value {
    json!({
        "run": row.run.to_string(),
        "workflow": row.workflow,
        "status": status,
        "plan": row.plan.to_string(),
        "submitted_at_ms": row.submitted_at,
        "ended_at_ms": row.ended_at,
        "labels": row.labels.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

fn show(common: &Common, out: Out, wanted: &str) -> Result<Exit, Error> {
    let look = Look::at(&common.data)?;
    let row = look.find(wanted)?;
    let (status, progress) = (status(&look, row), folded(&look, row)?);
    match out.format {
        Format::Table => show_text(out, row, status, &progress)?,
        Format::Json | Format::Jsonl => out.json(&show_json(row, status, &progress))?,
    }
    Ok(Exit::Ok)
}

/// The fold of everything a run's stream holds.
fn folded(look: &Look, row: &Row) -> Result<Progress, Error> {
    let mut progress = Progress::new(look.plan(row).as_ref());
    look.ledger().stream(StreamId(row.actor.0), &mut |item| {
        progress.apply(&item);
        true
    })?;
    Ok(progress)
}

fn show_text(out: Out, row: &Row, status: &str, progress: &Progress) -> Result<(), Error> {
    let until = row.ended_at.unwrap_or_else(super::now_ms);
    let labels: Vec<_> = row.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut about = plain(["run", &row.run.to_string()]);
    about.add_row(["workflow", &row.workflow]);
    about.add_row(["plan", &row.plan.to_string()]);
    about.add_row(["status", &painted(status).paint(out.color, status)]);
    about.add_row(["submitted", &shown::time(row.submitted_at)]);
    about.add_row(["took", &shown::length(until.saturating_sub(row.submitted_at))]);
    about.add_row(["attempts", &format!("{}, {} of them repeated", progress.attempts, progress.retries)]);
    if progress.fallbacks > 0 {
        about.add_row(["fallbacks", &progress.fallbacks.to_string()]);
    }
    if !labels.is_empty() {
        about.add_row(["labels", &shown::cut(&labels.join(" "), 200)]);
    }
    if let Some(reason) = &row.held {
        about.add_row(["held for", &shown::cut(reason, 500)]);
    }
    if let (Some(reason), None) = (&row.cancelled, &row.outcome) {
        about.add_row(["asked to end", &shown::cut(reason, 500)]);
    }
    if let Some(outcome) = &row.outcome {
        about.add_row(["outcome", &words::outcome(outcome)]);
    }
    print(out, &mut about)?;
    out.line("")?;
    let mut phases = plain(["PHASE", "STATUS", "TASKS", "FAILED", "SKIPPED", "RETRIED", "TOOK"]);
    for phase in &progress.phases {
        let word = standing(phase.standing);
        phases.add_row([
            phase.name.clone(),
            painted(word).paint(out.color, word),
            format!("{}/{}{}", phase.ended(), phase.total(), if phase.is_open() { "+" } else { "" }),
            phase.failed.to_string(),
            phase.skipped.to_string(),
            phase.retries.to_string(),
            took(phase, until),
        ]);
    }
    print(out, &mut phases)?;
    for wait in waits(progress, &[], super::now_ms()) {
        out.line(format_args!("waits for: {}", wait.words()))?;
    }
    Ok(())
}

fn took(phase: &Phase, until: u64) -> String {
    if phase.started_at == 0 { "-".to_owned() } else { shown::length(phase.ran_ms(until)) }
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Waiting => "waiting",
        Standing::Running => "running",
        Standing::Done => "done",
        Standing::Skipped => "skipped",
        Standing::Failed => "failed",
        Standing::Stopped => "stopped",
    }
}

fn show_json(row: &Row, status: &'static str, progress: &Progress) -> Value {
    let phases = progress.phases.iter().map(|phase| {
        json!({
            "name": phase.name, "status": standing(phase.standing), "total": phase.total(), "open": phase.is_open(),
            "done": phase.done, "failed": phase.failed, "skipped": phase.skipped, "stopped": phase.stopped,
            "retries": phase.retries,
        })
    });
    let phases: Vec<_> = phases.collect();
    let waits: Vec<_> = waits(progress, &[], super::now_ms()).iter().map(super::view::Wait::words).collect();
    let mut shown = as_json(row, status);
    let report = serde_json::to_value(Report::new(row, status, &[])).unwrap_or_default();
    let (attempts, fallbacks) = (json!(progress.attempts), json!(progress.fallbacks));
    let more =
        [("phases", json!(phases)), ("waits_for", json!(waits)), ("attempts", attempts), ("fallbacks", fallbacks)];
    for (key, value) in more {
        shown[key] = value;
    }
    for key in ["output", "failure", "duration_ms"] {
        shown[key] = report[key].clone();
    }
    shown
}

/// Every other run is held meanwhile.
async fn end(common: &Common, out: Out, wanted: &str, reason: &str, by: &str) -> Result<Exit, Error> {
    let Some(run) = choose(common, out, wanted)? else { return Ok(Exit::Ok) };
    let engine = folder::start(folder::builder(&common.data).hold(move |row| row.run != run), out).await?;
    let ended = engine.end_run(run, reason, by).await;
    engine.stop().await;
    tell_end(out, run, &ended?)
}

/// Every other run is held meanwhile.
async fn cancel(common: &Common, out: Out, wanted: &str, reason: &str) -> Result<Exit, Error> {
    let Some(run) = choose(common, out, wanted)? else { return Ok(Exit::Ok) };
    let mut signals = Signals::new()?;
    let engine = folder::start(folder::builder(&common.data).hold(move |row| row.run != run), out).await?;
    let handle = engine.run(run).await?;
    let told = handle.cancel(reason).await;
    let again = format!("headframe runs resume{} {run}", common.flags());
    let ended = tokio::select! {
        ended = handle.outcome() => Some(ended),
        () = signals.next() => None,
    };
    let Some(ended) = ended else { return Ok(interrupted(&engine, out, &mut signals, &again).await) };
    engine.stop().await;
    if let Cancel::Known { reason } = told? {
        out.note(format_args!("{run} was asked to end before: {}", shown::cut(&reason, 300)));
    }
    tell_end(out, run, &ended?)
}

fn tell_end(out: Out, run: RunId, outcome: &Outcome) -> Result<Exit, Error> {
    match out.format {
        Format::Table => out.line(format_args!("{run} has ended: {}", words::outcome(outcome)))?,
        Format::Json | Format::Jsonl => out.json(&json!({"run": run.to_string(), "outcome": outcome}))?,
    }
    Ok(Exit::Ok)
}

async fn resume(common: &Common, out: Out, wanted: Option<&str>) -> Result<Exit, Error> {
    let (mut signals, since_ms) = (Signals::new()?, super::now_ms());
    let chosen = match wanted {
        Some(wanted) => match choose(common, out, wanted)? {
            Some(run) => Some(run),
            None => return Ok(Exit::Ok),
        },
        None => folder::must_exist(&common.data).map(|()| None)?,
    };
    let by = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    let builder = folder::builder(&common.data).hold(move |row| chosen.is_some_and(|run| run != row.run));
    // Whoever resumes after a loss of records has been told of it, and says so with this.
    let builder = builder.confirm_restored(by);
    let engine = folder::start(builder, out).await?;
    let rows = engine.runs().await?;
    let open: Vec<_> = rows.iter().filter(|row| !row.has_ended() && chosen.is_none_or(|run| run == row.run)).collect();
    let mut runs = Vec::with_capacity(open.len());
    for row in &open {
        let label = if open.len() == 1 { String::new() } else { folder::short(&rows, row.run) };
        let plan = folder::plan(&engine, row).await?;
        runs.push(Watched::new(engine.run(row.run).await?, plan.as_ref(), label, since_ms));
        out.note(format_args!("{} continues ({})", row.run, row.workflow));
    }
    if runs.is_empty() {
        out.note("no run is unfinished");
    }
    let mut view = view(out);
    let ending = watch(&engine, &mut runs, &mut *view, out, (&mut signals, None)).await;
    view.close();
    finish(common, out, &engine, &runs, ending?, &mut signals).await
}

/// The run to continue, unless it has ended already.
fn choose(common: &Common, out: Out, wanted: &str) -> Result<Option<RunId>, Error> {
    let look = Look::at(&common.data)?;
    let row = look.find(wanted)?;
    if let Some(outcome) = &row.outcome {
        out.note(format_args!("{} has ended: {}", row.run, words::outcome(outcome)));
        return Ok(None);
    }
    Ok(Some(row.run))
}

async fn finish(
    common: &Common,
    out: Out,
    engine: &Engine,
    runs: &[Watched],
    ending: Ending,
    signals: &mut Signals,
) -> Result<Exit, Error> {
    let mut rows = Vec::with_capacity(runs.len());
    for run in runs {
        rows.push(run.handle.row().await?);
    }
    let doubts = match ending {
        Ending::Interrupted => {
            let again = format!("headframe runs resume{}", common.flags());
            return Ok(interrupted(engine, out, signals, &again).await);
        }
        Ending::Held(doubts) => doubts,
        Ending::Ended | Ending::TimedOut => Vec::new(),
    };
    engine.stop().await;
    let mut exit = Exit::Ok;
    for (row, run) in rows.iter().zip(runs) {
        let of_run: Vec<_> =
            doubts.iter().filter(|(_, call)| call.request.path.starts_with(&row.run.to_string())).cloned().collect();
        let report = Report::new(row, "held", &of_run);
        summary::tell(out, Some(engine), &run.progress, &report);
        report.print(out)?;
        exit = worse(exit, report.exit());
    }
    if !doubts.is_empty() {
        summary::tell_doubts(out, &doubts, &common.flags());
    }
    Ok(exit)
}

/// Of several runs, a decision that is due outweighs a failure, and a failure outweighs a success.
fn worse(one: Exit, other: Exit) -> Exit {
    if one as u8 > other as u8 { one } else { other }
}
