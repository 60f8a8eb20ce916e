//! The data folder: opening engines on it, and finding runs in it.
//!
//! **Invariant:** an engine is opened only by a command that changes something; the others take a
//! [`Look`](super::look::Look). No folder is made for a command that needs one to be there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use headframe::{
    Engine,
    durable::LongTurn,
    engine::EngineBuilder,
    plan::Plan,
    run::{self, RunId},
};

use super::{
    exit::Error,
    out::{Out, Style},
};

/// An engine of ours, not started.
pub(crate) fn builder(folder: &Path) -> EngineBuilder {
    let builder = Engine::builder().data(folder).long_turn(LongTurn::Abort);
    match launcher() {
        Some(program) => builder.launcher(program),
        None => builder,
    }
}

/// Ourselves. The link stays right when the file is replaced by a new build.
fn launcher() -> Option<PathBuf> {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() { Some(link) } else { std::env::current_exe().ok() }
}

/// Refuse a folder in which there is no store, or that we may not look into.
pub(crate) fn must_exist(folder: &Path) -> Result<(), Error> {
    let refused = |source| headframe::Error::Folder { folder: folder.to_path_buf(), source };
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(refused(io::ErrorKind::NotADirectory.into()).into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let help = "a run makes it; choose another folder with --data or HEADFRAME_DATA";
            return Err(Error::NotFound(format!("there is no data folder {}: {help}", folder.display())));
        }
        Err(error) => return Err(refused(error).into()),
    }
    for name in ["HEAD", "journal"] {
        if folder.join(name).try_exists().map_err(refused)? {
            return Ok(());
        }
    }
    Err(Error::NotFound(format!("there is no store in {}: nothing was ever run there", folder.display())))
}

/// Start an engine in which no run goes on.
pub(crate) async fn start_held(folder: &Path, out: Out) -> Result<Engine, Error> {
    must_exist(folder)?;
    start(builder(folder).hold(|_| true), out).await
}

/// Start an engine and tell what the start mended.
pub(crate) async fn start(builder: EngineBuilder, out: Out) -> Result<Engine, Error> {
    let engine = builder.start().await?;
    for repair in engine.system().repairs() {
        out.note(format_args!("{}: {repair}", out.accent(Style::Warn, "mended")));
    }
    Ok(engine)
}

/// A run by its id, the beginning of one, or `last`.
pub(crate) fn find<'a>(rows: &'a [run::Row], wanted: &str) -> Result<&'a run::Row, Error> {
    if wanted == "last" {
        return rows.first().ok_or_else(|| Error::NotFound("there are no runs yet".to_owned()));
    }
    let digits = wanted.strip_prefix("run_").unwrap_or(wanted).replace('-', "").to_ascii_lowercase();
    let mut found = rows.iter().filter(|row| !digits.is_empty() && hex(row.run).starts_with(&digits));
    match (found.next(), found.next()) {
        (Some(row), None) => Ok(row),
        (Some(_), Some(_)) => Err(Error::Usage(format!("`{wanted}` fits more than one run: give more of the id"))),
        (None, _) => {
            Err(Error::NotFound(format!("there is no run `{wanted}`; `headframe runs list` shows those there are")))
        }
    }
}

/// The shortest beginning by which every run can be told from the others.
pub(crate) fn short(rows: &[run::Row], run: RunId) -> String {
    const LEAST: usize = 12;
    let id = hex(run);
    let others = || rows.iter().filter(|row| row.run != run).map(|row| hex(row.run));
    let length = (LEAST..id.len()).find(|length| !others().any(|other| other.starts_with(&id[..*length])));
    format!("run_{}", &id[..length.unwrap_or(id.len())])
}

fn hex(run: RunId) -> String {
    run.to_string().trim_start_matches("run_").to_owned()
}

/// The plan of a run, for its names.
pub(crate) async fn plan(engine: &Engine, row: &run::Row) -> Result<Option<Plan>, Error> {
    let stored = engine.system().get(&run::plan_key(row.plan)).await.map_err(headframe::Error::from)?;
    // Names are a comfort: without them phases are shown by number.
    Ok(stored.and_then(|sealed| Plan::decode(&sealed).ok()))
}
