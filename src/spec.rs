//! Workflows in YAML, and what their templates and conditions mean.
//!
//! ```text
//! text ─► node tree with places ─► plan builder ─► Plan::check ─► Checked
//!            yaml                    read            (actors)
//! ```
//! The reader never stops at the first mistake: it puts something harmless in its place and goes on, so that a person
//! sees every problem at once, each with its line and column, cause and remedy.
//!
//! **Invariant:** a YAML spec and the Rust builder give the same plan, because the reader only calls the builder. No
//! text, however hostile, makes the reader panic, overflow its stack, or use more than a bounded amount of memory.

mod error;
mod evaluate;
mod fields;
mod node;
mod read;
mod registered;
mod stack;
mod task;

use std::{path::Path, sync::Arc};

use headframe_actors::plan::Checked;
use serde_json::Value;

pub use self::{
    error::{SpecError, SpecProblem},
    evaluate::Expressions,
    registered::Registered,
};
use self::{node::Source, read::Reader};
pub(crate) use self::{registered::find, stack::with_room};

/// Most bytes of a spec.
pub const SPEC_MAX: usize = 4 * 1024 * 1024;

/// The JSON Schema of a spec, for editors: an editor that knows it completes keys and marks mistakes.
pub const SCHEMA: &str = include_str!("spec/schema.json");

/// The tools that a spec may name.
pub trait ToolCatalog: Sync {
    /// Whether a tool of this name is registered.
    fn knows(&self, name: &str) -> bool;

    /// The names of all tools, for suggestions.
    fn names(&self) -> Vec<String>;

    /// What a tool says about arguments whose templates are not rendered yet.
    ///
    /// # Errors
    /// What is wrong, in one sentence.
    fn check(&self, name: &str, with: &Value) -> Result<(), String>;

    /// Whether a tool can tell what became of a call with these arguments, so that a task may declare `verify`.
    fn can_probe(&self, name: &str, with: &Value) -> bool;

    /// Whether the calls of a tool say that they live, so that a task may promise heartbeats.
    fn can_beat(&self, name: &str) -> bool;
}

/// What is wrong with a task that is to be verified by this tool.
pub(crate) fn blind(tool: &str) -> String {
    format!("tool `{tool}` cannot tell what became of a call, so its effect cannot be verified")
}

/// What to do about it.
pub(crate) const BLIND_HELP: &str = "give `process` a `probe`, or declare another `effect`";

/// What is wrong with a task that promises heartbeats of this tool.
pub(crate) fn mute(tool: &str) -> String {
    format!("tool `{tool}` does not say that its calls live, so a task cannot promise a heartbeat")
}

/// What to do about it.
pub(crate) const MUTE_HELP: &str = "leave out `heartbeat`: its `timeout` ends a call that hangs";

/// Read a spec from a file; tools are taken to exist.
///
/// # Errors
/// If the file cannot be read, or every problem found in it.
pub fn load(path: &Path) -> Result<Arc<Checked>, SpecError> {
    parse(&path.display().to_string(), &text(path)?)
}

/// Read a spec from a file, with tools that check their arguments.
///
/// # Errors
/// If the file cannot be read, or every problem found in it.
pub fn load_with(path: &Path, tools: &dyn ToolCatalog) -> Result<Arc<Checked>, SpecError> {
    parse_with(&path.display().to_string(), &text(path)?, tools)
}

/// Read a spec; tools are taken to exist. The name stands for the text in errors.
///
/// # Errors
/// Every problem found.
pub fn parse(name: &str, text: &str) -> Result<Arc<Checked>, SpecError> {
    check(name, text, None)
}

/// Read a spec, with tools that check their arguments.
///
/// # Errors
/// Every problem found.
pub fn parse_with(name: &str, text: &str, tools: &dyn ToolCatalog) -> Result<Arc<Checked>, SpecError> {
    check(name, text, Some(tools))
}

fn text(path: &Path) -> Result<String, SpecError> {
    let name = path.display().to_string();
    let size = std::fs::metadata(path).map_err(|error| error::unreadable(&name, &error))?.len();
    if size > SPEC_MAX as u64 {
        return Err(error::too_large(&name, size));
    }
    std::fs::read_to_string(path).map_err(|error| error::unreadable(&name, &error))
}

fn check(name: &str, text: &str, tools: Option<&dyn ToolCatalog>) -> Result<Arc<Checked>, SpecError> {
    if text.len() > SPEC_MAX {
        return Err(error::too_large(name, text.len() as u64));
    }
    with_room(|| read(name, text, tools))
}

fn read(name: &str, text: &str, tools: Option<&dyn ToolCatalog>) -> Result<Arc<Checked>, SpecError> {
    let source = Source::new(text);
    let root = node::parse(&source).map_err(|problem| SpecError::new(name, vec![*problem]))?;
    let mut reader = Reader::new(&source, tools);
    let Some(builder) = reader.workflow(&root) else {
        return Err(SpecError::new(name, reader.into_problems()));
    };
    let checked = builder.check(&Expressions::new());
    let mut problems = reader.into_problems();
    match checked {
        Ok(plan) if problems.is_empty() => return Ok(plan),
        Ok(_) => {}
        Err(found) => problems.extend(found.into_iter().map(|problem| error::located(&source, &root, problem))),
    }
    Err(SpecError::new(name, problems))
}

#[cfg(test)]
mod tests;
