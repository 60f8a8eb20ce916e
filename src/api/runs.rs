//! Runs: submit, list, look, wait, follow, cancel.
//!
//! **Invariant:** what is told of a run is durable. `held` means that it waits for a person.

mod cancel;
mod events;
mod list;
mod result;
mod submit;

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use headframe_actors::{
    durable::{CallId, Failure, Row as Call},
    run::{self, Outcome, RunId},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

pub(super) use self::{cancel::*, events::*, list::*, result::*, submit::*};
use super::{problem::Problem, query::Named, shared::Shared};
use crate::{clock::Clock as _, engine::Engine};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It goes on.
    Running,
    /// It waits for a person.
    Held,
    /// It did all it had to.
    Succeeded,
    /// A task failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// A run, as far as it is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RunView {
    /// Its id.
    #[schema(example = "run_01989f3c0d6a7d0ab1c2d3e4f5061728")]
    run: String,
    /// The workflow it carries out.
    workflow: String,
    status: Status,
    /// The digest of the workflow's content.
    plan: String,
    labels: BTreeMap<String, String>,
    /// In milliseconds since 1970.
    submitted_at_ms: u64,
    /// In milliseconds since 1970.
    ended_at_ms: Option<u64>,
    /// From submission to the end, or to now.
    duration_ms: u64,
    /// Why it waits for an operator, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_for: Option<String>,
    /// Why it was asked to end before it had, if it was: the first who asked counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_for: Option<String>,
    /// Its calls that wait for a decision.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    in_doubt: Vec<String>,
}

/// Why a run did not succeed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FailureView {
    /// The task, by phase, name and item.
    task: Option<String>,
    /// The class that retry policies match.
    class: String,
    message: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    details: Value,
}

/// One run.
#[utoipa::path(
    get, path = "/v1/runs/{run}", tag = "runs", params(("run" = String, Path, description = "its id")),
    responses((status = OK, body = RunView), (status = NOT_FOUND, body = Problem))
)]
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Named(run): Named<RunId>,
) -> Result<Json<RunView>, Problem> {
    let row = shared.engine.run(run).await?.row().await?;
    Ok(Json(RunView::new(&row, &Doubts::of(&shared.engine).await?)))
}

/// The calls that wait for a decision, by their run.
pub(super) struct Doubts(Vec<(CallId, Call)>);

impl Doubts {
    pub(super) async fn of(engine: &Engine) -> Result<Self, Problem> {
        Ok(Self(engine.doubts().await?))
    }

    fn of_run(&self, run: RunId) -> Vec<String> {
        let id = run.to_string();
        let ours = self.0.iter().filter(|(_, call)| call.request.path.starts_with(&id));
        ours.map(|(call, _)| call.to_string()).collect()
    }
}

impl RunView {
    pub(super) fn new(row: &run::Row, doubts: &Doubts) -> Self {
        let in_doubt = if row.has_ended() { Vec::new() } else { doubts.of_run(row.run) };
        let until = row.ended_at.unwrap_or_else(|| crate::clock::SystemClock.now_ms());
        Self {
            run: row.run.to_string(),
            workflow: row.workflow.clone(),
            status: status(row, !in_doubt.is_empty()),
            plan: row.plan.to_string(),
            labels: row.labels.iter().cloned().collect(),
            submitted_at_ms: row.submitted_at,
            ended_at_ms: row.ended_at,
            duration_ms: until.saturating_sub(row.submitted_at),
            held_for: row.held.clone(),
            cancelled_for: row.cancelled.clone(),
            in_doubt,
        }
    }

    /// As it will be once the run has taken notice.
    fn asked_to_end(self, reason: String) -> Self {
        Self { cancelled_for: self.cancelled_for.or(Some(reason)), ..self }
    }

    pub(super) fn status(&self) -> Status {
        self.status
    }
}

fn status(row: &run::Row, is_doubted: bool) -> Status {
    match &row.outcome {
        Some(Outcome::Succeeded(_)) => Status::Succeeded,
        Some(Outcome::Failed { .. }) => Status::Failed,
        Some(Outcome::Cancelled { .. }) => Status::Cancelled,
        None if is_doubted || row.held.is_some() => Status::Held,
        None => Status::Running,
    }
}

impl FailureView {
    fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Succeeded(_) => None,
            Outcome::Failed { task, failure: Failure { class, message, details, .. } } => Some(Self {
                task: Some(task.clone()),
                class: class.clone(),
                message: message.clone(),
                details: details.value(),
            }),
            Outcome::Cancelled { reason } => {
                Some(Self { task: None, class: "cancelled".to_owned(), message: reason.clone(), details: Value::Null })
            }
        }
    }
}
