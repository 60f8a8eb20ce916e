//! `headframe doctor`: what is wrong with a data folder, and what to do about it, in sentences.
//!
//! **Invariant:** without `--yes` nothing is changed. What an acceptance costs is told before it is done.

use std::{fs, path::Path};

use headframe::durable::{
    RowState,
    store::{
        Error::{Newer, NewerVersion},
        Local, Loss, Settled,
    },
};
use serde_json::json;

use super::{
    Common,
    exit::{Error, Exit},
    folder,
    look::{self, Look},
    out::{Format, Out, Style},
    shown,
};

/// Room that a store should have to work, in bytes.
const ROOM: u64 = 256 * 1024 * 1024;

/// Look at the data folder, and say what to do
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headframe doctor
  headframe doctor --accept-loss          # what it would cost
  headframe doctor --accept-loss --yes    # go on without what is damaged")]
pub(crate) struct Args {
    /// Go on without records that cannot be read; without --yes only what that costs is told
    #[arg(long)]
    accept_loss: bool,
    /// Do it
    #[arg(long, requires = "accept_loss")]
    yes: bool,
}

pub(crate) fn run(args: Args, common: &Common, out: Out) -> Result<Exit, Error> {
    folder::must_exist(&common.data)?;
    if args.accept_loss { accept(&args, common, out) } else { examine(common, out) }
}

/// One thing that was looked at.
struct Finding {
    is_well: bool,
    told: String,
}

fn well(told: impl Into<String>) -> Finding {
    Finding { is_well: true, told: told.into() }
}

fn ill(told: impl Into<String>) -> Finding {
    Finding { is_well: false, told: told.into() }
}

fn examine(common: &Common, out: Out) -> Result<Exit, Error> {
    let data = &common.data;
    let findings: Vec<_> = [permissions(data), room(data), holder(data)].into_iter().chain(files(common)).collect();
    let is_well = findings.iter().all(|finding| finding.is_well);
    match out.format {
        Format::Table => {
            for Finding { is_well, told } in &findings {
                let mark =
                    if *is_well { Style::Good.paint(out.color, "ok  ") } else { Style::Bad.paint(out.color, "bad ") };
                out.line(format_args!("{mark} {told}"))?;
            }
        }
        Format::Json | Format::Jsonl => {
            let told: Vec<_> = findings.iter().map(|found| json!({"ok": found.is_well, "told": found.told})).collect();
            out.json(&json!({"ok": is_well, "findings": told}))?;
        }
    }
    Ok(if is_well { Exit::Ok } else { Exit::Failed })
}

fn permissions(data: &Path) -> Finding {
    let can = rustix::fs::access(
        data,
        rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
    );
    match can {
        Ok(()) => well("the folder can be read and written"),
        Err(error) => {
            ill(format!("{} cannot be used: {error}; give this user the right to read and write it", data.display()))
        }
    }
}

fn room(data: &Path) -> Finding {
    match rustix::fs::statvfs(data) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let told = format!("{} are free on its disk", shown::size(free));
            if free >= ROOM { well(told) } else { ill(format!("{told}; make room, {} at least", shown::size(ROOM))) }
        }
        Err(error) => ill(format!("the room on its disk cannot be told: {error}")),
    }
}

fn holder(data: &Path) -> Finding {
    match Local::holder(data) {
        Ok(None) => well("no process works in it"),
        Ok(Some(holder)) => well(format!("{holder} works in it")),
        Err(error) => ill(error.to_string()),
    }
}

fn files(common: &Common) -> Vec<Finding> {
    let flags = common.flags();
    let mut found = Vec::new();
    if let Err(error @ (Newer { .. } | NewerVersion { .. })) = Local::refuse_newer(&common.data, &look::registry()) {
        // What a newer build wrote is not for this one to judge.
        return vec![ill(error.to_string())];
    }
    if Local::is_unsettled(&common.data) {
        found.push(ill(format!(
            "a loss was being accepted and is not settled: run `headframe doctor --accept-loss --yes{flags}` again"
        )));
    }
    match Local::check(&common.data) {
        Ok(checked) if checked.problems.is_empty() => {
            let records = shown::count(checked.records, "record");
            found.push(well(format!(
                "HEAD, journal, base images and ledger read well: {records}, up to {}",
                checked.last
            )));
        }
        Ok(checked) => found.extend(checked.problems.into_iter().map(ill)),
        Err(error) => found.push(ill(error.to_string())),
    }
    if let Ok(Some(loss)) = Local::loss(&common.data) {
        found.push(ill(format!(
            "{}; `headframe doctor --accept-loss{flags}` says what going on without that costs",
            damage(&loss)
        )));
    }
    match Local::check_rows(&common.data) {
        Ok(rows) if rows.problems.is_empty() => found.push(well(match rows.skipped {
            None => format!("{} are what base and journal come to", shown::count(rows.rows, "row")),
            Some(why) => format!("the rows were not compared: {why}"),
        })),
        Ok(rows) => found.extend(rows.problems.into_iter().map(ill)),
        // What base and journal have to say was said.
        Err(_) => {}
    }
    if fs::read_dir(&common.data).is_ok_and(|mut names| names.any(|name| name.is_ok_and(|name| is_put_aside(&name)))) {
        found.push(well(
            "what was put aside (`journal.damaged-*`, `live.bad-*`) can go once nobody wants to look at it, and `headframe store prune-images` removes what was kept before upgrades (`before-*`)",
        ));
    }
    found
}

fn is_put_aside(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    ["journal.damaged-", "live.bad-", "before-format-", "before-versions-"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

fn damage(loss: &Loss) -> String {
    let told = loss.damage.iter().map(|(from, to, cause)| format!("records {from} to {to} cannot be read ({cause})"));
    told.collect::<Vec<_>>().join("; ")
}

fn accept(args: &Args, common: &Common, out: Out) -> Result<Exit, Error> {
    Local::refuse_newer(&common.data, &look::registry())?;
    let loss = Local::loss(&common.data)?;
    if loss.is_none() && !Local::is_unsettled(&common.data) {
        match out.format {
            Format::Table => out.line("nothing is damaged: there is no loss to accept")?,
            Format::Json | Format::Jsonl => out.json(&json!({"loss": null, "accepted": false}))?,
        }
        return Ok(Exit::Ok);
    }
    let told = loss.as_ref().map(|loss| consequences(loss, common)).unwrap_or_default();
    if out.format == Format::Table {
        told.iter().try_for_each(|line| out.line(line))?;
    }
    let settled =
        if args.yes { Some(Local::accept_loss(&common.data, &look::registry(), super::now_ms())?) } else { None };
    match (out.format, &settled) {
        (Format::Table, None) => out.line("nothing was changed; --yes does it")?,
        (Format::Table, Some(settled)) => tell(settled, loss.as_ref(), common, out)?,
        _ => out.json(&json!({"loss": loss, "told": told, "accepted": args.yes, "settled": settled}))?,
    }
    Ok(if args.yes { Exit::Ok } else { Exit::Failed })
}

/// What going on without it means.
fn consequences(loss: &Loss, common: &Common) -> Vec<String> {
    let mut told = vec![damage(loss)];
    if let Some((from, to)) = loss.state {
        told.push(format!("records {from} to {to} would be lost: all that happened in them is forgotten, and its effects outside are not"));
        told.push(
            "every unfinished run would be told so in its ledger and held until `headframe runs resume`".to_owned(),
        );
        told.push("every open call would be in doubt, but those whose tool still knows their key".to_owned());
    } else {
        told.push(format!(
            "no state is lost: the base image of record {} and the journal after it are whole",
            loss.base
        ));
    }
    if let Some((from, to)) = loss.history {
        told.push(format!("the history of records {from} to {to} would be missing in the ledger"));
    }
    if let Ok(look) = Look::at(&common.data) {
        let open = look.live().calls.values().filter(|row| !matches!(row.state, RowState::InDoubt(_))).count();
        let runs = look.runs.iter().filter(|row| !row.has_ended()).count();
        told.push(format!(
            "today {} unfinished and {} open",
            shown::count(runs as u64, "run"),
            shown::count(open as u64, "call")
        ));
    }
    told
}

fn tell(settled: &Settled, loss: Option<&Loss>, common: &Common, out: Out) -> std::io::Result<()> {
    if let Some(aside) = &settled.aside {
        out.line(format_args!("the damaged files are kept in {}", aside.display()))?;
    }
    settled.notes.iter().try_for_each(|note| out.line(note))?;
    if loss.is_none_or(|loss| loss.state.is_some()) {
        let (runs, calls) = (shown::count(settled.roots, "run"), shown::count(settled.doubted, "call"));
        out.line(format_args!("{runs} told, {calls} put in doubt"))?;
        let flags = common.flags();
        out.line(format_args!("`headframe doubt list{flags}` shows what is to be decided; `headframe runs resume{flags}` lets the runs go on"))?;
    }
    Ok(())
}
