//! Specs as the built-in tools see them, without an engine.

use std::{path::Path, sync::Arc};

use headframe::{artifacts::Artifacts, plan::Checked, spec, tools::builtin};

use super::exit::Error;

/// Read a spec and have every tool look at its arguments, before there is a data folder.
pub(crate) fn load(file: &Path) -> Result<Arc<Checked>, Error> {
    // The tools want a place for artifacts; asked for their opinion, they put nothing there.
    let scratch = std::env::temp_dir().join(format!("headframe-check-{}", std::process::id()));
    let artifacts = Artifacts::open(&scratch).map_err(headframe::Error::from)?;
    let tools = builtin(&artifacts, scratch.clone(), None);
    // What cannot be removed is an empty folder in the folder for temporary things.
    let _ = std::fs::remove_dir_all(&scratch);
    Ok(spec::load_with(file, &tools).map_err(headframe::Error::from)?)
}
