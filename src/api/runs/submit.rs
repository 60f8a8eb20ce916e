//! `POST /v1/runs`.
//!
//! **Invariant:** 202 and 200 are said once the run is durable; whoever did not hear them repeats with the same key.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use headframe_actors::plan::Checked;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    api::{
        body::Told,
        problem::{Problem, quoted},
        query,
        shared::Shared,
        workflows::Offer,
    },
    engine::Submission,
};

/// What is to run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Wanted {
    /// The name of a workflow, as `GET /v1/workflows` tells it.
    #[schema(example = "repo-audit")]
    workflow: String,
    /// A value for each input that has no default.
    #[serde(default)]
    #[schema(value_type = Object)]
    input: Map<String, Value>,
    /// What to know the run by.
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// A run that is durable.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Submitted {
    run: String,
    workflow: String,
    /// Whether this request made it; `false` if an earlier one with the same key did.
    is_new: bool,
}

/// Submit a run.
#[utoipa::path(
    post, path = "/v1/runs", tag = "runs", request_body = Wanted,
    params(("Idempotency-Key" = Option<String>, Header, description = "a second request with it returns the first run")),
    responses(
        (status = ACCEPTED, body = Submitted, description = "the run is durable and goes on"),
        (status = OK, body = Submitted, description = "the key's run was there already"),
        (status = BAD_REQUEST, body = Problem), (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem), (status = PAYLOAD_TOO_LARGE, body = Problem),
        (status = UNSUPPORTED_MEDIA_TYPE, body = Problem), (status = UNPROCESSABLE_ENTITY, body = Problem),
        (status = TOO_MANY_REQUESTS, body = Problem), (status = SERVICE_UNAVAILABLE, body = Problem)
    )
)]
pub(in crate::api) async fn submit(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Told(wanted): Told<Wanted>,
) -> Result<Response, Problem> {
    let key = query::key(&headers)?;
    let plan = plan(&shared, &wanted.workflow)?;
    let labels = wanted.labels.into_iter().collect();
    let submission = Submission { input: Value::Object(wanted.input), key, labels };
    let (handle, is_new) = shared.engine.submit_once(plan, submission).await?;
    let run = handle.id().to_string();
    let location = HeaderValue::try_from(format!("/v1/runs/{run}")).expect("an id is visible ASCII");
    let status = if is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    let body = Json(Submitted { run, workflow: wanted.workflow, is_new });
    Ok((status, [(header::LOCATION, location)], body).into_response())
}

fn plan<'a>(shared: &'a Shared, name: &str) -> Result<&'a Arc<Checked>, Problem> {
    match shared.workflows.get(name) {
        Some(Offer::Ready(plan)) => Ok(plan),
        Some(Offer::Broken(problems)) => {
            let detail =
                format!("the file of workflow `{}` is wrong: mend it and start the server again", quoted(name));
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "HF0305", detail).errors(problems.clone()))
        }
        None => {
            let detail = format!("there is no workflow `{}`; GET /v1/workflows names those there are", quoted(name));
            Err(Problem::new(StatusCode::NOT_FOUND, "HF0304", detail))
        }
    }
}
