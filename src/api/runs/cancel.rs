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
use crate::{
    api::{body::Told, problem::Problem, query::Named, shared::Shared},
    engine::Cancel as Answered,
};

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
        (status = ACCEPTED, body = RunView, description = "it is asked to end"),
        (status = OK, body = RunView, description = "it had ended, or was asked to end before (`cancelled_for` says why): nothing changes"),
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
    let told = handle.cancel(&reason).await?;
    let view = RunView::new(&handle.row().await?, &Doubts::of(&shared.engine).await?);
    let (status, view) = match told {
        Answered::Asked => (StatusCode::ACCEPTED, view.asked_to_end(reason)),
        Answered::Known { .. } | Answered::Ended => (StatusCode::OK, view),
    };
    Ok((status, Json(view)).into_response())
}
