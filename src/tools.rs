//! The tools that come with the engine.
//!
//! | name | does | promises |
//! |---|---|---|
//! | `process` | starts a program | nothing: at most once unless a task says otherwise |
//! | `http` | sends a request (feature `http`) | nothing: at most once unless a task says otherwise |
//! | `render` | fills a template into text, a file or an artifact | idempotent |
//! | `artifact` | puts, gets and lists artifacts | idempotent |
//! | `sleep`, `echo`, `fail` | wait, answer, fail as told: for trying things out | idempotent |
//!
//! **Invariant:** arguments that a tool does not know are refused, by name, before a run starts.
//! **Absent on purpose:** a shell. A program is started with a list of arguments, never with a line to be split.

mod arguments;
mod artifact;
mod echo;
mod fail;
#[cfg(feature = "http")]
mod http;
mod items;
mod process;
mod render;
mod sleep;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

use headframe_actors::{
    durable::{Failure, Outcome},
    tool::AnyTool,
};
use serde_json::Value;

#[cfg(feature = "http")]
pub use self::http::Http;
pub use self::{
    artifact::Artifact,
    echo::Echo,
    fail::Fail,
    items::Items,
    process::{LAUNCH, Process, end_leftovers, launcher_main},
    render::Render,
    sleep::Sleep,
};
use crate::artifacts::Artifacts;

/// What is longer than this becomes an artifact, or is left out beside one: 32 KiB.
pub const INLINE_MAX_DEFAULT: usize = 32 * 1024;
/// Most bytes that artifacts may add to one tree of arguments, and most that one call gives: 16 MiB.
pub const CONTENT_MAX: usize = 16 * 1024 * 1024;
/// Most text that a tool puts into its answer when it is asked to: 256 KiB.
const TEXT_MAX: usize = 256 * 1024;

/// Every built-in tool under its name.
///
/// `run_dir` is a folder for what belongs to running processes; it may be emptied after a reboot, not before.
/// `launcher` is a program whose `main` hands the verb [`LAUNCH`] to [`launcher_main`], usually the running one itself
/// (`/proc/self/exe` stays right when its file is replaced). Without it a process group is still ended on time, and
/// before a repeat, but a program outlives an engine that is killed.
#[must_use]
pub fn builtin(artifacts: &Artifacts, run_dir: PathBuf, launcher: Option<PathBuf>) -> Vec<(String, Arc<dyn AnyTool>)> {
    vec![
        named("process", Process::new(artifacts.clone(), run_dir, launcher)),
        #[cfg(feature = "http")]
        named("http", Http::new(artifacts.clone())),
        named("render", Render::new(artifacts.clone())),
        named("artifact", Artifact::new(artifacts.clone())),
        named("sleep", Sleep),
        named("items", Items::new(artifacts.clone())),
        named("echo", Echo),
        named("fail", Fail),
    ]
}

fn named(name: &str, tool: impl AnyTool) -> (String, Arc<dyn AnyTool>) {
    (name.to_owned(), Arc::new(tool))
}

/// Why a tool that works on files did not succeed.
enum Trouble {
    /// Nothing changed.
    Definite(Failure),
    /// It may have happened.
    Doubtful(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Definite(failure)
    }
}

/// Run what waits for the disk on a thread that may wait.
async fn blocking(work: impl FnOnce() -> Result<Value, Trouble> + Send + 'static) -> Outcome {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(answer)) => Outcome::Done(answer.into()),
        Ok(Err(Trouble::Definite(failure))) => Outcome::Failed(failure),
        Ok(Err(Trouble::Doubtful(failure))) => Outcome::Unknown(failure),
        Err(error) => Outcome::unknown("crash", format!("the tool did not finish: {error}")),
    }
}
