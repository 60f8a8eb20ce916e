//! `headframe store collect`: remove artifacts that nothing names, and keys whose time is over.
//!
//! **Invariant:** a dry run takes no lock and changes nothing; the other needs the folder for itself, and no run goes on
//! meanwhile.

use headframe::{artifacts::Artifacts, engine::Unnamed};
use serde_json::json;

use crate::cli::{
    Common,
    exit::{Error, Exit},
    folder,
    look::Look,
    out::{Format, Out},
    shown,
};

pub(super) fn look(common: &Common, out: Out) -> Result<Exit, Error> {
    let look = Look::at(&common.data)?;
    let folder = common.data.join("artifacts");
    let found = if folder.is_dir() {
        Unnamed::look(&Artifacts::at(folder), look.ledger(), Unnamed::before_ms(look.live()))?
    } else {
        Unnamed::default()
    };
    if out.format != Format::Table {
        out.json(&found)?;
        return Ok(Exit::Ok);
    }
    for (digest, bytes) in &found.unnamed {
        out.line(format_args!("{digest}  {}", shown::size(*bytes)))?;
    }
    let unnamed = shown::count(found.unnamed.len() as u64, "artifact");
    let (stored, young) = (found.stored, found.young);
    tell_held(found.held.as_deref(), out)?;
    out.line(format_args!("{unnamed} of {stored} would go; {young} were touched too lately to be looked at"))?;
    Ok(Exit::Ok)
}

pub(super) async fn run(common: &Common, out: Out) -> Result<Exit, Error> {
    let engine = folder::start_held(&common.data, out).await?;
    let done = async { Ok::<_, headframe::Error>((engine.collect_artifacts().await?, engine.sweep_keys().await?)) };
    let done = done.await;
    engine.stop().await;
    let (artifacts, keys) = done?;
    if out.format != Format::Table {
        out.json(&json!({"artifacts": artifacts, "keys": keys}))?;
        return Ok(Exit::Ok);
    }
    let (removed, stored) = (shown::count(artifacts.removed, "artifact"), artifacts.stored);
    tell_held(artifacts.held.as_deref(), out)?;
    out.line(format_args!("{removed} of {stored} removed, {}", shown::size(artifacts.removed_bytes)))?;
    out.line(format_args!("{} removed", shown::count(artifacts.abandoned, "unfinished file")))?;
    if keys.held {
        out.line("no key goes now: the wall clock jumped a while ago, or there is no room")?;
    }
    out.line(format_args!("{} of {} removed", shown::count(keys.removed, "key"), keys.looked))?;
    Ok(Exit::Ok)
}

fn tell_held(held: Option<&str>, out: Out) -> std::io::Result<()> {
    held.map_or(Ok(()), |why| out.line(format_args!("no artifact goes now: {why}")))
}
