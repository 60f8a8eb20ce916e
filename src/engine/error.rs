//! What an engine refuses, sorted by what the caller can do about it.

use headframe_actors::{
    durable::{self, codec, store},
    plan::Problem,
    run::RunId,
};

use crate::{artifacts, spec::SpecError};

/// Why an engine did not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The workflow is wrong: mend the file.
    #[error("{0}")]
    Spec(#[from] SpecError),
    /// The plan is wrong: mend the code.
    #[error("HF0201: the plan is not sound: {}", problems(.0))]
    Plan(Vec<Problem>),
    /// A task names a tool that is not registered.
    #[error("HF0202: there is no tool `{name}`; registered are: {}", .known.join(", "))]
    NoTool {
        /// What the task names.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The input does not fit the plan.
    #[error("HF0203: the input does not fit: {}", .0.join("; "))]
    Input(Vec<String>),
    /// The key was used for something else.
    #[error("HF0204: the key was used for {first} with another workflow or input; use a new key")]
    KeyConflict {
        /// The run that has the key.
        first: RunId,
    },
    /// There is no such run.
    #[error("HF0205: there is no run with {0}; `headframe runs list` shows those there are")]
    NoRun(String),
    /// The run ended, and not well.
    #[error("HF0206: {run} did not succeed: {reason}")]
    NotSucceeded {
        /// Which run.
        run: RunId,
        /// Why.
        reason: String,
    },
    /// The actors or their store refused.
    #[error("{0}")]
    System(#[from] durable::Error),
    /// The store did not open.
    #[error("{0}")]
    Store(#[from] store::Error),
    /// What is stored does not decode.
    #[error("HF0207: a stored row cannot be read: {0}")]
    Codec(#[from] codec::Error),
    /// The artifact store refused.
    #[error("{0}")]
    Artifacts(#[from] artifacts::Error),
    /// A result has another shape than was asked for.
    #[error("HF0208: the output has another shape: {0}")]
    Shape(#[from] serde_json::Error),
    /// Records were lost, that was accepted, and nobody has said yet that work may go on.
    #[error(
        "HF0021: records {from} to {to} were lost, and nothing is taken in or carried out until somebody says so: with `headframe runs resume`, or `EngineBuilder::confirm_restored`"
    )]
    Restored {
        /// The first of them.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The run is not held.
    #[error("HF0210: {run} is not held: it goes on, or it can be cancelled")]
    NotHeld {
        /// Which run.
        run: RunId,
    },
    /// The data folder cannot be made.
    #[error("HF0209: cannot use the data folder {folder}: {source}")]
    Folder {
        /// Which folder.
        folder: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn problems(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
