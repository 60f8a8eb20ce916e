//! What runs, phases and tasks count in their turns, for metrics.

use crate::{
    durable::meters::Measure,
    metrics::{Family, RUN_SECONDS},
};

const RUNS: Family = Family::counter("headframe_runs_ended_total", &["outcome"], "Runs that ended.");
const RUN_LASTED: Family = Family::histogram(
    "headframe_run_duration_seconds",
    RUN_SECONDS,
    &[],
    "How long runs took, from their submission to their end.",
);
const TASKS: Family = Family::counter("headframe_tasks_ended_total", &["outcome"], "Tasks that ended.");
const RETRIES: Family =
    Family::counter("headframe_task_retries_total", &[], "Attempts after which another was planned.");

/// Runs that ended.
pub(crate) const RUN_ENDED: Measure =
    Measure { counter: &RUNS, values: &["succeeded", "failed", "cancelled"], lasted: Some(&RUN_LASTED) };
/// Tasks that ended.
pub(crate) const TASK_ENDED: Measure =
    Measure { counter: &TASKS, values: &["succeeded", "failed", "skipped", "stopped"], lasted: None };
/// Attempts after which another was planned.
pub(crate) const RETRY: Measure = Measure { counter: &RETRIES, values: &[], lasted: None };

/// The families of these measures.
pub const FAMILIES: &[Family] = &[RUNS, RUN_LASTED, TASKS, RETRIES];

/// All of these measures, for [`SystemBuilder::measures`](crate::durable::SystemBuilder::measures).
pub const MEASURES: &[Measure] = &[RUN_ENDED, TASK_ENDED, RETRY];
