//! Registered tools as a spec's reader sees them.
//!
//! **Invariant:** no tool is called through this; it is for their opinion of arguments.

use std::sync::Arc;

use headframe_actors::tool::AnyTool;
use serde_json::Value;

use super::ToolCatalog;

/// Tools under their names.
pub type Registered = Vec<(String, Arc<dyn AnyTool>)>;

impl ToolCatalog for Registered {
    fn knows(&self, name: &str) -> bool {
        find(self, name).is_some()
    }

    fn names(&self) -> Vec<String> {
        self.iter().map(|(name, _)| name.clone()).collect()
    }

    fn check(&self, name: &str, with: &Value) -> Result<(), String> {
        find(self, name).map_or(Ok(()), |tool| tool.check(with))
    }

    fn can_probe(&self, name: &str, with: &Value) -> bool {
        find(self, name).is_some_and(|tool| tool.can_probe(with))
    }

    fn can_beat(&self, name: &str) -> bool {
        find(self, name).is_some_and(|tool| tool.can_beat())
    }
}

/// The tool of a name.
pub(crate) fn find<'a>(tools: &'a [(String, Arc<dyn AnyTool>)], name: &str) -> Option<&'a Arc<dyn AnyTool>> {
    tools.iter().find(|(known, _)| known == name).map(|(_, tool)| tool)
}
