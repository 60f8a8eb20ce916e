//! `POST /v1/runs/{run}/cancel`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use headframe_actors::run::RunId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Doubts, RunView};
use crate::api::{body::Told, problem::Problem, query::Named, shared::Shared};

/// Most bytes of a reason.
const REASON_MAX: usize = 2_000;

/// Why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Cancel {
    /// Why; it is in the ledger.
    #[serde(default)]
    reason: Option<String>,
}

/// Ask a run to end as soon as what runs has an outcome.
#[utoipa::path(
    post, path = "/v1/runs/{run}/cancel", tag = "runs", request_body = Cancel,
    params(("run" = String, Path, description = "its id")),
    responses(
        (status = ACCEPTED, body = RunView, description = "it was asked to end"),
        (status = OK, body = RunView, description = "it had ended already"),
        (status = BAD_REQUEST, body = Problem), (status = NOT_FOUND, body = Problem),
        (status = UNSUPPORTED_MEDIA_TYPE, body = Problem), (status = TOO_MANY_REQUESTS, body = Problem),
        (status = SERVICE_UNAVAILABLE, body = Problem)
    )
)]
pub(in crate::api) async fn cancel(
    State(shared): State<Arc<Shared>>,
    Named(run): Named<RunId>,
    Told(Cancel { reason }): Told<Cancel>,
) -> Result<Response, Problem> {
    let reason = reason.unwrap_or_else(|| "cancelled over HTTP".to_owned());
    if reason.len() > REASON_MAX {
        return Err(Problem::asked_wrongly(format!("`reason` has at most {REASON_MAX} bytes")));
    }
    let handle = shared.engine.run(run).await?;
    let had_ended = handle.row().await?.has_ended();
    if !had_ended {
        handle.cancel(&reason).await?;
    }
    let status = if had_ended { StatusCode::OK } else { StatusCode::ACCEPTED };
    let view = RunView::new(&handle.row().await?, &Doubts::of(&shared.engine).await?);
    Ok((status, Json(view)).into_response())
}
