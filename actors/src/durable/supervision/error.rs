//! What a supervisor refuses.

use super::child::ChildId;

/// Why a supervisor did not do what it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such child.
    #[error("no child is called {0}")]
    NotFound(ChildId),
    /// Its specification is there, and it is down: restart it, or delete it first.
    #[error("a child called {0} is already present")]
    AlreadyPresent(ChildId),
    /// It is up, or about to be.
    #[error("a child called {0} is already started")]
    AlreadyStarted(ChildId),
    /// Only a child that is down can be restarted or deleted by hand.
    #[error("{0} is running")]
    Running(ChildId),
    /// It waits to be started again; terminate it first.
    #[error("{0} is being restarted")]
    Restarting(ChildId),
    /// A dynamic supervisor keeps no child that is down.
    #[error("a dynamic supervisor keeps no child that is down")]
    Dynamic,
    /// The specification contradicts itself or its supervisor.
    #[error("the specification of {child} is invalid: {why}")]
    Invalid {
        /// Whose it is.
        child: ChildId,
        /// What is wrong.
        why: &'static str,
    },
    /// It could not be started.
    #[error("{child} did not start: {reason}")]
    StartFailed {
        /// Who.
        child: ChildId,
        /// What it said.
        reason: String,
    },
    /// The supervisor has ended, or is ending.
    #[error("the supervisor has ended")]
    Ended,
    /// It did not end in time and was killed, and its children with it, in no order.
    #[error("the supervisor did not end in time and was killed")]
    Killed,
}
