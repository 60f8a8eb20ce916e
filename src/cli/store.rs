//! `headframe store`: check the store, measure it, tidy it up, and build its rows again.
//!
//! **Invariant:** `verify` and `stats` change nothing, so that they can be run beside a process that works. `verify` reads
//! everything in its own ways: the files, the chains, the fold that a start would do, the fold of events alone, the artifacts,
//! and, while nobody works there, the rows.

mod collect;
mod images;

use std::path::Path;

use headframe::{
    artifacts::{self, Artifacts},
    durable::{
        Refolded, Verified,
        store::{Checked, Kept, Local, RowsChecked},
    },
};
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

/// Check the store, measure it, tidy it up, and build its rows again
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Read every record, compute every checksum and chain again
    Verify,
    /// How much is in it
    Stats,
    /// Build the rows again from base and journal, if something is wrong with them
    Repair {
        /// Do it, rather than say what would be done
        #[arg(long)]
        yes: bool,
    },
    /// Remove what was kept before upgrades, once nobody wants to go back to an older build
    ///
    /// Only while no process works there, and only if the store reads well and this build has worked on it.
    PruneImages {
        /// Do it, rather than say what would be done
        #[arg(long)]
        yes: bool,
    },
    /// Remove what is over: artifacts that nothing names, unfinished files, keys whose time has passed
    ///
    /// A running engine does so by itself. An artifact goes when no run's history, no message, no call and no other
    /// artifact names it, and nobody touched it for 24 h; a submission's key 24 h after its run has ended.
    Collect {
        /// Say what would go, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Keys of submissions, and of messages that are told once, lie under these prefixes.
const SUBMISSION_KEYS: &str = "key/";
const MESSAGE_KEYS: &str = "once/";

pub(crate) async fn run(command: Command, common: &Common, out: Out) -> Result<Exit, Error> {
    folder::must_exist(&common.data)?;
    match command {
        Command::Verify => verify(common, out),
        Command::Stats => stats(common, out),
        Command::Repair { yes } => repair(common, out, yes),
        Command::PruneImages { yes } => images::prune(common, out, yes),
        Command::Collect { dry_run: true } => collect::look(common, out),
        Command::Collect { dry_run: false } => collect::run(common, out).await,
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
    bases: Kept,
    ledger: Kept,
    refolded: Refolded,
    rows: RowsChecked,
    artifacts: artifacts::Checked,
    notes: Vec<String>,
    problems: Vec<String>,
}

fn verify(common: &Common, out: Out) -> Result<Exit, Error> {
    let mut found = check(common)?;
    if found.rows.skipped.is_some() && !found.clean {
        // A process that works there replaces files while we look; what is wrong stays wrong.
        found = check(common)?;
    }
    match out.format {
        Format::Table => tell(&found, out)?,
        Format::Json | Format::Jsonl => out.json(&found)?,
    }
    Ok(if found.clean { Exit::Ok } else { Exit::Failed })
}

/// Look at all of it, whatever is wrong with some of it: what is wrong with one part may explain another.
fn check(common: &Common) -> Result<Found, Error> {
    let Checked { records, bytes, files, bases, ledger, mut notes, mut problems, .. } = Local::check(&common.data)?;
    let mut blame = |told: String| problems.extend((!problems.contains(&told)).then_some(told));
    let chains = look::ledger(&common.data).and_then(|ledger| Ok(ledger.verify()?)).unwrap_or_else(|error| {
        blame(error.to_string());
        Verified::default()
    });
    chains.problems.into_iter().for_each(&mut blame);
    let look = Look::at(&common.data).map_err(|error| blame(error.to_string())).ok();
    let live = look.as_ref().map(Look::live);
    let refolded = look.as_ref().map(|look| look.ledger().refold(look.live())).transpose().unwrap_or_else(|error| {
        blame(error.to_string());
        None
    });
    let refolded = refolded.unwrap_or_default();
    refolded.problems.iter().cloned().for_each(&mut blame);
    let rows = Local::check_rows(&common.data).unwrap_or_else(|error| {
        blame(error.to_string());
        RowsChecked { skipped: Some("base or journal cannot be read".to_owned()), ..RowsChecked::default() }
    });
    rows.problems.iter().cloned().for_each(&mut blame);
    let artifacts = check_artifacts(&common.data, &mut notes).unwrap_or_else(|error| {
        blame(error.to_string());
        artifacts::Checked::default()
    });
    artifacts.problems.iter().cloned().for_each(&mut blame);
    let unsettled =
        Local::is_unsettled(&common.data).then_some("a loss was being accepted, and that did not come to its end");
    unsettled.map(str::to_owned).into_iter().for_each(&mut blame);
    Ok(Found {
        records,
        bytes,
        segments: files,
        streams: chains.streams,
        events: chains.events,
        actors: live.map_or(0, |live| live.actors.len()),
        calls: live.map_or(0, |live| live.calls.len()),
        index_rows: live.map_or(0, |live| live.index.len()),
        bases,
        ledger,
        refolded,
        rows,
        artifacts,
        notes,
        clean: problems.is_empty(),
        problems,
    })
}

fn check_artifacts(data: &Path, notes: &mut Vec<String>) -> Result<artifacts::Checked, Error> {
    let mut named = artifacts::Named::default();
    // An end that is damaged was told of, and names what it names.
    let is_whole = look::ledger(data).and_then(|ledger| Ok(ledger.everything(&mut |bytes| named.read(bytes))?));
    if !matches!(is_whole, Ok(true)) {
        notes.push(
            "not everything that may name an artifact could be read, so one that is missing may not be missed"
                .to_owned(),
        );
    }
    Ok(Artifacts::at(data.join("artifacts")).check(named).map_err(headframe::Error::from)?)
}

fn tell(found: &Found, out: Out) -> std::io::Result<()> {
    let (records, bytes) = (shown::count(found.records, "record"), shown::size(found.bytes));
    out.line(format_args!("journal  {records}, {bytes} in {}", shown::count(found.segments, "segment")))?;
    let (streams, events) = (shown::count(found.streams, "stream"), shown::count(found.events, "event"));
    out.line(format_args!("ledger   {streams}, {events}"))?;
    let [actors, calls, rows] = [(found.actors, "actor"), (found.calls, "call"), (found.index_rows, "index row")]
        .map(|(number, noun)| shown::count(number as u64, noun));
    out.line(format_args!("live     {actors}, {calls}, {rows}"))?;
    tell_files(found, out)?;
    let (folded, unknown) = (shown::count(found.refolded.actors, "actor"), found.refolded.unknown);
    let unknown = if unknown == 0 { String::new() } else { format!(", {unknown} of kinds unknown here not compared") };
    out.line(format_args!("refold   {folded} from {}{unknown}", shown::count(found.refolded.events, "event")))?;
    let artifacts::Checked { stored, bytes, named, .. } = found.artifacts;
    let stored = shown::count(stored, "artifact");
    out.line(format_args!("content  {stored}, {}, {named} named", shown::size(bytes)))?;
    match &found.rows.skipped {
        None => out.line(format_args!("rows     {} compared", shown::count(found.rows.rows, "row")))?,
        Some(why) => out.line(format_args!("rows     not compared: {why}"))?,
    }
    found.notes.iter().try_for_each(|note| out.line(format_args!("note: {note}")))?;
    found.problems.iter().try_for_each(|problem| out.line(format_args!("problem: {problem}")))?;
    if found.clean {
        let clean = "clean: every record reads well, every chain arrives at its head, and what is live is what the events come to";
        out.line(Style::Good.paint(out.color, clean))?;
    }
    Ok(())
}

fn tell_files(found: &Found, out: Out) -> std::io::Result<()> {
    for (name, kept, noun) in [("bases   ", found.bases, "row"), ("archived", found.ledger, "event")] {
        let entries = shown::count(kept.entries, noun);
        out.line(format_args!("{name} {}, {entries}, {}", shown::count(kept.files, "file"), shown::size(kept.bytes)))?;
    }
    Ok(())
}

fn repair(common: &Common, out: Out, yes: bool) -> Result<Exit, Error> {
    let found = Local::check_rows(&common.data)?;
    let reasons: Vec<_> = found.problems.iter().chain(&found.skipped).cloned().collect();
    let is_wrong = !found.problems.is_empty();
    let mut done = Vec::new();
    if is_wrong && yes {
        done = Local::repair(&common.data)?;
    }
    match out.format {
        Format::Table => {
            reasons.iter().try_for_each(|reason| out.line(reason))?;
            match (is_wrong, yes) {
                (false, _) => out.line("nothing has to be done")?,
                (true, false) => {
                    out.line("the rows would be built again from base and journal: `headframe store repair --yes`")?
                }
                (true, true) => done.iter().try_for_each(|done| out.line(done))?,
            }
        }
        Format::Json | Format::Jsonl => {
            out.json(&json!({"needed": is_wrong, "repaired": is_wrong && yes, "reasons": reasons, "done": done}))?;
        }
    }
    Ok(if is_wrong && !yes { Exit::Failed } else { Exit::Ok })
}

fn stats(common: &Common, out: Out) -> Result<Exit, Error> {
    let look = Look::at(&common.data)?;
    let live = look.live();
    let (runs, doubts) = (&look.runs, look.doubts().count());
    let unfinished = runs.iter().filter(|row| !row.has_ended()).count();
    let (artifacts, artifact_bytes) = stored(&common.data.join("artifacts"))?;
    let checked = Local::check(&common.data)?;
    let images = Local::images(&common.data, &look::registry())?;
    let image_bytes: u64 = images.iter().map(|image| image.bytes).sum();
    let image_own_bytes: u64 = images.iter().map(|image| image.own_bytes).sum();
    let [keys, once] = [SUBMISSION_KEYS, MESSAGE_KEYS].map(|prefix| live.keys(prefix));
    let figures = json!({
        "records": checked.records, "bytes": checked.bytes, "segments": checked.files, "actors": live.actors.len(),
        "calls": live.calls.len(), "in_doubt": doubts, "index_rows": live.index.len(), "runs": runs.len(), "unfinished": unfinished,
        "artifacts": artifacts, "artifact_bytes": artifact_bytes,
        "submission_keys": keys.kept, "submission_keys_removed": keys.removed,
        "message_keys": once.kept, "message_keys_removed": once.removed,
        "segment_bytes": checked.file_bytes, "first_record": checked.first.0, "last_record": checked.last.0,
        "bases": checked.bases.files, "base_rows": checked.bases.entries, "base_bytes": checked.bases.bytes,
        "base_last_record": checked.bases.last, "ledger_segments": checked.ledger.files,
        "ledger_events": checked.ledger.entries, "ledger_bytes": checked.ledger.bytes,
        "ledger_last_record": checked.ledger.last, "row_bytes": checked.row_bytes, "ballast_bytes": checked.ballast_bytes,
        "images_before_upgrades": images.len(), "image_bytes": image_bytes, "image_own_bytes": image_own_bytes,
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
fn stored(folder: &Path) -> std::io::Result<(u64, u64)> {
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
