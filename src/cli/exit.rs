//! Exit codes, and the errors that end in one.
//!
//! **Invariant:** the codes are promised to scripts and never change their meaning.

use std::{io, process::ExitCode};

use headframe::durable::{self, store};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All went well.
    Ok = 0,
    /// The run failed or was cancelled, or a check found something wrong.
    Failed = 1,
    /// The command line, the spec or the input is wrong.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// The store refused: held by another process, damaged, closed.
    Refused = 4,
    /// The time given was over.
    TimedOut = 5,
    /// A key was used for something else, or the run waits for a decision.
    Conflict = 6,
    /// Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Mend the command line.
    #[error("{0}")]
    Usage(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The engine refused.
    #[error("{0}")]
    Engine(#[from] headframe::Error),
    /// The store refused.
    #[error("{0}")]
    Store(#[from] store::Error),
    /// The server refused.
    #[error("{code}: {detail}")]
    Told {
        /// The status of its answer.
        status: u16,
        /// The code of the problem.
        code: String,
        /// What it said.
        detail: String,
    },
    /// The server does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// The server did not start.
    #[error("{0}")]
    Server(#[from] headframe::api::Error),
    /// Records were lost, and nobody has said yet that runs may go on.
    #[error("HF0021: records {from} to {to} were lost, and every run is held; `headframe runs resume` lets them go on")]
    Restored {
        /// The first of them.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The measuring failed.
    #[error("cannot measure: {0}")]
    Bench(String),
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// The code it ends in.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Restored { .. } => Exit::Conflict,
            Self::NotFound(_) => Exit::NotFound,
            Self::Store(_) | Self::Bench(_) => Exit::Refused,
            Self::Engine(error) => of_engine(error),
            Self::Told { status: 404, .. } => Exit::NotFound,
            Self::Told { status: 409, .. } => Exit::Conflict,
            Self::Told { status: 400 | 422, .. } => Exit::Usage,
            Self::Told { .. } | Self::Unreachable(_) => Exit::Refused,
            Self::Server(headframe::api::Error::NotLoopback { .. }) => Exit::Usage,
            Self::Server(_) => Exit::Refused,
            Self::Output(_) if self.is_broken_pipe() => Exit::Ok,
            Self::Output(_) => Exit::Refused,
        }
    }

    /// Whether another process has the folder.
    pub(crate) fn is_held(&self) -> bool {
        matches!(
            self,
            Self::Store(store::Error::Held { .. }) | Self::Engine(headframe::Error::Store(store::Error::Held { .. }))
        )
    }

    /// Whether the reader went away, which is no failure of ours: `| head` has what it wanted.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn of_engine(error: &headframe::Error) -> Exit {
    use headframe::Error as E;
    match error {
        E::Spec(_) | E::Plan(_) | E::NoTool { .. } | E::Input(_) => Exit::Usage,
        E::NoRun(_) | E::System(durable::Error::Missing(_)) => Exit::NotFound,
        E::KeyConflict { .. }
        | E::NotHeld { .. }
        | E::Restored { .. }
        | E::System(durable::Error::LetterStays { .. } | durable::Error::OpenCalls { .. }) => Exit::Conflict,
        E::NotSucceeded { .. } => Exit::Failed,
        E::System(durable::Error::NoReplyYet { .. }) => Exit::TimedOut,
        _ => Exit::Refused,
    }
}
