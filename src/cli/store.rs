//! `headframe store`: check the store, and measure it.
//!
//! **Invariant:** `verify` writes nothing and takes no lock, so that it can be run beside a process that works.

use headframe::durable::store::Local;
use serde_json::json;

use super::{
    Common,
    exit::{Error, Exit},
    folder,
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

pub(crate) async fn run(command: Command, common: &Common, out: Out) -> Result<Exit, Error> {
    folder::must_exist(&common.data)?;
    match command {
        Command::Verify => verify(common, out),
        Command::Stats => stats(common, out).await,
    }
}

fn verify(common: &Common, out: Out) -> Result<Exit, Error> {
    let checked = Local::check(&common.data)?;
    let mut problems = checked.problems;
    // Chains are judged even if records are missing: what is wrong with either may explain the other.
    let chains = folder::ledger(&common.data).and_then(|ledger| Ok(ledger.verify()?));
    let (streams, events) = match chains {
        Ok(verified) => {
            problems.extend(verified.problems);
            (verified.streams, verified.events)
        }
        Err(error) => {
            let told = error.to_string();
            problems.extend((!problems.contains(&told)).then_some(told));
            (0, 0)
        }
    };
    match out.format {
        Format::Table => {
            out.line(format_args!(
                "{}, {} in {}; {}, {}",
                shown::count(checked.records, "record"),
                shown::size(checked.bytes),
                shown::count(checked.files, "segment"),
                shown::count(streams, "stream"),
                shown::count(events, "event"),
            ))?;
            problems.iter().try_for_each(|problem| out.line(format_args!("problem: {problem}")))?;
            if problems.is_empty() {
                out.line(
                    Style::Good.paint(out.color, "clean: every record reads well and every chain arrives at its head"),
                )?;
            }
        }
        Format::Json | Format::Jsonl => out.json(&json!({
            "clean": problems.is_empty(), "records": checked.records, "bytes": checked.bytes, "segments": checked.files,
            "streams": streams, "events": events, "problems": problems,
        }))?,
    }
    Ok(if problems.is_empty() { Exit::Ok } else { Exit::Failed })
}

async fn stats(common: &Common, out: Out) -> Result<Exit, Error> {
    let engine = folder::look(&common.data, out).await?;
    let figures = engine.system().figures();
    let rows = engine.system().read(|live| live.index.len()).await.map_err(headframe::Error::from)?;
    let doubts = engine.doubts().await?.len();
    let runs = engine.runs().await?;
    let unfinished = runs.iter().filter(|row| !row.has_ended()).count();
    let artifacts = engine.artifacts().list().map_err(headframe::Error::from)?;
    engine.stop().await;
    let checked = Local::check(&common.data)?;
    let artifact_bytes: u64 = artifacts.iter().map(|entry| entry.bytes).sum();
    let figures = json!({
        "records": checked.records, "bytes": checked.bytes, "segments": checked.files, "actors": figures.actors,
        "calls": figures.calls, "in_doubt": doubts, "index_rows": rows, "runs": runs.len(), "unfinished": unfinished,
        "artifacts": artifacts.len(), "artifact_bytes": artifact_bytes,
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
