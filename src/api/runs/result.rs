//! `GET /v1/runs/{run}/result`.
//!
//! **Invariant:** a wait holds a connection and nothing else, and ends when the server drains.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use headframe_actors::run::{Outcome, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{Doubts, FailureView, RunView};
use crate::api::{
    problem::Problem,
    query::{self, Asked, Named},
    shared::Shared,
};

/// How long to wait.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Wait {
    /// Wait so long for the end of the run (`30s`); at most a minute.
    #[param(example = "0s")]
    wait: Option<String>,
}

/// How a run ended, or where it stands.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ResultView {
    #[serde(flatten)]
    run: RunView,
    /// What a run that succeeded gave.
    #[schema(value_type = Option<Value>)]
    output: Option<Value>,
    /// Why a run did not succeed.
    failure: Option<FailureView>,
}

/// How a run ended; 202 if it has not.
#[utoipa::path(
    get, path = "/v1/runs/{run}/result", tag = "runs", params(("run" = String, Path, description = "its id"), Wait),
    responses(
        (status = OK, body = ResultView, description = "it has ended"),
        (status = ACCEPTED, body = ResultView, description = "it has not ended yet: ask again"),
        (status = BAD_REQUEST, body = Problem), (status = NOT_FOUND, body = Problem)
    )
)]
pub(in crate::api) async fn result(
    State(shared): State<Arc<Shared>>,
    Named(run): Named<RunId>,
    Asked(wait): Asked<Wait>,
) -> Result<Response, Problem> {
    let wait = query::wait(wait.wait.as_deref(), shared.limits.wait_max)?;
    let handle = shared.engine.run(run).await?;
    let row = handle.row().await?;
    if !row.has_ended() && !wait.is_zero() {
        tokio::select! {
            outcome = handle.outcome() => drop(outcome?),
            () = tokio::time::sleep(wait) => {}
            () = shared.drained() => {}
        }
    }
    let row = if row.has_ended() { row } else { handle.row().await? };
    let status = if row.has_ended() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let doubts = Doubts::of(&shared.engine).await?;
    let view = ResultView {
        run: RunView::new(&row, &doubts),
        output: match &row.outcome {
            Some(Outcome::Succeeded(output)) => Some(output.value()),
            _ => None,
        },
        failure: row.outcome.as_ref().and_then(FailureView::of),
    };
    Ok((status, Json(view)).into_response())
}
