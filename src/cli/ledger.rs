//! `headframe ledger`: read what happened, export it, and check that nobody changed it.
//!
//! **Invariant:** nothing here starts an actor or writes to the store, so that it works beside a running process.

use std::io::Write as _;

use headframe::durable::{Item, Ledger, StreamId};

use super::{
    Common,
    exit::{Error, Exit},
    look::{self, Look},
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
    /// Compute every hash chain again, or that of one run
    Verify {
        /// An id, the beginning of one, or `last`; every run if it is not given
        run: Option<String>,
    },
    /// The events of a run with their hashes, as JSON lines
    Export {
        /// An id, the beginning of one, or `last`
        run: String,
    },
}

pub(crate) fn run(command: Command, common: &Common, out: Out) -> Result<Exit, Error> {
    match command {
        Command::Show { run } => show(common, out, &run),
        Command::Verify { run } => verify(common, out, run.as_deref()),
        Command::Export { run } => export(common, out, &run),
    }
}

fn show(common: &Common, out: Out, wanted: &str) -> Result<Exit, Error> {
    if out.format == Format::Jsonl {
        return export(common, out, wanted);
    }
    let look = Look::at(&common.data)?;
    let row = look.find(wanted)?;
    let stream = StreamId(row.actor.0);
    if out.format == Format::Json {
        let mut items = Vec::new();
        read(look.ledger(), stream, |item| {
            items.push(item);
            Ok(())
        })?;
        out.json(&items)?;
    } else {
        let mut progress = Progress::new(look.plan(row).as_ref());
        let mut bulk = out.bulk();
        read(look.ledger(), stream, |item| {
            let line = line(out, &progress, &item);
            progress.apply(&item);
            writeln!(bulk, "{line}")
        })?;
        bulk.flush()?;
    }
    Ok(Exit::Ok)
}

fn line(out: Out, progress: &Progress, item: &Item) -> String {
    let place = if item.kind == "run" { "run".to_owned() } else { progress.place(item.actor) };
    let time = Style::Dim.paint(out.color, shown::time_of_day(item.at_ms));
    format!("{time}  {:>5}  {:<24}  {}", item.number, shown::cut(&place, 40), words::item(progress, item))
}

fn export(common: &Common, out: Out, wanted: &str) -> Result<Exit, Error> {
    let look = Look::at(&common.data)?;
    let row = look.find(wanted)?;
    let mut bulk = out.bulk();
    read(look.ledger(), StreamId(row.actor.0), |item| {
        serde_json::to_writer(&mut bulk, &item)?;
        bulk.write_all(b"\n")
    })?;
    bulk.flush()?;
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

fn verify(common: &Common, out: Out, wanted: Option<&str>) -> Result<Exit, Error> {
    let verified = match wanted {
        None => look::ledger(&common.data)?.verify()?,
        Some(wanted) => {
            let look = Look::at(&common.data)?;
            let stream = StreamId(look.find(wanted)?.actor.0);
            look.ledger().verify_stream(stream)?
        }
    };
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
