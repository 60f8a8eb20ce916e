//! `headframe ledger`: read what happened, export it, and check that nobody changed it.
//!
//! **Invariant:** nothing here starts an actor or writes to the store, so that it works beside a running process.

use std::io::Write as _;

use headframe::durable::{Item, Ledger, StreamId};

use super::{
    Common,
    exit::{Error, Exit},
    folder,
    out::{Format, Out, Style},
    progress::Progress,
    shown, words,
};

/// Read what happened
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// The events of a run, one a line
    Show {
        /// An id, the beginning of one, or `last`
        run: String,
    },
    /// Compute every hash chain again
    Verify,
    /// The events of a run with their hashes, as JSON lines
    Export {
        /// An id, the beginning of one, or `last`
        run: String,
    },
}

pub(crate) async fn run(command: Command, common: &Common, out: Out) -> Result<Exit, Error> {
    match command {
        Command::Show { run } => show(common, out, &run).await,
        Command::Verify => verify(common, out),
        Command::Export { run } => export(common, out, &run).await,
    }
}

async fn show(common: &Common, out: Out, wanted: &str) -> Result<Exit, Error> {
    if out.format == Format::Jsonl {
        return export(common, out, wanted).await;
    }
    let engine = folder::look(&common.data, out).await?;
    let row = folder::find(&engine.runs().await?, wanted)?;
    let plan = folder::plan(&engine, &row).await?;
    let (ledger, stream) = (engine.system().ledger(), StreamId(row.actor.0));
    let shown = if out.format == Format::Json {
        let mut items = Vec::new();
        read(&ledger, stream, |item| {
            items.push(item);
            Ok(())
        })
        .and_then(|()| Ok(out.json(&items)?))
    } else {
        let mut progress = Progress::new(plan.as_ref());
        let mut bulk = out.bulk();
        read(&ledger, stream, |item| {
            let line = line(out, &progress, &item);
            progress.apply(&item);
            writeln!(bulk, "{line}")
        })
        .and_then(|()| Ok(bulk.flush()?))
    };
    engine.stop().await;
    shown.map(|()| Exit::Ok)
}

fn line(out: Out, progress: &Progress, item: &Item) -> String {
    let place = if item.kind == "run" { "run".to_owned() } else { progress.place(item.actor) };
    let time = Style::Dim.paint(out.color, shown::time_of_day(item.at_ms));
    format!("{time}  {:>5}  {:<24}  {}", item.number, shown::cut(&place, 40), words::item(progress, item))
}

async fn export(common: &Common, out: Out, wanted: &str) -> Result<Exit, Error> {
    let engine = folder::look(&common.data, out).await?;
    let row = folder::find(&engine.runs().await?, wanted)?;
    let mut bulk = out.bulk();
    let written = read(&engine.system().ledger(), StreamId(row.actor.0), |item| {
        serde_json::to_writer(&mut bulk, &item)?;
        bulk.write_all(b"\n")
    });
    let flushed = bulk.flush();
    drop(bulk);
    engine.stop().await;
    written?;
    flushed?;
    Ok(Exit::Ok)
}

/// Hand over the items of a stream until they cannot be written any more.
fn read(ledger: &Ledger, stream: StreamId, mut take: impl FnMut(Item) -> std::io::Result<()>) -> Result<(), Error> {
    let mut written = Ok(());
    ledger.stream(stream, &mut |item| {
        written = take(item);
        written.is_ok()
    })?;
    Ok(written?)
}

fn verify(common: &Common, out: Out) -> Result<Exit, Error> {
    folder::must_exist(&common.data)?;
    let verified = folder::ledger(&common.data)?.verify()?;
    match out.format {
        Format::Table => {
            let streams = shown::count(verified.streams, "stream");
            out.line(format_args!("{streams}, {}", shown::count(verified.events, "event")))?;
            verified.problems.iter().try_for_each(|problem| out.line(format_args!("problem: {problem}")))?;
            if verified.problems.is_empty() {
                out.line(Style::Good.paint(out.color, "every chain arrives at its head"))?;
            }
        }
        Format::Json | Format::Jsonl => out.json(&verified)?,
    }
    Ok(if verified.problems.is_empty() { Exit::Ok } else { Exit::Failed })
}
