//! What a supervisor tells whoever watches it.

use std::{sync::Arc, time::Duration};

use super::{child::ChildId, exit::Exit};

/// Hears what happens in a supervisor: for metrics, logs and durable records.
pub type Observer = Arc<dyn Fn(Report) + Send + Sync>;

/// Something that happened to a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The name of its supervisor.
    pub supervisor: Arc<str>,
    /// Which child.
    pub child: ChildId,
    /// What happened.
    pub happened: Happened,
}

/// What can happen to a child.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happened {
    /// It is up.
    Started {
        /// Counts the starts in this supervisor.
        incarnation: u64,
    },
    /// It could not be started.
    StartFailed {
        /// What it said.
        reason: String,
    },
    /// It ended.
    Exited {
        /// Why.
        exit: Exit,
    },
    /// It failed, and will be started again.
    Restarting {
        /// How often it has failed and was restarted since this supervisor started, this time included.
        times: u64,
        /// How long it waits before.
        after: Duration,
        /// Why it failed.
        reason: String,
    },
    /// It failed too often. A dynamic supervisor gives up this child alone; any other ends with all its children, and
    /// leaves the decision to its own supervisor.
    Escalated {
        /// Whether the supervisor ends with it.
        ends_supervisor: bool,
        /// Why it failed last.
        reason: String,
    },
}
