//! The built-in tools as a spec's reader sees them, without an engine.
//!
//! **Invariant:** no tool is called through this; it is for their opinion of arguments.

use std::sync::Arc;

use headframe::{
    artifacts::Artifacts,
    plan::Checked,
    spec::{self, ToolCatalog},
    tool::AnyTool,
    tools::builtin,
};
use serde_json::Value;

use super::exit::Error;

struct Builtin(Vec<(String, Arc<dyn AnyTool>)>);

/// Read a spec and have every tool look at its arguments, before there is a data folder.
pub(crate) fn load(file: &std::path::Path) -> Result<Arc<Checked>, Error> {
    // The tools want a place for artifacts; asked for their opinion, they put nothing there.
    let scratch = std::env::temp_dir().join(format!("headframe-check-{}", std::process::id()));
    let artifacts = Artifacts::open(&scratch).map_err(headframe::Error::from)?;
    let tools = Builtin(builtin(&artifacts, scratch.clone(), None));
    // What cannot be removed is an empty folder in the folder for temporary things.
    let _ = std::fs::remove_dir_all(&scratch);
    Ok(spec::load_with(file, &tools).map_err(headframe::Error::from)?)
}

impl Builtin {
    fn find(&self, name: &str) -> Option<&Arc<dyn AnyTool>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, tool)| tool)
    }
}

impl ToolCatalog for Builtin {
    fn knows(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    fn check(&self, name: &str, with: &Value) -> Result<(), String> {
        self.find(name).map_or(Ok(()), |tool| tool.check(with))
    }

    fn can_probe(&self, name: &str, with: &Value) -> bool {
        self.find(name).is_some_and(|tool| tool.can_probe(with))
    }

    fn can_beat(&self, name: &str) -> bool {
        self.find(name).is_some_and(|tool| tool.can_beat())
    }
}
