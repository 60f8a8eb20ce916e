//! `headframe store`: check the store, and measure it.
//!
//! **Invariant:** nothing here writes or takes a lock, so that it can be run beside a process that works. `verify` reads
//! three times, each in its own way: the records alone, the chains, and the fold that a start would do.

use std::path::Path;

use headframe::durable::{Verified, store::Local};
use serde::Serialize;
use serde_json::json;

use super::{
    Common,
    exit::{Error, Exit},
    folder,
    look::{self, Look},
    out::{Format, Out, Style},
    shown,
    table::{plain, print},
};

/// Check the store, and measure it
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Read every record, compute every checksum and chain again
    Verify,
    /// How much is in it
    Stats,
}

pub(crate) fn run(command: Command, common: &Common, out: Out) -> Result<Exit, Error> {
    folder::must_exist(&common.data)?;
    match command {
        Command::Verify => verify(common, out),
        Command::Stats => stats(common, out),
    }
}

/// What a check found.
#[derive(Debug, Default, Serialize)]
struct Found {
    clean: bool,
    records: u64,
    bytes: u64,
    segments: u64,
    streams: u64,
    events: u64,
    actors: usize,
    calls: usize,
    index_rows: usize,
    problems: Vec<String>,
}

fn verify(common: &Common, out: Out) -> Result<Exit, Error> {
    let found = check(common)?;
    match out.format {
        Format::Table => tell(&found, out)?,
        Format::Json | Format::Jsonl => out.json(&found)?,
    }
    Ok(if found.clean { Exit::Ok } else { Exit::Failed })
}

/// Look at all of it, whatever is wrong with some of it: what is wrong with one part may explain another.
fn check(common: &Common) -> Result<Found, Error> {
    let checked = Local::check(&common.data)?;
    let mut problems = checked.problems;
    let mut blame = |told: String| problems.extend((!problems.contains(&told)).then_some(told));
    let chains = look::ledger(&common.data).and_then(|ledger| Ok(ledger.verify()?)).unwrap_or_else(|error| {
        blame(error.to_string());
        Verified::default()
    });
    chains.problems.into_iter().for_each(&mut blame);
    let look = Look::at(&common.data).map_err(|error| blame(error.to_string())).ok();
    let live = look.as_ref().map(Look::live);
    Ok(Found {
        records: checked.records,
        bytes: checked.bytes,
        segments: checked.files,
        streams: chains.streams,
        events: chains.events,
        actors: live.map_or(0, |live| live.actors.len()),
        calls: live.map_or(0, |live| live.calls.len()),
        index_rows: live.map_or(0, |live| live.index.len()),
        clean: problems.is_empty(),
        problems,
    })
}

fn tell(found: &Found, out: Out) -> std::io::Result<()> {
    let (records, bytes) = (shown::count(found.records, "record"), shown::size(found.bytes));
    out.line(format_args!("journal  {records}, {bytes} in {}", shown::count(found.segments, "segment")))?;
    let (streams, events) = (shown::count(found.streams, "stream"), shown::count(found.events, "event"));
    out.line(format_args!("ledger   {streams}, {events}"))?;
    let [actors, calls, rows] = [(found.actors, "actor"), (found.calls, "call"), (found.index_rows, "index row")]
        .map(|(number, noun)| shown::count(number as u64, noun));
    out.line(format_args!("live     {actors}, {calls}, {rows}"))?;
    found.problems.iter().try_for_each(|problem| out.line(format_args!("problem: {problem}")))?;
    if found.clean {
        let clean = "clean: every record reads well, every chain arrives at its head, and what is live folds";
        out.line(Style::Good.paint(out.color, clean))?;
    }
    Ok(())
}

fn stats(common: &Common, out: Out) -> Result<Exit, Error> {
    let look = Look::at(&common.data)?;
    let live = look.live();
    let (runs, doubts) = (&look.runs, look.doubts().count());
    let unfinished = runs.iter().filter(|row| !row.has_ended()).count();
    let (artifacts, artifact_bytes) = artifacts(&common.data.join("artifacts"))?;
    let checked = Local::check(&common.data)?;
    let figures = json!({
        "records": checked.records, "bytes": checked.bytes, "segments": checked.files, "actors": live.actors.len(),
        "calls": live.calls.len(), "in_doubt": doubts, "index_rows": live.index.len(), "runs": runs.len(), "unfinished": unfinished,
        "artifacts": artifacts, "artifact_bytes": artifact_bytes,
    });
    match (out.format, figures.as_object()) {
        (Format::Table, Some(figures)) => {
            let mut table = plain(["FIGURE", "VALUE"]);
            for (name, value) in figures {
                let size = value.as_u64().filter(|_| name.ends_with("bytes")).map(shown::size);
                table.add_row([name.replace('_', " "), size.unwrap_or_else(|| value.to_string())]);
            }
            print(out, &mut table)?;
        }
        _ => out.json(&figures)?,
    }
    Ok(Exit::Ok)
}

/// How many there are, and their bytes. Opening them as an engine does would tidy up among them.
fn artifacts(folder: &Path) -> std::io::Result<(u64, u64)> {
    let mut sum = (0, 0);
    // A store of which no run has put anything aside has no such folder.
    let Ok(groups) = std::fs::read_dir(folder) else { return Ok(sum) };
    for group in groups {
        let group = group?;
        // The others hold what is being written.
        if group.file_name().len() == 2 && group.file_type()?.is_dir() {
            for file in std::fs::read_dir(group.path())? {
                sum = (sum.0 + 1, sum.1 + file?.metadata()?.len());
            }
        }
    }
    Ok(sum)
}
