//! `headframe store prune-images`: remove what was kept before upgrades.
//!
//! **Invariant:** without `--yes` nothing is changed. With it everything in the store is read first, and only if all of it
//! reads well does anything go.

use headframe::durable::store::{Image, Local};
use serde_json::json;

use crate::cli::{
    Common,
    exit::{Error, Exit},
    look,
    out::{Format, Out},
    shown,
};

pub(super) fn prune(common: &Common, out: Out, yes: bool) -> Result<Exit, Error> {
    let registry = look::registry();
    let images = Local::images(&common.data, &registry)?;
    let problems = if yes && !images.is_empty() { super::check(common)?.problems } else { Vec::new() };
    let is_done = yes && problems.is_empty();
    let images = if is_done { Local::prune_images(&common.data, &registry)? } else { images };
    let own_bytes: u64 = going(&images).map(|image| image.own_bytes).sum();
    if out.format != Format::Table {
        let pruned = going(&images).count();
        out.json(&json!({"images": images, "pruned": if is_done { pruned } else { 0 }, "problems": problems}))?;
        return Ok(if problems.is_empty() { Exit::Ok } else { Exit::Failed });
    }
    for image in &images {
        let what = match &image.needed {
            Some(why) => format!("stays: {why}"),
            None if is_done => "removed".to_owned(),
            None => "would go".to_owned(),
        };
        let half = if image.is_whole { "" } else { ", half kept by a start that died" };
        out.line(format_args!("{}  {}{half}  {what}", image.name, shown::size(image.bytes)))?;
    }
    problems.iter().try_for_each(|problem| out.line(format_args!("problem: {problem}")))?;
    let went = shown::count(going(&images).count() as u64, "image");
    if images.is_empty() {
        out.line("nothing was kept before an upgrade")?;
    } else if !problems.is_empty() {
        out.line("nothing was removed: what is kept may be all that reads well; mend the store first")?;
    } else if is_done {
        out.line(format_args!("{went} removed; {} that nothing else had are free", shown::size(own_bytes)))?;
    } else {
        let flags = common.flags();
        out.line(format_args!(
            "nothing was changed: `headframe store prune-images --yes{flags}` reads all of the store and removes {went}, of which {} are in no other file; no older build can be gone back to then",
            shown::size(own_bytes)
        ))?;
    }
    Ok(if problems.is_empty() { Exit::Ok } else { Exit::Failed })
}

fn going(images: &[Image]) -> impl Iterator<Item = &Image> {
    images.iter().filter(|image| image.needed.is_none())
}
